//! `per_unit`: every unit costs the same, a fraction of a unit its fraction.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;

use super::RatingError;
use super::working::{Component, Priced};

pub(super) fn price(unit_price: Decimal, quantity: Exact) -> Result<Priced, RatingError> {
    let exact = quantity.checked_mul(unit_price.into())?;
    Ok(Priced::of(quantity, vec![Component::new("units", Some(quantity), exact)]))
}
