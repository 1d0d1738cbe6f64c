//! What must not reach the lake in clear: credentials become keyed hashes, addresses lose their last part.
//!
//! A hash without a key could be reversed by trying every key that a gateway ever issued. The key's id stands beside
//! each hash; during a rotation two keys are valid, and lifecycle events carry a hash for each.

use std::fmt;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// One key and its id. `Debug` never shows the secret.
#[derive(Clone)]
pub struct CredentialKey {
    /// Id, stored beside each hash.
    pub key_id: String,
    secret: Vec<u8>,
}

impl CredentialKey {
    /// A key from its secret bytes.
    #[must_use]
    pub fn new(key_id: impl Into<String>, secret: impl Into<Vec<u8>>) -> Self {
        Self { key_id: key_id.into(), secret: secret.into() }
    }

    /// The first 128 bits of HMAC-SHA256, as hexadecimal.
    #[must_use]
    pub fn hash(&self, credential: &str) -> String {
        // HMAC takes a key of any length; an error is impossible, and an empty hash would match nothing.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else { return String::new() };
        mac.update(credential.as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..16])
    }
}

impl fmt::Debug for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialKey({})", self.key_id)
    }
}

/// The valid keys: access logs are hashed with the current one, lifecycle events with all.
#[derive(Debug, Clone)]
pub struct KeyRing {
    /// The key for new hashes.
    pub current: CredentialKey,
    /// The key before it, while it is still valid.
    pub previous: Option<CredentialKey>,
}

impl KeyRing {
    /// `key_id:hash` for every valid key.
    #[must_use]
    pub fn all_hashes(&self, credential: &str) -> Vec<String> {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .map(|key| format!("{}:{}", key.key_id, key.hash(credential)))
            .collect()
    }
}

/// An address cut to /24 or /48; `None` where it is none.
#[must_use]
pub fn cut_address(address: &str) -> Option<String> {
    match address.parse().ok()? {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            Some(format!("{a}.{b}.{c}.0/24"))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            Some(format!("{a:x}:{b:x}:{c:x}::/48"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_the_key_and_hide_the_secret() {
        let ring = KeyRing {
            current: CredentialKey::new("k2", "new secret"),
            previous: Some(CredentialKey::new("k1", "old secret")),
        };
        let hashes = ring.all_hashes("partner key");
        assert_eq!(hashes.len(), 2);
        assert!(hashes[0].starts_with("k2:") && hashes[1].starts_with("k1:") && hashes[0][3..] != hashes[1][3..]);
        assert_eq!(hashes[0].len(), 3 + 32);
        assert!(!format!("{ring:?}").contains("secret"));
    }

    #[test]
    fn addresses_lose_their_last_part() {
        for (address, cut) in [
            ("203.0.113.77", Some("203.0.113.0/24")),
            ("2001:db8:aaaa:bbbb::1", Some("2001:db8:aaaa::/48")),
            ("host.example", None),
            ("", None),
        ] {
            assert_eq!(cut_address(address).as_deref(), cut);
        }
    }
}
