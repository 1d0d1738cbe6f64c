//! `dynamic`: the events bring their price. Where the usage has events, their own amounts are added up; else the
//! quantity is an amount already, from a meter that sums them.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;

use super::RatingError;
use super::usage::Usage;
use super::working::{Component, Priced};

pub(super) fn price(multiplier: Decimal, usage: &Usage) -> Result<Priced, RatingError> {
    let amount = match &usage.events {
        None => Exact::from_decimal(usage.quantity),
        Some(events) => {
            let mut amount = Exact::ZERO;
            for event in events {
                let own = event.amount.ok_or(RatingError::MissingEvents("the amount"))?;
                if own.is_negative() {
                    return Err(RatingError::NegativeQuantity(own));
                }
                amount = amount.checked_add(own.into())?;
            }
            amount
        }
    };
    let exact = amount.checked_mul(multiplier.into())?;
    Ok(Priced::of(amount, vec![Component::new("amount", Some(amount), exact)]))
}
