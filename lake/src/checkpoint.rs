//! Checkpoints: what the log says up to one entry, in one Parquet file, so that nobody reads every entry again.
//!
//! They are classic (V1) checkpoints, which every reader of Delta knows. A checkpoint that left out one transaction
//! would send a partition back to its earliest offset; one that lost a live file, or revived one that was taken out,
//! would lose or double rows for every reader to come. So deltalake writes it into memory; it is compared with the log,
//! transactions and live files, and only then gets its name: no reader ever sees one that says anything else, and a
//! kill leaves none. Log entries are not deleted: a query as of an earlier run reads them. Delta keeps tombstones in a
//! checkpoint for `delta.deletedFileRetentionDuration`, 7 days where it is not set.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray as _, MapArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use deltalake_core::DeltaTableError;
use deltalake_core::checkpoints::create_checkpoint;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutMode};
use tollbook_schemas::tables::Table;

use crate::error::LakeError;
use crate::open::{Handle, Lake};
use crate::txns::{checkpoint_batches, newest_checkpoint, txns_of_checkpoint};
use crate::unpublished_store::UnpublishedStore;

/// Entries between two checkpoints of a writer that commits all the time: Delta's usual number.
pub const CHECKPOINT_ENTRIES: u64 = 100;

/// The file that names the newest checkpoint.
const HINT: &str = "_last_checkpoint";

/// Partition values of a file, by column.
type Values = BTreeMap<String, Option<String>>;

/// Live files by path, each with its size and partition values.
type Files = BTreeMap<String, (i64, Values)>;

impl Lake {
    /// Writes a checkpoint at the newest version where at least `entries_min` entries came since the last one; gives
    /// its version. Cheap where too few came: after the first look it is a comparison of two numbers.
    ///
    /// # Errors
    /// [`LakeError`]; [`LakeError::Log`] where the checkpoint would not say what the log says. It is then not
    /// published.
    pub async fn checkpoint(&self, def: &'static Table, entries_min: u64) -> Result<Option<u64>, LakeError> {
        let failed = |source: DeltaTableError| LakeError::Open { table: def.name, source: Box::new(source) };
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        handle.refresh().await?;
        let version = handle.table.version().unwrap_or_default();
        // What is known may be older than what another process wrote, and never newer.
        let since = |at: Option<u64>| at.map_or(version + 1, |at| version.saturating_sub(at));
        if since(handle.checkpoint_at) < entries_min {
            return Ok(None);
        }
        let store = handle.table.log_store().object_store(None);
        handle.checkpoint_at = newest_checkpoint(&store, version, def).await?.map(|(at, _)| at);
        if since(handle.checkpoint_at) < entries_min {
            return Ok(None);
        }
        let written = Arc::new(UnpublishedStore::over(self.inner.store.clone()));
        let mut table = self.table_over(def, written.clone())?;
        table.state = handle.table.state.clone();
        create_checkpoint(&table, None).await.map_err(failed)?;
        let written = written.written().await.map_err(|error| failed(error.into()))?;
        handle.publish_checkpoint(version, written).await?;
        handle.checkpoint_at = Some(version);
        // From here on this handle, too, reads on from the checkpoint.
        handle.load_anew().await?;
        Ok(Some(version))
    }
}

impl Handle {
    /// Gives what deltalake wrote of a checkpoint its place, if the checkpoint says what the log says. The version must
    /// be that of the handle's snapshot.
    async fn publish_checkpoint(&mut self, version: u64, written: Vec<(Path, Bytes)>) -> Result<(), LakeError> {
        let def = self.def;
        let damaged = |what: String| LakeError::Log { table: def.name, what: format!("checkpoint {version} {what}") };
        let name = format!("{version:020}.checkpoint.parquet");
        let written =
            |name: &str| written.iter().find(|(path, _)| path.filename() == Some(name)).map(|(_, b)| b.clone());
        let (Some(checkpoint), Some(hint)) = (written(&name), written(HINT)) else {
            return Err(damaged("was not written as one file with its hint".to_owned()));
        };
        let txns = self.txns().await?.clone();
        compare(checkpoint.clone(), &txns, &self.live_files()?)
            .map_err(|what| damaged(format!("would not say what the log says: {what}; it was not published")))?;
        let store = self.table.log_store().object_store(None);
        let failed =
            |source| LakeError::Open { table: def.name, source: Box::new(DeltaTableError::ObjectStore { source }) };
        let log = Path::from("_delta_log");
        // Another process may have published one of the same version: equal, and compared like this one.
        match store.put_opts(&log.clone().join(name), checkpoint.into(), PutMode::Create.into()).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
        // Only now: where the hint names a checkpoint that is not there, no reader opens the table any more.
        store.put(&log.join(HINT), hint.into()).await.map_err(failed)?;
        Ok(())
    }

    /// The live files as the snapshot has them.
    fn live_files(&self) -> Result<Files, LakeError> {
        let def = self.def;
        let state =
            self.table.snapshot().map_err(|source| LakeError::Open { table: def.name, source: Box::new(source) })?;
        let files = state.log_data();
        Ok(files
            .iter()
            .map(|file| (file.path().into_owned(), (file.size(), file.partition_values_map().into_iter().collect())))
            .collect())
    }
}

/// Whether a checkpoint has exactly these transactions and live files; otherwise what differs.
fn compare(bytes: Bytes, txns: &BTreeMap<String, i64>, files: &Files) -> Result<(), String> {
    if txns_of_checkpoint(bytes.clone())? != *txns {
        return Err("its transactions differ".to_owned());
    }
    let found = files_of_checkpoint(bytes)?;
    if let Some(lost) = files.keys().find(|path| !found.contains_key(*path)) {
        return Err(format!("file {lost} is missing"));
    }
    for (path, said) in &found {
        match files.get(path) {
            None => return Err(format!("file {path} is not live")),
            Some(live) if live != said => return Err(format!("file {path} has another size or partition value")),
            Some(_) => {}
        }
    }
    Ok(())
}

/// The live files that a checkpoint names. One that it names twice, or also as taken out, is damage: readers differ in
/// what they make of it.
fn files_of_checkpoint(bytes: Bytes) -> Result<Files, String> {
    let mut files = Files::new();
    let mut removed = Vec::new();
    for batch in checkpoint_batches(bytes, &["add", "remove"])? {
        let batch = batch?;
        if let Some(column) = batch.column_by_name("add") {
            let add = column.as_struct_opt().ok_or("add is not a struct")?;
            let paths = add.column_by_name("path").and_then(|c| c.as_string_opt::<i32>()).ok_or("no path")?;
            let sizes = add.column_by_name("size").and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or("no size")?;
            let values = add.column_by_name("partitionValues").and_then(|c| c.as_map_opt()).ok_or("no values")?;
            for row in (0..add.len()).filter(|row| add.is_valid(*row)) {
                let path = path_of(paths.value(row))?;
                let said = (sizes.value(row), values_of(values, row)?);
                if files.insert(path.clone(), said).is_some() {
                    return Err(format!("file {path} is there twice"));
                }
            }
        }
        if let Some(column) = batch.column_by_name("remove") {
            let remove = column.as_struct_opt().ok_or("remove is not a struct")?;
            let paths = remove.column_by_name("path").and_then(|c| c.as_string_opt::<i32>()).ok_or("no path")?;
            for row in (0..remove.len()).filter(|row| remove.is_valid(*row)) {
                removed.push(path_of(paths.value(row))?);
            }
        }
    }
    match removed.into_iter().find(|path| files.contains_key(path)) {
        Some(path) => Err(format!("file {path} is live and taken out")),
        None => Ok(files),
    }
}

/// A path as the log's reader gives it: without percent signs.
fn path_of(raw: &str) -> Result<String, String> {
    let path = Path::from_url_path(raw).map_err(|error| error.to_string())?;
    Ok(path.to_string())
}

fn values_of(values: &MapArray, row: usize) -> Result<Values, String> {
    if values.is_null(row) {
        return Ok(Values::new());
    }
    let entries = values.value(row);
    let keys = entries.column(0).as_string_opt::<i32>().ok_or("partition columns are no text")?;
    let texts = entries.column(1).as_string_opt::<i32>().ok_or("partition values are no text")?;
    Ok((0..entries.len())
        .map(|at| (keys.value(at).to_owned(), texts.is_valid(at).then(|| texts.value(at).to_owned())))
        .collect())
}

#[cfg(test)]
mod tests;
