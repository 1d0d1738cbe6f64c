//! Rows into Parquet files that no commit names yet. A crash leaves orphans, which readers never see.

use arrow::record_batch::RecordBatch;
use delta_kernel::table_properties::DataSkippingNumIndexedCols;
use deltalake_core::DeltaTableError;
use deltalake_core::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake_core::kernel::Add;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use tollbook_schemas::tables::Table;

use crate::error::LakeError;
use crate::open::{Handle, Lake};

/// Columns in which no value comes twice: a dictionary of them is made, is as large as they are, and is read for
/// nothing.
const UNIQUE: [&str; 2] = ["request_hash", "content_hash"];

/// zstd 1 costs little time and halves what analysts download; statistics let readers skip row groups.
#[must_use]
pub fn properties() -> WriterProperties {
    let common = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by("tollbook".to_owned());
    UNIQUE
        .into_iter()
        .fold(common, |properties, column| properties.set_column_dictionary_enabled(ColumnPath::from(column), false))
        .build()
}

/// Files of one table that were written and that no commit names yet: nobody reads them before [`Lake::replace_files`].
#[derive(Debug, Default)]
pub struct Unpublished(Vec<Add>);

impl Unpublished {
    pub(crate) fn adds(&self) -> &[Add] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in further files of the same table.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Lake {
    /// Writes batches of the table's declared schema to files, for a commit that comes later: of much that is made
    /// piece by piece, a piece at a time is held.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn write_unpublished(
        &self,
        def: &'static Table,
        batches: &[RecordBatch],
    ) -> Result<Unpublished, LakeError> {
        let handle = self.handle(def).await?;
        let handle = handle.lock().await;
        Ok(Unpublished(handle.write_files(batches).await?))
    }

    /// The same of batches that are made one after the other: few are held at once.
    pub(crate) async fn write_made<E: From<LakeError>>(
        &self,
        def: &'static Table,
        count: usize,
        make: impl Fn(usize) -> Result<RecordBatch, E>,
    ) -> Result<Unpublished, E> {
        let handle = self.handle(def).await?;
        let handle = handle.lock().await;
        Ok(Unpublished(handle.write_made(count, make).await?))
    }
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
        // Its columns are shared, not copied.
        self.write_made(batches.len(), |at| Ok(batches[at].clone())).await
    }

    /// The same of batches that are made one after the other.
    async fn write_made<E: From<LakeError>>(
        &self,
        count: usize,
        make: impl Fn(usize) -> Result<RecordBatch, E>,
    ) -> Result<Vec<Add>, E> {
        let def = self.def;
        let failed = |source: DeltaTableError| LakeError::Write { table: def.name, source: Box::new(source) };
        let mut writer = self.writer();
        for at in 0..count {
            let batch = make(at)?;
            if batch.num_rows() > 0 {
                writer.write(&batch).await.map_err(failed)?;
            }
        }
        Ok(writer.close().await.map_err(failed)?)
    }
}
