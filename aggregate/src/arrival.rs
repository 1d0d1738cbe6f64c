//! Which delivery of a request a row is, as the SQL function `delivery_of`: 1 for the one that counts, more for
//! repeated ones, 0 for those in whose place a correction stands, null for corrections that do not count (I2).
//!
//! Nearly every request is delivered once, and a window over all requests to find the others costs several times the
//! rest of an hourly count (benches/README.md). So the id index, whose hashes are numbers, tells which ids came more
//! than once, and `contested_request` which contradict each other; only their rows are ranked here. They are sifted out
//! (of all other rows nothing but the ids is decoded), which takes half of what a query for them does. Every other
//! request counts, and the main query looks at no id: it asks for a row's place in a small map.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type, SchemaRef};
use chrono::{DateTime, NaiveDate};
use datafusion::common::cast::{as_int32_array, as_int64_array, as_string_array};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use tollbook_lake::{Lake, Sift};
use tollbook_schemas::meter::Place;
use tollbook_schemas::period::Period;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::derived::ID_INDEX;
use tollbook_schemas::tables::{Row, Value, access_log};

use crate::contested::RequestId;
use crate::error::AggregateError;
use crate::exact::text_at;
use crate::id_index::{fill_index, is_among, repeated};
use crate::row_hash::{Hashes, REQUEST_ID_SQL, hash_of_id, request_hash_sql, row_hash, with_hash};
use crate::touched::{Hour, days_of, hours_at, hours_of, in_ranges};

/// Deliveries of rows that are not simply the only one of their request, by (offset, partition, index) and source.
/// Every row is looked up: the hasher is a quick one, and who could choose offsets could slow down nobody but himself.
type Ranks = HashMap<(i64, i32, i32), Vec<(String, Option<i64>)>, BuildHasherDefault<OfPlace>>;

/// A quick hasher of a few numbers.
#[derive(Debug, Default, Clone, Copy)]
struct OfPlace(u64);

impl Hasher for OfPlace {
    fn finish(&self) -> u64 {
        // A table looks at the lowest and at the highest bits; multiplying leaves the lowest ones poor.
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i64(i64::from(*byte));
        }
    }

    fn write_i32(&mut self, number: i32) {
        self.write_i64(i64::from(number));
    }

    fn write_i64(&mut self, number: i64) {
        self.0 = (self.0.rotate_left(5) ^ number.cast_unsigned()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

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
    let mut ranks = Ranks::default();
    if !hashes.is_empty() {
        let hashes = Arc::new(hashes);
        let (schema, special) = rows_with_hash(lake, within, hashes.clone()).await?;
        let few = lake.empty_session()?;
        few.register_udf(row_hash());
        few.register_udf(is_among("is_special", hashes));
        lake.register_batches(&few, &access_log::TABLE, schema, special)?;
        let sql = format!(
            "select gateway, {REQUEST_ID_SQL}, date_trunc('hour', occurred_at), kind,
               source, kafka_partition, kafka_offset, record_index
             from access_log where {condition} and is_special({})",
            request_hash_sql()
        );
        ranks = ranked(&lake.query(&few, &sql).await?, &verdicts)?;
    }
    context.register_udf(delivery_of(ranks));
    Ok(())
}

/// What the conditions of callers and the ranking read.
const COLUMNS: [&str; 9] = [
    "source",
    "kafka_partition",
    "kafka_offset",
    "record_index",
    "kind",
    "corrects_event_id",
    "occurred_at",
    "gateway",
    "event_id",
];

/// The rows of `access_log`, on the days of some hours, whose id has one of these hashes.
async fn rows_with_hash(
    lake: &Lake,
    within: Option<&[Period]>,
    hashes: Arc<Hashes>,
) -> Result<(SchemaRef, Vec<RecordBatch>), AggregateError> {
    let runs = within.map_or_else(|| vec![None], |ranges| runs_of_days(ranges).into_iter().map(Some).collect());
    let mut sift =
        Sift { table: &access_log::TABLE, days: None, sieves: vec![with_hash(hashes)], columns: COLUMNS.to_vec() };
    let mut batches = Vec::new();
    for days in runs {
        sift.days = days;
        batches.extend(lake.sift(sift.clone(), |batch| Ok::<_, AggregateError>(batch.clone())).await?);
    }
    Ok((sift.schema(), batches))
}

/// The days of some hours, those that follow each other together.
fn runs_of_days(ranges: &[Period]) -> Vec<RangeInclusive<NaiveDate>> {
    let mut runs: Vec<RangeInclusive<NaiveDate>> = Vec::new();
    for day in hours_of(ranges).iter().map(DateTime::date_naive).collect::<BTreeSet<_>>() {
        match runs.last_mut() {
            Some(run) if run.end().succ_opt() == Some(day) => *run = *run.start()..=day,
            _ => runs.push(day..=day),
        }
    }
    runs
}

/// Registers `delivery_of` for rows of which each is known to be a request that was delivered once.
pub(crate) fn register_single(context: &SessionContext) {
    context.register_udf(delivery_of(Ranks::default()));
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
    let mut ranks = Ranks::default();
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

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn days_that_follow_each_other_are_read_together() {
        let hour = |day: i64, hour: i64| DateTime::UNIX_EPOCH + TimeDelta::hours(day * 24 + hour);
        let day = |day: i32| NaiveDate::from_epoch_days(day).unwrap();
        let ranges = [
            Period { start: hour(1, 23), end: hour(2, 1) },
            Period { start: hour(2, 7), end: hour(2, 8) },
            Period { start: hour(3, 0), end: hour(4, 0) },
            Period { start: hour(9, 5), end: hour(9, 6) },
        ];
        assert_eq!(runs_of_days(&ranges), [day(1)..=day(3), day(9)..=day(9)]);
        assert_eq!(runs_of_days(&[]), []);
    }
}
