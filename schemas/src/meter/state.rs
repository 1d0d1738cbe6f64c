//! The mergeable form of a meter's usage: made of values, merged, written as JSON, made a quantity.
//!
//! | aggregation | JSON of a row of `usage` |
//! |---|---|
//! | count | `{}`: the row's `event_count` |
//! | sum, min, max | `{"sum":"1.5"}`, `{"min":"1"}`, `{"max":"2"}`; without the key where no request had a value |
//! | sum_by_event | `{"events":[…]}`: each request that has a value |
//! | avg | `{"count":3,"sum":"4.5"}` |
//! | unique | `{"values":["a","b"]}`, sorted |
//! | latest | `{"levels":[…]}`: the last request that has a value |
//! | time_weighted | `{"levels":[…]}`: of each instant the last request that has a value |
//! | percentile | `{"counts":{"1.5":2}}`: how often each value came |
//!
//! A request in `events` and `levels` is its instant, its place (source, partition, offset, index) and its value:
//! `["2026-06-01T00:00:00Z","source",0,17,0,"2.5"]`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Aggregation, Percentile, PercentileMethod};
use crate::decimal::{Decimal, DecimalError};
use crate::exact::{Direction, Exact};
use crate::period::{Period, parse_instant, print_instant};

/// Source, partition, offset and index of the request that a value comes from: of two at one instant the later place
/// holds.
pub type Place = (String, i32, i64, i32);

/// A value, when it was observed, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Observation {
    /// When.
    pub at: DateTime<Utc>,
    /// Where it stands.
    pub place: Place,
    /// What.
    pub value: Decimal,
}

/// Why states do not come to a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The text is not what the table of this module says.
    #[error("the usage state {text:?} is not one of a meter with aggregation {aggregation}; aggregate that hour again")]
    Damaged {
        /// What it should be of.
        aggregation: &'static str,
        /// The text, cut.
        text: String,
    },
    /// A sum, or what a fraction is made of, does not fit.
    #[error("the usage does not fit 26 digits before the point")]
    Overflow(#[from] DecimalError),
    /// States of two aggregations.
    #[error("usage states of different aggregations cannot be merged")]
    Mixed,
}

/// The mergeable form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeterState {
    /// Of count.
    Count,
    /// Of sum.
    Sum(Decimal),
    /// Of sum_by_event: by instant, then by place.
    Events(BTreeMap<(DateTime<Utc>, Place), Decimal>),
    /// Of min.
    Min(Option<Decimal>),
    /// Of max.
    Max(Option<Decimal>),
    /// Of avg: the sum and how many.
    Avg(Decimal, i64),
    /// Of unique.
    Unique(BTreeSet<String>),
    /// Of latest: the last one.
    Latest(Option<Observation>),
    /// Of time_weighted: by instant.
    Levels(BTreeMap<DateTime<Utc>, (Place, Decimal)>),
    /// Of percentile: how often each value came.
    Counts(BTreeMap<Decimal, i64>),
}

/// Instant, source, partition, offset, index, value.
type WrittenLevel = (String, String, i32, i64, i32, Decimal);

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<BTreeMap<String, i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<WrittenLevel>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    levels: Option<Vec<WrittenLevel>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sum: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<BTreeSet<String>>,
}

impl MeterState {
    /// The state of nothing.
    #[must_use]
    pub fn empty(aggregation: Aggregation) -> Self {
        match aggregation {
            Aggregation::Count => Self::Count,
            Aggregation::Sum => Self::Sum(Decimal::ZERO),
            Aggregation::SumByEvent => Self::Events(BTreeMap::new()),
            Aggregation::Min => Self::Min(None),
            Aggregation::Max => Self::Max(None),
            Aggregation::Avg => Self::Avg(Decimal::ZERO, 0),
            Aggregation::Latest => Self::Latest(None),
            Aggregation::Unique => Self::Unique(BTreeSet::new()),
            Aggregation::TimeWeighted => Self::Levels(BTreeMap::new()),
            Aggregation::Percentile(_) => Self::Counts(BTreeMap::new()),
        }
    }

    /// Takes one number. A unique meter takes texts, see [`MeterState::Unique`]; count takes none.
    ///
    /// # Errors
    /// [`StateError::Overflow`].
    pub fn observe(&mut self, seen: Observation) -> Result<(), StateError> {
        let one = match self {
            Self::Count => Self::Count,
            Self::Sum(_) => Self::Sum(seen.value),
            Self::Events(_) => Self::Events(BTreeMap::from([((seen.at, seen.place), seen.value)])),
            Self::Min(_) => Self::Min(Some(seen.value)),
            Self::Max(_) => Self::Max(Some(seen.value)),
            Self::Avg(..) => Self::Avg(seen.value, 1),
            Self::Unique(_) => Self::Unique(BTreeSet::from([seen.value.to_string()])),
            Self::Latest(_) => Self::Latest(Some(seen)),
            Self::Levels(_) => Self::Levels(BTreeMap::from([(seen.at, (seen.place, seen.value))])),
            Self::Counts(_) => Self::Counts(BTreeMap::from([(seen.value, 1)])),
        };
        self.merge(one)
    }

    /// Takes another state of the same meter in.
    ///
    /// # Errors
    /// [`StateError::Overflow`], [`StateError::Mixed`].
    pub fn merge(&mut self, other: Self) -> Result<(), StateError> {
        let too_many = || StateError::Overflow(DecimalError::Overflow("counting"));
        match (self, other) {
            (Self::Count, Self::Count) => {}
            (Self::Sum(sum), Self::Sum(other)) => *sum = sum.checked_add(other)?,
            // One place is one request: what is there twice is the same.
            (Self::Events(events), Self::Events(other)) => events.extend(other),
            (Self::Min(least), Self::Min(other)) => *least = least.iter().copied().chain(other).min(),
            (Self::Max(most), Self::Max(other)) => *most = (*most).max(other),
            (Self::Avg(sum, count), Self::Avg(other, others)) => {
                *sum = sum.checked_add(other)?;
                *count = count.checked_add(others).ok_or_else(too_many)?;
            }
            (Self::Unique(values), Self::Unique(other)) => values.extend(other),
            (Self::Latest(last), Self::Latest(other)) => {
                let newer = |a: &Observation, b: &Observation| (a.at, &a.place) > (b.at, &b.place);
                if let Some(other) = other
                    && last.as_ref().is_none_or(|last| newer(&other, last))
                {
                    *last = Some(other);
                }
            }
            (Self::Levels(levels), Self::Levels(other)) => {
                for (at, (place, value)) in other {
                    let held = levels.entry(at).or_insert_with(|| (place.clone(), value));
                    if held.0 < place {
                        *held = (place, value);
                    }
                }
            }
            (Self::Counts(counts), Self::Counts(other)) => {
                for (value, count) in other {
                    let all = counts.entry(value).or_default();
                    *all = all.checked_add(count).ok_or_else(too_many)?;
                }
            }
            _ => return Err(StateError::Mixed),
        }
        Ok(())
    }

    /// The level that holds at the end, of a meter whose levels carry over.
    #[must_use]
    pub fn last_level(&self) -> Option<Decimal> {
        match self {
            Self::Levels(levels) => levels.last_key_value().map(|(_, (_, value))| *value),
            _ => None,
        }
    }

    /// As `usage` keeps it: one line, keys sorted, the same state the same text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let level = |at: DateTime<Utc>, place: &Place, value: Decimal| {
            (print_instant(at), place.0.clone(), place.1, place.2, place.3, value)
        };
        let nothing = Written::default();
        let written = match self {
            // Of these there are millions.
            Self::Count | Self::Min(None) | Self::Max(None) => return "{}".to_owned(),
            Self::Sum(sum) => return format!("{{\"sum\":\"{sum}\"}}"),
            Self::Min(Some(min)) => return format!("{{\"min\":\"{min}\"}}"),
            Self::Max(Some(max)) => return format!("{{\"max\":\"{max}\"}}"),
            Self::Avg(sum, count) => return format!("{{\"count\":{count},\"sum\":\"{sum}\"}}"),
            Self::Events(events) => {
                let events = events.iter().map(|((at, place), value)| level(*at, place, *value)).collect();
                Written { events: Some(events), ..nothing }
            }
            Self::Unique(values) => Written { values: Some(values.clone()), ..nothing },
            Self::Latest(last) => {
                let levels = last.iter().map(|seen| level(seen.at, &seen.place, seen.value)).collect();
                Written { levels: Some(levels), ..nothing }
            }
            Self::Levels(levels) => {
                let levels = levels.iter().map(|(at, (place, value))| level(*at, place, *value)).collect();
                Written { levels: Some(levels), ..nothing }
            }
            Self::Counts(counts) => {
                let counts = counts.iter().map(|(value, count)| (value.to_string(), *count)).collect();
                Written { counts: Some(counts), ..nothing }
            }
        };
        // Texts and numbers under text keys: nothing that JSON cannot say.
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// Reads [`MeterState::to_json`].
    ///
    /// # Errors
    /// [`StateError::Damaged`].
    pub fn from_json(aggregation: Aggregation, text: &str) -> Result<Self, StateError> {
        if let Some(state) = of_plain(aggregation, text) {
            return Ok(state);
        }
        let damaged =
            || StateError::Damaged { aggregation: aggregation.as_str(), text: text.chars().take(60).collect() };
        let written: Written = serde_json::from_str(text).map_err(|_| damaged())?;
        let levels = |levels: Option<Vec<WrittenLevel>>| {
            let seen = |(at, source, partition, offset, index, value): WrittenLevel| {
                let at = parse_instant(&at).map_err(|_| damaged())?;
                Ok(Observation { at, place: (source, partition, offset, index), value })
            };
            levels.ok_or_else(damaged)?.into_iter().map(seen).collect::<Result<Vec<_>, StateError>>()
        };
        let state = match aggregation {
            Aggregation::Count => Self::Count,
            Aggregation::Sum => Self::Sum(written.sum.ok_or_else(damaged)?),
            Aggregation::SumByEvent => Self::Events(
                levels(written.events)?.into_iter().map(|seen| ((seen.at, seen.place), seen.value)).collect(),
            ),
            Aggregation::Min => Self::Min(written.min),
            Aggregation::Max => Self::Max(written.max),
            Aggregation::Avg => Self::Avg(written.sum.ok_or_else(damaged)?, written.count.ok_or_else(damaged)?),
            Aggregation::Unique => Self::Unique(written.values.ok_or_else(damaged)?),
            Aggregation::Latest => Self::Latest(levels(written.levels)?.into_iter().next()),
            Aggregation::TimeWeighted => Self::Levels(
                levels(written.levels)?.into_iter().map(|seen| (seen.at, (seen.place, seen.value))).collect(),
            ),
            Aggregation::Percentile(_) => {
                let counts = written.counts.ok_or_else(damaged)?.into_iter();
                let each = counts.map(|(value, count)| Ok((value.parse().map_err(|_| damaged())?, count)));
                Self::Counts(each.collect::<Result<_, StateError>>()?)
            }
        };
        // What was written of another aggregation has other keys.
        if state.to_json() == text { Ok(state) } else { Err(damaged()) }
    }
}

/// A state of numbers, of which there are millions, without a JSON parser; none where it is another, or not just as
/// written.
fn of_plain(aggregation: Aggregation, text: &str) -> Option<MeterState> {
    let number = |key: &str| {
        let number = text.strip_prefix(key)?.strip_suffix("\"}")?;
        let value: Decimal = number.parse().ok()?;
        value.prints_as(number).then_some(value)
    };
    match aggregation {
        Aggregation::Count => (text == "{}").then_some(MeterState::Count),
        Aggregation::Sum => number("{\"sum\":\"").map(MeterState::Sum),
        Aggregation::Min if text == "{}" => Some(MeterState::Min(None)),
        Aggregation::Min => number("{\"min\":\"").map(|least| MeterState::Min(Some(least))),
        Aggregation::Max if text == "{}" => Some(MeterState::Max(None)),
        Aggregation::Max => number("{\"max\":\"").map(|most| MeterState::Max(Some(most))),
        Aggregation::Avg => {
            let (count, sum) = text.strip_prefix("{\"count\":")?.strip_suffix("\"}")?.split_once(",\"sum\":\"")?;
            let (many, all): (i64, Decimal) = (count.parse().ok()?, sum.parse().ok()?);
            // `+1` and `01` are numbers to Rust.
            let is_shortest = all.prints_as(sum) && Decimal::whole(many).prints_as(count);
            is_shortest.then_some(MeterState::Avg(all, many))
        }
        _ => None,
    }
}

/// The quantity of a span of time: what the states of its slices come to. `events` is how many requests they hold;
/// `before` what held when the span began, for a meter that [carries over](Aggregation::carries_over).
///
/// An average, percentile, least, greatest or latest of nothing is 0.
///
/// # Errors
/// [`StateError`].
pub fn quantity(
    aggregation: Aggregation,
    state: &MeterState,
    events: i64,
    span: Period,
    before: Option<Decimal>,
) -> Result<Decimal, StateError> {
    match (aggregation, state) {
        (Aggregation::Count, MeterState::Count) => Ok(Decimal::whole(events)),
        (Aggregation::Sum, MeterState::Sum(sum)) => Ok(*sum),
        (Aggregation::SumByEvent, MeterState::Events(events)) => {
            Ok(events.values().try_fold(Decimal::ZERO, |sum, value| sum.checked_add(*value))?)
        }
        (Aggregation::Min, MeterState::Min(value)) | (Aggregation::Max, MeterState::Max(value)) => {
            Ok(value.unwrap_or(Decimal::ZERO))
        }
        (Aggregation::Latest, MeterState::Latest(last)) => Ok(last.as_ref().map_or(Decimal::ZERO, |last| last.value)),
        (Aggregation::Unique, MeterState::Unique(values)) => whole(values.len()),
        (Aggregation::Avg, MeterState::Avg(_, 0)) => Ok(Decimal::ZERO),
        (Aggregation::Avg, MeterState::Avg(sum, count)) => {
            rounded(Exact::from_decimal(*sum).checked_div(Exact::whole(*count))?)
        }
        (Aggregation::TimeWeighted, MeterState::Levels(levels)) => held(levels, span, before),
        (Aggregation::Percentile(percentile), MeterState::Counts(counts)) => of_rank(percentile, counts),
        _ => Err(StateError::Mixed),
    }
}

fn whole(count: usize) -> Result<Decimal, StateError> {
    let count = i64::try_from(count).map_err(|_| DecimalError::Overflow("counting"))?;
    Ok(Decimal::whole(count))
}

/// The least step of a quantity: 10^-12.
fn rounded(exact: Exact) -> Result<Decimal, StateError> {
    let step = Decimal::from_unscaled(1)?;
    let rounded = exact.round_to_multiple(step, Direction::HalfUp)?;
    Ok(rounded.to_decimal().ok_or(DecimalError::Overflow("rounding a quantity"))?)
}

const MICROS_PER_HOUR: i64 = 3_600_000_000;

fn held(
    levels: &BTreeMap<DateTime<Utc>, (Place, Decimal)>,
    span: Period,
    before: Option<Decimal>,
) -> Result<Decimal, StateError> {
    let mut sum = Exact::whole(0);
    let mut since = span.start;
    let mut level = before.unwrap_or(Decimal::ZERO);
    let mut add = |level: Decimal, from: DateTime<Utc>, to: DateTime<Utc>| -> Result<(), StateError> {
        let micros = to.signed_duration_since(from).num_microseconds().ok_or(DecimalError::Overflow("a span"))?;
        sum = sum.checked_add(Exact::from_decimal(level).checked_mul(Exact::whole(micros))?)?;
        Ok(())
    };
    for (at, (_, value)) in levels.range(span.start..span.end) {
        add(level, since, *at)?;
        (since, level) = (*at, *value);
    }
    add(level, since, span.end)?;
    rounded(sum.checked_div(Exact::whole(MICROS_PER_HOUR))?)
}

fn of_rank(percentile: Percentile, counts: &BTreeMap<Decimal, i64>) -> Result<Decimal, StateError> {
    let too_many = || StateError::Overflow(DecimalError::Overflow("counting"));
    let all = counts.values().try_fold(0_i64, |all, count| all.checked_add(*count)).ok_or_else(too_many)?;
    if all == 0 {
        return Ok(Decimal::ZERO);
    }
    // The value at a rank, from 1.
    let at = |rank: i128| {
        let mut passed = 0_i128;
        let reaches = |(_, count): &(&Decimal, &i64)| {
            passed += i128::from(**count);
            passed >= rank
        };
        counts.iter().find(reaches).or(counts.iter().next_back()).map_or(Decimal::ZERO, |(value, _)| *value)
    };
    let (part, whole) = (i128::from(percentile.thousandths), 100_000_i128);
    match percentile.method {
        PercentileMethod::NearestRank => Ok(at((part * i128::from(all) + whole - 1) / whole)),
        PercentileMethod::Linear => {
            let place = part * i128::from(all - 1);
            let (rank, rest) = (place / whole + 1, place % whole);
            let (low, high) = (Exact::from_decimal(at(rank)), Exact::from_decimal(at(rank + 1)));
            let rest = Exact::scaled(i64::try_from(rest).map_err(|_| too_many())?, 5);
            rounded(low.checked_add(high.checked_sub(low)?.checked_mul(rest)?)?)
        }
    }
}
