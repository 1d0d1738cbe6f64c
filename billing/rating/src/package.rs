//! `package`: units are sold in packages; a started one costs a whole one, unless `package_remainder` says otherwise. A
//! tier of a graduated or volume price with a `package_size` sells its units so, too.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::{Direction, Exact};
use tollbook_schemas::price::Tier;
use tollbook_schemas::price::setting::{PackageRemainder, Settings};

use super::RatingError;
use super::working::{Component, Priced};

pub(super) fn price(
    package_size: Decimal,
    package_price: Decimal,
    free_units: Decimal,
    quantity: Exact,
    settings: Settings,
) -> Result<Priced, RatingError> {
    let sold = quantity.checked_sub(free_units.into())?.most(Exact::ZERO)?;
    let packages = packages(sold, package_size, settings)?;
    let exact = packages.checked_mul(package_price.into())?;
    Ok(Priced::of(quantity, vec![Component::new("packages", Some(packages), exact)]))
}

/// How many packages units make.
pub(super) fn packages(units: Exact, package_size: Decimal, settings: Settings) -> Result<Exact, RatingError> {
    let direction = match settings.package_remainder {
        PackageRemainder::Full => Direction::Up,
        PackageRemainder::Down => Direction::Down,
    };
    Ok(units.checked_div(package_size.into())?.round_to_multiple(Decimal::whole(1), direction)?)
}

/// What a tier sells of the units in it, and how it is called: units, or packages of them.
pub(super) fn sold(tier: &Tier, units: Exact, settings: Settings) -> Result<(Exact, &'static str), RatingError> {
    match tier.package_size {
        None => Ok((units, "units")),
        Some(size) => Ok((packages(units, size, settings)?, "packages")),
    }
}
