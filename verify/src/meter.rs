//! What a meter makes of requests: one quantity of all of them at once, and the state that `usage` keeps of a slice,
//! which the evidence of a line is hashed over. From `docs/metering.md`, with no merging of states: every fold looks at
//! every request of its time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tollbook_schemas::meter::{Aggregation, Percentile, PercentileMethod};
use tollbook_schemas::period::{Period, print_instant};

use crate::number::Ratio;

/// Source, partition, offset, index.
pub(crate) type Place = (Arc<str>, i32, i64, i32);

/// One value that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) at: DateTime<Utc>,
    pub(crate) place: Place,
    /// As the record has it.
    pub(crate) text: String,
    /// `unscaled / 10^12`; 0 of a meter that takes texts.
    pub(crate) number: i128,
}

/// In the order in which they were observed: by instant, then by place.
pub(crate) fn in_order<'a>(seen: &[&'a Seen]) -> Vec<&'a Seen> {
    let mut seen = seen.to_vec();
    seen.sort_by(|one, other| (one.at, &one.place).cmp(&(other.at, &other.place)));
    seen
}

/// The last one of each instant, in order.
fn levels<'a>(seen: &[&'a Seen]) -> Vec<&'a Seen> {
    let by_instant: BTreeMap<DateTime<Utc>, &Seen> = in_order(seen).into_iter().map(|one| (one.at, one)).collect();
    by_instant.into_values().collect()
}

fn sum(seen: &[&Seen]) -> Result<Ratio, String> {
    let sum = seen.iter().try_fold(0_i128, |sum, one| sum.checked_add(one.number));
    sum.map(Ratio::unscaled).ok_or_else(|| "a sum does not fit 26 digits".to_owned())
}

/// The level that holds behind these.
pub(crate) fn level_after(seen: &[&Seen]) -> Ratio {
    let last = seen.iter().max_by(|one, other| (one.at, &one.place).cmp(&(other.at, &other.place)));
    last.map_or(Ratio::whole(0), |last| Ratio::unscaled(last.number))
}

/// The quantity of a span of time: `events` requests, `seen` those of them that have a value, `before` the level that
/// held when it began.
///
/// # Errors
/// What does not fit, in words.
pub(crate) fn quantity(
    aggregation: Aggregation,
    seen: &[&Seen],
    events: i64,
    span: Period,
    before: &Ratio,
) -> Result<Ratio, String> {
    let numbers = || seen.iter().map(|one| one.number);
    let or_nothing = |number: Option<i128>| number.map_or(Ratio::whole(0), Ratio::unscaled);
    Ok(match aggregation {
        Aggregation::Count => Ratio::whole(events),
        Aggregation::Sum | Aggregation::SumByEvent => sum(seen)?,
        Aggregation::Min => or_nothing(numbers().min()),
        Aggregation::Max => or_nothing(numbers().max()),
        Aggregation::Avg => match sum(seen)?.over(&Ratio::whole(count(seen.len())?)) {
            Some(mean) => mean.to_quantity(),
            None => Ratio::whole(0),
        },
        Aggregation::Latest => level_after(seen),
        Aggregation::Unique => {
            let distinct: BTreeSet<&str> = seen.iter().map(|one| one.text.as_str()).collect();
            Ratio::whole(count(distinct.len())?)
        }
        Aggregation::TimeWeighted => held(seen, span, before)?,
        Aggregation::Percentile(percentile) => percentile_of(percentile, numbers().collect())?,
    })
}

fn count(length: usize) -> Result<i64, String> {
    i64::try_from(length).map_err(|_| "too many requests".to_owned())
}

/// Value × hours: each level until the next one, the last until the end.
fn held(seen: &[&Seen], span: Period, before: &Ratio) -> Result<Ratio, String> {
    let mut steps = vec![(span.start, before.clone())];
    let inside = levels(seen).into_iter().filter(|one| span.contains(one.at));
    steps.extend(inside.map(|one| (one.at, Ratio::unscaled(one.number))));
    let ends = steps.iter().skip(1).map(|(at, _)| *at).chain([span.end]);
    let mut sum = Ratio::whole(0);
    for ((from, level), to) in steps.iter().zip(ends) {
        let micros = (to - *from).num_microseconds().ok_or("a span is too long")?;
        sum = &sum + &(level * &Ratio::whole(micros));
    }
    Ok(sum.part_of(3_600_000_000).to_quantity())
}

fn percentile_of(percentile: Percentile, mut numbers: Vec<i128>) -> Result<Ratio, String> {
    numbers.sort_unstable();
    let at = |index: i64| {
        let number = usize::try_from(index).ok().and_then(|index| numbers.get(index)).or(numbers.last());
        number.map_or(Ratio::whole(0), |number| Ratio::unscaled(*number))
    };
    let whole = 100_000;
    let (part, values) = (i64::from(percentile.thousandths), count(numbers.len())?);
    let share = |of: i64| part.checked_mul(of).ok_or("too many requests");
    if values == 0 {
        return Ok(Ratio::whole(0));
    }
    match percentile.method {
        // The value at rank ⌈p·n⌉, from 1.
        PercentileMethod::NearestRank => Ok(at((share(values)? + whole - 1) / whole - 1)),
        // Between the two values around 1 + p·(n − 1), in proportion.
        PercentileMethod::Linear => {
            let place = share(values - 1)?;
            let (low, high) = (at(place / whole), at(place / whole + 1));
            let way = Ratio::whole(place % whole).over(&Ratio::whole(whole)).ok_or("no whole")?;
            Ok((&low + &(&(&high - &low) * &way)).to_quantity())
        }
    }
}

/// The state of a slice, as one line of JSON with sorted keys: the form that `schemas/src/meter/state.rs` declares.
pub(crate) fn state_json(aggregation: Aggregation, seen: &[&Seen]) -> Result<String, String> {
    let text = |number: i128| Ratio::unscaled(number).text();
    let numbers = || seen.iter().map(|one| one.number);
    let level = |one: &&Seen| {
        let (source, partition, offset, index) = &one.place;
        json!([print_instant(one.at), &**source, partition, offset, index, text(one.number)])
    };
    let state: Vec<(&str, Value)> = match aggregation {
        Aggregation::Count => Vec::new(),
        Aggregation::Sum => vec![("sum", json!(sum(seen)?.text()))],
        Aggregation::SumByEvent => vec![("events", in_order(seen).iter().map(level).collect())],
        Aggregation::Min => numbers().min().map(|least| ("min", json!(text(least)))).into_iter().collect(),
        Aggregation::Max => numbers().max().map(|most| ("max", json!(text(most)))).into_iter().collect(),
        Aggregation::Avg => vec![("count", json!(seen.len())), ("sum", json!(sum(seen)?.text()))],
        Aggregation::Latest => {
            vec![("levels", in_order(seen).last().iter().map(|last| level(last)).collect())]
        }
        Aggregation::TimeWeighted => vec![("levels", levels(seen).iter().map(level).collect())],
        Aggregation::Unique => {
            let distinct: BTreeSet<&str> = seen.iter().map(|one| one.text.as_str()).collect();
            vec![("values", json!(distinct))]
        }
        Aggregation::Percentile(_) => {
            let mut counts: BTreeMap<String, i64> = BTreeMap::new();
            for number in numbers() {
                *counts.entry(text(number)).or_default() += 1;
            }
            vec![("counts", json!(counts))]
        }
    };
    let state: Map<String, Value> = state.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(Value::Object(state).to_string())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use tollbook_schemas::period::parse_instant;

    use super::*;
    use crate::number::read_value;

    fn start() -> DateTime<Utc> {
        parse_instant("2026-06-01T00:00:00Z").unwrap()
    }

    /// `minute value`, at places in their order.
    fn seen(texts: &[&str]) -> Vec<Seen> {
        let one = |(offset, text): (usize, &&str)| {
            let (minute, value) = text.split_once(' ').unwrap();
            Seen {
                at: start() + TimeDelta::minutes(minute.parse().unwrap()),
                place: ("s".into(), 0, i64::try_from(offset).unwrap(), 0),
                text: value.to_owned(),
                number: read_value(value).unwrap_or(0),
            }
        };
        texts.iter().enumerate().map(one).collect()
    }

    /// The table of `docs/metering.md`, and the edges of each word of it.
    #[test]
    fn each_aggregation_gives_what_the_page_says() {
        let percentile = |thousandths, method| Aggregation::Percentile(Percentile { thousandths, method });
        let (nearest, linear) = (PercentileMethod::NearestRank, PercentileMethod::Linear);
        let four = &["0 3", "1 1", "2 4", "3 2"][..];
        let held_state = r#"{"levels":[["2026-06-01T00:10:00Z","s",0,1,0,"2"]]}"#;
        for (aggregation, values, before, expected, state) in [
            (Aggregation::Count, four, "0", "4", "{}"),
            (Aggregation::Sum, &["0 1.5", "1 -0.25"], "0", "1.25", r#"{"sum":"1.25"}"#),
            (Aggregation::Sum, &[], "0", "0", r#"{"sum":"0"}"#),
            (
                Aggregation::SumByEvent,
                &["1 1.5", "0 -0.25"],
                "0",
                "1.25",
                r#"{"events":[["2026-06-01T00:00:00Z","s",0,1,0,"-0.25"],["2026-06-01T00:01:00Z","s",0,0,0,"1.5"]]}"#,
            ),
            (Aggregation::SumByEvent, &[], "0", "0", r#"{"events":[]}"#),
            (Aggregation::Min, four, "0", "1", r#"{"min":"1"}"#),
            (Aggregation::Min, &[], "0", "0", "{}"),
            (Aggregation::Max, four, "0", "4", r#"{"max":"4"}"#),
            (Aggregation::Max, &[], "0", "0", "{}"),
            (Aggregation::Avg, &["0 1", "1 1", "2 0"], "0", "0.666666666667", r#"{"count":3,"sum":"2"}"#),
            (Aggregation::Avg, &[], "0", "0", r#"{"count":0,"sum":"0"}"#),
            (Aggregation::Latest, &["10 1", "10 2", "5 9"], "7", "2", held_state),
            (Aggregation::Latest, &[], "7", "0", r#"{"levels":[]}"#),
            (Aggregation::Unique, &["0 b", "1 a", "2 b"], "0", "2", r#"{"values":["a","b"]}"#),
            (Aggregation::TimeWeighted, &["10 1", "10 2", "70 5"], "6", "2.666666666667", "-"),
            (Aggregation::TimeWeighted, &["10 1", "10 2"], "0", "1.666666666667", held_state),
            (Aggregation::TimeWeighted, &[], "6", "6", r#"{"levels":[]}"#),
            (percentile(50_000, nearest), four, "0", "2", r#"{"counts":{"1":1,"2":1,"3":1,"4":1}}"#),
            (percentile(50_000, linear), four, "0", "2.5", "-"),
            (percentile(100_000, linear), four, "0", "4", "-"),
            (percentile(1, nearest), four, "0", "1", "-"),
            (percentile(95_000, nearest), &["0 10", "0 9", "0 10"], "0", "10", r#"{"counts":{"10":2,"9":1}}"#),
            (percentile(95_000, nearest), &[], "0", "0", r#"{"counts":{}}"#),
        ] {
            let values = seen(values);
            let values: Vec<&Seen> = values.iter().rev().collect();
            let hour = Period { start: start(), end: start() + TimeDelta::hours(1) };
            let before = Ratio::decimal(before.parse().unwrap());
            let found = quantity(aggregation, &values, count(values.len()).unwrap(), hour, &before).unwrap();
            assert_eq!(found.text(), expected, "{aggregation} {values:?}");
            if state != "-" {
                assert_eq!(state_json(aggregation, &values).unwrap(), state, "{aggregation}");
            }
        }
    }
}
