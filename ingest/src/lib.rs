#![doc = include_str!("../README.md")]
// A wrong cast or a panic here is a wrong invoice or lost offsets. Tests may.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::as_conversions))]

#[doc(hidden)]
pub mod bench;
mod buffer;
mod cloudevents;
mod commit;
mod consume;
mod credential;
mod decode;
mod error;
mod file;
mod kong;
mod lines;
mod native;
mod nginx;
mod numeral;
mod record;
mod run;
mod scrub;
mod watermark;

pub use consume::KafkaSettings;
pub use credential::{CredentialKey, KeyRing};
pub use decode::{Decoder, Door};
pub use error::IngestError;
pub use file::{FileIngestor, FileReport};
pub use run::{Budget, IngestReport, Ingestor, PartitionState, Progress};
pub use watermark::Clock;
