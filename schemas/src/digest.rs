//! Digests of content: the evidence on an invoice line, the ids that are derived rather than drawn.
//!
//! Takes parts of bytes, gives SHA-256. Parts are length-prefixed, so `("ab", "c")` and `("a", "bc")` differ:
//! without that two different contents could share an id.

use sha2::{Digest as _, Sha256};

/// SHA-256 of one byte string, as lower-case hexadecimal (64 characters).
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
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
#[derive(Default)]
pub struct PartsDigest(Sha256);

impl PartsDigest {
    /// Adds a part.
    pub fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(part);
    }

    /// What [`sha256_parts`] gives.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_not_their_concatenation() {
        assert_ne!(sha256_parts(["ab", "c"]), sha256_parts(["a", "bc"]));
        assert_eq!(sha256_parts(["ab", "c"]), sha256_parts(["ab".to_owned(), "c".to_owned()]));
    }
}
