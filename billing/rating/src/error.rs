//! Why usage has no amount.

use tollbook_schemas::decimal::{Decimal, DecimalError};
use tollbook_schemas::error::{Classified, Kind};
use tollbook_schemas::money::{Currency, MoneyError};

/// Why usage has no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    /// Below zero.
    #[error("quantity {0} is below zero, and no price applies to that; look for wrong values in the meter's source")]
    NegativeQuantity(Decimal),
    /// No tier.
    #[error("the {0} price has no open last tier; load the catalog again")]
    NoTier(&'static str),
    /// Too large.
    #[error("the amount is too large to be exact")]
    Overflow(#[source] DecimalError),
    /// Not an amount of the currency.
    #[error("the amount cannot be printed in {currency}")]
    Money {
        /// Currency.
        currency: Currency,
        /// Why.
        #[source]
        source: MoneyError,
    },
    /// The price needs each event.
    #[error(
        "the price needs {0} of each event, and the usage has none; give events; in a plan, a meter that keeps them"
    )]
    MissingEvents(&'static str),
    /// The price needs the number of events.
    #[error("the price has a fee for each event, and the usage does not say how many there were; give event_count")]
    MissingEventCount,
    /// The price needs prorated units.
    #[error("the price takes prorated units, and the usage has none; give prorated, for each event or in all")]
    MissingProrated,
    /// The price needs the usage by dimension.
    #[error("the price depends on {0}, and the usage is not split by it; add it to the meter's group_by")]
    MissingDimension(String),
    /// No price for a combination.
    #[error("the matrix has no cell {0} and no default_unit_price; add one of them")]
    NoCell(String),
    /// Two answers to one question.
    #[error("the {parts} add up to {sum}, but the quantity is {quantity}; give one of them, or equal ones")]
    Disagree {
        /// What was added up.
        parts: &'static str,
        /// Their sum.
        sum: Decimal,
        /// The quantity beside it.
        quantity: Decimal,
    },
    /// Something that makes no sense in this place.
    #[error("{what}; {mend}")]
    Input {
        /// What.
        what: String,
        /// How to mend it.
        mend: &'static str,
    },
}

impl From<DecimalError> for RatingError {
    fn from(error: DecimalError) -> Self {
        Self::Overflow(error)
    }
}

impl Classified for RatingError {
    fn kind(&self) -> Kind {
        match self {
            Self::NegativeQuantity(_) | Self::Overflow(_) | Self::Money { .. } | Self::Disagree { .. } => Kind::Data,
            Self::NoTier(_) => Kind::Bug,
            Self::MissingEvents(_)
            | Self::MissingEventCount
            | Self::MissingProrated
            | Self::MissingDimension(_)
            | Self::NoCell(_)
            | Self::Input { .. } => Kind::Configuration,
        }
    }
}
