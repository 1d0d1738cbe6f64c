//! Deliveries of one request in one hour, in their order: the table `ranked` of a session, by place.
//!
//! Nearly every request is delivered once, and a window over all requests to find the others costs more than the rest of
//! an hourly count (benches/README.md: 4.3 times DuckDB with it, 1.7 without). So the id index, whose hashes are numbers, tells which ids came more than once; only their
//! rows are ranked, by their ids themselves, because two ids can share a hash. Every other row is the first of its id.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use tollbook_lake::Lake;
use tollbook_schemas::period::Period;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::derived::ID_INDEX;

use crate::error::AggregateError;
use crate::id_index::{REQUEST_ID_SQL, fill_index, is_among, repeated, request_hash_sql, row_hash};
use crate::touched::{days_of, hours_of, in_ranges};

/// Registers `ranked` (source, partition, offset, index, arrival) for the rows of `access_log` that meet a condition,
/// which must select whole hours; `within` has those hours, all where it is `None`.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn register(
    lake: &Lake,
    context: &SessionContext,
    pin: &Pin,
    condition: &str,
    within: Option<&[Period]>,
) -> Result<(), AggregateError> {
    // What the index does not know would count as often as it was delivered.
    fill_index(lake, pin).await?;
    context.register_udf(row_hash());
    let days = within.map(|ranges| days_of(&hours_of(ranges)));
    lake.register(context, &ID_INDEX, days.as_deref()).await?;
    let hours = within.map_or_else(|| "true".to_owned(), |ranges| in_ranges("hour", ranges));
    let repeated = repeated(lake, context, &hours).await?;
    let ranked = if repeated.is_empty() {
        Vec::new()
    } else {
        context.register_udf(is_among("is_repeated", Arc::new(repeated)));
        let sql = format!(
            "select source, kafka_partition, kafka_offset, record_index,
               row_number() over (
                 partition by gateway, {REQUEST_ID_SQL}, date_trunc('hour', occurred_at)
                 order by source, kafka_partition, kafka_offset, record_index) as arrival
             from access_log
             where {condition} and is_repeated({})",
            request_hash_sql()
        );
        lake.query(context, &sql).await?
    };
    let schema = Arc::new(Schema::new(vec![
        Field::new("ranked_source", DataType::Utf8, true),
        Field::new("ranked_partition", DataType::Int32, true),
        Field::new("ranked_offset", DataType::Int64, true),
        Field::new("ranked_index", DataType::Int32, true),
        Field::new("arrival", DataType::Int64, true),
    ]));
    let of_schema = |batch: RecordBatch| {
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns.map(|(column, field)| arrow::compute::cast(column, field.data_type()));
        RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
    };
    let ranked = ranked.into_iter().map(of_schema).collect::<Result<Vec<_>, _>>()?;
    context.register_table("ranked", Arc::new(MemTable::try_new(schema.clone(), vec![ranked])?))?;
    Ok(())
}
