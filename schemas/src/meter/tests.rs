//! Quantities as rows of text, and that states merge in any order and grouping to the same.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::decimal::Decimal;
use crate::period::{Period, parse_instant};

fn midnight() -> DateTime<Utc> {
    parse_instant("2026-06-01T00:00:00Z").unwrap()
}

/// `5@30`: value 5 at minute 30; the place is the order in the text.
fn observations(text: &str) -> Vec<Observation> {
    text.split_whitespace()
        .zip(0..)
        .map(|(word, offset)| {
            let (value, minute) = word.split_once('@').unwrap_or((word, "0"));
            Observation {
                at: midnight() + TimeDelta::minutes(minute.parse().unwrap()),
                place: ("s".to_owned(), 0, offset, 0),
                value: value.parse().unwrap(),
            }
        })
        .collect()
}

fn aggregation(words: &str) -> Aggregation {
    let percentile = |thousandths, method| Aggregation::Percentile(Percentile { thousandths, method });
    match words.split_once(' ') {
        Some((part, method)) => percentile(part.parse().unwrap(), PercentileMethod::parse(method).unwrap()),
        None => match words {
            "count" => Aggregation::Count,
            "sum" => Aggregation::Sum,
            "sum_by_event" => Aggregation::SumByEvent,
            "min" => Aggregation::Min,
            "max" => Aggregation::Max,
            "avg" => Aggregation::Avg,
            "latest" => Aggregation::Latest,
            "unique" => Aggregation::Unique,
            _ => Aggregation::TimeWeighted,
        },
    }
}

fn state_of(aggregation: Aggregation, seen: &[Observation]) -> MeterState {
    let mut state = MeterState::empty(aggregation);
    seen.iter().for_each(|seen| state.observe(seen.clone()).unwrap());
    state
}

#[test]
fn quantities_are_exact() {
    let span = Period { start: midnight(), end: midnight() + TimeDelta::hours(2) };
    for (words, values, before, wanted) in [
        ("count", "1 1 1", "", "3"),
        ("sum", "0.1 0.2 -0.05", "", "0.25"),
        ("sum", "", "", "0"),
        ("sum_by_event", "0.1@5 0.2@5 -0.05", "", "0.25"),
        ("sum_by_event", "", "", "0"),
        ("min", "3 -2 7", "", "-2"),
        ("max", "3 -2 7", "", "7"),
        ("max", "-3 -2", "", "-2"),
        ("min", "", "", "0"),
        ("avg", "1 2", "", "1.5"),
        ("avg", "1 1 2", "", "1.333333333333"),
        ("avg", "-1 -1 -2", "", "-1.333333333333"),
        ("avg", "1 2 2", "", "1.666666666667"),
        ("avg", "", "", "0"),
        ("latest", "5@10 7@20 6@15", "", "7"),
        // Of one instant the later place.
        ("latest", "5@10 7@10", "", "7"),
        ("unique", "1 2 1.0", "", "2"),
        // 2 for an hour and a half; 4 for half an hour more.
        ("time_weighted", "2@30", "", "3"),
        ("time_weighted", "2@0 4@90", "", "5"),
        ("time_weighted", "4@90 2@0", "", "5"),
        ("time_weighted", "", "10", "20"),
        ("time_weighted", "0@30", "10", "5"),
        ("time_weighted", "1@0 3@0", "", "6"),
        // 1 for 20 minutes: a third, rounded once.
        ("time_weighted", "1@0 0@20", "", "0.333333333333"),
        // At the end of the span, which is not in it; before it, which is not either.
        ("time_weighted", "9@120", "1", "2"),
        ("95000 nearest_rank", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20", "", "19"),
        ("95000 nearest_rank", "1 2 3 4 5 6 7 8 9 10", "", "10"),
        ("50000 nearest_rank", "1 2 3 4", "", "2"),
        ("50000 linear", "1 2 3 4", "", "2.5"),
        ("95000 linear", "1 2 3 4 5 6 7 8 9 10", "", "9.55"),
        ("99900 linear", "0 10", "", "9.99"),
        ("100000 linear", "5 1", "", "5"),
        ("100000 nearest_rank", "5 1", "", "5"),
        ("1 nearest_rank", "5 1", "", "1"),
        ("95000 nearest_rank", "", "", "0"),
        ("95000 linear", "7", "", "7"),
        ("50000 linear", "7 7 7 9", "", "7"),
    ] {
        let aggregation = aggregation(words);
        let seen = observations(values);
        let state = state_of(aggregation, &seen);
        let events = i64::try_from(seen.len()).unwrap();
        let before = (!before.is_empty()).then(|| before.parse().unwrap());
        let found = quantity(aggregation, &state, events, span, before).unwrap();
        assert_eq!(found, wanted.parse::<Decimal>().unwrap(), "{words} of {values}");
    }
}

#[test]
fn states_merge_in_any_order_and_grouping_and_are_read_back() {
    let mut dice = 5_u64;
    let mut below = |end: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % end
    };
    for words in [
        "count",
        "sum",
        "sum_by_event",
        "min",
        "max",
        "avg",
        "latest",
        "unique",
        "time_weighted",
        "90000 nearest_rank",
        "90000 linear",
    ] {
        let aggregation = aggregation(words);
        for _ in 0..200 {
            let text: Vec<String> =
                (0..below(12)).map(|_| format!("{}.{}@{}", below(20), below(100), below(120))).collect();
            let seen = observations(&text.join(" "));
            let whole = state_of(aggregation, &seen);
            assert_eq!(MeterState::from_json(aggregation, &whole.to_json()).unwrap(), whole, "{words} {text:?}");
            // Shuffled into up to four parts, some empty, merged backwards.
            let mut parts: Vec<Vec<Observation>> = vec![Vec::new(); 4];
            for seen in seen.iter().rev() {
                parts[usize::try_from(below(4)).unwrap()].push(seen.clone());
            }
            let mut merged = MeterState::empty(aggregation);
            for part in parts.iter().rev() {
                merged.merge(state_of(aggregation, part)).unwrap();
            }
            assert_eq!(merged, whole, "{words} {text:?}");
        }
    }
}

#[test]
fn what_is_no_state_is_an_error() {
    for (words, text) in [
        ("sum", "{}"),
        ("sum", "{\"sum\":1}"),
        ("sum", "{\"sum\":\"1\",\"count\":2}"),
        ("sum", "{\"values\":[\"1\"]}"),
        ("sum_by_event", "{\"levels\":[]}"),
        (
            "sum_by_event",
            "{\"events\":[[\"2026-06-01T00:00:00Z\",\"s\",0,2,0,\"2\"],[\"2026-06-01T00:00:00Z\",\"s\",0,1,0,\"2\"]]}",
        ),
        ("avg", "{\"sum\":\"1\"}"),
        ("unique", "{\"values\":[\"b\",\"a\"]}"),
        ("count", "{\"sum\":\"1\"}"),
        ("time_weighted", "{\"levels\":[[\"yesterday\",\"s\",0,1,0,\"2\"]]}"),
        ("latest", ""),
        ("50000 linear", "{\"counts\":{\"x\":1}}"),
    ] {
        let aggregation = aggregation(words);
        assert!(MeterState::from_json(aggregation, text).is_err(), "{words} {text}");
    }
    let max = Decimal::from_unscaled(99_999_999_999_999_999_999_999_999_999_999_999_999).unwrap();
    let seen = Observation { value: max, ..observations("1")[0].clone() };
    for words in ["sum", "avg"] {
        let mut state = state_of(aggregation(words), std::slice::from_ref(&seen));
        assert!(matches!(state.observe(seen.clone()), Err(StateError::Overflow(_))), "{words}");
    }
    assert_eq!(MeterState::Count.merge(MeterState::Sum(Decimal::ZERO)), Err(StateError::Mixed));
}
