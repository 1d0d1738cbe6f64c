//! Events that are priced one by one, and quantities below zero: rules of other systems ([`super::replay`]).

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::price::{PriceModel, Steps, Tariff, Tier};

use super::replay::{Book, Negative, Replay, round_components, rounding_of};
use super::steps::{billable, converted, discount, included};
use super::usage::{Event, Usage};
use super::working::{Component, Priced, Told};
use super::{RatingError, model};

/// The quantity of an event, where each counts a least.
pub(super) fn counted(quantity: Decimal, least: Option<Decimal>) -> Result<Decimal, RatingError> {
    match least {
        Some(least) if quantity.is_negative() => Ok(quantity.min(negated(least)?)),
        Some(least) if quantity > Decimal::ZERO => Ok(quantity.max(least)),
        _ => Ok(quantity),
    }
}

/// Each event through steps 1 to 4, with limits or without, as one line. `is_line`: each has limits and a discount of
/// its own.
pub(super) fn price(book: Book<'_>, usage: &Usage, is_line: bool, is_last: bool) -> Result<Priced, RatingError> {
    let events = usage.events.as_ref().ok_or(RatingError::MissingEvents("the quantity"))?;
    // Components are those of all events together, and rounded as that.
    let alone = Replay {
        per_event: None,
        event_rounding: None,
        component_rounding: None,
        overage: None,
        ..book.replay.clone()
    };
    let of_line = Replay { overage: book.replay.overage, ..alone.clone() };
    let bare = Tariff { steps: Steps { included: None, ..without_limits(book.tariff.steps) }, ..book.tariff.clone() };
    let mut included_left = included(book.tariff, usage)?;
    let mut priced = Priced::nothing(Exact::ZERO);
    let mut off = Exact::ZERO;
    for event in events {
        let quantity = counted(event.quantity, book.replay.event_quantity_minimum)?;
        let one = Usage { served: usage.served.clone(), ..Usage::of_events(vec![Event { quantity, ..*event }])? };
        let of_event = if is_line {
            super::price_alone(Book { tariff: book.tariff, replay: &of_line }, &one, is_last, Told::Components)?
        } else if quantity.is_negative() {
            super::price_alone(Book { tariff: &bare, replay: &alone }, &one, is_last, Told::Components)?
        } else {
            let units = converted(book.tariff, quantity)?;
            let free = units.least(included_left)?;
            included_left = included_left.checked_sub(free)?;
            model(Book { tariff: &bare, replay: &alone }, &one, units.checked_sub(free)?, is_last, Told::Components)?
        };
        off = off.checked_add(rounding_of(of_event.sum()?, book.replay.event_rounding)?)?;
        add(&mut priced, of_event)?;
    }
    if !off.is_zero() {
        priced.components.push(Component::new("rounding of events", None, off));
    }
    Ok(priced)
}

/// Steps without those after the model.
fn without_limits(steps: Steps) -> Steps {
    Steps { minimum: None, maximum: None, discount_percent: None, ..steps }
}

/// Adds components of the same name up.
fn add(sum: &mut Priced, more: Priced) -> Result<(), RatingError> {
    sum.billable = sum.billable.checked_add(more.billable)?;
    for component in more.components {
        let same = |other: &&mut Component| other.name == component.name && other.tier == component.tier;
        match sum.components.iter_mut().find(same) {
            None => sum.components.push(component),
            Some(other) => {
                other.exact = other.exact.checked_add(component.exact)?;
                other.quantity = match (other.quantity, component.quantity) {
                    (Some(one), Some(two)) => Some(one.checked_add(two)?),
                    (one, two) => one.or(two),
                };
            }
        }
    }
    Ok(())
}

/// Whether a price has its own way with what is below zero: events of a percentage give their share back, and
/// combinations of a matrix and amounts of a dynamic price are below zero one by one.
pub(super) fn gives_back(book: Book<'_>, usage: &Usage) -> bool {
    match (book.replay.negative, &book.tariff.model) {
        (Some(Negative::Mirrored | Negative::FirstTier), PriceModel::Percentage(_)) => usage.events.is_some(),
        (Some(_), PriceModel::Matrix { .. } | PriceModel::Dynamic { .. }) => true,
        _ => false,
    }
}

/// A quantity below zero, and the units that it was counted as, under a rule of another system.
pub(super) fn below_zero(
    book: Book<'_>,
    usage: &Usage,
    units: Exact,
    rule: Negative,
    is_last: bool,
) -> Result<Priced, RatingError> {
    let tariff = match (rule, &book.tariff.model) {
        (Negative::AsZero, _) => {
            let nothing = Usage { served: usage.served.clone(), carried: usage.carried, ..Usage::default() };
            let nothing = Usage { event_count: Some(0), events: usage.events.as_ref().map(|_| Vec::new()), ..nothing };
            return super::price_alone(book, &nothing, is_last, Told::Components);
        }
        (Negative::FirstTier, PriceModel::Graduated { tiers }) => {
            Tariff { model: PriceModel::Graduated { tiers: first_alone(tiers) }, ..book.tariff.clone() }
        }
        (Negative::FirstTier, PriceModel::Volume { tiers }) => {
            Tariff { model: PriceModel::Volume { tiers: first_alone(tiers) }, ..book.tariff.clone() }
        }
        _ => book.tariff.clone(),
    };
    let steps = Steps { discount_percent: tariff.steps.discount_percent, ..without_limits(tariff.steps) };
    let tariff = Tariff { steps, ..tariff };
    let replay = Replay {
        per_event: None,
        tier_limits: Vec::new(),
        overage: None,
        quantity_minimum: None,
        quantity_maximum: None,
        ..book.replay.clone()
    };
    // No fee of an event is given back.
    let magnitude = Usage {
        carried: usage.carried,
        served: usage.served.clone(),
        event_count: Some(0),
        ..Usage::of(negated(usage.quantity)?)
    };
    let mirrored = Book { tariff: &tariff, replay: &replay };
    let billable = billable(mirrored, &magnitude, Exact::ZERO.checked_sub(units)?, true)?;
    let mut priced = model(mirrored, &magnitude, billable, is_last, Told::Components)?;
    // What has no quantity is a flat price, which is not given back.
    priced.components.retain(|component| component.quantity.is_some());
    priced.billable = Exact::ZERO.checked_sub(priced.billable)?;
    for component in &mut priced.components {
        component.exact = Exact::ZERO.checked_sub(component.exact)?;
        component.quantity = component.quantity.map(|quantity| Exact::ZERO.checked_sub(quantity)).transpose()?;
    }
    round_components(replay.component_rounding, &mut priced)?;
    discount(&tariff, replay.component_rounding, &mut priced)?;
    Ok(priced)
}

fn negated(quantity: Decimal) -> Result<Decimal, RatingError> {
    Ok(Decimal::ZERO.checked_sub(quantity)?)
}

/// The first tier, without an end.
fn first_alone(tiers: &[Tier]) -> Vec<Tier> {
    tiers.first().map(|first| Tier { up_to: None, ..*first }).into_iter().collect()
}
