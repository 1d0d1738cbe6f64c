//! Usage as billing reads it: one row of `usage`, and what a set of rows of one meter comes to.
//!
//! The states of the rows merge ([`MeterState`]); the quantity of a period is made of the merged state, never of the
//! quantities of the rows: a value seen in two hours is one distinct value, and an average is no sum. A meter whose
//! values stand for levels (`latest`, `time_weighted`) has one level for each combination of its dimensions, and their
//! quantities add up; every other meter merges over its dimensions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::{DateTime, NaiveDate, Utc};
use tollbook_schemas::catalog::Aggregation;
use tollbook_schemas::decimal::{Decimal, DecimalError};
use tollbook_schemas::digest::{ContentHash, PartsDigest};
use tollbook_schemas::id::{IdError, MeterId, PartnerId};
use tollbook_schemas::meter::{MeterState, StateError, quantity};
use tollbook_schemas::period::{Period, print_instant};
use tollbook_schemas::registry::Environment;
use tollbook_schemas::tables::Cells;
use tollbook_schemas::tables::derived::USAGE;

use crate::error::BillingError;
use crate::range::PartnerRange;

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
    pub product_id: Arc<str>,
    /// Values of the meter's dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// Its time.
    pub slice: Period,
    /// Exact quantity.
    pub quantity: Decimal,
    /// Mergeable form.
    pub state: Box<str>,
    /// Requests that counted.
    pub event_count: i64,
    /// Those of them whose value is none, and is in no quantity.
    pub invalid_count: i64,
    /// UTC date of its start.
    pub event_date: NaiveDate,
}

/// The columns of `usage` that billing reads.
pub const COLUMNS: [&str; 12] = [
    "meter_id",
    "partner_id",
    "environment",
    "product_id",
    "dimensions",
    "slice_start",
    "slice_end",
    "quantity",
    "state",
    "event_count",
    "invalid_count",
    "event_date",
];

/// An id that was read before, or is read now.
fn shared<'a, T: Clone>(
    known: &mut HashMap<&'a str, T>,
    text: &'a str,
    parse: impl Fn(String) -> Result<T, IdError>,
) -> Result<T, BillingError> {
    if let Some(known) = known.get(text) {
        return Ok(known.clone());
    }
    let id = parse(text.to_owned()).map_err(|error| BillingError::stored(USAGE.name, error.to_string()))?;
    known.insert(text, id.clone());
    Ok(id)
}

fn environment_of(text: &str) -> Result<Environment, BillingError> {
    let neither =
        || BillingError::stored(USAGE.name, format!("environment {text:?} is neither production nor sandbox"));
    Environment::parse(text).ok_or_else(neither)
}

impl UsageSlice {
    /// Reads batches of `usage` with the columns [`COLUMNS`]. Rows of one meter, partner or product share its name: a
    /// month of many partners has millions of rows.
    ///
    /// # Errors
    /// [`BillingError::Stored`].
    pub fn read(batches: &[RecordBatch]) -> Result<Vec<Self>, BillingError> {
        Self::read_of(batches, &PartnerRange::ALL)
    }

    /// The same of the rows of some partners.
    ///
    /// # Errors
    /// [`BillingError::Stored`].
    pub fn read_of(batches: &[RecordBatch], range: &PartnerRange) -> Result<Vec<Self>, BillingError> {
        let mut slices = Vec::new();
        let (mut meters, mut partners) = (HashMap::new(), HashMap::new());
        let mut products: HashMap<&str, Arc<str>> = HashMap::new();
        for batch in batches {
            let cells = |column| Cells::of(&USAGE, batch, column);
            let (meter_id, partner_id) = (cells("meter_id")?, cells("partner_id")?);
            let (environment, product_id) = (cells("environment")?, cells("product_id")?);
            let (dimensions, state) = (cells("dimensions")?, cells("state")?);
            let (start, end) = (cells("slice_start")?, cells("slice_end")?);
            let (quantity, event_date) = (cells("quantity")?, cells("event_date")?);
            let (event_count, invalid_count) = (cells("event_count")?, cells("invalid_count")?);
            for row in 0..batch.num_rows() {
                let partner_id = partner_id.text(row)?;
                if !partner_id.map_or(*range == PartnerRange::ALL, |partner_id| range.contains_text(partner_id)) {
                    continue;
                }
                let slice = Period::new(start.some_instant(row)?, end.some_instant(row)?);
                let product_id = product_id.some_text(row)?;
                slices.push(Self {
                    meter_id: shared(&mut meters, meter_id.some_text(row)?, MeterId::parse)?,
                    partner_id: partner_id.map(|id| shared(&mut partners, id, PartnerId::parse)).transpose()?,
                    environment: environment.text(row)?.map(environment_of).transpose()?,
                    product_id: products.entry(product_id).or_insert_with(|| product_id.into()).clone(),
                    dimensions: dimensions.some_text_map(row)?,
                    slice: slice.map_err(|error| BillingError::stored(USAGE.name, error.to_string()))?,
                    quantity: quantity.some_decimal(row)?,
                    state: state.some_text(row)?.into(),
                    event_count: event_count.some_int(row)?,
                    invalid_count: invalid_count.some_int(row)?,
                    event_date: event_date.some_date(row)?,
                });
            }
        }
        Ok(slices)
    }

    /// What orders rows of one meter and partner, as the table's key does.
    fn key(&self) -> (&str, &BTreeMap<String, String>, DateTime<Utc>) {
        (&self.product_id, &self.dimensions, self.slice.start)
    }

    /// Adds the row to the evidence. How often a request was delivered is left out: it does not change what is billed.
    fn add_to(&self, digest: &mut PartsDigest) {
        let partner_id = self.partner_id.as_ref().map_or("", PartnerId::as_str);
        let environment = self.environment.map_or("", Environment::as_str);
        for part in [self.meter_id.as_str(), partner_id, environment, &*self.product_id] {
            digest.add(part);
        }
        digest.add(self.dimensions.len().to_string());
        for text in self.dimensions.iter().flat_map(|(name, value)| [name, value]) {
            digest.add(text);
        }
        digest.add(print_instant(self.slice.start));
        digest.add(print_instant(self.slice.end));
        digest.add(self.quantity.to_string());
        digest.add(&*self.state);
        digest.add(self.event_count.to_string());
    }
}

/// The evidence for some rows of one meter and partner: SHA-256 over them in key order, and once more over that.
pub(crate) fn usage_sha256(slices: &[&UsageSlice]) -> ContentHash {
    let mut digest = PartsDigest::default();
    for slice in in_order(slices) {
        slice.add_to(&mut digest);
    }
    ContentHash::of(&digest.finish())
}

fn in_order<'a>(slices: &[&'a UsageSlice]) -> Vec<&'a UsageSlice> {
    let mut slices = slices.to_vec();
    slices.sort_by(|a, b| a.key().cmp(&b.key()));
    slices
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
    /// The value of each request in the order of time, of a meter that keeps them.
    pub events: Option<Vec<Decimal>>,
}

/// The values of the dimensions of one level; none where a meter has no levels, and all its rows are one series.
type Series<'a> = Option<&'a BTreeMap<String, String>>;

fn series_of(slice: &UsageSlice, is_level: bool) -> Series<'_> {
    is_level.then_some(&slice.dimensions)
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
    let overflow = |error| UsageError::Overflow(meter_id.clone(), error);
    let too_many = || overflow(DecimalError::Overflow("counting"));
    let wrong = |span, source| UsageError::State { meter_id: meter_id.clone(), span, source };
    let state_of = |slice: &UsageSlice| {
        MeterState::from_json(aggregation, &slice.state).map_err(|error| wrong(slice.slice, error))
    };
    let is_level = matches!(aggregation, Aggregation::Latest | Aggregation::TimeWeighted);
    let mut series: BTreeMap<Series<'_>, (MeterState, i64)> = BTreeMap::new();
    let mut event_count = 0_i64;
    for slice in slices {
        event_count = event_count.checked_add(slice.event_count).ok_or_else(too_many)?;
        let (state, events) =
            series.entry(series_of(slice, is_level)).or_insert_with(|| (MeterState::empty(aggregation), 0));
        state.merge(state_of(slice)?).map_err(|error| wrong(slice.slice, error))?;
        *events = events.checked_add(slice.event_count).ok_or_else(too_many)?;
    }
    // What held before, by series; a series that is not heard of in the span still holds its level.
    let mut before: BTreeMap<Series<'_>, MeterState> = BTreeMap::new();
    if aggregation.carries_over() {
        for slice in earlier {
            let held = before.entry(series_of(slice, is_level)).or_insert_with(|| MeterState::empty(aggregation));
            held.merge(state_of(slice)?).map_err(|error| wrong(slice.slice, error))?;
            series.entry(series_of(slice, is_level)).or_insert_with(|| (MeterState::empty(aggregation), 0));
        }
    }
    let events = match series.get(&None) {
        Some((MeterState::Events(events), _)) => Some(events.values().copied().collect()),
        _ => (aggregation == Aggregation::SumByEvent).then(Vec::new),
    };
    let mut sum = Decimal::ZERO;
    for (key, (state, events)) in &series {
        let held = before.get(key).and_then(MeterState::last_level);
        let quantity = quantity(aggregation, state, *events, span, held).map_err(|error| wrong(span, error))?;
        sum = sum.checked_add(quantity).map_err(overflow)?;
    }
    let slice_count = i64::try_from(slices.len()).map_err(|_| too_many())?;
    Ok(Folded { quantity: sum, event_count, slice_count, events })
}
