//! Cuts what arrives in pieces into lines.

use bytes::{Bytes, BytesMut};

/// The line, not yet complete, is longer than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// What has come of a line that is not complete yet.
#[derive(Debug)]
pub(super) struct Lines {
    rest: BytesMut,
    searched: usize,
    limit: usize,
}

impl Lines {
    /// No line may be longer than `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { rest: BytesMut::new(), searched: 0, limit }
    }

    /// Takes in what has arrived.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.rest.extend_from_slice(chunk);
    }

    /// The next complete line, without its end; empty ones are left out. What is cut off by the
    /// end of the stream never becomes a line.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, TooLong> {
        loop {
            let found = self.rest[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(found) = found else {
                self.searched = self.rest.len();
                return if self.rest.len() > self.limit { Err(TooLong) } else { Ok(None) };
            };
            let line = self.rest.split_to(self.searched + found + 1).freeze();
            self.searched = 0;
            let line = line.slice(..line.len() - 1);
            if line.len() > self.limit {
                return Err(TooLong);
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }
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
                    found.push(String::from_utf8(line.to_vec()).expect("UTF-8"));
                }
            }
            assert_eq!(found, ["{\"ü\":1}\r", "{\"b\":2}"], "cut at {cut}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_limit() {
        let mut lines = Lines::new(8);
        lines.push(b"12345678");
        assert_eq!(lines.next(), Ok(None));
        lines.push(b"9");
        assert_eq!(lines.next(), Err(TooLong));
    }
}
