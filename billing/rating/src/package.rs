//! `package`: units are sold in packages; a started one costs a whole one, unless `package_remainder` says otherwise.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::{Direction, Exact};
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
    let direction = match settings.package_remainder {
        PackageRemainder::Full => Direction::Up,
        PackageRemainder::Down => Direction::Down,
    };
    let packages = sold.checked_div(package_size.into())?.round_to_multiple(Decimal::whole(1), direction)?;
    let exact = packages.checked_mul(package_price.into())?;
    Ok(Priced::of(quantity, vec![Component::new("packages", Some(packages), exact)]))
}
