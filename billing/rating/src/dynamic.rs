//! `dynamic`: the events bring their price. Where the usage has events, their own amounts are added up; else the
//! quantity is an amount already, from a meter that sums them.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;

use super::RatingError;
use super::replay::{Negative, Replay, rounding_of};
use super::usage::Usage;
use super::working::{Component, Priced};

pub(super) fn price(multiplier: Decimal, usage: &Usage, replay: &Replay) -> Result<Priced, RatingError> {
    // A price of ours has no amount below zero; what another system does with one is said.
    let counted = |amount: Decimal| match replay.negative {
        _ if !amount.is_negative() => Ok(amount),
        None => Err(RatingError::NegativeQuantity(amount)),
        Some(Negative::AsZero) => Ok(Decimal::ZERO),
        Some(Negative::Mirrored | Negative::FirstTier) => Ok(amount),
    };
    let mut off = Exact::ZERO;
    let amount = match &usage.events {
        None if replay.event_rounding.is_some() => return Err(RatingError::MissingEvents("the amount")),
        None => Exact::from_decimal(counted(usage.quantity)?),
        Some(events) => {
            let mut amount = Exact::ZERO;
            for event in events {
                let own = counted(event.amount.ok_or_else(no_amount)?)?;
                amount = amount.checked_add(own.into())?;
                off = off.checked_add(rounding_of(own.times(multiplier), replay.event_rounding)?)?;
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

/// A bare number of an event is its quantity, and costs what somebody says that it does.
fn no_amount() -> RatingError {
    RatingError::Input {
        what: "the price needs the amount of each event, and an event has none".to_owned(),
        mend: "write each event as {\"amount\": \"1.50\"}, what it says that it costs; or give their sum as quantity",
    }
}
