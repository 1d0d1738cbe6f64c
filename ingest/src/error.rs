//! What can go wrong between a topic and the lake.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tollbook_lake::LakeError;
use tollbook_schemas::error::{Classified, Kind};
use tollbook_schemas::source::SourceError;
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
        source: Box<KafkaError>,
    },
    /// librdkafka does not take a property.
    #[error(
        "kafka property {property:?} is not known to librdkafka, or its value is not valid; correct it in tollbook.toml"
    )]
    Property {
        /// Name; the value may be a secret.
        property: String,
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
         restored or damaged, and starting again would count everything twice: look at it with tollbook sql"
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
    /// The topic has fewer partitions than were read from it.
    #[error(
        "{source_name} partition {partition} is gone, of which offset {frontier} would be read next: Kafka never takes \
         partitions from a topic, so it was made again; set a new generation for it in tollbook.toml"
    )]
    PartitionGone {
        /// Source.
        source_name: String,
        /// Partition.
        partition: i32,
        /// Next offset to read.
        frontier: i64,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read; check the path and who may read it")]
    File {
        /// Path.
        path: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A file's path cannot be part of a source's name.
    #[error("{path} cannot be the name of a source; give the file by a shorter or plainer path")]
    FileName {
        /// Path.
        path: String,
        /// Cause.
        #[source]
        source: SourceError,
    },
    /// A file is packed.
    #[error(
        "{path} is packed with {packing}, and nothing of it was read; unpack it first ({unpack}) and give what comes out"
    )]
    FilePacked {
        /// Path.
        path: String,
        /// By what.
        packing: &'static str,
        /// What unpacks it.
        unpack: &'static str,
    },
    /// A file's bytes were read in another way.
    #[error("{path} {was}; now it is given with {asked}, and nothing was read: {way_out}")]
    FileKnown {
        /// Path.
        path: String,
        /// What is known of its bytes.
        was: String,
        /// The way in which it is given.
        asked: String,
        /// What to do.
        way_out: String,
    },
    /// Every record of a file was rejected.
    #[error(
        "nothing of {path} was accepted: all {rejected} records that {way} finds in it are rejected, most of them for \
         {reason}, and the time up to which the data reach was not moved; if that is the wrong way to read it, give the \
         right one and --generation {next}"
    )]
    NothingAccepted {
        /// Path.
        path: String,
        /// The way in which it was read.
        way: String,
        /// How many.
        rejected: i64,
        /// The most frequent reason, with an example.
        reason: String,
        /// The generation that may be begun.
        next: i64,
    },
    /// A file is not what it was when its hash was taken.
    #[error(
        "{path} changed while it was read, so its last lines were not taken in; give a file that nobody writes to, \
         such as a rotated log or a copy"
    )]
    FileChanged {
        /// Path.
        path: String,
    },
    /// The lake failed.
    #[error("the lake could not take what was read")]
    Lake(#[from] LakeError),
    /// Decoded rows did not fit the table.
    #[error("decoded rows do not fit their table")]
    Rows(#[from] RowError),
    /// Arrow refused a batch.
    #[error("decoded columns do not fit their table")]
    Columns(#[source] Box<arrow::error::ArrowError>),
    /// The consumer's thread ended without a word.
    #[error("the consumer thread of {0} ended unexpectedly")]
    ThreadEnded(String),
}

impl IngestError {
    /// Whether Kafka does not have the offset that was asked for: then the topic is not what was read before.
    pub(crate) fn is_out_of_range(&self) -> bool {
        let Self::Kafka { source, .. } = self else { return false };
        let code = source.rdkafka_error_code();
        matches!(code, Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset))
    }
}

impl From<arrow::error::ArrowError> for IngestError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Columns(Box::new(error))
    }
}

impl Classified for IngestError {
    fn kind(&self) -> Kind {
        match self {
            Self::Kafka { .. } => Kind::Retry,
            Self::NoTopic { .. }
            | Self::Property { .. }
            | Self::File { .. }
            | Self::FileName { .. }
            | Self::FilePacked { .. }
            | Self::FileKnown { .. }
            | Self::NothingAccepted { .. } => Kind::Configuration,
            Self::MissingFrontier { .. } | Self::Lost { .. } | Self::Truncated { .. } | Self::PartitionGone { .. } => {
                Kind::Data
            }
            Self::Lake(error) => error.kind(),
            Self::Rows(_) | Self::Columns(_) | Self::ThreadEnded(_) => Kind::Bug,
            Self::FileChanged { .. } => Kind::Data,
        }
    }
}
