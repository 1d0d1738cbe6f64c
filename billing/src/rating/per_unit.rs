//! `per_unit`: every unit costs the same, a fraction of a unit its fraction.

use tollbook_schemas::decimal::Decimal;

use super::part::Part;

pub(super) fn price(unit_price: Decimal, quantity: Decimal) -> Part {
    Part::of_units(unit_price, quantity)
}
