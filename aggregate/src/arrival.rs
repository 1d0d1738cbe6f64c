//! Which delivery of a request a row is, as the SQL function `delivery_of`: 1 for the one that counts, more for repeated
//! ones, 0 for those in whose place a correction stands, null for corrections that do not count (I2).
//!
//! Nearly every request is delivered once, and a window over all requests to find the others costs several times the
//! rest of an hourly count (benches/README.md). So the id index, whose hashes are numbers, tells which ids came more
//! than once, and `contested_request` which contradict each other; only their rows are read with their ids, and ranked
//! here. Every other request counts, and the main query looks at no id: it asks for a row's place in a small map.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use datafusion::common::cast::{as_int32_array, as_int64_array, as_string_array};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use tollbook_lake::Lake;
use tollbook_schemas::meter::Place;
use tollbook_schemas::period::Period;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::derived::ID_INDEX;
use tollbook_schemas::tables::{Row, Value, access_log};

use crate::contested::RequestId;
use crate::error::AggregateError;
use crate::exact::text_at;
use crate::id_index::{REQUEST_ID_SQL, fill_index, hash_of_id, is_among, repeated, request_hash_sql, row_hash};
use crate::touched::{Hour, days_of, hours_at, hours_of, in_ranges};

/// Deliveries of rows that are not simply the only one of their request, by (offset, partition, index) and source.
type Ranks = HashMap<(i64, i32, i32), Vec<(String, Option<i64>)>>;

/// Registers `delivery_of(source, partition, offset, index, kind)` for the rows of `access_log` that meet a condition,
/// which must select whole hours; `within` has those hours, all where it is `None`; `contested` has the rows of
/// `contested_request` of that pin and those hours, or of more.
///
/// # Errors
/// [`AggregateError`].
pub async fn register(
    lake: &Lake,
    context: &SessionContext,
    pin: &Pin,
    condition: &str,
    within: Option<&[Period]>,
    contested: &[Row],
) -> Result<(), AggregateError> {
    // What the index does not know would count as often as it was delivered.
    fill_index(lake, pin).await?;
    context.register_udf(row_hash());
    let days = within.map(|ranges| days_of(&hours_of(ranges)));
    lake.register(context, &ID_INDEX, days.as_deref()).await?;
    let hours = within.map(|ranges| in_ranges("hour", ranges));
    let mut hashes = repeated(lake, context, hours.as_deref()).await?;
    let verdicts: HashMap<(RequestId, Hour), &Row> = contested
        .iter()
        .filter_map(|row| {
            let id = (row.text("gateway")?.to_owned(), row.text("event_id")?.to_owned());
            Some(((id, row.instant("hour")?), row))
        })
        .collect();
    hashes.extend(verdicts.keys().map(|((gateway, id), _)| hash_of_id(gateway, id)));
    let mut ranks = Ranks::new();
    if !hashes.is_empty() {
        context.register_udf(is_among("is_special", Arc::new(hashes)));
        let sql = format!(
            "select gateway, {REQUEST_ID_SQL}, date_trunc('hour', occurred_at), kind,
               source, kafka_partition, kafka_offset, record_index
             from access_log where {condition} and is_special({})",
            request_hash_sql()
        );
        ranks = ranked(&lake.query(context, &sql).await?, &verdicts)?;
    }
    context.register_udf(delivery_of(ranks));
    Ok(())
}

/// Registers `delivery_of` for rows of which each is known to be a request that was delivered once.
pub(crate) fn register_single(context: &SessionContext) {
    context.register_udf(delivery_of(Ranks::new()));
}

/// Ranks deliveries: those of one id in one hour in the order of their places.
fn ranked(batches: &[RecordBatch], verdicts: &HashMap<(RequestId, Hour), &Row>) -> Result<Ranks, AggregateError> {
    let mut deliveries: BTreeMap<(RequestId, Hour), Vec<(Place, bool)>> = BTreeMap::new();
    for batch in batches {
        let (partitions, indices) =
            (batch.column(5).as_primitive::<Int32Type>(), batch.column(7).as_primitive::<Int32Type>());
        let offsets = batch.column(6).as_primitive::<Int64Type>();
        for (row, hour) in hours_at(batch, 2)?.into_iter().enumerate() {
            let text = |column: usize, name: &str| {
                text_at(batch.column(column), row)
                    .map(str::to_owned)
                    .ok_or_else(|| AggregateError::Stored { table: access_log::TABLE.name, what: name.to_owned() })
            };
            let id = (text(0, "gateway")?, text(1, "event_id")?);
            let place = (text(4, "source")?, partitions.value(row), offsets.value(row), indices.value(row));
            deliveries.entry((id, hour)).or_default().push((place, text(3, "kind")? == "request"));
        }
    }
    let mut ranks = Ranks::new();
    for (of, mut places) in deliveries {
        places.sort_unstable();
        for (arrival, (place, is_request)) in (1_i64..).zip(places) {
            let delivery = match verdicts.get(&of) {
                None => is_request.then_some(arrival),
                Some(verdict) if is_counted(verdict, &place) => Some(1),
                Some(_) if !is_request => None,
                Some(verdict) if *verdict.get("superseded") == Value::Flag(true) => Some(0),
                Some(_) => Some(arrival + 1),
            };
            if delivery != Some(1) || !is_request {
                let (source, partition, offset, index) = place;
                ranks.entry((offset, partition, index)).or_default().push((source, delivery));
            }
        }
    }
    Ok(ranks)
}

/// Whether a verdict says that the delivery at a place counts.
fn is_counted(verdict: &Row, (source, partition, offset, index): &Place) -> bool {
    verdict.text("counted_source") == Some(source)
        && verdict.int("counted_partition") == Some(i64::from(*partition))
        && verdict.int("counted_offset") == Some(*offset)
        && verdict.int("counted_index") == Some(i64::from(*index))
}

/// The function.
fn delivery_of(ranks: Ranks) -> ScalarUDF {
    let look = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let [source, partition, offset, index, kind] = arrays.as_slice() else {
            return datafusion::common::plan_err!("delivery_of takes five columns");
        };
        let (sources, kinds) = (as_string_array(source)?, as_string_array(kind)?);
        let (partitions, indices) = (as_int32_array(partition)?, as_int32_array(index)?);
        let offsets = as_int64_array(offset)?;
        let of_row = |row: usize| {
            let known = ranks.get(&(offsets.value(row), partitions.value(row), indices.value(row)));
            match known.and_then(|known| known.iter().find(|(source, _)| source.as_str() == sources.value(row))) {
                Some((_, delivery)) => *delivery,
                None => (kinds.value(row) == "request").then_some(1),
            }
        };
        let deliveries: Int64Array = (0..offsets.len()).map(of_row).collect();
        let deliveries: ArrayRef = Arc::new(deliveries);
        Ok(ColumnarValue::Array(deliveries))
    };
    let takes = vec![DataType::Utf8, DataType::Int32, DataType::Int64, DataType::Int32, DataType::Utf8];
    create_udf("delivery_of", takes, DataType::Int64, Volatility::Immutable, Arc::new(look))
}
