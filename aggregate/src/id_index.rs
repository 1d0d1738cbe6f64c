//! The id index: for every delivery the hash of its id, its hour and the hash of its content, by UTC day.
//!
//! Takes rows of `access_log` as they arrive; gives the hashes that were seen with more than one hour, with more than
//! one content, or with a correction: candidates, which [`crate::contested`] confirms on the rows, because two ids can
//! share a hash. A request so counts once however late it comes again, with no window (I2), and a refresh reads this
//! small table instead of history.
//!
//! Looking for new ids among all that were ever seen is the one thing in a refresh that follows the length of history:
//! eight bytes a request are read and looked up in a set ([`candidates`]; benches/README.md has it apart). Where all
//! ids are searched, hashes are sorted in spans of bounded size, which is several times faster than grouping by them.
//! Files of the index are sorted, so that each span reads its own pages.
//!
//! The index has its own frontier and is filled in steps of bounded size, each one commit; a crash leaves a shorter
//! index, which the next run continues. It may be ahead of a reader's pin: candidates only become more.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray, PrimitiveArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use datafusion::common::cast::as_int64_array;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use tollbook_lake::{Lake, Outcome, Sieve, Sift, pin_condition, since_condition};
use tollbook_schemas::pin::Pin;
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::access_log;
use tollbook_schemas::tables::derived::ID_INDEX;

use crate::error::AggregateError;
use crate::exact::text_at;
use crate::frontier::{declared, frontier, steps};
use crate::row_hash::{AsItIs, CONTENT_SQL, Hashes, request_hash_sql, row_hash};
use crate::touched::{Hour, hours_at};

/// Offsets that one step of filling takes: what bounds its memory.
const STEP_OFFSETS_MAX: i64 = 2_000_000;
/// Hashes that one search holds at once.
const SEARCH_ROWS_MAX: i64 = 4_000_000;
const ATTEMPTS_MAX: usize = 5;

/// What was taken into the index.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    /// Rows.
    pub rows_total: i64,
    /// The hashes of one step, and between which pins it took them.
    step: Option<(Pin, Pin, Vec<i64>)>,
}

impl Filled {
    /// The hashes of the rows between two pins, where these are just what one step took.
    pub(crate) fn hashes_between(self, known: &Pin, pin: &Pin) -> Option<Vec<i64>> {
        // A first search is another one: it looks for nothing but what is there more than once.
        let is_first = known.iter().next().is_none();
        self.step.filter(|(from, to, _)| !is_first && from == known && to == pin).map(|(_, _, hashes)| hashes)
    }
}

/// Takes every row up to `pin` into the index; gives what was taken.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn fill_index(lake: &Lake, pin: &Pin) -> Result<Filled, AggregateError> {
    let mut filled = Filled::default();
    let mut attempts = 0;
    loop {
        let known = frontier(lake, &ID_INDEX, &access_log::TABLE).await?;
        // Every reader asks, and nearly always there is nothing to do.
        if known.covers(pin) {
            return Ok(filled);
        }
        let context = lake.empty_session()?;
        context.register_udf(row_hash());
        lake.register(&context, &access_log::TABLE, None).await?;
        let Some(next) = next_step(&known, pin, &first_offsets(lake, &context, &known, pin).await?) else {
            return Ok(filled);
        };
        let sql = format!(
            "select {} as request_hash, date_trunc('hour', occurred_at) as hour,
               row_hash({CONTENT_SQL}) as content_hash, kind <> 'request' as is_correction, event_date
             from access_log where {} order by event_date, request_hash",
            request_hash_sql(),
            since_condition(&known, &next)
        );
        let batches = lake.query(&context, &sql).await?;
        let batches = batches.iter().map(|batch| declared(&ID_INDEX, batch)).collect::<Result<Vec<_>, _>>()?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let steps = steps(&known, &next, &access_log::TABLE);
        match lake.append_batches(&ID_INDEX, &batches, &steps).await? {
            Outcome::Committed => {
                filled.rows_total += i64::try_from(rows).unwrap_or(i64::MAX);
                let column =
                    |batch: &RecordBatch| Some(batch.column_by_name("request_hash")?.as_primitive_opt()?.clone());
                let hashes: Option<Vec<PrimitiveArray<Int64Type>>> = batches.iter().map(column).collect();
                filled.step = hashes.map(|hashes| {
                    let all = hashes.iter().flat_map(|hashes| hashes.values().iter().copied()).collect();
                    (known, next, all)
                });
            }
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
    let mut unknown = Pin::new();
    for (source, partition, next) in goal.iter().filter(|(source, of, _)| known.next_offset(source, *of).is_none()) {
        unknown.set(source.clone(), partition, next);
    }
    if unknown.iter().next().is_none() {
        return Ok(first);
    }
    let sql = format!(
        "select source, kafka_partition, min(kafka_offset) from access_log where {} group by source, kafka_partition",
        pin_condition(&unknown)
    );
    for batch in lake.query(context, &sql).await? {
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

/// `name(hash)`: whether a hash is one of these, to be registered with a session.
pub(crate) fn is_among(name: &str, hashes: Arc<Hashes>) -> ScalarUDF {
    let look = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let asked = as_int64_array(&arrays[0])?.values();
        let found = BooleanBuffer::collect_bool(asked.len(), |at| hashes.contains(&asked[at]));
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(found, None))))
    };
    create_udf(name, vec![DataType::Int64], DataType::Boolean, Volatility::Immutable, Arc::new(look))
}

/// Ids whose deliveries may contradict each other.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    /// Their hashes.
    pub hashes: Hashes,
    /// The hours in which they were delivered.
    pub hours: BTreeSet<Hour>,
    /// The hours of all that was searched and is there more than once, whether its deliveries agree or not.
    pub hours_repeated: BTreeSet<Hour>,
}

/// The hashes among the rows of `access_log`, which the session has, between two pins (among all rows, where nothing is
/// known at the first one) under which the index knows more than one hour, more than one content, or a correction.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn candidates(
    lake: &Lake,
    context: &SessionContext,
    known: &Pin,
    pin: &Pin,
) -> Result<Candidates, AggregateError> {
    lake.register(context, &ID_INDEX, None).await?;
    let mut candidates = Candidates::default();
    let hash = request_hash_sql();
    let is_first = known.iter().next().is_none();
    let new_rows = since_condition(known, pin);
    // Rows, not offsets: a source may begin at any of them, and a message may hold many records.
    let rows = match is_first {
        true => count_of(lake, context, "id_index", "true").await?,
        false => count_of(lake, context, "access_log", &new_rows).await?,
    };
    let spans = rows / SEARCH_ROWS_MAX + 1;
    let mut repeated = Hashes::default();
    for span in 0..spans {
        let within = within_span("request_hash", span, spans);
        let asked: Hashes = if is_first {
            let mut asked = repeated_of(hashes_of(lake, context, "request_hash", "id_index", &within).await?);
            let corrected = format!("is_correction and {within}");
            asked.extend(hashes_of(lake, context, "request_hash", "id_index", &corrected).await?);
            asked
        } else {
            let condition = format!("{new_rows} and {}", within_span(&hash, span, spans));
            hashes_of(lake, context, &hash, "access_log", &condition).await?.into_iter().collect()
        };
        // Of a first search little is asked for, and the index is read once for all spans.
        repeated.extend(asked);
        if !repeated.is_empty() && (!is_first || span + 1 == spans) {
            look_up(lake, std::mem::take(&mut repeated), &mut candidates).await?;
        }
    }
    Ok(candidates)
}

/// As [`candidates`], for hashes that are known already.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn candidates_of(lake: &Lake, hashes: Vec<i64>) -> Result<Candidates, AggregateError> {
    let mut candidates = Candidates::default();
    if !hashes.is_empty() {
        look_up(lake, hashes.into_iter().collect(), &mut candidates).await?;
    }
    Ok(candidates)
}

async fn count_of(lake: &Lake, context: &SessionContext, table: &str, condition: &str) -> Result<i64, AggregateError> {
    let counted = lake.query(context, &format!("select count(*) from {table} where {condition}")).await?;
    Ok(counted.first().map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0)))
}

/// The condition that a hash lies in one of so many spans of equal width.
fn within_span(column: &str, span: i64, spans: i64) -> String {
    let start = |span: i64| i128::from(i64::MIN) + (1_i128 << 64) * i128::from(span) / i128::from(spans);
    match (span == 0, span + 1 >= spans) {
        (true, true) => "true".to_owned(),
        // The least number of all cannot be written as a literal.
        (true, false) => format!("{column} < {}", start(span + 1)),
        (false, true) => format!("{column} >= {}", start(span)),
        (false, false) => format!("({column} >= {} and {column} < {})", start(span), start(span + 1)),
    }
}

async fn hashes_of(
    lake: &Lake,
    context: &SessionContext,
    hash: &str,
    table: &str,
    condition: &str,
) -> Result<Vec<i64>, AggregateError> {
    let mut hashes = Vec::new();
    for batch in lake.query(context, &format!("select {hash} from {table} where {condition}")).await? {
        hashes.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
    }
    Ok(hashes)
}

/// Those that are there more than once.
fn repeated_of(mut hashes: Vec<i64>) -> Hashes {
    hashes.sort_unstable();
    hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
}

/// The hashes that the index of a session has more than once among its rows that meet a condition, which one pass of a
/// refresh holds; among all its rows where it is `None`.
///
/// # Errors
/// [`AggregateError`].
pub(crate) async fn repeated(
    lake: &Lake,
    context: &SessionContext,
    condition: Option<&str>,
) -> Result<Hashes, AggregateError> {
    let spans = match condition {
        Some(_) => 1,
        None => count_of(lake, context, "id_index", "true").await? / SEARCH_ROWS_MAX + 1,
    };
    let condition = condition.unwrap_or("true");
    let mut found = Hashes::default();
    for span in 0..spans {
        let condition = format!("{condition} and {}", within_span("request_hash", span, spans));
        found.extend(repeated_of(hashes_of(lake, context, "request_hash", "id_index", &condition).await?));
    }
    Ok(found)
}

/// Adds those of some hashes that are candidates.
async fn look_up(lake: &Lake, asked: Hashes, candidates: &mut Candidates) -> Result<(), AggregateError> {
    struct Seen {
        hour: Hour,
        content: i64,
        is_candidate: bool,
    }
    let keep = move |batch: &RecordBatch| {
        let asked_for = |column: &ArrayRef| {
            let hashes = column.as_primitive_opt::<Int64Type>()?.values();
            Some(BooleanBuffer::collect_bool(hashes.len(), |at| asked.contains(&hashes[at])))
        };
        let found = batch.column_by_name("request_hash").and_then(asked_for);
        BooleanArray::new(found.unwrap_or_else(|| BooleanBuffer::new_set(batch.num_rows())), None)
    };
    let sift = Sift {
        table: &ID_INDEX,
        days: None,
        sieves: vec![Sieve { coded: &[], plain: &["request_hash"], keep: Arc::new(keep) }],
        columns: vec!["request_hash", "hour", "content_hash", "is_correction"],
    };
    let mut seen: HashMap<i64, Seen, BuildHasherDefault<AsItIs>> = HashMap::default();
    for batch in lake.sift(sift, |batch| Ok::<_, AggregateError>(batch.clone())).await? {
        let (hashes, contents) =
            (batch.column(0).as_primitive::<Int64Type>(), batch.column(2).as_primitive::<Int64Type>());
        let corrections = batch.column(3).as_boolean();
        for (row, hour) in hours_at(&batch, 1)?.into_iter().enumerate() {
            let (content, is_correction) = (contents.value(row), corrections.value(row));
            match seen.entry(hashes.value(row)) {
                Entry::Vacant(entry) => {
                    entry.insert(Seen { hour, content, is_candidate: is_correction });
                }
                Entry::Occupied(mut entry) => {
                    let first = entry.get_mut();
                    candidates.hours_repeated.extend([first.hour, hour]);
                    if first.hour != hour {
                        candidates.hours.insert(hour);
                    }
                    first.is_candidate |= first.hour != hour || first.content != content || is_correction;
                }
            }
        }
    }
    for (hash, seen) in seen.into_iter().filter(|(_, seen)| seen.is_candidate) {
        candidates.hashes.insert(hash);
        candidates.hours.insert(seen.hour);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spans_of_hashes_have_no_gap_and_no_overlap() {
        for (spans, wanted) in [
            (1, &["true"][..]),
            (2, &["h < 0", "h >= 0"]),
            (
                4,
                &[
                    "h < -4611686018427387904",
                    "(h >= -4611686018427387904 and h < 0)",
                    "(h >= 0 and h < 4611686018427387904)",
                    "h >= 4611686018427387904",
                ],
            ),
        ] {
            let found: Vec<String> = (0..spans).map(|span| within_span("h", span, spans)).collect();
            assert_eq!(found, wanted);
        }
        assert_eq!(repeated_of(vec![3, 1, 3, 2, 1, 3, i64::MIN]), [1, 3].into_iter().collect());
    }

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
