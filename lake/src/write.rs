//! Rows into Parquet files that no commit names yet. A crash leaves orphans, which readers never see.

use std::num::NonZero;
use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

use arrow::record_batch::RecordBatch;
use delta_kernel::table_properties::DataSkippingNumIndexedCols;
use deltalake_core::DeltaTableError;
use deltalake_core::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake_core::kernel::Add;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tokio::runtime::RuntimeFlavor;

use crate::error::LakeError;
use crate::open::Handle;

/// Batches that are worth a thread, and a file, of their own.
const BATCHES_OF_THREAD_MIN: usize = 2;

/// zstd 1 costs little time and halves what analysts download; statistics let readers skip row groups.
#[must_use]
pub fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by("tollbook".to_owned())
        .build()
}

impl Handle {
    /// A writer of the table's files: one file for each partition value, whoever writes them.
    pub(crate) fn writer(&self) -> DeltaWriter {
        let def = self.def;
        let config = WriterConfig::new(
            def.arrow_schema(),
            def.partition_by.into_iter().map(str::to_owned).collect(),
            Some(properties()),
            None,
            Some(8192),
            DataSkippingNumIndexedCols::NumColumns(16),
            None,
        );
        DeltaWriter::new(self.table.log_store().object_store(None), config)
    }

    /// Writes batches of the table's schema to files, one set for each partition value.
    pub(crate) async fn write_files(&self, batches: &[RecordBatch]) -> Result<Vec<Add>, LakeError> {
        let def = self.def;
        let failed = |source: DeltaTableError| LakeError::Write { table: def.name, source: Box::new(source) };
        let mut writer = self.writer();
        for batch in batches {
            writer.write(batch).await.map_err(failed)?;
        }
        writer.close().await.map_err(failed)
    }

    /// Writes batches that are made one after the other, so that few are held at once: many on as many threads as the
    /// machine has cores, a set of files for each thread, whose batches follow each other.
    pub(crate) async fn write_made<E: From<LakeError> + Send>(
        &self,
        count: usize,
        make: impl Fn(usize) -> Result<RecordBatch, E> + Sync,
    ) -> Result<Vec<Add>, E> {
        let def = self.def;
        let write = async |mut writer: DeltaWriter, batches: Range<usize>| -> Result<Vec<Add>, E> {
            let failed = |source: DeltaTableError| LakeError::Write { table: def.name, source: Box::new(source) };
            for at in batches {
                let batch = make(at)?;
                if batch.num_rows() > 0 {
                    writer.write(&batch).await.map_err(failed)?;
                }
            }
            Ok(writer.close().await.map_err(failed)?)
        };
        let runtime = tokio::runtime::Handle::current();
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = cores.min(count / BATCHES_OF_THREAD_MIN);
        // Where one thread is all there is, nobody else would wait for the store's answers.
        if threads < 2 || runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return write(self.writer(), 0..count).await;
        }
        let writers: Vec<DeltaWriter> = (0..threads).map(|_| self.writer()).collect();
        let shares = tokio::task::block_in_place(|| {
            thread::scope(|scope| {
                let running: Vec<_> = (0..)
                    .zip(writers)
                    .map(|(at, writer)| {
                        let share = count * at / threads..count * (at + 1) / threads;
                        let (runtime, write) = (&runtime, &write);
                        scope.spawn(move || runtime.block_on(write(writer, share)))
                    })
                    .collect();
                running.into_iter().map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
            })
        });
        let shares: Vec<Result<Vec<Add>, E>> = shares;
        let mut adds = Vec::new();
        for share in shares {
            adds.extend(share?);
        }
        Ok(adds)
    }
}
