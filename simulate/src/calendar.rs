//! The demo's calendar: microseconds since 1970 for May to July 2026, and the time zones its partners use.
//!
//! Takes days and hours, gives instants and their text. It knows three months and the June offsets of five zones,
//! nothing more, and it asks no time zone database: the ledger must not share a mistake with the pipeline.

use chrono::{DateTime, TimeDelta, Utc};

use crate::text::push_digits;

/// Microseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000;
/// Microseconds in a minute.
pub(crate) const MINUTE: i64 = 60 * SECOND;
/// Microseconds in an hour.
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// Microseconds in a day.
pub(crate) const DAY: i64 = 24 * HOUR;

/// 2026-05-01T00:00:00Z, a Friday.
const MAY_1: i64 = 1_777_593_600 * SECOND;

/// Traffic starts here.
pub(crate) const TRAFFIC_START: i64 = may(25, 0, 0);
/// Traffic ends before this.
pub(crate) const TRAFFIC_END: i64 = july(1, 12, 0);
/// Nothing arrives at or after this.
pub(crate) const ARRIVAL_END: i64 = july(2, 5, 0);
/// The demo's clock.
pub(crate) const NOW: i64 = july(2, 6, 0);

/// An instant in May 2026, UTC.
pub(crate) const fn may(day: i64, hour: i64, minute: i64) -> i64 {
    MAY_1 + (day - 1) * DAY + hour * HOUR + minute * MINUTE
}

/// An instant in June 2026, UTC.
pub(crate) const fn june(day: i64, hour: i64, minute: i64) -> i64 {
    may(31 + day, hour, minute)
}

/// An instant in July 2026, UTC.
pub(crate) const fn july(day: i64, hour: i64, minute: i64) -> i64 {
    june(30 + day, hour, minute)
}

/// Day of the week at an instant, Monday 0.
pub(crate) fn weekday(instant: i64) -> i64 {
    ((instant - MAY_1).div_euclid(DAY) + 4).rem_euclid(7)
}

/// The instant as chrono has it.
pub(crate) fn as_utc(instant: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::microseconds(instant)
}

/// Milliseconds since 1970, as Kafka counts.
pub(crate) fn as_ms(instant: i64) -> i64 {
    instant.div_euclid(1000)
}

/// Writes RFC 3339 with six digits: `2026-06-01T00:00:00.000000Z`, or local time and offset where minutes are given.
pub(crate) fn push_instant(out: &mut String, instant: i64, offset_minutes: Option<i64>) {
    let local = instant - MAY_1 + offset_minutes.unwrap_or(0) * MINUTE;
    let (day, rest) = (local.div_euclid(DAY), local.rem_euclid(DAY));
    let (month, day) = match day {
        ..31 => (5, day + 1),
        31..61 => (6, day - 30),
        61.. => (7, day - 60),
    };
    out.push_str("2026-");
    push_digits(out, month, 2);
    out.push('-');
    push_digits(out, day, 2);
    out.push('T');
    push_digits(out, rest / HOUR, 2);
    out.push(':');
    push_digits(out, rest / MINUTE % 60, 2);
    out.push(':');
    push_digits(out, rest / SECOND % 60, 2);
    out.push('.');
    push_digits(out, rest % SECOND, 6);
    match offset_minutes {
        None => out.push('Z'),
        Some(minutes) => {
            out.push(if minutes < 0 { '-' } else { '+' });
            push_digits(out, minutes.abs() / 60, 2);
            out.push(':');
            push_digits(out, minutes.abs() % 60, 2);
        }
    }
}

/// A time zone in June 2026.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    /// IANA name.
    pub name: &'static str,
    /// Local time minus UTC, in minutes, in June 2026.
    pub june_offset_minutes: i64,
}

/// UTC.
pub const UTC: Zone = Zone { name: "UTC", june_offset_minutes: 0 };
/// Berlin.
pub const BERLIN: Zone = Zone { name: "Europe/Berlin", june_offset_minutes: 120 };
/// New York.
pub const NEW_YORK: Zone = Zone { name: "America/New_York", june_offset_minutes: -240 };
/// Kolkata: a month that starts on a half hour.
pub const KOLKATA: Zone = Zone { name: "Asia/Kolkata", june_offset_minutes: 330 };
/// Kathmandu: a month that starts on a quarter of an hour.
pub const KATHMANDU: Zone = Zone { name: "Asia/Kathmandu", june_offset_minutes: 345 };

impl Zone {
    /// First microsecond of its June, and the first after it.
    pub(crate) fn june(self) -> (i64, i64) {
        let offset = self.june_offset_minutes * MINUTE;
        (june(1, 0, 0) - offset, july(1, 0, 0) - offset)
    }

    /// The same of its July: no zone here changes its clocks in between.
    pub(crate) fn july(self) -> (i64, i64) {
        let offset = self.june_offset_minutes * MINUTE;
        (july(1, 0, 0) - offset, july(32, 0, 0) - offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollbook_schemas::period::{Month, parse_instant, parse_zone};

    #[test]
    fn junes_are_those_of_the_time_zone_database() {
        for zone in [UTC, BERLIN, NEW_YORK, KOLKATA, KATHMANDU] {
            let june: Month = "2026-06".parse().unwrap();
            let period = june.period(parse_zone(zone.name).unwrap()).unwrap();
            let (start, end) = zone.june();
            assert_eq!((as_utc(start), as_utc(end)), (period.start, period.end), "{}", zone.name);
            let period = june.next().period(parse_zone(zone.name).unwrap()).unwrap();
            let (start, end) = zone.july();
            assert_eq!((as_utc(start), as_utc(end)), (period.start, period.end), "{}", zone.name);
        }
    }

    #[test]
    fn instants_are_written_as_rfc_3339() {
        for (instant, offset, text) in [
            (may(25, 0, 0), None, "2026-05-25T00:00:00.000000Z"),
            (june(1, 0, 0) - 1, None, "2026-05-31T23:59:59.999999Z"),
            (june(30, 23, 59) + 59 * SECOND + 5, None, "2026-06-30T23:59:59.000005Z"),
            (july(1, 12, 30), None, "2026-07-01T12:30:00.000000Z"),
            (may(31, 18, 45), Some(330), "2026-06-01T00:15:00.000000+05:30"),
            (june(1, 1, 0), Some(-240), "2026-05-31T21:00:00.000000-04:00"),
        ] {
            let mut out = String::new();
            push_instant(&mut out, instant, offset);
            assert_eq!(out, text);
            assert_eq!(parse_instant(&out).unwrap(), as_utc(instant));
        }
        assert_eq!((weekday(may(1, 5, 0)), weekday(june(1, 0, 0)), weekday(june(7, 23, 0))), (4, 0, 6));
    }
}
