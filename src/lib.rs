//! The wiring of tollbook: configuration, clock, environment and the jobs of the command line. Logic is in the crates.

pub mod clock;
pub mod configuration;
pub mod context;
pub mod demo;
pub mod jobs;
pub mod output;
