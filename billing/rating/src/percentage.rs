//! `percentage`: a part of an amount, and what each event costs beside it.
//!
//! The first events are free while both allowances last: `free_events` counts them, `free_total` adds their amounts
//! up; one that is not named does not limit. An event that crosses `free_total` pays for the rest of its amount. What
//! an event that is not wholly free pays, fee included, is held between `event_minimum` and `event_maximum`.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::price::Percentage;
use tollbook_schemas::price::setting::{FixedFeeAtZeroTotal, Settings};

use super::RatingError;
use super::replay::{Negative, Replay, rounding_of};
use super::usage::{Event, Usage};
use super::working::{Component, Priced};

pub(super) fn price(
    price: &Percentage,
    usage: &Usage,
    settings: Settings,
    replay: &Replay,
) -> Result<Priced, RatingError> {
    let total = Exact::from_decimal(usage.quantity);
    if total.is_zero() && settings.fixed_fee_at_zero_total == FixedFeeAtZeroTotal::NotCharged {
        return Ok(Priced::nothing(total));
    }
    let has_negative =
        || usage.events.as_ref().is_some_and(|events| events.iter().any(|event| event.quantity.is_negative()));
    let is_replayed = replay.event_rounding.is_some() || (replay.negative.is_some() && has_negative());
    if price.needs_events() || is_replayed {
        let events = usage.events.as_ref().ok_or(RatingError::MissingEvents("the amount"))?;
        return of_events(price, events, total, replay);
    }
    let free = price.free_total.map_or(Exact::ZERO, Exact::from_decimal);
    let charged = total.checked_sub(free)?.most(Exact::ZERO)?;
    let mut components = vec![Component::new("percentage", Some(charged), part(price.percent, charged)?)];
    if price.fixed_fee != Decimal::ZERO {
        let count = Exact::whole(i64::from(usage.count().ok_or(RatingError::MissingEventCount)?));
        components.push(Component::new("fixed_fee", Some(count), count.checked_mul(price.fixed_fee.into())?));
    }
    Ok(Priced::of(total, components))
}

/// `percent` per cent of an amount.
pub(super) fn part(percent: Decimal, amount: Exact) -> Result<Exact, RatingError> {
    Ok(amount.checked_mul(percent.into())?.checked_mul(Exact::scaled(1, 2))?)
}

fn of_events(price: &Percentage, events: &[Event], total: Exact, replay: &Replay) -> Result<Priced, RatingError> {
    let free_events = match (price.free_events, price.free_total) {
        (Some(count), _) => usize::try_from(count).unwrap_or(usize::MAX),
        (None, Some(_)) => usize::MAX,
        (None, None) => 0,
    };
    let mut free_left = price.free_total.map(Exact::from_decimal);
    let (mut percentage, mut fees, mut raised, mut lowered) = (Exact::ZERO, Exact::ZERO, Exact::ZERO, Exact::ZERO);
    let (mut charged_total, mut charged_count, mut off) = (Exact::ZERO, 0_i64, Exact::ZERO);
    for (index, event) in events.iter().enumerate() {
        if event.quantity.is_negative() {
            let amount = Exact::from_decimal(event.quantity);
            match replay.negative {
                None => return Err(RatingError::NegativeQuantity(event.quantity)),
                Some(Negative::AsZero) => {}
                // Its per cent is given back, and nothing that is due for an event.
                Some(Negative::Mirrored | Negative::FirstTier) => {
                    let share = part(price.percent, amount)?;
                    off = off.checked_add(rounding_of(share, replay.event_rounding)?)?;
                    charged_total = charged_total.checked_add(amount)?;
                    percentage = percentage.checked_add(share)?;
                }
            }
            continue;
        }
        let amount = Exact::from_decimal(event.quantity);
        let free = if index >= free_events {
            Exact::ZERO
        } else {
            match free_left {
                None => amount,
                Some(left) => amount.least(left)?,
            }
        };
        if let Some(left) = free_left {
            free_left = Some(left.checked_sub(free)?);
        }
        let is_used_up = replay.is_free_total_end_charged && free_left.is_some_and(Exact::is_zero);
        if index < free_events && free == amount && !is_used_up {
            continue;
        }
        let charged = amount.checked_sub(free)?;
        let share = part(price.percent, charged)?;
        let due = share.checked_add(price.fixed_fee.into())?;
        let mut held = due;
        if let Some(least) = price.event_minimum {
            let least = Exact::from_decimal(least);
            raised = raised.checked_add(least.most(due)?.checked_sub(due)?)?;
            held = held.most(least)?;
        }
        if let Some(most) = price.event_maximum {
            let most = Exact::from_decimal(most);
            lowered = lowered.checked_add(most.least(due)?.checked_sub(due)?)?;
            held = held.least(most)?;
        }
        off = off.checked_add(rounding_of(held, replay.event_rounding)?)?;
        charged_total = charged_total.checked_add(charged)?;
        charged_count += 1;
        percentage = percentage.checked_add(share)?;
        fees = fees.checked_add(price.fixed_fee.into())?;
    }
    let mut components = vec![Component::new("percentage", Some(charged_total), percentage)];
    for (name, quantity, exact) in [
        ("fixed_fee", Some(Exact::whole(charged_count)), fees),
        ("event_minimum", None, raised),
        ("event_maximum", None, lowered),
        ("rounding of events", None, off),
    ] {
        if !exact.is_zero() {
            components.push(Component::new(name, quantity, exact));
        }
    }
    Ok(Priced::of(total, components))
}
