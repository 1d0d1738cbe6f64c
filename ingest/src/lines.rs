//! A file as numbered lines: read once to know which bytes it holds, then line by line in bounded memory.
//!
//! A line ends at a line feed, or at the end of the file; a carriage return before it is no part of it. A line that is
//! too long to be a record is cut, so that a file without line feeds cannot fill the memory. A byte order mark at the
//! start of the file, as Windows writes it, is no part of the first line.

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Nothing but blanks: no record.
    Blank,
    /// As it stands.
    Whole(&'a [u8]),
    /// The first bytes of a line that is too long.
    Cut(&'a [u8]),
}

/// What UTF-8 may begin with, to say that it is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The lines of a file, with their numbers from 0.
pub(crate) struct Lines<R> {
    reader: R,
    line_bytes_max: usize,
    /// Number of the next line.
    next: i64,
    /// Memory that is used again.
    memory: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R, line_bytes_max: usize) -> Self {
        Self { reader, line_bytes_max, next: 0, memory: Vec::new() }
    }

    /// The reader, to ask it what went through it.
    pub(crate) fn into_inner(self) -> R {
        self.reader
    }

    /// Gives the next line; `None` at the end.
    pub(crate) fn next_line(&mut self) -> Result<Option<(i64, Line<'_>)>> {
        self.memory.clear();
        let (mut begun, mut cut) = (false, false);
        loop {
            let chunk = match self.reader.fill_buf() {
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
            let room = self.line_bytes_max.saturating_sub(self.memory.len());
            self.memory.extend_from_slice(&chunk[..length.min(room)]);
            cut |= length > room;
            self.reader.consume(length + usize::from(end.is_some()));
            if end.is_some() {
                break;
            }
        }
        let number = self.next;
        self.next += 1;
        let bytes = match self.memory.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if number == 0 => rest,
            _ => &self.memory,
        };
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let line = match bytes {
            bytes if cut => Line::Cut(bytes),
            bytes if bytes.trim_ascii().is_empty() => Line::Blank,
            bytes => Line::Whole(bytes),
        };
        Ok(Some((number, line)))
    }
}

/// How a file is packed whose first bytes these are, and what unpacks it; `None` where it is not. No line of JSON
/// begins so.
pub(crate) fn packing(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let packings: [(&[u8], _, _); 6] = [
        (b"\x1f\x8b", "gzip", "gzip -dk"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dk"),
        (b"\xfd7zXZ\0", "xz", "xz -dk"),
        (b"BZh", "bzip2", "bzip2 -dk"),
        (b"\x04\x22\x4d\x18", "lz4", "lz4 -dk"),
        (b"PK\x03\x04", "zip", "unzip"),
    ];
    packings.into_iter().find(|(magic, ..)| head.starts_with(magic)).map(|(_, packing, unpack)| (packing, unpack))
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
            ("\u{feff}a\n\u{feff}b", &[Line::Whole(b"a"), Line::Whole("\u{feff}b".as_bytes())]),
            ("\u{feff}\r\na", &[Line::Blank, Line::Whole(b"a")]),
            ("\u{feff}", &[Line::Blank]),
            ("\u{feff}123456\n", &[Line::Cut(b"12345")]),
        ] {
            // Chunks of three bytes: a line spans several of them.
            let mut lines = Lines::new(BufReader::with_capacity(3, text.as_bytes()), 8);
            for (number, line) in (0..).zip(expected) {
                assert_eq!(lines.next_line().unwrap(), Some((number, *line)), "{text:?}");
            }
            assert_eq!(lines.next_line().unwrap(), None, "{text:?}");
            let survey = survey(text.as_bytes()).unwrap();
            assert_eq!(usize::try_from(survey.lines_total).unwrap(), expected.len(), "{text:?}");
            assert_eq!(survey.sha256, sha256_hex(text.as_bytes()));
        }
    }
}
