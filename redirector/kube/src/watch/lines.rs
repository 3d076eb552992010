//! Cuts what arrives in pieces into lines. Of one that is too long the beginning is kept, which says
//! what it is about; the rest is passed over, so that the lines behind it are heard.

use bytes::{Bytes, BytesMut};

/// Bytes that are kept of a line that is too long: `metadata` is within them, or nothing helps.
const BEGINNING: usize = 64 << 10;
/// A line so many times as long as allowed is none: no server sends it.
const ENDLESS: usize = 8;

/// The line has no end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endless;

/// A line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Whole(Bytes),
    TooLong { beginning: Bytes, length: usize },
}

/// What has come of a line that is not complete yet.
#[derive(Debug)]
pub(super) struct Lines {
    rest: BytesMut,
    searched: usize,
    limit: usize,
    /// The beginning and the length of a line that is being passed over.
    passed: Option<(Bytes, usize)>,
}

impl Lines {
    /// Lines of more than `limit` bytes are too long.
    pub(super) fn new(limit: usize) -> Self {
        Self { rest: BytesMut::new(), searched: 0, limit, passed: None }
    }

    /// Takes in what has arrived.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.rest.extend_from_slice(chunk);
    }

    /// The next complete line; empty ones are left out. What is cut off by the end of the stream
    /// never becomes a line.
    pub(super) fn next(&mut self) -> Result<Option<Found>, Endless> {
        loop {
            let found = self.rest[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(found) = found else {
                return self.wait().map(|()| None);
            };
            let line = self.rest.split_to(self.searched + found + 1).freeze();
            self.searched = 0;
            let line = line.slice(..line.len() - 1);
            if let Some((beginning, length)) = self.passed.take() {
                return Ok(Some(Found::TooLong { beginning, length: length + line.len() }));
            }
            if line.len() > self.limit {
                let (beginning, length) = (beginning(&line), line.len());
                return Ok(Some(Found::TooLong { beginning, length }));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(Found::Whole(line)));
            }
        }
    }

    /// Waits for more of a line, unless it has no end.
    fn wait(&mut self) -> Result<(), Endless> {
        if self.passed.is_none() && self.rest.len() <= self.limit {
            self.searched = self.rest.len();
            return Ok(());
        }
        let rest = std::mem::take(&mut self.rest);
        self.searched = 0;
        let (_, length) = self.passed.get_or_insert_with(|| (beginning(&rest), 0));
        *length += rest.len();
        if *length > self.limit.saturating_mul(ENDLESS) { Err(Endless) } else { Ok(()) }
    }
}

/// The beginning of a line, copied, so that the whole is not kept with it.
fn beginning(line: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&line[..line.len().min(BEGINNING)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_wherever_they_are_cut() {
        let text = "{\"ü\":1}\r\n\n{\"b\":2}\nrest";
        for cut in 0..text.len() {
            let mut lines = Lines::new(64);
            let mut found = Vec::new();
            for part in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
                lines.push(part);
                while let Some(line) = lines.next().expect("short lines") {
                    let Found::Whole(line) = line else { panic!("{line:?} is too long") };
                    found.push(String::from_utf8(line.to_vec()).expect("UTF-8"));
                }
            }
            assert_eq!(found, ["{\"ü\":1}\r", "{\"b\":2}"], "cut at {cut}");
        }
    }

    #[test]
    fn what_is_too_long_is_passed_over_in_whatever_pieces_it_comes() {
        let long = "x".repeat(30);
        let text = format!("{{}}\n{long}\n{{}}\n{long}{{}}\n\n{{}}\n");
        for size in 1..=text.len() {
            let mut lines = Lines::new(8);
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                lines.push(piece);
                while let Some(line) = lines.next().expect("it ends") {
                    found.push(match line {
                        Found::Whole(line) => line.len(),
                        Found::TooLong { beginning, length } => {
                            assert!(beginning.starts_with(b"xxxxxxxxx"), "{beginning:?}");
                            length
                        }
                    });
                }
                assert!(lines.rest.len() <= size.max(8), "{} bytes are held", lines.rest.len());
            }
            assert_eq!(found, [2, 30, 2, 32, 2], "in pieces of {size}");
        }
    }

    #[test]
    fn of_what_is_passed_over_the_beginning_is_kept() {
        let mut lines = Lines::new(2 * BEGINNING);
        lines.push(&vec![b'x'; 3 * BEGINNING]);
        assert_eq!(lines.next(), Ok(None));
        lines.push(b"x\n");
        let beginning = Bytes::from(vec![b'x'; BEGINNING]);
        let length = 3 * BEGINNING + 1;
        assert_eq!(lines.next(), Ok(Some(Found::TooLong { beginning, length })));
        assert_eq!(lines.next(), Ok(None));
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::new(8);
        for _ in 0..8 {
            lines.push(b"12345678");
            assert_eq!(lines.next(), Ok(None));
        }
        lines.push(b"9");
        assert_eq!(lines.next(), Err(Endless));
    }
}
