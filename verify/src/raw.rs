//! The raw rows behind one partner's usage: every delivery that a link of the partner may claim, with the answers of its
//! meters' SQL; and every delivery of the same ids, wherever it lies.
//!
//! The engine evaluates filter, value and dimensions of a meter, and selects rows by offsets, days and names. It joins,
//! groups and counts nothing here: what a row means is decided in plain code.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, TimeDelta, Utc};
use tollbook_lake::{Lake, as_text, pin_condition};
use tollbook_schemas::catalog::Meter;
use tollbook_schemas::period::{Period, hour_of};
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::access_log::TABLE as ACCESS_LOG;

use crate::error::VerifyError;
use crate::meter::Place;

/// (gateway, event id): what counts once.
pub(crate) type RequestId = (String, String);

/// The id that a delivery is about: a correction's is the one of the request that it corrects.
const REQUEST_ID: &str =
    "case when kind = 'request' or corrects_event_id is null then event_id else corrects_event_id end";

/// One delivery, as far as it decides which one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) id: RequestId,
    pub(crate) place: Place,
    /// `request`, `retraction` or `amendment`.
    pub(crate) kind: String,
    /// Its own id.
    pub(crate) event_id: String,
    pub(crate) received_at: DateTime<Utc>,
}

/// What a meter's SQL says of a delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metered {
    /// Whether its filter lets it pass.
    pub(crate) passes: bool,
    pub(crate) value: Option<String>,
    /// In the order of the meter's names.
    pub(crate) dimensions: Vec<Option<String>>,
}

/// One delivery, as far as it decides whose it is and what it counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) place: Place,
    pub(crate) kind: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) consumer: Option<String>,
    pub(crate) credential_key_id: Option<String>,
    pub(crate) credential_hash: Option<String>,
    pub(crate) environment_hint: Option<String>,
    pub(crate) environment_default: Option<String>,
    pub(crate) product_hint: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) client_tag: Option<String>,
    pub(crate) cache_status: Option<String>,
    pub(crate) idempotency_key_hash: Option<String>,
    /// One for each meter that was asked for.
    pub(crate) metered: Vec<Metered>,
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawRows {
    pub(crate) requests: Vec<Request>,
    pub(crate) deliveries: Vec<Delivery>,
}

/// What to read.
pub(crate) struct Question<'a> {
    /// What was known.
    pub(crate) pin: &'a Pin,
    /// Consumers that a link gives to the partner at some time.
    pub(crate) consumers: Vec<&'a str>,
    /// Credentials, `key_id:hash`, likewise.
    pub(crate) credentials: Vec<&'a str>,
    /// Time that is billed.
    pub(crate) span: Period,
    /// Whether what was before it matters too.
    pub(crate) with_all_before: bool,
    /// Meters that price it.
    pub(crate) meters: Vec<&'a Meter>,
}

impl Question<'_> {
    /// Which rows may be the partner's in the time that is billed: whole hours, since a retry looks at its whole hour.
    fn condition(&self) -> String {
        let names = |names: &[&str]| names.iter().map(|name| as_text(name)).collect::<Vec<_>>().join(", ");
        let mut claims = Vec::new();
        if !self.consumers.is_empty() {
            claims.push(format!("consumer in ({})", names(&self.consumers)));
        }
        if !self.credentials.is_empty() {
            claims.push(format!("concat(credential_key_id, ':', credential_hash) in ({})", names(&self.credentials)));
        }
        let end = hour_of(self.span.end) + TimeDelta::hours(1);
        let mut conditions = vec![
            pin_condition(self.pin),
            if claims.is_empty() { "false".to_owned() } else { format!("({})", claims.join(" or ")) },
            format!("event_date <= {}", date(end)),
            format!("occurred_at < {}", instant(end)),
        ];
        if !self.with_all_before {
            let start = hour_of(self.span.start);
            conditions.push(format!("event_date >= {}", date(start)));
            conditions.push(format!("occurred_at >= {}", instant(start)));
        }
        conditions.join(" and ")
    }
}

fn instant(at: DateTime<Utc>) -> String {
    format!("arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')", at.timestamp_micros())
}

fn date(at: DateTime<Utc>) -> String {
    format!("cast('{}' as date)", at.date_naive())
}

/// Reads what may be the partner's, and every delivery of the same ids.
///
/// # Errors
/// [`VerifyError::Lake`], [`VerifyError::Stored`].
pub(crate) async fn read(lake: &Lake, question: &Question<'_>) -> Result<RawRows, VerifyError> {
    let context = lake.empty_session()?;
    lake.register(&context, &ACCESS_LOG, None).await?;
    // A row that the condition leaves out is not decoded beyond the columns of the condition.
    lake.query(&context, "set datafusion.execution.parquet.pushdown_filters = true").await?;
    let condition = question.condition();
    let mut columns = String::new();
    for (at, meter) in question.meters.iter().enumerate() {
        let filter = meter.filter.as_deref().unwrap_or("true");
        let value = meter.value.as_deref().unwrap_or("null");
        columns += &format!(", coalesce(({filter}), false) as m{at}_passes, cast(({value}) as varchar) as m{at}_value");
        for (number, sql) in meter.group_by.values().enumerate() {
            columns += &format!(", cast(({sql}) as varchar) as m{at}_d{number}");
        }
    }
    let sql = format!(
        "select gateway, {REQUEST_ID}, source, kafka_partition, kafka_offset, record_index, kind, occurred_at, consumer,
           credential_key_id, credential_hash, environment_hint, environment_default, product_hint, path, client_tag,
           cache_status, idempotency_key_hash{columns}
         from access_log where {condition}"
    );
    let mut rows = RawRows::default();
    for batch in lake.query(&context, &sql).await? {
        for row in 0..batch.num_rows() {
            rows.requests.push(request_of(&Cells { batch: &batch, row }, &question.meters)?);
        }
    }
    // The earliest delivery may lie in any hour of any month, and be of anybody.
    let sql = format!(
        "with mine as (select distinct gateway as my_gateway, {REQUEST_ID} as my_id from access_log where {condition})
         select gateway, {REQUEST_ID}, source, kafka_partition, kafka_offset, record_index, kind, event_id, received_at
         from access_log join mine on gateway = my_gateway and {REQUEST_ID} = my_id
         where {}",
        pin_condition(question.pin)
    );
    for batch in lake.query(&context, &sql).await? {
        for row in 0..batch.num_rows() {
            let cells = Cells { batch: &batch, row };
            rows.deliveries.push(Delivery {
                id: (cells.must(0)?, cells.must(1)?),
                place: cells.place(2)?,
                kind: cells.must(6)?,
                event_id: cells.must(7)?,
                received_at: cells.instant(8)?,
            });
        }
    }
    Ok(rows)
}

/// Adds the offsets of an answer of (source, partition, offset).
pub(crate) fn offsets(batch: &RecordBatch, there: &mut BTreeMap<(String, i64), BTreeSet<i64>>) {
    for row in 0..batch.num_rows() {
        let cells = Cells { batch, row };
        if let (Some(source), Some(partition), Some(offset)) = (cells.text(0), cells.int(1), cells.int(2)) {
            there.entry((source, partition)).or_default().insert(offset);
        }
    }
}

fn request_of(cells: &Cells<'_>, meters: &[&Meter]) -> Result<Request, VerifyError> {
    let mut metered = Vec::new();
    let mut column = 18;
    for meter in meters {
        let dimensions = (0..meter.group_by.len()).map(|number| cells.text(column + 2 + number)).collect();
        metered.push(Metered { passes: cells.flag(column), value: cells.text(column + 1), dimensions });
        column += 2 + meter.group_by.len();
    }
    Ok(Request {
        id: (cells.must(0)?, cells.must(1)?),
        place: cells.place(2)?,
        kind: cells.must(6)?,
        at: cells.instant(7)?,
        consumer: cells.text(8),
        credential_key_id: cells.text(9),
        credential_hash: cells.text(10),
        environment_hint: cells.text(11),
        environment_default: cells.text(12),
        product_hint: cells.text(13),
        path: cells.text(14),
        client_tag: cells.text(15),
        cache_status: cells.text(16),
        idempotency_key_hash: cells.text(17),
        metered,
    })
}

/// One row of an answer.
struct Cells<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl Cells<'_> {
    fn there(&self, column: usize) -> Option<&ArrayRef> {
        Some(self.batch.column(column)).filter(|cells| !cells.is_null(self.row))
    }

    fn text(&self, column: usize) -> Option<String> {
        let cells = self.there(column)?;
        let plain = cells.as_string_opt::<i32>().map(|texts| texts.value(self.row));
        plain.or_else(|| Some(cells.as_string_view_opt()?.value(self.row))).map(str::to_owned)
    }

    fn flag(&self, column: usize) -> bool {
        self.there(column).and_then(|cells| cells.as_boolean_opt()).is_some_and(|flags| flags.value(self.row))
    }

    fn int(&self, column: usize) -> Option<i64> {
        Some(self.there(column)?.as_primitive_opt::<Int64Type>()?.value(self.row))
    }

    fn must(&self, column: usize) -> Result<String, VerifyError> {
        self.text(column).ok_or_else(|| self.damaged(column))
    }

    fn instant(&self, column: usize) -> Result<DateTime<Utc>, VerifyError> {
        let micros = self.there(column).and_then(|cells| cells.as_primitive_opt::<TimestampMicrosecondType>());
        let at = micros.and_then(|micros| DateTime::from_timestamp_micros(micros.value(self.row)));
        at.ok_or_else(|| self.damaged(column))
    }

    /// Source, partition, offset and index, from a column on.
    fn place(&self, column: usize) -> Result<Place, VerifyError> {
        let small = |column: usize| self.there(column)?.as_primitive_opt::<Int32Type>().map(|n| n.value(self.row));
        let (partition, offset, index) = (small(column + 1), self.int(column + 2), small(column + 3));
        match (partition, offset, index) {
            (Some(partition), Some(offset), Some(index)) => Ok((self.must(column)?, partition, offset, index)),
            _ => Err(self.damaged(column)),
        }
    }

    fn damaged(&self, column: usize) -> VerifyError {
        let what = format!("column {} cannot be read", self.batch.schema().field(column).name());
        VerifyError::Stored { table: ACCESS_LOG.name, what }
    }
}
