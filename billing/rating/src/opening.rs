//! A period of which another system billed a part before billing began here: what is due is what the whole comes to,
//! less what the other system's part came to by the same price. So tiers, free and included units, a minimum and a
//! maximum go on from where the other system stopped.
//!
//! Decisions:
//!
//! - nothing that was billed elsewhere is nothing: 0 takes no flat price of a tier off, though that is due at 0 too;
//! - a minimum is due at the end of a period, so the other system has not charged it: what its part came to counts
//!   towards it. A volume price was charged by the tier that its part lay in;
//! - of a flat price the quantity is how many units of it were billed, each for the whole period: a half is half of it.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::price::setting::{Per, Proration};
use tollbook_schemas::price::{PriceModel, Settings, Steps, Tariff};

use super::served::{Served, Stretch};
use super::split::minus;
use super::usage::Usage;
use super::{Book, Rated, RatingError, amount, rate};

/// What is due, and of which two it is the difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remainder {
    /// What is due here.
    pub due: Money,
    /// What the opening comes to.
    pub opening: Money,
    /// What the whole period comes to, with its working.
    pub whole: Rated,
}

/// Prices what was used since an opening. `since.served` is that of the whole period: what ran before the other system
/// stopped is part of it.
///
/// # Errors
/// [`RatingError`].
pub fn rate_after<'a>(
    book: impl Into<Book<'a>>,
    opening: &Usage,
    since: &Usage,
    currency: Currency,
) -> Result<Remainder, RatingError> {
    let book = book.into();
    let tariff = book.tariff;
    let is_flat = matches!(tariff.model, PriceModel::Flat { .. });
    let whole = match (is_flat || is_nothing(opening), &tariff.model) {
        (true, _) => since.clone(),
        // Only a matrix asks for the dimensions; another price needs the whole alone.
        (false, PriceModel::Matrix { .. }) => joined(opening, since)?,
        (false, _) => joined(&without_groups(opening), &without_groups(since))?,
    };
    let whole = rate(book, &whole, currency)?;
    let opening = match (is_nothing(opening), is_flat) {
        (true, _) => Money::zero(currency),
        (false, true) => amount(&units_of(tariff), &units(opening.quantity, since), currency)?,
        (false, false) => {
            let tariff = Tariff { steps: Steps { minimum: None, ..tariff.steps }, ..tariff.clone() };
            let book = Book { tariff: &tariff, ..book };
            amount(book, &Usage { served: since.served.clone(), ..opening.clone() }, currency)?
        }
    };
    Ok(Remainder { due: minus(whole.amount, opening)?, opening, whole })
}

/// Both as one; what was served is that of the whole period, and `since` says it.
fn joined(opening: &Usage, since: &Usage) -> Result<Usage, RatingError> {
    let [opening, bare] = [opening, since].map(|usage| Usage { served: None, ..usage.clone() });
    Ok(Usage { served: since.served.clone(), ..opening.then(&bare)? })
}

fn is_nothing(usage: &Usage) -> bool {
    usage.quantity == Decimal::ZERO && usage.count().unwrap_or(0) == 0
}

fn without_groups(usage: &Usage) -> Usage {
    Usage { groups: None, ..usage.clone() }
}

/// A flat price that charges units for the whole period.
fn units_of(tariff: &Tariff) -> Tariff {
    let settings = Settings { per: Per::Unit, proration: Proration::None, ..tariff.settings };
    Tariff { steps: Steps { minimum: None, ..tariff.steps }, settings, ..tariff.clone() }
}

fn units(quantity: Decimal, since: &Usage) -> Usage {
    let served = since.served.as_ref().map(|served| served.whole).unwrap_or_default();
    let stretches = vec![Stretch { length: served, units: quantity }];
    Usage { served: Some(Served { whole: served, stretches }), ..Usage::of(quantity) }
}

#[cfg(test)]
mod tests;
