//! A table as DataFusion sees it: exactly the files of one snapshot, as a plain Parquet scan.
//!
//! The snapshot is resolved once; what is committed later does not change a running query. A plain Parquet scan can
//! be sent to other machines, which deltalake's own provider cannot (ingest.md §3.7); it is right because our tables
//! have neither deletion vectors nor column mapping.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use deltalake_core::DeltaTable;
use object_store::ObjectMeta;
use tollbook_schemas::tables::Table;

use crate::bounds::{Scanned, bounds_of, that_may_meet};
use crate::error::LakeError;
use crate::open::Handle;

/// Under this URL the lake's root is registered with a session.
pub(crate) const STORE_URL: &str = "lake://root/";

#[derive(Debug)]
pub(crate) struct Scan {
    schema: SchemaRef,
    file_schema: SchemaRef,
    partition: Option<FieldRef>,
    /// A column that no file holds: where the row lies.
    location: Option<FieldRef>,
    files: Vec<Arc<Scanned>>,
}

impl Scan {
    /// The files of the handle's snapshot. The log is gone through once for each version of the table, not for each
    /// query.
    pub(crate) fn of(handle: &mut Handle) -> Result<Self, LakeError> {
        let version = handle.table.version();
        if let Some((_, files)) = handle.files.as_ref().filter(|(of, _)| Some(*of) == version) {
            return Ok(Self::with_files(handle.def, files.as_ref().clone()));
        }
        let scan = Self::of_table(handle.def, &handle.table)?;
        handle.files = version.map(|version| (version, Arc::new(scan.files.clone())));
        Ok(scan)
    }

    /// The files of a table's snapshot, at whatever version it was loaded.
    pub(crate) fn of_table(def: &'static Table, table: &DeltaTable) -> Result<Self, LakeError> {
        let failed = |source| LakeError::Open { table: def.name, source: Box::new(source) };
        let state = table.snapshot().map_err(failed)?;
        let schema = def.arrow_schema();
        let mut files = Vec::new();
        for file in state.log_data().iter() {
            if file.deletion_vector_descriptor().is_some() {
                let what = format!("file {} has a deletion vector, which this lake never writes", file.path());
                return Err(LakeError::Log { table: def.name, what });
            }
            let value = def.partition_by.and_then(|column| file.partition_values_map().remove(column).flatten());
            let file_bounds = bounds_of(&file, &schema);
            files.push(scanned(def, &file.path(), file.size(), value, file_bounds)?);
        }
        Ok(Self::with_files(def, files))
    }

    /// Files of a table: path below the table's folder, size, value of the partition column.
    pub(crate) fn over(
        def: &'static Table,
        given: impl IntoIterator<Item = (String, i64, Option<String>)>,
    ) -> Result<Self, LakeError> {
        let files = given.into_iter().map(|(path, size, value)| scanned(def, &path, size, value, Vec::new()));
        Ok(Self::with_files(def, files.collect::<Result<_, _>>()?))
    }

    fn with_files(def: &'static Table, files: Vec<Arc<Scanned>>) -> Self {
        let declared = def.arrow_schema();
        let is_partition = |name: &str| def.partition_by == Some(name);
        let file_fields: Vec<FieldRef> =
            declared.fields().iter().filter(|field| !is_partition(field.name())).cloned().collect();
        let partition = declared.fields().iter().find(|field| is_partition(field.name())).cloned();
        let mut all = file_fields.clone();
        all.extend(partition.clone());
        Self {
            schema: Arc::new(Schema::new(all)),
            file_schema: Arc::new(Schema::new(file_fields)),
            partition,
            location: None,
            files,
        }
    }

    /// Adds a column with the file that each row lies in, as a path below the lake's root.
    pub(crate) fn with_locations(mut self, column: &str) -> Self {
        let field: FieldRef = Arc::new(Field::new(column, DataType::Utf8, false));
        let fields: Vec<FieldRef> = self.schema.fields().iter().cloned().chain([field.clone()]).collect();
        self.schema = Arc::new(Schema::new(fields));
        self.location = Some(field);
        for scanned in &mut self.files {
            let file = &mut Arc::make_mut(scanned).file;
            // To a scan it is one more value that all rows of a file have in common.
            file.partition_values.push(ScalarValue::Utf8(Some(file.object_meta.location.to_string())));
        }
        self
    }

    /// Where its files are, below the lake's root.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &object_store::path::Path> {
        self.files.iter().map(|scanned| &scanned.file.object_meta.location)
    }

    /// The values of the partition column, in order.
    pub(crate) fn values(&self) -> Vec<ScalarValue> {
        let mut values: Vec<ScalarValue> =
            self.files.iter().filter_map(|scanned| scanned.file.partition_values.first().cloned()).collect();
        values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        values.dedup();
        values
    }

    /// Where its files are, below the lake's root, each with the value of the partition column.
    pub(crate) fn partitioned(&self) -> impl Iterator<Item = (&object_store::path::Path, Option<ScalarValue>)> {
        let value = |file: &PartitionedFile| self.partition.as_ref().and(file.partition_values.first().cloned());
        self.files.iter().map(move |scanned| (&scanned.file.object_meta.location, value(&scanned.file)))
    }

    /// Leaves only files whose partition value is one of these.
    pub(crate) fn only(mut self, values: &[ScalarValue]) -> Self {
        self.files.retain(|scanned| scanned.file.partition_values.first().is_none_or(|value| values.contains(value)));
        self
    }
}

/// A file of a table: path below the table's folder, size, value of the partition column, bounds of its columns.
fn scanned(
    def: &'static Table,
    path: &str,
    size: i64,
    value: Option<String>,
    bounds: Vec<(String, ScalarValue, ScalarValue)>,
) -> Result<Arc<Scanned>, LakeError> {
    let size = u64::try_from(size)
        .map_err(|_| LakeError::Log { table: def.name, what: format!("file {path} has a negative size") })?;
    let location = object_store::path::Path::parse(format!("{}/{path}", def.name))
        .map_err(|error| LakeError::Log { table: def.name, what: error.to_string() })?;
    let meta = ObjectMeta { location, last_modified: chrono::DateTime::UNIX_EPOCH, size, e_tag: None, version: None };
    let mut file = PartitionedFile::from(meta);
    let schema = def.arrow_schema();
    if let Some(field) = def.partition_by.and_then(|column| schema.field_with_name(column).ok()) {
        file.partition_values = vec![partition_value(def, field, value)?];
    }
    Ok(Arc::new(Scanned { file, bounds }))
}

fn partition_value(def: &Table, field: &Field, value: Option<String>) -> Result<ScalarValue, LakeError> {
    let damaged = |what: String| LakeError::Log { table: def.name, what };
    let text = value.ok_or_else(|| damaged(format!("a file has no value for {}", field.name())))?;
    match field.data_type() {
        DataType::Utf8 => Ok(ScalarValue::Utf8(Some(text))),
        other => ScalarValue::try_from_string(text, other).map_err(|error| damaged(error.to_string())),
    }
}

/// Parts of a condition that a file's row groups are asked for.
const PARTS_MAX: usize = 32;

/// Whether a condition is worth asking each file's row groups for: it is taken apart anew for every file, and a pin of
/// many partitions, or the hours of a year, take longer than the rows that they would skip. Files are chosen by all
/// conditions, once.
fn is_short(condition: &Expr) -> bool {
    let mut parts = 0;
    let counted = condition.apply(|_| {
        parts += 1;
        Ok(if parts > PARTS_MAX { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    counted.is_ok() && parts <= PARTS_MAX
}

#[async_trait]
impl TableProvider for Scan {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        // Files and row groups are skipped by their bounds; what remains is filtered again above.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let files = that_may_meet(&self.files, filters, &self.schema, state)?;
        if files.is_empty() {
            // A scan of no files has no partitions, and then no plan that sorts it can be made.
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema, projection)?)));
        }
        let table_schema = TableSchema::builder(self.file_schema.clone())
            .with_table_partition_cols(self.partition.iter().chain(&self.location).cloned().collect::<Vec<_>>())
            .build();
        let (url, runtime) = (ObjectStoreUrl::parse(STORE_URL)?, state.runtime_env());
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let readers = CachedParquetFileReaderFactory::new(runtime.object_store(&url)?, footers);
        let mut source = ParquetSource::new(table_schema)
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(Arc::new(readers));
        if let Some(condition) = conjunction(filters.iter().filter(|filter| is_short(filter)).cloned()) {
            let schema = datafusion::common::DFSchema::try_from(self.schema.as_ref().clone())?;
            source = source.with_predicate(state.create_physical_expr(condition, &schema)?);
        }
        let groups = state.config().target_partitions().max(1);
        let mut grouped = vec![Vec::new(); groups];
        for (at, scanned) in files.iter().enumerate() {
            grouped[at % groups].push(scanned.file.clone());
        }
        let grouped = grouped.into_iter().filter(|group| !group.is_empty()).map(FileGroup::new).collect();
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(grouped)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
