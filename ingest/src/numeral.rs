//! Numbers that a gateway writes as text. Takes the text, gives an exact integer in the unit asked for, or nothing:
//! digits only, no sign, no exponent, no blank, never through a float.

/// Digits that always fit an `i64`.
const DIGITS_MAX: usize = 18;

/// A whole number.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let fits = (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// A decimal times ten to the power of `digits`, exactly: `scaled("1.5", 3)` is 1500. More decimals than `digits` are
/// refused, since they could not be kept.
pub(crate) fn scaled(text: &str, digits: usize) -> Option<i64> {
    let (whole, fraction) = match text.split_once('.') {
        None => (text, ""),
        Some((_, "")) => return None,
        Some(parts) => parts,
    };
    if whole.is_empty() || fraction.len() > digits {
        return None;
    }
    integer(&format!("{whole}{fraction}{}", "0".repeat(digits - fraction.len())))
}

/// Like [`scaled`], for figures that no price depends on: decimals finer than can be kept are rounded half up.
pub(crate) fn rounded(text: &str, digits: usize) -> Option<i64> {
    let kept = text.find('.').map_or(text.len(), |point| point + 1 + digits);
    let (Some(head), Some(tail)) = (text.get(..kept), text.get(kept..)) else { return scaled(text, digits) };
    if !tail.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let up = i64::from(tail.bytes().next().is_some_and(|digit| digit >= b'5'));
    scaled(head, digits).map(|number| number + up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_digits_are_numbers() {
        for (text, whole, thousandfold) in [
            ("0", Some(0), Some(0)),
            ("42", Some(42), Some(42_000)),
            ("007", Some(7), Some(7_000)),
            ("1.5", None, Some(1_500)),
            ("0.003", None, Some(3)),
            ("1780272000.123", None, Some(1_780_272_000_123)),
            ("0.0003", None, None),
            ("1.", None, None),
            (".5", None, None),
            ("1.2.3", None, None),
            ("-1", None, None),
            ("+1", None, None),
            ("1e3", None, None),
            (" 1", None, None),
            ("1_000", None, None),
            ("٣", None, None),
            ("NaN", None, None),
            ("", None, None),
            ("999999999999999999", Some(999_999_999_999_999_999), None),
            ("9999999999999999999", None, None),
        ] {
            assert_eq!((integer(text), scaled(text, 3)), (whole, thousandfold), "{text}");
        }
    }

    #[test]
    fn latencies_are_rounded_on_their_digits() {
        for (text, number) in [
            ("57", Some(57_000)),
            ("57.5", Some(57_500)),
            ("1000.9999999999999", Some(1_001_000)),
            ("0.0004999", Some(0)),
            ("0.0005", Some(1)),
            ("1.234x", None),
            ("1.2345x", None),
            ("1.", None),
            ("é.1234", None),
            ("-1", None),
        ] {
            assert_eq!(rounded(text, 3), number, "{text}");
        }
    }
}
