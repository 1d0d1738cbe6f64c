//! Cells of a batch, column by column, for tables of which millions of rows are read: no row is built of them.

use std::collections::BTreeMap;

use arrow::array::{Array as _, ArrayRef, RecordBatch};
use chrono::{DateTime, NaiveDate, Utc};

use super::rows::{RowError, Value, text_at, value_at};
use super::{Column, Table};
use crate::decimal::Decimal;

/// One column of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    table: &'static Table,
    column: &'static Column,
    array: &'a ArrayRef,
}

impl<'a> Cells<'a> {
    /// A column of a batch of a table.
    ///
    /// # Errors
    /// [`RowError::NoColumn`] where table or batch does not have it.
    pub fn of(table: &'static Table, batch: &'a RecordBatch, column: &str) -> Result<Self, RowError> {
        let none = || RowError::NoColumn { table: table.name, column: column.to_owned() };
        let array = batch.column_by_name(column).ok_or_else(none)?;
        Ok(Self { table, column: table.column(column).ok_or_else(none)?, array })
    }

    /// A text; none where the cell is null.
    ///
    /// # Errors
    /// [`RowError::Type`].
    pub fn text(&self, row: usize) -> Result<Option<&'a str>, RowError> {
        if self.array.is_null(row) {
            return Ok(None);
        }
        text_at(self.array, row).map(Some).ok_or_else(|| self.mismatch("another type"))
    }

    /// A text that is there, and so for the other kinds below.
    ///
    /// # Errors
    /// [`RowError::Type`] for null and for another type.
    pub fn some_text(&self, row: usize) -> Result<&'a str, RowError> {
        self.text(row)?.ok_or_else(|| self.mismatch("null"))
    }

    /// An integer.
    ///
    /// # Errors
    /// [`RowError::Type`].
    pub fn some_int(&self, row: usize) -> Result<i64, RowError> {
        match self.value(row)? {
            Value::Int(int) => Ok(int),
            _ => Err(self.mismatch("another type")),
        }
    }

    /// An instant.
    ///
    /// # Errors
    /// [`RowError::Type`].
    pub fn some_instant(&self, row: usize) -> Result<DateTime<Utc>, RowError> {
        match self.value(row)? {
            Value::Instant(instant) => Ok(instant),
            _ => Err(self.mismatch("another type")),
        }
    }

    /// A date.
    ///
    /// # Errors
    /// [`RowError::Type`].
    pub fn some_date(&self, row: usize) -> Result<NaiveDate, RowError> {
        match self.value(row)? {
            Value::Date(date) => Ok(date),
            _ => Err(self.mismatch("another type")),
        }
    }

    /// A decimal.
    ///
    /// # Errors
    /// [`RowError::Type`].
    pub fn some_decimal(&self, row: usize) -> Result<Decimal, RowError> {
        match self.value(row)? {
            Value::Decimal(decimal) => Ok(decimal),
            _ => Err(self.mismatch("another type")),
        }
    }

    /// A text map.
    ///
    /// # Errors
    /// [`RowError::Type`].
    pub fn some_text_map(&self, row: usize) -> Result<BTreeMap<String, String>, RowError> {
        match self.value(row)? {
            Value::TextMap(map) => Ok(map),
            _ => Err(self.mismatch("another type")),
        }
    }

    fn value(&self, row: usize) -> Result<Value, RowError> {
        if self.array.is_null(row) {
            return Err(self.mismatch("null"));
        }
        value_at(self.column.kind, self.array, row).ok_or_else(|| self.mismatch("another type"))
    }

    fn mismatch(&self, found: &str) -> RowError {
        RowError::Type {
            table: self.table.name,
            column: self.column.name.to_owned(),
            expected: format!("{:?}", self.column.kind),
            found: format!("{found} ({})", self.array.data_type()),
        }
    }
}
