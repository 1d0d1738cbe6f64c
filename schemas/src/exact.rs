//! The wide number in which a line is computed: exact, whatever is added, multiplied or divided.
//!
//! An [`Exact`] is an integer of 256 bits over a power of ten and one divisor: `number / (10^ten × divisor)`. Sums and
//! products of decimals have the divisor 1 and cost what integers cost; a third of a month, a share of a coupon or a
//! GiB keep their divisor until they are printed. Nothing rounds on the way, and what does not fit 256 bits is an
//! error. The only rounding of money in tollbook is [`Exact::round_to_minor`], called once for each printed line.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use arrow::datatypes::i256;

use crate::decimal::{Decimal, DecimalError, SCALE};

/// Where a quantity that lies between two steps goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the step farther from zero.
    Up,
    /// To the step nearer to zero.
    Down,
    /// To the nearest step, from the middle to the one farther from zero.
    HalfUp,
}

/// An exact number.
#[derive(Debug, Clone, Copy)]
pub struct Exact {
    number: i256,
    ten: u32,
    /// Always above zero.
    divisor: i256,
}

/// 10^0 to 10^38: what 128 bits hold.
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};

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

impl Exact {
    /// Zero.
    pub const ZERO: Self = Self { number: i256::ZERO, ten: 0, divisor: i256::ONE };

    /// A decimal as it is.
    #[must_use]
    pub fn from_decimal(decimal: Decimal) -> Self {
        Self { number: i256::from_i128(decimal.unscaled()), ten: SCALE, divisor: i256::ONE }
    }

    /// A whole number.
    #[must_use]
    pub fn whole(number: i64) -> Self {
        Self::scaled(number, 0)
    }

    /// `number / 10^digits`: minor units of a currency as major units, a percentage as a factor.
    #[must_use]
    pub fn scaled(number: i64, digits: u32) -> Self {
        Self { number: i256::from_i128(i128::from(number)), ten: digits, divisor: i256::ONE }
    }

    /// The product of two decimals. Cannot overflow: 38 digits times 38 digits fit 76, which 256 bits hold.
    #[must_use]
    pub fn product(one: Decimal, other: Decimal) -> Self {
        let number = i256::from_i128(one.unscaled()).wrapping_mul(i256::from_i128(other.unscaled()));
        Self { number, ten: 2 * SCALE, divisor: i256::ONE }
    }

    /// The same value in the smallest terms.
    fn reduced(self) -> Option<Self> {
        let common = greatest_common_divisor(self.number, self.divisor)?;
        let (mut number, mut ten, mut divisor) = (self.number, self.ten, self.divisor);
        if common > i256::ONE {
            (number, divisor) = (number.checked_div(common)?, divisor.checked_div(common)?);
        }
        if number == i256::ZERO {
            return Some(Self::ZERO);
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

    /// Sum.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn checked_add(self, other: Self) -> Result<Self, DecimalError> {
        self.operate(other, "an addition", |a, b| {
            let (one, two, ten, divisor) = a.aligned(b)?;
            Some(Self { number: one.checked_add(two)?, ten, divisor })
        })
    }

    /// Difference.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn checked_sub(self, other: Self) -> Result<Self, DecimalError> {
        self.operate(other, "a subtraction", |a, b| {
            let (one, two, ten, divisor) = a.aligned(b)?;
            Some(Self { number: one.checked_sub(two)?, ten, divisor })
        })
    }

    /// Product.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn checked_mul(self, other: Self) -> Result<Self, DecimalError> {
        self.operate(other, "a multiplication", |a, b| {
            let divisor = a.divisor.checked_mul(b.divisor)?;
            Some(Self { number: a.number.checked_mul(b.number)?, ten: a.ten + b.ten, divisor })
        })
    }

    /// Quotient.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`]; [`DecimalError::ByZero`].
    pub fn checked_div(self, other: Self) -> Result<Self, DecimalError> {
        if other.is_zero() {
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
    pub fn checked_cmp(self, other: Self) -> Result<Ordering, DecimalError> {
        self.operate(other, "a comparison", |a, b| {
            let (one, two, ..) = a.aligned(b)?;
            Some(one.cmp(&two))
        })
    }

    /// The smaller of two.
    ///
    /// # Errors
    /// As [`Exact::checked_cmp`].
    pub fn least(self, other: Self) -> Result<Self, DecimalError> {
        Ok(if self.checked_cmp(other)?.is_gt() { other } else { self })
    }

    /// The larger of two.
    ///
    /// # Errors
    /// As [`Exact::checked_cmp`].
    pub fn most(self, other: Self) -> Result<Self, DecimalError> {
        Ok(if self.checked_cmp(other)?.is_lt() { other } else { self })
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.number == i256::ZERO
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.number.is_negative()
    }

    /// The value as a decimal, where it is one.
    #[must_use]
    pub fn to_decimal(self) -> Option<Decimal> {
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
    fn steps(self, lift: i256, step: i256, direction: Direction) -> Option<i256> {
        let magnitude = self.number.checked_abs()?.checked_mul(lift)?;
        let divisor = self.divisor.checked_mul(step)?.checked_mul(power(self.ten)?)?;
        let quotient = match (magnitude.to_i128(), divisor.to_i128()) {
            // Most amounts fit 128 bits, which divide much faster.
            (Some(magnitude), Some(divisor)) => i256::from_i128(magnitude.checked_div(divisor)?),
            _ => magnitude.checked_div(divisor)?,
        };
        let remainder = magnitude.checked_sub(quotient.checked_mul(divisor)?)?;
        let up = match direction {
            Direction::Down => false,
            Direction::Up => remainder != i256::ZERO,
            Direction::HalfUp => remainder >= divisor.checked_sub(remainder)?,
        };
        let steps = if up { quotient.checked_add(i256::ONE)? } else { quotient };
        if self.is_negative() { steps.checked_neg() } else { Some(steps) }
    }

    /// The multiple of `step` in a direction. Only a price that says so rounds a quantity.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`]; [`DecimalError::ByZero`] for a step of zero.
    pub fn round_to_multiple(self, step: Decimal, direction: Direction) -> Result<Self, DecimalError> {
        if step.unscaled() <= 0 {
            return Err(DecimalError::ByZero);
        }
        self.operate(Self::ZERO, "rounding a quantity", |exact, _| {
            let unscaled = i256::from_i128(step.unscaled());
            // 10^12 of the step's own scale and the powers of ten cancel out.
            let (exact, lift) = match exact.ten.checked_sub(SCALE) {
                Some(ten) => (Self { ten, ..exact }, i256::ONE),
                None => (Self { ten: 0, ..exact }, power(SCALE - exact.ten)?),
            };
            let number = exact.steps(lift, unscaled, direction)?.checked_mul(unscaled)?;
            Some(Self { number, ten: SCALE, divisor: i256::ONE })
        })
    }

    /// Rounds to a multiple of `step` minor units of a currency with `exponent` digits, half away from zero, and
    /// gives minor units. The one place where money is rounded (I4).
    ///
    /// # Errors
    /// [`DecimalError::Overflow`] when the amount does not fit 63 bits.
    pub fn round_to_minor(self, exponent: u32, step: i64) -> Result<i64, DecimalError> {
        self.operate(Self::ZERO, "rounding to minor units", |exact, _| {
            let (exact, lift) = match exact.ten.checked_sub(exponent) {
                Some(ten) => (Self { ten, ..exact }, i256::ONE),
                None => (Self { ten: 0, ..exact }, power(exponent - exact.ten)?),
            };
            let steps = exact.steps(lift, i256::from_i128(i128::from(step)), Direction::HalfUp)?;
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

impl From<Decimal> for Exact {
    fn from(decimal: Decimal) -> Self {
        Self::from_decimal(decimal)
    }
}

impl PartialEq for Exact {
    /// Equal values, whatever their form.
    fn eq(&self, other: &Self) -> bool {
        self.checked_cmp(*other).is_ok_and(Ordering::is_eq)
    }
}

impl Eq for Exact {}

impl fmt::Display for Exact {
    /// The shortest exact text: `12`, `0.0375`; a value without a finite decimal as a fraction, `1500/31`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.divisor != i256::ONE {
            match self.finite() {
                Some(finite) => return finite.fmt(f),
                None => return self.fraction(f),
            }
        }
        // Most amounts fit 128 bits, which print much faster.
        if let (Some(small), Some(unit)) = (self.number.to_i128(), 10_u128.checked_pow(self.ten)) {
            let sign = if small < 0 { "-" } else { "" };
            let (whole, fraction) = (small.unsigned_abs() / unit, small.unsigned_abs() % unit);
            write!(f, "{sign}")?;
            match u64::try_from(whole) {
                Ok(whole) => write!(f, "{whole}")?,
                Err(_) => write!(f, "{whole}")?,
            }
            return if fraction == 0 { Ok(()) } else { print_fraction(fraction, self.ten, f) };
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

/// `.0375`: the digits after the point, without zeros at the end.
fn print_fraction(fraction: u128, digits: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const CHUNK: u128 = 1_000_000_000_000_000_000;
    let mut text = [b'0'; 40];
    let mut rest = fraction;
    let mut end = text.len();
    while rest > 0 {
        let mut chunk = u64::try_from(rest % CHUNK).unwrap_or(0);
        rest /= CHUNK;
        for digit in text[..end].iter_mut().rev().take(18) {
            *digit = b'0' + u8::try_from(chunk % 10).unwrap_or(0);
            chunk /= 10;
        }
        end = end.saturating_sub(18);
    }
    let places = usize::try_from(digits).unwrap_or(0).min(text.len());
    let text = &text[text.len() - places..];
    let text = std::str::from_utf8(text).unwrap_or_default();
    write!(f, ".{}", text.trim_end_matches('0'))
}

impl Exact {
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

impl FromStr for Exact {
    type Err = DecimalError;

    /// Accepts `[-]digits[.digits]` with up to 60 digits in all: amounts of other systems can have more digits than a
    /// [`Decimal`]. No exponent, no separator, no float.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let syntax = || DecimalError::Syntax(text.chars().take(60).collect());
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !plain(whole) || !plain(fraction) {
            return Err(syntax());
        }
        let fraction = fraction.trim_end_matches('0');
        if whole.len() + fraction.len() > 60 {
            return Err(DecimalError::Overflow("reading a number"));
        }
        let mut number = i256::ZERO;
        for digit in whole.bytes().chain(fraction.bytes()) {
            let digit = i256::from_i128(i128::from(digit - b'0'));
            number = number.wrapping_mul(i256::from_i128(10)).wrapping_add(digit);
        }
        let ten = u32::try_from(fraction.len()).map_err(|_| syntax())?;
        let number = if text.starts_with('-') { number.wrapping_neg() } else { number };
        Ok(Self { number, ten, divisor: i256::ONE })
    }
}

#[cfg(test)]
mod tests;
