//! Sifting: the few rows of a large table that plain code wants, file by file, without a query plan.
//!
//! Takes sieves (some columns, and which rows of a batch stay) and columns; gives the columns of the rows that stay,
//! each batch through a function of the caller. A column is decoded for the rows that the sieves before it left, and
//! pages that none of them is on are skipped; texts with few values are looked at once for each value, and not for each
//! row. Files are read by as many threads as there are cores, a batch at a time: memory is a batch for each thread, and
//! what the caller keeps. The order of what is given is that of the files and of their rows.

use std::fs::File;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use chrono::NaiveDate;
use datafusion::common::ScalarValue;
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicate, ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
    RowFilter,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use tollbook_schemas::tables::Table;

use crate::error::LakeError;
use crate::open::Lake;
use crate::scan::Scan;

/// Rows that are decoded at once: few enough for a core's cache, and enough that what is done once for a batch costs
/// little.
const BATCH_ROWS: usize = 16_384;

/// Which rows of a batch stay.
pub type Keep = Arc<dyn Fn(&RecordBatch) -> BooleanArray + Send + Sync>;

/// One look at some columns.
#[derive(Clone)]
pub struct Sieve {
    /// Text columns with few values: dictionaries of 32-bit keys to the function.
    pub coded: &'static [&'static str],
    /// Other columns, as the table declares them; texts as views of the file's pages, which are not copied.
    pub plain: &'static [&'static str],
    /// The look: columns by their names, in no order that is promised, without those that a file has no value of.
    pub keep: Keep,
}

/// What to sift.
#[derive(Clone)]
pub struct Sift {
    /// Table.
    pub table: &'static Table,
    /// Days of a table that is partitioned by them; all where there is none.
    pub days: Option<RangeInclusive<NaiveDate>>,
    /// Which rows stay: what one leaves, the next one looks at.
    pub sieves: Vec<Sieve>,
    /// What is given of them, in this order, as the table declares it.
    pub columns: Vec<&'static str>,
}

struct LiveFile {
    path: PathBuf,
    partition: Option<ScalarValue>,
}

impl Lake {
    /// Sifts a table at its newest snapshot, and makes something of each batch that is left. `make` runs on other
    /// threads.
    ///
    /// # Errors
    /// [`LakeError`], and those of `make`.
    pub async fn sift<T, E>(
        &self,
        sift: Sift,
        make: impl Fn(&RecordBatch) -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Vec<T>, E>
    where
        T: Send + 'static,
        E: From<LakeError> + Send + 'static,
    {
        let files = self.live_files(&sift).await?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len());
        let work = Arc::new((sift, files, make, AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..threads)
            .map(|_| {
                let work = work.clone();
                tokio::task::spawn_blocking(move || {
                    let (sift, files, make, next) = work.as_ref();
                    let mut made: Vec<(usize, T)> = Vec::new();
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(file) = files.get(at) else { return Ok(made) };
                        let of_file = sift.file(file, make).inspect_err(|_| {
                            // Nobody needs the rest.
                            next.store(files.len(), Ordering::Relaxed);
                        })?;
                        made.extend(of_file.into_iter().map(|one| (at, one)));
                    }
                })
            })
            .collect();
        let mut made = Vec::new();
        for task in tasks {
            let of_task: Result<Vec<(usize, T)>, E> = task.await.unwrap_or_else(|error| {
                let what = format!("a thread that read it ended: {error}");
                Err(LakeError::Log { table: work.0.table.name, what }.into())
            });
            made.extend(of_task?);
        }
        made.sort_by_key(|(at, _)| *at);
        Ok(made.into_iter().map(|(_, one)| one).collect())
    }

    /// The live files of a table whose partition value is wanted.
    async fn live_files(&self, sift: &Sift) -> Result<Vec<LiveFile>, LakeError> {
        let handle = self.handle(sift.table).await?;
        let mut handle = handle.lock().await;
        handle.refresh().await?;
        let scan = Scan::of(&mut handle)?;
        let files = scan.partitioned().filter(|(_, value)| sift.wants(value.as_ref()));
        Ok(files
            .map(|(location, partition)| LiveFile {
                path: location.parts().fold(self.inner.folder.clone(), |path, part| path.join(part.as_ref())),
                partition,
            })
            .collect())
    }

    /// Registers batches with a session under a table's name, as if they were all of it.
    ///
    /// # Errors
    /// [`LakeError::Query`] where they are not of one schema.
    pub fn register_batches(
        &self,
        context: &SessionContext,
        table: &'static Table,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<(), LakeError> {
        context.register_table(table.name, Arc::new(MemTable::try_new(schema, vec![batches])?))?;
        Ok(())
    }
}

impl Sift {
    /// What its batches are: its columns as the table declares them.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let declared = self.table.arrow_schema();
        let field = |name: &&str| declared.fields().iter().find(|field| field.name() == name).cloned();
        Arc::new(Schema::new(self.columns.iter().filter_map(field).collect::<Vec<FieldRef>>()))
    }

    fn wants(&self, partition: Option<&ScalarValue>) -> bool {
        match (&self.days, partition) {
            (Some(days), Some(ScalarValue::Date32(Some(day)))) => {
                let day = NaiveDate::from_epoch_days(*day);
                day.is_none_or(|day| days.contains(&day))
            }
            _ => true,
        }
    }

    /// Sifts one file.
    fn file<T, E: From<LakeError>>(
        &self,
        file: &LiveFile,
        make: &impl Fn(&RecordBatch) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let failed = |source: ParquetError| LakeError::File {
            table: self.table.name,
            path: file.path.display().to_string(),
            source: Box::new(source),
        };
        let schema = self.schema();
        let mut made = Vec::new();
        for batch in self.reader(file).map_err(failed)? {
            let batch = batch.and_then(|batch| self.declared(file, &schema, &batch));
            made.push(make(&batch.map_err(|error| failed(error.into()))?)?);
        }
        Ok(made)
    }

    fn reader(&self, file: &LiveFile) -> Result<parquet::arrow::arrow_reader::ParquetRecordBatchReader, ParquetError> {
        let input = File::open(&file.path).map_err(|error| ParquetError::External(Box::new(error)))?;
        let plain = ArrowReaderMetadata::load(&input, ArrowReaderOptions::new())?;
        let is_in = |name: &String, of: fn(&Sieve) -> &'static [&'static str]| {
            self.sieves.iter().any(|sieve| of(sieve).contains(&name.as_str()))
        };
        let coded = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let field = |field: &FieldRef| {
            let as_type = |kind| Arc::new(Field::new(field.name(), kind, field.is_nullable()));
            match field.data_type() {
                DataType::Utf8 if is_in(field.name(), |sieve| sieve.coded) => as_type(coded.clone()),
                DataType::Utf8 if is_in(field.name(), |sieve| sieve.plain) => as_type(DataType::Utf8View),
                _ => field.clone(),
            }
        };
        let fields: Vec<FieldRef> = plain.schema().fields().iter().map(field).collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, plain.schema().metadata().clone()));
        let options = ArrowReaderOptions::new().with_schema(schema.clone());
        let metadata = ArrowReaderMetadata::try_new(plain.metadata().clone(), options)?;
        let places = |names: &mut dyn Iterator<Item = &&'static str>| -> Result<ProjectionMask, ParquetError> {
            let places = names.filter(|name| self.table.partition_by != Some(**name)).map(|name| schema.index_of(name));
            let places = places.collect::<Result<Vec<usize>, ArrowError>>()?;
            Ok(ProjectionMask::roots(metadata.parquet_schema(), places))
        };
        let mut predicates: Vec<Box<dyn ArrowPredicate>> = Vec::new();
        for Sieve { coded, plain, keep } in &self.sieves {
            let keep = keep.clone();
            let asked = || coded.iter().chain(*plain);
            // To begin with a column costs as much as some thousand rows of it.
            let mut there = asked().filter(|name| !is_without_value(metadata.metadata(), name)).peekable();
            let mask = if there.peek().is_some() { places(&mut there)? } else { places(&mut asked())? };
            predicates.push(Box::new(ArrowPredicateFn::new(mask, move |batch| Ok(keep(&batch)))));
        }
        let mask = places(&mut self.columns.iter())?;
        ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata)
            .with_batch_size(BATCH_ROWS)
            .with_projection(mask)
            .with_row_filter(RowFilter::new(predicates))
            .build()
    }

    /// A batch of a file as the table declares it.
    fn declared(&self, file: &LiveFile, schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let column = |field: &FieldRef| -> Result<ArrayRef, ArrowError> {
            match (batch.column_by_name(field.name()), &file.partition) {
                (Some(column), _) if column.data_type() == field.data_type() => Ok(column.clone()),
                (Some(column), _) => cast(column, field.data_type()),
                (None, Some(value)) => {
                    value.to_array_of_size(batch.num_rows()).map_err(|error| ArrowError::ExternalError(error.into()))
                }
                (None, None) => Err(ArrowError::SchemaError(format!("the file has no column {}", field.name()))),
            }
        };
        let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(schema.clone(), columns)
    }
}

/// Whether a file's footer says that it has no value of a column.
fn is_without_value(file: &ParquetMetaData, name: &str) -> bool {
    let is_of_column = |column: &&ColumnChunkMetaData| column.column_path().parts() == [name];
    file.row_groups().iter().all(|group| {
        let column = group.columns().iter().find(is_of_column);
        let null_count = column.and_then(|column| column.statistics()?.null_count_opt());
        null_count.is_some_and(|count| i64::try_from(count) == Ok(group.num_rows()))
    })
}

#[cfg(test)]
mod tests;
