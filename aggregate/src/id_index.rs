//! The id index: for every delivery the hash of its id, its hour and the hash of its content, by UTC day.
//!
//! Takes rows of `access_log` as they arrive; gives the hashes that were seen with more than one hour, with more than
//! one content, or with a correction: candidates, which [`crate::contested`] confirms on the rows, because two ids can
//! share a hash. A request so counts once however late it comes again, with no window (I2), and a refresh reads this
//! small table instead of history.
//!
//! The index has its own frontier and is filled in steps of bounded size, each one commit; a crash leaves a shorter
//! index, which the next run continues. It may be ahead of a reader's pin: candidates only become more.

use std::hash::Hasher as _;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use datafusion::common::DataFusionError;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use tollbook_lake::{Lake, Outcome, pin_condition};
use tollbook_schemas::pin::Pin;
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::access_log;
use tollbook_schemas::tables::derived::ID_INDEX;
use twox_hash::XxHash64;

use crate::error::AggregateError;
use crate::exact::text_at;
use crate::frontier::{declared, frontier, steps};

/// Offsets that one step of filling takes: what bounds its memory.
const STEP_OFFSETS_MAX: i64 = 2_000_000;
/// Index rows that one search groups at once.
const SEARCH_ROWS_MAX: i64 = 4_000_000;
const ATTEMPTS_MAX: usize = 5;

/// The id under which deliveries meet: a correction's is the one of the request that it corrects.
pub(crate) const REQUEST_ID_SQL: &str = "coalesce(case when kind <> 'request' then corrects_event_id end, event_id)";

/// What decides price, owner and time of a request. Not the credential: a request that is shipped again after the key
/// of the hashes was changed is the same request.
pub(crate) const CONTENT_SQL: &str = "occurred_at, host, route, product_hint, method, path, status, request_bytes, response_bytes, \
                           latency_us, consumer, environment_hint, workspace, cache_status, client_tag, attributes";

/// The hash of a row's id, as SQL over `access_log`.
pub(crate) fn request_hash_sql() -> String {
    format!("row_hash(gateway, {REQUEST_ID_SQL})")
}

/// `row_hash(column, …)`: 64 bits over the columns, each with its length, null apart from empty. Fixed for ever: the
/// index is stored.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RowHash(Signature);

/// The function, to be registered with a session.
pub(crate) fn row_hash() -> ScalarUDF {
    ScalarUDF::from(RowHash(Signature::variadic_any(Volatility::Immutable)))
}

impl ScalarUDFImpl for RowHash {
    fn name(&self) -> &'static str {
        "row_hash"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let columns = ColumnarValue::values_to_arrays(&arguments.args)?;
        let rows = columns.first().map_or(0, |column| column.len());
        let mut hashes = vec![XxHash64::with_seed(0); rows];
        for column in &columns {
            hash_column(column, &mut hashes)?;
        }
        let hashes: Int64Array = hashes.iter().map(|hash| hash.finish().cast_signed()).collect();
        Ok(ColumnarValue::Array(Arc::new(hashes)))
    }
}

fn hash_column(column: &ArrayRef, hashes: &mut [XxHash64]) -> Result<(), DataFusionError> {
    match column.data_type() {
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            each(column, hashes, |row, hash| hash_text(texts.value(row), hash));
        }
        DataType::Int32 => {
            let numbers = column.as_primitive::<Int32Type>();
            each(column, hashes, |row, hash| hash.write(&numbers.value(row).to_le_bytes()));
        }
        DataType::Int64 => {
            let numbers = column.as_primitive::<Int64Type>();
            each(column, hashes, |row, hash| hash.write(&numbers.value(row).to_le_bytes()));
        }
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _) => {
            let instants = column.as_primitive::<TimestampMicrosecondType>();
            each(column, hashes, |row, hash| hash.write(&instants.value(row).to_le_bytes()));
        }
        DataType::Map(..) => {
            let maps = column.as_map();
            each(column, hashes, |row, hash| {
                let entries = maps.value(row);
                let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
                // A message may name its attributes in another order when it is sent again.
                let mut pairs: Vec<(&str, Option<&str>)> = (0..entries.len())
                    .map(|at| (keys.value(at), (!values.is_null(at)).then(|| values.value(at))))
                    .collect();
                pairs.sort_unstable();
                for (key, value) in pairs {
                    hash_text(key, hash);
                    hash_text(value.unwrap_or_default(), hash);
                }
            });
        }
        other => return Err(DataFusionError::Plan(format!("row_hash cannot take a column of {other}"))),
    }
    Ok(())
}

fn each(column: &ArrayRef, hashes: &mut [XxHash64], write: impl Fn(usize, &mut XxHash64)) {
    for (row, hash) in hashes.iter_mut().enumerate() {
        if column.is_null(row) {
            hash.write(&[0]);
        } else {
            hash.write(&[1]);
            write(row, hash);
        }
    }
}

fn hash_text(text: &str, hash: &mut XxHash64) {
    hash.write(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
    hash.write(text.as_bytes());
}

/// Takes every row up to `pin` into the index; gives how many were taken.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn fill_index(lake: &Lake, pin: &Pin) -> Result<i64, AggregateError> {
    let mut taken = 0;
    let mut attempts = 0;
    loop {
        let known = frontier(lake, &ID_INDEX, &access_log::TABLE).await?;
        // Every reader asks, and nearly always there is nothing to do.
        if known.covers(pin) {
            return Ok(taken);
        }
        let context = lake.empty_session()?;
        context.register_udf(row_hash());
        lake.register(&context, &access_log::TABLE, None).await?;
        let Some(next) = next_step(&known, pin, &first_offsets(lake, &context, &known, pin).await?) else {
            return Ok(taken);
        };
        let sql = format!(
            "select {} as request_hash, date_trunc('hour', occurred_at) as hour,
               row_hash({CONTENT_SQL}) as content_hash, kind <> 'request' as is_correction, event_date
             from access_log where {} and not {} order by event_date, request_hash",
            request_hash_sql(),
            pin_condition(&next),
            pin_condition(&known)
        );
        let batches = lake.query(&context, &sql).await?;
        let batches = batches.iter().map(|batch| declared(&ID_INDEX, batch)).collect::<Result<Vec<_>, _>>()?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let steps = steps(&known, &next, &access_log::TABLE);
        match lake.append_batches(&ID_INDEX, &batches, &steps).await? {
            Outcome::Committed => taken += i64::try_from(rows).unwrap_or(i64::MAX),
            // Another refresh took them; go on from where it got.
            Outcome::Already | Outcome::Fenced { .. } => {
                attempts += 1;
                if attempts > ATTEMPTS_MAX {
                    return Err(AggregateError::Contention(ID_INDEX.name));
                }
            }
        }
    }
}

/// The first offset with a row of each partition that `known` does not know: a topic may begin at any offset.
async fn first_offsets(lake: &Lake, context: &SessionContext, known: &Pin, goal: &Pin) -> Result<Pin, AggregateError> {
    let mut first = Pin::new();
    if goal.iter().all(|(source, partition, _)| known.next_offset(source, partition).is_some()) {
        return Ok(first);
    }
    let sql = "select source, kafka_partition, min(kafka_offset) from access_log group by source, kafka_partition";
    for batch in lake.query(context, sql).await? {
        for row in 0..batch.num_rows() {
            let source = text_at(batch.column(0), row).unwrap_or_default().to_owned();
            let source = Source::parse(source)
                .map_err(|_| AggregateError::Stored { table: access_log::TABLE.name, what: "source".to_owned() })?;
            let partition = batch.column(1).as_primitive::<Int32Type>().value(row);
            first.set(source, partition, batch.column(2).as_primitive::<Int64Type>().value(row));
        }
    }
    Ok(first)
}

/// The next pin on the way from `known` to `goal`, at most [`STEP_OFFSETS_MAX`] offsets on; `None` at the goal.
/// `first` is where partitions begin that are not known.
fn next_step(known: &Pin, goal: &Pin, first: &Pin) -> Option<Pin> {
    let mut next = known.clone();
    let mut left = STEP_OFFSETS_MAX;
    let mut moves = false;
    for (source, partition, end) in goal.iter() {
        let passed = known.next_offset(source, partition);
        if passed.is_some_and(|passed| passed >= end) || left <= 0 {
            continue;
        }
        let start = passed.or(first.next_offset(source, partition)).unwrap_or(end);
        let step = end.saturating_sub(start).clamp(0, left);
        left -= step;
        moves = true;
        next.set(source.clone(), partition, start.saturating_add(step));
    }
    moves.then_some(next)
}

/// The hashes among the rows of `new_rows` (an SQL condition over `access_log`; all rows where it is `None`) under
/// which the index knows more than one hour, more than one content, or a correction; each with its hours.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn candidates(
    lake: &Lake,
    context: &SessionContext,
    new_rows: Option<&str>,
) -> Result<Vec<RecordBatch>, AggregateError> {
    lake.register(context, &ID_INDEX, None).await?;
    let buckets = {
        let rows = lake.query(context, "select count(*) from id_index").await?;
        let rows = rows.first().map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0));
        rows / SEARCH_ROWS_MAX + 1
    };
    let mut found = Vec::new();
    for bucket in 0..buckets {
        // The low bits are as random as any; `%` keeps the sign.
        let bucket = |column: &str| format!("({column} % {buckets} + {buckets}) % {buckets} = {bucket}");
        let new = match new_rows {
            None => String::new(),
            Some(condition) => {
                let hash = request_hash_sql();
                format!(" and request_hash in (select {hash} from access_log where {condition} and {})", bucket(&hash))
            }
        };
        let sql = format!(
            "with candidate as (
               select request_hash from id_index where {}{new}
               group by request_hash
               having min(hour) <> max(hour) or min(content_hash) <> max(content_hash) or bool_or(is_correction))
             select distinct i.request_hash, i.hour, i.event_date
             from id_index i join candidate c on i.request_hash = c.request_hash",
            bucket("request_hash")
        );
        found.extend(lake.query(context, &sql).await?.into_iter().filter(|batch| batch.num_rows() > 0));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_filled_in_bounded_steps_from_where_a_partition_begins() {
        let source = Source::kafka("test", "web", "1").unwrap();
        let pin = |parts: &[(i32, i64)]| {
            let mut pin = Pin::new();
            parts.iter().for_each(|(partition, next)| pin.set(source.clone(), *partition, *next));
            pin
        };
        for (known, goal, first, next) in [
            (pin(&[]), pin(&[]), pin(&[]), None),
            (pin(&[(0, 5)]), pin(&[(0, 5)]), pin(&[]), None),
            (pin(&[(0, 5)]), pin(&[(0, 9)]), pin(&[]), Some(pin(&[(0, 9)]))),
            (pin(&[(0, 9)]), pin(&[(0, 5), (1, 2)]), pin(&[(1, 0)]), Some(pin(&[(0, 9), (1, 2)]))),
            // A partition that begins late, and one that has only control records.
            (pin(&[]), pin(&[(0, 9_000_000), (1, 7)]), pin(&[(0, 8_999_000)]), Some(pin(&[(0, 9_000_000), (1, 7)]))),
            (pin(&[(0, 0)]), pin(&[(0, 5_000_000), (1, 7)]), pin(&[]), Some(pin(&[(0, 2_000_000)]))),
        ] {
            assert_eq!(next_step(&known, &goal, &first), next, "{known:?} to {goal:?}");
        }
    }
}
