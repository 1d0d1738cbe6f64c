//! Coupons over several lines: how much each takes off each of its lines.
//!
//! Coupons apply one after the other, each to what the ones before left. A coupon never takes off more than its lines
//! are worth; what it does take off is split by what its lines are worth at that moment.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};

use super::allocate::{allocate, shares};
use super::percentage::part;
use super::split::minus;
use super::{RatingError, rounded};

/// How one amount is split over lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Split {
    /// Into minor units that add up to it.
    #[default]
    LargestRemainder,
    /// Into exact fractions, which are not printed. As Lago.
    Exact,
    /// Into minor units, each part rounded alone: they may miss the amount by some. As Flexprice; for replaying it
    /// only.
    Each,
    /// Into minor units, each part rounded alone, and the first takes what is left. As UniBee; for replaying it only.
    First,
    /// The same, and the last takes it.
    Last,
}

/// What a coupon takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// An amount in all.
    Amount(Money),
    /// A part of each line, per cent.
    Percent(Decimal),
    /// The same, an amount at most; for replaying other systems only.
    PercentUpTo(Decimal, Money),
}

/// One coupon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupon {
    /// What it takes off.
    pub off: Off,
    /// The lines that it applies to, by their index; `None` for all.
    pub lines: Option<Vec<usize>>,
}

/// What all coupons take off each line, in major units, not negative.
///
/// # Errors
/// [`RatingError::Input`] for a line that is not there, a coupon below zero, or an amount in another currency;
/// [`RatingError::Overflow`], [`RatingError::Money`].
pub fn reductions(
    lines: &[Money],
    coupons: &[Coupon],
    split: Split,
    currency: Currency,
) -> Result<Vec<Exact>, RatingError> {
    let foreign = lines.iter().map(|line| line.currency).find(|other| *other != currency);
    foreign.map_or(Ok(()), |other| Err(in_another_currency("a line", other, currency)))?;
    let lines: Vec<Exact> = lines.iter().map(|line| Exact::scaled(line.minor, currency.exponent())).collect();
    reductions_of(&lines, coupons, split, currency)
}

/// The same of lines in major units, which may have more digits than the currency: those of other systems.
pub(crate) fn reductions_of(
    lines: &[Exact],
    coupons: &[Coupon],
    split: Split,
    currency: Currency,
) -> Result<Vec<Exact>, RatingError> {
    let before = lines.to_vec();
    let mut left = before.clone();
    for coupon in coupons {
        check(coupon, currency)?;
        let mut mine = coupon.lines.clone().unwrap_or_else(|| (0..lines.len()).collect());
        mine.sort_unstable();
        mine.dedup();
        if let Some(missing) = mine.iter().find(|index| **index >= lines.len()) {
            let what = format!("a coupon applies to line {missing}, and there are {} lines", lines.len());
            return Err(RatingError::Input { what, mend: "count lines from 0" });
        }
        // A negative line is a credit already; nothing is taken off it.
        mine.retain(|index| !left[*index].is_negative());
        let weights: Vec<Exact> = mine.iter().map(|index| left[*index]).collect();
        let mut worth = Exact::ZERO;
        for weight in &weights {
            worth = worth.checked_add(*weight)?;
        }
        if worth.is_zero() {
            continue;
        }
        let off = match coupon.off {
            Off::Amount(amount) => Exact::scaled(amount.minor, currency.exponent()).least(worth)?,
            Off::Percent(percent) => part(percent, worth)?.least(worth)?,
            Off::PercentUpTo(percent, most) => {
                part(percent, worth)?.least(worth)?.least(Exact::scaled(most.minor, currency.exponent()))?
            }
        };
        for (index, part) in mine.into_iter().zip(split_off(off, &weights, split, currency)?) {
            left[index] = left[index].checked_sub(part)?;
        }
    }
    before.into_iter().zip(left).map(|(before, left)| Ok(before.checked_sub(left)?)).collect()
}

/// What is taken off each of several lines of an amount.
pub(crate) fn split_off(
    off: Exact,
    weights: &[Exact],
    split: Split,
    currency: Currency,
) -> Result<Vec<Exact>, RatingError> {
    let parts = match split {
        Split::Exact => return shares(off, weights),
        Split::Each => rounded_each(off, weights, currency)?,
        Split::LargestRemainder => allocate(rounded(off, currency)?, weights)?,
        Split::First | Split::Last => with_the_rest(rounded(off, currency)?, weights, split == Split::First)?,
    };
    Ok(parts.into_iter().map(|part| Exact::scaled(part.minor, currency.exponent())).collect())
}

/// The shares of an amount, each rounded alone, as some systems do it; what they add up to is not the amount.
pub(crate) fn rounded_each(amount: Exact, weights: &[Exact], currency: Currency) -> Result<Vec<Money>, RatingError> {
    shares(amount, weights)?.into_iter().map(|share| rounded(share, currency)).collect()
}

/// The same, where the first or the last part takes what is left.
pub(crate) fn with_the_rest(amount: Money, weights: &[Exact], is_first: bool) -> Result<Vec<Money>, RatingError> {
    let mut parts = rounded_each(Exact::scaled(amount.minor, amount.currency.exponent()), weights, amount.currency)?;
    let rest = parts.iter().try_fold(amount, |rest, part| minus(rest, *part))?;
    if let Some(taker) = if is_first { parts.first_mut() } else { parts.last_mut() } {
        let add = |source| RatingError::Money { currency: amount.currency, source };
        *taker = taker.checked_add(rest).map_err(add)?;
    }
    Ok(parts)
}

/// What is below zero would add to its lines, and what is of another currency has other minor units.
fn check(coupon: &Coupon, currency: Currency) -> Result<(), RatingError> {
    let below_zero = |off: String| RatingError::Input {
        what: format!("a coupon takes off {off}, which is below zero"),
        mend: "give what it takes off as a positive number; what is to be added is a line of its own",
    };
    match coupon.off {
        Off::Amount(amount) | Off::PercentUpTo(_, amount) if amount.currency != currency => {
            Err(in_another_currency("a coupon", amount.currency, currency))
        }
        Off::Amount(amount) | Off::PercentUpTo(_, amount) if amount.minor < 0 => Err(below_zero(amount.to_string())),
        Off::Percent(percent) | Off::PercentUpTo(percent, _) if percent.unscaled() < 0 => {
            Err(below_zero(format!("{percent} %")))
        }
        Off::Amount(_) | Off::Percent(_) | Off::PercentUpTo(..) => Ok(()),
    }
}

fn in_another_currency(what: &str, found: Currency, expected: Currency) -> RatingError {
    let what = format!("{what} is in {found}, and the lines are billed in {expected}");
    RatingError::Input { what, mend: "give one currency for all" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        let (minor, code) = text.split_once(' ').unwrap();
        Money { minor: minor.parse().unwrap(), currency: Currency::parse(code).unwrap() }
    }

    /// What a coupon takes off one line of 10.00 EUR, or why it takes off nothing.
    #[test]
    fn a_coupon_takes_off_and_never_adds() {
        for (line, off, told) in [
            ("1000 EUR", Off::Amount(money("250 EUR")), "2.5"),
            ("1000 EUR", Off::Amount(money("0 EUR")), "0"),
            ("1000 EUR", Off::Amount(money("2000 EUR")), "10"),
            ("1000 EUR", Off::Percent("25".parse().unwrap()), "2.5"),
            ("1000 EUR", Off::Amount(money("-1 EUR")), "takes off -0.01 EUR, which is below zero"),
            ("0 EUR", Off::Amount(money("-1 EUR")), "which is below zero"),
            ("1000 EUR", Off::Percent("-0.001".parse().unwrap()), "takes off -0.001 %, which is below zero"),
            ("1000 EUR", Off::Amount(money("250 JPY")), "a coupon is in JPY, and the lines are billed in EUR"),
            ("1000 JPY", Off::Amount(money("250 EUR")), "a line is in JPY, and the lines are billed in EUR"),
        ] {
            let coupon = Coupon { off, lines: None };
            let found = reductions(&[money(line)], &[coupon], Split::default(), Currency::parse("EUR").unwrap());
            match found {
                Ok(off) => assert_eq!(off[0].to_string(), told, "{line}"),
                Err(error) => {
                    assert!(matches!(error, RatingError::Input { .. }), "{error}");
                    assert!(error.to_string().contains(told), "{told}: {error}");
                }
            }
        }
    }
}
