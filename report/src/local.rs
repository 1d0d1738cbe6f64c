//! Instants as a customer reads them: days of a time zone, and times only where a span does not begin or end with a
//! day.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use tollbook_schemas::period::Tz;

/// A day in words: `1 June 2026`.
pub(crate) fn day(date: NaiveDate) -> String {
    date.format("%-d %B %Y").to_string()
}

/// A half-open span in words, both days included: `1 to 30 June 2026`, `20 June 2026, 22:08:16 to 30 June 2026`.
pub(crate) fn span(start: DateTime<Utc>, end: DateTime<Utc>, zone: Tz) -> String {
    let (start, end) = (start.with_timezone(&zone).naive_local(), end.with_timezone(&zone).naive_local());
    let last = whole(end).and_then(|date| date.checked_sub_days(Days::new(1)));
    match (whole(start), last) {
        (Some(first), Some(last)) if first == last => day(first),
        (Some(first), Some(last)) => {
            let head = match (first.format("%Y").to_string(), first.format("%Y-%m").to_string()) {
                (_, month) if month == last.format("%Y-%m").to_string() => first.format("%-d").to_string(),
                (year, _) if year == last.format("%Y").to_string() => first.format("%-d %B").to_string(),
                _ => day(first),
            };
            format!("{head} to {}", day(last))
        }
        (first, last) => {
            let first = first.map_or_else(|| time(start), day);
            let last = last.map_or_else(|| format!("before {}", time(end)), day);
            format!("{first} to {last}")
        }
    }
}

/// Whether a span begins and ends with days of a zone.
pub(crate) fn is_whole_days(start: DateTime<Utc>, end: DateTime<Utc>, zone: Tz) -> bool {
    [start, end].into_iter().all(|at| whole(at.with_timezone(&zone).naive_local()).is_some())
}

/// The day that an instant begins; none where it lies within one.
fn whole(at: NaiveDateTime) -> Option<NaiveDate> {
    (at.time() == NaiveTime::MIN).then(|| at.date())
}

fn time(at: NaiveDateTime) -> String {
    at.format("%-d %B %Y, %H:%M:%S%.f").to_string()
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::period::parse_instant;

    use super::*;

    #[test]
    fn spans_are_days_of_the_zone() {
        for (start, end, zone, expected) in [
            ("2026-05-31T22:00:00Z", "2026-06-30T22:00:00Z", "Europe/Berlin", "1 to 30 June 2026"),
            ("2026-05-31T22:00:00Z", "2026-06-01T22:00:00Z", "Europe/Berlin", "1 June 2026"),
            ("2026-05-14T22:00:00Z", "2026-06-14T22:00:00Z", "Europe/Berlin", "15 May to 14 June 2026"),
            ("2025-12-14T23:00:00Z", "2026-01-14T23:00:00Z", "Europe/Berlin", "15 December 2025 to 14 January 2026"),
            // Winter on one side, summer on the other.
            ("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z", "Europe/Berlin", "1 to 31 March 2026"),
            ("2026-06-01T04:00:00Z", "2026-07-01T04:00:00Z", "America/New_York", "1 to 30 June 2026"),
            ("2026-05-31T18:15:00Z", "2026-06-30T18:15:00Z", "Asia/Kathmandu", "1 to 30 June 2026"),
            (
                "2026-06-20T20:08:16.25Z",
                "2026-06-30T22:00:00Z",
                "Europe/Berlin",
                "20 June 2026, 22:08:16.250 to 30 June 2026",
            ),
            (
                "2026-05-31T22:00:00Z",
                "2026-06-14T10:00:00Z",
                "Europe/Berlin",
                "1 June 2026 to before 14 June 2026, 12:00:00",
            ),
            (
                "2026-06-10T00:00:00Z",
                "2026-06-12T01:00:00Z",
                "Europe/Berlin",
                "10 June 2026, 02:00:00 to before 12 June 2026, 03:00:00",
            ),
            ("2026-06-10T00:00:00Z", "2026-06-12T00:00:00Z", "UTC", "10 to 11 June 2026"),
        ] {
            let at = |text: &str| parse_instant(text).unwrap();
            assert_eq!(span(at(start), at(end), zone.parse().unwrap()), expected, "{start} {end} {zone}");
        }
    }
}
