//! `flat`: the same amount for each period, whatever was used.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;

use super::RatingError;
use super::working::{Component, Priced};

pub(super) fn price(amount: Decimal, quantity: Exact) -> Result<Priced, RatingError> {
    Ok(Priced::of(quantity, vec![Component::new("amount", None, amount.into())]))
}
