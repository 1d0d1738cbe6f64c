//! Why billing stopped, and what the operator does about it.
//!
//! What concerns one partner or one invoice is not an error here: it is reported beside the others' results. An
//! error ends the run.

use tollbook_lake::LakeError;
use tollbook_schemas::error::{Classified, Kind};
use tollbook_schemas::invariant::Invariant;
use tollbook_schemas::tables::RowError;

/// Why a run of billing ended early.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// The lake refused or failed.
    #[error("billing could not read or write the lake")]
    Lake(#[from] LakeError),
    /// A stored row is not what its table declares.
    #[error("a stored row of {table} cannot be used: {what}; look at it with `tollbook sql`")]
    Stored {
        /// Table.
        table: &'static str,
        /// What is wrong.
        what: String,
    },
    /// Stored data contradicts a promise.
    #[error("{invariant} does not hold ({}): {what}", .invariant.promise())]
    Broken {
        /// Promise.
        invariant: Invariant,
        /// What was found.
        what: String,
    },
    /// A person must change the configuration, the catalog or the account.
    #[error("{what}; {mend}")]
    Configuration {
        /// What is wrong.
        what: String,
        /// How to mend it.
        mend: String,
    },
    /// Others did the same work at the same time, again and again.
    #[error("{what}; run the command again")]
    Conflict {
        /// What was lost.
        what: String,
    },
    /// Our own mistake.
    #[error("{what}: this is a mistake in tollbook, please report it")]
    Bug {
        /// What should not be.
        what: String,
    },
}

/// A batch of the lake that is not what its table declares.
impl From<RowError> for BillingError {
    fn from(error: RowError) -> Self {
        let (RowError::Type { table, .. } | RowError::NoColumn { table, .. } | RowError::Batch { table, .. }) = &error;
        Self::stored(table, error.to_string())
    }
}

impl BillingError {
    pub(crate) fn stored(table: &'static str, what: impl Into<String>) -> Self {
        Self::Stored { table, what: what.into() }
    }

    pub(crate) fn broken(invariant: Invariant, what: impl Into<String>) -> Self {
        Self::Broken { invariant, what: what.into() }
    }

    pub(crate) fn configuration(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Configuration { what: what.into(), mend: mend.into() }
    }
}

impl Classified for BillingError {
    fn kind(&self) -> Kind {
        match self {
            Self::Lake(error) => error.kind(),
            Self::Stored { .. } | Self::Broken { .. } => Kind::Data,
            Self::Configuration { .. } => Kind::Configuration,
            Self::Conflict { .. } => Kind::Conflict,
            Self::Bug { .. } => Kind::Bug,
        }
    }
}
