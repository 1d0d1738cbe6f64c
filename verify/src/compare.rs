//! Two documents side by side: the first thing in which the stored one and the re-derived one differ, in words. Pure.
//!
//! What identifies a document is compared first, then its lines from the first to the last, then what follows from
//! them: a changed request shows as the line that billed it, and not as the total. Of a line the quantity goes before
//! the amount, and a quantity tells the UTC days that differ.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// One UTC day on which a line billed something else than its rows say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayDifference {
    /// Day.
    pub event_date: String,
    /// Quantity of the day on the invoice; none where it has no such day.
    pub stored: Option<String>,
    /// Quantity of the day as re-derived.
    pub rederived: Option<String>,
}

/// Something that is not as it must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Line, from 1; none where it is about the whole document.
    pub line_number: Option<u64>,
    /// What the customer reads on the line.
    pub description: Option<String>,
    /// Column or key.
    pub field: String,
    /// What is stored; none where nothing is.
    pub stored: Option<String>,
    /// What it must be; none where nothing may be there.
    pub rederived: Option<String>,
    /// Days of a quantity.
    pub days: Vec<DayDifference>,
    /// In words, where two values do not tell it.
    pub note: Option<String>,
    /// Whether it only says that this version does not know something of the document, and not that it is wrong.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_unknown: bool,
}

impl Difference {
    /// One that words tell.
    pub(crate) fn told(field: &str, note: impl Into<String>) -> Self {
        Self { field: field.to_owned(), note: Some(note.into()), ..Self::default() }
    }

    /// What this version does not know, in words.
    pub(crate) fn unknown(field: &str, note: impl Into<String>) -> Self {
        Self { is_unknown: true, ..Self::told(field, note) }
    }

    /// The same, of a line.
    pub(crate) fn of_line(self, line_number: u64, description: &str) -> Self {
        Self { line_number: Some(line_number), description: Some(description.to_owned()), ..self }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line_number, &self.description) {
            (Some(number), Some(description)) => write!(f, "line {number} ({description}): ")?,
            (Some(number), None) => write!(f, "line {number}: ")?,
            _ => {}
        }
        write!(f, "{}", self.field)?;
        match (&self.stored, &self.rederived) {
            (Some(stored), Some(rederived)) => write!(f, " is {stored}, and re-derived {rederived}")?,
            (Some(stored), None) => write!(f, " is {stored}, and re-derived there is none")?,
            (None, Some(rederived)) => write!(f, " is not there, and re-derived {rederived}")?,
            (None, None) => {}
        }
        for (at, day) in self.days.iter().enumerate() {
            let quantity = |quantity: &Option<String>| quantity.clone().unwrap_or_else(|| "none".to_owned());
            let begin = if at == 0 { "; " } else { ", " };
            let (stored, rederived) = (quantity(&day.stored), quantity(&day.rederived));
            write!(f, "{begin}on {} {stored}, and re-derived {rederived}", day.event_date)?;
        }
        self.note.as_ref().map_or(Ok(()), |note| write!(f, ": {note}"))
    }
}

/// Keys that follow from the others: told where nothing else differs.
const LAST: [&str; 2] = ["total_minor", "catalog_sha256"];
/// The order in which the keys of a line are looked at; the others come behind them.
const OF_LINE: [&str; 8] =
    ["subscription_id", "plan_id", "plan_version", "price_id", "span_start", "span_end", "quantity", "amount_minor"];

/// A value as a person reads it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn of_key(key: &str, stored: &Map<String, Value>, rederived: &Map<String, Value>) -> Option<Difference> {
    let (stored, rederived) = (stored.get(key), rederived.get(key));
    (stored != rederived).then(|| Difference {
        field: key.to_owned(),
        stored: stored.map(shown),
        rederived: rederived.map(shown),
        ..Difference::default()
    })
}

/// The same, down to the first part that differs: a shadow bill is long, and a person wants the one figure.
fn of_part(key: &str, stored: &Map<String, Value>, rederived: &Map<String, Value>) -> Option<Difference> {
    let whole = of_key(key, stored, rederived)?;
    let (mut path, mut pair) = (key.to_owned(), (stored.get(key)?, rederived.get(key)?));
    loop {
        let (step, one, other) = match pair {
            (Value::Object(one), Value::Object(other)) => {
                let key = keys(&[], one, other).into_iter().find(|key| one.get(*key) != other.get(*key))?;
                (format!(".{key}"), one.get(key), other.get(key))
            }
            (Value::Array(one), Value::Array(other)) => {
                let at = (0..one.len().max(other.len())).find(|at| one.get(*at) != other.get(*at))?;
                (format!("[{at}]"), one.get(at), other.get(at))
            }
            (one, other) => {
                return Some(Difference {
                    field: path,
                    stored: Some(shown(one)),
                    rederived: Some(shown(other)),
                    ..Difference::default()
                });
            }
        };
        path += &step;
        let (Some(one), Some(other)) = (one, other) else {
            return Some(Difference { field: path, stored: one.map(shown), rederived: other.map(shown), ..whole });
        };
        pair = (one, other);
    }
}

/// The keys of both, those that are named first in their order, then the rest.
fn keys<'a>(first: &[&'a str], one: &'a Map<String, Value>, other: &'a Map<String, Value>) -> Vec<&'a str> {
    let all: BTreeSet<&str> = one.keys().chain(other.keys()).map(String::as_str).collect();
    let rest = all.into_iter().filter(|key| !first.contains(key));
    first.iter().copied().chain(rest).collect()
}

/// The first difference of two texts; none where they are the same bytes.
#[must_use]
pub fn first_difference(stored: &str, rederived: &str) -> Option<Difference> {
    if stored == rederived {
        return None;
    }
    let (one, other) = match (serde_json::from_str(stored), serde_json::from_str(rederived)) {
        (Ok(Value::Object(one)), Ok(Value::Object(other))) => (one, other),
        _ => return Some(Difference::told("document", "the stored text is no JSON object")),
    };
    let is_first = |key: &&str| *key != "lines" && !LAST.contains(key);
    let before = keys(&[], &one, &other)
        .into_iter()
        .filter(is_first)
        .find_map(|key| of_part(key, &one, &other).or_else(|| of_key(key, &one, &other)));
    let found = before.or_else(|| lines(&one, &other));
    let found = found.or_else(|| LAST.iter().find_map(|key| of_key(key, &one, &other)));
    found.or_else(|| {
        let at = stored.bytes().zip(rederived.bytes()).take_while(|(one, other)| one == other).count();
        Some(Difference::told("document", format!("it says the same in another text, from byte {at} on")))
    })
}

fn lines(stored: &Map<String, Value>, rederived: &Map<String, Value>) -> Option<Difference> {
    let lines = |body: &Map<String, Value>| body.get("lines").and_then(Value::as_array).cloned().unwrap_or_default();
    let (stored, rederived) = (lines(stored), lines(rederived));
    (0..stored.len().max(rederived.len())).find_map(|at| {
        let number = u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1);
        match (stored.get(at).and_then(Value::as_object), rederived.get(at).and_then(Value::as_object)) {
            (Some(stored), Some(rederived)) => {
                let found = line(stored, rederived)?;
                Some(found.of_line(number, &described(stored)))
            }
            (Some(stored), None) => {
                Some(Difference::told("line", "it is not re-derived").of_line(number, &described(stored)))
            }
            (None, Some(rederived)) => {
                Some(Difference::told("line", "the invoice does not have it").of_line(number, &described(rederived)))
            }
            (None, None) => Some(Difference::told("lines", format!("entry {number} is no line"))),
        }
    })
}

fn described(line: &Map<String, Value>) -> String {
    line.get("description").map(shown).unwrap_or_default()
}

fn line(stored: &Map<String, Value>, rederived: &Map<String, Value>) -> Option<Difference> {
    let found = keys(&OF_LINE, stored, rederived).into_iter().find_map(|key| of_key(key, stored, rederived))?;
    if found.field == "usage" {
        return Some(usage(stored, rederived));
    }
    let days = if found.field == "quantity" { days(stored, rederived) } else { Vec::new() };
    Some(Difference { days, ..found })
}

fn days_of(line: &Map<String, Value>) -> Vec<&Map<String, Value>> {
    line.get("usage").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object).collect()
}

/// The days whose quantities differ.
fn days(stored: &Map<String, Value>, rederived: &Map<String, Value>) -> Vec<DayDifference> {
    let quantity = |line: &Map<String, Value>, date: &str| {
        let day = days_of(line).into_iter().find(|day| day.get("event_date").and_then(Value::as_str) == Some(date))?;
        day.get("quantity").map(shown)
    };
    let dates = days_of(stored).into_iter().chain(days_of(rederived));
    let dates: BTreeSet<String> = dates.filter_map(|day| day.get("event_date").map(shown)).collect();
    let day = |date: String| {
        let (stored, rederived) = (quantity(stored, &date), quantity(rederived, &date));
        (stored != rederived).then_some(DayDifference { event_date: date, stored, rederived })
    };
    dates.into_iter().filter_map(day).collect()
}

/// What differs in the evidence of a line whose quantity is right.
fn usage(stored: &Map<String, Value>, rederived: &Map<String, Value>) -> Difference {
    let days = days(stored, rederived);
    if !days.is_empty() {
        return Difference { field: "usage".to_owned(), days, ..Difference::default() };
    }
    let pairs = days_of(stored).into_iter().zip(days_of(rederived));
    let of_day = |(stored, rederived): (&Map<String, Value>, &Map<String, Value>)| {
        let found = keys(&["event_date", "event_count"], stored, rederived);
        let found = found.into_iter().find_map(|key| of_key(key, stored, rederived))?;
        let date = stored.get("event_date").map(shown).unwrap_or_default();
        Some(Difference { field: format!("usage of {date}: {}", found.field), ..found })
    };
    pairs.into_iter().find_map(of_day).unwrap_or_else(|| Difference::told("usage", "it has other days"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document with two lines, some text of it replaced.
    fn document(changes: &[(&str, &str)]) -> String {
        let day = r#"{"event_count":3,"event_date":"2026-06-11","quantity":"3","slice_count":1,"usage_sha256":"aa"}"#;
        let text = format!(
            r#"{{"catalog_sha256":"c1","lines":[{{"amount_minor":4900,"description":"Base","line_number":1,"quantity":"1"}},{{"amount_minor":6,"description":"Calls","line_number":2,"quantity":"3","usage":[{day}]}}],"month":"2026-06","total_minor":4906}}"#
        );
        changes.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        })
    }

    #[test]
    fn the_first_difference_names_the_line_and_the_days() {
        for (changes, told) in [
            (&[][..], None),
            (&[(r#""month":"2026-06""#, r#""month":"2026-07""#)], Some("month is 2026-06, and re-derived 2026-07")),
            (
                &[
                    (r#""quantity":"3","usage""#, r#""quantity":"2","usage""#),
                    (r#""quantity":"3""#, r#""quantity":"2""#),
                    ("4906", "4904"),
                ],
                Some("line 2 (Calls): quantity is 3, and re-derived 2; on 2026-06-11 3, and re-derived 2"),
            ),
            (
                &[("4900", "490"), ("4906", "496"), ("\"c1\"", "\"c2\"")],
                Some("line 1 (Base): amount_minor is 4900, and re-derived 490"),
            ),
            (
                &[("\"aa\"", "\"bb\"")],
                Some("line 2 (Calls): usage of 2026-06-11: usage_sha256 is aa, and re-derived bb"),
            ),
            (&[("4906", "4907")], Some("total_minor is 4906, and re-derived 4907")),
            (&[("\"c1\"", "\"c2\"")], Some("catalog_sha256 is c1, and re-derived c2")),
            (&[(r#""month":"#, r#""month": "#)], Some("document: it says the same in another text, from byte")),
            (&[(r#"},{"amount_minor":6,"#, r#"}],"were":[{"amount_minor":6,"#)], Some("were is not there")),
        ] {
            let found = first_difference(&document(&[]), &document(changes)).map(|found| found.to_string());
            match (found, told) {
                (None, None) => {}
                (Some(found), Some(told)) if found.starts_with(told) => {}
                (found, told) => panic!("{found:?} is not {told:?}"),
            }
        }
        let shadow = |amount: i64, days: &str| {
            format!(r#"{{"shadows":[{{"lines":[{{"amount_minor":{amount},"usage":{days}}}]}}]}}"#)
        };
        for (one, other, told) in [
            ((5, "[]"), (6, "[]"), "shadows[0].lines[0].amount_minor is 5, and re-derived 6"),
            ((5, "[1]"), (5, "[1,2]"), "shadows[0].lines[0].usage[1] is not there, and re-derived 2"),
        ] {
            let found = first_difference(&shadow(one.0, one.1), &shadow(other.0, other.1)).unwrap();
            assert_eq!(found.to_string(), told);
        }
        let fewer = r#"{"lines":[],"month":"2026-06"}"#;
        let more = r#"{"lines":[{"description":"Base"}],"month":"2026-06"}"#;
        let told = |one, other| first_difference(one, other).unwrap().to_string();
        assert_eq!(told(fewer, more), "line 1 (Base): line: the invoice does not have it");
        assert_eq!(told(more, fewer), "line 1 (Base): line: it is not re-derived");
    }
}
