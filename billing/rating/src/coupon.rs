//! Coupons over several lines: how much each takes off each of its lines.
//!
//! Coupons apply one after the other, each to what the ones before left. A coupon never takes off more than its lines
//! are worth; what it does take off is split by what its lines are worth at that moment.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};

use super::allocate::{allocate, shares};
use super::percentage::part;
use super::{RatingError, rounded};

/// How one amount is split over lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Split {
    /// Into minor units that add up to it.
    #[default]
    LargestRemainder,
    /// Into exact fractions, which are not printed. As Lago.
    Exact,
}

/// What a coupon takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// An amount in all.
    Amount(Money),
    /// A part of each line, per cent.
    Percent(Decimal),
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
/// [`RatingError::Input`] for a line that is not there; [`RatingError::Overflow`], [`RatingError::Money`].
pub fn reductions(
    lines: &[Money],
    coupons: &[Coupon],
    split: Split,
    currency: Currency,
) -> Result<Vec<Exact>, RatingError> {
    let mut left: Vec<Exact> = lines.iter().map(|line| Exact::scaled(line.minor, currency.exponent())).collect();
    let before = left.clone();
    for coupon in coupons {
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
        };
        let parts = match split {
            Split::Exact => shares(off, &weights)?,
            Split::LargestRemainder => {
                let parts = allocate(rounded(off, currency)?, &weights)?;
                parts.into_iter().map(|part| Exact::scaled(part.minor, currency.exponent())).collect()
            }
        };
        for (index, part) in mine.into_iter().zip(parts) {
            left[index] = left[index].checked_sub(part)?;
        }
    }
    before.into_iter().zip(left).map(|(before, left)| Ok(before.checked_sub(left)?)).collect()
}
