//! Decoder `native`: our own access-log JSON, one object or an array of objects in a message. Each field, its form and
//! its meaning is in `docs/messages.md`.
//!
//! Unknown fields are ignored. Numbers are integers by grammar: `12.0` and `1e3` are refused. Numbers of `attributes`
//! are kept by their digits, never as floats.
//!
//! A correction comes from the same gateway as its request and has an `event_id` of its own, so that it too may be
//! delivered twice. A `retraction` needs nothing else but `occurred_at`; the request then counts as nothing. An
//! `amendment` is a whole record that stands in place of the request, at its own `occurred_at`: what it leaves out is
//! not taken over. Of several the last one holds, by the record's time in Kafka. It may overtake its request.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use sonic_rs::{JsonValueTrait as _, LazyValue};
use tollbook_schemas::period::parse_instant;

use crate::decode::{Rejection, text_of};
use crate::record::{AccessFormat, AccessRecord, RecordKind, is_event_id, object, occurred, status, without_query};

/// One record as it stands in the message.
#[derive(Debug, Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    event_id: Option<Cow<'a, str>>,
    occurred_at: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    corrects_event_id: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
    route: Option<Cow<'a, str>>,
    product: Option<Cow<'a, str>>,
    method: Option<Cow<'a, str>>,
    path: Option<Cow<'a, str>>,
    path_template: Option<Cow<'a, str>>,
    status: Option<i64>,
    error_code: Option<Cow<'a, str>>,
    request_bytes: Option<i64>,
    response_bytes: Option<i64>,
    latency_us: Option<i64>,
    upstream_latency_us: Option<i64>,
    consumer: Option<Cow<'a, str>>,
    credential: Option<Cow<'a, str>>,
    scope: Option<Cow<'a, str>>,
    environment: Option<Cow<'a, str>>,
    workspace: Option<Cow<'a, str>>,
    cache_status: Option<Cow<'a, str>>,
    client_tag: Option<Cow<'a, str>>,
    idempotency_key: Option<Cow<'a, str>>,
    client_address: Option<Cow<'a, str>>,
    user_agent: Option<Cow<'a, str>>,
    bytes_basis: Option<Cow<'a, str>>,
    #[serde(borrow)]
    attributes: Option<BTreeMap<Cow<'a, str>, LazyValue<'a>>>,
}

/// How it is read.
pub(crate) const FORMAT: AccessFormat =
    AccessFormat { text_of: |message| text_of(message).map(Cow::Borrowed), read: |text| check(object(text)?) };

fn check(raw: Raw<'_>) -> Result<AccessRecord<'_>, Rejection> {
    let event_id = raw
        .event_id
        .filter(|id| is_event_id(id))
        .ok_or_else(|| Rejection::new("event_id", "event_id is missing, empty or longer than 200 bytes"))?;
    let kind = kind(raw.kind.as_deref(), raw.corrects_event_id)?;
    let occurred_at = raw.occurred_at.ok_or_else(|| Rejection::new("occurred_at", "occurred_at is missing"))?;
    let occurred_at = parse_instant(&occurred_at)
        .map_err(|_| Rejection::new("occurred_at", "occurred_at is not an RFC 3339 instant"))?;
    let occurred_at = occurred(Some(occurred_at), "occurred_at")?;
    let status = raw.status.map(status).transpose()?;
    for (name, count) in [
        ("request_bytes", raw.request_bytes),
        ("response_bytes", raw.response_bytes),
        ("latency_us", raw.latency_us),
        ("upstream_latency_us", raw.upstream_latency_us),
    ] {
        if count.is_some_and(|count| count < 0) {
            return Err(Rejection::new("negative_count", format!("{name} is negative")));
        }
    }
    let bytes_basis = match (raw.bytes_basis.as_deref(), raw.request_bytes.or(raw.response_bytes)) {
        (_, None) => "absent",
        (None | Some("body"), _) => "body",
        (Some("body_and_headers"), _) => "body_and_headers",
        (Some("declared"), _) => "declared",
        _ => return Err(Rejection::new("bytes_basis", "bytes_basis is not body, body_and_headers or declared")),
    };
    let attributes = raw.attributes.unwrap_or_default().into_iter().map(attribute).collect::<Result<_, _>>()?;
    Ok(AccessRecord {
        host: raw.host,
        route: raw.route,
        product_hint: raw.product,
        method: raw.method,
        path: raw.path.map(without_query),
        path_template: raw.path_template,
        status,
        error_code: raw.error_code,
        request_bytes: raw.request_bytes,
        response_bytes: raw.response_bytes,
        latency_us: raw.latency_us,
        upstream_latency_us: raw.upstream_latency_us,
        consumer: raw.consumer,
        credential: raw.credential,
        scope: raw.scope,
        environment_hint: raw.environment,
        workspace: raw.workspace,
        cache_status: raw.cache_status,
        client_tag: raw.client_tag,
        idempotency_key: raw.idempotency_key,
        client_address: raw.client_address,
        user_agent: raw.user_agent,
        bytes_basis,
        attributes,
        kind,
        ..AccessRecord::new(event_id, occurred_at, "start")
    })
}

fn kind<'a>(kind: Option<&str>, corrects: Option<Cow<'a, str>>) -> Result<RecordKind<'a>, Rejection> {
    let corrected = |make: fn(Cow<'a, str>) -> RecordKind<'a>, corrects: Option<Cow<'a, str>>| {
        corrects.filter(|id| is_event_id(id)).map(make).ok_or_else(|| {
            Rejection::new("corrects_event_id", "corrects_event_id is missing, empty or longer than 200 bytes")
        })
    };
    match kind.unwrap_or("request") {
        "request" if corrects.is_some() => Err(Rejection::new(
            "corrects_event_id",
            "a request corrects nothing: kind must be retraction or amendment where corrects_event_id is given",
        )),
        "request" => Ok(RecordKind::Request),
        "retraction" => corrected(RecordKind::Retraction, corrects),
        "amendment" => corrected(RecordKind::Amendment, corrects),
        _ => Err(Rejection::new("kind", "kind is not request, retraction or amendment")),
    }
}

fn attribute<'a>((name, value): (Cow<'a, str>, LazyValue<'a>)) -> Result<(Cow<'a, str>, Cow<'a, str>), Rejection> {
    let text = if let Some(text) = value.as_str() {
        Cow::Owned(text.to_owned())
    } else if value.is_number() {
        Cow::Owned(value.as_raw_str().to_owned())
    } else {
        return Err(Rejection::new("wrong_type", "an attribute is neither text nor number"));
    };
    Ok((name, text))
}

#[cfg(test)]
mod tests;
