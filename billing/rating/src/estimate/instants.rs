//! Instants, dates and periods of a line. A date is the local midnight of a time zone: `time_zone` of what it stands
//! in, else UTC.

use tollbook_schemas::period::{Period, Tz, first_instant_of, parse_instant, parse_zone};
use tollbook_schemas::price::node::Node;
use tollbook_schemas::price::read::{Reading, Table};

use super::input::list;

const DAY_US: i64 = 86_400_000_000;

/// A date or an instant, as an empty period of UTC.
#[derive(Clone, Copy)]
pub(super) struct When {
    at: Period,
    is_date: bool,
}

/// `[start, end]`, half-open, before it is known whose midnights its dates are.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    start: When,
    end: When,
}

fn when(node: &Node, path: &str, reading: &mut Reading) -> Option<When> {
    let text = Table::text(node, path, reading)?;
    let is_date = text.len() == 10;
    let whole = if is_date { format!("{text}T00:00:00Z") } else { text };
    let when = parse_instant(&whole).map(|instant| When { at: Period { start: instant, end: instant }, is_date });
    let mend = "write such as 2026-01-31 or 2026-01-31T08:00:00Z";
    when.map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), mend)).ok()
}

/// An instant in microseconds of UTC; a date is its midnight in UTC.
pub(super) fn instant_us(node: &Node, path: &str, reading: &mut Reading) -> Option<i64> {
    when(node, path, reading).map(|when| when.at.start.timestamp_micros())
}

/// `[start, end]`.
pub(super) fn ends(node: &Node, path: &str, reading: &mut Reading) -> Option<Ends> {
    let ends = list(node, path, reading, when)?;
    let [start, end] = ends[..] else {
        reading.wrong_type(node, path, "[start, end]");
        return None;
    };
    Some(Ends { start, end })
}

/// An IANA name.
pub(super) fn zone(node: &Node, path: &str, reading: &mut Reading) -> Option<Tz> {
    let text = Table::text(node, path, reading)?;
    let mend = "write such as \"Europe/Berlin\"";
    parse_zone(&text).map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), mend)).ok()
}

impl Ends {
    /// The period, its dates being midnights of a zone.
    pub(super) fn period(self, zone: Tz, path: &str, reading: &mut Reading) -> Option<Period> {
        let instant = |when: When| match when.is_date {
            true => first_instant_of(when.at.start.date_naive(), zone),
            false => Ok(when.at.start),
        };
        let period = instant(self.start).and_then(|start| Period::new(start, instant(self.end)?));
        period.map_err(|error| reading.flaw(0..0, path, error.to_string(), "write [start, end]")).ok()
    }

    /// Whether it is a number of days of UTC: dates and midnights.
    pub(super) fn is_of_days(self) -> bool {
        [self.start, self.end].iter().all(|when| when.at.start.timestamp_micros().rem_euclid(DAY_US) == 0)
    }
}
