//! Why a page cannot be made.

use tollbook_schemas::decimal::DecimalError;
use tollbook_schemas::error::{Classified, Kind};
use tollbook_schemas::money::MoneyError;

/// Why a page cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The chart library refused.
    #[error("the chart {chart} could not be drawn: {reason}; this is a mistake in tollbook, please report it")]
    Chart {
        /// Which chart.
        chart: &'static str,
        /// The library's words.
        reason: String,
    },
    /// A sum of costs has no exact decimal.
    #[error("the {what} do not add up to an exact decimal; look for absurd amounts in cost.recorded events")]
    Decimal {
        /// What was added.
        what: &'static str,
        /// Why.
        #[source]
        source: DecimalError,
    },
    /// A sum of invoices has no money.
    #[error("the {what} cannot be added; look for absurd totals in the table invoice")]
    Money {
        /// What was added.
        what: &'static str,
        /// Why.
        #[source]
        source: MoneyError,
    },
}

impl Classified for ReportError {
    fn kind(&self) -> Kind {
        match self {
            Self::Chart { .. } => Kind::Bug,
            Self::Decimal { .. } | Self::Money { .. } => Kind::Data,
        }
    }
}
