//! Rows as plain data, for the small derived tables: built here, checked against the declaration, turned into one
//! Arrow batch; and the way back. A value of the wrong type or a missing column is an error that names both.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Int32Builder,
    Int64Builder, MapBuilder, MapFieldNames, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Days, NaiveDate, Utc};

use super::{Column, Kind, Table};
use crate::decimal::Decimal;

/// Why rows and table do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// A value of another type than the column's, or null where it must not be.
    #[error("{table}.{column} is {expected}, and the row has {found}")]
    Type {
        /// Table name.
        table: &'static str,
        /// Column name.
        column: String,
        /// Declared kind.
        expected: String,
        /// What was there.
        found: String,
    },
    /// A name that the table does not have.
    #[error("{table} has no column {column}")]
    NoColumn {
        /// Table name.
        table: &'static str,
        /// Column name.
        column: String,
    },
    /// Arrow refused the batch.
    #[error("{table}: the batch is not valid: {reason}")]
    Batch {
        /// Table name.
        table: &'static str,
        /// Arrow's words.
        reason: String,
    },
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Not known.
    Null,
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Integer, for [`Kind::Int`] and [`Kind::Int32`].
    Int(i64),
    /// True or false.
    Flag(bool),
    /// UTC instant.
    Instant(DateTime<Utc>),
    /// Calendar date.
    Date(NaiveDate),
    /// Exact decimal.
    Decimal(Decimal),
    /// Text map.
    TextMap(BTreeMap<String, String>),
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}
value_from!(String => Text, &str => Text, Vec<u8> => Bytes, i64 => Int, i32 => Int, bool => Flag,
    DateTime<Utc> => Instant, NaiveDate => Date, Decimal => Decimal, BTreeMap<String, String> => TextMap);

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of a table: values by column name; a column that is not named is null.
///
/// A month has millions of rows: the names are those of the declaration and never copied, and all lie in one piece of
/// memory, in order of name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row(Vec<(&'static str, Value)>);

impl Row {
    /// An empty row.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The row with a value set.
    #[must_use]
    pub fn with(mut self, column: &'static str, value: impl Into<Value>) -> Self {
        self.set(column, value.into());
        self
    }

    fn set(&mut self, column: &'static str, value: Value) {
        match self.place_of(column) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => self.0.insert(place, (column, value)),
        }
    }

    /// Where a column stands, or would.
    fn place_of(&self, column: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| (*name).cmp(column))
    }

    /// A value; null where it is not set.
    #[must_use]
    pub fn get(&self, column: &str) -> &Value {
        self.place_of(column).map_or(&Value::Null, |place| &self.0[place].1)
    }

    /// A text, if it is one.
    #[must_use]
    pub fn text(&self, column: &str) -> Option<&str> {
        match self.get(column) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer, if it is one.
    #[must_use]
    pub fn int(&self, column: &str) -> Option<i64> {
        match self.get(column) {
            Value::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// An instant, if it is one.
    #[must_use]
    pub fn instant(&self, column: &str) -> Option<DateTime<Utc>> {
        match self.get(column) {
            Value::Instant(instant) => Some(*instant),
            _ => None,
        }
    }

    /// A decimal, if it is one.
    #[must_use]
    pub fn decimal(&self, column: &str) -> Option<Decimal> {
        match self.get(column) {
            Value::Decimal(decimal) => Some(*decimal),
            _ => None,
        }
    }

    /// A date, if it is one.
    #[must_use]
    pub fn date(&self, column: &str) -> Option<NaiveDate> {
        match self.get(column) {
            Value::Date(date) => Some(*date),
            _ => None,
        }
    }

    /// Bytes, if it is some.
    #[must_use]
    pub fn bytes(&self, column: &str) -> Option<&[u8]> {
        match self.get(column) {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();

/// Days since 1970-01-01, as Arrow's `Date32` counts them.
pub(super) fn days_of(date: NaiveDate) -> Option<i32> {
    i32::try_from(date.signed_duration_since(EPOCH).num_days()).ok()
}

fn date_of(days: i32) -> Option<NaiveDate> {
    let distance = Days::new(u64::from(days.unsigned_abs()));
    if days < 0 { EPOCH.checked_sub_days(distance) } else { EPOCH.checked_add_days(distance) }
}

/// Builds one batch of a table.
///
/// # Errors
/// [`RowError`] when a row does not fit the declaration.
pub fn batch_of<R: Borrow<Row>>(table: &'static Table, rows: &[R]) -> Result<RecordBatch, RowError> {
    for row in rows {
        if let Some((unknown, _)) = row.borrow().0.iter().find(|(name, _)| table.column(name).is_none()) {
            return Err(RowError::NoColumn { table: table.name, column: (*unknown).to_owned() });
        }
    }
    let columns = table.columns.iter().map(|column| array_of(table, column, rows)).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(table.arrow_schema(), columns)
        .map_err(|error| RowError::Batch { table: table.name, reason: error.to_string() })
}

fn array_of<R: Borrow<Row>>(table: &'static Table, column: &Column, rows: &[R]) -> Result<ArrayRef, RowError> {
    let mismatch = |value: &Value| RowError::Type {
        table: table.name,
        column: column.name.to_owned(),
        expected: format!("{:?}{}", column.kind, if column.nullable { "" } else { ", never null" }),
        found: format!("{value:?}").chars().take(80).collect(),
    };
    macro_rules! fill {
        ($builder:expr, $($pattern:pat => $value:expr),+) => {{
            let mut builder = $builder;
            for row in rows {
                match row.borrow().get(column.name) {
                    Value::Null if column.nullable => builder.append_null(),
                    $($pattern => builder.append_value($value),)+
                    other => return Err(mismatch(other)),
                }
            }
            let array: ArrayRef = Arc::new(builder.finish());
            array
        }};
    }
    Ok(match column.kind {
        Kind::Text => fill!(StringBuilder::new(), Value::Text(text) => text),
        Kind::Bytes => fill!(BinaryBuilder::new(), Value::Bytes(bytes) => bytes),
        Kind::Int => fill!(Int64Builder::new(), Value::Int(int) => *int),
        Kind::Int32 => {
            fill!(Int32Builder::new(), value @ Value::Int(int) => i32::try_from(*int).map_err(|_| mismatch(value))?)
        }
        Kind::Flag => fill!(BooleanBuilder::new(), Value::Flag(flag) => *flag),
        Kind::Instant => fill!(TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            Value::Instant(instant) => instant.timestamp_micros()),
        Kind::Date => {
            fill!(Date32Builder::new(), value @ Value::Date(date) => days_of(*date).ok_or_else(|| mismatch(value))?)
        }
        Kind::Decimal => {
            let builder = Decimal128Builder::new().with_data_type(column.kind.data_type());
            fill!(builder, Value::Decimal(decimal) => decimal.unscaled())
        }
        Kind::TextMap => text_map_array(column, rows, mismatch)?,
    })
}

/// An empty map builder whose field names match [`Kind::TextMap`].
#[must_use]
pub fn text_map_builder() -> MapBuilder<StringBuilder, StringBuilder> {
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
}

fn text_map_array<R: Borrow<Row>>(
    column: &Column,
    rows: &[R],
    mismatch: impl Fn(&Value) -> RowError,
) -> Result<ArrayRef, RowError> {
    let mut builder = text_map_builder();
    for row in rows.iter().map(Borrow::borrow) {
        let present = match row.get(column.name) {
            Value::Null if column.nullable => false,
            Value::TextMap(map) => {
                for (key, value) in map {
                    builder.keys().append_value(key);
                    builder.values().append_value(value);
                }
                true
            }
            other => return Err(mismatch(other)),
        };
        builder.append(present).map_err(|_| mismatch(row.get(column.name)))?;
    }
    Ok(Arc::new(builder.finish()))
}

/// Reads a batch back into rows. Columns that the table does not declare are an error.
///
/// # Errors
/// [`RowError`] when a column has another type than declared.
pub fn rows_of(table: &'static Table, batch: &RecordBatch) -> Result<Vec<Row>, RowError> {
    let mut rows: Vec<Row> = (0..batch.num_rows()).map(|_| Row(Vec::with_capacity(batch.num_columns()))).collect();
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        let column = table
            .column(field.name())
            .ok_or_else(|| RowError::NoColumn { table: table.name, column: field.name().clone() })?;
        for (index, row) in rows.iter_mut().enumerate() {
            if array.is_null(index) {
                continue;
            }
            let value = value_at(column.kind, array, index).ok_or_else(|| RowError::Type {
                table: table.name,
                column: column.name.to_owned(),
                expected: format!("{:?}", column.kind),
                found: array.data_type().to_string(),
            })?;
            row.set(column.name, value);
        }
    }
    Ok(rows)
}

pub(super) fn value_at(kind: Kind, array: &ArrayRef, index: usize) -> Option<Value> {
    Some(match kind {
        Kind::Text => Value::Text(text_at(array, index)?.to_owned()),
        Kind::Bytes => Value::Bytes(match array.as_binary_opt::<i32>() {
            Some(bytes) => bytes.value(index).to_vec(),
            None => array.as_binary_view_opt()?.value(index).to_vec(),
        }),
        Kind::Int => Value::Int(array.as_primitive_opt::<Int64Type>()?.value(index)),
        Kind::Int32 => Value::Int(array.as_primitive_opt::<Int32Type>()?.value(index).into()),
        Kind::Flag => Value::Flag(array.as_boolean_opt()?.value(index)),
        Kind::Instant => Value::Instant(DateTime::from_timestamp_micros(
            array.as_primitive_opt::<TimestampMicrosecondType>()?.value(index),
        )?),
        Kind::Date => Value::Date(date_of(array.as_primitive_opt::<Date32Type>()?.value(index))?),
        Kind::Decimal => {
            Value::Decimal(Decimal::from_unscaled(array.as_primitive_opt::<Decimal128Type>()?.value(index)).ok()?)
        }
        Kind::TextMap => {
            let map = array.as_map_opt()?;
            let (keys, values) = (map.keys(), map.values());
            let end = |at: usize| usize::try_from(*map.value_offsets().get(at)?).ok();
            let pair = |i| Some((text_at(keys, i)?.to_owned(), text_at(values, i)?.to_owned()));
            let entries = end(index)?..end(index + 1)?;
            Value::TextMap(entries.filter(|i| values.is_valid(*i)).map(pair).collect::<Option<_>>()?)
        }
    })
}

/// Text of either Arrow string layout: Parquet readers may give views.
pub(super) fn text_at(array: &ArrayRef, index: usize) -> Option<&str> {
    match array.as_string_opt::<i32>() {
        Some(strings) => Some(strings.value(index)),
        None => Some(array.as_string_view_opt()?.value(index)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{derived, partner_event};

    #[test]
    fn rows_round_trip_through_arrow() {
        let now = DateTime::from_timestamp_micros(1_780_000_000_000_001).unwrap();
        let row = Row::new()
            .with("meter_id", "calls")
            .with("product_id", "maps")
            .with("dimensions", BTreeMap::from([("region".to_owned(), "eu".to_owned())]))
            .with("slice_start", now)
            .with("slice_end", now)
            .with("quantity", Decimal::whole(7))
            .with("state", "{}")
            .with("event_count", 7_i64)
            .with("duplicate_count", 0_i64)
            .with("invalid_count", 0_i64)
            .with("excluded", BTreeMap::from([("retries.v1".to_owned(), "2".to_owned())]))
            .with("event_date", now.date_naive());
        let batch = batch_of(&derived::USAGE, std::slice::from_ref(&row)).unwrap();
        assert_eq!(rows_of(&derived::USAGE, &batch).unwrap(), vec![row]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let wrong = Row::new().with("meter_id", 3_i64);
        let error = batch_of(&derived::USAGE, &[wrong]).unwrap_err().to_string();
        assert!(error.contains("usage.") && error.contains("never null"), "{error}");
        let unknown = Row::new().with("metre_id", "x");
        assert_eq!(batch_of(&derived::USAGE, &[unknown]).unwrap_err().to_string(), "usage has no column metre_id");
        assert!(batch_of::<Row>(&partner_event::TABLE, &[]).unwrap().num_rows() == 0);
    }
}
