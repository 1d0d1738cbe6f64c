//! Usage of some days as it is stored, read once: what new rows are put to, and what stays as it is.
//!
//! A file of `usage` holds a day, so a refresh writes whole days again. Most of their rows are of other partners,
//! meters or hours than what came: they pass as columns, and only those that change are taken apart.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use tollbook_lake::Lake;
use tollbook_schemas::tables::derived::USAGE;
use tollbook_schemas::tables::{Row, rows_of};

use crate::error::AggregateError;
use crate::frontier::declared;
use crate::touched::{Hour, days_of};

/// What is stored of some days.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Slices that new rows may be put to.
    pub changing: Vec<Row>,
    /// Everything else that is not computed anew.
    pub staying: Vec<RecordBatch>,
}

/// The columns that tell most slices apart; dimensions are left to whoever merges.
const TOLD_BY: [&str; 5] = ["meter_id", "partner_id", "environment", "unattributed_reason", "product_id"];

/// A hash of what a slice is of. Two can share one: then a row is taken apart that stays as it is.
fn slice_hash(texts: [Option<&str>; 5], start_micros: i64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (texts, start_micros).hash(&mut hasher);
    hasher.finish()
}

fn damaged(what: &str) -> AggregateError {
    AggregateError::Stored { table: USAGE.name, what: what.to_owned() }
}

/// Reads the usage of the days of these hours: `added` to which these `new` rows are put, `computed` anew.
///
/// # Errors
/// [`AggregateError`].
pub(super) async fn stored(
    lake: &Lake,
    added: &BTreeMap<Hour, i64>,
    computed: &BTreeMap<Hour, i64>,
    new: &[Row],
) -> Result<Stored, AggregateError> {
    let days: BTreeSet<Hour> = added.keys().chain(computed.keys()).copied().collect();
    let context = lake.empty_session()?;
    lake.register(&context, &USAGE, Some(&days_of(&days))).await?;
    let changing: HashSet<u64> = new
        .iter()
        .map(|row| {
            let start = row.instant("slice_start").ok_or_else(|| damaged("slice_start"))?;
            Ok(slice_hash(TOLD_BY.map(|column| row.text(column)), start.timestamp_micros()))
        })
        .collect::<Result<_, AggregateError>>()?;
    let computed: HashSet<i64> = computed.keys().map(Hour::timestamp_micros).collect();
    let mut found = Stored::default();
    for batch in lake.query(&context, "select * from usage").await? {
        split(&declared(&USAGE, &batch)?, &changing, &computed, &mut found)?;
    }
    Ok(found)
}

const HOUR_MICROS: i64 = 3_600_000_000;

/// Divides one batch.
fn split(
    batch: &RecordBatch,
    changing: &HashSet<u64>,
    computed: &HashSet<i64>,
    found: &mut Stored,
) -> Result<(), AggregateError> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| damaged(name));
    let texts = |name: &str| column(name)?.as_string_opt::<i32>().ok_or_else(|| damaged(name));
    let starts = column("slice_start")?;
    let starts = starts.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| damaged("slice_start"))?.values();
    let [meter, partner, environment, reason, product] = TOLD_BY.map(texts);
    let told_by = [meter?, partner?, environment?, reason?, product?];
    let mut changes = Vec::with_capacity(batch.num_rows());
    let mut stays = Vec::with_capacity(batch.num_rows());
    for (row, start) in starts.iter().enumerate() {
        let is_computed = computed.contains(&(start - start.rem_euclid(HOUR_MICROS)));
        let of = told_by.map(|texts| texts.is_valid(row).then(|| texts.value(row)));
        let is_changing = !is_computed && changing.contains(&slice_hash(of, *start));
        changes.push(is_changing);
        stays.push(!is_computed && !is_changing);
    }
    let some = |marks: &[bool]| marks.contains(&true);
    if some(&changes) {
        found.changing.extend(rows_of(&USAGE, &filter_record_batch(batch, &BooleanArray::from(changes))?)?);
    }
    if some(&stays) {
        found.staying.push(filter_record_batch(batch, &BooleanArray::from(stays))?);
    }
    Ok(())
}
