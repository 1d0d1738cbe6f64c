//! One meter over the requests of some hours: its SQL, and the rows of `usage` that the answer makes.
//!
//! Takes the view `attributed`; gives for each meter, partner, environment, product, dimensions and slice the state and
//! what was left out, and by which rule. Numbers are exact decimals or invalid, and what is invalid is counted (I9).
//! All expressions of all meters are evaluated in one scan, into the table `base`.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{Decimal128Type, Decimal256Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use tollbook_lake::as_part;
use tollbook_schemas::catalog::Meter;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::MeterId;
use tollbook_schemas::meter::{Aggregation, Exclusion, MeterState, Observation, StateError, quantity};
use tollbook_schemas::period::{Period, PeriodError};
use tollbook_schemas::tables::Row;

use super::UsageReport;
use crate::error::AggregateError;
use crate::exact::text_at;

/// What every meter's usage is grouped by, before its own dimensions.
const KEYS: &str = "partner_id, environment, unattributed_reason, product_id, slice_start, slice_end";

/// Whether a row of `attributed` counts for a meter; what is not known does not.
pub(crate) fn meter_condition(meter: &Meter) -> String {
    let product = meter.product.as_ref().map(|id| format!("product_id = {}", tollbook_lake::as_text(id.as_str())));
    let filter = meter.filter.as_deref().map(as_part);
    // What has no value does not count for a meter of values.
    let valued = meter.value.as_deref().map(|sql| format!("{} is not null", as_part(sql)));
    let conditions: Vec<String> = product.into_iter().chain(filter).chain(valued).collect();
    let condition = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" and ") };
    format!("coalesce({condition}, false)")
}

/// The rule that leaves a row of `attributed` out of a meter, by its place in the meter's list; retries are not told
/// here. Null where none does.
fn exclusion_case(meter: &Meter) -> String {
    let rules: Vec<String> = meter
        .exclude
        .iter()
        .enumerate()
        .filter_map(|(at, rule)| Some(format!(" when coalesce({}, false) then {at}", rule.sql()?)))
        .collect();
    if rules.is_empty() { "cast(null as bigint)".to_owned() } else { format!("case{} end", rules.concat()) }
}

/// Whether a request is left out of a meter as a retry: needs the columns of [`base_sql`]. Requests of nobody are no
/// retries of each other: they may be of several.
fn is_retry(at: usize) -> String {
    format!(
        "partner_id is not null and idempotency_key_hash is not null and delivery = 1 and m{at}_excluded is null
         and row_number() over (
           partition by partner_id, environment, idempotency_key_hash, date_trunc('hour', occurred_at),
             delivery, m{at}_excluded
           order by occurred_at, source, kafka_partition, kafka_offset, record_index) > 1"
    )
}

/// The rows of `attributed` that count for a meter, as a query: what `usage` was made of, for whoever shows it.
pub(crate) fn counted_sql(meter: &Meter) -> String {
    let retry = match meter.exclude.contains(&Exclusion::Retries) {
        true => is_retry(0),
        false => "false".to_owned(),
    };
    format!(
        "select * from (
           select *, {retry} as is_retry from (
             select *, {} as m0_excluded from attributed where {}))
         where delivery = 1 and m0_excluded is null and not is_retry",
        exclusion_case(meter),
        meter_condition(meter)
    )
}

/// One scan evaluates every expression of every meter: `m0_filter`, `m0_value`, `m0_excluded`, `m0_d0`…
pub(crate) fn base_sql<'a>(meters: impl Iterator<Item = &'a Meter> + Clone) -> String {
    let mut columns = vec![format!("{KEYS}, delivery")];
    let is_ordered = |meter: &Meter| meter.aggregation.keeps_places() || meter.exclude.contains(&Exclusion::Retries);
    if meters.clone().any(is_ordered) {
        columns
            .push("occurred_at, source, kafka_partition, kafka_offset, record_index, idempotency_key_hash".to_owned());
    }
    for (at, meter) in meters.enumerate() {
        columns.push(format!(
            "{} as m{at}_filter, {} as m{at}_excluded",
            meter_condition(meter),
            exclusion_case(meter)
        ));
        if let Some(value) = &meter.value {
            let text = format!("cast({} as varchar)", as_part(value));
            columns.push(match (meter.aggregation.takes_number(), meter.allow_negative) {
                (false, _) => format!("{text} as m{at}_value"),
                (true, true) => format!("exact_decimal({text}) as m{at}_value"),
                (true, false) => {
                    format!("case when exact_decimal({text}) >= 0 then exact_decimal({text}) end as m{at}_value")
                }
            });
        }
        for (dimension, sql) in meter.group_by.values().enumerate() {
            columns.push(format!("cast({} as varchar) as m{at}_d{dimension}", as_part(sql)));
        }
    }
    format!("select {} from attributed", columns.join(", "))
}

/// Usage of one meter from `base`: keys, what the state is made of, counts, what each rule left out, dimensions.
pub(crate) fn meter_sql(at: usize, meter: &Meter) -> String {
    let value = format!("m{at}_value");
    let counted = "delivery = 1 and excluded is null";
    let made_of = match meter.aggregation {
        Aggregation::Count => "null".to_owned(),
        Aggregation::Sum | Aggregation::Avg => {
            format!("sum(cast({value} as decimal(76, 12))) filter (where {counted})")
        }
        Aggregation::Min => format!("min({value}) filter (where {counted})"),
        Aggregation::Max => format!("max({value}) filter (where {counted})"),
        Aggregation::Unique => format!("array_agg(distinct {value}) filter (where {counted})"),
        Aggregation::SumByEvent | Aggregation::Latest | Aggregation::TimeWeighted => format!(
            "array_agg(concat_ws(' ', arrow_cast(occurred_at, 'Int64'), kafka_partition, kafka_offset, record_index, \
             arrow_cast({value}, 'Utf8'), source)) filter (where {counted} and {value} is not null)"
        ),
        Aggregation::Percentile(_) => {
            format!("array_agg(arrow_cast({value}, 'Utf8')) filter (where {counted} and {value} is not null)")
        }
    };
    let invalid = match meter.aggregation.takes_number() {
        true => format!("count(*) filter (where {counted} and {value} is null)"),
        false => "cast(0 as bigint)".to_owned(),
    };
    let rules: String = (0..meter.exclude.len())
        .map(|rule| format!(", count(*) filter (where delivery = 1 and excluded = {rule}) as rule{rule}_count"))
        .collect();
    let dimensions: String = (0..meter.group_by.len()).map(|dimension| format!(", m{at}_d{dimension}")).collect();
    let retries = meter.exclude.iter().position(|rule| *rule == Exclusion::Retries);
    let excluded = match retries {
        Some(rule) => format!("case when {} then {rule} else m{at}_excluded end", is_retry(at)),
        None => format!("m{at}_excluded"),
    };
    format!(
        "with chosen as (select *, {excluded} as excluded from base where m{at}_filter and delivery > 0)
         select {KEYS}, {made_of} as made_of, {invalid} as invalid_count,
           count(*) filter (where {counted}) as event_count,
           count(*) filter (where delivery > 1) as duplicate_count{rules}{dimensions}
         from chosen group by {KEYS}{dimensions}"
    )
}

/// Column of what the state is made of in the answer of [`meter_sql`], and the first one after the counts.
const MADE_OF_AT: usize = 6;
const RULES_AT: usize = 10;

/// Adds the rows of `usage` that an answer of [`meter_sql`] makes.
///
/// # Errors
/// [`AggregateError::Overflow`] where a quantity does not fit.
pub(super) fn rows_of_meter(
    id: &MeterId,
    meter: &Meter,
    batch: &RecordBatch,
    rows: &mut Vec<Row>,
    report: &mut UsageReport,
) -> Result<(), AggregateError> {
    let overflow = || AggregateError::Overflow { meter: id.clone() };
    let instant = |column: usize, row: usize| {
        let micros = batch.column(column).as_primitive::<TimestampMicrosecondType>().value(row);
        DateTime::from_timestamp_micros(micros).ok_or(PeriodError::OutOfRange)
    };
    let count = |column: usize, row: usize| batch.column(column).as_primitive::<Int64Type>().value(row);
    for row in 0..batch.num_rows() {
        let (start, end): (DateTime<Utc>, DateTime<Utc>) = (instant(4, row)?, instant(5, row)?);
        let slice = Period { start, end };
        let events = count(8, row);
        let invalid = count(7, row);
        if invalid > 0 {
            *report.invalid_values.entry(id.clone()).or_default() += invalid;
        }
        let state =
            state_of(meter.aggregation, batch.column(MADE_OF_AT), row, events - invalid).map_err(|_| overflow())?;
        let quantity = quantity(meter.aggregation, &state, events, slice, None).map_err(|_| overflow())?;
        let excluded: BTreeMap<String, String> = meter
            .exclude
            .iter()
            .enumerate()
            .map(|(at, rule)| (rule.versioned(), count(RULES_AT + at, row)))
            .filter(|(_, left_out)| *left_out > 0)
            .map(|(rule, left_out)| (rule, left_out.to_string()))
            .collect();
        let first_dimension = RULES_AT + meter.exclude.len();
        let dimensions: BTreeMap<String, String> = meter
            .group_by
            .keys()
            .enumerate()
            .filter_map(|(at, name)| Some((name.clone(), text_at(batch.column(first_dimension + at), row)?.to_owned())))
            .collect();
        let text = |column: usize| text_at(batch.column(column), row).map(str::to_owned);
        rows.push(
            Row::new()
                .with("meter_id", id.as_str())
                .with("partner_id", text(0))
                .with("environment", text(1))
                .with("unattributed_reason", text(2))
                .with("product_id", text(3))
                .with("dimensions", dimensions)
                .with("slice_start", start)
                .with("slice_end", end)
                .with("quantity", quantity)
                .with("state", state.to_json())
                .with("event_count", events)
                .with("duplicate_count", count(9, row))
                .with("invalid_count", invalid)
                .with("excluded", excluded)
                .with("event_date", start.date_naive()),
        );
    }
    Ok(())
}

/// The state of one group, from what the query made of it; `valid` is how many requests had a value.
fn state_of(aggregation: Aggregation, made_of: &ArrayRef, row: usize, valid: i64) -> Result<MeterState, StateError> {
    let damaged = || StateError::Damaged { aggregation: aggregation.as_str(), text: String::new() };
    let sum = || {
        let sums = made_of.as_primitive::<Decimal256Type>();
        let sum = if sums.is_null(row) { Some(0) } else { sums.value(row).to_i128() };
        Ok::<_, StateError>(Decimal::from_unscaled(sum.ok_or_else(damaged)?)?)
    };
    let number = || {
        let numbers = made_of.as_primitive::<Decimal128Type>();
        (!numbers.is_null(row)).then(|| Decimal::from_unscaled(numbers.value(row))).transpose()
    };
    let texts = || -> Vec<String> {
        let list = made_of.as_list::<i32>();
        let values = (!list.is_null(row)).then(|| list.value(row));
        let each =
            |values: &ArrayRef| (0..values.len()).filter_map(|at| text_at(values, at).map(str::to_owned)).collect();
        values.as_ref().map(each).unwrap_or_default()
    };
    let mut state = MeterState::empty(aggregation);
    match aggregation {
        Aggregation::Count => {}
        Aggregation::Sum => state = MeterState::Sum(sum()?),
        Aggregation::Avg => state = MeterState::Avg(sum()?, valid),
        Aggregation::Min => state = MeterState::Min(number()?),
        Aggregation::Max => state = MeterState::Max(number()?),
        Aggregation::Unique => state = MeterState::Unique(texts().into_iter().collect::<BTreeSet<_>>()),
        Aggregation::SumByEvent | Aggregation::Latest | Aggregation::TimeWeighted => {
            for text in texts() {
                state.observe(observation(&text).ok_or_else(damaged)?)?;
            }
        }
        Aggregation::Percentile(_) => {
            let mut counts: BTreeMap<Decimal, i64> = BTreeMap::new();
            for text in texts() {
                *counts.entry(text.parse().map_err(|_| damaged())?).or_default() += 1;
            }
            state = MeterState::Counts(counts);
        }
    }
    Ok(state)
}

/// Reads what [`meter_sql`] wrote of one request: instant, partition, offset, index, value, source.
fn observation(text: &str) -> Option<Observation> {
    let mut words = text.splitn(6, ' ');
    let at = DateTime::from_timestamp_micros(words.next()?.parse().ok()?)?;
    let (partition, offset, index) =
        (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let value = words.next()?.parse().ok()?;
    Some(Observation { at, place: (words.next()?.to_owned(), partition, offset, index), value })
}
