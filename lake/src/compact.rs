//! Compaction: many small files of a table become few, with the same rows.
//!
//! Three steps, so that nobody waits while files are written: a plan from one snapshot, the merged files (which no
//! commit names yet), one commit that takes the old files out and the new ones in, without a change of data. The
//! commit moves the transaction `maintenance` from where the plan saw it, as every replacement of files does; so of
//! two that would take the same files out, one always loses and begins again. Appends neither disturb it nor are
//! disturbed. Before the commit the merged files are read back: as many rows, and the same sum over a hash of every
//! row. A crash leaves files that no commit names. The old files stay on the disk: readers may be at them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::{Action, Add, Remove};
use futures::TryStreamExt as _;
use tollbook_schemas::tables::Table;

use crate::commit::{ATTEMPTS_MAX, Attempt, MAINTENANCE, Operation, gave_up, maintenance_step, pause};
use crate::error::LakeError;
use crate::open::Lake;
use crate::scan::Scan;

/// Plans that may come to nothing, because others took files out meanwhile, before compaction gives up.
const PLANS_LOST_MAX: usize = 5;

/// One commit rewrites about so many files' worth of the target size, so that a lost race costs little.
const TARGETS_PER_COMMIT: u64 = 8;

/// Entries after the last checkpoint that make a new one worth its writing where nothing was merged.
const CHECKPOINT_ENTRIES_MIN: u64 = 50;

/// What a compaction did to one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compacted {
    /// Live files before.
    pub files_before: usize,
    /// Live files after; appends may have added some meanwhile.
    pub files_after: usize,
    /// Bytes of the live files before.
    pub bytes_before: i64,
    /// Bytes of the live files after.
    pub bytes_after: i64,
    /// Rows that were written again.
    pub rows_total: u64,
    /// Commits made.
    pub commits_total: usize,
    /// Version of the table after.
    pub version: i64,
    /// Version of the checkpoint that was written, if one was.
    pub checkpoint: Option<u64>,
}

/// A live data file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DataFile {
    path: String,
    size: i64,
    value: Option<String>,
    rows: Option<u64>,
    modified_ms: i64,
}

impl DataFile {
    fn of(add: &Add, def: &Table) -> Self {
        let value = def.partition_by.and_then(|column| add.partition_values.get(column).cloned().flatten());
        Self { path: add.path.clone(), size: add.size, value, rows: None, modified_ms: add.modification_time }
    }
}

/// What one commit would merge, as one snapshot showed it.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where [`MAINTENANCE`] stood.
    maintenance: Option<i64>,
    /// Files that become one file each; all of one partition value.
    bins: Vec<Vec<DataFile>>,
}

/// A plan whose files are written.
#[derive(Debug)]
pub(crate) struct Merged {
    plan: Plan,
    adds: Vec<Add>,
    rows_total: u64,
}

/// Number of rows, and the sum of their hashes: equal for equal rows in any order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    rows: u64,
    hashes: u64,
}

impl Fingerprint {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let mut hashes = vec![0_u64; batch.num_rows()];
        create_hashes(batch.columns(), &RandomState::default(), &mut hashes)?;
        self.hashes = hashes.iter().fold(self.hashes, |sum, hash| sum.wrapping_add(*hash));
        self.rows += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        Ok(())
    }
}

impl Lake {
    /// Merges the small files of each partition value (of the whole table, where it has none) and writes a
    /// checkpoint where it is worth it. Safe beside every other writer, and safe to run again.
    ///
    /// # Errors
    /// [`LakeError`]; [`LakeError::Contention`] where others kept taking files out; [`LakeError::Compaction`] where
    /// the merged files do not have the rows of the old ones: nothing is then committed.
    pub async fn compact(&self, def: &'static Table, target_bytes: u64) -> Result<Compacted, LakeError> {
        let (files_before, bytes_before) = self.size(def).await?;
        let (mut rows_total, mut commits_total, mut lost) = (0, 0, 0);
        while let Some(plan) = self.plan_compaction(def, target_bytes).await? {
            let merged = self.merge(def, plan).await?;
            if self.commit_merged(def, &merged, target_bytes).await? {
                rows_total += merged.rows_total;
                commits_total += 1;
                continue;
            }
            lost += 1;
            if lost == PLANS_LOST_MAX {
                return Err(LakeError::Contention { table: def.name, app_id: MAINTENANCE.to_owned() });
            }
        }
        let entries_min = if commits_total > 0 { 1 } else { CHECKPOINT_ENTRIES_MIN };
        let checkpoint = self.checkpoint(def, entries_min).await?;
        let (files_after, bytes_after) = self.size(def).await?;
        let version = self.version(def).await?;
        Ok(Compacted {
            files_before,
            files_after,
            bytes_before,
            bytes_after,
            rows_total,
            commits_total,
            version,
            checkpoint,
        })
    }

    /// Number and bytes of the live files.
    async fn size(&self, def: &'static Table) -> Result<(usize, i64), LakeError> {
        let files = self.live(def).await?.1;
        Ok((files.len(), files.iter().map(|file| file.size).sum()))
    }

    /// Where [`MAINTENANCE`] stands, and the live files, oldest first: both of one snapshot.
    async fn live(&self, def: &'static Table) -> Result<(Option<i64>, Vec<DataFile>), LakeError> {
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        handle.refresh().await?;
        let maintenance = handle.txns().await?.get(MAINTENANCE).copied();
        let state =
            handle.table.snapshot().map_err(|source| LakeError::Open { table: def.name, source: Box::new(source) })?;
        let mut files: Vec<DataFile> = Vec::new();
        for file in state.log_data().iter() {
            if file.deletion_vector_descriptor().is_some() {
                let what = format!("file {} has a deletion vector, which this lake never writes", file.path());
                return Err(LakeError::Log { table: def.name, what });
            }
            files.push(DataFile {
                path: file.path().into_owned(),
                size: file.size(),
                value: def.partition_by.and_then(|column| file.partition_values_map().remove(column).flatten()),
                rows: file.num_records().and_then(|rows| u64::try_from(rows).ok()),
                modified_ms: file.modification_time(),
            });
        }
        files.sort_by(|a, b| (a.modified_ms, &a.path).cmp(&(b.modified_ms, &b.path)));
        Ok((maintenance, files))
    }

    /// What the next commit of a compaction would merge; `None` where nothing is left to do.
    async fn plan_compaction(&self, def: &'static Table, target_bytes: u64) -> Result<Option<Plan>, LakeError> {
        let (maintenance, files) = self.live(def).await?;
        let bins = bins(files, i64::try_from(target_bytes).unwrap_or(i64::MAX));
        Ok((!bins.is_empty()).then_some(Plan { maintenance, bins }))
    }

    /// Writes the merged files of a plan, one bin after the other, a batch at a time, and reads them back.
    async fn merge(&self, def: &'static Table, plan: Plan) -> Result<Merged, LakeError> {
        let failed = |source: DeltaTableError| LakeError::Write { table: def.name, source: Box::new(source) };
        let changed = |what: String| LakeError::Compaction { table: def.name, what };
        let (mut adds, mut rows_total) = (Vec::new(), 0);
        for bin in &plan.bins {
            let mut writer = {
                let handle = self.handle(def).await?;
                let handle = handle.lock().await;
                handle.writer()
            };
            let mut before = Fingerprint::default();
            let mut batches = self.stream(def, bin).await?;
            while let Some(batch) = batches.try_next().await? {
                let batch = RecordBatch::try_new(def.arrow_schema(), batch.columns().to_vec())
                    .map_err(|error| changed(error.to_string()))?;
                before.add(&batch)?;
                writer.write(&batch).await.map_err(failed)?;
            }
            let written = writer.close().await.map_err(failed)?;
            let files: Vec<DataFile> = written.iter().map(|add| DataFile::of(add, def)).collect();
            if files.iter().any(|file| file.value != bin[0].value) {
                return Err(changed("merged files have another partition value".to_owned()));
            }
            let mut after = Fingerprint::default();
            let mut batches = self.stream(def, &files).await?;
            while let Some(batch) = batches.try_next().await? {
                after.add(&batch)?;
            }
            if after != before {
                return Err(changed(format!("{before:?} became {after:?}")));
            }
            let declared: Option<u64> = bin.iter().map(|file| file.rows).sum();
            if declared.is_some_and(|rows| rows != before.rows) {
                return Err(changed(format!("the log says {declared:?} rows, the files have {}", before.rows)));
            }
            rows_total += before.rows;
            adds.extend(written.into_iter().map(|add| Add { data_change: false, ..add }));
        }
        Ok(Merged { plan, adds, rows_total })
    }

    /// The rows of some files, in the files' order, in the declared order of columns.
    async fn stream(
        &self,
        def: &'static Table,
        files: &[DataFile],
    ) -> Result<datafusion::execution::SendableRecordBatchStream, LakeError> {
        let context = self.empty_session()?;
        // One file after the other: order is kept, and no more than one is decoded at a time.
        context.sql("set datafusion.execution.target_partitions = 1").await?.collect().await?;
        let scan = Scan::over(def, files.iter().map(|file| (file.path.clone(), file.size, file.value.clone())))?;
        context.register_table(def.name, Arc::new(scan))?;
        let columns: Vec<String> = def.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let rows = context.sql(&format!("select {} from {}", columns.join(", "), def.name)).await?;
        Ok(rows.execute_stream().await?)
    }

    /// Commits merged files; `false` where the plan is stale: somebody else took files out since.
    async fn commit_merged(&self, def: &'static Table, merged: &Merged, target_bytes: u64) -> Result<bool, LakeError> {
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        let mut last = None;
        for attempt in 0..ATTEMPTS_MAX {
            pause(attempt).await;
            handle.refresh().await?;
            let found = handle.txns().await?.get(MAINTENANCE).copied();
            let state = handle
                .table
                .snapshot()
                .map_err(|source| LakeError::Open { table: def.name, source: Box::new(source) })?;
            let mut live: BTreeMap<String, Remove> =
                state.log_data().iter().map(|file| (file.path().into_owned(), file.remove_action(false))).collect();
            let inputs = merged.plan.bins.iter().flatten();
            let removes: Option<Vec<Remove>> = inputs.map(|file| live.remove(&file.path)).collect();
            let (true, Some(removes)) = (found == merged.plan.maintenance, removes) else { return Ok(false) };
            let mut actions: Vec<Action> = removes.into_iter().map(Action::Remove).collect();
            actions.extend(merged.adds.iter().cloned().map(Action::Add));
            let step = maintenance_step(found);
            match handle.commit_once(Operation::Compact { target_bytes }, actions, &[&step]).await? {
                Attempt::Landed => return Ok(true),
                Attempt::Lost(error) => last = Some(error),
            }
        }
        Err(gave_up(def, last))
    }
}

/// Groups files that together stay below the target, each of one partition value and of at least two files, up to
/// what one commit takes. A file of half the target or more is left alone, so that it is not written again for each
/// small file that comes after it.
fn bins(files: Vec<DataFile>, target_bytes: i64) -> Vec<Vec<DataFile>> {
    let mut by_value: BTreeMap<Option<String>, Vec<DataFile>> = BTreeMap::new();
    for file in files.into_iter().filter(|file| file.size < target_bytes / 2) {
        by_value.entry(file.value.clone()).or_default().push(file);
    }
    let bytes_of = |bin: &[DataFile]| bin.iter().map(|file| file.size).sum::<i64>();
    let mut bins: Vec<Vec<DataFile>> = Vec::new();
    let budget = target_bytes.saturating_mul(i64::try_from(TARGETS_PER_COMMIT).unwrap_or(i64::MAX));
    let mut planned = 0_i64;
    for files in by_value.into_values() {
        let mut bin: Vec<DataFile> = Vec::new();
        let mut close = |bin: Vec<DataFile>| {
            let bytes = bytes_of(&bin);
            // The first bin is always taken: otherwise nothing would ever be.
            if bin.len() > 1 && (bins.is_empty() || planned.saturating_add(bytes) <= budget) {
                planned = planned.saturating_add(bytes);
                bins.push(bin);
            }
        };
        for file in files {
            if bytes_of(&bin).saturating_add(file.size) > target_bytes {
                close(std::mem::take(&mut bin));
            }
            bin.push(file);
        }
        close(bin);
    }
    bins
}

#[cfg(test)]
mod tests;
