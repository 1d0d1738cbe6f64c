//! What a derived table was computed from: one transaction for each partition of an ingested table, in its own commit.

use arrow::array::RecordBatch;
use tollbook_lake::{Lake, TxnStep};
use tollbook_schemas::pin::Pin;
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::Table;

use crate::error::AggregateError;

/// App id under which a derived table keeps how far it has taken one partition of an ingested table.
pub(crate) fn app_id(ingested: &Table, source: &Source, partition: i32) -> String {
    format!("{} {}", ingested.name, source.app_id(partition))
}

/// How far `derived` has taken `ingested`.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn frontier(lake: &Lake, derived: &'static Table, ingested: &Table) -> Result<Pin, AggregateError> {
    let prefix = format!("{} ", ingested.name);
    let mut pin = Pin::new();
    for (app_id, next) in lake.txns(derived).await? {
        if let Some((source, partition)) = app_id.strip_prefix(&prefix).and_then(Source::split_app_id) {
            pin.set(source, partition, next);
        }
    }
    Ok(pin)
}

/// The steps that move a frontier from one pin to another.
pub(crate) fn steps(from: &Pin, to: &Pin, ingested: &Table) -> Vec<TxnStep> {
    to.iter()
        .filter(|(source, partition, next)| from.next_offset(source, *partition) != Some(*next))
        .map(|(source, partition, next)| TxnStep {
            app_id: app_id(ingested, source, partition),
            expected: from.next_offset(source, partition),
            next,
        })
        .collect()
}

/// An answer with a table's columns in its declared schema.
///
/// # Errors
/// A column that is missing or of another type: a bug of the query.
pub(crate) fn declared(table: &Table, batch: &RecordBatch) -> Result<RecordBatch, AggregateError> {
    let schema = table.arrow_schema();
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let column = batch.column_by_name(field.name()).ok_or_else(|| AggregateError::Stored {
                table: table.name,
                what: format!("a query gives no column {}", field.name()),
            })?;
            Ok(arrow::compute::cast(column, field.data_type())?)
        })
        .collect::<Result<Vec<_>, AggregateError>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}
