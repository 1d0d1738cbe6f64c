//! Which delivery of a request counts, where its deliveries contradict each other or a correction came.
//!
//! Takes the deliveries of one id, in whatever order they arrived; gives the one that counts, and why the id is listed.
//! The table `contested_request` keeps the answer for each hour of such an id: analysts read it, and the next refresh
//! need not look for it again. All others count by their first delivery in their hour, see [`crate::arrival`].
//!
//! - Without a correction the delivery with the lowest (source, partition, offset, index) counts, whatever arrived
//!   first and whatever the others say; that they say something else is listed, never silently chosen (I9).
//! - Of several corrections the last one holds: by the record's time in Kafka, then by its place. A retraction: nothing
//!   counts. An amendment: its own record counts, at its own `occurred_at`, in place of the request.
//! - A correction of nothing that was delivered counts as nothing and is listed; the request may still come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use tollbook_lake::{Lake, pin_condition};
use tollbook_schemas::meter::Place;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::derived::CONTESTED_REQUEST;
use tollbook_schemas::tables::{Row, access_log, batch_of};

use crate::error::AggregateError;
use crate::exact::text_at;
use crate::frontier::frontier;
use crate::id_index::{Candidates, is_among};
use crate::row_hash::{CONTENT_SQL, REQUEST_ID_SQL, request_hash_sql, row_hash};
use crate::touched::{days_of, in_ranges, ranges};

/// (gateway, event id).
pub(crate) type RequestId = (String, String);

/// What a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryKind {
    Request,
    Retraction,
    Amendment,
}

/// One delivery of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub place: Place,
    pub kind: DeliveryKind,
    /// Its own id: a correction that is delivered again is the same correction.
    pub own_id: String,
    pub hour: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    pub content_hash: i64,
}

/// What is decided about an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The delivery that counts, if any.
    pub counted: Option<Place>,
    /// Whether a correction took the place of the request.
    pub superseded: bool,
    /// Why the id is listed; empty where its deliveries agree.
    pub reasons: BTreeSet<&'static str>,
    /// Hours in which it was delivered.
    pub hours: BTreeSet<DateTime<Utc>>,
    /// All deliveries.
    pub deliveries: usize,
}

/// Decides over all deliveries of one id.
pub(crate) fn decide(deliveries: &[Delivery]) -> Verdict {
    let is_request = |delivery: &&Delivery| delivery.kind == DeliveryKind::Request;
    let requests: Vec<&Delivery> = deliveries.iter().filter(is_request).collect();
    let mut reasons = BTreeSet::new();
    let differ =
        |of: fn(&Delivery) -> i64| requests.iter().map(|request| of(request)).collect::<BTreeSet<_>>().len() > 1;
    if differ(|request| request.hour.timestamp()) {
        reasons.insert("hour");
    }
    if differ(|request| request.content_hash) {
        reasons.insert("content");
    }
    // A correction by its first delivery: delivered again it must not overtake a later one.
    let mut corrections: BTreeMap<&str, &Delivery> = BTreeMap::new();
    for correction in deliveries.iter().filter(|delivery| !is_request(delivery)) {
        let first = corrections.entry(correction.own_id.as_str()).or_insert(correction);
        if (correction.received_at, &correction.place) < (first.received_at, &first.place) {
            *first = correction;
        }
    }
    for correction in corrections.values() {
        reasons.insert(if correction.kind == DeliveryKind::Amendment { "amended" } else { "retracted" });
    }
    let last = corrections.into_values().max_by_key(|correction| (correction.received_at, &correction.place));
    let first = requests.iter().map(|request| &request.place).min();
    let (counted, superseded) = match (first, last) {
        (None, Some(_)) => {
            reasons.insert("orphan");
            (None, false)
        }
        (first, None) => (first.cloned(), false),
        (Some(_), Some(correction)) if correction.kind == DeliveryKind::Amendment => {
            (Some(correction.place.clone()), true)
        }
        (Some(_), Some(_)) => (None, true),
    };
    let hours = deliveries.iter().map(|delivery| delivery.hour).collect();
    Verdict { counted, superseded, reasons, hours, deliveries: deliveries.len() }
}

/// Reads the deliveries of candidates that were known at a pin, and decides; only ids that are contested.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn decide_candidates(
    lake: &Lake,
    candidates: Candidates,
    pin: &Pin,
) -> Result<BTreeMap<RequestId, Verdict>, AggregateError> {
    let Candidates { hashes, hours, .. } = candidates;
    if hashes.is_empty() {
        return Ok(BTreeMap::new());
    }
    let context = lake.empty_session()?;
    context.register_udf(row_hash());
    context.register_udf(is_among("is_candidate", Arc::new(hashes)));
    lake.register(&context, &access_log::TABLE, Some(&days_of(&hours))).await?;
    let sql = format!(
        "select {} from access_log where {} and {} and is_candidate({})",
        delivery_sql(),
        pin_condition(pin),
        in_ranges("occurred_at", &ranges(hours)),
        request_hash_sql()
    );
    decide_all(&lake.query(&context, &sql).await?)
}

/// What [`delivery_of`] reads.
fn delivery_sql() -> String {
    format!(
        "gateway, {REQUEST_ID_SQL}, source, kafka_partition, kafka_offset, record_index, kind, event_id,
           date_trunc('hour', occurred_at), received_at, row_hash({CONTENT_SQL})"
    )
}

fn decide_all(batches: &[RecordBatch]) -> Result<BTreeMap<RequestId, Verdict>, AggregateError> {
    let mut deliveries: BTreeMap<RequestId, Vec<Delivery>> = BTreeMap::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let (id, delivery) = delivery_of(batch, row)?;
            deliveries.entry(id).or_default().push(delivery);
        }
    }
    Ok(deliveries
        .into_iter()
        .map(|(id, deliveries)| (id, decide(&deliveries)))
        .filter(|(_, verdict)| !verdict.reasons.is_empty())
        .collect())
}

fn delivery_of(batch: &RecordBatch, row: usize) -> Result<(RequestId, Delivery), AggregateError> {
    let damaged = |what: &str| AggregateError::Stored { table: access_log::TABLE.name, what: what.to_owned() };
    let text =
        |column: usize, name: &str| text_at(batch.column(column), row).map(str::to_owned).ok_or_else(|| damaged(name));
    let instant = |column: usize, name: &str| {
        let micros = batch.column(column).as_primitive::<TimestampMicrosecondType>().value(row);
        DateTime::from_timestamp_micros(micros).ok_or_else(|| damaged(name))
    };
    let kind = match text(6, "kind")?.as_str() {
        "request" => DeliveryKind::Request,
        "retraction" => DeliveryKind::Retraction,
        "amendment" => DeliveryKind::Amendment,
        _ => return Err(damaged("kind")),
    };
    let place = (
        text(2, "source")?,
        batch.column(3).as_primitive::<Int32Type>().value(row),
        batch.column(4).as_primitive::<Int64Type>().value(row),
        batch.column(5).as_primitive::<Int32Type>().value(row),
    );
    let delivery = Delivery {
        place,
        kind,
        own_id: text(7, "event_id")?,
        hour: instant(8, "occurred_at")?,
        received_at: instant(9, "received_at")?,
        content_hash: batch.column(10).as_primitive::<Int64Type>().value(row),
    };
    Ok(((text(0, "gateway")?, text(1, "event_id")?), delivery))
}

/// The rows of `contested_request` that say a verdict.
pub(crate) fn rows_of_verdict((gateway, event_id): &RequestId, verdict: &Verdict) -> Vec<Row> {
    let reasons = verdict.reasons.iter().copied().collect::<Vec<_>>().join(", ");
    let counted = verdict.counted.as_ref();
    verdict
        .hours
        .iter()
        .map(|hour| {
            Row::new()
                .with("gateway", gateway.as_str())
                .with("event_id", event_id.as_str())
                .with("hour", *hour)
                .with("reasons", reasons.as_str())
                .with("delivery_count", i64::try_from(verdict.deliveries).unwrap_or(i64::MAX))
                .with("superseded", verdict.superseded)
                .with("counted_source", counted.map(|place| place.0.clone()))
                .with("counted_partition", counted.map(|place| place.1))
                .with("counted_offset", counted.map(|place| place.2))
                .with("counted_index", counted.map(|place| place.3))
                .with("event_date", hour.date_naive())
        })
        .collect()
}

/// Makes rows of `contested_request` the table `contested` of a session.
fn register(context: &SessionContext, rows: &[Row]) -> Result<(), AggregateError> {
    let schema = CONTESTED_REQUEST.arrow_schema();
    let batches = if rows.is_empty() { Vec::new() } else { vec![batch_of(&CONTESTED_REQUEST, rows)?] };
    context.register_table("contested", Arc::new(MemTable::try_new(schema, vec![batches])?))?;
    Ok(())
}

/// Rows of `contested_request` as of a pin: the table's own where it was computed at just this pin, else decided anew
/// from the deliveries that the pin knows of the ids that the table lists. An id that is listed once stays listed.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn contested_at(lake: &Lake, pin: &Pin) -> Result<Vec<Row>, AggregateError> {
    let listed = lake.rows(&CONTESTED_REQUEST, None).await?;
    if listed.is_empty() || frontier(lake, &CONTESTED_REQUEST, &access_log::TABLE).await? == *pin {
        return Ok(listed);
    }
    let context = lake.empty_session()?;
    context.register_udf(row_hash());
    lake.register(&context, &access_log::TABLE, None).await?;
    register(&context, &listed)?;
    let sql = format!(
        "with listed as (select distinct gateway as listed_gateway, event_id as listed_id from contested)
         select {}
         from listed join access_log on listed_gateway = gateway and listed_id = {REQUEST_ID_SQL}
         where {}",
        delivery_sql(),
        pin_condition(pin)
    );
    let decided = decide_all(&lake.query(&context, &sql).await?)?;
    Ok(decided.iter().flat_map(|(id, verdict)| rows_of_verdict(id, verdict)).collect())
}

#[cfg(test)]
mod tests;
