//! From a billed quantity back to the records: which requests, at which offsets, made the usage of one meter.
//!
//! Takes the pin of an invoice, so it gives the same rows for ever, whatever arrived since; the data files are those in
//! which the rows lie now, since compaction moves them. The rows come from the same view that the refresh uses; that
//! the refresh counted them rightly is what `verify` (another program) is for.

use arrow::array::AsArray as _;
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::DateTime;
use tollbook_lake::{Lake, as_text, pin_condition};
use tollbook_schemas::catalog::{Catalog, Meter};
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::{Period, PeriodError};
use tollbook_schemas::pin::Pin;
use tollbook_schemas::registry::Registry;
use tollbook_schemas::tables::access_log;

use crate::arrival;
use crate::attribution::{self, instant_sql};
use crate::contested::contested_at;
use crate::error::AggregateError;
use crate::exact::text_at;
use crate::touched::{AN_HOUR, whole_hours};
use crate::usage::counted_sql;

/// The requests of one slice that came from one partition and lie in one data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Time of the slice.
    pub slice: Period,
    /// Source.
    pub source: String,
    /// Partition of the source.
    pub partition: i32,
    /// Data file of the lake that holds them, below the lake's root.
    pub data_file: String,
    /// First offset among them.
    pub first_offset: i64,
    /// Last offset among them; not every offset between belongs to them.
    pub last_offset: i64,
    /// Requests that counted.
    pub request_count: i64,
}

/// The requests behind the production usage of a meter, partner and span, by slice, partition and data file.
///
/// # Errors
/// [`AggregateError`].
pub async fn explain(
    lake: &Lake,
    registry: &Registry,
    catalog: &Catalog,
    pin: &Pin,
    meter: &Meter,
    partner: &PartnerId,
    span: Period,
) -> Result<Vec<Evidence>, AggregateError> {
    let context = lake.empty_session()?;
    // The view takes every column of the table along.
    lake.register_with_files(&context, &access_log::TABLE, "data_file").await?;
    // A repeated delivery lies in the same hour, so whole hours around the span decide which delivery counts.
    let hours = format!(
        "{} and occurred_at >= {} - interval '1 hour' and occurred_at < {} + interval '1 hour'",
        pin_condition(pin),
        instant_sql(span.start),
        instant_sql(span.end)
    );
    let contested = contested_at(lake, pin).await?;
    let around = whole_hours(Period { start: span.start - AN_HOUR, end: span.end + AN_HOUR })?;
    arrival::register(lake, &context, pin, &hours, Some(&[around]), &contested).await?;
    attribution::register(&context, registry, catalog, span, &hours).await?;
    let sql = format!(
        "select slice_start, slice_end, source, kafka_partition, data_file,
           min(kafka_offset), max(kafka_offset), count(*)
         from ({counted})
         where environment = 'production' and partner_id = {partner}
           and occurred_at >= {from} and occurred_at < {to}
         group by slice_start, slice_end, source, kafka_partition, data_file
         order by slice_start, slice_end, source, kafka_partition, min(kafka_offset), data_file",
        partner = as_text(partner.as_str()),
        from = instant_sql(span.start),
        to = instant_sql(span.end),
        counted = counted_sql(meter),
    );
    let mut evidence = Vec::new();
    for batch in lake.query(&context, &sql).await? {
        let instant = |column: usize, row: usize| {
            let micros = batch.column(column).as_primitive::<TimestampMicrosecondType>().value(row);
            DateTime::from_timestamp_micros(micros).ok_or(PeriodError::OutOfRange)
        };
        let int = |column: usize, row: usize| batch.column(column).as_primitive::<Int64Type>().value(row);
        for row in 0..batch.num_rows() {
            evidence.push(Evidence {
                slice: Period::new(instant(0, row)?, instant(1, row)?)?,
                source: text_at(batch.column(2), row).unwrap_or_default().to_owned(),
                partition: batch.column(3).as_primitive::<Int32Type>().value(row),
                data_file: text_at(batch.column(4), row).unwrap_or_default().to_owned(),
                first_offset: int(5, row),
                last_offset: int(6, row),
                request_count: int(7, row),
            });
        }
    }
    Ok(evidence)
}
