//! Usage as billing reads it: one row of `usage`, and what a set of rows of one meter comes to.
//!
//! The states of the rows merge ([`MeterState`]); the quantity of a period is made of the merged state, never of the
//! quantities of the rows: a value seen in two hours is one distinct value, and an average is no sum. A meter whose
//! values stand for levels (`latest`, `time_weighted`) has one level for each combination of its dimensions, and their
//! quantities add up; every other meter merges over its dimensions.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use tollbook_schemas::catalog::Aggregation;
use tollbook_schemas::decimal::{Decimal, DecimalError};
use tollbook_schemas::digest::{sha256_hex, sha256_parts};
use tollbook_schemas::id::{MeterId, PartnerId};
use tollbook_schemas::meter::{MeterState, StateError, quantity};
use tollbook_schemas::period::{Period, print_instant};
use tollbook_schemas::registry::Environment;
use tollbook_schemas::tables::derived::USAGE;
use tollbook_schemas::tables::{Row, Value};

use crate::error::BillingError;
use crate::stored::Stored;

/// One row of `usage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSlice {
    /// Meter.
    pub meter_id: MeterId,
    /// Partner; none where the traffic is unattributed.
    pub partner_id: Option<PartnerId>,
    /// Environment; none where it is not known.
    pub environment: Option<Environment>,
    /// Product, or `unmapped`.
    pub product_id: String,
    /// Values of the meter's dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// Its time.
    pub slice: Period,
    /// Exact quantity.
    pub quantity: Decimal,
    /// Mergeable form.
    pub state: String,
    /// Requests that counted.
    pub event_count: i64,
    /// Those of them whose value is none, and is in no quantity.
    pub invalid_count: i64,
    /// UTC date of its start.
    pub event_date: NaiveDate,
}

impl UsageSlice {
    /// Reads a row of `usage`.
    ///
    /// # Errors
    /// [`BillingError::Stored`].
    pub fn from_row(row: &Row) -> Result<Self, BillingError> {
        let stored = Stored { table: &USAGE, row };
        let partner_id = row.text("partner_id").map(|_| stored.id("partner_id", PartnerId::parse)).transpose()?;
        let environment = match row.text("environment") {
            None => None,
            Some(text) => Some(Environment::parse(text).ok_or_else(|| {
                BillingError::stored(USAGE.name, format!("environment {text:?} is neither production nor sandbox"))
            })?),
        };
        let dimensions = match row.get("dimensions") {
            Value::TextMap(map) => map.clone(),
            _ => return Err(BillingError::stored(USAGE.name, "column dimensions is missing")),
        };
        let slice = Period::new(stored.instant("slice_start")?, stored.instant("slice_end")?)
            .map_err(|error| BillingError::stored(USAGE.name, error.to_string()))?;
        Ok(Self {
            meter_id: stored.id("meter_id", MeterId::parse)?,
            partner_id,
            environment,
            product_id: stored.text("product_id")?.to_owned(),
            dimensions,
            slice,
            quantity: stored.decimal("quantity")?,
            state: stored.text("state")?.to_owned(),
            event_count: stored.int("event_count")?,
            invalid_count: stored.int("invalid_count")?,
            event_date: stored.date("event_date")?,
        })
    }

    /// What orders rows of one meter and partner, as the table's key does.
    fn key(&self) -> (&str, &BTreeMap<String, String>, DateTime<Utc>) {
        (&self.product_id, &self.dimensions, self.slice.start)
    }

    /// The row as length-prefixed text, for the evidence. How often a request was delivered is left out: it does not
    /// change what is billed.
    fn parts(&self) -> Vec<String> {
        let mut parts = vec![
            self.meter_id.to_string(),
            self.partner_id.as_ref().map(PartnerId::to_string).unwrap_or_default(),
            self.environment.map_or("", Environment::as_str).to_owned(),
            self.product_id.clone(),
            self.dimensions.len().to_string(),
        ];
        parts.extend(self.dimensions.iter().flat_map(|(name, value)| [name.clone(), value.clone()]));
        parts.extend([
            print_instant(self.slice.start),
            print_instant(self.slice.end),
            self.quantity.to_string(),
            self.state.clone(),
            self.event_count.to_string(),
        ]);
        parts
    }
}

/// Why rows do not come to a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// A count does not fit.
    #[error("the usage of meter {0} does not fit 26 digits")]
    Overflow(MeterId, #[source] DecimalError),
    /// A state is not as written, or the states do not come to a quantity.
    #[error("the usage of meter {meter_id} in {span} comes to no quantity")]
    State {
        /// Meter.
        meter_id: MeterId,
        /// Slice, or the whole span.
        span: Period,
        /// Why.
        #[source]
        source: StateError,
    },
}

/// What some rows of one meter come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// Quantity of all rows together.
    pub quantity: Decimal,
    /// Requests.
    pub event_count: i64,
    /// Rows.
    pub slice_count: i64,
    /// SHA-256 over the rows in key order.
    pub usage_sha256: String,
}

/// Folds rows of one meter and partner over a span of time. `earlier` are the rows before the span: what they hold at
/// its begin goes on into it, where the meter's aggregation carries over.
///
/// # Errors
/// [`UsageError`].
pub fn fold(
    meter_id: &MeterId,
    aggregation: Aggregation,
    slices: &[&UsageSlice],
    span: Period,
    earlier: &[&UsageSlice],
) -> Result<Folded, UsageError> {
    let mut slices = slices.to_vec();
    slices.sort_by(|a, b| a.key().cmp(&b.key()));
    let overflow = |error| UsageError::Overflow(meter_id.clone(), error);
    let too_many = || overflow(DecimalError::Overflow("counting"));
    let wrong = |span, source| UsageError::State { meter_id: meter_id.clone(), span, source };
    let state_of = |slice: &UsageSlice| {
        MeterState::from_json(aggregation, &slice.state).map_err(|error| wrong(slice.slice, error))
    };
    let nothing = BTreeMap::new();
    let is_level = matches!(aggregation, Aggregation::Latest | Aggregation::TimeWeighted);
    let series_of = |slice: &UsageSlice| if is_level { slice.dimensions.clone() } else { nothing.clone() };
    let mut series: BTreeMap<BTreeMap<String, String>, (MeterState, i64)> = BTreeMap::new();
    let mut event_count = 0_i64;
    for slice in &slices {
        event_count = event_count.checked_add(slice.event_count).ok_or_else(too_many)?;
        let (state, events) = series.entry(series_of(slice)).or_insert_with(|| (MeterState::empty(aggregation), 0));
        state.merge(state_of(slice)?).map_err(|error| wrong(slice.slice, error))?;
        *events = events.checked_add(slice.event_count).ok_or_else(too_many)?;
    }
    // What held before, by series; a series that is not heard of in the span still holds its level.
    let mut before: BTreeMap<BTreeMap<String, String>, MeterState> = BTreeMap::new();
    if aggregation.carries_over() {
        for slice in earlier {
            let held = before.entry(series_of(slice)).or_insert_with(|| MeterState::empty(aggregation));
            held.merge(state_of(slice)?).map_err(|error| wrong(slice.slice, error))?;
            series.entry(series_of(slice)).or_insert_with(|| (MeterState::empty(aggregation), 0));
        }
    }
    let mut sum = Decimal::ZERO;
    for (key, (state, events)) in &series {
        let held = before.get(key).and_then(MeterState::last_level);
        let quantity = quantity(aggregation, state, *events, span, held).map_err(|error| wrong(span, error))?;
        sum = sum.checked_add(quantity).map_err(overflow)?;
    }
    Ok(Folded {
        quantity: sum,
        event_count,
        slice_count: i64::try_from(slices.len()).map_err(|_| too_many())?,
        usage_sha256: sha256_hex(&sha256_parts(slices.iter().flat_map(|slice| slice.parts()))),
    })
}
