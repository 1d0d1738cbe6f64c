#![doc = include_str!("../README.md")]
// A wrong cast or a panic here is a wrong invoice or lost offsets. Tests may.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::as_conversions))]

mod arrival;
mod attribution;
mod contested;
mod coverage;
mod error;
mod exact;
mod explain;
mod frontier;
mod funnel;
mod id_index;
mod meters;
mod milestones;
mod product;
mod reach;
mod registry;
mod row_hash;
mod segments;
mod touched;
mod usage;

pub use coverage::{Coverage, Covered, Look, Overlap, Unmapped, coverage};
pub use error::AggregateError;
pub use explain::{Evidence, explain};
pub use funnel::{Funnel, FunnelStep, PartnerMilestones, SEMANTICS, fold_funnel};
pub use meters::{check_meters, check_queries};
pub use milestones::{ProgramReport, refresh_program};
pub use reach::{Feeds, data_reach};
pub use registry::{read_registry, refresh_registry};
pub use usage::{USAGE_REFRESH, UsageReport, refresh_usage, usage_is_of, usage_pin, usage_reach};

/// For `benches/`, which measure this part of a refresh apart.
#[doc(hidden)]
pub mod bench {
    pub use crate::arrival::register as register_deliveries;
    pub use crate::usage::search_index;
}
