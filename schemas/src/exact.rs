//! The number in which a line is computed: exact, whatever is added, multiplied or divided.
//!
//! An [`Exact`] is an integer over a power of ten. Most fit 128 bits, and cost what integers cost; what does not, and
//! what has a divisor (a third of a month, a share of a coupon, a GiB), is an integer of 256 bits over a power of ten
//! and one divisor ([`wide`]), which is kept until it is printed. Nothing rounds on the way, and what does not fit 256
//! bits is an error. The only rounding of money in tollbook is [`Exact::round_to_minor`], called once for each printed
//! line.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use arrow::datatypes::i256;

use crate::decimal::{Decimal, DecimalError, SCALE};

pub(crate) mod digits;
mod wide;

use digits::Digits;
use wide::Wide;

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

/// Where an amount that lies between two of the smallest goes. tollbook's own is the first (I4); the others are those
/// of systems whose amounts are replayed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rounding {
    /// To the nearest, from the middle to the one farther from zero.
    #[default]
    HalfUp,
    /// To the nearest, from the middle to the even one: banker's rounding.
    HalfEven,
    /// To the nearest, from the middle to the one nearer to zero.
    HalfDown,
    /// To the one farther from zero.
    Up,
    /// To the one nearer to zero.
    Down,
    /// To the larger one: of an amount below zero the one nearer to it.
    Ceiling,
    /// To the smaller one: of an amount below zero the one farther from it.
    Floor,
}

impl From<Direction> for Rounding {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Up => Self::Up,
            Direction::Down => Self::Down,
            Direction::HalfUp => Self::HalfUp,
        }
    }
}

impl Rounding {
    /// Its words, the default first.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("half_up", Self::HalfUp),
        ("half_even", Self::HalfEven),
        ("half_down", Self::HalfDown),
        ("up", Self::Up),
        ("down", Self::Down),
        ("ceiling", Self::Ceiling),
        ("floor", Self::Floor),
    ];

    /// The same for a magnitude, whose sign was taken off.
    fn of_magnitude(self, is_negative: bool) -> Self {
        match (self, is_negative) {
            (Self::Ceiling, false) | (Self::Floor, true) => Self::Up,
            (Self::Ceiling, true) | (Self::Floor, false) => Self::Down,
            (other, _) => other,
        }
    }

    /// Whether what lies `half` of the way (below, at or above the middle) goes on to the next whole number, from one
    /// that may be odd. What lies nowhere between stays.
    #[inline]
    fn goes_on(self, is_between: bool, half: Ordering, is_odd: bool) -> bool {
        is_between
            && match self {
                Self::HalfUp => half.is_ge(),
                Self::HalfEven => half.is_gt() || (half.is_eq() && is_odd),
                Self::HalfDown => half.is_gt(),
                Self::Up | Self::Ceiling => true,
                Self::Down | Self::Floor => false,
            }
    }
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

/// 10^n, as far as 128 bits hold it.
fn power(n: u32) -> Option<i128> {
    POWERS.get(usize::try_from(n).ok()?).copied()
}

/// An exact number.
#[derive(Debug, Clone, Copy)]
pub struct Exact(Form);

#[derive(Debug, Clone, Copy)]
enum Form {
    /// `number / 10^ten`.
    Short { number: i128, ten: u32 },
    /// `number / (10^ten × divisor)`; the divisor is above zero.
    Wide { number: i256, ten: u32, divisor: i256 },
}

impl From<Wide> for Exact {
    fn from(wide: Wide) -> Self {
        let Wide { number, ten, divisor } = wide;
        match number.to_i128() {
            Some(number) if divisor == i256::ONE => Self(Form::Short { number, ten }),
            _ => Self(Form::Wide { number, ten, divisor }),
        }
    }
}

/// Both numbers over one power of ten.
#[inline]
fn aligned(one: (i128, u32), two: (i128, u32)) -> Option<(i128, i128, u32)> {
    match one.1.cmp(&two.1) {
        Ordering::Equal => Some((one.0, two.0, one.1)),
        Ordering::Less => Some((times(one.0, power(two.1 - one.1)?)?, two.0, two.1)),
        Ordering::Greater => Some((one.0, times(two.0, power(one.1 - two.1)?)?, one.1)),
    }
}

/// A product: of 64 bits by 64 bits, as most are, in one instruction.
#[inline]
fn times(one: i128, two: i128) -> Option<i128> {
    match (i64::try_from(one), i64::try_from(two)) {
        (Ok(one), Ok(two)) => Some(i128::from(one) * i128::from(two)),
        _ => one.checked_mul(two),
    }
}

/// How often one goes into the other, in whole numbers.
#[inline]
fn steps(magnitude: u128, divisor: u128, rounding: Rounding) -> Option<u128> {
    let (quotient, remainder) = match (u64::try_from(magnitude), u64::try_from(divisor)) {
        (Ok(magnitude), Ok(divisor)) => {
            (u128::from(magnitude.checked_div(divisor)?), u128::from(magnitude.checked_rem(divisor)?))
        }
        _ => {
            let quotient = magnitude.checked_div(divisor)?;
            (quotient, magnitude - quotient * divisor)
        }
    };
    let half = remainder.cmp(&(divisor - remainder));
    let up = rounding.goes_on(remainder > 0, half, quotient % 2 == 1);
    quotient.checked_add(u128::from(up))
}

/// A magnitude with its sign.
fn signed(is_negative: bool, magnitude: u128) -> Option<i128> {
    let number = i128::try_from(magnitude).ok()?;
    Some(if is_negative { -number } else { number })
}

impl Exact {
    /// Zero.
    pub const ZERO: Self = Self(Form::Short { number: 0, ten: 0 });

    /// A decimal as it is.
    #[must_use]
    pub fn from_decimal(decimal: Decimal) -> Self {
        Self::of_unscaled(decimal.unscaled())
    }

    /// Trillionths, over the least of 1, 10^6 and 10^12: prices and quantities have few digits after the point, and
    /// their products fit 64 bits then.
    #[inline]
    fn of_unscaled(unscaled: i128) -> Self {
        const MILLION: i64 = 1_000_000;
        let millionths = match i64::try_from(unscaled) {
            Ok(short) if short % MILLION == 0 => Some(i128::from(short / MILLION)),
            Ok(_) => None,
            Err(_) => {
                let millionths = unscaled / i128::from(MILLION);
                (millionths * i128::from(MILLION) == unscaled).then_some(millionths)
            }
        };
        let Some(millionths) = millionths else { return Self(Form::Short { number: unscaled, ten: SCALE }) };
        match i64::try_from(millionths) {
            Ok(short) if short % MILLION == 0 => Self(Form::Short { number: i128::from(short / MILLION), ten: 0 }),
            _ => Self(Form::Short { number: millionths, ten: SCALE / 2 }),
        }
    }

    /// A whole number.
    #[must_use]
    pub fn whole(number: i64) -> Self {
        Self::scaled(number, 0)
    }

    /// `number / 10^digits`: minor units of a currency as major units, a percentage as a factor.
    #[must_use]
    pub fn scaled(number: i64, digits: u32) -> Self {
        Self(Form::Short { number: i128::from(number), ten: digits })
    }

    /// The product of two decimals. Cannot overflow: 38 digits times 38 digits fit 76, which 256 bits hold.
    #[must_use]
    pub fn product(one: Decimal, other: Decimal) -> Self {
        if let Some(number) = times(one.unscaled(), other.unscaled()) {
            return Self(Form::Short { number, ten: 2 * SCALE });
        }
        let number = i256::from_i128(one.unscaled()).wrapping_mul(i256::from_i128(other.unscaled()));
        Self(Form::Wide { number, ten: 2 * SCALE, divisor: i256::ONE })
    }

    /// Number and power of ten, of what fits 128 bits.
    #[inline]
    fn short(self) -> Option<(i128, u32)> {
        match self.0 {
            Form::Short { number, ten } => Some((number, ten)),
            Form::Wide { .. } => None,
        }
    }

    fn wide(self) -> Wide {
        match self.0 {
            Form::Short { number, ten } => Wide { number: i256::from_i128(number), ten, divisor: i256::ONE },
            Form::Wide { number, ten, divisor } => Wide { number, ten, divisor },
        }
    }

    /// Sum.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn checked_add(self, other: Self) -> Result<Self, DecimalError> {
        let short = || {
            let (one, two, ten) = aligned(self.short()?, other.short()?)?;
            Some(Self(Form::Short { number: one.checked_add(two)?, ten }))
        };
        short().map_or_else(|| self.wide().checked_add(other.wide()).map(Self::from), Ok)
    }

    /// Difference.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn checked_sub(self, other: Self) -> Result<Self, DecimalError> {
        let short = || {
            let (one, two, ten) = aligned(self.short()?, other.short()?)?;
            Some(Self(Form::Short { number: one.checked_sub(two)?, ten }))
        };
        short().map_or_else(|| self.wide().checked_sub(other.wide()).map(Self::from), Ok)
    }

    /// Product.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn checked_mul(self, other: Self) -> Result<Self, DecimalError> {
        let short = || {
            let (one, two) = (self.short()?, other.short()?);
            Some(Self(Form::Short { number: times(one.0, two.0)?, ten: one.1.checked_add(two.1)? }))
        };
        short().map_or_else(|| self.wide().checked_mul(other.wide()).map(Self::from), Ok)
    }

    /// Quotient.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`]; [`DecimalError::ByZero`].
    pub fn checked_div(self, other: Self) -> Result<Self, DecimalError> {
        self.wide().checked_div(other.wide()).map(Self::from)
    }

    /// Which of two is larger.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`] when they cannot be brought to one denominator.
    pub fn checked_cmp(self, other: Self) -> Result<Ordering, DecimalError> {
        let short = || {
            let (one, two, _) = aligned(self.short()?, other.short()?)?;
            Some(one.cmp(&two))
        };
        short().map_or_else(|| self.wide().checked_cmp(other.wide()), Ok)
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
        match self.0 {
            Form::Short { number, .. } => number == 0,
            Form::Wide { number, .. } => number == i256::ZERO,
        }
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        match self.0 {
            Form::Short { number, .. } => number < 0,
            Form::Wide { number, .. } => number.is_negative(),
        }
    }

    /// The value as a decimal, where it is one.
    #[must_use]
    pub fn to_decimal(self) -> Option<Decimal> {
        match self.short() {
            Some((number, ten)) if ten <= SCALE => Decimal::from_unscaled(times(number, power(SCALE - ten)?)?).ok(),
            _ => self.wide().to_decimal(),
        }
    }

    /// The multiple of `step` in a direction. Only a price that says so rounds a quantity.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`]; [`DecimalError::ByZero`] for a step of zero.
    pub fn round_to_multiple(self, step: Decimal, direction: Direction) -> Result<Self, DecimalError> {
        if step.unscaled() <= 0 {
            return Err(DecimalError::ByZero);
        }
        let short = || {
            let (number, ten) = self.short()?;
            // 10^12 of the step's own scale and the powers of ten cancel out.
            let lift = power(SCALE.saturating_sub(ten))?.unsigned_abs();
            let divisor = times(step.unscaled(), power(ten.saturating_sub(SCALE))?)?.unsigned_abs();
            let steps = steps(number.unsigned_abs().checked_mul(lift)?, divisor, direction.into())?;
            let rounded = times(signed(number < 0, steps)?, step.unscaled())?;
            Some(Self::of_unscaled(rounded))
        };
        short().map_or_else(|| self.wide().round_to_multiple(step, direction).map(Self::from), Ok)
    }

    /// Rounds to a multiple of `step` minor units of a currency with `exponent` digits, half away from zero, and
    /// gives minor units. The one place where money is rounded (I4).
    ///
    /// # Errors
    /// [`DecimalError::Overflow`] when the amount does not fit 63 bits.
    pub fn round_to_minor(self, exponent: u32, step: i64) -> Result<i64, DecimalError> {
        self.round_to_minor_by(exponent, step, Rounding::HalfUp)
    }

    /// The same as another system rounds, whose amounts are replayed.
    ///
    /// # Errors
    /// As [`Exact::round_to_minor`].
    pub fn round_to_minor_by(self, exponent: u32, step: i64, rounding: Rounding) -> Result<i64, DecimalError> {
        let short = || {
            let (number, ten) = self.short()?;
            let lift = power(exponent.saturating_sub(ten))?.unsigned_abs();
            let unit = power(ten.saturating_sub(exponent))?.unsigned_abs();
            let divisor = unit.checked_mul(u128::try_from(step).ok()?)?;
            let magnitude = number.unsigned_abs().checked_mul(lift)?;
            let steps = steps(magnitude, divisor, rounding.of_magnitude(number < 0))?;
            i64::try_from(signed(number < 0, steps)?).ok()?.checked_mul(step)
        };
        short().map_or_else(|| self.wide().round_to_minor(exponent, step, rounding), Ok)
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
        let digits = self.short().and_then(|(number, ten)| Digits::of(number < 0, number.unsigned_abs(), ten));
        match digits {
            Some(digits) => f.write_str(digits.as_str()),
            None => self.wide().fmt(f),
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
        Ok(Self::from(Wide { number, ten, divisor: i256::ONE }))
    }
}

#[cfg(test)]
mod tests;
