#![doc = include_str!("../README.md")]
// A wrong cast or a panic here is a wrong invoice or lost offsets. Tests may.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::as_conversions))]

mod beside;
mod bounds;
mod checkpoint;
mod commit;
mod compact;
mod durable_store;
mod error;
mod export;
mod lease;
mod lock;
mod memory;
mod missing;
mod open;
mod past;
mod question;
mod read;
mod scan;
mod sift;
mod txns;
mod unpublished_store;
mod write;

/// What queries are asked of: some tables and views under their names.
pub use datafusion::execution::context::SessionContext;

pub use beside::{STACK_BYTES, each_beside, on_threads};
pub use checkpoint::CHECKPOINT_ENTRIES;
pub use commit::{Outcome, Part, TxnStep};
pub use compact::Compacted;
pub use error::LakeError;
pub use lease::Lease;
pub use lock::Lock;
pub use memory::QUERY_BYTES_MIN;
pub use missing::{KnownGroups, rows_app_id};
pub use open::Lake;
pub use past::PinnedTables;
pub use read::{as_part, as_table, as_text, pin_condition, since_condition};
pub use sift::{Keep, Sieve, Sift};
pub use txns::{FILE_WATERMARK, watermark_app_id};
pub use write::Unpublished;
/// For `benches/`, which encode with the very properties that the lake writes with.
#[doc(hidden)]
pub use write::properties as parquet_properties;
