//! Digests of content: the evidence on an invoice line, the ids that are derived rather than drawn.
//!
//! Takes parts of bytes, gives SHA-256. Parts are length-prefixed, so `("ab", "c")` and `("a", "bc")` differ:
//! without that two different contents could share an id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::read_text::read_text;

/// SHA-256 of one byte string, as lower-case hexadecimal (64 characters).
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    ContentHash::of(bytes).to_string()
}

/// A prefix and bytes as lower-case hexadecimal. A month's evidence has millions of them: the `hex` crate's own text is
/// put together character by character.
pub(crate) fn hex_of(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::with_capacity(prefix.len() + bytes.len() * 2);
    text.push_str(prefix);
    for byte in bytes {
        text.extend(hex_pair(*byte).map(char::from));
    }
    text
}

/// SHA-256 of content: 64 lower-case hexadecimal digits as text. A month's evidence has millions of them, so it owns no
/// text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

/// The text of a [`ContentHash`].
#[derive(Debug, Clone, Copy)]
pub struct HexText([u8; 64]);

/// Not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a SHA-256, which has 64 digits of 0-9 and a-f")]
pub struct HashError(String);

impl ContentHash {
    /// Of one byte string.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Its text.
    #[must_use]
    pub fn hex(&self) -> HexText {
        let mut text = [0; 64];
        for (byte, pair) in self.0.iter().zip(text.chunks_exact_mut(2)) {
            pair.copy_from_slice(&hex_pair(*byte));
        }
        HexText(text)
    }
}

impl AsRef<str> for HexText {
    fn as_ref(&self) -> &str {
        // Digits are ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.hex().as_ref())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let wrong = || HashError(text.chars().take(70).collect());
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return Err(wrong());
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.hex().as_ref())
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer, "a SHA-256 of 64 hexadecimal digits", str::parse)
    }
}

fn hex_pair(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// SHA-256 over length-prefixed parts.
#[must_use]
pub fn sha256_parts<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> [u8; 32] {
    let mut digest = PartsDigest::default();
    for part in parts {
        digest.add(part);
    }
    digest.finish()
}

/// The same, over parts that are given one after the other and kept nowhere.
pub struct PartsDigest {
    digest: Sha256,
    /// Parts that are not in the digest yet: many are a few bytes long, and each call of the digest costs more than
    /// those.
    gathered: [u8; GATHERED_BYTES],
    gathered_bytes: usize,
}

const GATHERED_BYTES: usize = 256;

impl Default for PartsDigest {
    fn default() -> Self {
        Self { digest: Sha256::default(), gathered: [0; GATHERED_BYTES], gathered_bytes: 0 }
    }
}

impl PartsDigest {
    /// Adds a part.
    pub fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.take(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.take(part);
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.gathered_bytes + bytes.len() > GATHERED_BYTES {
            self.digest.update(&self.gathered[..self.gathered_bytes]);
            self.gathered_bytes = 0;
        }
        match self.gathered.get_mut(self.gathered_bytes..self.gathered_bytes + bytes.len()) {
            Some(free) => {
                free.copy_from_slice(bytes);
                self.gathered_bytes += bytes.len();
            }
            None => self.digest.update(bytes),
        }
    }

    /// What [`sha256_parts`] gives.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        self.digest.update(&self.gathered[..self.gathered_bytes]);
        self.digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_that_of_the_hex_crate() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(hex_of("inv_", &bytes), format!("inv_{}", hex::encode(&bytes)));
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn a_hash_is_its_text() {
        let hash = ContentHash::of(b"x");
        assert_eq!(hash.to_string(), sha256_hex(b"x"));
        assert_eq!(serde_json::to_string(&hash).unwrap(), format!("\"{}\"", sha256_hex(b"x")));
        assert_eq!(serde_json::from_str::<ContentHash>(&serde_json::to_string(&hash).unwrap()).unwrap(), hash);
        let text = sha256_hex(b"x");
        for wrong in ["", &text[1..], &text.to_uppercase(), &format!("{text}0"), &text.replace('a', "g")] {
            assert!(wrong.parse::<ContentHash>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_are_not_their_concatenation() {
        assert_ne!(sha256_parts(["ab", "c"]), sha256_parts(["a", "bc"]));
        assert_eq!(sha256_parts(["ab", "c"]), sha256_parts(["ab".to_owned(), "c".to_owned()]));
    }

    /// Whatever the lengths are, at the edge of what is gathered too.
    #[test]
    fn parts_are_digested_with_their_lengths() {
        for length in (0..40).chain(230..270).chain([1000]) {
            for count in 1..6 {
                let part = vec![b'x'; length];
                let whole: Vec<u8> = (0..count).flat_map(|_| [&length.to_be_bytes()[..], &part].concat()).collect();
                let expected: [u8; 32] = Sha256::digest(&whole).into();
                assert_eq!(sha256_parts(vec![part; count]), expected, "{count} of {length}");
            }
        }
    }
}
