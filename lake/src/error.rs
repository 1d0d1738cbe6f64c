//! What can go wrong at the lake, and what the operator does about it.

use tollbook_schemas::error::{Classified, Kind};
use tollbook_schemas::tables::RowError;

/// An error of the lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The root cannot be used.
    #[error("lake root {root:?} cannot be used: {reason}; name a folder that this user can write, or a supported URL")]
    Root {
        /// As configured.
        root: String,
        /// Why.
        reason: String,
    },
    /// A table cannot be opened or created.
    #[error("table {table} cannot be opened or created")]
    Open {
        /// Table.
        table: &'static str,
        /// Cause.
        #[source]
        source: Box<deltalake_core::DeltaTableError>,
    },
    /// Data files cannot be written.
    #[error("rows cannot be written to table {table}")]
    Write {
        /// Table.
        table: &'static str,
        /// Cause.
        #[source]
        source: Box<deltalake_core::DeltaTableError>,
    },
    /// The commit did not land, and it is known that it did not.
    #[error("table {table} could not be committed to after {attempts} attempts")]
    Commit {
        /// Table.
        table: &'static str,
        /// Attempts made.
        attempts: usize,
        /// Last cause.
        #[source]
        source: Box<deltalake_core::DeltaTableError>,
    },
    /// The log cannot be read as the protocol demands.
    #[error("the log of table {table} is damaged: {what}")]
    Log {
        /// Table.
        table: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The table is not what is declared.
    #[error("table {table} does not have the declared schema: {what}; it was written by another version of tollbook")]
    Schema {
        /// Table.
        table: &'static str,
        /// What differs.
        what: String,
    },
    /// Merged files do not have the rows of the files that they were made from.
    #[error("compacting table {table} would have changed its rows: {what}; nothing was committed, look at its files")]
    Compaction {
        /// Table.
        table: &'static str,
        /// What differs.
        what: String,
    },
    /// A table cannot be read as a run left it.
    #[error(
        "table {table} cannot be read at version {version}, which the run recorded: {what}; ask without that table, ask \
         about the present without --as-of-run, or put the lake back from a copy that still has it (access_log, \
         partner_event and rejected are read by offsets and need no old version)"
    )]
    Past {
        /// Table.
        table: &'static str,
        /// Version.
        version: u64,
        /// Why.
        what: String,
    },
    /// A data file cannot be read.
    #[error("{path}, a data file of table {table}, cannot be read; put it back from a copy of the lake")]
    File {
        /// Table.
        table: &'static str,
        /// File.
        path: String,
        /// Cause.
        #[source]
        source: Box<parquet::errors::ParquetError>,
    },
    /// A data file that a table has is not there.
    #[error(
        "{path}, a data file of the lake, is gone; put the lake back whole from a copy, and look for what took the file away"
    )]
    Gone {
        /// File, below the lake's root or as the store names it.
        path: String,
    },
    /// An answer cannot be written as Parquet.
    #[error("the answer cannot be written as Parquet: {what}")]
    Export {
        /// Why, and how to mend it.
        what: String,
    },
    /// A row does not fit its table.
    #[error("a row does not fit its table")]
    Row(#[from] RowError),
    /// A query of a person cannot be answered: it is none, asks for what is not there, would change something, or does
    /// with the values what cannot be done with them.
    #[error("the query cannot be answered: {what} (`show tables` and `describe NAME` tell what can be asked)")]
    Sql {
        /// The last cause, with names that come near.
        what: String,
    },
    /// A query needs more memory than there may be for it, and cannot go on on the disk.
    #[error(
        "a query needs more memory than the queries of a process may take: {what}; ask for less at once, run less beside it, \
         or raise query_memory_bytes_max in [lake] of tollbook.toml"
    )]
    Memory {
        /// Who asked for how much.
        what: String,
    },
    /// A query failed.
    #[error("the query over the lake failed")]
    Query(#[source] Box<datafusion::error::DataFusionError>),
    /// Somebody else holds the lease of a job.
    #[error("{job} is running already: its lease ends {ends_at}; wait, or look for the other process")]
    LeaseHeld {
        /// Job.
        job: String,
        /// When it ends if it is not renewed.
        ends_at: String,
    },
    /// Another process holds the lock of some work.
    #[error(
        "{work} is running already: another process holds {path}; wait until it has ended, or end it (a process that was \
         killed holds nothing)"
    )]
    LockHeld {
        /// Work.
        work: String,
        /// File of the lock.
        path: String,
    },
    /// Our lease was taken over.
    #[error(
        "the lease of {job} was lost to another process; what this one had not committed is not lost, run it again"
    )]
    LeaseLost {
        /// Job.
        job: String,
    },
    /// A conflict that repeated.
    #[error("table {table}: another writer kept changing {app_id}; run it again when the other has ended")]
    Contention {
        /// Table.
        table: &'static str,
        /// Transaction.
        app_id: String,
    },
}

impl From<datafusion::error::DataFusionError> for LakeError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        use datafusion::error::DataFusionError;
        if let DataFusionError::ResourcesExhausted(what) = error.find_root() {
            return Self::Memory { what: what.lines().collect::<Vec<_>>().join(" ") };
        }
        if let Some(path) = gone(&error) {
            return Self::Gone { path };
        }
        match error {
            // What a table of ours said while it was read, and not what DataFusion says of it.
            DataFusionError::External(source) => match source.downcast::<Self>() {
                Ok(ours) => *ours,
                Err(other) => Self::Query(Box::new(DataFusionError::External(other))),
            },
            other => Self::Query(Box::new(other)),
        }
    }
}

impl Classified for LakeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Sql { .. } | Self::Root { .. } | Self::Export { .. } | Self::Memory { .. } => Kind::Configuration,
            Self::Open { source, .. } if !is_of_the_store(source) => Kind::Data,
            Self::Open { .. } | Self::Write { .. } | Self::Commit { .. } => Kind::Retry,
            Self::Log { .. } | Self::Schema { .. } | Self::Compaction { .. } | Self::Past { .. } => Kind::Data,
            Self::Row(_) => Kind::Bug,
            Self::Query(_) | Self::File { .. } | Self::Gone { .. } => Kind::Data,
            Self::LeaseHeld { .. } | Self::LeaseLost { .. } | Self::LockHeld { .. } | Self::Contention { .. } => {
                Kind::Conflict
            }
        }
    }
}

/// The data file that was not found, where that is why a query failed. The reader of footers keeps no more than the
/// text of what it met.
fn gone(error: &datafusion::error::DataFusionError) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(object_store::Error::NotFound { path, .. }) = error.downcast_ref() {
            return Some(path.clone());
        }
        if let Some(parquet::errors::ParquetError::General(told)) = error.downcast_ref() {
            let (path, why) = told.split_once("Failed to fetch metadata for file ")?.1.split_once(": ")?;
            return (why.contains("Object at location ") && why.contains(" not found")).then(|| path.to_owned());
        }
        cause = error.source();
    }
    None
}

/// Whether the store failed, which may pass. What else keeps a table from being opened is in its log: a torn entry, a
/// missing one.
fn is_of_the_store(error: &deltalake_core::DeltaTableError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(store) = error.downcast_ref::<object_store::Error>() {
            return !matches!(store, object_store::Error::NotFound { .. });
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return io.kind() != std::io::ErrorKind::NotFound;
        }
        cause = error.source();
    }
    false
}
