//! The refresh of `usage`: what arrived since the frontier → the UTC hours that it touches → exactly those hours
//! computed anew from all their rows, or, where new rows can only add to it, from these and what is stored
//! ([`added`]) → one commit that replaces them and carries the new frontier.
//!
//! Cost follows what changed, not history. Late rows, corrections and requests that come again in another hour need no
//! special case. A crash leaves the old usage or the new one. A change of the registry touches the hours that it
//! changes, one of meters or products every hour, one of prices none. Running it again with nothing new commits
//! nothing. Quantities are summed in 256 bits, so that a sum cannot wrap (DataFusion's own 128-bit sum does): at most
//! 2^63 rows of at most 38 digits stay below 58 digits, and 76 fit.
//!
//! The id index and `contested_request` are filled first, each by commits of its own. They do not depend on what usage
//! is yet: a run that dies between leaves them ahead, and the next one finds the same rows new for usage and decides
//! the same.

mod added;
mod metered;
mod stored;
mod unpublished;

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use datafusion::common::ScalarValue;
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use tollbook_lake::{Lake, Outcome, TxnStep, pin_condition, since_condition};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::MeterId;
use tollbook_schemas::period::Period;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::registry::Registry;
use tollbook_schemas::tables::catalog::CATALOG_FILE;
use tollbook_schemas::tables::derived::{CONTESTED_REQUEST, ID_INDEX, USAGE};
use tollbook_schemas::tables::{Row, Table, access_log, partner_event};

use crate::arrival;
use crate::attribution;
use crate::contested::{RequestId, Verdict, decide_candidates, rows_of_verdict};
use crate::error::AggregateError;
use crate::exact::{exact_decimal, text_at};
use crate::frontier::{frontier, steps};
use crate::id_index::{Candidates, candidates, candidates_of, fill_index};
use crate::meters::check_meters;
use crate::product::UNMAPPED;
use crate::registry::read_registry;
use crate::row_hash::row_hash;
use added::hours_of_retries;
use metered::rows_of_meter;
pub(crate) use metered::{base_sql, counted_sql, meter_sql};
use stored::{Stored, stored};
use unpublished::UnpublishedUsage;

use crate::touched::{
    AN_HOUR, Hour, NewHours, changed_links, days_of, hours_of_links, hours_of_new, hours_of_rows, in_ranges, ranges,
    recut_hours,
};

/// Rows of one pass: hours are taken together up to this many, which bounds memory; in tests so few that a history has
/// several passes.
const PASS_ROWS_MAX: i64 = if cfg!(test) { 40 } else { 1_000_000 };
const ATTEMPTS_MAX: usize = 5;

/// What a refresh did, and what the days it touched hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// Hours computed anew, or added to.
    pub hours_total: usize,
    /// Those of them that were added to: their other rows were not read.
    pub hours_added_total: usize,
    /// Usage rows written.
    pub usage_rows_total: usize,
    /// Deliveries that were read: all in hours that were computed anew, the new ones in hours that were added to; but
    /// for corrections that do not count.
    pub records_total: i64,
    /// Deliveries of requests that had been delivered before (I2).
    pub duplicates_total: i64,
    /// Deliveries of requests in whose place a correction stands.
    pub corrected_total: i64,
    /// Ids whose deliveries contradict each other or were corrected, among those that arrived: see
    /// `contested_request` (I9).
    pub contested_total: usize,
    /// Requests that counted, whoever they are of.
    pub requests_total: i64,
    /// Those of them that are of no product (I9).
    pub unmapped_total: i64,
    /// Requests that are nobody's, by reason (I9).
    pub unattributed: BTreeMap<String, i64>,
    /// Meter values that are no exact decimal, and count as nothing, by meter (I9).
    pub invalid_values: BTreeMap<MeterId, i64>,
    /// What was known.
    pub pin: Pin,
}

/// What `usage` was last computed from: the pin of its frontier over one ingested table.
///
/// # Errors
/// [`AggregateError`].
pub async fn usage_pin(lake: &Lake, def: &Table) -> Result<Pin, AggregateError> {
    frontier(lake, &USAGE, def).await
}

/// Whether `usage` was computed with just this catalog: another may meter the same rows otherwise, and prices of one
/// catalog on quantities of another are nobody's invoice (I6).
///
/// # Errors
/// [`AggregateError`].
pub async fn usage_is_of(lake: &Lake, catalog: &Catalog) -> Result<bool, AggregateError> {
    Ok(lake.txn(&USAGE, CATALOG).await? == Some(catalog_version(catalog)))
}

/// How far the data reach that `usage` was computed from (see [`crate::data_reach`]). A period that ends later is not
/// complete. `None` where nobody knows, or `usage` was never computed.
///
/// # Errors
/// [`AggregateError`].
pub async fn usage_reach(lake: &Lake) -> Result<Option<DateTime<Utc>>, AggregateError> {
    // A refresh that did not know how far the data reach left the beginning of time.
    let reach = lake.txn(&USAGE, REACH).await?.and_then(DateTime::from_timestamp_millis);
    Ok(reach.filter(|reach| *reach > DateTime::UNIX_EPOCH))
}

/// App id of the refresh counter: whoever reads usage in several steps compares it before and after.
pub const USAGE_REFRESH: &str = "refresh";
const CATALOG: &str = "catalog";
const REACH: &str = "reach_ms";

/// The catalog's hash as a transaction version: 60 bits of it tell two catalogs apart.
fn catalog_version(catalog: &Catalog) -> i64 {
    version_of_hash(&catalog.sha256)
}

fn version_of_hash(sha256: &str) -> i64 {
    i64::from_str_radix(sha256.get(..15).unwrap_or_default(), 16).unwrap_or_default()
}

/// The catalog that `usage` was last computed with; none where the lake does not keep it, or it cannot be read today.
async fn catalog_before(lake: &Lake, version: Option<i64>, now: &Catalog) -> Result<Option<Catalog>, AggregateError> {
    if version == Some(catalog_version(now)) {
        return Ok(Some(now.clone()));
    }
    let rows = lake.rows(&CATALOG_FILE, None).await?;
    let kept = rows.iter().filter_map(|row| row.text("catalog_sha256"));
    let sha256 = kept.into_iter().find(|sha256| Some(version_of_hash(sha256)) == version);
    Ok(sha256.and_then(|sha256| Catalog::of_rows(sha256, &rows).ok()))
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
    lake.open_beside(&[&access_log::TABLE, &ID_INDEX, &USAGE, &CONTESTED_REQUEST]).await?;
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
    let events_known = usage_pin(lake, &partner_event::TABLE).await?;
    // Whoever came first knows events that this caller's registry lacks: its frontier must not go back.
    if !events_pin.covers(&events_known) {
        return Err(AggregateError::Contention(USAGE.name));
    }
    let mut commit_steps = steps(&known, &pin, &access_log::TABLE);
    commit_steps.extend(steps(&events_known, events_pin, &partner_event::TABLE));
    // The reach may fall back: a topic that was added to the configuration may hold anything until it is read.
    for (app_id, next) in
        [(CATALOG, catalog_version(catalog)), (REACH, reach.map_or(0, |reach| reach.timestamp_millis()))]
    {
        let expected = txns.get(app_id).copied();
        if expected != Some(next) {
            commit_steps.push(TxnStep { app_id: app_id.to_owned(), expected, next });
        }
    }
    let mut report = UsageReport { pin: pin.clone(), ..UsageReport::default() };
    if commit_steps.is_empty() {
        return Ok(Some(report));
    }
    let Some(arrived) = refresh_contested(lake, &pin, &known).await? else { return Ok(None) };
    report.contested_total = arrived.contested.len();

    let context = lake.empty_session()?;
    lake.register(&context, &access_log::TABLE, None).await?;
    let all_rows = pin_condition(&pin);
    // Prices change often and change no usage; what is metered, and for which product, changes all of it.
    let before = catalog_before(lake, txns.get(CATALOG).copied(), catalog).await?;
    let is_same = |before: &Catalog| before.product_rules() == catalog.product_rules();
    let before = before.filter(|before| before.meters == catalog.meters && is_same(before));
    let whole = before.is_none();
    let mut added: BTreeMap<Hour, i64> = BTreeMap::new();
    let hours = if let Some(catalog_before) = before {
        let new_rows = since_condition(&known, &pin);
        let NewHours { rows, keyed } = hours_of_new(lake, &context, &new_rows).await?;
        added = rows;
        let mut touched: BTreeSet<Hour> =
            arrived.contested.values().flat_map(|verdict| &verdict.hours).copied().collect();
        touched.extend(arrived.hours_repeated.into_iter().filter(|hour| added.contains_key(hour)));
        touched.extend(hours_of_retries(lake, keyed, catalog, &new_rows, &all_rows).await?);
        if events_known != *events_pin || catalog_before.sha256 != catalog.sha256 {
            let registry_before = read_registry(lake, &events_known, None).await?;
            let links = changed_links(&registry_before, registry);
            touched.extend(hours_of_links(lake, &context, &links, &all_rows).await?);
            if let Some(range) = range_of_days(lake).await? {
                touched.extend(recut_hours((&registry_before, &catalog_before), (registry, catalog), range)?);
            }
        }
        added.retain(|hour, _| !touched.contains(hour));
        // How many rows there are decides how many hours fit into a pass.
        let of_days = lake.empty_session()?;
        lake.register(&of_days, &access_log::TABLE, Some(&days_of(&touched))).await?;
        let within = format!("{all_rows} and {}", in_ranges("occurred_at", &ranges(touched)));
        hours_of_rows(lake, &of_days, &within).await?
    } else {
        hours_of_rows(lake, &context, &all_rows).await?
    };
    let knowledge = Knowledge { lake, registry, catalog, pin: &pin };
    let mut new = Vec::new();
    for pass in passes(&added) {
        new.extend(knowledge.compute(&pass, Rows::Since(&known), &mut report).await?);
    }
    let stored = if whole { Stored::default() } else { stored(lake, &added, &hours, &new).await? };
    let rows = added::added(catalog, stored.changing, new)?;
    report.usage_rows_total = rows.len();
    let mut usage = UnpublishedUsage::of(lake);
    usage.add(&rows).await?;
    drop(rows);
    for pass in passes(&hours) {
        let Some(contested) = contested_of(lake, &pin, &days_of(&pass)).await? else { return Ok(None) };
        let rows = knowledge.compute(&pass, Rows::All(&contested), &mut report).await?;
        report.usage_rows_total += rows.len();
        usage.add(&rows).await?;
    }
    report.hours_total = hours.len() + added.len();
    report.hours_added_total = added.len();
    // Every refresh moves this one, so that of two at once the second always meets the first.
    commit_steps.push(TxnStep::counting(USAGE_REFRESH, txns.get(USAGE_REFRESH).copied()));
    let written: BTreeSet<Hour> = hours.into_keys().chain(added.into_keys()).collect();
    let values = texts_of_days(&written);
    let files = usage.files(stored.staying).await?;
    let replaced = if whole { None } else { Some(values.as_slice()) };
    match lake.replace_files(&USAGE, replaced, &files, &commit_steps).await? {
        Outcome::Committed => Ok(Some(report)),
        Outcome::Already | Outcome::Fenced { .. } => Ok(None),
    }
}

/// What the id index knows of the deliveries that are new for usage.
struct Arrived {
    /// Ids whose deliveries contradict each other or were corrected.
    contested: BTreeMap<RequestId, Verdict>,
    /// Hours with an id that is there more than once; of others too, and of later rows, at worst.
    hours_repeated: BTreeSet<Hour>,
}

/// Brings the id index and `contested_request` up to a pin; gives what is known of the deliveries that are new for
/// usage, `None` where another refresh is ahead or came between.
async fn refresh_contested(lake: &Lake, pin: &Pin, usage_known: &Pin) -> Result<Option<Arrived>, AggregateError> {
    let filled = fill_index(lake, pin).await?;
    let txns = lake.txns(&CONTESTED_REQUEST).await?;
    let known = frontier(lake, &CONTESTED_REQUEST, &access_log::TABLE).await?;
    if !pin.covers(&known) {
        return Ok(None);
    }
    let since = usage_known.both(&known);
    let mut found = match filled.hashes_between(&since, pin) {
        // The very rows that were taken into the index now: they need not be read again.
        Some(hashes) => candidates_of(lake, hashes).await?,
        None => search_index(lake, &since, pin).await?,
    };
    let hours_repeated = std::mem::take(&mut found.hours_repeated);
    let contested = decide_candidates(lake, found, pin).await?;
    let arrived = Arrived { contested, hours_repeated };
    let mut commit_steps = steps(&known, pin, &access_log::TABLE);
    if commit_steps.is_empty() {
        // The table knows these rows: what it says of them was decided before.
        return Ok((lake.txns(&CONTESTED_REQUEST).await? == txns).then_some(arrived));
    }
    // Two at once that took other partitions would each miss pairs between them: the second meets this one.
    commit_steps.push(TxnStep::counting(USAGE_REFRESH, txns.get(USAGE_REFRESH).copied()));
    let hours: BTreeSet<Hour> = arrived.contested.values().flat_map(|verdict| verdict.hours.iter().copied()).collect();
    let mut rows =
        if hours.is_empty() { Vec::new() } else { rows_of_days(lake, &CONTESTED_REQUEST, &days_of(&hours)).await? };
    let id_of = |row: &Row| Some((row.text("gateway")?.to_owned(), row.text("event_id")?.to_owned()));
    rows.retain(|row| id_of(row).is_none_or(|id| !arrived.contested.contains_key(&id)));
    rows.extend(arrived.contested.iter().flat_map(|(id, verdict)| rows_of_verdict(id, verdict)));
    match lake.replace(&CONTESTED_REQUEST, Some(&texts_of_days(&hours)), &rows, &commit_steps).await? {
        Outcome::Committed => Ok(Some(arrived)),
        Outcome::Already | Outcome::Fenced { .. } => Ok(None),
    }
}

/// Searches the index for the ids of the rows since a pin.
pub async fn search_index(lake: &Lake, known: &Pin, pin: &Pin) -> Result<Candidates, AggregateError> {
    let context = lake.empty_session()?;
    context.register_udf(row_hash());
    lake.register(&context, &access_log::TABLE, None).await?;
    candidates(lake, &context, known, pin).await
}

/// What is contested on some days as of a pin, to which the table was just brought; `None` where another refresh has
/// moved it on.
async fn contested_of(lake: &Lake, pin: &Pin, days: &[ScalarValue]) -> Result<Option<Vec<Row>>, AggregateError> {
    let rows = rows_of_days(lake, &CONTESTED_REQUEST, days).await?;
    // After the rows: the frontier never goes back, so they too are of this pin.
    Ok((frontier(lake, &CONTESTED_REQUEST, &access_log::TABLE).await? == *pin).then_some(rows))
}

async fn rows_of_days(lake: &Lake, def: &'static Table, days: &[ScalarValue]) -> Result<Vec<Row>, AggregateError> {
    let context = lake.empty_session()?;
    lake.register(&context, def, Some(days)).await?;
    Ok(lake.rows_in(&context, def, None).await?)
}

/// The days that have rows, from the first to the last.
async fn range_of_days(lake: &Lake) -> Result<Option<Period>, AggregateError> {
    let days: Vec<i32> = lake
        .partition_values(&access_log::TABLE)
        .await?
        .into_iter()
        .filter_map(|day| if let ScalarValue::Date32(day) = day { day } else { None })
        .collect();
    let midnight = |day: i32| DateTime::UNIX_EPOCH + TimeDelta::days(i64::from(day));
    let ends = days.first().zip(days.last());
    Ok(ends.map(|(first, last)| Period { start: midnight(*first), end: midnight(*last) + TimeDelta::days(1) }))
}

/// The days of some hours, as the log writes them.
fn texts_of_days<'a>(hours: impl IntoIterator<Item = &'a Hour>) -> Vec<String> {
    let days: BTreeSet<NaiveDate> = hours.into_iter().map(DateTime::date_naive).collect();
    days.iter().map(NaiveDate::to_string).collect()
}

/// Hours grouped so that one pass holds a bounded number of rows.
fn passes(hours: &BTreeMap<Hour, i64>) -> Vec<Vec<Hour>> {
    let mut passes: Vec<Vec<Hour>> = Vec::new();
    let mut rows = PASS_ROWS_MAX;
    for (hour, count) in hours {
        if rows + count > PASS_ROWS_MAX || passes.is_empty() {
            passes.push(Vec::new());
            rows = 0;
        }
        rows += count;
        if let Some(pass) = passes.last_mut() {
            pass.push(*hour);
        }
    }
    passes
}

/// Which rows of some hours usage is computed from.
enum Rows<'a> {
    /// All of them; with the rows of `contested_request` of these hours, or of more.
    All(&'a [Row]),
    /// Those that came since a pin, each a request that was delivered once.
    Since(&'a Pin),
}

/// What usage is computed with.
struct Knowledge<'a> {
    lake: &'a Lake,
    registry: &'a Registry,
    catalog: &'a Catalog,
    pin: &'a Pin,
}

impl Knowledge<'_> {
    /// Usage of some hours, from these rows of them.
    async fn compute(
        &self,
        hours: &[Hour],
        rows_read: Rows<'_>,
        report: &mut UsageReport,
    ) -> Result<Vec<Row>, AggregateError> {
        let Self { lake, registry, catalog, pin } = *self;
        let (Some(first), Some(last)) = (hours.first(), hours.last()) else { return Ok(Vec::new()) };
        let context = lake.empty_session()?;
        context.register_udf(exact_decimal());
        lake.register(&context, &access_log::TABLE, Some(&days_of(hours))).await?;
        let range = Period::new(*first, *last + AN_HOUR)?;
        let within = ranges(hours.iter().copied());
        let of_pin = match rows_read {
            Rows::All(_) => pin_condition(pin),
            Rows::Since(known) => since_condition(known, pin),
        };
        let condition = format!("{of_pin} and {}", in_ranges("occurred_at", &within));
        match rows_read {
            Rows::All(contested) => {
                arrival::register(lake, &context, pin, &condition, Some(&within), contested).await?;
            }
            Rows::Since(_) => arrival::register_single(&context),
        }
        attribution::register(&context, registry, catalog, range, &condition).await?;
        let base = lake.query(&context, &base_sql(catalog.meters.values())).await?;
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
}

async fn count_base(lake: &Lake, context: &SessionContext, report: &mut UsageReport) -> Result<(), AggregateError> {
    let sql = format!(
        "select unattributed_reason, count(*), count(*) filter (where delivery > 1),
           count(*) filter (where delivery = 1), count(*) filter (where delivery = 1 and product_id = '{UNMAPPED}')
         from base group by 1"
    );
    for batch in lake.query(context, &sql).await? {
        let (all, repeated) =
            (batch.column(1).as_primitive::<Int64Type>(), batch.column(2).as_primitive::<Int64Type>());
        let counted = batch.column(3).as_primitive::<Int64Type>();
        let unmapped = batch.column(4).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            report.records_total += all.value(row);
            report.requests_total += counted.value(row);
            report.unmapped_total += unmapped.value(row);
            report.duplicates_total += repeated.value(row);
            report.corrected_total += all.value(row) - repeated.value(row) - counted.value(row);
            if let Some(reason) = text_at(batch.column(0), row) {
                *report.unattributed.entry(reason.to_owned()).or_default() += counted.value(row);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
