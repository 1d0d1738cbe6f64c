//! The lake and its tables: opened once, created where they are missing, refreshed before every use.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use delta_kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::kernel::{StructField, StructType};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::SaveMode;
use deltalake_core::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::sync::{Mutex, OnceCell};
use tollbook_schemas::tables::{Table, by_name};
use url::Url;

use crate::beside::each_beside;
use crate::bounds::Scanned;
use crate::error::LakeError;
use crate::scan::Scan;

/// The tables under one root. Cheap to clone; clones share what they have read of the logs.
#[derive(Clone)]
pub struct Lake {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    root: Url,
    root_text: String,
    /// The root as a folder of this machine.
    pub(crate) folder: std::path::PathBuf,
    /// Root of the file system, for deltalake.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The same store seen from the lake's root, for scans.
    pub(crate) scan_store: Arc<dyn ObjectStore>,
    /// What all sessions share: that store, and the footers of data files that were read before. A data file is never
    /// changed, and the queries of one refresh read the same files several times: a footer of forty columns takes
    /// longer to read than a few columns of some thousand rows.
    pub(crate) runtime: Arc<RuntimeEnv>,
    /// Each is opened once, by whoever asks first, and several at the same time.
    handles: Mutex<HashMap<&'static str, Opened>>,
}

type Opened = Arc<OnceCell<Arc<Mutex<Handle>>>>;

/// One open table: its newest known snapshot, and the transactions at that very snapshot.
pub(crate) struct Handle {
    pub(crate) table: DeltaTable,
    pub(crate) def: &'static Table,
    pub(crate) txns: BTreeMap<String, i64>,
    /// Version that `txns` belongs to.
    pub(crate) txns_version: Option<u64>,
    /// The newest checkpoint that is known; there may be newer ones.
    pub(crate) checkpoint_at: Option<u64>,
    /// The live files of a version, as scans take them.
    pub(crate) files: Option<(u64, Arc<Vec<Arc<Scanned>>>)>,
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lake({})", self.inner.root_text)
    }
}

impl Lake {
    /// Opens a lake; a local folder is created.
    ///
    /// # Errors
    /// [`LakeError::Root`] when the root cannot be used.
    pub fn open(root: &str) -> Result<Self, LakeError> {
        Self::open_within(root, None)
    }

    /// The same, with a limit of what its queries may take of memory together, in bytes; half of what there is, where
    /// it is `None`.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub fn open_within(root: &str, memory_bytes_max: Option<u64>) -> Result<Self, LakeError> {
        let wrong = |reason: String| LakeError::Root { root: root.to_owned(), reason };
        if root.contains("://") && !root.starts_with("file://") {
            return Err(wrong("this build reads and writes local folders only".to_owned()));
        }
        let folder = root.strip_prefix("file://").unwrap_or(root);
        let absolute = std::path::absolute(folder).map_err(|error| wrong(error.to_string()))?;
        crate::durable_store::make_folder(&absolute).map_err(|error| wrong(error.to_string()))?;
        let folder = absolute.canonicalize().map_err(|error| wrong(error.to_string()))?;
        // A folder that cannot be written is told now, by name, and not by the first commit.
        tempfile::tempfile_in(&folder).map_err(|error| wrong(error.to_string()))?;
        let url = Url::from_directory_path(&folder).map_err(|()| wrong("not an absolute path".to_owned()))?;
        let prefix = object_store::path::Path::from_absolute_path(&folder).map_err(|e| wrong(e.to_string()))?;
        let store: Arc<dyn ObjectStore> = Arc::new(crate::durable_store::DurableStore::new());
        let pool = crate::memory::pool(memory_bytes_max);
        let runtime =
            RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().map_err(|error| wrong(error.to_string()))?;
        let scan_url = Url::parse(crate::scan::STORE_URL).map_err(|error| wrong(error.to_string()))?;
        let scan_store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(store.clone(), prefix));
        runtime.register_object_store(&scan_url, scan_store.clone());
        let handles = Mutex::new(HashMap::new());
        let inner = Inner { root: url, root_text: root.to_owned(), folder, store, scan_store, runtime, handles };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The root as configured.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.inner.root_text
    }

    /// The handle of a table; the table is created where it is missing.
    pub(crate) async fn handle(&self, def: &'static Table) -> Result<Arc<Mutex<Handle>>, LakeError> {
        let opened = self.inner.handles.lock().await.entry(def.name).or_default().clone();
        opened.get_or_try_init(|| self.open_table(def)).await.cloned()
    }

    /// Opens tables that will be asked for, beside each other: a log of many entries takes as long to read as all that
    /// is wanted of the table.
    ///
    /// # Errors
    /// [`LakeError::Open`], of the first table that has one.
    pub async fn open_beside(&self, tables: &[&'static Table]) -> Result<(), LakeError> {
        let open = async |def: &&'static Table| {
            let handle = self.handle(def).await?;
            let mut handle = handle.lock().await;
            Scan::of(&mut handle).map(drop)
        };
        each_beside(tables, open).await.map(drop)
    }

    async fn open_table(&self, def: &'static Table) -> Result<Arc<Mutex<Handle>>, LakeError> {
        let failed = |source: DeltaTableError| LakeError::Open { table: def.name, source: Box::new(source) };
        let mut table = self.table_over(def, self.inner.store.clone())?;
        // The log's reader wants the folder to be there before it looks for a log in it.
        if let Ok(folder) = table.table_url().to_file_path() {
            crate::durable_store::make_folder(&folder)
                .map_err(|error| LakeError::Root { root: self.inner.root_text.clone(), reason: error.to_string() })?;
        }
        if !table.verify_deltatable_existence().await.map_err(failed)? {
            create(&table, def).await?;
        }
        table.load().await.map_err(failed)?;
        check_schema(&table, def)?;
        let handle = Handle { table, def, txns: BTreeMap::new(), txns_version: None, checkpoint_at: None, files: None };
        Ok(Arc::new(Mutex::new(handle)))
    }

    /// A table as deltalake knows it, not read yet, over a store of the whole file system.
    pub(crate) fn table_over(&self, def: &'static Table, store: Arc<dyn ObjectStore>) -> Result<DeltaTable, LakeError> {
        let failed = |source: DeltaTableError| LakeError::Open { table: def.name, source: Box::new(source) };
        let url = self
            .inner
            .root
            .join(&format!("{}/", def.name))
            .map_err(|error| LakeError::Root { root: self.inner.root_text.clone(), reason: error.to_string() })?;
        let builder = DeltaTableBuilder::from_url(url.clone()).map_err(failed)?.with_storage_backend(store, url);
        builder.build().map_err(failed)
    }

    /// The newest version of a table, for reports; never evidence.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn version(&self, def: &'static Table) -> Result<i64, LakeError> {
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        handle.refresh().await?;
        Ok(handle.table.version().and_then(|v| i64::try_from(v).ok()).unwrap_or(0))
    }

    /// The live data files of a table, as absolute paths: what `read_parquet([…])` may read. A glob over the folder
    /// would also read files that a commit replaced, or that no commit ever named.
    ///
    /// # Errors
    /// [`LakeError`]. A name that is no table gives `None`.
    pub async fn files(&self, table: &str) -> Result<Option<Vec<String>>, LakeError> {
        let Some(def) = by_name(table) else { return Ok(None) };
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        handle.refresh().await?;
        let folder = handle.table.table_url().to_file_path().unwrap_or_default();
        let failed = |source: DeltaTableError| LakeError::Open { table: def.name, source: Box::new(source) };
        let state = handle.table.snapshot().map_err(failed)?;
        let mut paths: Vec<String> =
            state.log_data().iter().map(|file| folder.join(file.path().as_ref()).display().to_string()).collect();
        paths.sort();
        Ok(Some(paths))
    }
}

impl Handle {
    /// Reads what was committed since.
    ///
    /// deltalake lists the whole log since the last checkpoint, also where nothing came. The log has no gaps, so one
    /// look for the next entry tells the same. Were that entry deleted while later ones are there, a commit still finds
    /// the later ones and fails on the gap.
    pub(crate) async fn refresh(&mut self) -> Result<(), LakeError> {
        if let Some(version) = self.table.version() {
            let next = object_store::path::Path::from(format!("_delta_log/{:020}.json", version + 1));
            let store = self.table.log_store().object_store(None);
            if matches!(store.head(&next).await, Err(object_store::Error::NotFound { .. })) {
                return Ok(());
            }
        }
        self.reload().await
    }

    /// Reads the log as deltalake does, a new checkpoint included.
    pub(crate) async fn reload(&mut self) -> Result<(), LakeError> {
        let def = self.def;
        self.table.update_state().await.map_err(|source| LakeError::Open { table: def.name, source: Box::new(source) })
    }

    /// Reads the newest checkpoint and what came since, as a process that starts does. deltalake's own update keeps one
    /// batch of files for each commit that it has seen, and goes through all of them at every commit to come.
    pub(crate) async fn load_anew(&mut self) -> Result<(), LakeError> {
        let before = self.table.state.take();
        let loaded = self.reload().await;
        if loaded.is_err() {
            self.table.state = before;
        }
        loaded
    }
}

/// Creates a table. Two processes may do so at once: the loser reads what the winner made.
async fn create(table: &DeltaTable, def: &'static Table) -> Result<(), LakeError> {
    let schema: StructType = def.arrow_schema().as_ref().try_into_kernel().map_err(|error| LakeError::Schema {
        table: def.name,
        what: format!("it cannot be expressed in Delta: {error}"),
    })?;
    let columns: Vec<StructField> = schema.fields().cloned().collect();
    // The transaction retention is deliberately absent: see README.md.
    let mut configuration = vec![("delta.dataSkippingNumIndexedCols".to_owned(), Some("16".to_owned()))];
    if def.append_only {
        configuration.push(("delta.appendOnly".to_owned(), Some("true".to_owned())));
    }
    // Tried once: a second attempt would lay the same metadata over the table that another process has made meanwhile.
    let properties = CommitProperties::default()
        .with_max_retries(0)
        .with_create_checkpoint(false)
        .with_cleanup_expired_logs(Some(false));
    let created = CreateBuilder::new()
        .with_log_store(table.log_store())
        .with_table_name(def.name)
        .with_comment(def.doc)
        .with_columns(columns)
        .with_partition_columns(def.partition_by)
        .with_configuration(configuration)
        .with_commit_properties(properties)
        .with_save_mode(SaveMode::Ignore)
        .await;
    match created {
        // Whoever lost to another creator reads what that one made; the caller loads and checks it.
        Ok(_) | Err(DeltaTableError::VersionAlreadyExists(_) | DeltaTableError::Transaction { .. }) => Ok(()),
        Err(source) => Err(LakeError::Open { table: def.name, source: Box::new(source) }),
    }
}

/// A table that another version wrote with other columns must not be read as if it were ours.
/// What puts a table of another version right: a derived one can be made again.
fn mend(def: &Table) -> String {
    match def.append_only || def.written_by != "tollbook aggregate" {
        true => String::new(),
        false => format!(
            " (it is derived: take the folder {} out of the lake, and `tollbook aggregate` makes it anew)",
            def.name
        ),
    }
}

fn check_schema(table: &DeltaTable, def: &'static Table) -> Result<(), LakeError> {
    let failed = |source: DeltaTableError| LakeError::Open { table: def.name, source: Box::new(source) };
    let found = table.snapshot().map_err(failed)?.snapshot().arrow_schema();
    for column in def.columns {
        let wrong = |what: String| LakeError::Schema { table: def.name, what: format!("{what}{}", mend(def)) };
        let field =
            found.field_with_name(column.name).map_err(|_| wrong(format!("column {} is missing", column.name)))?;
        let declared = column.kind.data_type();
        if !field.data_type().equals_datatype(&declared) {
            return Err(wrong(format!("column {} is {}, not {declared}", column.name, field.data_type())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::tables::partner_event;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn many_may_make_a_table_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap().to_owned();
        // A lake each, as processes have.
        let opening: Vec<_> = (0..8)
            .map(|_| {
                let lake = Lake::open(&root).unwrap();
                tokio::spawn(async move { lake.version(&partner_event::TABLE).await.unwrap() })
            })
            .collect();
        for one in opening {
            assert_eq!(one.await.unwrap(), 0);
        }
    }
}
