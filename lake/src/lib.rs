#![doc = include_str!("../README.md")]

mod commit;
mod durable_store;
mod error;
mod lease;
mod open;
mod read;
mod scan;
mod txns;
mod write;

pub use commit::{Outcome, Part, TxnStep, rows_app_id};
pub use error::LakeError;
pub use lease::Lease;
pub use open::Lake;
pub use read::{as_table, as_text, pin_condition};
pub use txns::{FILE_WATERMARK, watermark_app_id};
