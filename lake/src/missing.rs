//! Appending what is not there yet: rows by their key, or all rows of a group, in one commit; twice is once.
//!
//! A counter of the table is compared and swapped with each, so that two writers cannot both find a key missing and both
//! add it.

use std::collections::HashSet;

use arrow::record_batch::RecordBatch;
use tollbook_schemas::tables::{Cells, Row, Table, Value, batch_of, rows_of};

use crate::commit::{ATTEMPTS_MAX, Outcome, TxnStep, pause};
use crate::error::LakeError;
use crate::open::Lake;

/// App id of the counter that [`Lake::append_missing`] moves: whoever must see every such row of a table before it
/// decides compares and swaps it too.
#[must_use]
pub fn rows_app_id(def: &Table) -> String {
    format!("rows/{}", def.name)
}

/// Groups whose rows are built at once.
const GROUPS_AT_ONCE: usize = 500;

impl Lake {
    /// Adds the rows whose key the table does not have yet, in one commit; gives how many were added. Safe under
    /// concurrency: a counter of the table is compared and swapped, so two writers cannot both add one key.
    ///
    /// # Errors
    /// [`LakeError`]; [`LakeError::Contention`] when other writers kept winning.
    pub async fn append_missing(&self, def: &'static Table, rows: &[Row]) -> Result<usize, LakeError> {
        self.append_missing_where(def, "true", rows).await
    }

    /// The same, where rows of these keys could only be among those that meet a condition, such as a month's: the others
    /// are not looked through.
    ///
    /// # Errors
    /// As [`Lake::append_missing`].
    pub async fn append_missing_where(
        &self,
        def: &'static Table,
        condition: &str,
        rows: &[Row],
    ) -> Result<usize, LakeError> {
        let app_id = rows_app_id(def);
        for attempt in 0..ATTEMPTS_MAX {
            pause(attempt).await;
            let expected = self.txn(def, &app_id).await?;
            let mut seen = self.keys(def, condition).await?;
            let missing: Vec<&Row> = rows.iter().filter(|row| seen.insert(key_of(def, row))).collect();
            if missing.is_empty() {
                return Ok(0);
            }
            let step = TxnStep::counting(&app_id, expected);
            match self.append_batches(def, &[batch_of(def, &missing)?], &[step]).await? {
                Outcome::Committed => return Ok(missing.len()),
                Outcome::Already | Outcome::Fenced { .. } => {}
            }
        }
        Err(LakeError::Contention { table: def.name, app_id })
    }

    /// The keys of the rows that meet a condition.
    async fn keys(&self, def: &'static Table, condition: &str) -> Result<HashSet<String>, LakeError> {
        let context = self.empty_session()?;
        self.register(&context, def, None).await?;
        let columns: Vec<String> = def.key.iter().map(|column| format!("\"{column}\"")).collect();
        let sql = format!("select {} from {} where {condition}", columns.join(", "), def.name);
        let mut keys = HashSet::new();
        for batch in self.query(&context, &sql).await? {
            keys.extend(rows_of(def, &batch)?.iter().map(|row| key_of(def, row)));
        }
        Ok(keys)
    }

    /// Adds the rows of those groups that the table has no row of, in one commit; gives how many groups were added. The
    /// rows of a group are always added together, so one row of it is all of them. `column` holds the group's name; rows
    /// of a group could only be among those that meet `condition`. `rows` makes the rows of a group, and is asked for a few
    /// groups at a time: the rows of many are never held at once.
    ///
    /// # Errors
    /// As [`Lake::append_missing`], and those of `rows`.
    pub async fn append_missing_groups<E: From<LakeError>>(
        &self,
        def: &'static Table,
        (column, condition): (&str, &str),
        groups: &[&str],
        rows: impl Fn(usize) -> Result<Vec<Row>, E>,
    ) -> Result<usize, E> {
        let app_id = rows_app_id(def);
        for attempt in 0..ATTEMPTS_MAX {
            pause(attempt).await;
            let expected = self.txn(def, &app_id).await?;
            let there = self.groups(def, column, condition).await?;
            let missing: Vec<usize> = (0..groups.len()).filter(|at| !there.contains(groups[*at])).collect();
            let mut batches: Vec<RecordBatch> = Vec::new();
            for some in missing.chunks(GROUPS_AT_ONCE) {
                let mut of_some = Vec::new();
                for at in some {
                    of_some.extend(rows(*at)?);
                }
                if !of_some.is_empty() {
                    batches.push(batch_of(def, &of_some).map_err(LakeError::from)?);
                }
            }
            if batches.is_empty() {
                return Ok(0);
            }
            let step = TxnStep::counting(&app_id, expected);
            match self.append_batches(def, &batches, &[step]).await? {
                Outcome::Committed => return Ok(missing.len()),
                Outcome::Already | Outcome::Fenced { .. } => {}
            }
        }
        Err(LakeError::Contention { table: def.name, app_id }.into())
    }

    /// The groups that have a row.
    async fn groups(&self, def: &'static Table, column: &str, condition: &str) -> Result<HashSet<String>, LakeError> {
        let context = self.empty_session()?;
        self.register(&context, def, None).await?;
        let sql = format!("select distinct \"{column}\" from {} where {condition}", def.name);
        let mut groups = HashSet::new();
        for batch in self.query(&context, &sql).await? {
            let cells = Cells::of(def, &batch, column)?;
            for row in 0..batch.num_rows() {
                groups.insert(cells.some_text(row)?.to_owned());
            }
        }
        Ok(groups)
    }
}

fn key_of(def: &Table, row: &Row) -> String {
    let parts: Vec<String> = def
        .key
        .iter()
        .map(|column| match row.get(column) {
            Value::Text(text) => format!("{}:{text}", text.len()),
            other => format!("{other:?}"),
        })
        .collect();
    parts.join("|")
}
