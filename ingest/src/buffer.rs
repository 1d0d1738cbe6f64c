//! What one partition has given since the last commit: accepted rows, rejected rows, the offsets they cover.
//!
//! Rows go straight into Arrow builders. A decision that an earlier process took and committed to `rejected`, but
//! whose main commit never came, stands: that record is not decoded again (architecture.md §2a).

use std::cell::LazyCell;
use std::collections::HashSet;

use arrow::array::{
    Date32Builder, Int32Builder, Int64Builder, MapBuilder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use chrono::DateTime;
use tollbook_schemas::digest::sha256_hex;
use tollbook_schemas::tables::{Row, batch_of, partner_event, text_map_builder};

use crate::cloudevents;
use crate::credential::cut_address;
use crate::decode::{Decoder, Door, Message, Rejection};
use crate::error::IngestError;
use crate::record::{AccessFormat, AccessRecord};
use crate::scrub::scrub;

/// (offset, index) of records that are rejected already, by an earlier commit.
pub(crate) type Decided = HashSet<(i64, i32)>;

/// What a message, an accepted and a rejected record take in memory beside the message's own bytes, generously.
const MESSAGE_BYTES: usize = 64;
const ACCEPTED_BYTES: usize = 256;
const REJECTED_BYTES: usize = 3 * 1024;

/// What a partition hands to the committer.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub partition: i32,
    /// First offset that it covers: must be where the table stands.
    pub from: i64,
    /// First offset after it.
    pub to: i64,
    pub accepted: Option<RecordBatch>,
    pub accepted_count: u64,
    pub rejected: Vec<Row>,
    pub decided_count: u64,
}

/// How much of each kind a partition handed over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub partition: i32,
    pub accepted: u64,
    pub rejected: u64,
    pub decided: u64,
}

impl Sealed {
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            partition: self.partition,
            accepted: self.accepted_count,
            rejected: u64::try_from(self.rejected.len()).unwrap_or(u64::MAX),
            decided: self.decided_count,
        }
    }
}

enum Accepted {
    AccessLog(&'static AccessFormat, Box<AccessLogBuilder>),
    PartnerEvent(Vec<Row>),
}

pub(crate) struct Buffer {
    partition: i32,
    from: i64,
    to: i64,
    accepted: Accepted,
    accepted_count: u64,
    rejected: Vec<Row>,
    decided_count: u64,
    bytes: usize,
}

impl Buffer {
    pub(crate) fn new(partition: i32, from: i64, decoder: Decoder) -> Self {
        let accepted = match decoder.access_format() {
            Some(format) => Accepted::AccessLog(format, Box::new(AccessLogBuilder::new())),
            None => Accepted::PartnerEvent(Vec::new()),
        };
        Self {
            partition,
            from,
            to: from,
            accepted,
            accepted_count: 0,
            rejected: Vec::new(),
            decided_count: 0,
            bytes: 0,
        }
    }

    /// Next offset that the buffer waits for.
    pub(crate) fn next_offset(&self) -> i64 {
        self.to
    }

    /// Memory taken, about: what the bound counts. Small records, and rejects most of all, take more than they have
    /// bytes.
    pub(crate) fn bytes(&self) -> usize {
        let accepted = usize::try_from(self.accepted_count).unwrap_or(usize::MAX).saturating_mul(ACCEPTED_BYTES);
        self.bytes.saturating_add(accepted).saturating_add(self.rejected.len().saturating_mul(REJECTED_BYTES))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.to == self.from
    }

    /// Takes one message. A lower offset than expected is a stale delivery and is left out; a higher one is a gap of
    /// control records or compaction, which Kafka allows.
    pub(crate) fn push(&mut self, message: &Message<'_>, door: &Door, decided: &Decided) {
        if message.offset < self.to {
            return;
        }
        self.bytes += message.payload.map_or(0, <[u8]>::len) + MESSAGE_BYTES;
        let whole = message.payload.unwrap_or_default();
        let digest = LazyCell::new(|| sha256_hex(whole));
        match &mut self.accepted {
            Accepted::AccessLog(format, builder) => format.each(message, |index, record, own| match record {
                _ if decided.contains(&(message.offset, index)) => self.decided_count += 1,
                Ok(record) => {
                    builder.push(message, index, &record, door);
                    self.accepted_count += 1;
                }
                Err(rejection) => self.rejected.push(reject(message, index, &rejection, door, own, &digest)),
            }),
            Accepted::PartnerEvent(rows) => match cloudevents::decode(message, door) {
                _ if decided.contains(&(message.offset, 0)) => self.decided_count += 1,
                Ok(row) => {
                    rows.push(placed(row, message, 0, door).with("received_at", message.received_at));
                    self.accepted_count += 1;
                }
                Err(rejection) => self.rejected.push(reject(message, 0, &rejection, door, whole, &digest)),
            },
        }
        self.pass(message.offset);
    }

    /// Takes an offset at which there is no record.
    pub(crate) fn pass(&mut self, offset: i64) {
        self.to = self.to.max(offset.saturating_add(1));
    }

    /// Takes one message that must not even be decoded.
    pub(crate) fn reject_whole(
        &mut self,
        message: &Message<'_>,
        rejection: &Rejection,
        door: &Door,
        decided: &Decided,
    ) {
        if message.offset < self.to {
            return;
        }
        if decided.contains(&(message.offset, 0)) {
            self.decided_count += 1;
        } else {
            let whole = message.payload.unwrap_or_default();
            self.rejected.push(reject(message, 0, rejection, door, whole, &sha256_hex(whole)));
        }
        self.pass(message.offset);
    }

    /// Hands over what it holds and starts anew behind it.
    pub(crate) fn seal(&mut self, decoder: Decoder) -> Result<Sealed, IngestError> {
        let next = Self::new(self.partition, self.to, decoder);
        let full = std::mem::replace(self, next);
        let accepted = match full.accepted {
            _ if full.accepted_count == 0 => None,
            Accepted::AccessLog(_, builder) => Some(builder.finish()?),
            Accepted::PartnerEvent(rows) => Some(batch_of(&partner_event::TABLE, &rows)?),
        };
        Ok(Sealed {
            partition: full.partition,
            from: full.from,
            to: full.to,
            accepted,
            accepted_count: full.accepted_count,
            rejected: full.rejected,
            decided_count: full.decided_count,
        })
    }
}

fn placed(row: Row, message: &Message<'_>, index: i32, door: &Door) -> Row {
    row.with("source", door.source.as_str())
        .with("kafka_partition", message.partition)
        .with("kafka_offset", message.offset)
        .with("record_index", index)
}

/// The row of a rejected record. Of an array only the record's `own` bytes are stored; size and digest are those of
/// the message, so that all its rows name the same one.
fn reject(message: &Message<'_>, index: i32, rejection: &Rejection, door: &Door, own: &[u8], digest: &str) -> Row {
    // Contact data belong to the billing profile alone: of an event that was refused for them, only the hash is kept.
    let stored = if rejection.reason == "event_contact_data" { Vec::new() } else { scrub(own) };
    placed(Row::new(), message, index, door)
        .with("target", door.decoder.table().name)
        .with("reason", rejection.reason)
        .with("detail", rejection.detail.as_str())
        .with("received_at", message.received_at)
        .with("payload_bytes_total", i64::try_from(message.payload.map_or(0, <[u8]>::len)).unwrap_or(i64::MAX))
        .with("payload_sha256", digest)
        .with("payload", stored)
        .with("ingest_date", message.received_at.date_naive())
}

/// Typed builders of `access_log`, in the order of its declaration.
struct AccessLogBuilder {
    source: StringBuilder,
    kafka_partition: Int32Builder,
    kafka_offset: Int64Builder,
    record_index: Int32Builder,
    kind: StringBuilder,
    corrects_event_id: StringBuilder,
    occurred_at: TimestampMicrosecondBuilder,
    received_at: TimestampMicrosecondBuilder,
    gateway: StringBuilder,
    event_id: StringBuilder,
    host: StringBuilder,
    route: StringBuilder,
    product_hint: StringBuilder,
    method: StringBuilder,
    path: StringBuilder,
    path_template: StringBuilder,
    status: Int32Builder,
    error_code: StringBuilder,
    request_bytes: Int64Builder,
    response_bytes: Int64Builder,
    latency_us: Int64Builder,
    upstream_latency_us: Int64Builder,
    consumer: StringBuilder,
    credential_hash: StringBuilder,
    credential_key_id: StringBuilder,
    scope: StringBuilder,
    environment_hint: StringBuilder,
    environment_default: StringBuilder,
    workspace: StringBuilder,
    cache_status: StringBuilder,
    client_tag: StringBuilder,
    idempotency_key_hash: StringBuilder,
    client_address: StringBuilder,
    user_agent: StringBuilder,
    id_basis: StringBuilder,
    bytes_basis: StringBuilder,
    time_basis: StringBuilder,
    attributes: MapBuilder<StringBuilder, StringBuilder>,
    event_date: Date32Builder,
}

/// Characters of a user agent that are kept.
const USER_AGENT_CHARS_MAX: usize = 200;

impl AccessLogBuilder {
    fn new() -> Self {
        let instants = || TimestampMicrosecondBuilder::new().with_timezone("UTC");
        Self {
            source: StringBuilder::new(),
            kafka_partition: Int32Builder::new(),
            kafka_offset: Int64Builder::new(),
            record_index: Int32Builder::new(),
            kind: StringBuilder::new(),
            corrects_event_id: StringBuilder::new(),
            occurred_at: instants(),
            received_at: instants(),
            gateway: StringBuilder::new(),
            event_id: StringBuilder::new(),
            host: StringBuilder::new(),
            route: StringBuilder::new(),
            product_hint: StringBuilder::new(),
            method: StringBuilder::new(),
            path: StringBuilder::new(),
            path_template: StringBuilder::new(),
            status: Int32Builder::new(),
            error_code: StringBuilder::new(),
            request_bytes: Int64Builder::new(),
            response_bytes: Int64Builder::new(),
            latency_us: Int64Builder::new(),
            upstream_latency_us: Int64Builder::new(),
            consumer: StringBuilder::new(),
            credential_hash: StringBuilder::new(),
            credential_key_id: StringBuilder::new(),
            scope: StringBuilder::new(),
            environment_hint: StringBuilder::new(),
            environment_default: StringBuilder::new(),
            workspace: StringBuilder::new(),
            cache_status: StringBuilder::new(),
            client_tag: StringBuilder::new(),
            idempotency_key_hash: StringBuilder::new(),
            client_address: StringBuilder::new(),
            user_agent: StringBuilder::new(),
            id_basis: StringBuilder::new(),
            bytes_basis: StringBuilder::new(),
            time_basis: StringBuilder::new(),
            attributes: text_map_builder(),
            event_date: Date32Builder::new(),
        }
    }

    fn push(&mut self, message: &Message<'_>, index: i32, record: &AccessRecord<'_>, door: &Door) {
        self.source.append_value(door.source.as_str());
        self.kafka_partition.append_value(message.partition);
        self.kafka_offset.append_value(message.offset);
        self.record_index.append_value(index);
        let (kind, corrects) = record.kind.columns();
        self.kind.append_value(kind);
        self.corrects_event_id.append_option(corrects);
        self.occurred_at.append_value(record.occurred_at.timestamp_micros());
        self.received_at.append_value(message.received_at.timestamp_micros());
        self.gateway.append_value(&door.gateway);
        self.event_id.append_value(&record.event_id);
        self.host.append_option(record.host.as_deref());
        self.route.append_option(record.route.as_deref());
        self.product_hint.append_option(record.product_hint.as_deref());
        self.method.append_option(record.method.as_deref());
        self.path.append_option(record.path.as_deref());
        self.path_template.append_option(record.path_template.as_deref());
        self.status.append_option(record.status);
        self.error_code.append_option(record.error_code.as_deref());
        self.request_bytes.append_option(record.request_bytes);
        self.response_bytes.append_option(record.response_bytes);
        self.latency_us.append_option(record.latency_us);
        self.upstream_latency_us.append_option(record.upstream_latency_us);
        self.consumer.append_option(record.consumer.as_deref());
        let key = &door.keys.current;
        self.credential_hash.append_option(record.credential.as_deref().map(|credential| key.hash(credential)));
        self.credential_key_id.append_option(record.credential.as_ref().map(|_| key.key_id.as_str()));
        self.scope.append_option(record.scope.as_deref());
        self.environment_hint.append_option(record.environment_hint.as_deref());
        self.environment_default.append_option(door.environment_default.as_deref());
        self.workspace.append_option(record.workspace.as_deref());
        self.cache_status.append_option(record.cache_status.as_deref());
        self.client_tag.append_option(record.client_tag.as_deref());
        self.idempotency_key_hash.append_option(record.idempotency_key.as_deref().map(|text| key.hash(text)));
        self.client_address.append_option(record.client_address.as_deref().and_then(cut_address));
        let user_agent = record.user_agent.as_deref();
        self.user_agent
            .append_option(user_agent.map(|agent| agent.chars().take(USER_AGENT_CHARS_MAX).collect::<String>()));
        self.id_basis.append_value(record.id_basis);
        self.bytes_basis.append_value(record.bytes_basis);
        self.time_basis.append_value(record.time_basis);
        for (name, value) in &record.attributes {
            self.attributes.keys().append_value(name);
            self.attributes.values().append_value(value);
        }
        // Keys and values were appended together, the one condition that this can fail on.
        let _ = self.attributes.append(!record.attributes.is_empty());
        let days = record.occurred_at.date_naive().signed_duration_since(DateTime::UNIX_EPOCH.date_naive()).num_days();
        // Years are 2000 to 2199, so the days fit.
        self.event_date.append_value(i32::try_from(days).unwrap_or(i32::MAX));
    }

    fn finish(mut self: Box<Self>) -> Result<RecordBatch, IngestError> {
        macro_rules! columns {
            ($($field:ident),* $(,)?) => {
                {
                let columns: Vec<arrow::array::ArrayRef> = vec![$(std::sync::Arc::new(self.$field.finish())),*];
                columns
            }
            };
        }
        let columns = columns![
            source,
            kafka_partition,
            kafka_offset,
            record_index,
            kind,
            corrects_event_id,
            occurred_at,
            received_at,
            gateway,
            event_id,
            host,
            route,
            product_hint,
            method,
            path,
            path_template,
            status,
            error_code,
            request_bytes,
            response_bytes,
            latency_us,
            upstream_latency_us,
            consumer,
            credential_hash,
            credential_key_id,
            scope,
            environment_hint,
            environment_default,
            workspace,
            cache_status,
            client_tag,
            idempotency_key_hash,
            client_address,
            user_agent,
            id_basis,
            bytes_basis,
            time_basis,
            attributes,
            event_date,
        ];
        Ok(RecordBatch::try_new(tollbook_schemas::tables::access_log::TABLE.arrow_schema(), columns)?)
    }
}

#[cfg(test)]
mod tests;
