//! Tables as a run left them.
//!
//! Ingested tables are read by offsets: a row below the pin is the same row for ever, also when it was compacted into
//! another file. Other tables are read at a version of their log. That needs the log's entries and the files that were
//! live then; nothing of tollbook deletes them, but other tools may, so it is looked whether they are there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectStoreExt as _;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::{Table, access_log, partner_event, rejected};

use crate::error::LakeError;
use crate::open::Lake;
use crate::read::{as_text, pin_condition};
use crate::scan::Scan;

/// The tables that have frontiers of offsets.
pub(crate) const INGESTED: [&Table; 2] = [&access_log::TABLE, &partner_event::TABLE];

/// What a run recorded of the tables, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinnedTables {
    /// How far each ingested table was known.
    pub pins: BTreeMap<String, Pin>,
    /// The version of each other table. One that is not named was not there, and is empty.
    pub versions: BTreeMap<String, u64>,
}

impl PinnedTables {
    /// The SQL condition that a row of an ingested table, or of `rejected`, counts; `None` for every other table.
    pub(crate) fn condition(&self, def: &Table) -> Option<String> {
        let known = |name: &str| self.pins.get(name).map_or_else(|| "false".to_owned(), pin_condition);
        if def.name == rejected::TABLE.name {
            // A record that was refused counts once the table that it was meant for has passed it.
            let of = |target: &Table| format!("(target = {} and {})", as_text(target.name), known(target.name));
            return Some(format!("({})", INGESTED.map(of).join(" or ")));
        }
        INGESTED.iter().any(|ingested| ingested.name == def.name).then(|| known(def.name))
    }
}

impl Lake {
    /// A table at a version of its log; without a version, the table without rows.
    pub(crate) async fn table_at(
        &self,
        def: &'static Table,
        version: Option<u64>,
    ) -> Result<Arc<dyn TableProvider>, LakeError> {
        let Some(version) = version else { return Ok(Arc::new(Scan::over(def, [])?)) };
        Ok(match self.scan_at(def, version).await? {
            Ok(scan) => Arc::new(scan),
            Err(what) => Arc::new(Gone { columns: Scan::over(def, [])?.schema(), table: def.name, version, what }),
        })
    }

    /// The files of a version, or why it cannot be read.
    async fn scan_at(&self, def: &'static Table, version: u64) -> Result<Result<Scan, String>, LakeError> {
        let (mut table, newest) = {
            let handle = self.handle(def).await?;
            let mut handle = handle.lock().await;
            handle.refresh().await?;
            (handle.table.clone(), Scan::of(&mut handle)?)
        };
        if let Some(last) = table.version().filter(|last| *last < version) {
            return Ok(Err(format!("its log ends at version {last}, so the lake is older than the run")));
        }
        if let Err(error) = table.load_version(version).await {
            return Ok(Err(format!("entries of its log are gone ({error})")));
        }
        let scan = Scan::of_table(def, &table)?;
        // What is live now is there; what was replaced since may have been taken away.
        let live: BTreeSet<_> = newest.locations().collect();
        let (mut old, mut gone) = (0, 0);
        for location in scan.locations() {
            old += 1;
            if live.contains(location) {
                continue;
            }
            match self.inner.scan_store.head(location).await {
                Ok(_) => {}
                Err(object_store::Error::NotFound { .. }) => gone += 1,
                Err(source) => {
                    let source = Box::new(deltalake_core::DeltaTableError::ObjectStore { source });
                    return Err(LakeError::Open { table: def.name, source });
                }
            }
        }
        if gone > 0 {
            return Ok(Err(format!("{gone} of its {old} files are gone, as after a VACUUM")));
        }
        Ok(Ok(scan))
    }
}

/// A table whose version cannot be read: it has columns, and whoever reads rows is told why there are none.
#[derive(Debug)]
struct Gone {
    columns: SchemaRef,
    table: &'static str,
    version: u64,
    what: String,
}

#[async_trait]
impl TableProvider for Gone {
    fn schema(&self) -> SchemaRef {
        self.columns.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let told = LakeError::Past { table: self.table, version: self.version, what: self.what.clone() };
        Err(DataFusionError::External(Box::new(told)))
    }
}
