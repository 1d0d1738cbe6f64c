//! Why verifying stopped. What is wrong with one invoice is no error here: it is a difference of that invoice, and the
//! others go on.

use tollbook_lake::LakeError;
use tollbook_schemas::error::{Classified, Kind};

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The lake refused or failed.
    #[error("verifying could not read the lake")]
    Lake(#[from] LakeError),
    /// A stored row is not what its table declares.
    #[error("a stored row of {table} cannot be used: {what}; look at it with `tollbook sql`")]
    Stored {
        /// Table.
        table: &'static str,
        /// What is wrong.
        what: String,
    },
    /// Nobody issued what was asked for.
    #[error(
        "there is no issued invoice {0}: give an invoice id (inv_…), a number, or a month such as 2026-06; `tollbook bill \
         register` lists them"
    )]
    NotIssued(String),
}

impl Classified for VerifyError {
    fn kind(&self) -> Kind {
        match self {
            Self::Lake(error) => error.kind(),
            Self::Stored { .. } => Kind::Data,
            Self::NotIssued(_) => Kind::Configuration,
        }
    }
}
