//! Time as tollbook means it: UTC instants of microseconds, half-open periods, calendar months in a time zone.
//!
//! A billing month of a subscription runs from local midnight of the first day to local midnight of the next
//! month's first day. Where a zone skips that midnight (a DST change at 0:00), the month starts at the first
//! instant that exists; where midnight happens twice, at the earlier one. Nothing here reads a clock.

pub mod cadence;
pub mod day;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Duration, LocalResult, NaiveDate, NaiveTime, SecondsFormat, TimeZone, Timelike, Utc};
pub use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Why a time is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not a month.
    #[error("{0:?} is not a month such as 2026-06")]
    Month(String),
    /// Not an IANA zone.
    #[error("{0:?} is not an IANA time zone such as Europe/Berlin or UTC")]
    Zone(String),
    /// Not an instant.
    #[error("{0:?} is not an RFC 3339 instant such as 2026-06-30T22:00:00Z")]
    Instant(String),
    /// Ends before it starts.
    #[error("period ends ({end}) before it starts ({start})")]
    Reversed {
        /// Start as text.
        start: String,
        /// End as text.
        end: String,
    },
    /// Outside the years that the calendar covers.
    #[error("date is outside the calendar")]
    OutOfRange,
}

/// Reads an RFC 3339 instant and cuts it to microseconds.
///
/// # Errors
/// [`PeriodError::Instant`].
pub fn parse_instant(text: &str) -> Result<DateTime<Utc>, PeriodError> {
    let parsed = DateTime::parse_from_rfc3339(text)
        .map_err(|_| PeriodError::Instant(text.chars().take(60).collect()))?
        .with_timezone(&Utc);
    DateTime::from_timestamp_micros(parsed.timestamp_micros()).ok_or(PeriodError::OutOfRange)
}

/// An instant as text: RFC 3339 in UTC, with as many digits as it needs.
#[must_use]
pub fn print_instant(instant: DateTime<Utc>) -> String {
    let (date, time) = (instant.date_naive(), instant.time());
    if instant.timestamp_subsec_nanos() != 0 || !(0..=9999).contains(&date.year()) {
        return instant.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    }
    // Nearly every instant of ours is a whole second, and a month's evidence has millions of them.
    let year = date.year().unsigned_abs();
    let pairs = [year / 100, year % 100, date.month(), date.day(), time.hour(), time.minute(), time.second()];
    let mut text = *b"0000-00-00T00:00:00Z";
    put_pairs(&mut text, pairs, [0, 2, 5, 8, 11, 14, 17]);
    str::from_utf8(&text).unwrap_or_default().to_owned()
}

/// Puts numbers of two digits over noughts of a text, each at its place.
fn put_pairs<const COUNT: usize>(text: &mut [u8], pairs: [u32; COUNT], places: [usize; COUNT]) {
    for (pair, at) in pairs.into_iter().zip(places) {
        for (digit, at) in [(pair / 10, at), (pair % 10, at + 1)] {
            text[at] += u8::try_from(digit).unwrap_or_default();
        }
    }
}

/// Reads an IANA time zone name.
///
/// # Errors
/// [`PeriodError::Zone`].
pub fn parse_zone(text: &str) -> Result<Tz, PeriodError> {
    text.parse().map_err(|_| PeriodError::Zone(text.chars().take(60).collect()))
}

/// The UTC hour that holds an instant: the coarsest slice.
#[must_use]
pub fn hour_of(instant: DateTime<Utc>) -> DateTime<Utc> {
    let micros = instant.timestamp_micros();
    let hour = micros - micros.rem_euclid(3_600_000_000);
    DateTime::from_timestamp_micros(hour).unwrap_or(instant)
}

/// A half-open span of time: `start` belongs to it, `end` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Period {
    /// First instant.
    pub start: DateTime<Utc>,
    /// First instant after it.
    pub end: DateTime<Utc>,
}

impl Period {
    /// Makes a period.
    ///
    /// # Errors
    /// [`PeriodError::Reversed`]. An empty period is allowed.
    pub fn new(start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Self, PeriodError> {
        if end < start {
            return Err(PeriodError::Reversed { start: print_instant(start), end: print_instant(end) });
        }
        Ok(Self { start, end })
    }

    /// Whether the instant lies in it.
    #[must_use]
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.start <= instant && instant < self.end
    }

    /// The part that both have, if any.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let start = self.start.max(other.start);
        let end = self.end.min(other.end);
        (start < end).then_some(Self { start, end })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", print_instant(self.start), print_instant(self.end))
    }
}

/// A calendar month, without a time zone: the name of a billing period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    year: i32,
    month: u32,
}

impl Month {
    /// The month that holds an instant, in a zone.
    #[must_use]
    pub fn of(instant: DateTime<Utc>, zone: Tz) -> Self {
        let local = instant.with_timezone(&zone);
        Self { year: local.year(), month: local.month() }
    }

    /// The month after.
    #[must_use]
    pub fn next(self) -> Self {
        match self.month {
            12 => Self { year: self.year + 1, month: 1 },
            month => Self { year: self.year, month: month + 1 },
        }
    }

    /// The month before.
    #[must_use]
    pub fn previous(self) -> Self {
        match self.month {
            1 => Self { year: self.year - 1, month: 12 },
            month => Self { year: self.year, month: month - 1 },
        }
    }

    /// From local midnight of the first day to local midnight of the next month's first day.
    ///
    /// # Errors
    /// [`PeriodError::OutOfRange`].
    pub fn period(self, zone: Tz) -> Result<Period, PeriodError> {
        Period::new(self.start(zone)?, self.next().start(zone)?)
    }

    fn start(self, zone: Tz) -> Result<DateTime<Utc>, PeriodError> {
        let day = NaiveDate::from_ymd_opt(self.year, self.month, 1).ok_or(PeriodError::OutOfRange)?;
        first_instant_of(day, zone)
    }
}

/// The first instant of a local day: midnight, or the end of the gap that swallowed it.
///
/// # Errors
/// [`PeriodError::OutOfRange`].
pub fn first_instant_of(day: NaiveDate, zone: Tz) -> Result<DateTime<Utc>, PeriodError> {
    let midnight = day.and_time(NaiveTime::MIN);
    // A zone has skipped at most one whole day (Samoa, 2011); gaps are whole minutes in the years we bill.
    for minute in 0..=(48 * 60) {
        match zone.from_local_datetime(&(midnight + Duration::minutes(minute))) {
            LocalResult::Single(local) | LocalResult::Ambiguous(local, _) => return Ok(local.with_timezone(&Utc)),
            LocalResult::None => {}
        }
    }
    Err(PeriodError::OutOfRange)
}

/// The calendar days of a zone in a period: the day in which it starts belongs to it, the one in which it ends does
/// not. So the days of periods that follow each other add up to those of the whole, wherever they are cut.
#[must_use]
pub fn days_of(period: Period, zone: Tz) -> i64 {
    let day = |instant: DateTime<Utc>| instant.with_timezone(&zone).date_naive();
    day(period.end).signed_duration_since(day(period.start)).num_days()
}

/// The same, were each month one of 30 days: a 31st counts as a 30th.
#[must_use]
pub fn days_of_30(period: Period, zone: Tz) -> i64 {
    let day = |instant: DateTime<Utc>| {
        let day = instant.with_timezone(&zone).date_naive();
        i64::from(day.year()) * 360 + i64::from(day.month()) * 30 + i64::from(day.day().min(30))
    };
    day(period.end) - day(period.start)
}

impl FromStr for Month {
    type Err = PeriodError;
    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let wrong = || PeriodError::Month(text.chars().take(20).collect());
        let (year, month) = text.split_once('-').ok_or_else(wrong)?;
        if year.len() != 4 || month.len() != 2 {
            return Err(wrong());
        }
        let year: i32 = year.parse().map_err(|_| wrong())?;
        let month: u32 = month.parse().map_err(|_| wrong())?;
        if !(1970..=9998).contains(&year) || !(1..=12).contains(&month) {
            return Err(wrong());
        }
        Ok(Self { year, month })
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:04}-{:02}", self.year, self.month))
    }
}

impl TryFrom<String> for Month {
    type Error = PeriodError;
    fn try_from(text: String) -> Result<Self, PeriodError> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_runs_from_local_midnight_to_local_midnight() {
        for (month, zone, start, end) in [
            ("2026-06", "UTC", "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"),
            ("2026-06", "Europe/Berlin", "2026-05-31T22:00:00Z", "2026-06-30T22:00:00Z"),
            // 28 days, and the DST change inside March makes it an hour short.
            ("2026-02", "Europe/Berlin", "2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z"),
            ("2026-03", "Europe/Berlin", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
            ("2026-06", "Asia/Kolkata", "2026-05-31T18:30:00Z", "2026-06-30T18:30:00Z"),
            ("2026-06", "Asia/Kathmandu", "2026-05-31T18:15:00Z", "2026-06-30T18:15:00Z"),
            ("2024-02", "UTC", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("2025-12", "America/New_York", "2025-12-01T05:00:00Z", "2026-01-01T05:00:00Z"),
        ] {
            let period = month.parse::<Month>().unwrap().period(zone.parse().unwrap()).unwrap();
            assert_eq!((print_instant(period.start), print_instant(period.end)), (start.into(), end.into()), "{zone}");
        }
    }

    #[test]
    fn a_midnight_that_does_not_exist_becomes_the_first_instant_after_it() {
        // Paraguay moved its clocks at midnight of 2010-10-03: 00:00 did not exist.
        let day = NaiveDate::from_ymd_opt(2010, 10, 3).unwrap();
        let first = first_instant_of(day, chrono_tz::America::Asuncion).unwrap();
        assert_eq!(print_instant(first), "2010-10-03T04:00:00Z");
        // Samoa skipped the whole of 2011-12-30.
        let day = NaiveDate::from_ymd_opt(2011, 12, 30).unwrap();
        let first = first_instant_of(day, chrono_tz::Pacific::Apia).unwrap();
        assert_eq!(print_instant(first), "2011-12-30T10:00:00Z");
    }

    #[test]
    fn the_days_of_parts_add_up_to_those_of_the_whole() {
        let instant = |text| parse_instant(text).unwrap();
        // Each row: zone, cuts, and the days between two of them.
        for (zone, cuts, days) in [
            ("UTC", "2026-06-01T00:00:00Z 2026-06-10T09:30:00Z 2026-06-10T18:00:00Z 2026-07-01T00:00:00Z", [9, 0, 21]),
            // 23:30 in UTC is the next day in Berlin; the DST change makes no day more or less.
            (
                "Europe/Berlin",
                "2026-02-28T23:00:00Z 2026-03-09T23:30:00Z 2026-03-29T01:00:00Z 2026-03-31T22:00:00Z",
                [9, 19, 3],
            ),
            ("UTC", "2024-02-01T00:00:00Z 2024-02-29T00:00:00Z 2024-02-29T12:00:00Z 2024-03-01T00:00:00Z", [28, 0, 1]),
            // Samoa had no 30 December 2011: the date counts.
            (
                "Pacific/Apia",
                "2011-12-01T10:00:00Z 2011-12-30T09:00:00Z 2011-12-30T11:00:00Z 2011-12-31T10:00:00Z",
                [28, 2, 1],
            ),
        ] {
            let zone: Tz = zone.parse().unwrap();
            let cuts: Vec<_> = cuts.split(' ').map(instant).collect();
            let parts: Vec<_> =
                cuts.windows(2).map(|pair| days_of(Period::new(pair[0], pair[1]).unwrap(), zone)).collect();
            assert_eq!(parts, days, "{zone}");
            assert_eq!(days_of(Period::new(cuts[0], cuts[3]).unwrap(), zone), days.iter().sum::<i64>());
        }
    }

    #[test]
    fn months_are_parsed_strictly() {
        for bad in ["2026-6", "2026-13", "26-06", "2026/06", "2026-00", "june", ""] {
            assert!(bad.parse::<Month>().is_err(), "{bad:?}");
        }
        let december: Month = "2026-12".parse().unwrap();
        assert_eq!(december.next().to_string(), "2027-01");
        assert_eq!(december.next().previous(), december);
    }

    #[test]
    fn periods_are_half_open_and_hours_cut_before_the_epoch_too() {
        let instant = |text| parse_instant(text).unwrap();
        let period = Period::new(instant("2026-06-01T00:00:00Z"), instant("2026-07-01T00:00:00Z")).unwrap();
        assert!(period.contains(period.start) && !period.contains(period.end));
        assert!(Period::new(period.end, period.start).is_err());
        assert_eq!(hour_of(instant("1969-12-31T23:59:59.999999Z")), instant("1969-12-31T23:00:00Z"));
    }

    #[test]
    fn an_instant_is_printed_as_chrono_prints_it() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-06-30T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "2026-06-01T07:08:09.5Z",
            "2026-06-01T07:08:09.000001Z",
        ] {
            let at = DateTime::parse_from_rfc3339(text).unwrap().to_utc();
            assert_eq!(print_instant(at), at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
            assert_eq!(parse_instant(&print_instant(at)).unwrap(), at);
        }
        let far = DateTime::<Utc>::MAX_UTC - Duration::seconds(1);
        assert_eq!(print_instant(far), far.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        let early = DateTime::<Utc>::MIN_UTC;
        assert_eq!(print_instant(early), early.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    }
}
