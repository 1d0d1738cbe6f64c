//! Going live beside another system: which part of a period is billed here, and from where its prices go on.
//!
//! Nothing before a partner's `billing_starts_at` is billed here: a period that ends by then is the other system's, and
//! what comes late for it is told and never billed. Of the period that holds that instant only what was used since is
//! counted, and each of its prices costs what the whole period comes to, less what the other system's part came to by
//! the same price (`rating::opening`). What that part was, an opening must say of every price, 0 too: else the customer
//! would pay twice, or get the included units twice, by a guess.

use std::collections::BTreeSet;

use tollbook_schemas::catalog::{Aggregation, Meter, Price};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{MeterId, PartnerId};
use tollbook_schemas::period::{Period, print_instant};
use tollbook_schemas::registry::{GoingLive, Opening, OpeningOf, Subscription};

use super::DraftInput;
use super::index::UsageIndex;
use crate::rating::Usage;
use crate::rating::usage::Group;

/// What of a period is billed here.
pub(super) enum Part<'a> {
    /// Nothing.
    Elsewhere,
    /// All of it.
    Whole,
    /// What comes after the instant at which billing started.
    Since { billed: Period, openings: Vec<&'a Opening> },
}

/// The part of what ran that is billed here.
pub(super) fn part_of<'a>(live: Option<&'a GoingLive>, subscription: &Subscription, ran: Period) -> Part<'a> {
    let Some(live) = live.filter(|live| ran.start < live.billing_starts_at) else { return Part::Whole };
    if ran.end <= live.billing_starts_at {
        return Part::Elsewhere;
    }
    let own = live.openings.iter().filter(|opening| opening.subscription_id == subscription.subscription_id);
    Part::Since { billed: Period { start: live.billing_starts_at, end: ran.end }, openings: own.collect() }
}

fn is_of(opening: &Opening, price: &Price) -> bool {
    match (&opening.of, &price.meter) {
        (OpeningOf::Meter(meter_id), Some(own)) => meter_id == own,
        (OpeningOf::Price(price_id), None) => *price_id == price.price_id,
        _ => false,
    }
}

/// Every price has its opening, and every opening its price.
pub(super) fn check(subscription: &Subscription, prices: &[Price], openings: &[&Opening]) -> Result<(), String> {
    let id = &subscription.subscription_id;
    if let Some(price) = prices.iter().find(|price| !openings.iter().any(|opening| is_of(opening, price))) {
        let of = match &price.meter {
            Some(meter_id) => format!("meter_id {meter_id}"),
            None => format!("price_id {}", price.price_id),
        };
        return Err(format!(
            "billing starts inside a period of subscription {id}, and no opening says what was billed elsewhere of its \
             price {}; record opening.recorded with {of}, with quantity 0 where nothing was",
            price.price_id
        ));
    }
    let is_idle =
        |opening: &&&Opening| opening.quantity != Decimal::ZERO && !prices.iter().any(|price| is_of(opening, price));
    match openings.iter().find(is_idle).map(|opening| &opening.of) {
        None => Ok(()),
        Some(OpeningOf::Meter(one)) => Err(idle(subscription, &format!("meter_id {one}"))),
        Some(OpeningOf::Price(one)) => Err(idle(subscription, &format!("price_id {one}"))),
    }
}

fn idle(subscription: &Subscription, of: &str) -> String {
    format!(
        "an opening of subscription {} has {of}, of which its plan has no {} price; record it again with quantity 0",
        subscription.subscription_id,
        if of.starts_with("meter_id") { "metered" } else { "flat" }
    )
}

/// What was billed elsewhere for one price, as usage.
pub(super) fn usage_of(
    openings: &[&Opening],
    price: &Price,
    meter: Option<(&MeterId, &Meter)>,
) -> Result<Usage, String> {
    let own: Vec<&&Opening> = openings.iter().filter(|opening| is_of(opening, price)).collect();
    let too_big = || format!("the openings of price {} do not fit", price.price_id);
    let mut quantity = Decimal::ZERO;
    let mut event_count = Some(0_u32);
    for opening in &own {
        quantity = quantity.checked_add(opening.quantity).map_err(|_| too_big())?;
        event_count = match (event_count, opening.event_count) {
            (Some(sum), Some(more)) => Some(sum.checked_add(more).ok_or_else(too_big)?),
            _ => None,
        };
    }
    let Some((meter_id, meter)) = meter else { return Ok(Usage::of(quantity)) };
    let adds_up = matches!(meter.aggregation, Aggregation::Count | Aggregation::Sum | Aggregation::TimeWeighted);
    if !adds_up && quantity != Decimal::ZERO {
        return Err(format!(
            "the opening of meter {meter_id} is {quantity}, and its values do not add up: nobody can say what the whole \
             period comes to; start billing with a period of the subscription"
        ));
    }
    let groups = (!meter.group_by.is_empty()).then(|| {
        let used = own.iter().filter(|opening| opening.quantity != Decimal::ZERO);
        used.map(|opening| Group { values: opening.dimensions.clone(), quantity: opening.quantity }).collect()
    });
    Ok(Usage { event_count, groups, ..Usage::of(quantity) })
}

/// Why a partner has nothing to bill in a month that another system bills.
pub(super) fn elsewhere(input: &DraftInput<'_>, partner_id: &PartnerId) -> Option<String> {
    let live = input.registry.going_live.get(partner_id)?;
    Some(format!("billed elsewhere until {} (billing_starts_at)", print_instant(live.billing_starts_at)))
}

/// What a partner used in the month before billing started here: told, and never billed.
pub(super) fn used_before(input: &DraftInput<'_>, usage: &UsageIndex<'_>, partner_id: &PartnerId) -> Option<String> {
    let live = input.registry.going_live.get(partner_id)?;
    let month = input.month.to_string();
    let used = usage.meters_of(partner_id).filter(|(_, slices)| {
        slices.iter().any(|slice| {
            slice.event_count > 0
                && slice.slice.start < live.billing_starts_at
                && slice.event_date.format("%Y-%m").to_string() == month
        })
    });
    let meters: BTreeSet<&str> = used.map(|(meter_id, _)| meter_id.as_str()).collect();
    if meters.is_empty() {
        return None;
    }
    let meters = meters.into_iter().collect::<Vec<_>>().join(", ");
    let at = print_instant(live.billing_starts_at);
    Some(format!("its production usage of {meters} before {at} (billing_starts_at) is not billed here"))
}

#[cfg(test)]
mod tests;
