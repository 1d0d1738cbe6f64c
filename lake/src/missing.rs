//! Appending what is not there yet: rows by their key, or all rows of a group, in one commit; twice is once.
//!
//! A counter of the table is compared and swapped with each, so that two writers cannot both find a key missing and
//! both add it.

use std::collections::HashSet;

use arrow::record_batch::RecordBatch;
use tollbook_schemas::tables::{Cells, Row, Table, Value, batch_of, rows_of};

use crate::commit::{ATTEMPTS_MAX, Outcome, TxnStep, pause};
use crate::error::LakeError;
use crate::open::Lake;
use crate::write::Unpublished;

/// App id of the counter that [`Lake::append_missing`] moves: whoever must see every such row of a table before it
/// decides compares and swaps it too.
#[must_use]
pub fn rows_app_id(def: &Table) -> String {
    format!("rows/{}", def.name)
}

/// Groups whose rows are built at once.
const GROUPS_AT_ONCE: usize = if cfg!(test) { 2 } else { 500 };

/// The groups of rows that a table has, of those that meet a condition: read once, and kept while only its owner adds
/// to them.
#[derive(Debug)]
pub struct KnownGroups {
    def: &'static Table,
    /// Holds the group's name.
    column: &'static str,
    /// Rows of the groups that are asked for could only be among those that meet it.
    condition: String,
    /// Where the counter stood, and the groups that were there then.
    there: Option<(Option<i64>, HashSet<String>)>,
}

impl KnownGroups {
    /// Groups of a table by a column, among the rows that meet an SQL condition; nothing is read yet.
    #[must_use]
    pub fn of(def: &'static Table, column: &'static str, condition: &str) -> Self {
        Self { def, column, condition: condition.to_owned(), there: None }
    }
}

impl Lake {
    /// Adds the rows whose key the table does not have yet, in one commit; gives how many were added. Safe under
    /// concurrency: a counter of the table is compared and swapped, so two writers cannot both add one key.
    ///
    /// # Errors
    /// [`LakeError`]; [`LakeError::Contention`] when other writers kept winning.
    pub async fn append_missing(&self, def: &'static Table, rows: &[Row]) -> Result<usize, LakeError> {
        self.append_missing_where(def, "true", rows).await
    }

    /// The same, where rows of these keys could only be among those that meet a condition, such as a month's: the
    /// others are not looked through.
    ///
    /// # Errors
    /// As [`Lake::append_missing`].
    pub async fn append_missing_where(
        &self,
        def: &'static Table,
        condition: &str,
        rows: &[Row],
    ) -> Result<usize, LakeError> {
        for attempt in 0..ATTEMPTS_MAX {
            pause(attempt).await;
            let found = self.txn(def, &rows_app_id(def)).await?;
            let mut seen = self.keys(def, condition).await?;
            let missing: Vec<&Row> = rows.iter().filter(|row| seen.insert(key_of(def, row))).collect();
            if missing.is_empty() {
                return Ok(0);
            }
            let files = self.write_unpublished(def, &[batch_of(def, &missing)?]).await?;
            if self.append_counted(def, &files, found).await?.is_some() {
                return Ok(missing.len());
            }
        }
        Err(contention(def))
    }

    /// Commits files, where nobody moved the counter since it was found; gives where it stands then.
    async fn append_counted(
        &self,
        def: &'static Table,
        files: &Unpublished,
        found: Option<i64>,
    ) -> Result<Option<i64>, LakeError> {
        let step = TxnStep::counting(&rows_app_id(def), found);
        let next = step.next;
        let outcome = self.append_files(def, files, &[step]).await?;
        Ok((outcome == Outcome::Committed).then_some(next))
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
    /// rows of a group are always added together, so one row of it is all of them. `batch` makes the rows of some
    /// groups, by their places in `groups`, and is asked for a few at a time: the rows of many are never held at once.
    ///
    /// # Errors
    /// As [`Lake::append_missing`], and those of `batch`.
    pub async fn append_missing_groups<E: From<LakeError>>(
        &self,
        known: &mut KnownGroups,
        groups: &[&str],
        batch: impl Fn(&[usize]) -> Result<RecordBatch, E>,
    ) -> Result<usize, E> {
        let def = known.def;
        for attempt in 0..ATTEMPTS_MAX {
            pause(attempt).await;
            let found = self.txn(def, &rows_app_id(def)).await?;
            // Whoever added rows since moved the counter.
            if known.there.as_ref().is_none_or(|(counter, _)| *counter != found) {
                known.there = Some((found, self.groups(def, known.column, &known.condition).await?));
            }
            let there = known.there.as_ref().map(|(_, there)| there);
            let is_missing = |at: &usize| there.is_none_or(|there| !there.contains(groups[*at]));
            let missing: Vec<usize> = (0..groups.len()).filter(is_missing).collect();
            let pieces: Vec<&[usize]> = missing.chunks(GROUPS_AT_ONCE).collect();
            let files = self.write_made(def, pieces.len(), |piece| batch(pieces[piece])).await?;
            // Groups without a row leave nothing to commit.
            if files.is_empty() {
                return Ok(0);
            }
            if let Some(next) = self.append_counted(def, &files, found).await? {
                if let Some((counter, there)) = &mut known.there {
                    *counter = Some(next);
                    there.extend(missing.iter().map(|at| groups[*at].to_owned()));
                }
                return Ok(missing.len());
            }
        }
        Err(contention(def).into())
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

fn contention(def: &'static Table) -> LakeError {
    LakeError::Contention { table: def.name, app_id: rows_app_id(def) }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chrono::NaiveDate;
    use tollbook_schemas::decimal::Decimal;
    use tollbook_schemas::tables::Columns;
    use tollbook_schemas::tables::billing::BILLED_USAGE;

    use super::*;

    /// Three rows for each document.
    fn evidence(ids: &[&str]) -> Result<RecordBatch, LakeError> {
        let rows = || ids.iter().flat_map(|id| std::iter::repeat_n(*id, 3));
        let count = ids.len() * 3;
        let day = |at: usize| NaiveDate::from_ymd_opt(2026, 6, u32::try_from(at % 3 + 1).unwrap()).unwrap();
        let columns = Columns::of(&BILLED_USAGE)
            .texts("line_id", rows().map(|id| format!("lin_{id}")))
            .texts("invoice_id", rows())
            .dates("event_date", (0..count).map(day))
            .decimals("quantity", vec![Decimal::ZERO; count])
            .ints("event_count", vec![0; count])
            .ints("slice_count", vec![1; count])
            .texts("usage_sha256", vec![""; count])
            .texts("period", vec!["2026-06"; count]);
        Ok(columns.finish()?)
    }

    /// By one owner or by two that do not know of each other: each group once, all its rows.
    #[tokio::test(flavor = "multi_thread")]
    async fn groups_are_added_once() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
        let known = || KnownGroups::of(&BILLED_USAGE, "invoice_id", "period = '2026-06'");
        let (mut ours, mut theirs) = (known(), known());
        let names: Vec<String> = (0..30).map(|at| format!("inv_{at:02}")).collect();
        let made = AtomicUsize::new(0);
        let add = async |known: &mut KnownGroups, ids: &[String]| {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let batch = |places: &[usize]| {
                made.fetch_add(places.len(), Ordering::Relaxed);
                evidence(&places.iter().map(|at| ids[*at]).collect::<Vec<_>>())
            };
            lake.append_missing_groups(known, &ids, batch).await.unwrap()
        };
        assert_eq!(add(&mut ours, &names[..9]).await, 9);
        assert_eq!(add(&mut ours, &names[..11]).await, 2, "what this owner added it knows");
        assert_eq!(add(&mut theirs, &names[8..13]).await, 2);
        assert_eq!(add(&mut ours, &names[10..]).await, 17, "what another owner added is seen");
        assert_eq!(add(&mut ours, &names).await, 0);
        assert_eq!(made.into_inner(), 30, "rows are made of what is missing only");
        let rows = lake.rows(&BILLED_USAGE, None).await.unwrap();
        let keys: HashSet<String> = rows.iter().map(|row| key_of(&BILLED_USAGE, row)).collect();
        assert_eq!((rows.len(), keys.len()), (90, 90));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_made_adds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
        let mut known = KnownGroups::of(&BILLED_USAGE, "invoice_id", "true");
        let names: Vec<String> = (0..20).map(|at| format!("inv_{at:02}")).collect();
        let ids: Vec<&str> = names.iter().map(String::as_str).collect();
        let broken = |places: &[usize]| match places.contains(&17) {
            true => Err(LakeError::Contention { table: "billed_usage", app_id: "broken".to_owned() }),
            false => evidence(&places.iter().map(|at| ids[*at]).collect::<Vec<_>>()),
        };
        assert!(lake.append_missing_groups(&mut known, &ids, broken).await.is_err());
        assert!(lake.rows(&BILLED_USAGE, None).await.unwrap().is_empty());
    }
}
