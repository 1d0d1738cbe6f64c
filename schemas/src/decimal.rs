//! Exact decimals for quantities and prices.
//!
//! [`Decimal`] holds 26 digits before and 12 after the point in an `i128` (the tables' `decimal(38,12)`; Stripe
//! allows 12 decimals too). No operation rounds: what does not fit is an error. A line is computed in [`Exact`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use crate::exact::Exact;

/// Digits after the point in a [`Decimal`].
pub const SCALE: u32 = 12;
const ONE: i128 = 1_000_000_000_000;
const ONE_SHORT: u64 = 1_000_000_000_000;
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Accepts `[-]digits[.digits]`: no exponent, no separator, no float.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
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
        // Few numbers have more digits than the machine computes at once.
        let whole = match whole.len() {
            ..=18 => whole.parse::<i64>().map(i128::from),
            _ => whole.parse::<i128>(),
        };
        let whole = whole.map_err(|_| overflow.clone())?;
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
        let magnitude = self.0.unsigned_abs();
        let one = ONE.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, fraction) = match u64::try_from(magnitude) {
            Ok(magnitude) => (u128::from(magnitude / ONE_SHORT), magnitude % ONE_SHORT),
            Err(_) => (magnitude / one, u64::try_from(magnitude % one).unwrap_or_default()),
        };
        if fraction == 0 {
            return f.pad_integral(sign.is_empty(), "", &whole.to_string());
        }
        let fraction = format!("{fraction:012}");
        f.pad_integral(sign.is_empty(), "", &format!("{whole}.{}", fraction.trim_end_matches('0')))
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
}
