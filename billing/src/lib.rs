#![doc = include_str!("../README.md")]
// A wrong cast or a panic here is a wrong invoice or lost offsets. Tests may.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::as_conversions))]

pub mod adjustments;
pub mod alert;
pub mod balance;
pub mod billed;
pub mod compare;
pub mod document;
pub mod draft;
pub mod due;
pub mod error;
pub mod event;
pub mod fit;
pub mod hold;
pub mod issue;
pub mod list;
pub mod policy;
pub mod preview;
pub mod profile;
pub mod quota;
pub mod range;
pub mod register;
pub mod reprice;
mod stored;
pub mod stripe;
pub mod usage;
pub mod write_drafts;

/// From a price and its usage to an amount: a package of its own, so that its tests build in seconds.
pub use tollbook_rating as rating;
