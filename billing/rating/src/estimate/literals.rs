//! Numbers of JSON with a point or an exponent, taken by their digits: `0.1` is the decimal 0.1, and `2e-05`, as some
//! programs write 0.00002, is that. They become text before JSON is read, so that no float is ever made of them. What
//! is no number of JSON, and what is inside of text, stays as it is. NaN and Infinity, which Python writes and JSON has
//! not, are told as what they are.

use std::borrow::Cow;

/// The most places that an exponent moves the point; more is no amount of anybody's, and is told as it was written.
const PLACES_MAX: i64 = 60;

/// The same line, numbers that are no small whole ones in quotes.
pub(super) fn in_quotes(line: &str) -> Cow<'_, str> {
    let bytes = line.as_bytes();
    let mut copy = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_text(bytes, at + 1),
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let length = bytes.iter().skip(at).take_while(|byte| is_part(byte)).count();
                let literal = line.get(at..at + length).unwrap_or_default();
                if let Some(digits) = digits(literal) {
                    copy.push_str(line.get(copied..at).unwrap_or_default());
                    copy.push('"');
                    copy.push_str(&digits);
                    copy.push('"');
                    copied = at + length;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(line);
    }
    copy.push_str(line.get(copied..).unwrap_or_default());
    Cow::Owned(copy)
}

/// The line with null for each NaN and Infinity outside of text, where it is JSON then; none where there are none.
pub(super) fn without_no_numbers(line: &str) -> Option<String> {
    let bytes = line.as_bytes();
    let mut copy = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        match [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|word| rest.starts_with(word)) {
            Some(word) => {
                copy.push_str(line.get(copied..at).unwrap_or_default());
                copy.push_str("null");
                at += word.len();
                copied = at;
            }
            None if *byte == b'"' => at = end_of_text(bytes, at + 1),
            None => at += 1,
        }
    }
    copy.push_str(line.get(copied..).unwrap_or_default());
    (copied > 0 && serde_json::from_str::<serde_json::Value>(&copy).is_ok()).then_some(copy)
}

/// Behind the quote that ends a text.
fn end_of_text(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// The digits of a number of JSON that is no whole one of 63 bits; none for those, and for what is no number.
fn digits(literal: &str) -> Option<String> {
    let (mantissa, exponent) = match literal.split_once(['e', 'E']) {
        None => (literal, None),
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
    };
    let (sign, unsigned) = mantissa.strip_prefix('-').map_or(("", mantissa), |unsigned| ("-", unsigned));
    let (whole, fraction) = match unsigned.split_once('.') {
        None => (unsigned, ""),
        Some((_, "")) => return None,
        Some(parts) => parts,
    };
    let is_plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = !whole.is_empty() && is_plain(whole) && (whole == "0" || !whole.starts_with('0'));
    if !is_whole || !is_plain(fraction) {
        return None;
    }
    let Some(exponent) = exponent else {
        if literal == "-0" {
            return Some("0".to_owned());
        }
        let is_small = fraction.is_empty() && !unsigned.contains('.') && literal.parse::<i64>().is_ok();
        return (!is_small).then(|| literal.to_owned());
    };
    let places = exponent.strip_prefix('+').unwrap_or(exponent);
    if places.is_empty() || !is_plain(places.strip_prefix('-').unwrap_or(places)) || exponent.starts_with("+-") {
        return None;
    }
    let moved = places.parse::<i64>().ok().filter(|places| places.abs() <= PLACES_MAX);
    Some(moved.map_or_else(|| literal.to_owned(), |places| moved_point(sign, whole, fraction, places)))
}

/// The number with its point so many places to the right.
fn moved_point(sign: &str, whole: &str, fraction: &str, places: i64) -> String {
    let digits = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(places);
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let (whole, fraction) = if point <= 0 {
        ("0".to_owned(), format!("{}{digits}", zeros(-point)))
    } else if point >= length {
        (format!("{digits}{}", zeros(point - length)), String::new())
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        (whole.to_owned(), fraction.to_owned())
    };
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_its_digits() {
        for (line, quoted) in [
            ("0.1", "\"0.1\""),
            ("-0.10", "\"-0.10\""),
            ("0.30000000000000004", "\"0.30000000000000004\""),
            ("2e-05", "\"0.00002\""),
            ("1.25E+2", "\"125\""),
            ("12.5e-1", "\"1.25\""),
            ("-1.5e0", "\"-1.5\""),
            ("0e5", "\"0\""),
            ("1e3", "\"1000\""),
            ("1e61", "\"1e61\""),
            ("1e-9999999999999999999", "\"1e-9999999999999999999\""),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "\"9223372036854775808\""),
            ("12", "12"),
            ("-0", "\"0\""),
            // Not JSON: whoever reads it says so.
            ("1.", "1."),
            (".5", ".5"),
            ("01.5", "01.5"),
            ("1-2", "1-2"),
            ("--1.5", "--1.5"),
            ("1e", "1e"),
            ("1e+-2", "1e+-2"),
            ("1.2.3", "1.2.3"),
            // Text is text.
            (
                r#"{"a 0.5 \" 1e3":"0.5","b":[0.5,1,{"c":-1e2}],"d":"\\"}"#,
                r#"{"a 0.5 \" 1e3":"0.5","b":["0.5",1,{"c":"-100"}],"d":"\\"}"#,
            ),
            (r#""0.5"#, r#""0.5"#),
            ("\"\u{e9}\",0.5", "\"\u{e9}\",\"0.5\""),
        ] {
            assert_eq!(in_quotes(line), quoted, "{line}");
        }
    }
}
