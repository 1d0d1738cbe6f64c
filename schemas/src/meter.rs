//! How a meter makes one quantity of many requests, and the mergeable form that `usage` keeps of it.
//!
//! Pure. [`MeterState`] is what one row of `usage` holds in `state`; states of one meter merge in any order and
//! grouping to the same (I3), and [`quantity`] makes the quantity of a billing period of them. Exact to the end: an
//! average, a percentile between two values and a level held over time are computed as fractions and rounded once, to
//! the 12 digits of a quantity, half away from zero.

mod exclusion;
mod state;

use std::fmt;

pub use exclusion::Exclusion;
pub use state::{MeterState, Observation, Place, StateError, quantity};

/// How a meter makes one quantity of many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aggregation {
    /// Number of requests.
    Count,
    /// Sum of `value`.
    Sum,
    /// Sum of `value`, with the value of each request kept: for prices that look at single ones.
    SumByEvent,
    /// Least `value`.
    Min,
    /// Greatest `value`.
    Max,
    /// Mean of `value` over the requests that have one.
    Avg,
    /// The `value` that was observed last.
    Latest,
    /// Number of distinct `value`s over the billing period.
    Unique,
    /// A level that holds until the next one, in value × hours: 2 GB for half an hour are 1 GB-hour. Before the first
    /// level ever it is 0; what was last observed before the period holds on into it.
    TimeWeighted,
    /// The value below which a part of all values lies.
    Percentile(Percentile),
}

/// Which percentile, and by which method: the methods differ where it falls between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentile {
    /// In thousandths of a percent, above 0 and at most 100,000: the 95th is 95,000.
    pub thousandths: u32,
    /// How it is found.
    pub method: PercentileMethod,
}

/// How a percentile is found among n sorted values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PercentileMethod {
    /// The value at rank ⌈p·n⌉, from 1: one that was measured. What bandwidth is billed by.
    NearestRank,
    /// Between the two values around rank 1 + p·(n − 1), in proportion: what spreadsheets and SQL's `percentile_cont`
    /// do.
    Linear,
}

impl PercentileMethod {
    /// The word in the catalog.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NearestRank => "nearest_rank",
            Self::Linear => "linear",
        }
    }

    /// Reads [`PercentileMethod::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::NearestRank, Self::Linear].into_iter().find(|method| method.as_str() == text)
    }
}

impl Aggregation {
    /// The words of the catalog, without those of a percentile.
    pub const WORDS: &[&str] =
        &["count", "sum", "sum_by_event", "min", "max", "avg", "latest", "unique", "time_weighted", "percentile"];

    /// The word in the catalog.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::SumByEvent => "sum_by_event",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Latest => "latest",
            Self::Unique => "unique",
            Self::TimeWeighted => "time_weighted",
            Self::Percentile(_) => "percentile",
        }
    }

    /// Whether it takes a number of each request: all but count, and unique, which takes any text.
    #[must_use]
    pub fn takes_number(self) -> bool {
        !matches!(self, Self::Count | Self::Unique)
    }

    /// Whether its state tells instant and place of the requests whose values it keeps.
    #[must_use]
    pub fn keeps_places(self) -> bool {
        matches!(self, Self::SumByEvent | Self::Latest | Self::TimeWeighted)
    }

    /// Whether what holds at the end of one slice goes on into the next.
    #[must_use]
    pub fn carries_over(self) -> bool {
        self == Self::TimeWeighted
    }
}

impl fmt::Display for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
