//! `partner_event`: one lifecycle event (CloudEvents 1.0), the only truth about partners. The registry, the
//! subscriptions and the funnel are folds of it.

use super::access_log::{INDEX, OFFSET, PARTITION, SOURCE};
use super::{Kind, Table, may, must};

/// The table.
pub const TABLE: Table = Table {
    name: "partner_event",
    doc: "One lifecycle event of a partner; corrections are events, nothing is edited",
    written_by: "tollbook ingest, tollbook partner import and record",
    key: &["source", "kafka_partition", "kafka_offset", "record_index"],
    partition_by: Some("event_month"),
    append_only: true,
    columns: &[
        SOURCE,
        PARTITION,
        OFFSET,
        INDEX,
        must("event_source", Kind::Text, "CloudEvents source; (event_source, event_id) counts once"),
        must("event_id", Kind::Text, "CloudEvents id"),
        must("event_type", Kind::Text, "Type without organisation and version, such as subscription.started"),
        must("event_type_full", Kind::Text, "CloudEvents type as sent"),
        may("partner_id", Kind::Text, "Partner of the event; null where the event is about no partner"),
        must("occurred_at", Kind::Instant, "When it became true"),
        must("received_at", Kind::Instant, "When it became known: record time in Kafka"),
        may("actor", Kind::Text, "partner:ID, staff:ID or system:RULE: who did it"),
        may("correlation_id", Kind::Text, "CloudEvents extension correlationid"),
        may("causation_id", Kind::Text, "CloudEvents extension causationid"),
        must("data", Kind::Text, "Event data as JSON, credentials hashed, contact data refused"),
        must("event_month", Kind::Text, "UTC month of occurred_at, such as 2026-06"),
    ],
};
