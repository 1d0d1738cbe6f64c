//! `served` of a usage: the period, and the stretches of it that were served. Takes its table, gives [`Served`], and
//! refuses what would charge time twice or time of another period.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::period::{Period, Tz, days_of};
use tollbook_schemas::price::node::{Node, Value};
use tollbook_schemas::price::read::{Reading, Table};

use super::input::list;
use super::instants::{Ends, ends, zone};
use crate::served::{Length, Served, Stretch};

struct Given {
    zone: Tz,
    whole: Period,
    /// Each with its units.
    stretches: Vec<(Period, Decimal)>,
}

fn given(node: &Node, path: &str, reading: &mut Reading) -> Option<Given> {
    let mut table = Table::of(node, path, reading)?;
    let zone = table.optional(reading, "time_zone", zone)?.unwrap_or(Tz::UTC);
    let whole = table.required(reading, "period", "what was served", ends);
    let stretches = table.required(reading, "stretches", "what was served", |node, path, reading| {
        list(node, path, reading, |node, path, reading| {
            let mut table = Table::of(node, path, reading)?;
            let service = table.required(reading, "service", "a stretch", ends)?;
            let units = table.optional(reading, "units", Table::amount)?.unwrap_or(Decimal::whole(1));
            table.finish(reading);
            Some((service, units))
        })
    });
    table.finish(reading);
    let whole = whole?.period(zone, &format!("{path}.period"), reading)?;
    let place = |index: usize| format!("{path}.stretches[{index}].service");
    let stretch = |(index, (service, units)): (usize, (Ends, Decimal)), reading: &mut Reading| {
        Some((service.period(zone, &place(index), reading)?, units))
    };
    let stretches: Option<Vec<_>> = stretches?.into_iter().enumerate().map(|one| stretch(one, reading)).collect();
    let stretches = stretches?;
    let foreign = |service: &Period| service.start < whole.start || service.end > whole.end;
    if let Some(index) = stretches.iter().position(|(service, _)| foreign(service)) {
        let what = format!("the stretch {} lies outside of the period {whole}", stretches[index].0);
        reading.flaw(node.at.clone(), &place(index), what, "cut it to the period, or leave it out");
        return None;
    }
    Some(Given { zone, whole, stretches })
}

/// What was served of a period: `period`, and `stretches` of it with a `service` and `units` each; days are those of
/// `time_zone`, UTC where it is left out.
pub(super) fn served(node: &Node, path: &str, reading: &mut Reading) -> Option<Served> {
    let Given { zone, whole, stretches } = given(node, path, reading)?;
    if !are_apart(stretches.iter().map(|(service, _)| *service), &format!("{path}.stretches"), reading) {
        return None;
    }
    let length = |period: Period| Length::new(period, days_of(period, zone));
    let stretch = |(service, units)| Stretch { length: length(service), units };
    Some(Served { whole: length(whole), stretches: stretches.into_iter().map(stretch).collect() })
}

/// Whether no two stretches share time, which would be charged twice.
fn are_apart(services: impl Iterator<Item = Period>, path: &str, reading: &mut Reading) -> bool {
    let mut services: Vec<Period> = services.filter(|service| service.start < service.end).collect();
    services.sort_unstable();
    let shared = services.windows(2).find_map(|pair| pair[0].intersect(&pair[1]));
    let Some(shared) = shared else { return true };
    let what = format!("{shared} is served twice");
    reading.flaw(0..0, path, what, "cut the stretches where the next one begins, with all units that were there");
    false
}

/// Whether splits, each of which says what it served itself, are of one period and share no time.
pub(super) fn splits_are_apart(splits: &[&Node], path: &str, reading: &mut Reading) -> bool {
    // Flaws of one split are told where it is read.
    let mut aside = Reading::default();
    let of_split = |split: &&Node| given(entry(split, "served")?, path, &mut aside);
    let all: Vec<Given> = splits.iter().filter_map(of_split).collect();
    if let Some(pair) = all.windows(2).find(|pair| pair[0].whole != pair[1].whole) {
        let what = format!("one split is of {}, another one of {}", pair[0].whole, pair[1].whole);
        reading.flaw(0..0, path, what, "give splits of one period, with the same served.period");
        return false;
    }
    are_apart(all.iter().flat_map(|one| &one.stretches).map(|(service, _)| *service), path, reading)
}

/// The value of a key.
fn entry<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Table(entries) => entries.iter().find(|(name, _)| name.name == key).map(|(_, node)| node),
        _ => None,
    }
}
