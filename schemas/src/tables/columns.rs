//! Batches made column by column, for tables of which millions of rows are written: no row is built of them.
//!
//! Takes values in the order of the rows, a column after the other; gives one batch in the declared order of columns.
//! A column that is missing, given twice, of another type or of another length is an error that names it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Builder, Decimal128Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use chrono::{DateTime, NaiveDate, Utc};

use super::rows::{RowError, days_of};
use super::{Kind, Table};
use crate::decimal::Decimal;

/// The columns of one batch, as far as they are given.
#[derive(Debug)]
pub struct Columns {
    table: &'static Table,
    arrays: BTreeMap<&'static str, ArrayRef>,
    wrong: Option<RowError>,
}

impl Columns {
    /// No column of a table yet.
    #[must_use]
    pub fn of(table: &'static Table) -> Self {
        Self { table, arrays: BTreeMap::new(), wrong: None }
    }

    /// A column of texts.
    #[must_use]
    pub fn texts<T: AsRef<str>>(self, column: &'static str, values: impl IntoIterator<Item = T>) -> Self {
        self.optional_texts(column, values.into_iter().map(Some))
    }

    /// A column of texts that may be null.
    #[must_use]
    pub fn optional_texts<T: AsRef<str>>(
        self,
        column: &'static str,
        values: impl IntoIterator<Item = Option<T>>,
    ) -> Self {
        let mut builder = StringBuilder::new();
        values.into_iter().for_each(|value| builder.append_option(value));
        self.with(column, Arc::new(builder.finish()))
    }

    /// A column of integers, of either width.
    #[must_use]
    pub fn ints(mut self, column: &'static str, values: impl IntoIterator<Item = i64>) -> Self {
        if self.table.column(column).is_none_or(|column| column.kind != Kind::Int32) {
            let mut builder = Int64Builder::new();
            values.into_iter().for_each(|value| builder.append_value(value));
            return self.with(column, Arc::new(builder.finish()));
        }
        let mut builder = Int32Builder::new();
        for value in values {
            match i32::try_from(value) {
                Ok(value) => builder.append_value(value),
                Err(_) => self.mismatch(column, &value.to_string()),
            }
        }
        self.with(column, Arc::new(builder.finish()))
    }

    /// A column of instants.
    #[must_use]
    pub fn instants(self, column: &'static str, values: impl IntoIterator<Item = DateTime<Utc>>) -> Self {
        let mut builder = TimestampMicrosecondBuilder::new().with_timezone("UTC");
        values.into_iter().for_each(|value| builder.append_value(value.timestamp_micros()));
        self.with(column, Arc::new(builder.finish()))
    }

    /// A column of dates.
    #[must_use]
    pub fn dates(mut self, column: &'static str, values: impl IntoIterator<Item = NaiveDate>) -> Self {
        let mut builder = Date32Builder::new();
        for value in values {
            match days_of(value) {
                Some(days) => builder.append_value(days),
                None => self.mismatch(column, &value.to_string()),
            }
        }
        self.with(column, Arc::new(builder.finish()))
    }

    /// A column of decimals.
    #[must_use]
    pub fn decimals(self, column: &'static str, values: impl IntoIterator<Item = Decimal>) -> Self {
        let mut builder = Decimal128Builder::new().with_data_type(Kind::Decimal.data_type());
        values.into_iter().for_each(|value| builder.append_value(value.unscaled()));
        self.with(column, Arc::new(builder.finish()))
    }

    /// The batch.
    ///
    /// # Errors
    /// The first [`RowError`] of a column.
    pub fn finish(mut self) -> Result<RecordBatch, RowError> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let table = self.table;
        let mut columns = Vec::with_capacity(table.columns.len());
        for column in table.columns {
            let missing =
                || RowError::NoColumn { table: table.name, column: format!("{}: it is not given", column.name) };
            columns.push(self.arrays.remove(column.name).ok_or_else(missing)?);
        }
        RecordBatch::try_new(table.arrow_schema(), columns)
            .map_err(|error| RowError::Batch { table: table.name, reason: error.to_string() })
    }

    fn with(mut self, column: &'static str, array: ArrayRef) -> Self {
        if self.table.column(column).is_none() || self.arrays.insert(column, array).is_some() {
            self.wrong.get_or_insert(RowError::NoColumn { table: self.table.name, column: column.to_owned() });
        }
        self
    }

    fn mismatch(&mut self, column: &str, found: &str) {
        self.wrong.get_or_insert_with(|| RowError::Type {
            table: self.table.name,
            column: column.to_owned(),
            expected: format!("{:?}", self.table.column(column).map(|column| column.kind)),
            found: found.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::billing::BILLED_USAGE;
    use crate::tables::{Row, rows_of};

    fn columns() -> Columns {
        Columns::of(&BILLED_USAGE)
            .texts("invoice_id", ["inv_1", "inv_1"])
            .dates("event_date", [NaiveDate::from_ymd_opt(2026, 6, 1).unwrap(); 2])
            .decimals("quantity", [Decimal::whole(2), Decimal::ZERO])
            .ints("event_count", [2, 0])
            .ints("slice_count", [1, 1])
            .texts("usage_sha256", ["a", "b"])
            .texts("period", ["2026-06", "2026-06"])
    }

    #[test]
    fn a_batch_is_the_rows_in_the_declared_order() {
        let batch = columns().texts("line_id", ["lin_1", "lin_2"]).finish().unwrap();
        let row = |line: &str, quantity: i64, sha: &str| {
            Row::new()
                .with("line_id", line)
                .with("invoice_id", "inv_1")
                .with("event_date", NaiveDate::from_ymd_opt(2026, 6, 1).unwrap())
                .with("quantity", Decimal::whole(quantity))
                .with("event_count", quantity)
                .with("slice_count", 1_i64)
                .with("usage_sha256", sha)
                .with("period", "2026-06")
        };
        assert_eq!(rows_of(&BILLED_USAGE, &batch).unwrap(), [row("lin_1", 2, "a"), row("lin_2", 0, "b")]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let told = |columns: Columns| columns.finish().unwrap_err().to_string();
        assert_eq!(told(columns()), "billed_usage has no column line_id: it is not given");
        let unknown = columns().texts("line", ["lin_1", "lin_2"]);
        assert_eq!(told(unknown), "billed_usage has no column line");
        let twice = columns().texts("line_id", ["lin_1", "lin_2"]).ints("event_count", [1, 2]);
        assert_eq!(told(twice), "billed_usage has no column event_count");
        let null = columns().optional_texts("line_id", [Some("lin_1"), None]);
        assert!(told(null).contains("line_id"));
        let short = columns().texts("line_id", ["lin_1"]);
        assert!(told(short).contains("the batch is not valid"));
        let other = columns().ints("line_id", [1, 2]);
        assert!(told(other).contains("the batch is not valid"));
    }
}
