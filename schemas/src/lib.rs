#![doc = include_str!("../README.md")]

pub mod catalog;
pub mod decimal;
pub mod digest;
pub mod error;
pub mod id;
pub mod invariant;
pub mod lifecycle;
pub mod money;
pub mod period;
pub mod pin;
pub mod registry;
pub mod source;
pub mod tables;
