//! Cells of what was read, row by row: texts, numbers, instants, and the ids and places that several columns make. A
//! cell that must be there and is not is damage, told with its column.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use tollbook_schemas::tables::access_log::TABLE as ACCESS_LOG;

use crate::error::VerifyError;
use crate::meter::Place;
use crate::raw::RequestId;

/// The texts of the first column of an answer.
pub(crate) fn texts(batch: &RecordBatch) -> Vec<String> {
    (0..batch.num_rows()).filter_map(|row| Some(Cells { batch, row }.text(0)?.to_owned())).collect()
}

/// Adds the offsets of an answer of (source, partition, offset).
pub(crate) fn offsets(batch: &RecordBatch, there: &mut BTreeMap<(String, i64), BTreeSet<i64>>) {
    for row in 0..batch.num_rows() {
        let cells = Cells { batch, row };
        if let (Some(source), Some(partition), Some(offset)) = (cells.text(0), cells.int(1), cells.int(2)) {
            there.entry((source.to_owned(), partition)).or_default().insert(offset);
        }
    }
}

/// Texts that many rows have, each kept once.
#[derive(Default)]
pub(crate) struct Texts(HashSet<Arc<str>>);

impl Texts {
    fn of(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.0.insert(text.clone());
        text
    }

    pub(crate) fn may(&mut self, cells: &Cells<'_>, column: usize) -> Option<Arc<str>> {
        cells.text(column).map(|text| self.of(text))
    }

    pub(crate) fn must(&mut self, cells: &Cells<'_>, column: usize) -> Result<Arc<str>, VerifyError> {
        Ok(self.of(cells.must(column)?))
    }
}

/// One row of an answer.
pub(crate) struct Cells<'a> {
    pub(crate) batch: &'a RecordBatch,
    pub(crate) row: usize,
}

impl<'a> Cells<'a> {
    fn there(&self, column: usize) -> Option<&'a ArrayRef> {
        Some(self.batch.column(column)).filter(|cells| !cells.is_null(self.row))
    }

    pub(crate) fn text(&self, column: usize) -> Option<&'a str> {
        let cells = self.there(column)?;
        let plain = cells.as_string_opt::<i32>().map(|texts| texts.value(self.row));
        plain.or_else(|| Some(cells.as_string_view_opt()?.value(self.row)))
    }

    pub(crate) fn flag(&self, column: usize) -> bool {
        self.there(column).and_then(|cells| cells.as_boolean_opt()).is_some_and(|flags| flags.value(self.row))
    }

    pub(crate) fn int(&self, column: usize) -> Option<i64> {
        Some(self.there(column)?.as_primitive_opt::<Int64Type>()?.value(self.row))
    }

    pub(crate) fn must(&self, column: usize) -> Result<&'a str, VerifyError> {
        self.text(column).ok_or_else(|| self.damaged(column))
    }

    /// What it is about, from the columns of gateway, own id and corrected id.
    pub(crate) fn id(&self, texts: &mut Texts, kind: &str, columns: [usize; 3]) -> Result<RequestId, VerifyError> {
        let [gateway, own, corrected] = columns;
        let corrected = if kind == "request" { None } else { self.text(corrected) };
        let id = corrected.map_or_else(|| self.must(own), Ok)?;
        Ok((texts.must(self, gateway)?, id.into()))
    }

    pub(crate) fn instant(&self, column: usize) -> Result<DateTime<Utc>, VerifyError> {
        let micros = self.there(column).and_then(|cells| cells.as_primitive_opt::<TimestampMicrosecondType>());
        let at = micros.and_then(|micros| DateTime::from_timestamp_micros(micros.value(self.row)));
        at.ok_or_else(|| self.damaged(column))
    }

    /// Source, partition, offset and index, from a column on.
    pub(crate) fn place(&self, texts: &mut Texts, column: usize) -> Result<Place, VerifyError> {
        let small = |column: usize| self.there(column)?.as_primitive_opt::<Int32Type>().map(|n| n.value(self.row));
        let (partition, offset, index) = (small(column + 1), self.int(column + 2), small(column + 3));
        match (partition, offset, index) {
            (Some(partition), Some(offset), Some(index)) => Ok((texts.must(self, column)?, partition, offset, index)),
            _ => Err(self.damaged(column)),
        }
    }

    fn damaged(&self, column: usize) -> VerifyError {
        let what = format!("column {} cannot be read", self.batch.schema().field(column).name());
        VerifyError::Stored { table: ACCESS_LOG.name, what }
    }
}
