//! Usage as billing reads it: one row of `usage`, and what a set of rows of one meter comes to.
//!
//! Counts and sums add up. A `unique` meter keeps its distinct values in `state`, so that a value seen in two hours
//! counts once; its quantity over a period is the number of distinct values, not the sum of the rows.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use tollbook_schemas::catalog::Aggregation;
use tollbook_schemas::decimal::{Decimal, DecimalError};
use tollbook_schemas::digest::{sha256_hex, sha256_parts};
use tollbook_schemas::id::{MeterId, PartnerId};
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
    /// The sum does not fit.
    #[error("the usage of meter {0} does not fit 26 digits")]
    Overflow(MeterId, #[source] DecimalError),
    /// The state of a `unique` meter is not as written.
    #[error("the usage state of meter {meter_id} at {slice} is not {{\"values\":[…]}}; aggregate that hour again")]
    State {
        /// Meter.
        meter_id: MeterId,
        /// Slice.
        slice: Period,
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

#[derive(Deserialize)]
struct Distinct {
    values: Vec<serde_json::Value>,
}

/// Folds rows of one meter and partner.
///
/// # Errors
/// [`UsageError`].
pub fn fold(meter_id: &MeterId, aggregation: Aggregation, slices: &[&UsageSlice]) -> Result<Folded, UsageError> {
    let mut slices = slices.to_vec();
    slices.sort_by(|a, b| a.key().cmp(&b.key()));
    let overflow = |error| UsageError::Overflow(meter_id.clone(), error);
    let too_many = || overflow(DecimalError::Overflow("counting"));
    let mut sum = Decimal::ZERO;
    let mut distinct = BTreeSet::new();
    let mut event_count = 0_i64;
    for slice in &slices {
        event_count = event_count.checked_add(slice.event_count).ok_or_else(too_many)?;
        if aggregation == Aggregation::Unique {
            let state: Distinct = serde_json::from_str(&slice.state)
                .map_err(|_| UsageError::State { meter_id: meter_id.clone(), slice: slice.slice })?;
            distinct.extend(state.values.iter().map(serde_json::Value::to_string));
        } else {
            sum = sum.checked_add(slice.quantity).map_err(overflow)?;
        }
    }
    let quantity = match aggregation {
        Aggregation::Unique => Decimal::whole(i64::try_from(distinct.len()).map_err(|_| too_many())?),
        Aggregation::Count | Aggregation::Sum => sum,
    };
    Ok(Folded {
        quantity,
        event_count,
        slice_count: i64::try_from(slices.len()).map_err(|_| too_many())?,
        usage_sha256: sha256_hex(&sha256_parts(slices.iter().flat_map(|slice| slice.parts()))),
    })
}
