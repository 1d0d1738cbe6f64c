//! The commit: rows and transactions together, compare-and-swap on every transaction (ingest.md §2.2).
//!
//! Delta alone accepts a transaction twice, or lower than before. What makes a step happen once is this order:
//! read the newest snapshot, compare every transaction with what the caller expects, and hand *that very snapshot*
//! to the commit. deltalake then refuses if any commit since carried one of our app ids. Whatever error comes back,
//! the answer is to look into the log: the commit may have landed all the same (a lost answer, a failed hook). Only
//! an attempt that is not there is made again, and only if every transaction still is where it was expected.

use arrow::record_batch::RecordBatch;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake_core::kernel::{Action, Add, Remove, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use tollbook_schemas::tables::{Row, Table, batch_of};

use crate::error::LakeError;
use crate::open::{Handle, Lake};
use crate::write::Unpublished;

/// Attempts before a commit that keeps failing is given up.
pub(crate) const ATTEMPTS_MAX: usize = 20;

/// One transaction to move: from what it is expected to be, to what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnStep {
    /// App id.
    pub app_id: String,
    /// Version that it must have; `None` where it must not exist.
    pub expected: Option<i64>,
    /// Version that it gets.
    pub next: i64,
}

impl TxnStep {
    /// The step of a counter: whoever moves it too, from where it was found, is fenced.
    #[must_use]
    pub fn counting(app_id: &str, found: Option<i64>) -> Self {
        Self { app_id: app_id.to_owned(), expected: found, next: found.unwrap_or(0) + 1 }
    }
}

/// How a commit ended that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It landed now.
    Committed,
    /// It had landed before: every step is at its next version.
    Already,
    /// A transaction is elsewhere: somebody else moved it, and nothing was written.
    Fenced {
        /// Which.
        app_id: String,
        /// Where it is.
        found: Option<i64>,
    },
}

/// Rows of one topic-partition with the transaction that they move: fenced alone, committed together with others.
#[derive(Debug)]
pub struct Part {
    /// Transaction of the partition; its versions are offsets.
    pub step: TxnStep,
    /// Rows; none is allowed (offsets without records).
    pub batches: Vec<RecordBatch>,
}

/// What a commit does to the table's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Adds rows.
    Append,
    /// Replaces files by files.
    Replace,
    /// Replaces files by fewer files with the same rows.
    Compact {
        /// Size that the new files aim at.
        target_bytes: u64,
    },
}

/// Where one step stands against the transactions of a snapshot.
fn stand(step: &TxnStep, found: Option<i64>) -> Outcome {
    if found == step.expected {
        return Outcome::Committed;
    }
    if found.is_some_and(|found| found >= step.next) {
        return Outcome::Already;
    }
    Outcome::Fenced { app_id: step.app_id.clone(), found }
}

/// The transaction of everything that takes files out of a table: [`Lake::replace`] and [`Lake::compact`] move it.
///
/// deltalake 1.1.3 lets a commit that removes files land behind one that rewrote those very files: its checks pass over
/// removals without a change of data, and know no reads of a write without a predicate. A replacement behind a
/// compaction would then leave the compacted copy alive, and every row would be there twice; so would a second
/// compaction. Two commits with one app id always conflict, and the loser reads again. Appends do not carry it.
pub(crate) const MAINTENANCE: &str = "maintenance";

/// The next step of [`MAINTENANCE`] behind these transactions.
pub(crate) fn maintenance_step(found: Option<i64>) -> TxnStep {
    TxnStep::counting(MAINTENANCE, found)
}

impl Lake {
    /// Appends the parts of several partitions in one commit. A part that is fenced, or that had landed before, drops
    /// out alone; the result has one outcome for each part, in order.
    ///
    /// # Errors
    /// [`LakeError`] when files or log cannot be written; nothing of the parts is then visible.
    pub async fn append_parts(&self, def: &'static Table, parts: &[Part]) -> Result<Vec<Outcome>, LakeError> {
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        let mut files: Vec<Vec<Add>> = Vec::new();
        for part in parts {
            files.push(handle.write_files(&part.batches).await?);
        }
        let mut last = None;
        for attempt in 0..ATTEMPTS_MAX {
            pause(attempt).await;
            handle.refresh().await?;
            let txns = handle.txns().await?;
            let outcomes: Vec<Outcome> =
                parts.iter().map(|part| stand(&part.step, txns.get(&part.step.app_id).copied())).collect();
            let kept: Vec<usize> = (0..parts.len()).filter(|at| outcomes[*at] == Outcome::Committed).collect();
            if kept.is_empty() {
                return Ok(outcomes);
            }
            let steps: Vec<&TxnStep> = kept.iter().map(|at| &parts[*at].step).collect();
            let actions = kept.iter().flat_map(|at| files[*at].iter().cloned().map(Action::Add)).collect();
            match handle.commit_once(Operation::Append, actions, &steps).await? {
                Attempt::Landed => return Ok(outcomes),
                Attempt::Lost(error) => last = Some(error),
            }
        }
        Err(gave_up(def, last))
    }

    /// One commit of rows and transactions; nothing is written unless every step is as expected.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn append(&self, def: &'static Table, rows: &[Row], steps: &[TxnStep]) -> Result<Outcome, LakeError> {
        let batches = if rows.is_empty() { Vec::new() } else { vec![batch_of(def, rows)?] };
        self.append_batches(def, &batches, steps).await
    }

    /// As [`Lake::append`], for what is columns already: batches of the table's declared schema.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn append_batches(
        &self,
        def: &'static Table,
        batches: &[RecordBatch],
        steps: &[TxnStep],
    ) -> Result<Outcome, LakeError> {
        let files = self.write_unpublished(def, batches).await?;
        self.append_files(def, &files, steps).await
    }

    /// Replaces the files of whole partition values (or of the whole table, where `values` is `None`) by rows, in one
    /// commit with its transactions.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn replace(
        &self,
        def: &'static Table,
        values: Option<&[String]>,
        rows: &[Row],
        steps: &[TxnStep],
    ) -> Result<Outcome, LakeError> {
        let batches = if rows.is_empty() { Vec::new() } else { vec![batch_of(def, rows)?] };
        let files = self.write_unpublished(def, &batches).await?;
        self.replace_files(def, values, &files, steps).await
    }

    /// As [`Lake::replace`], by files that were written before.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn replace_files(
        &self,
        def: &'static Table,
        values: Option<&[String]>,
        files: &Unpublished,
        steps: &[TxnStep],
    ) -> Result<Outcome, LakeError> {
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        handle.change(Operation::Replace, files.adds(), steps, |handle| handle.removes(values)).await
    }

    /// As [`Lake::append`], of files that were written before.
    pub(crate) async fn append_files(
        &self,
        def: &'static Table,
        files: &Unpublished,
        steps: &[TxnStep],
    ) -> Result<Outcome, LakeError> {
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        handle.change(Operation::Append, files.adds(), steps, |_| Ok(Vec::new())).await
    }
}

pub(crate) fn gave_up(def: &'static Table, last: Option<DeltaTableError>) -> LakeError {
    let source = Box::new(last.unwrap_or_else(|| DeltaTableError::Generic("no attempt was made".to_owned())));
    LakeError::Commit { table: def.name, attempts: ATTEMPTS_MAX, source }
}

/// How one attempt at a commit ended.
pub(crate) enum Attempt {
    /// It is in the log, whatever was answered.
    Landed,
    /// It is not.
    Lost(DeltaTableError),
}

/// Later attempts wait longer, so that two writers do not keep meeting.
pub(crate) async fn pause(attempt: usize) {
    let attempt = u32::try_from(attempt).unwrap_or(8).min(8);
    if attempt > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5 << attempt)).await;
    }
}

impl Handle {
    /// One commit of files that were written, of what they take the place of, and transactions.
    pub(crate) async fn change(
        &mut self,
        operation: Operation,
        adds: &[Add],
        steps: &[TxnStep],
        removes: impl Fn(&Self) -> Result<Vec<Remove>, LakeError>,
    ) -> Result<Outcome, LakeError> {
        let mut last = None;
        for attempt in 0..ATTEMPTS_MAX {
            pause(attempt).await;
            self.refresh().await?;
            let txns = self.txns().await?;
            let stands: Vec<Outcome> = steps.iter().map(|step| stand(step, txns.get(&step.app_id).copied())).collect();
            if !stands.is_empty() && stands.iter().all(|outcome| *outcome == Outcome::Already) {
                return Ok(Outcome::Already);
            }
            if let Some((step, _)) = steps.iter().zip(&stands).find(|(_, outcome)| **outcome != Outcome::Committed) {
                let found = txns.get(&step.app_id).copied();
                return Ok(Outcome::Fenced { app_id: step.app_id.clone(), found });
            }
            let rewrite = (operation != Operation::Append).then(|| maintenance_step(txns.get(MAINTENANCE).copied()));
            let mut actions: Vec<Action> = removes(self)?.into_iter().map(Action::Remove).collect();
            actions.extend(adds.iter().cloned().map(Action::Add));
            let refs: Vec<&TxnStep> = steps.iter().chain(&rewrite).collect();
            match self.commit_once(operation, actions, &refs).await? {
                Attempt::Landed => return Ok(Outcome::Committed),
                Attempt::Lost(error) => last = Some(error),
            }
        }
        Err(gave_up(self.def, last))
    }

    /// What takes the files of these partition values (all files, where it is `None`) out of the table.
    pub(crate) fn removes(&self, values: Option<&[String]>) -> Result<Vec<Remove>, LakeError> {
        let def = self.def;
        let replaced = |partition: Option<&str>| match (values, partition) {
            (None, _) => true,
            (Some(values), Some(partition)) => values.iter().any(|value| value == partition),
            (Some(_), None) => false,
        };
        let state =
            self.table.snapshot().map_err(|source| LakeError::Open { table: def.name, source: Box::new(source) })?;
        Ok(state
            .log_data()
            .iter()
            .filter(|file| {
                let values = file.partition_values_map();
                replaced(def.partition_by.and_then(|column| values.get(column)?.as_deref()))
            })
            .map(|file| file.remove_action(true))
            .collect())
    }

    /// One attempt with the snapshot that the handle holds: the one the transactions were read from.
    ///
    /// An error does not say that it failed: the answer may be lost, or a hook may have failed after it. Equal
    /// transactions do not say that it succeeded: another writer may have made the very same step. So every attempt
    /// has a name of its own in the log's entry, and after an error the entries since are searched for it.
    pub(crate) async fn commit_once(
        &mut self,
        operation: Operation,
        actions: Vec<Action>,
        steps: &[&TxnStep],
    ) -> Result<Attempt, LakeError> {
        let def = self.def;
        let before = self.table.version().unwrap_or_default();
        // A name must differ between processes; nothing is derived from it.
        #[allow(clippy::disallowed_methods)]
        let name = uuid::Uuid::new_v4().to_string();
        let error = match self.commit_named(&name, operation, actions, steps).await {
            Ok(()) => return Ok(Attempt::Landed),
            Err(error) => error,
        };
        // What the table itself forbids cannot have landed, and will not.
        if let DeltaTableError::Transaction { source: TransactionError::DeltaTableAppendOnly } = error {
            return Err(LakeError::Commit { table: def.name, attempts: 1, source: Box::new(error) });
        }
        self.refresh().await?;
        for entry in before + 1..=self.table.version().unwrap_or_default() {
            let bytes = self
                .table
                .log_store()
                .read_commit_entry(entry)
                .await
                .map_err(|source| LakeError::Open { table: def.name, source: Box::new(source) })?
                .ok_or_else(|| LakeError::Log { table: def.name, what: format!("entry {entry} is missing") })?;
            if bytes.windows(name.len()).any(|window| window == name.as_bytes()) {
                return Ok(Attempt::Landed);
            }
        }
        Ok(Attempt::Lost(error))
    }

    async fn commit_named(
        &mut self,
        name: &str,
        operation: Operation,
        actions: Vec<Action>,
        steps: &[&TxnStep],
    ) -> Result<(), DeltaTableError> {
        // The wrong lake of scripts/prove-kill-test.sh: rows without the txn action, the offsets in a commit of their
        // own behind them, as a consumer group would do it. A kill between the two doubles the rows.
        #[cfg(tollbook_without_txn)]
        if !actions.is_empty() && !steps.is_empty() {
            Box::pin(self.commit_named(name, operation, actions, &[])).await?;
            return Box::pin(self.commit_named(name, operation, Vec::new(), steps)).await;
        }
        let transactions = steps.iter().map(|step| Transaction::new(&step.app_id, step.next)).collect();
        let properties = CommitProperties::default()
            .with_metadata([("tollbookCommit".to_owned(), name.into())])
            .with_application_transactions(transactions)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        // A predicate would be parsed again while conflicts are checked, and can fail there: there is none.
        let partition_by = self.def.partition_by.map(|column| vec![column.to_owned()]);
        let write = |mode| DeltaOperation::Write { mode, partition_by, predicate: None };
        let operation = match operation {
            Operation::Append => write(SaveMode::Append),
            Operation::Replace => write(SaveMode::Overwrite),
            Operation::Compact { target_bytes } => DeltaOperation::Optimize {
                predicate: None,
                target_size: i64::try_from(target_bytes).unwrap_or(i64::MAX),
            },
        };
        let finalized = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(self.table.snapshot()?), self.table.log_store(), operation)
            .await?;
        self.table.state = Some(finalized.snapshot());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
