//! Exact numbers without a limit: a fraction of two whole numbers in lowest terms. Takes the decimals of catalog and
//! rows, gives decimals, minor units and text. It shares no arithmetic with `schemas::exact`: there is no power of ten,
//! no width and no overflow in it.

use std::cmp::Ordering;
use std::ops::{Add, Mul, Neg, Sub};

use num_bigint::{BigInt, Sign};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Direction;

/// Digits after the point that a quantity has.
pub(crate) const QUANTITY_DIGITS: u32 = 12;

/// An exact number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ratio {
    above: BigInt,
    /// Above zero.
    below: BigInt,
}

fn ten_to(digits: u32) -> BigInt {
    BigInt::from(10).pow(digits)
}

fn magnitude(number: &BigInt) -> BigInt {
    BigInt::from(number.magnitude().clone())
}

fn common_divisor(one: &BigInt, other: &BigInt) -> BigInt {
    let (mut one, mut other) = (magnitude(one), magnitude(other));
    while other.sign() != Sign::NoSign {
        let rest = &one % &other;
        (one, other) = (other, rest);
    }
    one
}

impl Ratio {
    /// A whole number.
    #[must_use]
    pub fn whole(number: i64) -> Self {
        Self { above: BigInt::from(number), below: BigInt::from(1) }
    }

    /// `unscaled / 10^12`, as a column of quantities has it.
    #[must_use]
    pub fn unscaled(unscaled: i128) -> Self {
        Self::lowest(BigInt::from(unscaled), ten_to(QUANTITY_DIGITS))
    }

    /// A decimal of the catalog.
    #[must_use]
    pub fn decimal(decimal: Decimal) -> Self {
        Self::unscaled(decimal.unscaled())
    }

    /// `below` is not zero.
    fn lowest(above: BigInt, below: BigInt) -> Self {
        let common = common_divisor(&above, &below);
        let (above, below) = (above / &common, below / &common);
        if below.sign() == Sign::Minus { Self { above: -above, below: -below } } else { Self { above, below } }
    }

    /// Whether it is 0.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.above.sign() == Sign::NoSign
    }

    /// Whether it is below 0.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.above.sign() == Sign::Minus
    }

    /// The quotient; none where the divisor is 0.
    #[must_use]
    pub fn over(&self, divisor: &Self) -> Option<Self> {
        (!divisor.is_zero()).then(|| Self::lowest(&self.above * &divisor.below, &self.below * &divisor.above))
    }

    /// One of so many equal parts; of no part it is all.
    #[must_use]
    pub fn part_of(&self, parts: u32) -> Self {
        Self::lowest(self.above.clone(), &self.below * parts.max(1))
    }

    /// A whole number near it. Up is away from zero, down towards it, and the middle goes away from zero.
    #[must_use]
    pub fn to_whole(&self, direction: Direction) -> BigInt {
        let size = magnitude(&self.above);
        let whole = match direction {
            Direction::Down => size / &self.below,
            Direction::Up => (size + &self.below - 1) / &self.below,
            Direction::HalfUp => (size * 2 + &self.below) / (&self.below * 2),
        };
        if self.is_negative() { -whole } else { whole }
    }

    /// The multiple of `step`, above 0, that lies in a direction.
    #[must_use]
    pub fn to_multiple(&self, step: &Self, direction: Direction) -> Option<Self> {
        let steps = Self { above: self.over(step)?.to_whole(direction), below: BigInt::from(1) };
        Some(&steps * step)
    }

    /// Rounded once to the digits of a quantity, half away from zero.
    #[must_use]
    pub fn to_quantity(&self) -> Self {
        let one = ten_to(QUANTITY_DIGITS);
        let steps = Self::lowest(&self.above * &one, self.below.clone()).to_whole(Direction::HalfUp);
        Self::lowest(steps, one)
    }

    /// Minor units of a currency with so many digits, in steps of so many; half away from zero. None where 63 bits do
    /// not hold them.
    #[must_use]
    pub fn to_minor(&self, digits: u32, step: i64) -> Option<i64> {
        let minor = Self::lowest(&self.above * ten_to(digits), self.below.clone());
        let steps: BigInt = minor.over(&Self::whole(step))?.to_whole(Direction::HalfUp);
        i64::try_from(steps * BigInt::from(step)).ok()
    }

    /// The shortest exact text: `12`, `-0.5`; `1500/31` where no decimal ends.
    #[must_use]
    pub fn text(&self) -> String {
        let (mut rest, mut places) = (self.below.clone(), [0_u32, 0]);
        for (factor, count) in [2, 5].into_iter().zip(&mut places) {
            let factor = BigInt::from(factor);
            while (&rest % &factor).sign() == Sign::NoSign {
                rest /= &factor;
                *count += 1;
            }
        }
        if rest != BigInt::from(1) {
            return format!("{}/{}", self.above, self.below);
        }
        let places = places[0].max(places[1]);
        let digits: BigInt = magnitude(&self.above) * ten_to(places) / &self.below;
        let width = usize::try_from(places).unwrap_or(usize::MAX).saturating_add(1);
        let digits = format!("{digits:0>width$}", digits = digits.to_string());
        let (whole, fraction) = digits.split_at(digits.len() + 1 - width);
        let sign = if self.is_negative() { "-" } else { "" };
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.above * &other.below).cmp(&(&other.above * &self.below))
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Add for &Ratio {
    type Output = Ratio;
    fn add(self, other: Self) -> Ratio {
        Ratio::lowest(&self.above * &other.below + &other.above * &self.below, &self.below * &other.below)
    }
}

impl Sub for &Ratio {
    type Output = Ratio;
    fn sub(self, other: Self) -> Ratio {
        self + &-other
    }
}

impl Mul for &Ratio {
    type Output = Ratio;
    fn mul(self, other: Self) -> Ratio {
        Ratio::lowest(&self.above * &other.above, &self.below * &other.below)
    }
}

impl Neg for &Ratio {
    type Output = Ratio;
    fn neg(self) -> Ratio {
        Ratio { above: -&self.above, below: self.below.clone() }
    }
}

impl std::iter::Sum for Ratio {
    fn sum<I: Iterator<Item = Self>>(numbers: I) -> Self {
        numbers.fold(Self::whole(0), |sum, number| &sum + &number)
    }
}

/// Reads the value of a request by its digits, as `unscaled / 10^12`: `[-]digits[.digits]`, at most 12 digits after the
/// point that are not zeros at the end, below 10^15. Anything else is no number.
#[must_use]
pub fn read_value(text: &str) -> Option<i128> {
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (digits, "0"),
    };
    let is_plain = |part: &str| !part.is_empty() && part.chars().all(|letter| letter.is_ascii_digit());
    if !is_plain(whole) || !is_plain(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if whole.len() > 15 || fraction.len() > 12 {
        return None;
    }
    let size: i128 = format!("{whole}{fraction:0<12}").parse().ok()?;
    Some(if is_negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Ratio {
        Ratio::decimal(text.parse().unwrap())
    }

    #[test]
    fn numbers_print_and_round_as_a_page_says() {
        for (text, digits, step, minor) in [
            ("0.004", 2, 1, 0),
            ("0.005", 2, 1, 1),
            ("-0.005", 2, 1, -1),
            ("-0.0049", 2, 1, 0),
            ("1499.5", 0, 1, 1500),
            ("1.35", 2, 100, 100),
            ("1.5", 2, 100, 200),
            ("0.0155", 3, 10, 20),
        ] {
            assert_eq!(number(text).to_minor(digits, step), Some(minor), "{text}");
            assert_eq!(number(text).text(), text);
        }
        let third = Ratio::whole(-100).over(&Ratio::whole(3)).unwrap();
        assert_eq!((third.text().as_str(), third.to_quantity().text().as_str()), ("-100/3", "-33.333333333333"));
        assert_eq!(Ratio::whole(1).over(&Ratio::whole(1 << 30)).unwrap().text().len(), 32, "a GiB is a decimal");
        assert_eq!(number("7.2").to_multiple(&number("0.5"), Direction::Up), Some(number("7.5")));
        assert_eq!(number("7.2").to_multiple(&number("0.5"), Direction::Down), Some(number("7")));
        assert_eq!(number("-7.2").to_multiple(&number("100"), Direction::Up), Some(number("-100")));
        assert_eq!(Ratio::whole(i64::MAX).to_minor(1, 1), None);
        assert!(Ratio::whole(1).over(&Ratio::whole(0)).is_none());
    }

    #[test]
    fn values_are_read_by_their_digits_or_not_at_all() {
        for (text, value) in [
            ("7", Some(7_000_000_000_000)),
            ("-1.50", Some(-1_500_000_000_000)),
            ("007.0", Some(7_000_000_000_000)),
            ("0.1000000000000000", Some(100_000_000_000)),
            ("999999999999999", Some(999_999_999_999_999_000_000_000_000)),
            ("1000000000000000", None),
            ("0.0000000000001", None),
            ("1e3", None),
            (".5", None),
            ("1.", None),
            ("+1", None),
            ("1,5", None),
            ("-", None),
            ("", None),
            ("NaN", None),
        ] {
            assert_eq!(read_value(text), value, "{text}");
        }
    }
}
