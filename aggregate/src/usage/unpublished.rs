//! Usage on its way into files that one commit names in the end.
//!
//! Takes what each pass of a refresh comes to; gives the files of all of them. What is held is bounded, however much is
//! computed anew: whole history is written pass by pass, and still appears in one commit or not at all. A refresh of a
//! few hours is written once, so that a day stays one file.

use arrow::array::RecordBatch;
use tollbook_lake::{Lake, Unpublished};
use tollbook_schemas::tables::derived::USAGE;
use tollbook_schemas::tables::{Row, batch_of};

use crate::error::AggregateError;

/// Rows of `usage` that are held until they are written; in tests so few that several passes are several writes.
const ROWS_HELD_MAX: usize = if cfg!(test) { 60 } else { 200_000 };

/// The files so far, and what is not in one yet.
pub(super) struct UnpublishedUsage<'a> {
    lake: &'a Lake,
    held: Vec<RecordBatch>,
    files: Unpublished,
}

impl<'a> UnpublishedUsage<'a> {
    /// Nothing yet.
    pub(super) fn of(lake: &'a Lake) -> Self {
        Self { lake, held: Vec::new(), files: Unpublished::default() }
    }

    /// Takes in rows.
    ///
    /// # Errors
    /// [`AggregateError`].
    pub(super) async fn add(&mut self, rows: &[Row]) -> Result<(), AggregateError> {
        if !rows.is_empty() {
            self.held.push(batch_of(&USAGE, rows)?);
        }
        if self.held.iter().map(RecordBatch::num_rows).sum::<usize>() >= ROWS_HELD_MAX {
            self.write().await?;
        }
        Ok(())
    }

    /// The files, with these batches among them.
    ///
    /// # Errors
    /// [`AggregateError`].
    pub(super) async fn files(mut self, last: Vec<RecordBatch>) -> Result<Unpublished, AggregateError> {
        self.held.extend(last);
        self.write().await?;
        Ok(self.files)
    }

    async fn write(&mut self) -> Result<(), AggregateError> {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            self.files.add(self.lake.write_unpublished(&USAGE, &held).await?);
        }
        Ok(())
    }
}
