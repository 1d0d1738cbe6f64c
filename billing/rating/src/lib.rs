#![doc = include_str!("../README.md")]
// A wrong cast or a panic here is a wrong invoice. Tests may.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::as_conversions))]

pub mod allocate;
mod capacity;
pub mod commitment;
pub mod coupon;
pub mod credit;
mod dynamic;
pub mod error;
pub mod estimate;
mod flat;
mod graduated;
mod graduated_percentage;
mod matrix;
pub mod opening;
mod package;
mod per_event;
mod per_unit;
mod percentage;
pub mod prorate;
mod prorated;
pub mod replay;
pub mod served;
pub mod split;
pub mod steps;
pub mod tax;
pub mod usage;
mod volume;
pub mod working;

use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::price::setting::{NegativeTotal, QuantityBasis};
use tollbook_schemas::price::{PriceModel, Steps, Tariff};

pub use error::RatingError;
pub use usage::{Event, Group, Usage};
pub use working::{Component, Rated, TierWorking, Working};

pub use replay::Book;
use replay::{PerEvent, Replay};
use working::{Priced, Told};

/// Prices the usage of a period, or of the part of it that `usage.served` tells. A flat price takes any quantity that
/// is not negative and charges the same.
///
/// # Errors
/// [`RatingError`].
pub fn rate<'a>(book: impl Into<Book<'a>>, usage: &Usage, currency: Currency) -> Result<Rated, RatingError> {
    let book = book.into();
    let is_told_by_tier = is_plain(book.tariff) && book.replay.is_none();
    let told = if is_told_by_tier { Told::Tiers } else { Told::Components };
    let priced = price_told(book, usage, true, told)?;
    let sum = priced.sum()?;
    Ok(Rated { amount: rounded(sum, currency)?, working: priced.working(sum, book.tariff) })
}

/// The amount alone, where nobody reads the working.
///
/// # Errors
/// As [`rate`].
pub fn amount<'a>(book: impl Into<Book<'a>>, usage: &Usage, currency: Currency) -> Result<Money, RatingError> {
    rounded(price(book.into(), usage, true)?.sum()?, currency)
}

/// The one rounding of a printed line.
fn rounded(exact: Exact, currency: Currency) -> Result<Money, RatingError> {
    Money::round(exact, currency).map_err(|source| RatingError::Money { currency, source })
}

/// The steps of a line, in this order and no other; what a price does not name is left out. The minimum is due at the
/// end of a period only. Rounding, the last step, is the caller's: it rounds a difference of two of these as well.
fn price(book: Book<'_>, usage: &Usage, is_last: bool) -> Result<Priced, RatingError> {
    price_told(book, usage, is_last, Told::Components)
}

fn price_told(book: Book<'_>, usage: &Usage, is_last: bool, told: Told) -> Result<Priced, RatingError> {
    usage.check()?;
    let replay = book.replay;
    // What is in other money is rounded when it was exchanged.
    let in_other_money =
        replay.exchange.is_some().then(|| Replay { component_rounding: None, exchange: None, ..replay.clone() });
    let book = Book { replay: in_other_money.as_ref().unwrap_or(replay), ..book };
    let mut priced = match book.replay.per_event {
        None | Some(PerEvent::Quantity) => price_alone(book, usage, is_last, told)?,
        // Its cells price each event.
        Some(_) if matches!(book.tariff.model, PriceModel::Matrix { .. }) => price_alone(book, usage, is_last, told)?,
        Some(PerEvent::Line) => per_event::price(book, usage, true, is_last)?,
        Some(PerEvent::Price) => {
            let mut priced = per_event::price(book, usage, false, is_last)?;
            after_model(book, usage, is_last, &mut priced)?;
            priced
        }
    };
    if matches!(book.replay.per_event, Some(PerEvent::Line | PerEvent::Price)) {
        replay::round_components(book.replay.component_rounding, &mut priced)?;
    }
    replay::exchange(replay, &mut priced)?;
    replay::take_part(replay.part, &mut priced)?;
    Ok(priced)
}

/// All of a quantity at once.
fn price_alone(book: Book<'_>, usage: &Usage, is_last: bool, told: Told) -> Result<Priced, RatingError> {
    // 1 and 2. convert, round quantity.
    let units = steps::units(book, usage)?;
    let is_below_zero = match book.replay.negative {
        None => usage.quantity.is_negative() || units.is_negative(),
        // What was counted has the say: parts that are rounded alone may add up to more than 0 where the usage does
        // not.
        Some(_) => units.is_negative() || (usage.quantity.is_negative() && units.is_zero()),
    };
    if is_below_zero && !per_event::gives_back(book, usage) {
        return match (book.replay.negative, book.tariff.settings.negative_total) {
            (Some(rule), _) => per_event::below_zero(book, usage, units, rule, is_last),
            (None, NegativeTotal::Refused) => {
                let quantity = if usage.quantity.is_negative() { None } else { units.to_decimal() };
                Err(RatingError::NegativeQuantity(quantity.unwrap_or(usage.quantity)))
            }
            (None, NegativeTotal::NothingDue) => Ok(Priced::nothing(Exact::ZERO)),
        };
    }
    // 3. included units.
    let billable = steps::billable(book, usage, units, is_last)?;
    // 4. price.
    let mut priced = model(book, usage, billable, is_last, told)?;
    after_model(book, usage, is_last, &mut priced)?;
    Ok(priced)
}

/// 5 and 6. minimum and maximum, discount; before them, what only a replay has.
fn after_model(book: Book<'_>, usage: &Usage, is_last: bool, priced: &mut Priced) -> Result<(), RatingError> {
    replay::round_components(book.replay.component_rounding, priced)?;
    replay::overage(book.replay.overage, priced)?;
    replay::include_amount(book.replay.included_amount, priced)?;
    if is_last {
        replay::give_back_unused(book, usage, priced)?;
    }
    steps::limit_and_discount(book, usage, is_last, priced)?;
    replay::round_components(book.replay.component_rounding, priced)
}

/// One model, one file.
fn model(book: Book<'_>, usage: &Usage, billable: Exact, is_last: bool, told: Told) -> Result<Priced, RatingError> {
    let Book { tariff, replay } = book;
    if let Some(tiers) = &replay.capacity {
        return capacity::price(tiers, usage);
    }
    let settings = tariff.settings;
    let prorated = settings.quantity_basis == QuantityBasis::Prorated;
    match &tariff.model {
        PriceModel::Flat { .. } if !is_last && flat::is_held(usage, settings) => Ok(Priced::nothing(billable)),
        PriceModel::Flat { amount } => flat::price(*amount, billable, usage, settings),
        PriceModel::PerUnit { unit_price } if prorated => per_unit::price(*unit_price, usage.prorated()?),
        PriceModel::PerUnit { unit_price } => per_unit::price(*unit_price, billable),
        PriceModel::Graduated { tiers } if prorated => prorated::price(tiers, usage, settings),
        PriceModel::Graduated { tiers } => graduated::price(tiers, replay, billable, settings, told),
        PriceModel::Volume { tiers } => {
            let priced_units = if prorated { usage.prorated()? } else { billable };
            volume::price(tiers, replay, billable, priced_units, settings, is_last)
        }
        PriceModel::Package { package_size, package_price, free_units } => {
            package::price(*package_size, *package_price, *free_units, billable, settings)
        }
        PriceModel::Percentage(percentage) => percentage::price(percentage, usage, settings, replay),
        PriceModel::GraduatedPercentage { tiers } => graduated_percentage::price(tiers, replay, billable, settings),
        PriceModel::Matrix { dimensions, cells, default_unit_price } => {
            matrix::price(dimensions, cells, *default_unit_price, book, usage, is_last)
        }
        PriceModel::Dynamic { multiplier } => dynamic::price(*multiplier, usage, replay),
    }
}

/// Whether the working has the form it had before there were steps: flat, per unit and graduated without any. It has
/// not, either, where a flat price is one of a part of its period.
fn is_plain(tariff: &Tariff) -> bool {
    let full = tariff.settings.quantity_basis == QuantityBasis::Full;
    let model = match &tariff.model {
        PriceModel::Flat { .. } | PriceModel::PerUnit { .. } => true,
        // Packages are told as components.
        PriceModel::Graduated { tiers } => tiers.iter().all(|tier| tier.package_size.is_none()),
        _ => false,
    };
    full && model && tariff.steps == Steps::default()
}

#[cfg(test)]
mod tests;
