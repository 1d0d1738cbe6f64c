//! The refresh of `usage`: what arrived since the frontier → the UTC days that it touches → exactly those days
//! computed anew from all their rows → one commit that replaces them and carries the new frontier.
//!
//! Cost follows what changed, not history; late rows need no special case; a crash leaves the old usage or the new
//! one. A change of the registry or of the catalog touches every day. Running it again with nothing new commits
//! nothing. Quantities are summed in 256 bits, so that a sum cannot wrap (DataFusion's own 128-bit sum does): at most
//! 2^63 rows of at most 38 digits stay below 58 digits, and 76 fit.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Date32Type, Decimal256Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Days, NaiveDate, Utc};
use datafusion::common::ScalarValue;
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use tollbook_lake::{Lake, Outcome, TxnStep, pin_condition};
use tollbook_schemas::catalog::{Aggregation, Catalog, Meter};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::MeterId;
use tollbook_schemas::period::{Period, PeriodError};
use tollbook_schemas::pin::Pin;
use tollbook_schemas::registry::Registry;
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::derived::USAGE;
use tollbook_schemas::tables::{Row, Table, access_log, partner_event};

use crate::attribution;
use crate::error::AggregateError;
use crate::exact::{exact_decimal, text_at};
use crate::meters::check_meters;

/// Rows of one pass: days are taken together up to this many, which bounds memory.
const PASS_ROWS_MAX: i64 = 2_000_000;
const ATTEMPTS_MAX: usize = 5;

/// What a refresh did, and what the days it touched hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// Days computed anew.
    pub days_total: usize,
    /// Usage rows written.
    pub usage_rows_total: usize,
    /// Deliveries in those days.
    pub records_total: i64,
    /// Deliveries of requests that had been delivered before (I2).
    pub duplicates_total: i64,
    /// Requests that are nobody's, by reason (I9).
    pub unattributed: BTreeMap<String, i64>,
    /// Meter values that are no exact decimal, and count as nothing, by meter (I9).
    pub invalid_values: BTreeMap<MeterId, i64>,
    /// What was known.
    pub pin: Pin,
}

/// App id under which `usage` keeps how far it has taken one partition of an ingested table.
fn frontier_app_id(def: &Table, source: &Source, partition: i32) -> String {
    format!("{} {}", def.name, source.app_id(partition))
}

/// What `usage` was last computed from: the pin of its frontier over one ingested table.
///
/// # Errors
/// [`AggregateError`].
pub async fn usage_pin(lake: &Lake, def: &Table) -> Result<Pin, AggregateError> {
    let prefix = format!("{} ", def.name);
    let mut pin = Pin::new();
    for (app_id, next) in lake.txns(&USAGE).await? {
        if let Some((source, partition)) = app_id.strip_prefix(&prefix).and_then(Source::split_app_id) {
            pin.set(source, partition, next);
        }
    }
    Ok(pin)
}

/// Whether `usage` was computed with just this catalog: another may meter the same rows otherwise, and prices of one
/// catalog on quantities of another are nobody's invoice (I6).
///
/// # Errors
/// [`AggregateError`].
pub async fn usage_is_of(lake: &Lake, catalog: &Catalog) -> Result<bool, AggregateError> {
    Ok(lake.txn(&USAGE, CATALOG).await? == Some(catalog_version(catalog)))
}

/// How far the data reach that `usage` was computed from (see [`crate::data_reach`]); the epoch where that was not
/// known. A period that ends later is not complete. `None` where `usage` was never computed.
///
/// # Errors
/// [`AggregateError`].
pub async fn usage_reach(lake: &Lake) -> Result<Option<DateTime<Utc>>, AggregateError> {
    Ok(lake.txn(&USAGE, REACH).await?.and_then(DateTime::from_timestamp_millis))
}

/// App id of the refresh counter: whoever reads usage in several steps compares it before and after.
pub const USAGE_REFRESH: &str = "refresh";
const CATALOG: &str = "catalog";
const REACH: &str = "reach_ms";

/// The catalog's hash as a transaction version: 60 bits of it tell two catalogs apart.
fn catalog_version(catalog: &Catalog) -> i64 {
    let digits = catalog.sha256.get(..15).unwrap_or_default();
    i64::from_str_radix(digits, 16).unwrap_or_default()
}

/// Brings `usage` up to what the lake knows now. `reach` is how far the data reach ([`crate::data_reach`]), asked for
/// before `events_pin` was taken: what is read afterwards reaches at least as far.
///
/// # Errors
/// [`AggregateError`].
pub async fn refresh_usage(
    lake: &Lake,
    registry: &Registry,
    events_pin: &Pin,
    catalog: &Catalog,
    reach: Option<DateTime<Utc>>,
) -> Result<UsageReport, AggregateError> {
    if let Some(problem) = check_meters(catalog).into_iter().next() {
        return Err(problem);
    }
    for _ in 0..ATTEMPTS_MAX {
        if let Some(report) = refresh_once(lake, registry, events_pin, catalog, reach).await? {
            return Ok(report);
        }
    }
    Err(AggregateError::Contention(USAGE.name))
}

/// One attempt; `None` where another refresh committed first.
async fn refresh_once(
    lake: &Lake,
    registry: &Registry,
    events_pin: &Pin,
    catalog: &Catalog,
    reach: Option<DateTime<Utc>>,
) -> Result<Option<UsageReport>, AggregateError> {
    let txns = lake.txns(&USAGE).await?;
    let known = usage_pin(lake, &access_log::TABLE).await?;
    let pin = lake.pin(&access_log::TABLE).await?;
    let mut report = UsageReport { pin: pin.clone(), ..UsageReport::default() };
    let mut steps = Vec::new();
    let mut step = |app_id: String, next: i64| {
        let expected = txns.get(&app_id).copied();
        if expected != Some(next) {
            steps.push(TxnStep { app_id, expected, next });
        }
    };
    pin.iter().for_each(|(source, p, next)| step(frontier_app_id(&access_log::TABLE, source, p), next));
    let events_known = usage_pin(lake, &partner_event::TABLE).await?;
    events_pin.iter().for_each(|(source, p, next)| step(frontier_app_id(&partner_event::TABLE, source, p), next));
    step(CATALOG.to_owned(), catalog_version(catalog));
    // It may fall back: a topic that was added to the configuration may hold anything until it is read.
    step(REACH.to_owned(), reach.map_or(0, |reach| reach.timestamp_millis()));
    if steps.is_empty() {
        return Ok(Some(report));
    }
    let whole = events_known != *events_pin || txns.get(CATALOG) != Some(&catalog_version(catalog));
    let context = lake.empty_session()?;
    lake.register(&context, &access_log::TABLE, None).await?;
    let days = touched_days(lake, &context, &pin, (!whole).then_some(&known)).await?;
    let mut rows = Vec::new();
    for pass in passes(&days) {
        rows.extend(compute(lake, registry, catalog, &pin, &pass, &mut report).await?);
    }
    report.days_total = days.len();
    report.usage_rows_total = rows.len();
    // Every refresh moves this one, so that of two at once the second always meets the first.
    let refresh = txns.get(USAGE_REFRESH).copied();
    steps.push(TxnStep { app_id: USAGE_REFRESH.to_owned(), expected: refresh, next: refresh.unwrap_or(0) + 1 });
    let values: Vec<String> = days.iter().map(|(day, _)| day.to_string()).collect();
    let replaced = if whole { None } else { Some(values.as_slice()) };
    match lake.replace(&USAGE, replaced, &rows, &steps).await? {
        Outcome::Committed => Ok(Some(report)),
        Outcome::Already | Outcome::Fenced { .. } => Ok(None),
    }
}

/// The days that rows since the frontier touch (all days where it is `None`), each with its number of rows.
async fn touched_days(
    lake: &Lake,
    context: &SessionContext,
    pin: &Pin,
    known: Option<&Pin>,
) -> Result<Vec<(NaiveDate, i64)>, AggregateError> {
    let new = match known {
        None => String::new(),
        Some(known) => format!(
            " and event_date in (select distinct event_date from access_log where {} and not {})",
            pin_condition(pin),
            pin_condition(known)
        ),
    };
    let sql = format!(
        "select event_date, count(*) as row_count from access_log where {}{new} group by event_date order by event_date",
        pin_condition(pin)
    );
    let mut days = Vec::new();
    for batch in lake.query(context, &sql).await? {
        let dates = batch.column(0).as_primitive::<Date32Type>();
        let counts = batch.column(1).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let date = Date32Type::to_naive_date_opt(dates.value(row)).ok_or(PeriodError::OutOfRange)?;
            days.push((date, counts.value(row)));
        }
    }
    Ok(days)
}

/// Days grouped so that one pass holds a bounded number of rows.
fn passes(days: &[(NaiveDate, i64)]) -> Vec<Vec<NaiveDate>> {
    let mut passes: Vec<Vec<NaiveDate>> = Vec::new();
    let mut rows = PASS_ROWS_MAX;
    for (day, count) in days {
        if rows + count > PASS_ROWS_MAX || passes.is_empty() {
            passes.push(Vec::new());
            rows = 0;
        }
        rows += count;
        if let Some(pass) = passes.last_mut() {
            pass.push(*day);
        }
    }
    passes
}

/// Usage of some days, from all their rows.
async fn compute(
    lake: &Lake,
    registry: &Registry,
    catalog: &Catalog,
    pin: &Pin,
    days: &[NaiveDate],
    report: &mut UsageReport,
) -> Result<Vec<Row>, AggregateError> {
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(Vec::new()) };
    let context = lake.empty_session()?;
    context.register_udf(exact_decimal());
    let epoch = DateTime::UNIX_EPOCH.date_naive();
    let scalar = |day: &NaiveDate| {
        let days = day.signed_duration_since(epoch).num_days();
        ScalarValue::Date32(i32::try_from(days).ok())
    };
    let values: Vec<ScalarValue> = days.iter().map(scalar).collect();
    lake.register(&context, &access_log::TABLE, Some(&values)).await?;
    let midnight = |day: NaiveDate| day.and_time(chrono::NaiveTime::MIN).and_utc();
    let end = last.checked_add_days(Days::new(1)).ok_or(PeriodError::OutOfRange)?;
    let range = Period::new(midnight(*first), midnight(end))?;
    attribution::register(&context, registry, catalog, range, &pin_condition(pin)).await?;
    let base = lake.query(&context, &base_sql(catalog)).await?;
    let Some(schema) = base.first().map(RecordBatch::schema) else { return Ok(Vec::new()) };
    context.register_table("base", std::sync::Arc::new(MemTable::try_new(schema, vec![base])?))?;
    count_base(lake, &context, report).await?;
    let mut rows = Vec::new();
    for (at, (id, meter)) in catalog.meters.iter().enumerate() {
        for batch in lake.query(&context, &meter_sql(at, meter)).await? {
            rows_of_meter(id, meter, &batch, &mut rows, report)?;
        }
    }
    Ok(rows)
}

/// Whether a row of `attributed` counts for a meter; what is not known does not.
pub(crate) fn meter_condition(meter: &Meter) -> String {
    let product = meter.product.as_ref().map(|id| format!("product_id = {}", tollbook_lake::as_text(id.as_str())));
    let filter = meter.filter.as_ref().map(|sql| format!("({sql})"));
    let conditions: Vec<String> = product.into_iter().chain(filter).collect();
    let condition = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" and ") };
    format!("coalesce({condition}, false)")
}

/// One scan evaluates every expression of every meter: `m0_filter`, `m0_value`, `m0_d0`…
fn base_sql(catalog: &Catalog) -> String {
    let mut columns =
        vec!["partner_id, environment, unattributed_reason, product_id, slice_start, slice_end, delivery".to_owned()];
    for (at, meter) in catalog.meters.values().enumerate() {
        columns.push(format!("{} as m{at}_filter", meter_condition(meter)));
        if let Some(value) = &meter.value {
            columns.push(format!("cast(({value}) as varchar) as m{at}_value"));
        }
        for (dimension, sql) in meter.group_by.values().enumerate() {
            columns.push(format!("cast(({sql}) as varchar) as m{at}_d{dimension}"));
        }
    }
    format!("select {} from attributed", columns.join(", "))
}

async fn count_base(lake: &Lake, context: &SessionContext, report: &mut UsageReport) -> Result<(), AggregateError> {
    let sql = "select unattributed_reason, count(*), count(*) filter (where delivery > 1) from base group by 1";
    for batch in lake.query(context, sql).await? {
        let (all, repeated) =
            (batch.column(1).as_primitive::<Int64Type>(), batch.column(2).as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            report.records_total += all.value(row);
            report.duplicates_total += repeated.value(row);
            if let Some(reason) = text_at(batch.column(0), row) {
                *report.unattributed.entry(reason.to_owned()).or_default() += all.value(row) - repeated.value(row);
            }
        }
    }
    Ok(())
}

/// Columns before the dimensions in the answer of [`meter_sql`].
const DIMENSIONS_AT: usize = 11;

/// Usage of one meter from `base`: keys, quantity (sums only), distinct values (unique only), counts, dimensions.
fn meter_sql(at: usize, meter: &Meter) -> String {
    let keys = "partner_id, environment, unattributed_reason, product_id, slice_start, slice_end";
    let dimensions: String = (0..meter.group_by.len()).map(|dimension| format!(", m{at}_d{dimension}")).collect();
    let value = format!("m{at}_value");
    let (quantity, distinct, invalid) = match meter.aggregation {
        Aggregation::Count => ("null".to_owned(), "null".to_owned(), "cast(0 as bigint)".to_owned()),
        Aggregation::Sum => (
            format!("sum(cast(exact_decimal({value}) as decimal(76, 12))) filter (where delivery = 1)"),
            "null".to_owned(),
            format!("count(*) filter (where delivery = 1 and exact_decimal({value}) is null)"),
        ),
        Aggregation::Unique => (
            "null".to_owned(),
            format!("array_agg(distinct {value}) filter (where delivery = 1)"),
            "cast(0 as bigint)".to_owned(),
        ),
    };
    // What has no value does not count for a meter of values.
    let valued = meter.value.as_ref().map(|_| format!(" and {value} is not null")).unwrap_or_default();
    format!(
        "select {keys}, {quantity} as quantity, {distinct} as distinct_values, {invalid} as invalid_count, \
         count(*) filter (where delivery = 1) as event_count, count(*) filter (where delivery > 1) as duplicate_count\
         {dimensions} from base where m{at}_filter{valued} group by {keys}{dimensions}"
    )
}

fn rows_of_meter(
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
        let (slice_start, slice_end): (DateTime<Utc>, DateTime<Utc>) = (instant(4, row)?, instant(5, row)?);
        let events = count(9, row);
        let invalid = count(8, row);
        if invalid > 0 {
            *report.invalid_values.entry(id.clone()).or_default() += invalid;
        }
        let (quantity, state) = match meter.aggregation {
            Aggregation::Count => (Decimal::whole(events), "{}".to_owned()),
            Aggregation::Sum => {
                let sums = batch.column(6).as_primitive::<Decimal256Type>();
                let sum = if sums.is_null(row) { Some(0) } else { sums.value(row).to_i128() };
                let sum = Decimal::from_unscaled(sum.ok_or_else(overflow)?).map_err(|_| overflow())?;
                (sum, serde_json::json!({ "sum": sum.to_string() }).to_string())
            }
            Aggregation::Unique => {
                let list = batch.column(7).as_list::<i32>();
                let values = if list.is_null(row) { None } else { Some(list.value(row)) };
                let values: BTreeSet<String> = values
                    .iter()
                    .flat_map(|values| (0..values.len()).filter_map(|at| text_at(values, at).map(str::to_owned)))
                    .collect();
                let quantity = Decimal::whole(i64::try_from(values.len()).map_err(|_| overflow())?);
                (quantity, serde_json::json!({ "values": values }).to_string())
            }
        };
        let dimensions: BTreeMap<String, String> = meter
            .group_by
            .keys()
            .enumerate()
            .filter_map(|(at, name)| Some((name.clone(), text_at(batch.column(DIMENSIONS_AT + at), row)?.to_owned())))
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
                .with("slice_start", slice_start)
                .with("slice_end", slice_end)
                .with("quantity", quantity)
                .with("state", state)
                .with("event_count", events)
                .with("duplicate_count", count(10, row))
                .with("event_date", slice_start.date_naive()),
        );
    }
    Ok(())
}
