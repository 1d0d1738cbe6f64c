//! Readers of the estimate's own input: usage, lists of it, amounts.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Period, Tz, days_of, parse_instant};
use tollbook_schemas::price::node::{Node, Value};
use tollbook_schemas::price::read::{Reader, Reading, Table};

use super::whole_money;
use crate::RatingError;
use crate::served::{Length, Served, Stretch};
use crate::usage::{Event, Group, Usage};

/// A list, each item by the same reader.
pub(super) fn list<T>(node: &Node, path: &str, reading: &mut Reading, read: Reader<T>) -> Option<Vec<T>> {
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

/// An amount of another system: more digits than a decimal are fine.
pub(super) fn amount(node: &Node, path: &str, reading: &mut Reading) -> Option<Exact> {
    match &node.value {
        Value::Whole(number) => Some(Exact::whole(*number)),
        Value::Text(text) => {
            let exact = text.parse::<Exact>();
            exact
                .map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), "write such as \"12.34\""))
                .ok()
        }
        _ => {
            reading.wrong_type(node, path, "an amount in quotes");
            None
        }
    }
}

pub(super) fn amounts(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<Exact>> {
    list(node, path, reading, amount)
}

pub(super) fn money_of(amounts: &[Exact], currency: Currency) -> Result<Vec<Money>, RatingError> {
    amounts.iter().map(|amount| whole_money(*amount, currency)).collect()
}

/// An instant or a date (its midnight in UTC), as an empty period.
fn instant(node: &Node, path: &str, reading: &mut Reading) -> Option<Period> {
    let text = Table::text(node, path, reading)?;
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text };
    let instant = parse_instant(&whole).map(|instant| Period { start: instant, end: instant });
    instant.map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), "write such as 2026-01-31")).ok()
}

/// The same in microseconds.
pub(super) fn instant_us(node: &Node, path: &str, reading: &mut Reading) -> Option<i64> {
    instant(node, path, reading).map(|instant| instant.start.timestamp_micros())
}

/// `[start, end]`, half-open.
pub(super) fn period(node: &Node, path: &str, reading: &mut Reading) -> Option<Period> {
    let ends = list(node, path, reading, instant)?;
    let [start, end] = ends.as_slice() else {
        reading.wrong_type(node, path, "[start, end]");
        return None;
    };
    let period = Period::new(start.start, end.start);
    period.map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), "write [start, end]")).ok()
}

/// What was served of a period: `period`, and `stretches` of it with a `service` and `units` each.
fn served(node: &Node, path: &str, reading: &mut Reading) -> Option<Served> {
    let mut table = Table::of(node, path, reading)?;
    // The days of UTC, as dates are its midnights.
    let length = |period: Period| Length::new(period, days_of(period, Tz::UTC));
    let whole = table.required(reading, "period", "what was served", period);
    let stretches = table.required(reading, "stretches", "what was served", |node, path, reading| {
        list(node, path, reading, |node, path, reading| {
            let mut table = Table::of(node, path, reading)?;
            let service = table.required(reading, "service", "a stretch", period)?;
            let units = table.optional(reading, "units", Table::amount)?.unwrap_or(Decimal::whole(1));
            table.finish(reading);
            Some((service, units))
        })
    });
    table.finish(reading);
    let stretch = |(service, units)| Stretch { length: length(service), units };
    Some(Served { whole: length(whole?), stretches: stretches?.into_iter().map(stretch).collect() })
}

/// A quantity, or a table with all that a price may need.
pub(super) fn usage(node: &Node, path: &str, reading: &mut Reading) -> Option<Usage> {
    if !matches!(node.value, Value::Table(_)) {
        return Table::decimal(node, path, reading).map(Usage::of);
    }
    let mut table = Table::of(node, path, reading)?;
    let quantity = table.optional(reading, "quantity", Table::decimal)?;
    let prorated = table.optional(reading, "prorated", Table::decimal)?;
    let event_count = table.optional(reading, "event_count", Table::count)?;
    let events = table.optional(reading, "events", |node, path, reading| list(node, path, reading, event))?;
    let groups = table.optional(reading, "groups", |node, path, reading| list(node, path, reading, group))?;
    let served = table.optional(reading, "served", served)?;
    let carried = table.optional(reading, "carried", Table::amount)?.map(Exact::from);
    table.finish(reading);
    let of_parts = match (&events, &groups) {
        (Some(events), _) => Usage::of_events(events.clone()),
        (None, Some(groups)) => Usage::of_groups(groups.clone()),
        (None, None) => Ok(Usage::of(quantity.unwrap_or(Decimal::ZERO))),
    };
    let summed = of_parts.map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), "look for a typo"));
    if quantity.is_none() && events.is_none() && groups.is_none() {
        reading.flaw(node.at.clone(), path, "the usage has no quantity", "add quantity, events or groups");
        return None;
    }
    let quantity = quantity.unwrap_or(summed.ok()?.quantity);
    Some(Usage { quantity, prorated, pieces: Vec::new(), event_count, events, groups, served, carried })
}

pub(super) fn usages(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<Usage>> {
    list(node, path, reading, usage)
}

pub(super) fn runs(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<Vec<Usage>>> {
    list(node, path, reading, usages)
}

fn event(node: &Node, path: &str, reading: &mut Reading) -> Option<Event> {
    if !matches!(node.value, Value::Table(_)) {
        let quantity = Table::decimal(node, path, reading)?;
        return Some(Event { quantity, prorated: None, amount: None });
    }
    let mut table = Table::of(node, path, reading)?;
    let quantity = table.optional(reading, "quantity", Table::decimal)?.unwrap_or(Decimal::ZERO);
    let prorated = table.optional(reading, "prorated", Table::decimal)?;
    let amount = table.optional(reading, "amount", Table::decimal)?;
    table.finish(reading);
    Some(Event { quantity, prorated, amount })
}

fn group(node: &Node, path: &str, reading: &mut Reading) -> Option<Group> {
    let mut table = Table::of(node, path, reading)?;
    let quantity = table.required(reading, "quantity", "a group", Table::decimal)?;
    let values = table.required(reading, "values", "a group", |node, path, reading| {
        let Value::Table(entries) = &node.value else {
            reading.wrong_type(node, path, "a table of texts");
            return None;
        };
        let entry = |(key, node): &(tollbook_schemas::price::node::Key, Node), reading: &mut Reading| {
            Some((key.name.clone(), Table::text(node, &format!("{path}.{}", key.name), reading)?))
        };
        entries.iter().map(|pair| entry(pair, reading)).collect()
    })?;
    table.finish(reading);
    Some(Group { values, quantity })
}
