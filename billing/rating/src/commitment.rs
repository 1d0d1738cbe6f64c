//! Commitments: what is missing, at the end of a period, to the least that was agreed.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::money::{Currency, Money};

use super::RatingError;
use super::prorate::{Share, prorate};
use super::split::minus;

/// The true-up: the commitment's part for this share of the period, rounded, less what the period's printed lines add
/// up to; never below zero. It is one line for all lines that count towards the commitment, however the period was
/// split, so it cannot be charged twice.
///
/// # Errors
/// [`RatingError`].
pub fn true_up(commitment: Decimal, share: Share, billed: Money, currency: Currency) -> Result<Money, RatingError> {
    let missing = minus(prorate(commitment, share, currency)?, billed)?;
    Ok(if missing.minor < 0 { Money::zero(currency) } else { missing })
}
