//! The slow and general form of an exact number: 256 bits over a power of ten and one divisor.
//!
//! [`Exact`](super::Exact) comes here for what 128 bits over a power of ten cannot hold: a third of a month, a GiB, a
//! product of many digits. Same operations, same results; nothing rounds on the way, and what does not fit is an error.

use std::cmp::Ordering;
use std::fmt;

use arrow::datatypes::i256;

use super::{Direction, POWERS, Rounding};
use crate::decimal::{Decimal, DecimalError, SCALE};

/// A number of 256 bits over `10^ten × divisor`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wide {
    pub(super) number: i256,
    pub(super) ten: u32,
    /// Always above zero.
    pub(super) divisor: i256,
}

/// 10^n, as far as 256 bits hold it.
fn power(n: u32) -> Option<i256> {
    match POWERS.get(usize::try_from(n).ok()?) {
        Some(small) => Some(i256::from_i128(*small)),
        None => i256::from_i128(10).checked_pow(n),
    }
}

fn greatest_common_divisor(a: i256, b: i256) -> Option<i256> {
    let (mut a, mut b) = (a.checked_abs()?, b.checked_abs()?);
    while b != i256::ZERO {
        (a, b) = (b, a.checked_rem(b)?);
    }
    Some(a)
}

impl Wide {
    /// The same value in the smallest terms.
    fn reduced(self) -> Option<Self> {
        let common = greatest_common_divisor(self.number, self.divisor)?;
        let (mut number, mut ten, mut divisor) = (self.number, self.ten, self.divisor);
        if common > i256::ONE {
            (number, divisor) = (number.checked_div(common)?, divisor.checked_div(common)?);
        }
        if number == i256::ZERO {
            return Some(Self { number, ten: 0, divisor: i256::ONE });
        }
        let base = i256::from_i128(10);
        while ten > 0 && number.checked_rem(base)? == i256::ZERO {
            (number, ten) = (number.checked_div(base)?, ten - 1);
        }
        Some(Self { number, ten, divisor })
    }

    /// Both numbers over one common power of ten and divisor.
    fn aligned(self, other: Self) -> Option<(i256, i256, u32, i256)> {
        let ten = self.ten.max(other.ten);
        let (mut one, mut two) = (self.number, other.number);
        if self.ten < ten {
            one = one.checked_mul(power(ten - self.ten)?)?;
        }
        if other.ten < ten {
            two = two.checked_mul(power(ten - other.ten)?)?;
        }
        if self.divisor == other.divisor {
            return Some((one, two, ten, self.divisor));
        }
        let common = greatest_common_divisor(self.divisor, other.divisor)?;
        let lift = other.divisor.checked_div(common)?;
        one = one.checked_mul(lift)?;
        two = two.checked_mul(self.divisor.checked_div(common)?)?;
        Some((one, two, ten, self.divisor.checked_mul(lift)?))
    }

    /// An operation on the numbers as they are or, where that does not fit, in their smallest terms.
    fn operate<T>(
        self,
        other: Self,
        name: &'static str,
        operation: impl Fn(Self, Self) -> Option<T>,
    ) -> Result<T, DecimalError> {
        operation(self, other)
            .or_else(|| operation(self.reduced()?, other.reduced()?))
            .ok_or(DecimalError::Overflow(name))
    }

    /// The same of one number.
    fn alone<T>(self, name: &'static str, operation: impl Fn(Self) -> Option<T>) -> Result<T, DecimalError> {
        operation(self).or_else(|| operation(self.reduced()?)).ok_or(DecimalError::Overflow(name))
    }

    /// Sum.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub(super) fn checked_add(self, other: Self) -> Result<Self, DecimalError> {
        self.operate(other, "an addition", |a, b| {
            let (one, two, ten, divisor) = a.aligned(b)?;
            Some(Self { number: one.checked_add(two)?, ten, divisor })
        })
    }

    /// Difference.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub(super) fn checked_sub(self, other: Self) -> Result<Self, DecimalError> {
        self.operate(other, "a subtraction", |a, b| {
            let (one, two, ten, divisor) = a.aligned(b)?;
            Some(Self { number: one.checked_sub(two)?, ten, divisor })
        })
    }

    /// Product.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub(super) fn checked_mul(self, other: Self) -> Result<Self, DecimalError> {
        self.operate(other, "a multiplication", |a, b| {
            let (ten, divisor) = (a.ten.checked_add(b.ten)?, a.divisor.checked_mul(b.divisor)?);
            Some(Self { number: a.number.checked_mul(b.number)?, ten, divisor })
        })
    }

    /// Quotient.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`]; [`DecimalError::ByZero`].
    pub(super) fn checked_div(self, other: Self) -> Result<Self, DecimalError> {
        if other.number == i256::ZERO {
            return Err(DecimalError::ByZero);
        }
        self.operate(other, "a division", |a, b| {
            let mut number = a.number.checked_mul(b.divisor)?;
            if b.number.is_negative() {
                number = number.checked_neg()?;
            }
            if b.ten > a.ten {
                number = number.checked_mul(power(b.ten - a.ten)?)?;
            }
            let divisor = a.divisor.checked_mul(b.number.checked_abs()?)?;
            Self { number, ten: a.ten.saturating_sub(b.ten), divisor }.reduced()
        })
    }

    /// Which of two is larger.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`] when they cannot be brought to one denominator.
    pub(super) fn checked_cmp(self, other: Self) -> Result<Ordering, DecimalError> {
        self.operate(other, "a comparison", |a, b| {
            let (one, two, ..) = a.aligned(b)?;
            Some(one.cmp(&two))
        })
    }

    /// The value as a decimal, where it is one.
    pub(super) fn to_decimal(self) -> Option<Decimal> {
        if self.divisor == i256::ONE && self.ten == SCALE {
            return Decimal::from_unscaled(self.number.to_i128()?).ok();
        }
        let least = self.finite()?;
        let unscaled = if least.ten <= SCALE {
            least.number.checked_mul(power(SCALE - least.ten)?)?
        } else {
            return None;
        };
        Decimal::from_unscaled(unscaled.to_i128()?).ok()
    }

    /// How often `10^ten × divisor × step` goes into `number × lift`, in whole numbers.
    fn steps(self, lift: i256, step: i256, rounding: Rounding) -> Option<i256> {
        let magnitude = self.number.checked_abs()?.checked_mul(lift)?;
        let divisor = self.divisor.checked_mul(step)?.checked_mul(power(self.ten)?)?;
        let quotient = magnitude.checked_div(divisor)?;
        let remainder = magnitude.checked_sub(quotient.checked_mul(divisor)?)?;
        let half = remainder.cmp(&divisor.checked_sub(remainder)?);
        let is_odd = quotient.checked_rem(i256::from_i128(2))? == i256::ONE;
        let rounding = rounding.of_magnitude(self.number.is_negative());
        let up = rounding.goes_on(remainder != i256::ZERO, half, is_odd);
        let steps = if up { quotient.checked_add(i256::ONE)? } else { quotient };
        if self.number.is_negative() { steps.checked_neg() } else { Some(steps) }
    }

    /// The multiple of `step` in a direction. Only a price that says so rounds a quantity.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`]; [`DecimalError::ByZero`] for a step of zero.
    pub(super) fn round_to_multiple(self, step: Decimal, direction: Direction) -> Result<Self, DecimalError> {
        if step.unscaled() <= 0 {
            return Err(DecimalError::ByZero);
        }
        self.alone("rounding a quantity", |exact| {
            let unscaled = i256::from_i128(step.unscaled());
            // 10^12 of the step's own scale and the powers of ten cancel out.
            let (exact, lift) = match exact.ten.checked_sub(SCALE) {
                Some(ten) => (Self { ten, ..exact }, i256::ONE),
                None => (Self { ten: 0, ..exact }, power(SCALE - exact.ten)?),
            };
            let number = exact.steps(lift, unscaled, direction.into())?.checked_mul(unscaled)?;
            Some(Self { number, ten: SCALE, divisor: i256::ONE })
        })
    }

    /// Rounds to a multiple of `step` minor units of a currency with `exponent` digits, and gives minor units.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`] when the amount does not fit 63 bits.
    pub(super) fn round_to_minor(self, exponent: u32, step: i64, rounding: Rounding) -> Result<i64, DecimalError> {
        self.alone("rounding to minor units", |exact| {
            let (exact, lift) = match exact.ten.checked_sub(exponent) {
                Some(ten) => (Self { ten, ..exact }, i256::ONE),
                None => (Self { ten: 0, ..exact }, power(exponent - exact.ten)?),
            };
            let steps = exact.steps(lift, i256::from_i128(i128::from(step)), rounding)?;
            i64::try_from(steps.to_i128()?).ok()?.checked_mul(step)
        })
    }

    /// The value over a power of ten alone, where it has one: a divisor of twos and fives.
    fn finite(self) -> Option<Self> {
        let mut least = self.reduced()?;
        for (factor, lift) in [(10, 1), (2, 5), (5, 2)] {
            let (factor, lift) = (i256::from_i128(factor), i256::from_i128(lift));
            while least.divisor > i256::ONE && least.divisor.checked_rem(factor)? == i256::ZERO {
                let number = least.number.checked_mul(lift)?;
                least = Self { number, ten: least.ten + 1, divisor: least.divisor.checked_div(factor)? };
            }
        }
        if least.divisor == i256::ONE { least.reduced() } else { None }
    }
}

impl fmt::Display for Wide {
    /// The shortest exact text: `12`, `0.0375`; a value without a finite decimal as a fraction, `1500/31`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.divisor != i256::ONE {
            match self.finite() {
                Some(finite) => return finite.fmt(f),
                None => return self.fraction(f),
            }
        }
        let text = self.number.to_string();
        let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
        let places = usize::try_from(self.ten).unwrap_or(0);
        let digits = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{sign}{whole}"),
            fraction => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}

impl Wide {
    fn fraction(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = || {
            let least = self.reduced()?;
            let below = least.divisor.checked_mul(power(least.ten)?)?;
            let common = greatest_common_divisor(least.number, below)?;
            Some((least.number.checked_div(common)?, below.checked_div(common)?))
        };
        match whole() {
            Some((above, below)) => write!(f, "{above}/{below}"),
            None => write!(f, "{}/{}e{}", self.number, self.divisor, self.ten),
        }
    }
}
