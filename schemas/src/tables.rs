//! Every table of the lake, declared once: columns with their documentation, keys, partitions, who writes it.
//!
//! The Arrow schema, the Delta column comments, `tollbook sql "describe T"` and the documentation all come from
//! these declarations. [`Row`]s are the plain form in which derived tables are built and read; the hot path
//! (`access_log`) uses typed builders against the same schema.

pub mod access_log;
pub mod billing;
pub mod catalog;
mod cells;
mod columns;
pub mod derived;
pub mod partner_event;
pub mod rejected;
mod rows;
pub mod runs;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

pub use cells::Cells;
pub use columns::Columns;
pub use rows::{Row, RowError, Value, batch_of, rows_of, text_map_builder};

/// The type of a column: the subset of Arrow that DuckDB, Spark, Polars and Trino all read from Delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Opaque bytes.
    Bytes,
    /// 64-bit integer.
    Int,
    /// 32-bit integer.
    Int32,
    /// True or false.
    Flag,
    /// UTC instant of microseconds.
    Instant,
    /// Calendar date.
    Date,
    /// `decimal(38,12)`.
    Decimal,
    /// Map from text to text.
    TextMap,
}

impl Kind {
    /// The Arrow type.
    #[must_use]
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Int => DataType::Int64,
            Self::Int32 => DataType::Int32,
            Self::Flag => DataType::Boolean,
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
            Self::Decimal => DataType::Decimal128(38, 12),
            Self::TextMap => DataType::Map(
                Arc::new(Field::new(
                    "key_value",
                    DataType::Struct(
                        vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)]
                            .into(),
                    ),
                    false,
                )),
                false,
            ),
        }
    }
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Name; units come last.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Whether it may be null. Null means "not known", never zero.
    pub nullable: bool,
    /// What it means, with its unit; written as the Delta column comment.
    pub doc: &'static str,
}

/// A column that is always there.
const fn must(name: &'static str, kind: Kind, doc: &'static str) -> Column {
    Column { name, kind, nullable: false, doc }
}

/// A column that may be null.
const fn may(name: &'static str, kind: Kind, doc: &'static str) -> Column {
    Column { name, kind, nullable: true, doc }
}

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Name, also its folder under the lake's root.
    pub name: &'static str,
    /// What one row is.
    pub doc: &'static str,
    /// Which job writes it.
    pub written_by: &'static str,
    /// Columns that identify a row.
    pub key: &'static [&'static str],
    /// The partition column, if any.
    pub partition_by: Option<&'static str>,
    /// Whether rows are only ever added (`delta.appendOnly`).
    pub append_only: bool,
    /// The columns, in order.
    pub columns: &'static [Column],
}

impl Table {
    /// The Arrow schema; each field carries its documentation in the metadata key `comment`.
    #[must_use]
    pub fn arrow_schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|column| {
                let comment = HashMap::from([("comment".to_owned(), column.doc.to_owned())]);
                Field::new(column.name, column.kind.data_type(), column.nullable).with_metadata(comment)
            })
            .collect();
        Arc::new(Schema::new(fields))
    }

    /// A column by name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// All tables, in the order of the data path.
pub const ALL: &[&Table] = &[
    &access_log::TABLE,
    &rejected::TABLE,
    &partner_event::TABLE,
    &derived::PARTNER,
    &derived::IDENTITY_LINK,
    &derived::SUBSCRIPTION,
    &billing::BILLING_PROFILE,
    &catalog::CATALOG_FILE,
    &derived::ID_INDEX,
    &derived::CONTESTED_REQUEST,
    &derived::USAGE,
    &derived::FUNNEL,
    &derived::PARTNER_360,
    &billing::INVOICE,
    &billing::INVOICE_LINE,
    &billing::BILLED_USAGE,
    &billing::INVOICE_EVENT,
    &runs::JOB_RUN,
];

/// A table by name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Table> {
    ALL.iter().copied().find(|table| table.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declaration_is_consistent() {
        for table in ALL {
            let schema = table.arrow_schema();
            assert_eq!(schema.fields().len(), table.columns.len(), "{}", table.name);
            for key in table.key {
                assert!(table.column(key).is_some(), "{}: key {key}", table.name);
            }
            if let Some(partition) = table.partition_by {
                let kind = table.column(partition).map(|c| (c.kind, c.nullable));
                assert!(matches!(kind, Some((Kind::Date | Kind::Text, false))), "{}: {partition}", table.name);
            }
            let mut names: Vec<_> = table.columns.iter().map(|c| c.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.columns.len(), "{}: a column twice", table.name);
            assert!(table.columns.iter().all(|c| c.doc.len() > 8 && !c.doc.ends_with('.')), "{}: docs", table.name);
        }
    }

    /// The first column of the table in `docs/architecture.md`, where a row may name several.
    #[test]
    fn every_table_is_on_the_map() {
        let page = include_str!("../../docs/architecture.md");
        let (_, section) = page.split_once("\n## Tables\n").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let mut told: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .filter_map(|row| row.split(" | ").next())
            .flat_map(|names| names.split(['`', ',', ' ']))
            .filter(|name| !name.is_empty())
            .collect();
        let mut declared: Vec<&str> = ALL.iter().map(|table| table.name).collect();
        told.sort_unstable();
        declared.sort_unstable();
        assert_eq!(told, declared);
    }
}
