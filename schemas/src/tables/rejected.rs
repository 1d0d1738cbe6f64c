//! `rejected`: one record that could not be read. Written before the main table and inert until the main table's
//! frontier passes it, so that a crash between the two commits neither loses nor doubles a decision (I1, I9).

use super::access_log::{INDEX, OFFSET, PARTITION, SOURCE};
use super::{Kind, Table, must};

/// The table.
pub const TABLE: Table = Table {
    name: "rejected",
    doc: "One record that could not be read, with the reason; counts below the main table's frontier only",
    written_by: "tollbook ingest",
    key: &["source", "kafka_partition", "kafka_offset", "record_index"],
    partition_by: Some("ingest_date"),
    append_only: true,
    columns: &[
        SOURCE,
        PARTITION,
        OFFSET,
        INDEX,
        must("target", Kind::Text, "Table that the record was meant for: access_log or partner_event"),
        must("reason", Kind::Text, "Short name of what is wrong, for counting"),
        must("detail", Kind::Text, "What is wrong, where, in words, without values of the record"),
        must("received_at", Kind::Instant, "Record time in Kafka, or the file's time"),
        must("payload_bytes_total", Kind::Int, "Size of the message in bytes"),
        must("payload_sha256", Kind::Text, "SHA-256 of the whole message"),
        must("payload", Kind::Bytes, "The message with credentials scrubbed, cut to 2 KiB"),
        must("ingest_date", Kind::Date, "UTC date of received_at"),
    ],
};
