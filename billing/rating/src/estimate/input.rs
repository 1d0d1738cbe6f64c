//! Readers of the estimate's own input: usage, lists of it, amounts.

use std::collections::BTreeMap;

use tollbook_schemas::decimal::{Decimal, DecimalError};
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::price::node::{Key, Node, Value};
use tollbook_schemas::price::read::{Reading, Table, mend_of};

use super::stretches::served;
use super::whole_money;
use crate::RatingError;
use crate::capacity::UNIT;
use crate::usage::{Event, Group, Usage, is_part_of};

/// Values by dimension.
type Values = BTreeMap<String, String>;

/// A list, each item by the same reader.
pub(super) fn list<T>(
    node: &Node,
    path: &str,
    reading: &mut Reading,
    read: impl Fn(&Node, &str, &mut Reading) -> Option<T>,
) -> Option<Vec<T>> {
    let Value::List(items) = &node.value else {
        reading.wrong_type(node, path, "a list");
        return None;
    };
    items.iter().enumerate().map(|(at, item)| read(item, &format!("{path}[{at}]"), reading)).collect()
}

/// true or false.
pub(super) fn flag(node: &Node, path: &str, reading: &mut Reading) -> Option<bool> {
    match node.value {
        Value::Flag(flag) => Some(flag),
        _ => {
            reading.wrong_type(node, path, "true or false");
            None
        }
    }
}

/// An amount of another system, or prorated units of it: more than the 12 digits of a decimal are fine, up to 60 in
/// all.
pub(super) fn amount(node: &Node, path: &str, reading: &mut Reading) -> Option<Exact> {
    match &node.value {
        Value::Whole(number) => Some(Exact::whole(*number)),
        Value::Text(text) => {
            let exact = text.parse::<Exact>();
            let mend = |error: &DecimalError| match error {
                DecimalError::Overflow(_) => "write at most 60 digits in all",
                error => mend_of(error),
            };
            exact.map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), mend(&error))).ok()
        }
        _ => {
            reading.wrong_type(node, path, "an amount in quotes");
            None
        }
    }
}

/// The same from 0 on.
fn units(node: &Node, path: &str, reading: &mut Reading) -> Option<Exact> {
    let units = amount(node, path, reading)?;
    if units.is_negative() {
        reading.flaw(node.at.clone(), path, format!("{units} is below zero"), "give 0 or more");
        return None;
    }
    Some(units)
}

pub(super) fn amounts(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<Exact>> {
    list(node, path, reading, amount)
}

pub(super) fn money_of(amounts: &[Exact], currency: Currency) -> Result<Vec<Money>, RatingError> {
    amounts.iter().map(|amount| whole_money(*amount, currency)).collect()
}

/// A quantity, or a table with all that a price may need.
pub(super) fn usage(node: &Node, path: &str, reading: &mut Reading) -> Option<Usage> {
    if matches!(node.value, Value::List(_)) {
        let mend =
            "write { \"events\": [...] } for events; pieces of a period are splits, and several periods are periods";
        reading.flaw(node.at.clone(), path, "a usage is a number or a table, and this is a list", mend);
        return None;
    }
    if !matches!(node.value, Value::Table(_)) {
        return Table::decimal(node, path, reading).map(Usage::of);
    }
    let mut table = Table::of(node, path, reading)?;
    let quantity = table.optional(reading, "quantity", Table::decimal)?;
    let prorated = table.optional(reading, "prorated", amount)?;
    let event_count = table.optional(reading, "event_count", Table::count)?;
    let events = table.optional(reading, "events", |node, path, reading| list(node, path, reading, event))?;
    let groups = table.optional(reading, "groups", |node, path, reading| list(node, path, reading, group))?;
    let (events, of_events) = match events {
        None => (None, None),
        Some(events) => {
            let (events, values): (Vec<Event>, Vec<Option<Values>>) = events.into_iter().unzip();
            let of_events = groups_of(&events, values, node, path, reading)?;
            (Some(events), of_events)
        }
    };
    let is_group_an_event = of_events.is_some();
    let quantities = table.optional(reading, "quantities", quantities)?;
    if let (Some(_), Some(_)) = (&groups, &quantities) {
        reading.flaw(node.at.clone(), path, "groups and quantities say two things", "remove one");
        return None;
    }
    if let (true, Some(_)) = (is_group_an_event, groups.as_ref().or(quantities.as_ref())) {
        reading.flaw(node.at.clone(), path, "values of events and groups say two things", "remove one");
        return None;
    }
    let groups = of_events.or(groups).or(quantities);
    let served = table.optional(reading, "served", served)?;
    let carried = table.optional(reading, "carried", units)?;
    table.finish(reading);
    let of_parts = match (&events, &groups) {
        (Some(events), _) => Usage::of_events(events.clone()),
        (None, Some(groups)) => Usage::of_groups(groups.clone()),
        (None, None) => Ok(Usage::of(quantity.unwrap_or(Decimal::ZERO))),
    };
    let summed = of_parts.map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), "look for a typo"));
    if quantity.is_none() && events.is_none() && groups.is_none() {
        reading.flaw(node.at.clone(), path, "the usage has no quantity", "add quantity, events, groups or quantities");
        return None;
    }
    let quantity = quantity.unwrap_or(summed.ok()?.quantity);
    if let (Some(events), Some(count)) = (&events, event_count)
        && usize::try_from(count) != Ok(events.len())
    {
        let what = format!("the usage has {} events, and event_count says {count}", events.len());
        let path = format!("{path}.event_count");
        reading.flaw(node.at.clone(), &path, what, "leave event_count out, or give the number of events");
        return None;
    }
    // Of events it can be more than is left in the end: units that went away were there before.
    let were_there = match &events {
        Some(events) => positive(events),
        None => quantity,
    };
    if let Some(prorated) = prorated
        && let Err(RatingError::Input { what, mend }) = is_part_of(prorated, were_there)
    {
        let mend = format!("{mend}; where units went away, give events");
        reading.flaw(node.at.clone(), &format!("{path}.prorated"), what, mend);
        return None;
    }
    let pieces = Vec::new();
    Some(Usage { quantity, prorated, pieces, event_count, events, groups, is_group_an_event, served, carried })
}

/// Events with the values of dimensions, as a group each; none where they have none.
fn groups_of(
    events: &[Event],
    values: Vec<Option<Values>>,
    node: &Node,
    path: &str,
    reading: &mut Reading,
) -> Option<Option<Vec<Group>>> {
    if values.iter().all(Option::is_none) {
        return Some(None);
    }
    if let Some(at) = values.iter().position(Option::is_none) {
        let what = "one event has values, and another has none";
        reading.flaw(node.at.clone(), &format!("{path}.events[{at}]"), what, "give them for each, or for none");
        return None;
    }
    let group = |(event, values): (&Event, Values)| Group { values, quantity: event.quantity };
    Some(Some(events.iter().zip(values.into_iter().flatten()).map(group).collect()))
}

/// All units that ever came, or what went away where none did.
fn positive(events: &[Event]) -> Decimal {
    let sum = |is_wanted: fn(Decimal) -> bool| {
        let mut quantities = events.iter().map(|event| event.quantity).filter(|quantity| is_wanted(*quantity));
        quantities.try_fold(Decimal::ZERO, |sum, quantity| sum.checked_add(quantity).ok()).unwrap_or(Decimal::ZERO)
    };
    let came = sum(|quantity| !quantity.is_negative());
    if came == Decimal::ZERO { sum(|_| true) } else { came }
}

pub(super) fn usages(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<Usage>> {
    list(node, path, reading, usage)
}

pub(super) fn runs(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<Vec<Usage>>> {
    list(node, path, reading, usages)
}

/// An event, and its values of dimensions where it has some.
fn event(node: &Node, path: &str, reading: &mut Reading) -> Option<(Event, Option<Values>)> {
    if !matches!(node.value, Value::Table(_)) {
        let quantity = Table::decimal(node, path, reading)?;
        return Some((Event { quantity, prorated: None, amount: None }, None));
    }
    let mut table = Table::of(node, path, reading)?;
    let quantity = table.optional(reading, "quantity", Table::decimal)?.unwrap_or(Decimal::ZERO);
    let prorated = table.optional(reading, "prorated", amount)?;
    let amount = table.optional(reading, "amount", Table::decimal)?;
    let values = table.optional(reading, "values", values)?;
    table.finish(reading);
    Some((Event { quantity, prorated, amount }, values))
}

/// The quantity of each unit, as groups by `unit`.
fn quantities(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<Group>> {
    let Value::Table(entries) = &node.value else {
        reading.wrong_type(node, path, "a table of numbers by unit");
        return None;
    };
    let group = |(key, node): &(Key, Node)| {
        let quantity = Table::decimal(node, &format!("{path}.{}", key.name), reading)?;
        Some(Group { values: BTreeMap::from([(UNIT.to_owned(), key.name.clone())]), quantity })
    };
    entries.iter().map(group).collect()
}

fn group(node: &Node, path: &str, reading: &mut Reading) -> Option<Group> {
    let mut table = Table::of(node, path, reading)?;
    let quantity = table.required(reading, "quantity", "a group", Table::decimal)?;
    let values = table.required(reading, "values", "a group", values)?;
    table.finish(reading);
    Some(Group { values, quantity })
}

/// A text for each dimension.
fn values(node: &Node, path: &str, reading: &mut Reading) -> Option<Values> {
    let Value::Table(entries) = &node.value else {
        reading.wrong_type(node, path, "a table of texts");
        return None;
    };
    let mut entry = |(key, node): &(Key, Node)| {
        Some((key.name.clone(), Table::text(node, &format!("{path}.{}", key.name), reading)?))
    };
    entries.iter().map(&mut entry).collect()
}
