//! A calendar date in documents: `2026-06-01`, as chrono writes it. A month's evidence has millions of days, and
//! chrono's own reading and writing put each together piece by piece.

use chrono::{Datelike as _, NaiveDate};
use serde::{Deserializer, Serializer};

use super::put_pairs;
use crate::read_text::read_text;

/// Writes a date.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(date: &NaiveDate, serializer: S) -> Result<S::Ok, S::Error> {
    let Ok(year @ 0..=9999) = u32::try_from(date.year()) else {
        return serializer.collect_str(date);
    };
    let mut text = *b"0000-00-00";
    put_pairs(&mut text, [year / 100, year % 100, date.month(), date.day()], [0, 2, 5, 8]);
    serializer.serialize_str(str::from_utf8(&text).unwrap_or_default())
}

/// Reads a date.
///
/// # Errors
/// A text that is no date.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
    // Whatever else is a date is left to chrono.
    let parse = |text: &str| of_ten_digits(text).map_or_else(|| text.parse(), Ok::<_, chrono::ParseError>);
    read_text(deserializer, "a date such as 2026-06-01", parse)
}

/// Of a text of the usual length.
fn of_ten_digits(text: &str) -> Option<NaiveDate> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text.as_bytes() else { return None };
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0_u32, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0')))
    };
    let year = i32::try_from(number(&[y1, y2, y3, y4])?).ok()?;
    NaiveDate::from_ymd_opt(year, number(&[m1, m2])?, number(&[d1, d2])?)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Day(#[serde(with = "super")] NaiveDate);

    /// The same text as chrono's, and the same date from it; what chrono refuses is refused.
    #[test]
    fn a_date_is_as_chrono_has_it() {
        let days = (0..800).map(|day| NaiveDate::from_ymd_opt(2023, 12, 1).unwrap() + chrono::Days::new(day));
        let edges = [(-1, 1, 1), (0, 1, 1), (9999, 12, 31), (10_000, 1, 1), (1970, 1, 1)];
        for date in days.chain(edges.map(|(y, m, d)| NaiveDate::from_ymd_opt(y, m, d).unwrap())) {
            let text = serde_json::to_string(&Day(date)).unwrap();
            assert_eq!(text, serde_json::to_string(&date).unwrap());
            assert_eq!(serde_json::from_str::<Day>(&text).unwrap(), Day(date));
        }
        for wrong in
            ["2026-02-29", "2026-13-01", "2026-00-10", "2026-1x-01", "20260101", "2026/06/01", "", "2026-06-01T"]
        {
            let text = format!("\"{wrong}\"");
            assert!(serde_json::from_str::<NaiveDate>(&text).is_err(), "{wrong}");
            assert!(serde_json::from_str::<Day>(&text).is_err(), "{wrong}");
        }
    }
}
