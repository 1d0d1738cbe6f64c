#![doc = include_str!("../README.md")]
// A wrong cast or a panic here is a wrong invoice or lost offsets. Tests may.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::as_conversions))]

pub mod actor;
pub mod catalog;
pub mod decimal;
pub mod digest;
pub mod error;
pub mod exact;
pub mod id;
pub mod invariant;
pub mod lifecycle;
pub mod meter;
pub mod money;
pub mod nearest;
pub mod period;
pub mod pin;
pub mod price;
pub mod printed;
mod read_text;
pub mod registry;
pub mod schedule;
pub mod source;
pub mod tables;
pub mod views;
mod words;
