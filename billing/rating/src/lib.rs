#![doc = include_str!("../README.md")]
// A wrong cast or a panic here is a wrong invoice. Tests may.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::as_conversions))]

pub mod allocate;
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
mod per_unit;
mod percentage;
pub mod prorate;
mod prorated;
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

use working::{Priced, Told};

/// Prices the usage of a period, or of the part of it that `usage.served` tells. A flat price takes any quantity that is
/// not negative and charges the same.
///
/// # Errors
/// [`RatingError`].
pub fn rate(tariff: &Tariff, usage: &Usage, currency: Currency) -> Result<Rated, RatingError> {
    let told = if is_plain(tariff) { Told::Tiers } else { Told::Components };
    let priced = price_told(tariff, usage, true, told)?;
    let sum = priced.sum()?;
    Ok(Rated { amount: rounded(sum, currency)?, working: priced.working(sum, tariff) })
}

/// The amount alone, where nobody reads the working.
///
/// # Errors
/// As [`rate`].
pub fn amount(tariff: &Tariff, usage: &Usage, currency: Currency) -> Result<Money, RatingError> {
    rounded(price(tariff, usage, true)?.sum()?, currency)
}

/// The one rounding of a printed line.
fn rounded(exact: Exact, currency: Currency) -> Result<Money, RatingError> {
    Money::round(exact, currency).map_err(|source| RatingError::Money { currency, source })
}

/// The steps of a line, in this order and no other; what a price does not name is left out. The minimum is due at the
/// end of a period only. Rounding, the last step, is the caller's: it rounds a difference of two of these as well.
fn price(tariff: &Tariff, usage: &Usage, is_last: bool) -> Result<Priced, RatingError> {
    price_told(tariff, usage, is_last, Told::Components)
}

fn price_told(tariff: &Tariff, usage: &Usage, is_last: bool, told: Told) -> Result<Priced, RatingError> {
    usage.check()?;
    if usage.quantity.is_negative() {
        return match tariff.settings.negative_total {
            NegativeTotal::Refused => Err(RatingError::NegativeQuantity(usage.quantity)),
            NegativeTotal::NothingDue => Ok(Priced::nothing(Exact::ZERO)),
        };
    }
    // 1 to 3. convert, round quantity, included units.
    let billable = steps::billable(tariff, usage)?;
    // 4. price.
    let mut priced = model(tariff, usage, billable, is_last, told)?;
    // 5 and 6. minimum and maximum, discount.
    steps::limit_and_discount(tariff, usage, is_last, &mut priced)?;
    Ok(priced)
}

/// One model, one file.
fn model(tariff: &Tariff, usage: &Usage, billable: Exact, is_last: bool, told: Told) -> Result<Priced, RatingError> {
    let settings = tariff.settings;
    let prorated = settings.quantity_basis == QuantityBasis::Prorated;
    match &tariff.model {
        PriceModel::Flat { amount } => flat::price(*amount, billable, usage, settings),
        PriceModel::PerUnit { unit_price } if prorated => per_unit::price(*unit_price, usage.prorated()?),
        PriceModel::PerUnit { unit_price } => per_unit::price(*unit_price, billable),
        PriceModel::Graduated { tiers } if prorated => prorated::price(tiers, usage, settings),
        PriceModel::Graduated { tiers } => graduated::price(tiers, billable, settings, told),
        PriceModel::Volume { tiers } => {
            let priced_units = if prorated { usage.prorated()? } else { billable };
            volume::price(tiers, billable, priced_units, settings, is_last)
        }
        PriceModel::Package { package_size, package_price, free_units } => {
            package::price(*package_size, *package_price, *free_units, billable, settings)
        }
        PriceModel::Percentage(percentage) => percentage::price(percentage, usage, settings),
        PriceModel::GraduatedPercentage { tiers } => graduated_percentage::price(tiers, billable, settings),
        PriceModel::Matrix { dimensions, cells, default_unit_price } => {
            matrix::price(dimensions, cells, *default_unit_price, tariff, usage)
        }
        PriceModel::Dynamic { multiplier } => dynamic::price(*multiplier, usage),
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
