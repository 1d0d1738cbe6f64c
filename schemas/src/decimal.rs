//! Exact decimals for quantities and prices.
//!
//! [`Decimal`] holds 26 digits before and 12 after the point in an `i128` (the tables' `decimal(38,12)`; Stripe
//! allows 12 decimals too). No operation rounds: what does not fit is an error. A line is computed in [`Exact`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::exact::Exact;
use crate::exact::digits::Digits;
use crate::read_text::read_text;

/// Digits after the point in a [`Decimal`].
pub const SCALE: u32 = 12;
const ONE: i128 = 1_000_000_000_000;
/// The largest magnitude, so that every value fits a Parquet `decimal(38,12)`.
const LIMIT: i128 = 10_i128.pow(38) - 1;

/// Why a text or a result is not a decimal of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not a plain decimal number.
    #[error("{0:?} is not a plain decimal number such as 12, -0.5 or 0.000125")]
    Syntax(String),
    /// More than 12 digits after the point.
    #[error("{0:?} has more than 12 digits after the point")]
    TooPrecise(String),
    /// The result has more digits than we hold: 26 before the point in a decimal, 76 in all in an exact number.
    #[error("the result of {0} does not fit: it has too many digits")]
    Overflow(&'static str),
    /// A division by zero, or a step of zero.
    #[error("a division by zero has no result")]
    ByZero,
}

/// An exact decimal number with 12 digits after the point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(i128);

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// A whole number.
    #[must_use]
    pub fn whole(n: i64) -> Self {
        // |i64| * 10^12 < 10^32, well inside.
        Self(i128::from(n) * ONE)
    }

    /// From the unscaled integer of a `decimal(38,12)` column.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`] beyond 38 digits.
    pub fn from_unscaled(unscaled: i128) -> Result<Self, DecimalError> {
        if unscaled.unsigned_abs() > LIMIT.unsigned_abs() {
            return Err(DecimalError::Overflow("reading a column"));
        }
        Ok(Self(unscaled))
    }

    /// The unscaled integer of a `decimal(38,12)` column.
    #[must_use]
    pub fn unscaled(self) -> i128 {
        self.0
    }

    /// Sum.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn checked_add(self, other: Self) -> Result<Self, DecimalError> {
        let sum = self.0.checked_add(other.0).ok_or(DecimalError::Overflow("an addition"))?;
        Self::from_unscaled(sum).map_err(|_| DecimalError::Overflow("an addition"))
    }

    /// Difference.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn checked_sub(self, other: Self) -> Result<Self, DecimalError> {
        let difference = self.0.checked_sub(other.0).ok_or(DecimalError::Overflow("a subtraction"))?;
        Self::from_unscaled(difference).map_err(|_| DecimalError::Overflow("a subtraction"))
    }

    /// The exact product. Cannot overflow: 38 digits times 38 digits fit 76, which 256 bits hold.
    #[must_use]
    pub fn times(self, other: Self) -> Exact {
        Exact::product(self, other)
    }

    /// Whether the value is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The shortest exact text: `12`, `-0.5`. None is longer than there is place for.
    fn digits(self) -> Option<Digits> {
        Digits::of(self.0 < 0, self.0.unsigned_abs(), SCALE)
    }

    /// Whether a text is just what this number prints.
    pub(crate) fn prints_as(self, text: &str) -> bool {
        self.digits().is_some_and(|digits| digits.as_str() == text)
    }
}

/// A number of up to 18 digits, as nearly all are, in one pass; none for what is longer, and for what is no number.
fn short(text: &str) -> Option<Decimal> {
    let (is_negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > 19 {
        return None;
    }
    let (mut number, mut point) = (0_u64, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte.wrapping_sub(b'0') {
            digit @ 0..=9 => number = number * 10 + u64::from(digit),
            _ if *byte == b'.' && point.is_none() && at > 0 => point = Some(at),
            _ => return None,
        }
    }
    let places = point.map_or(0, |at| digits.len() - at - 1);
    // Nothing before or after the point, or 19 digits, which may not fit.
    if digits.is_empty() || (point.is_some() && places == 0) || (point.is_none() && digits.len() > 18) {
        return None;
    }
    let lift = LIFTS.get(places)?;
    let unscaled = i128::from(number) * i128::from(*lift);
    Some(Decimal(if is_negative { -unscaled } else { unscaled }))
}

/// 10^12 to 10^0, by the digits that are there after the point.
const LIFTS: [u64; 13] = {
    let mut lifts = [1; 13];
    let mut n = 12;
    while n > 0 {
        lifts[n - 1] = lifts[n] * 10;
        n -= 1;
    }
    lifts
};

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Accepts `[-]digits[.digits]`: no exponent, no separator, no float.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        if let Some(short) = short(text) {
            return Ok(short);
        }
        let syntax = || DecimalError::Syntax(text.chars().take(60).collect());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !plain(whole) || !plain(fraction) {
            return Err(syntax());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 12 {
            return Err(DecimalError::TooPrecise(text.chars().take(60).collect()));
        }
        let overflow = DecimalError::Overflow("reading a number");
        let whole = whole.parse::<i128>().map_err(|_| overflow.clone())?;
        let mut digits = fraction.bytes().map(|digit| i64::from(digit - b'0'));
        let fraction: i128 = (0..12).fold(0_i64, |value, _| value * 10 + digits.next().unwrap_or(0)).into();
        let magnitude = whole.checked_mul(ONE).and_then(|w| w.checked_add(fraction)).ok_or_else(|| overflow.clone())?;
        Self::from_unscaled(if negative { -magnitude } else { magnitude }).map_err(|_| overflow)
    }
}

impl TryFrom<String> for Decimal {
    type Error = DecimalError;
    fn try_from(text: String) -> Result<Self, DecimalError> {
        text.parse()
    }
}

impl From<Decimal> for String {
    fn from(decimal: Decimal) -> Self {
        decimal.to_string()
    }
}

impl fmt::Display for Decimal {
    /// The shortest exact text: `12`, `-0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits().ok_or(fmt::Error)?;
        let text = digits.as_str();
        f.pad_integral(!self.is_negative(), "", text.strip_prefix('-').unwrap_or(text))
    }
}

impl Serialize for Decimal {
    /// As text: JSON numbers are floats to many who read them.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.digits() {
            Some(digits) => serializer.serialize_str(digits.as_str()),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer, "a string", str::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn text_round_trips_or_is_refused() {
        for (text, printed) in [
            ("0", "0"),
            ("-0", "0"),
            ("12", "12"),
            ("0.000125", "0.000125"),
            ("-1.50", "-1.5"),
            ("007.0", "7"),
            ("99999999999999999999999999.999999999999", "99999999999999999999999999.999999999999"),
            ("0.1000000000000000000000000000", "0.1"),
        ] {
            assert_eq!(decimal(text).to_string(), printed, "{text}");
        }
        for bad in ["", "-", ".5", "1.", "1e3", "1,5", "+1", " 1", "0.0000000000001", "NaN", "1_000"] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad:?}");
        }
        assert_eq!("100000000000000000000000000".parse::<Decimal>(), Err(DecimalError::Overflow("reading a number")));
    }

    /// Around the 18 digits up to which a text is read in one pass.
    #[test]
    fn text_of_any_length_is_read_alike() {
        for digits in 1..=26 {
            for places in 0..=12 {
                for sign in ["", "-"] {
                    let whole = "9".repeat(digits);
                    let fraction = "123456789012".get(..places).unwrap();
                    let text = if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
                    let unscaled: i128 = format!("{sign}{whole}{fraction:0<12}").parse().unwrap();
                    assert_eq!(decimal(&text).unscaled(), unscaled, "{text}");
                    let shortest = if places == 10 { text.trim_end_matches('0') } else { &text };
                    assert_eq!(decimal(&text).to_string(), shortest);
                    assert_eq!(decimal(&format!("{text}{}", if places == 0 { ".0" } else { "0" })), decimal(&text));
                }
            }
        }
        for bad in [
            "..",
            "1.2.3",
            "-.5",
            "1.-5",
            "--1",
            "1234567890123456789.",
            ".1234567890123456789",
            "12345678901234567890x",
        ] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad:?}");
        }
        assert_eq!("9999999999999999999".parse::<Decimal>().unwrap().unscaled(), 9_999_999_999_999_999_999 * ONE);
        assert_eq!("0.1234567890120".parse::<Decimal>().unwrap().to_string(), "0.123456789012");
    }

    #[test]
    fn json_is_text() {
        assert_eq!(serde_json::to_string(&decimal("-0.50")).unwrap(), "\"-0.5\"");
        assert_eq!(serde_json::from_str::<Decimal>("\"1.25\"").unwrap(), decimal("1.25"));
        assert_eq!(serde_json::from_str::<Decimal>("\"1\\u002e25\"").unwrap(), decimal("1.25"));
        for bad in ["1.25", "1", "null", "\"1e3\"", "\"\""] {
            assert!(serde_json::from_str::<Decimal>(bad).is_err(), "{bad}");
        }
        assert_eq!(
            format!("[{:>6}] [{:<5}] [{:06}]", decimal("1.5"), decimal("-2"), decimal("-1.5")),
            "[   1.5] [-2   ] [-001.5]"
        );
    }
}
