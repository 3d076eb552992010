//! Writes an initramfs: a "newc" cpio archive, the one format every kernel unpacks.
//!
//! Nothing here compresses: the guest would spend longer on inflating than qemu on copying.
//! Source of the format: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

use std::io::{self, Write};

const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// An archive that is being written. Parents must be added before what is in them.
#[derive(Debug)]
pub struct Archive<W> {
    out: W,
    written: usize,
    entries: u32,
}

struct Entry<'a> {
    path: &'a str,
    mode: u32,
    device: (u32, u32),
    content: &'a [u8],
}

impl<W: Write> Archive<W> {
    pub fn new(out: W) -> Self {
        Self { out, written: 0, entries: 0 }
    }

    pub fn directory(&mut self, path: &str) -> io::Result<()> {
        self.entry(&Entry { path, mode: DIRECTORY | 0o755, device: (0, 0), content: &[] })
    }

    pub fn file(&mut self, path: &str, permissions: u32, content: &[u8]) -> io::Result<()> {
        self.entry(&Entry { path, mode: FILE | permissions, device: (0, 0), content })
    }

    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) -> io::Result<()> {
        let mode = CHARACTER_DEVICE | 0o600;
        self.entry(&Entry { path, mode, device: (major, minor), content: &[] })
    }

    /// Writes the trailer and hands the writer back. Without it the kernel reports a broken
    /// archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry(&Entry { path: "TRAILER!!!", mode: 0, device: (0, 0), content: &[] })?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let Entry { path, mode, device: (major, minor), content } = entry;
        self.entries += 1;
        let size = u32::try_from(content.len())
            .map_err(|_| io::Error::other(format!("{path} does not fit into a newc archive")))?;
        let name_size = path.len() + 1;
        // In order: inode, mode, uid, gid, links, mtime, size, device of the file system (two),
        // device of the node (two), length of the name with its NUL, checksum (unused in newc).
        let header = format!(
            "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}{:08x}{:08x}{major:08x}{minor:08x}{name_size:08x}{:08x}",
            self.entries, 0, 0, 1, 0, 0, 0, 0
        );
        self.put(header.as_bytes())?;
        self.put(path.as_bytes())?;
        self.put(&[0])?;
        self.align()?;
        self.put(content)?;
        self.align()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len();
        self.out.write_all(bytes)
    }

    fn align(&mut self) -> io::Result<()> {
        let padding = self.written.next_multiple_of(4) - self.written;
        self.put(&[0; 3][..padding])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_contents_start_at_multiples_of_four() {
        let mut archive = Archive::new(Vec::new());
        archive.directory("dev").expect("a directory");
        archive.file("init", 0o755, b"hello").expect("a file");
        let bytes = archive.finish().expect("a trailer");

        let headers = starts_of(&bytes, b"070701");
        assert_eq!(headers.len(), 3);
        assert!(headers.iter().all(|start| start % 4 == 0), "{headers:?}");
        assert_eq!(starts_of(&bytes, b"hello")[0] % 4, 0);
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn a_file_states_its_mode_its_size_and_its_name() {
        let mut archive = Archive::new(Vec::new());
        archive.file("init", 0o755, b"hello").expect("a file");
        let bytes = archive.finish().expect("a trailer");

        assert_eq!(field(&bytes, 1), FILE | 0o755);
        assert_eq!(field(&bytes, 6), 5);
        assert_eq!(field(&bytes, 11), 5);
        assert_eq!(&bytes[110..115], b"init\0");
    }

    #[test]
    fn a_device_states_its_numbers() {
        let mut archive = Archive::new(Vec::new());
        archive.character_device("dev/console", 5, 1).expect("a device");
        let bytes = archive.finish().expect("a trailer");

        assert_eq!((field(&bytes, 9), field(&bytes, 10)), (5, 1));
    }

    fn starts_of(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
        let matches = |window: (usize, &[u8])| (window.1 == wanted).then_some(window.0);
        bytes.windows(wanted.len()).enumerate().filter_map(matches).collect()
    }

    /// The field at `index` of the first header, as a number.
    fn field(bytes: &[u8], index: usize) -> u32 {
        let start = 6 + 8 * index;
        let text = std::str::from_utf8(&bytes[start..start + 8]).expect("hexadecimal digits");
        u32::from_str_radix(text, 16).expect("hexadecimal digits")
    }
}
