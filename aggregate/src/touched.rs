//! Which UTC hours a refresh computes anew: those that new rows, contested requests, and changes of the registry touch.
//!
//! Pure but for two queries. A change of a link touches the hours in which its consumer or credential called while the
//! link says something else than before; a change of billing periods or subscriptions touches the hours that it cuts
//! inside. Everything else stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimestampMicrosecondType};
use chrono::{DateTime, DurationRound as _, NaiveDate, TimeDelta, Utc};
use datafusion::common::ScalarValue;
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use tollbook_lake::Lake;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::{Period, PeriodError};
use tollbook_schemas::registry::{Environment, LinkSystem, Registry};

use crate::attribution::{FAR, instant_field, instant_sql, instants};
use crate::error::AggregateError;
use crate::segments::segments;

/// An hour, by its first instant.
pub(crate) type Hour = DateTime<Utc>;

pub(crate) const AN_HOUR: TimeDelta = TimeDelta::hours(1);

/// The UTC hour of an instant.
pub(crate) fn hour_of(instant: DateTime<Utc>) -> Result<Hour, PeriodError> {
    instant.duration_trunc(AN_HOUR).map_err(|_| PeriodError::OutOfRange)
}

/// The whole hours around a span.
pub(crate) fn whole_hours(span: Period) -> Result<Period, PeriodError> {
    Ok(Period { start: hour_of(span.start)?, end: hour_of(span.end)? + AN_HOUR })
}

/// Hours that rows meeting a condition over `access_log` lie in, with their number of rows.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn hours_of_rows(
    lake: &Lake,
    context: &SessionContext,
    condition: &str,
) -> Result<BTreeMap<Hour, i64>, AggregateError> {
    let sql = format!("select date_trunc('hour', occurred_at), count(*) from access_log where {condition} group by 1");
    let mut hours = BTreeMap::new();
    for batch in lake.query(context, &sql).await? {
        let counts = batch.column(1).as_primitive::<Int64Type>();
        for (row, hour) in hours_at(&batch, 0)?.into_iter().enumerate() {
            hours.insert(hour, counts.value(row));
        }
    }
    Ok(hours)
}

/// Hours of new rows.
#[derive(Debug, Default)]
pub(crate) struct NewHours {
    /// All, with their number of new rows.
    pub rows: BTreeMap<Hour, i64>,
    /// Those in which one of them has an idempotency key.
    pub keyed: BTreeSet<Hour>,
}

/// Hours of the rows that meet a condition over `access_log`.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn hours_of_new(
    lake: &Lake,
    context: &SessionContext,
    condition: &str,
) -> Result<NewHours, AggregateError> {
    let sql = format!(
        "select date_trunc('hour', occurred_at), count(*), count(idempotency_key_hash) from access_log
         where {condition} group by 1"
    );
    let mut found = NewHours::default();
    for batch in lake.query(context, &sql).await? {
        let (rows, keyed) = (batch.column(1).as_primitive::<Int64Type>(), batch.column(2).as_primitive::<Int64Type>());
        for (row, hour) in hours_at(&batch, 0)?.into_iter().enumerate() {
            found.rows.insert(hour, rows.value(row));
            if keyed.value(row) > 0 {
                found.keyed.insert(hour);
            }
        }
    }
    Ok(found)
}

/// Hours of a column.
pub(crate) fn hours_at(batch: &RecordBatch, column: usize) -> Result<Vec<Hour>, PeriodError> {
    let micros = batch.column(column).as_primitive::<TimestampMicrosecondType>();
    micros.values().iter().map(|at| DateTime::from_timestamp_micros(*at).ok_or(PeriodError::OutOfRange)).collect()
}

/// The days of some hours, as values of a partition column.
pub(crate) fn days_of<'a>(hours: impl IntoIterator<Item = &'a Hour>) -> Vec<ScalarValue> {
    let days: BTreeSet<NaiveDate> = hours.into_iter().map(DateTime::date_naive).collect();
    let epoch = DateTime::UNIX_EPOCH.date_naive();
    let date = |day: NaiveDate| i32::try_from(day.signed_duration_since(epoch).num_days()).ok();
    days.into_iter().map(|day| ScalarValue::Date32(date(day))).collect()
}

/// The hours of some ranges.
pub(crate) fn hours_of(ranges: &[Period]) -> Vec<Hour> {
    let mut hours = Vec::new();
    for range in ranges {
        let mut hour = range.start;
        while hour < range.end {
            hours.push(hour);
            hour += AN_HOUR;
        }
    }
    hours
}

/// Ranges of consecutive hours.
pub(crate) fn ranges(hours: impl IntoIterator<Item = Hour>) -> Vec<Period> {
    let mut ranges: Vec<Period> = Vec::new();
    for hour in hours {
        match ranges.last_mut() {
            Some(last) if last.end == hour => last.end = hour + AN_HOUR,
            _ => ranges.push(Period { start: hour, end: hour + AN_HOUR }),
        }
    }
    ranges
}

fn in_span(column: &str, span: Period) -> String {
    format!("({column} >= {} and {column} < {})", instant_sql(span.start), instant_sql(span.end))
}

/// Ranges that are told one by one; more are told as a list of hours.
const RANGES_MAX: usize = 8;

/// The SQL condition that an instant lies in one of these ranges of whole hours. Many ranges are a list, which is
/// looked up: a chain of a hundred `or` is evaluated a hundred times for each row, and planned by recursion, which can
/// take more stack than there is.
pub(crate) fn in_ranges(column: &str, ranges: &[Period]) -> String {
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { return "false".to_owned() };
    let between = |start: DateTime<Utc>, end: DateTime<Utc>| in_span(column, Period { start, end });
    if ranges.len() <= RANGES_MAX {
        let each: Vec<String> = ranges.iter().map(|range| between(range.start, range.end)).collect();
        return format!("({})", each.join(" or "));
    }
    let hours: Vec<String> = hours_of(ranges).iter().map(|hour| hour.timestamp_micros().to_string()).collect();
    format!(
        "({} and arrow_cast(date_trunc('hour', {column}), 'Int64') in ({}))",
        between(first.start, last.end),
        hours.join(", ")
    )
}

/// A span in which a consumer or credential belongs to somebody else than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangedLink {
    pub system: LinkSystem,
    pub external_id: String,
    pub span: Period,
}

/// What a link says: whose it is (nobody's where links contradict each other), in which environment, and whether that
/// partner is internal or for tests, which meters may leave out.
type Says = (Option<PartnerId>, Option<Environment>, (bool, bool));

/// Where two registries disagree on whose a consumer or credential is.
pub(crate) fn changed_links(old: &Registry, new: &Registry) -> Vec<ChangedLink> {
    type Timeline = BTreeMap<DateTime<Utc>, (DateTime<Utc>, Says)>;
    let timelines = |registry: &Registry| {
        let mut timelines: BTreeMap<(LinkSystem, String), Timeline> = BTreeMap::new();
        for link in &registry.links {
            let key = (link.system, link.external_id.clone());
            let partner = link.partner_id.as_ref().and_then(|id| registry.partners.get(id));
            let flags = partner.map_or((false, false), |partner| (partner.is_internal, partner.is_test));
            let says = (link.partner_id.clone(), link.environment, flags);
            timelines.entry(key).or_default().insert(link.valid_from, (link.valid_to.unwrap_or(FAR), says));
        }
        timelines
    };
    let (old, new) = (timelines(old), timelines(new));
    let nothing = Timeline::new();
    let said_at = |timeline: &Timeline, at: DateTime<Utc>| {
        timeline.range(..=at).next_back().filter(|(_, (end, _))| at < *end).map(|(_, (_, says))| says.clone())
    };
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut changed = Vec::new();
    for key in keys {
        let (before, after) = (old.get(key).unwrap_or(&nothing), new.get(key).unwrap_or(&nothing));
        if before == after {
            continue;
        }
        let cuts: BTreeSet<DateTime<Utc>> =
            before.iter().chain(after).flat_map(|(start, (end, _))| [*start, *end]).collect();
        for (start, end) in cuts.iter().zip(cuts.iter().skip(1)) {
            if said_at(before, *start) != said_at(after, *start) {
                let span = Period { start: *start, end: *end };
                changed.push(ChangedLink { system: key.0, external_id: key.1.clone(), span });
            }
        }
    }
    changed
}

/// Hours in which the consumers and credentials of changed links called, among the rows that meet a condition.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn hours_of_links(
    lake: &Lake,
    context: &SessionContext,
    changed: &[ChangedLink],
    condition: &str,
) -> Result<BTreeSet<Hour>, AggregateError> {
    let mut hours = BTreeSet::new();
    for (system, identity) in [
        (LinkSystem::Credential, "concat(credential_key_id, ':', credential_hash)"),
        (LinkSystem::Consumer, "consumer"),
    ] {
        let changed: Vec<&ChangedLink> = changed.iter().filter(|link| link.system == system).collect();
        let (Some(start), Some(end)) =
            (changed.iter().map(|link| link.span.start).min(), changed.iter().map(|link| link.span.end).max())
        else {
            continue;
        };
        let schema = Arc::new(Schema::new(vec![
            Field::new("external_id", DataType::Utf8, false),
            instant_field("span_start"),
            instant_field("span_end"),
        ]));
        let batch = RecordBatch::try_new(
            schema.clone(),
            vec![
                Arc::new(changed.iter().map(|link| Some(link.external_id.as_str())).collect::<StringArray>()),
                Arc::new(instants(changed.iter().map(|link| link.span.start).collect())),
                Arc::new(instants(changed.iter().map(|link| link.span.end).collect())),
            ],
        )?;
        context.register_table("changed_link", Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))?;
        let sql = format!(
            "select distinct date_trunc('hour', occurred_at) from changed_link
             join access_log on external_id = {identity} and occurred_at >= span_start and occurred_at < span_end
             where {condition} and {}",
            // Known without the join: files from before the first change are not opened.
            in_span("occurred_at", Period { start, end })
        );
        for batch in lake.query(context, &sql).await? {
            hours.extend(hours_at(&batch, 0)?);
        }
        context.deregister_table("changed_link")?;
    }
    Ok(hours)
}

/// Hours that are cut inside otherwise than before, over the time in which there are rows.
///
/// # Errors
/// [`PeriodError`].
pub(crate) fn recut_hours(
    old: (&Registry, &Catalog),
    new: (&Registry, &Catalog),
    range: Period,
) -> Result<BTreeSet<Hour>, PeriodError> {
    let cuts =
        |(registry, catalog): (&Registry, &Catalog)| -> Result<BTreeSet<(PartnerId, DateTime<Utc>)>, PeriodError> {
            let segments = segments(registry, catalog, range)?;
            let each = |(partner, spans): (PartnerId, Vec<Period>)| {
                spans.into_iter().map(move |span| (partner.clone(), span.start))
            };
            Ok(segments.into_iter().flat_map(each).collect())
        };
    let (old, new) = (cuts(old)?, cuts(new)?);
    let mut hours = BTreeSet::new();
    for (_, cut) in old.symmetric_difference(&new) {
        let hour = hour_of(*cut)?;
        // A cut between two hours cuts none; nor does the start of the range, which is no cut.
        if hour != *cut {
            hours.insert(hour);
        }
    }
    Ok(hours)
}

#[cfg(test)]
mod tests;
