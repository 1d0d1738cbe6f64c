//! Reading stored rows: a required column or an error that names table, column and what was expected.

use chrono::{DateTime, Utc};
use tollbook_schemas::id::IdError;
use tollbook_schemas::tables::{Row, Table};

use crate::error::BillingError;

/// A row with the table that it came from.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) table: &'static Table,
    pub(crate) row: &'a Row,
}

impl<'a> Stored<'a> {
    fn need<T>(&self, column: &str, found: Option<T>) -> Result<T, BillingError> {
        found.ok_or_else(|| BillingError::stored(self.table.name, format!("column {column} is missing")))
    }

    pub(crate) fn text(&self, column: &str) -> Result<&'a str, BillingError> {
        self.need(column, self.row.text(column))
    }

    pub(crate) fn int(&self, column: &str) -> Result<i64, BillingError> {
        self.need(column, self.row.int(column))
    }

    pub(crate) fn small(&self, column: &str) -> Result<u32, BillingError> {
        let found = self.int(column)?;
        u32::try_from(found).map_err(|_| {
            BillingError::stored(
                self.table.name,
                format!("{column} is {found}, which is no number from 0 to {}", u32::MAX),
            )
        })
    }

    pub(crate) fn instant(&self, column: &str) -> Result<DateTime<Utc>, BillingError> {
        self.need(column, self.row.instant(column))
    }

    pub(crate) fn id<T>(&self, column: &str, parse: impl Fn(String) -> Result<T, IdError>) -> Result<T, BillingError> {
        parse(self.text(column)?.to_owned()).map_err(|error| BillingError::stored(self.table.name, error.to_string()))
    }
}
