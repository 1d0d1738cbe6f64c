//! `access_log`: one gateway request as the gateway told it. Cannot be back-filled, so it carries from the first
//! day what later stages need. Attribution to a partner and an environment is *not* here: it is decided in
//! `aggregate` as of `occurred_at`, so that a registration that arrives late still takes its traffic.

use super::{Column, Kind, Table, may, must};

/// The key columns that every ingested table starts with.
pub(super) const SOURCE: Column =
    must("source", Kind::Text, "Cluster alias, topic and generation, or file and hash: where the record came from");
pub(super) const PARTITION: Column = must("kafka_partition", Kind::Int32, "Partition of the source; 0 for a file");
pub(super) const OFFSET: Column =
    must("kafka_offset", Kind::Int, "Offset in the partition; the line number, from 0, for a file");
pub(super) const INDEX: Column =
    must("record_index", Kind::Int32, "Place of the record inside its message, dense from 0");

/// The table.
pub const TABLE: Table = Table {
    name: "access_log",
    doc: "One gateway request, retraction or amendment, exactly as often as it was delivered",
    written_by: "tollbook ingest",
    key: &["source", "kafka_partition", "kafka_offset", "record_index"],
    partition_by: Some("event_date"),
    append_only: true,
    columns: &[
        SOURCE,
        PARTITION,
        OFFSET,
        INDEX,
        must("kind", Kind::Text, "request, retraction or amendment"),
        may("corrects_event_id", Kind::Text, "Event id of the request that a retraction or amendment corrects"),
        must("occurred_at", Kind::Instant, "When the request started; decides hour, period and price"),
        must(
            "received_at",
            Kind::Instant,
            "Record time in Kafka, or the file's time; decides lateness, never the price",
        ),
        must("gateway", Kind::Text, "Configured id of the gateway; event ids are unique within it"),
        must("event_id", Kind::Text, "Id of the request; (gateway, event_id) counts once"),
        may("host", Kind::Text, "Host name that was called"),
        may("route", Kind::Text, "Route name in the gateway"),
        may("product_hint", Kind::Text, "Product as the gateway names it"),
        may("method", Kind::Text, "HTTP method"),
        may("path", Kind::Text, "Path without query"),
        may("path_template", Kind::Text, "Path with its variable parts named, as the gateway knows it"),
        may("status", Kind::Int32, "HTTP status; null where the gateway sent none"),
        may("error_code", Kind::Text, "Gateway's own error or response flag"),
        may("request_bytes", Kind::Int, "Bytes received; see bytes_basis; null is not zero"),
        may("response_bytes", Kind::Int, "Bytes sent; see bytes_basis; null is not zero"),
        may("latency_us", Kind::Int, "Whole request, in microseconds"),
        may("upstream_latency_us", Kind::Int, "Upstream part, in microseconds"),
        may("consumer", Kind::Text, "Consumer name as the gateway knows it"),
        may(
            "credential_hash",
            Kind::Text,
            "Keyed hash of the credential; the credential itself never reaches the lake",
        ),
        may("credential_key_id", Kind::Text, "Id of the key that the hash was made with"),
        may("scope", Kind::Text, "Scope that the gateway granted"),
        may("environment_hint", Kind::Text, "Environment as the record itself says"),
        may("environment_default", Kind::Text, "Environment that is configured for the topic"),
        may("workspace", Kind::Text, "Workspace, stage or organisation of the gateway"),
        may("cache_status", Kind::Text, "hit, miss, or as the gateway says"),
        may("client_tag", Kind::Text, "try_it, health_check, or as the gateway says"),
        may("idempotency_key_hash", Kind::Text, "Keyed hash of the client's idempotency key"),
        may("client_address", Kind::Text, "Client address, cut to /24 or /48"),
        may("user_agent", Kind::Text, "User agent, cut to 200 characters"),
        must("id_basis", Kind::Text, "gateway where the gateway gave the id, offset where it had none"),
        must("bytes_basis", Kind::Text, "body, body_and_headers, declared or absent: what the byte counts mean"),
        must("time_basis", Kind::Text, "start, or end_minus_latency where the gateway logs the end"),
        may("attributes", Kind::TextMap, "Extracted attributes as text; parsed to exact decimals at metering"),
        must("event_date", Kind::Date, "UTC date of occurred_at"),
    ],
};
