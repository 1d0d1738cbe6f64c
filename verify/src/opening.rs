//! A period of which another system billed a part before billing started here: what it came to by the same price is
//! taken off what the whole period comes to. Pure. From `docs/money.md`, "Going live beside another system", and not
//! from `billing`.

use std::collections::BTreeMap;

use serde::Serialize;
use tollbook_schemas::catalog::{Meter, Price};
use tollbook_schemas::meter::Aggregation;
use tollbook_schemas::money::Currency;
use tollbook_schemas::period::Period;
use tollbook_schemas::price::setting::{Per, Proration};
use tollbook_schemas::price::{PriceModel, Tariff};
use tollbook_schemas::registry::{GoingLive, Opening, OpeningOf, Subscription};

use crate::number::Ratio;
use crate::rating::{Dimensions, Served, Stretch, Used, Working, price};

/// What another system billed of a line's period, as printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LineOpening {
    /// What that comes to by the price of the line, in minor units.
    pub(crate) amount_minor: i64,
    quantity: String,
    whole_amount_minor: i64,
}

/// What is due here of a price, and how it came about.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) amount_minor: i64,
    /// Of the whole period.
    pub(crate) working: Working,
    pub(crate) opening: LineOpening,
}

/// Whether an opening is of a price.
fn is_of(opening: &Opening, price: &Price) -> bool {
    match &opening.of {
        OpeningOf::Meter(id) => price.meter.as_ref() == Some(id),
        OpeningOf::Price(id) => price.meter.is_none() && price.price_id == *id,
    }
}

/// What is billed here of a time in which a subscription ran, and what the other system billed of the same period,
/// where it did of a part; none where all of it is the other system's.
pub(crate) fn part_of<'a>(
    live: Option<&'a GoingLive>,
    subscription: &Subscription,
    ran: Period,
) -> Option<(Period, Option<Vec<&'a Opening>>)> {
    let Some(GoingLive { billing_starts_at, openings }) = live else { return Some((ran, None)) };
    if *billing_starts_at <= ran.start {
        return Some((ran, None));
    }
    let own = openings.iter().filter(|opening| opening.subscription_id == subscription.subscription_id);
    (*billing_starts_at < ran.end).then(|| (Period { start: *billing_starts_at, ..ran }, Some(own.collect())))
}

/// Nobody guesses: each price of a period of which a part was billed elsewhere has its opening, and each opening its
/// price.
///
/// # Errors
/// What has none, in words.
pub(crate) fn check(subscription: &Subscription, prices: &[Price], openings: &[&Opening]) -> Result<(), String> {
    let id = &subscription.subscription_id;
    if let Some(price) = prices.iter().find(|price| !openings.iter().any(|opening| is_of(opening, price))) {
        return Err(format!(
            "no opening says what was billed elsewhere of price {} of subscription {id}",
            price.price_id
        ));
    }
    let of_nothing = |opening: &&&Opening| !prices.iter().any(|price| is_of(opening, price));
    match openings.iter().filter(|opening| !Ratio::decimal(opening.quantity).is_zero()).find(of_nothing) {
        Some(opening) => Err(format!("an opening of subscription {id} is of no price of its plan: {:?}", opening.of)),
        None => Ok(()),
    }
}

/// What another system billed of a price, as if it had been used before.
///
/// # Errors
/// What does not add up, in words.
pub(crate) fn used_before(openings: &[&Opening], price: &Price, meter: Option<&Meter>) -> Result<Used, String> {
    let own: Vec<&&Opening> = openings.iter().filter(|opening| is_of(opening, price)).collect();
    let quantity: Ratio = own.iter().map(|opening| Ratio::decimal(opening.quantity)).sum();
    let Some(meter) = meter else { return Ok(Used::of(quantity)) };
    let adds_up = [Aggregation::Count, Aggregation::Sum, Aggregation::TimeWeighted].contains(&meter.aggregation);
    if !adds_up && !quantity.is_zero() {
        return Err(format!("an opening of price {} is of a meter whose values do not add up", price.price_id));
    }
    let event_count = own.iter().map(|opening| opening.event_count.map(i64::from)).sum();
    let there = own.iter().filter(|opening| !Ratio::decimal(opening.quantity).is_zero());
    let groups = there.map(|opening| (opening.dimensions.clone(), Ratio::decimal(opening.quantity)));
    let groups = (!meter.group_by.is_empty()).then(|| groups.collect());
    Ok(Used { event_count, groups, ..Used::of(quantity) })
}

/// Prices what was used since an opening: the whole period, less what the opening comes to. `since.served` is that of
/// the whole period.
///
/// # Errors
/// Why there is no amount, in words.
pub(crate) fn price_after(tariff: &Tariff, before: &Used, since: &Used, currency: Currency) -> Result<Rest, String> {
    let is_flat = matches!(tariff.model, PriceModel::Flat { .. });
    // Of nothing no tier is entered, though its flat price is due at 0 too.
    let is_nothing = before.quantity.is_zero() && before.event_count.unwrap_or(0) == 0;
    let whole = if is_flat || is_nothing { since.clone() } else { together(&tariff.model, before, since)? };
    let (whole_minor, working) = price(tariff, &whole, currency)?;
    let opening_minor = if is_nothing {
        0
    } else {
        // A minimum is due at the end, and so here.
        let mut tariff = tariff.clone();
        tariff.steps.minimum = None;
        let mut used = Used { served: since.served.clone(), ..before.clone() };
        if is_flat {
            // So many units, each for all of the period.
            (tariff.settings.per, tariff.settings.proration) = (Per::Unit, Proration::None);
            used.served = since.served.as_ref().map(|served| Served {
                whole: served.whole,
                stretches: vec![Stretch { length: served.whole, units: before.quantity.clone() }],
            });
        }
        price(&tariff, &used, currency)?.0
    };
    let amount_minor = whole_minor.checked_sub(opening_minor).ok_or("what is due does not fit 63 bits")?;
    let opening =
        LineOpening { amount_minor: opening_minor, quantity: before.quantity.text(), whole_amount_minor: whole_minor };
    Ok(Rest { amount_minor, working, opening })
}

/// What was used before and since, as one.
fn together(model: &PriceModel, before: &Used, since: &Used) -> Result<Used, String> {
    let event_count = match before.event_count.zip(since.event_count) {
        Some((one, other)) => Some(one.checked_add(other).ok_or("too many requests")?),
        None => None,
    };
    // Only a matrix asks for dimensions.
    let groups = match (model, &before.groups, &since.groups) {
        (PriceModel::Matrix { .. }, Some(before), Some(since)) => {
            let mut groups: BTreeMap<Dimensions, Ratio> = before.clone();
            for (values, quantity) in since {
                let sum = groups.entry(values.clone()).or_insert(Ratio::whole(0));
                *sum = &*sum + quantity;
            }
            Some(groups)
        }
        (PriceModel::Matrix { .. }, None, None) => None,
        (PriceModel::Matrix { .. }, ..) => return Err("the usage is not split".to_owned()),
        _ => None,
    };
    // Nobody can say which of the events came first where only some are known.
    let amounts = match (&before.amounts, &since.amounts) {
        (Some(before), Some(since)) => Some([before.as_slice(), since].concat()),
        (None, None) => None,
        _ => return Err("only a part of the events is known".to_owned()),
    };
    let pieces = vec![before.quantity.clone(), since.quantity.clone()];
    Ok(Used { quantity: pieces.iter().cloned().sum(), event_count, amounts, groups, pieces, ..since.clone() })
}

#[cfg(test)]
mod tests;
