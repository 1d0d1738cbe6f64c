//! The message of a reject, fit to be stored: credentials masked, cut to 2 KiB.
//!
//! A message that could not be read may be no JSON at all, so this works on bytes: after a key whose name sounds like
//! a secret, the value is masked up to its closing quote, or to the end where there is none. Better too much than
//! one credential.

const KEYS: &[&str] =
    &["credential", "authorization", "api_key", "apikey", "api-key", "token", "password", "secret", "cookie"];
const STORED_BYTES_MAX: usize = 2048;

/// The bytes to store.
#[must_use]
pub fn scrub(payload: &[u8]) -> Vec<u8> {
    let lower: Vec<u8> = payload.iter().map(u8::to_ascii_lowercase).collect();
    let mut out = Vec::with_capacity(payload.len().min(STORED_BYTES_MAX));
    let mut at = 0;
    while at < payload.len() && out.len() < STORED_BYTES_MAX {
        match value_after_key(&lower, at) {
            Some((start, end)) => {
                out.extend_from_slice(&payload[at..start]);
                out.extend_from_slice(b"***");
                at = end;
            }
            None => {
                out.extend_from_slice(&payload[at..]);
                at = payload.len();
            }
        }
    }
    out.truncate(STORED_BYTES_MAX);
    out
}

/// The span of the next secret's value at or after `from`.
fn value_after_key(lower: &[u8], from: usize) -> Option<(usize, usize)> {
    let key = (from..lower.len())
        .find_map(|at| KEYS.iter().find(|key| lower[at..].starts_with(key.as_bytes())).map(|key| at + key.len()))?;
    // The rest of the name, a closing quote, blanks, ':' or '=', blanks, an opening quote: then the value.
    let is_skipped = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-\"' \t:=".contains(byte);
    let separator = lower[key..].iter().position(|byte| b":=".contains(byte)).filter(|distance| *distance < 40);
    let Some(distance) = separator.filter(|distance| lower[key..key + distance].iter().all(is_skipped)) else {
        // The word stands somewhere else, such as in a path: go on behind it.
        return value_after_key(lower, key);
    };
    let mut start = key + distance + 1;
    while start < lower.len() && b" \t".contains(&lower[start]) {
        start += 1;
    }
    let quoted = lower.get(start) == Some(&b'"');
    if quoted {
        start += 1;
    }
    let mut end = start;
    while end < lower.len() {
        let stop = if quoted { lower[end] == b'"' && lower[end - 1] != b'\\' } else { b",}\n&".contains(&lower[end]) };
        if stop {
            break;
        }
        end += 1;
    }
    Some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_in_any_state_of_the_message() {
        for (message, stored) in [
            (
                r#"{"event_id":"1","credential":"s3cr3t","path":"/a"}"#,
                r#"{"event_id":"1","credential":"***","path":"/a"}"#,
            ),
            (r#"{"Authorization" : "Bearer s3cr3t"#, r#"{"Authorization" : "***"#),
            (r#"{"api_key":"s3\"cr3t","x":1}"#, r#"{"api_key":"***","x":1}"#),
            ("token=s3cr3t&x=1", "token=***&x=1"),
            (r#"{"x_api_key_value": s3cr3t, "y":2}"#, r#"{"x_api_key_value": ***, "y":2}"#),
            ("plain garbage", "plain garbage"),
            (r#"{"path":"/token/list"}"#, r#"{"path":"/token/list"}"#),
            ("", ""),
        ] {
            let scrubbed = scrub(message.as_bytes());
            assert_eq!(String::from_utf8_lossy(&scrubbed), stored);
            assert!(!String::from_utf8_lossy(&scrubbed).contains("s3cr3t"));
        }
        assert_eq!(scrub(&vec![b'x'; 9000]).len(), STORED_BYTES_MAX);
    }
}
