#![doc = include_str!("../README.md")]

pub mod catalog;
pub mod decimal;
pub mod digest;
pub mod error;
pub mod exact;
pub mod id;
pub mod invariant;
pub mod lifecycle;
pub mod money;
pub mod period;
pub mod pin;
pub mod price;
pub mod registry;
pub mod source;
pub mod tables;
