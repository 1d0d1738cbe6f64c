//! Checkpoints: what the log says up to one entry, in one Parquet file, so that nobody reads every entry again.
//!
//! They are classic (V1) checkpoints, which every reader of Delta knows. A checkpoint that left out one transaction
//! would send a partition back to its earliest offset, so it is read again and compared before it counts as made. Log
//! entries are not deleted: a query as of an earlier run reads them. Delta keeps tombstones in a checkpoint for
//! `delta.deletedFileRetentionDuration`, 7 days where it is not set.

use deltalake_core::DeltaTableError;
use deltalake_core::checkpoints::create_checkpoint;
use object_store::ObjectStoreExt as _;
use tollbook_schemas::error::{Classified as _, Kind};
use tollbook_schemas::tables::Table;

use crate::error::LakeError;
use crate::open::Lake;
use crate::txns::{last_checkpoint, newest_checkpoint};

/// Entries after the last checkpoint that make a new one worth its writing.
const ENTRIES_MIN: u64 = 50;

impl Lake {
    /// Writes a checkpoint at the newest version, where at least 50 entries came since the last one (with `always`,
    /// where one came); gives its version.
    ///
    /// # Errors
    /// [`LakeError`]; [`LakeError::Log`] where the checkpoint does not say what the log says. It is then taken away.
    pub async fn checkpoint(&self, def: &'static Table, always: bool) -> Result<Option<u64>, LakeError> {
        let failed = |source: DeltaTableError| LakeError::Open { table: def.name, source: Box::new(source) };
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        handle.refresh().await?;
        let version = handle.table.version().unwrap_or_default();
        let store = handle.table.log_store().object_store(None);
        let last = newest_checkpoint(&store, version, def).await?.map(|(at, _)| at);
        let since = last.map_or(version + 1, |at| version.saturating_sub(at));
        if since < if always { 1 } else { ENTRIES_MIN } {
            return Ok(None);
        }
        let written = create_checkpoint(&handle.table, None).await;
        let found = last_checkpoint(&store, version, def).await;
        let expected = handle.txns().await?;
        match found {
            Ok(Some((at, txns))) if at == version && txns == *expected => {}
            Ok(found) if found.as_ref().is_none_or(|(at, _)| *at != version) => {
                written.map_err(failed)?;
                return Err(LakeError::Log { table: def.name, what: format!("checkpoint {version} was not written") });
            }
            // The disk did not answer: that says nothing about the checkpoint.
            Err(error) if error.kind() != Kind::Data => return Err(error),
            wrong => {
                // The hint first: where it names a checkpoint that is gone, no reader opens the table any more.
                let hint = object_store::path::Path::from("_delta_log/_last_checkpoint");
                match store.delete(&hint).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(failed(DeltaTableError::ObjectStore { source: error })),
                }
                if let Some((at, location)) = newest_checkpoint(&store, version, def).await?
                    && at == version
                {
                    store
                        .delete(&location)
                        .await
                        .map_err(|error| failed(DeltaTableError::ObjectStore { source: error }))?;
                }
                wrong?;
                let what = format!("checkpoint {version} does not have the transactions of the log; it was taken away");
                return Err(LakeError::Log { table: def.name, what });
            }
        }
        // From here on this handle, too, reads on from the checkpoint.
        handle.reload().await?;
        Ok(Some(version))
    }
}
