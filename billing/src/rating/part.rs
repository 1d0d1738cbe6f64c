//! An unrounded amount that can be both rounded and shown.
//!
//! `schemas` keeps the digits of its [`Exact`] to itself, so the same sum is kept beside it as an integer of 10⁻²⁴
//! major units, for the working. Both come from the same two operands and never meet a rounding.

use std::fmt;

use arrow::datatypes::i256;
use tollbook_schemas::decimal::{Decimal, Exact};

use super::RatingError;

/// 10^12: a decimal's own scale, which lifts it to the scale of a product.
const ONE: i128 = 1_000_000_000_000;
/// Digits after the point of a product.
const SCALE: usize = 24;

/// A sum of products of a price and a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    exact: Exact,
    unscaled: i256,
}

impl Part {
    /// Nothing.
    pub(super) const ZERO: Self = Self { exact: Exact::ZERO, unscaled: i256::ZERO };

    /// A fixed price.
    pub(super) fn fixed(price: Decimal) -> Self {
        // 38 digits times 13 fit 256 bits, so nothing wraps.
        let unscaled = i256::from_i128(price.unscaled()).wrapping_mul(i256::from_i128(ONE));
        Self { exact: Exact::from_decimal(price), unscaled }
    }

    /// A price of each unit. Cannot overflow: 38 digits times 38 digits fit 256 bits.
    pub(super) fn of_units(unit_price: Decimal, quantity: Decimal) -> Self {
        let unscaled = i256::from_i128(unit_price.unscaled()).wrapping_mul(i256::from_i128(quantity.unscaled()));
        Self { exact: unit_price.times(quantity), unscaled }
    }

    /// Sum.
    pub(super) fn plus(self, other: Self) -> Result<Self, RatingError> {
        let exact = self.exact.checked_add(other.exact).map_err(RatingError::Overflow)?;
        // The same sum just fitted 256 bits.
        Ok(Self { exact, unscaled: self.unscaled.wrapping_add(other.unscaled) })
    }

    /// For rounding.
    pub(super) fn exact(self) -> Exact {
        self.exact
    }
}

impl fmt::Display for Part {
    /// The shortest exact text: `12`, `0.0375`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.unscaled.to_string();
        let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
        let digits = format!("{digits:0>width$}", width = SCALE + 1);
        let (whole, fraction) = digits.split_at(digits.len() - SCALE);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{sign}{whole}"),
            fraction => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}
