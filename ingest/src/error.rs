//! What can go wrong between a topic and the lake.

use rdkafka::error::KafkaError;
use tollbook_lake::LakeError;
use tollbook_schemas::error::{Classified, Kind};
use tollbook_schemas::tables::RowError;

/// An error of ingest. A record that cannot be read is none: it becomes a row of `rejected`.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The broker cannot be reached or refuses.
    #[error("kafka at {brokers}, topic {topic}: {doing} failed; check that the broker is there and the topic exists")]
    Kafka {
        /// Bootstrap servers.
        brokers: String,
        /// Topic.
        topic: String,
        /// What was tried.
        doing: &'static str,
        /// Cause.
        #[source]
        source: KafkaError,
    },
    /// The topic does not exist or has no partition.
    #[error("kafka at {brokers} has no topic {topic}; create it, or correct the name in tollbook.toml")]
    NoTopic {
        /// Bootstrap servers.
        brokers: String,
        /// Topic.
        topic: String,
    },
    /// The lake knows other partitions of this source, but not this one.
    #[error(
        "{source_name} partition {partition} has no frontier although the source was read before; the table was \
         restored or damaged, and starting again would count everything twice: run tollbook lake audit"
    )]
    MissingFrontier {
        /// Source.
        source_name: String,
        /// Partition.
        partition: i32,
    },
    /// Kafka deleted records that were never read.
    #[error(
        "{source_name} partition {partition}: the next offset to read is {frontier}, but Kafka keeps only from {low}: \
         records were lost to retention before they were read"
    )]
    Lost {
        /// Source.
        source_name: String,
        /// Partition.
        partition: i32,
        /// Next offset to read.
        frontier: i64,
        /// First offset kept.
        low: i64,
    },
    /// The topic is shorter than what was read from it.
    #[error(
        "{source_name} partition {partition}: the next offset to read is {frontier}, but the topic ends at {high}: it \
         was truncated or made again; set a new generation for it in tollbook.toml"
    )]
    Truncated {
        /// Source.
        source_name: String,
        /// Partition.
        partition: i32,
        /// Next offset to read.
        frontier: i64,
        /// End of the topic.
        high: i64,
    },
    /// The lake failed.
    #[error("the lake could not take what was read")]
    Lake(#[from] LakeError),
    /// Decoded rows did not fit the table.
    #[error("decoded rows do not fit their table")]
    Rows(#[from] RowError),
    /// Arrow refused a batch.
    #[error("decoded columns do not fit their table")]
    Columns(#[from] arrow::error::ArrowError),
    /// The consumer's thread ended without a word.
    #[error("the consumer thread of {0} ended unexpectedly")]
    ThreadEnded(String),
    /// A time cannot be stored.
    #[error("record time {0} ms is outside the calendar")]
    Time(i64),
}

impl Classified for IngestError {
    fn kind(&self) -> Kind {
        match self {
            Self::Kafka { .. } => Kind::Retry,
            Self::NoTopic { .. } => Kind::Configuration,
            Self::MissingFrontier { .. } | Self::Lost { .. } | Self::Truncated { .. } => Kind::Data,
            Self::Lake(error) => error.kind(),
            Self::Rows(_) | Self::Columns(_) | Self::ThreadEnded(_) => Kind::Bug,
            Self::Time(_) => Kind::Data,
        }
    }
}
