//! An answer as Parquet: decimals, instants and maps keep their types. Rows pass through, so that memory does not grow
//! with the answer.

use std::collections::BTreeSet;
use std::io::Write;

use datafusion::execution::context::SessionContext;
use futures::TryStreamExt as _;
use parquet::arrow::ArrowWriter;

use crate::error::LakeError;
use crate::open::Lake;
use crate::question::refused;
use crate::read::planned;
use crate::write::properties;

impl Lake {
    /// Runs one query and writes its answer as one Parquet file, with the columns in order also where it has no rows.
    /// Gives the number of rows.
    ///
    /// # Errors
    /// As [`Lake::answer`]; [`LakeError::Export`] where the answer has no form in Parquet, or cannot be written.
    pub async fn write_parquet(
        &self,
        context: &SessionContext,
        sql: &str,
        file: impl Write + Send,
    ) -> Result<usize, LakeError> {
        let mut batches = planned(context, sql).await?.execute_stream().await.map_err(refused)?;
        let schema = batches.schema();
        let mut names = BTreeSet::new();
        if let Some(twice) = schema.fields().iter().find(|field| !names.insert(field.name())) {
            // Readers would take one of them, or fail.
            let what = format!("two columns are named {}; name one otherwise with `as`", twice.name());
            return Err(LakeError::Export { what });
        }
        let failed = |error: parquet::errors::ParquetError| LakeError::Export { what: error.to_string() };
        let mut writer = ArrowWriter::try_new(file, schema, Some(properties())).map_err(failed)?;
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await.map_err(refused)? {
            rows += batch.num_rows();
            writer.write(&batch).map_err(failed)?;
        }
        writer.close().map_err(failed)?;
        Ok(rows)
    }
}
