//! A file as numbered lines: read once to know which bytes it holds, then line by line in bounded memory.
//!
//! A line ends at a line feed, or at the end of the file; a carriage return before it is no part of it. A line that
//! is too long to be a record is cut, so that a file without line feeds cannot fill the memory.

use std::io::{BufRead, ErrorKind, Read, Result};

use sha2::{Digest as _, Sha256};

/// Bytes of a line that are read; the rest of a longer one is left out, and the line is rejected.
pub(crate) const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Survey {
    pub sha256: String,
    pub bytes_total: u64,
    /// Lines, a last one without line feed included.
    pub lines_total: i64,
}

/// Reads everything once.
pub(crate) fn survey(reader: impl Read) -> Result<Survey> {
    let mut reader = Hashed::new(reader);
    let mut chunk = vec![0; 64 * 1024];
    let (mut bytes_total, mut lines_total, mut last) = (0_u64, 0_i64, b'\n');
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => &chunk[..read],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for byte in read {
            lines_total += i64::from(*byte == b'\n');
            last = *byte;
        }
        bytes_total += u64::try_from(read.len()).unwrap_or(u64::MAX);
    }
    lines_total += i64::from(last != b'\n');
    Ok(Survey { sha256: reader.sha256(), bytes_total, lines_total })
}

/// A reader that knows the hash of what went through it.
pub(crate) struct Hashed<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Hashed<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256::new() }
    }

    pub(crate) fn sha256(self) -> String {
        hex::encode(self.hasher.finalize())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Nothing but blanks: no record.
    Blank,
    /// As it stands.
    Whole(&'a [u8]),
    /// The first bytes of a line that is too long.
    Cut(&'a [u8]),
}

/// Gives the next line; `None` at the end. `line` is the memory that is used again.
pub(crate) fn next_line<'a>(
    reader: &mut impl BufRead,
    line: &'a mut Vec<u8>,
    line_bytes_max: usize,
) -> Result<Option<Line<'a>>> {
    line.clear();
    let (mut begun, mut cut) = (false, false);
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            if begun {
                break;
            }
            return Ok(None);
        }
        begun = true;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let length = end.unwrap_or(chunk.len());
        let room = line_bytes_max.saturating_sub(line.len());
        line.extend_from_slice(&chunk[..length.min(room)]);
        cut |= length > room;
        reader.consume(length + usize::from(end.is_some()));
        if end.is_some() {
            break;
        }
    }
    let bytes = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(Some(match bytes {
        bytes if cut => Line::Cut(bytes),
        bytes if bytes.trim_ascii().is_empty() => Line::Blank,
        bytes => Line::Whole(bytes),
    }))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use tollbook_schemas::digest::sha256_hex;

    use super::*;

    #[test]
    fn lines_are_counted_as_they_are_read() {
        for (text, expected) in [
            ("", &[][..]),
            ("\n", &[Line::Blank]),
            ("a", &[Line::Whole(b"a")]),
            ("a\n", &[Line::Whole(b"a")]),
            ("a\r\n \t\n\nb", &[Line::Whole(b"a"), Line::Blank, Line::Blank, Line::Whole(b"b")]),
            ("12345678\nx", &[Line::Whole(b"12345678"), Line::Whole(b"x")]),
            ("123456789\nx", &[Line::Cut(b"12345678"), Line::Whole(b"x")]),
            ("1234567890123456789", &[Line::Cut(b"12345678")]),
            ("          \n", &[Line::Cut(b"        ")]),
        ] {
            // Chunks of three bytes: a line spans several of them.
            let mut reader = BufReader::with_capacity(3, text.as_bytes());
            let mut memory = Vec::new();
            for line in expected {
                assert_eq!(next_line(&mut reader, &mut memory, 8).unwrap().as_ref(), Some(line), "{text:?}");
            }
            assert_eq!(next_line(&mut reader, &mut memory, 8).unwrap(), None, "{text:?}");
            let survey = survey(text.as_bytes()).unwrap();
            assert_eq!(usize::try_from(survey.lines_total).unwrap(), expected.len(), "{text:?}");
            assert_eq!(survey.sha256, sha256_hex(text.as_bytes()));
        }
    }
}
