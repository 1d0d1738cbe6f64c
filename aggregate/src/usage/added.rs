//! Rows that came to an hour which is computed already: added to the usage that is there, without its other rows.
//!
//! Late rows reach back a little into nearly every hour of a day, and computing a day anew for a hundred of them costs
//! what the day costs. A state of a meter is mergeable ([`MeterState::merge`]; I3), and so what new rows make alone,
//! put to what is stored, is what all rows make; but only where each of them is a request of its own. An hour is
//! computed from all its rows where that is not so: an id that came before or twice, a correction, a retry of a
//! request, a change of owner or cut. What is the same either way is a test over random histories (`usage/tests.rs`).

use std::collections::{BTreeMap, BTreeSet};

use tollbook_lake::Lake;
use tollbook_schemas::catalog::{Catalog, Meter};
use tollbook_schemas::id::MeterId;
use tollbook_schemas::meter::{Exclusion, MeterState, quantity};
use tollbook_schemas::period::Period;
use tollbook_schemas::tables::derived::USAGE;
use tollbook_schemas::tables::{Row, Value, access_log};

use crate::error::AggregateError;
use crate::touched::{Hour, days_of, hours_at, in_ranges, ranges};

/// Those of some hours, in which new rows have idempotency keys, where one of these is another row's too: which of them
/// is the retry, and of whom, is decided over all rows of the hour. None where no meter leaves retries out. `new` and
/// `all` are conditions over `access_log`.
///
/// # Errors
/// [`AggregateError`].
pub(super) async fn hours_of_retries(
    lake: &Lake,
    hours: BTreeSet<Hour>,
    catalog: &Catalog,
    new: &str,
    all: &str,
) -> Result<BTreeSet<Hour>, AggregateError> {
    let leaves_out = |meter: &Meter| meter.exclude.contains(&Exclusion::Retries);
    if hours.is_empty() || !catalog.meters.values().any(leaves_out) {
        return Ok(BTreeSet::new());
    }
    let of_days = lake.empty_session()?;
    lake.register(&of_days, &access_log::TABLE, Some(&days_of(&hours))).await?;
    let sql = format!(
        "with keyed as (
           select date_trunc('hour', occurred_at) as hour, idempotency_key_hash as key, {new} as is_new from access_log
           where {all} and {} and idempotency_key_hash is not null)
         select hour from keyed group by hour, key having count(*) > 1 and bool_or(is_new)",
        in_ranges("occurred_at", &ranges(hours))
    );
    let mut found = BTreeSet::new();
    for batch in lake.query(&of_days, &sql).await? {
        found.extend(hours_at(&batch, 0)?);
    }
    Ok(found)
}

/// What a row of `usage` is of. The reason is told apart too: nobody's traffic is of several.
type Key = (String, [Option<String>; 4], String, Period);

fn key_of(row: &Row) -> Result<Key, AggregateError> {
    let text = |column: &str| row.text(column).map(str::to_owned);
    let (Some(meter), Some(start), Some(end)) =
        (text("meter_id"), row.instant("slice_start"), row.instant("slice_end"))
    else {
        return Err(damaged("it has no meter or no slice"));
    };
    let of = ["partner_id", "environment", "unattributed_reason", "product_id"].map(text);
    Ok((meter, of, serde_json::to_string(texts(row, "dimensions")?).unwrap_or_default(), Period { start, end }))
}

fn damaged(what: &str) -> AggregateError {
    AggregateError::Stored { table: USAGE.name, what: what.to_owned() }
}

fn texts<'a>(row: &'a Row, column: &str) -> Result<&'a BTreeMap<String, String>, AggregateError> {
    match row.get(column) {
        Value::TextMap(texts) => Ok(texts),
        _ => Err(damaged(column)),
    }
}

/// What the new rows of some hours make, put to what is stored of these hours: the usage of both.
///
/// # Errors
/// [`AggregateError::Overflow`] where a quantity no longer fits, [`AggregateError::Stored`] where a row of `usage` is
/// not one.
pub(super) fn added(catalog: &Catalog, stored: Vec<Row>, new: Vec<Row>) -> Result<Vec<Row>, AggregateError> {
    let mut of_keys: BTreeMap<Key, Row> = BTreeMap::new();
    for row in stored {
        if of_keys.insert(key_of(&row)?, row).is_some() {
            return Err(damaged("a slice is there twice"));
        }
    }
    for row in new {
        let key = key_of(&row)?;
        let both = match of_keys.remove(&key) {
            Some(before) => sum_of(catalog, &before, row, key.3)?,
            None => row,
        };
        of_keys.insert(key, both);
    }
    Ok(of_keys.into_values().collect())
}

/// One slice: the stored row and the new one.
fn sum_of(catalog: &Catalog, before: &Row, new: Row, slice: Period) -> Result<Row, AggregateError> {
    let id = new.text("meter_id").and_then(|id| MeterId::parse(id).ok()).ok_or_else(|| damaged("meter_id"))?;
    let overflow = |_| AggregateError::Overflow { meter: id.clone() };
    let aggregation = catalog.meters.get(&id).ok_or_else(|| damaged("a meter that the catalog lacks"))?.aggregation;
    let state_of = |row: &Row| {
        let text = row.text("state").ok_or_else(|| damaged("state"))?;
        MeterState::from_json(aggregation, text).map_err(|error| damaged(&error.to_string()))
    };
    let count = |column: &'static str| {
        let both = before.int(column).zip(new.int(column)).ok_or_else(|| damaged(column))?;
        both.0.checked_add(both.1).ok_or_else(|| AggregateError::Overflow { meter: id.clone() })
    };
    let mut state = state_of(before)?;
    state.merge(state_of(&new)?).map_err(overflow)?;
    let events = count("event_count")?;
    let quantity = quantity(aggregation, &state, events, slice, None).map_err(overflow)?;
    let (duplicates, invalid) = (count("duplicate_count")?, count("invalid_count")?);
    let mut excluded: BTreeMap<String, i64> = BTreeMap::new();
    for row in [before, &new] {
        for (rule, count) in texts(row, "excluded")? {
            *excluded.entry(rule.clone()).or_default() += count.parse::<i64>().map_err(|_| damaged("excluded"))?;
        }
    }
    let excluded: BTreeMap<String, String> =
        excluded.into_iter().map(|(rule, count)| (rule, count.to_string())).collect();
    Ok(new
        .with("state", state.to_json())
        .with("quantity", quantity)
        .with("event_count", events)
        .with("duplicate_count", duplicates)
        .with("invalid_count", invalid)
        .with("excluded", excluded))
}
