//! All transactions of a table at the version of its snapshot.
//!
//! deltalake answers for one app id by replaying the whole log; a pin needs all of them, and a commit needs them at
//! exactly the snapshot that it hands over. So the log is replayed here once and then followed: last checkpoint,
//! then the JSON entries after it. A missing entry is an error, never "no transaction": that would mean "start
//! again from the earliest offset", and everything would count twice.

use std::collections::BTreeMap;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use deltalake_core::DeltaTableError;
use futures::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::Table;

use crate::error::LakeError;
use crate::open::{Handle, Lake};

const WATERMARK: &str = "watermark_ms ";

/// App id of the time, in milliseconds, of the newest file that was read to its end.
pub const FILE_WATERMARK: &str = "file_watermark_ms";

/// App id of a partition's watermark, whose version is an instant in milliseconds. Without '#', so that it is never
/// taken for an offset.
#[must_use]
pub fn watermark_app_id(source: &Source, partition: i32) -> String {
    format!("{WATERMARK}{source} {partition}")
}

impl Handle {
    /// The transactions at the snapshot that the handle holds.
    pub(crate) async fn txns(&mut self) -> Result<&BTreeMap<String, i64>, LakeError> {
        let def = self.def;
        let damaged = |what: String| LakeError::Log { table: def.name, what };
        let version = self.table.version().ok_or_else(|| damaged("it has no version".to_owned()))?;
        let from = match self.txns_version {
            Some(known) if known <= version => known + 1,
            _ => {
                self.txns.clear();
                let store = self.table.log_store().object_store(None);
                match last_checkpoint(&store, version, def).await? {
                    Some((at, txns)) => {
                        self.txns = txns;
                        self.checkpoint_at = self.checkpoint_at.max(Some(at));
                        at + 1
                    }
                    None => 0,
                }
            }
        };
        for entry in from..=version {
            let bytes = self
                .table
                .log_store()
                .read_commit_entry(entry)
                .await
                .map_err(|source| LakeError::Open { table: def.name, source: Box::new(source) })?
                .ok_or_else(|| damaged(format!("entry {entry} is missing")))?;
            read_entry(&bytes, &mut self.txns).map_err(|what| damaged(format!("entry {entry}: {what}")))?;
        }
        self.txns_version = Some(version);
        Ok(&self.txns)
    }
}

impl Lake {
    /// The version of one transaction; `None` where it was never made.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn txn(&self, def: &'static Table, app_id: &str) -> Result<Option<i64>, LakeError> {
        Ok(self.txns(def).await?.get(app_id).copied())
    }

    /// How far the data of an ingested table reach: the earliest watermark of all partitions of these sources (those
    /// that are read today: a topic that is read no more must not hold back the rest); without sources, the time of
    /// the newest file. `None` where that is not known: a source that was never read to its end, or one of its
    /// partitions, may hold anything.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn watermark(&self, def: &'static Table, sources: &[Source]) -> Result<Option<DateTime<Utc>>, LakeError> {
        let txns = self.txns(def).await?;
        Ok(watermark_of(&txns, sources).and_then(DateTime::from_timestamp_millis))
    }

    /// All transactions of a table, at its newest version.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn txns(&self, def: &'static Table) -> Result<BTreeMap<String, i64>, LakeError> {
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        handle.refresh().await?;
        Ok(handle.txns().await?.clone())
    }
}

fn watermark_of(txns: &BTreeMap<String, i64>, sources: &[Source]) -> Option<i64> {
    if sources.is_empty() {
        return txns.get(FILE_WATERMARK).copied();
    }
    let mut earliest = None;
    for source in sources {
        let known = txns.keys().filter_map(|app_id| Source::split_app_id(app_id)).filter(|(of, _)| of == source);
        let mut partitions = known.map(|(_, partition)| partition).peekable();
        // Without a partition nothing was ever read of it.
        partitions.peek()?;
        for partition in partitions {
            let passed = *txns.get(&watermark_app_id(source, partition))?;
            earliest = Some(earliest.map_or(passed, |earliest: i64| earliest.min(passed)));
        }
    }
    earliest
}

/// Adds the transactions of one log entry.
fn read_entry(bytes: &Bytes, txns: &mut BTreeMap<String, i64>) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    for line in text.lines().filter(|line| line.trim_start().starts_with("{\"txn\"")) {
        let action: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let app_id = action["txn"]["appId"].as_str().ok_or("a txn without appId")?;
        let version = action["txn"]["version"].as_i64().ok_or("a txn without version")?;
        txns.insert(app_id.to_owned(), version);
    }
    Ok(())
}

type Checkpoint = (u64, BTreeMap<String, i64>);

fn failed(def: &'static Table, error: object_store::Error) -> LakeError {
    LakeError::Open { table: def.name, source: Box::new(DeltaTableError::ObjectStore { source: error }) }
}

/// The newest classic checkpoint at or before a version, with its transactions.
async fn last_checkpoint(
    store: &dyn ObjectStore,
    version: u64,
    def: &'static Table,
) -> Result<Option<Checkpoint>, LakeError> {
    let Some((at, location)) = newest_checkpoint(store, version, def).await? else { return Ok(None) };
    let failed = |error| failed(def, error);
    let bytes = store.get(&location).await.map_err(failed)?.bytes().await.map_err(failed)?;
    let txns = txns_of_checkpoint(bytes)
        .map_err(|what| LakeError::Log { table: def.name, what: format!("checkpoint {at}: {what}") })?;
    Ok(Some((at, txns)))
}

/// The newest classic checkpoint at or before a version, and its file.
pub(crate) async fn newest_checkpoint(
    store: &dyn ObjectStore,
    version: u64,
    def: &'static Table,
) -> Result<Option<(u64, object_store::path::Path)>, LakeError> {
    let folder = object_store::path::Path::from("_delta_log");
    let entries: Vec<_> = store.list(Some(&folder)).try_collect().await.map_err(|error| failed(def, error))?;
    Ok(entries
        .into_iter()
        .filter_map(|entry| {
            let name = entry.location.filename()?.strip_suffix(".checkpoint.parquet")?.to_owned();
            Some((name.parse::<u64>().ok()?, entry.location))
        })
        .filter(|(at, _)| *at <= version)
        .max_by_key(|(at, _)| *at))
}

/// Some columns of a checkpoint; those that it does not have are left out.
pub(crate) fn checkpoint_batches(
    bytes: Bytes,
    columns: &[&str],
) -> Result<impl Iterator<Item = Result<RecordBatch, String>> + use<>, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let reader = builder.with_projection(mask).build().map_err(|error| error.to_string())?;
    Ok(reader.map(|batch| batch.map_err(|error| error.to_string())))
}

/// The transactions that a checkpoint has.
pub(crate) fn txns_of_checkpoint(bytes: Bytes) -> Result<BTreeMap<String, i64>, String> {
    let mut txns = BTreeMap::new();
    for batch in checkpoint_batches(bytes, &["txn"])? {
        let batch = batch?;
        let Some(column) = batch.column_by_name("txn") else { continue };
        let txn = column.as_struct_opt().ok_or("txn is not a struct")?;
        let app_ids = txn.column_by_name("appId").and_then(|c| c.as_string_opt::<i32>()).ok_or("no appId")?;
        let versions =
            txn.column_by_name("version").and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or("no version")?;
        for row in (0..txn.len()).filter(|row| txn.is_valid(*row) && app_ids.is_valid(*row)) {
            txns.insert(app_ids.value(row).to_owned(), versions.value(row));
        }
    }
    Ok(txns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source of the table: partitions that are known, and how far each was read to its end.
    #[test]
    fn data_reach_no_further_than_every_partition_of_every_source() {
        for (partitions, sources, reaches) in [
            (&[("a", 0, Some(7)), ("a", 1, Some(5))][..], &["a"][..], Some(5)),
            (&[("a", 0, Some(7)), ("a", 1, None)], &["a"], None),
            (&[("a", 0, Some(7)), ("b", 0, Some(3))], &["a", "b"], Some(3)),
            (&[("a", 0, Some(7)), ("b", 0, Some(3))], &["a"], Some(7)),
            (&[("a", 0, Some(7))], &["a", "b"], None),
            (&[], &["a"], None),
            (&[("a", 0, Some(7))], &[], Some(99)),
        ] {
            let mut txns = BTreeMap::from([(FILE_WATERMARK.to_owned(), 99)]);
            let source = |name: &str| Source::kafka("test", name, "1").unwrap();
            for (name, partition, passed) in partitions {
                txns.insert(source(name).app_id(*partition), 1);
                if let Some(passed) = passed {
                    txns.insert(watermark_app_id(&source(name), *partition), *passed);
                }
            }
            let read: Vec<Source> = sources.iter().map(|name| source(name)).collect();
            assert_eq!(watermark_of(&txns, &read), reaches, "{partitions:?} {sources:?}");
        }
    }

    #[test]
    fn later_entries_win_and_damage_is_told() {
        let mut txns = BTreeMap::new();
        let entry = Bytes::from_static(
            b"{\"commitInfo\":{}}\n{\"txn\":{\"appId\":\"a#0\",\"version\":5}}\n{\"txn\":{\"appId\":\"b\",\"version\":1}}\n",
        );
        read_entry(&entry, &mut txns).unwrap();
        read_entry(&Bytes::from_static(b"{\"txn\":{\"appId\":\"a#0\",\"version\":9}}"), &mut txns).unwrap();
        assert_eq!(txns, BTreeMap::from([("a#0".to_owned(), 9), ("b".to_owned(), 1)]));
        assert!(read_entry(&Bytes::from_static(b"{\"txn\":{\"appId\":\"a#0\"}}"), &mut txns).is_err());
    }
}
