//! Who may ask: `Authorization: Bearer sk_test_…`, or Basic with the key as user name.

use axum::http::{HeaderMap, header};

use super::answers::Refusal;

/// Checks the key of a request. The refusal never repeats what was sent.
pub(super) fn check(secret_key: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(sent) = headers.get(header::AUTHORIZATION) else {
        return Err(Refusal::unauthorised(
            "You did not provide an API key. Provide it in the Authorization header, using Bearer auth.",
        ));
    };
    let sent = sent.to_str().unwrap_or_default();
    let basic = || format!("Basic {}", base64(format!("{secret_key}:").as_bytes()));
    if sent.strip_prefix("Bearer ") == Some(secret_key) || sent == basic() {
        return Ok(());
    }
    Err(Refusal::unauthorised("Invalid API Key provided: sk_test_****"))
}

/// RFC 4648, with padding: the only use is to compare one header, so no crate is worth it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = DIGITS.get(bits >> (18 - 6 * at) & 63).copied().unwrap_or(b'=');
            text.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_as_the_rfc_does() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
