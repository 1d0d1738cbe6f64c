//! Billing periods of a subscription: how long one is, where it begins, and the one that holds an instant.
//!
//! Edges are local midnights of a zone ([`first_instant_of`]), so a period with a DST change is an hour shorter or
//! longer. They are counted from an anchor day: a fixed one for periods of the calendar, the day of the start for
//! anniversaries. Months are counted from the anchor itself and cut to the month's end. Of an anchor on the 31st the
//! edges are 31 January, 28 February, 31 March. A year from 29 February ends on 28 February, and on the 29th in the
//! next leap year.

use chrono::{DateTime, Datelike, Months, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{Month, Period, PeriodError, first_instant_of};
use crate::words::words;

words!(/// How long a billing period is.
Length {
    /// A month.
    Monthly = "monthly",
    /// Seven days.
    Weekly = "weekly",
    /// Three months.
    Quarterly = "quarterly",
    /// Twelve months.
    Yearly = "yearly",
});
words!(/// Where a billing period begins.
Anchor {
    /// With the week (Monday), the month, the quarter or the year.
    Calendar = "calendar",
    /// On the day on which the subscription started.
    Anniversary = "anniversary",
});

/// What a plan says of its billing periods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cadence {
    /// How long one is.
    pub length: Length,
    /// Where it begins.
    pub anchor: Anchor,
}

impl Cadence {
    /// Whether its periods are the months of the calendar.
    #[must_use]
    pub fn is_month(self) -> bool {
        self == Self::default()
    }

    /// The period that holds an instant, for a subscription that started on a local day.
    ///
    /// # Errors
    /// [`PeriodError::OutOfRange`].
    pub fn period_at(self, started_on: NaiveDate, zone: Tz, at: DateTime<Utc>) -> Result<Period, PeriodError> {
        if self.is_month() {
            return Month::of(at, zone).period(zone);
        }
        let anchor = match (self.anchor, self.length) {
            (Anchor::Anniversary, _) => started_on,
            // A Monday.
            (Anchor::Calendar, Length::Weekly) => date(1970, 1, 5)?,
            (Anchor::Calendar, _) => date(1970, 1, 1)?,
        };
        let local = at.with_timezone(&zone).date_naive();
        // Near enough: of a month whose edge is a later day of it the instant lies in the period before.
        let mut index = match self.length {
            Length::Weekly => local.signed_duration_since(anchor).num_days().div_euclid(7),
            _ => months_between(anchor, local).div_euclid(self.months()),
        };
        while self.edge(anchor, index, zone)? > at {
            index -= 1;
        }
        while self.edge(anchor, index + 1, zone)? <= at {
            index += 1;
        }
        Period::new(self.edge(anchor, index, zone)?, self.edge(anchor, index + 1, zone)?)
    }

    fn months(self) -> i64 {
        match self.length {
            Length::Weekly | Length::Monthly => 1,
            Length::Quarterly => 3,
            Length::Yearly => 12,
        }
    }

    /// The first instant of the period so many after that of the anchor.
    fn edge(self, anchor: NaiveDate, index: i64, zone: Tz) -> Result<DateTime<Utc>, PeriodError> {
        let day = match self.length {
            Length::Weekly => {
                let days = index.checked_mul(7).and_then(TimeDelta::try_days).ok_or(PeriodError::OutOfRange)?;
                anchor.checked_add_signed(days).ok_or(PeriodError::OutOfRange)?
            }
            _ => months_after(anchor, index.checked_mul(self.months()).ok_or(PeriodError::OutOfRange)?)?,
        };
        first_instant_of(day, zone)
    }
}

/// The same day so many months later, or the last day of that month.
///
/// # Errors
/// [`PeriodError::OutOfRange`].
pub fn months_after(day: NaiveDate, months: i64) -> Result<NaiveDate, PeriodError> {
    let count = Months::new(u32::try_from(months.unsigned_abs()).map_err(|_| PeriodError::OutOfRange)?);
    let moved = if months < 0 { day.checked_sub_months(count) } else { day.checked_add_months(count) };
    moved.ok_or(PeriodError::OutOfRange)
}

/// Months from one day to another, by their names alone.
fn months_between(from: NaiveDate, to: NaiveDate) -> i64 {
    let month = |day: NaiveDate| i64::from(day.year()) * 12 + i64::from(day.month0());
    month(to) - month(from)
}

fn date(year: i32, month: u32, day: u32) -> Result<NaiveDate, PeriodError> {
    NaiveDate::from_ymd_opt(year, month, day).ok_or(PeriodError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::{parse_instant, print_instant};

    fn cadence(words: &str) -> Cadence {
        let (length, anchor) = words.split_once(' ').unwrap();
        Cadence { length: Length::parse(length).unwrap(), anchor: Anchor::parse(anchor).unwrap() }
    }

    /// One row: what the plan says, the zone, the local day of the start, and edges that follow each other.
    #[test]
    fn edges_follow_each_other_at_local_midnights() {
        for (words, zone, started_on, edges) in [
            ("monthly calendar", "UTC", "2026-01-31", "2026-01-01T00 2026-02-01T00 2026-03-01T00"),
            // The 31st, the end of February, and the 31st again.
            ("monthly anniversary", "UTC", "2026-01-31", "2026-01-31T00 2026-02-28T00 2026-03-31T00 2026-04-30T00"),
            ("monthly anniversary", "UTC", "2024-01-30", "2024-01-30T00 2024-02-29T00 2024-03-30T00"),
            ("monthly anniversary", "UTC", "2026-01-29", "2026-01-29T00 2026-02-28T00 2026-03-29T00"),
            // The clocks of Berlin go forward on 29 March and back on 25 October.
            ("monthly anniversary", "Europe/Berlin", "2026-03-15", "2026-03-14T23 2026-04-14T22 2026-05-14T22"),
            ("weekly calendar", "Europe/Berlin", "2026-03-15", "2026-03-22T23 2026-03-29T22 2026-04-05T22"),
            ("weekly anniversary", "America/New_York", "2026-10-28", "2026-10-28T04 2026-11-04T05 2026-11-11T05"),
            ("quarterly calendar", "UTC", "2026-05-05", "2025-10-01T00 2026-01-01T00 2026-04-01T00 2026-07-01T00"),
            ("quarterly anniversary", "UTC", "2025-11-30", "2025-11-30T00 2026-02-28T00 2026-05-30T00"),
            ("yearly calendar", "Asia/Kolkata", "2026-05-05", "2025-12-31T18:30 2026-12-31T18:30"),
            // A leap day comes back after four years.
            (
                "yearly anniversary",
                "UTC",
                "2024-02-29",
                "2024-02-29T00 2025-02-28T00 2026-02-28T00 2027-02-28T00 2028-02-29T00",
            ),
            // Samoa had no 30 December 2011: the period begins where the day would have.
            ("monthly anniversary", "Pacific/Apia", "2011-11-30", "2011-11-30T10 2011-12-30T10 2012-01-29T10"),
            // Paraguay's midnight of 3 October 2010 did not exist.
            ("monthly anniversary", "America/Asuncion", "2010-09-03", "2010-09-03T04 2010-10-03T04 2010-11-03T03"),
        ] {
            let (cadence, zone) = (cadence(words), zone.parse().unwrap());
            let edges: Vec<_> = edges
                .split(' ')
                .map(|text| {
                    let minutes = if text.contains(':') { "" } else { ":00" };
                    parse_instant(&format!("{text}{minutes}:00Z")).unwrap()
                })
                .collect();
            let micro = TimeDelta::microseconds(1);
            for pair in edges.windows(2) {
                let expected = Period::new(pair[0], pair[1]).unwrap();
                for at in [pair[0], pair[0] + TimeDelta::hours(30), pair[1] - micro] {
                    let found = cadence.period_at(started_on.parse().unwrap(), zone, at).unwrap();
                    assert_eq!(found, expected, "{words} {zone} {started_on} at {}", print_instant(at));
                }
            }
        }
    }

    /// Anchored on a first day, an anniversary has the months of the calendar.
    #[test]
    fn a_calendar_month_is_the_month_of_the_invoice_run() {
        let zone = chrono_tz::Africa::Cairo;
        let mut month: Month = "2019-12".parse().unwrap();
        for _ in 0..60 {
            let wanted = month.period(zone).unwrap();
            for at in [wanted.start, wanted.end - TimeDelta::microseconds(1)] {
                for (words, day) in [("monthly calendar", 31), ("monthly anniversary", 1)] {
                    let day = date(2020, 5, day).unwrap();
                    assert_eq!(cadence(words).period_at(day, zone, at).unwrap(), wanted, "{words}");
                }
            }
            month = month.next();
        }
    }
}
