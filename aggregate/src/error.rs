//! What can go wrong between the rows and the usage.

use tollbook_lake::LakeError;
use tollbook_schemas::catalog::Problem;
use tollbook_schemas::error::{Classified, Kind};
use tollbook_schemas::id::MeterId;
use tollbook_schemas::tables::RowError;

/// An error of aggregation.
#[derive(Debug, thiserror::Error)]
pub enum AggregateError {
    /// An expression of a meter cannot be used.
    #[error("{0}")]
    Meter(Box<Problem>),
    /// A quantity does not fit.
    #[error("meter {meter}: a quantity has more than 26 digits before the point; no invoice can be right with it")]
    Overflow {
        /// Meter.
        meter: MeterId,
    },
    /// A stored row is not what it must be.
    #[error("a row of {table} cannot be used: {what}")]
    Stored {
        /// Table.
        table: &'static str,
        /// What is wrong.
        what: String,
    },
    /// Another refresh kept winning.
    #[error("another refresh of {0} kept changing it; run this one again when the other has ended")]
    Contention(&'static str),
    /// The lake failed.
    #[error("the lake could not be read or written")]
    Lake(#[from] LakeError),
    /// A query failed.
    #[error("the query failed")]
    Query(#[source] Box<datafusion::error::DataFusionError>),
    /// A derived row does not fit.
    #[error("a derived row does not fit its table")]
    Row(#[from] RowError),
    /// A billing period cannot be computed.
    #[error("a billing period cannot be computed")]
    Period(#[from] tollbook_schemas::period::PeriodError),
}

impl From<datafusion::error::DataFusionError> for AggregateError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::Query(Box::new(error))
    }
}

impl From<arrow::error::ArrowError> for AggregateError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Query(Box::new(error.into()))
    }
}

impl Classified for AggregateError {
    fn kind(&self) -> Kind {
        match self {
            Self::Meter(_) => Kind::Configuration,
            Self::Overflow { .. } | Self::Stored { .. } | Self::Period(_) => Kind::Data,
            Self::Contention(_) => Kind::Conflict,
            Self::Lake(error) => error.kind(),
            Self::Query(_) => Kind::Data,
            Self::Row(_) => Kind::Bug,
        }
    }
}
