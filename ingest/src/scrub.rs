//! The message of a reject, fit to be stored: credentials and addresses masked, `headers` too, cut to 2 KiB.
//!
//! A message that could not be read may be no JSON at all, so this works on bytes: after a key whose name sounds like
//! a secret, the value is masked up to its closing quote, or to the end where there is none. Whatever the message is,
//! query strings and addresses are masked too: a plain log line has both without a name. Better too much than one
//! credential.

const KEYS: &[&str] = &[
    "credential",
    "authorization",
    "api_key",
    "apikey",
    "api-key",
    "token",
    "password",
    "secret",
    "cookie",
    "idempotency",
    "client_address",
    "email",
    "phone",
    "_ip",
    "forwarded",
    "remote_addr",
    "session",
    "signature",
    "key",
];
const STORED_BYTES_MAX: usize = 2048;
/// More than the longest address has.
const ADDRESS_BYTES_MAX: usize = 64;

/// How far behind a name the sign between it and its value may stand.
const SEPARATOR_DISTANCE_MAX: usize = 40;
/// An object that a gateway fills with what its callers sent.
const HEADERS: &[u8] = b"\"headers\"";

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
    // A little more than is kept: what is cut through must be masked as a whole.
    out.truncate(STORED_BYTES_MAX + ADDRESS_BYTES_MAX);
    let mut out = without_queries_and_addresses(&out);
    out.truncate(STORED_BYTES_MAX);
    out
}

/// Masks what follows a question mark, up to a blank or a quote, and runs of bytes that are addresses of version 4
/// or 6. Times of day have colons too, but fewer.
fn without_queries_and_addresses(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if *byte == b'?' {
            out.extend_from_slice(b"?***");
            at += bytes[at..].iter().take_while(|byte| !b" \t\n\"'\\".contains(byte)).count();
            continue;
        }
        let run = bytes[at..].iter().take_while(|byte| byte.is_ascii_hexdigit() || b".:".contains(byte)).count();
        if run == 0 {
            out.push(*byte);
            at += 1;
            continue;
        }
        let part = &bytes[at..at + run];
        out.extend_from_slice(if is_address(part) { b"***" } else { part });
        at += run;
    }
    out
}

fn is_address(run: &[u8]) -> bool {
    let count = |wanted: u8| run.iter().filter(|byte| **byte == wanted).count();
    let groups_of_digits = run
        .split(|byte| b".:".contains(byte))
        .filter(|group| (1..=3).contains(&group.len()) && group.iter().all(u8::is_ascii_digit));
    let version_4 = count(b'.') >= 3 && groups_of_digits.count() >= 4;
    version_4 || count(b':') >= 4 || (count(b':') >= 2 && run.windows(2).any(|pair| pair == b"::"))
}

/// The span of the next secret's value at or after `from`.
fn value_after_key(lower: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    // Hostile messages hold thousands of such words: each is looked at once, and none costs more than a few bytes.
    while at < lower.len() {
        let rest = &lower[at..];
        if rest.starts_with(HEADERS) {
            let start = at + HEADERS.len();
            return Some((start, end_of_object(lower, start)));
        }
        let Some(key) = KEYS.iter().find(|key| rest.starts_with(key.as_bytes())) else {
            at += 1;
            continue;
        };
        at += key.len();
        if let Some(span) = value_at(lower, at) {
            return Some(span);
        }
        // The word stands somewhere else, such as in a path: go on behind it.
    }
    None
}

/// The span of the value that belongs to a name which ends at `key`, if one does.
fn value_at(lower: &[u8], key: usize) -> Option<(usize, usize)> {
    // The rest of the name, a closing quote, blanks, ':' or '=', blanks, an opening quote: then the value.
    let is_skipped = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-\"' \t:=\\".contains(byte);
    let distance = lower[key..].iter().take(SEPARATOR_DISTANCE_MAX).position(|byte| b":=".contains(byte))?;
    if !lower[key..key + distance].iter().all(is_skipped) {
        return None;
    }
    let mut start = key + distance + 1;
    while start < lower.len() && b" \t".contains(&lower[start]) {
        start += 1;
    }
    // A list, an object or JSON inside a text has no end that bytes alone can tell: all that follows is masked.
    if matches!(lower.get(start), Some(b'[' | b'{' | b'\\')) {
        return Some((start, lower.len()));
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

/// The end of the object that begins at or after `start`; the end of the message where it is not closed.
fn end_of_object(lower: &[u8], start: usize) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
    for (at, byte) in lower.iter().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' => depth += 1,
            b'}' if depth <= 1 => return if depth == 1 { at + 1 } else { at },
            b'}' => depth -= 1,
            _ => {}
        }
    }
    lower.len()
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
            (
                r#"{"remote_addr":"203.0.113.7","idempotency_key":"s3cr3t","client_ip":"::1"}"#,
                r#"{"remote_addr":"***","idempotency_key":"***","client_ip":"***"}"#,
            ),
            ("plain garbage", "plain garbage"),
            (
                r#"203.0.113.78 - - [01/Jun/2026:10:00:00 +0000] "GET /x?key=s3cr3t&sig=s3cr3t HTTP/1.1" 200 1.5"#,
                r#"*** - - [01/Jun/2026:10:00:00 +0000] "GET /x?*** HTTP/1.1" 200 1.5"#,
            ),
            (r#"{"x_forwarded_for":"203.0.113.7, 10.0.0.1","a":"1.2.3"}"#, r#"{"x_forwarded_for":"***","a":"1.2.3"}"#),
            ("from 2001:db8::7:1 at 2026-06-01T10:00:00Z, 10.0.0.9:443", "from *** at 2026-06-01T10:00:00Z, ***"),
            (r#"{"key":"s3cr3t","session_id":"s3cr3t"}"#, r#"{"key":"***","session_id":"***"}"#),
            ("deadbeef 1.000.000 12:30:45.123", "deadbeef 1.000.000 12:30:45.123"),
            (r#"{"body":"{\"token\":\"s3cr3t\"}"}"#, r#"{"body":"{\"token\":***"#),
            (r#"{"tokens":["aaa","s3cr3t"]}"#, r#"{"tokens":***"#),
            (r#"{"path":"/token/list"}"#, r#"{"path":"/token/list"}"#),
            (
                r#"{"request":{"headers":{"x-mine":"s3cr3t","a":{"b":"}"}},"size":1}}"#,
                r#"{"request":{"headers"***,"size":1}}"#,
            ),
            (r#"{"headers":{"x-mine":"s3cr3t"#, r#"{"headers"***"#),
            ("", ""),
        ] {
            let scrubbed = scrub(message.as_bytes());
            assert_eq!(String::from_utf8_lossy(&scrubbed), stored);
            assert!(!String::from_utf8_lossy(&scrubbed).contains("s3cr3t"));
        }
        assert_eq!(scrub(&vec![b'x'; 9000]).len(), STORED_BYTES_MAX);
        // A message made to be slow, or to be deep: it takes no longer than any other.
        assert_eq!(scrub("token".repeat(400_000).as_bytes()).len(), STORED_BYTES_MAX);
    }
}
