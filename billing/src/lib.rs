#![doc = include_str!("../README.md")]

pub mod document;
pub mod draft;
pub mod error;
pub mod event;
pub mod issue;
pub mod profile;
pub mod rating;
pub mod register;
mod stored;
pub mod stripe;
pub mod usage;
