//! `flat`: the same amount for each period, whatever was used.

use tollbook_schemas::decimal::Decimal;

use super::part::Part;

pub(super) fn price(amount: Decimal) -> Part {
    Part::fixed(amount)
}
