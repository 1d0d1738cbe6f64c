//! `dynamic`: the events bring their price. Where the usage has events, their own amounts are added up; else the
//! quantity is an amount already, from a meter that sums them.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::Currency;

use super::RatingError;
use super::replay::rounding_of;
use super::usage::Usage;
use super::working::{Component, Priced};

pub(super) fn price(
    multiplier: Decimal,
    usage: &Usage,
    event_rounding: Option<Currency>,
) -> Result<Priced, RatingError> {
    let mut off = Exact::ZERO;
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
                off = off.checked_add(rounding_of(own.times(multiplier), event_rounding)?)?;
            }
            amount
        }
    };
    let exact = amount.checked_mul(multiplier.into())?;
    let mut components = vec![Component::new("amount", Some(amount), exact)];
    if !off.is_zero() {
        components.push(Component::new("rounding of events", None, off));
    }
    Ok(Priced::of(amount, components))
}
