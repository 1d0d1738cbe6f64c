//! Which raw rows a document is derived from: by the names that its partners have, by time, and with the answers of
//! which meters. Pure.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use tollbook_schemas::id::MeterId;
use tollbook_schemas::period::{Period, hour_of};
use tollbook_schemas::registry::IdentityLink;

/// The raw rows that a document is derived from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) names: Names,
    /// Empty where nothing of it is metered.
    pub(crate) times: Times,
    pub(crate) meters: BTreeSet<MeterId>,
}

impl Needs {
    /// Adds others.
    pub(crate) fn add(&mut self, others: Self) {
        self.names.add(&others.names);
        self.times.add(&others.times);
        self.meters.extend(others.meters);
    }
}

/// The names by which deliveries may be somebody's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Consumers that a link gives to the partner at some time.
    pub(crate) consumers: BTreeSet<String>,
    /// Credentials, `key_id:hash`, likewise.
    pub(crate) credentials: BTreeSet<String>,
}

impl Names {
    /// Whether one of them is on a delivery.
    pub(crate) fn are_on(&self, consumer: Option<&str>, key_id: Option<&str>, hash: Option<&str>) -> bool {
        consumer.is_some_and(|name| self.consumers.contains(name))
            || (!self.credentials.is_empty() && self.credentials.contains(&credential(key_id, hash)))
    }

    /// Adds others.
    pub(crate) fn add(&mut self, others: &Self) {
        self.consumers.extend(others.consumers.iter().cloned());
        self.credentials.extend(others.credentials.iter().cloned());
    }
}

/// A credential as links name it.
pub(crate) fn credential(key_id: Option<&str>, hash: Option<&str>) -> String {
    format!("{}:{}", key_id.unwrap_or(""), hash.unwrap_or(""))
}

/// Some time, without end at its begin where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stretch {
    /// First instant; none where all that was before matters too.
    from: Option<DateTime<Utc>>,
    /// First instant after it.
    until: DateTime<Utc>,
}

/// The time of the rows that matter: stretches of whole hours, since a retry looks at its whole hour. They are in order
/// and do not touch each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Times(Vec<Stretch>);

impl Times {
    /// Those of a span that is billed.
    pub(crate) fn of(span: Period, with_all_before: bool) -> Self {
        let from = (!with_all_before).then(|| hour_of(span.start));
        Self(vec![Stretch { from, until: hour_of(span.end) + TimeDelta::hours(1) }])
    }

    /// Adds others.
    pub(crate) fn add(&mut self, others: &Self) {
        self.0.extend(&others.0);
        self.0.sort();
        let mut all: Vec<Stretch> = Vec::new();
        for next in self.0.drain(..) {
            match all.last_mut() {
                Some(last) if next.from.is_none_or(|from| from <= last.until) => {
                    last.until = last.until.max(next.until)
                }
                _ => all.push(next),
            }
        }
        self.0 = all;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, at: DateTime<Utc>) -> bool {
        self.0.iter().any(|one| one.from.is_none_or(|from| from <= at) && at < one.until)
    }

    /// The UTC days from the first to the last of them; none where nothing says which.
    pub(crate) fn days(&self) -> Option<RangeInclusive<NaiveDate>> {
        let (first, last) = (self.0.first()?, self.0.last()?);
        Some(first.from.map_or(NaiveDate::MIN, |from| from.date_naive())..=last.until.date_naive())
    }

    /// The part of a link that is in them; none where it holds at no instant of them.
    pub(crate) fn of_link(&self, link: &IdentityLink) -> Option<IdentityLink> {
        let (first, last) = (self.0.first()?, self.0.last()?);
        let valid_from = first.from.map_or(link.valid_from, |from| from.max(link.valid_from));
        let valid_to = link.valid_to.map_or(last.until, |to| to.min(last.until));
        (valid_from < valid_to).then(|| IdentityLink { valid_from, valid_to: Some(valid_to), ..link.clone() })
    }
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::period::parse_instant;

    use super::*;

    fn at(day: u32, hour: u32) -> DateTime<Utc> {
        parse_instant(&format!("2026-06-{day:02}T{hour:02}:30:00Z")).unwrap()
    }

    #[test]
    fn times_are_stretches_of_whole_hours() {
        let of = |from, to, all| Times::of(Period { start: at(from, 3), end: at(to, 5) }, all);
        let mut times = of(20, 21, false);
        times.add(&of(2, 3, false));
        assert_eq!(format!("{:?}", times.days()), "Some(2026-06-02..=2026-06-21)");
        for (instant, is_inside) in [
            ("2026-06-02T02:59:59.999999Z", false),
            ("2026-06-02T03:00:00Z", true),
            ("2026-06-03T05:59:59Z", true),
            ("2026-06-03T06:00:00Z", false),
            ("2026-06-10T00:00:00Z", false),
            ("2026-06-20T03:00:00Z", true),
            ("2026-06-21T06:00:00Z", false),
        ] {
            assert_eq!(times.contains(parse_instant(instant).unwrap()), is_inside, "{instant}");
        }
        assert_eq!(times.0.len(), 2);
        // One that is met, and one without a begin, are one with those that they meet.
        times.add(&of(3, 5, false));
        assert_eq!((times.0.len(), times.contains(at(4, 0))), (2, true));
        times.add(&of(4, 20, true));
        assert_eq!((times.0.len(), times.contains(at(1, 0)), times.contains(at(21, 4))), (1, true, true));
        let mut nothing = Times::default();
        assert_eq!((nothing.is_empty(), nothing.days()), (true, None));
        nothing.add(&times);
        assert_eq!(nothing, times);
    }
}
