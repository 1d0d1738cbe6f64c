//! Decoder `kong`: what Kong's log plugins write (`http-log`, `file-log`, `tcp-log`, Kafka plugins): one object a
//! message, or an array of them where `http-log` batches; `file-log` writes one a line. What becomes of each field is
//! in `docs/messages.md`.
//!
//! `request.id` is required: Kong writes it from 3.5 on, and an older Kong gives no id that tells a retry of its log
//! plugin from a second request. The credential is Kong's id of it, never the key itself. Nothing else is read;
//! headers, which hold credentials and cookies, are never stored. A record of a stream proxy (TCP, UDP) has no
//! `request` and is rejected.

use std::borrow::Cow;

use chrono::DateTime;
use serde::Deserialize;
use sonic_rs::{JsonValueTrait as _, LazyValue};

use crate::decode::{Rejection, text_of};
use crate::numeral::{integer, rounded};
use crate::record::{AccessFormat, AccessRecord, Text, is_event_id, object, occurred, status, without_query};

/// A number, or a text that holds one.
type Number<'a> = Option<LazyValue<'a>>;

/// One record as Kong writes it; only what is kept.
#[derive(Debug, Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    request: Option<Request<'a>>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
    #[serde(borrow)]
    latencies: Option<Latencies<'a>>,
    #[serde(borrow)]
    started_at: Number<'a>,
    #[serde(borrow)]
    consumer: Option<Entity<'a>>,
    #[serde(borrow)]
    authenticated_entity: Option<Entity<'a>>,
    #[serde(borrow)]
    service: Option<Entity<'a>>,
    #[serde(borrow)]
    route: Option<Entity<'a>>,
    upstream_status: Text<'a>,
    workspace: Text<'a>,
    workspace_name: Text<'a>,
    client_ip: Text<'a>,
}

#[derive(Debug, Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    method: Text<'a>,
    uri: Text<'a>,
    url: Text<'a>,
    #[serde(borrow)]
    size: Number<'a>,
}

#[derive(Debug, Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    status: Number<'a>,
    #[serde(borrow)]
    size: Number<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Latencies<'a> {
    #[serde(borrow)]
    request: Number<'a>,
    #[serde(borrow)]
    proxy: Number<'a>,
}

/// A consumer, credential, service or route.
#[derive(Debug, Deserialize)]
struct Entity<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    name: Text<'a>,
    username: Text<'a>,
    custom_id: Text<'a>,
}

/// How it is read.
pub(crate) const FORMAT: AccessFormat =
    AccessFormat { text_of: |message| text_of(message).map(Cow::Borrowed), read: |text| check(object(text)?) };

fn check(raw: Raw<'_>) -> Result<AccessRecord<'_>, Rejection> {
    let request = raw
        .request
        .ok_or_else(|| Rejection::new("request", "request is missing: this is no record of an HTTP proxy"))?;
    let event_id = request.id.filter(|id| is_event_id(id)).ok_or_else(|| {
        let detail = "request.id is missing, empty or longer than 200 bytes: Kong logs it from 3.5 on";
        Rejection::new("event_id", detail)
    })?;
    let started_at =
        count("started_at", raw.started_at)?.ok_or_else(|| Rejection::new("occurred_at", "started_at is missing"))?;
    let occurred_at = occurred(DateTime::from_timestamp_millis(started_at), "started_at")?;
    let (code, response_size) = raw.response.map_or((None, None), |response| (response.status, response.size));
    let code = count("response.status", code)?.map(status).transpose()?;
    let request_bytes = count("request.size", request.size)?;
    let response_bytes = count("response.size", response_size)?;
    let latencies = raw.latencies.unwrap_or_default();
    let upstream_status = raw.upstream_status.filter(|text| !text.is_empty());
    Ok(AccessRecord {
        host: request.url.as_deref().and_then(host_of).map(|host| Cow::Owned(host.to_owned())),
        route: raw.route.and_then(|route| first([route.name, route.id])),
        product_hint: raw.service.and_then(|service| first([service.name, service.id])),
        method: first([request.method]),
        path: first([request.uri]).map(without_query),
        status: code,
        request_bytes,
        response_bytes,
        latency_us: microseconds("latencies.request", latencies.request)?,
        upstream_latency_us: microseconds("latencies.proxy", latencies.proxy)?,
        consumer: raw.consumer.and_then(|consumer| first([consumer.username, consumer.custom_id, consumer.id])),
        credential: raw.authenticated_entity.and_then(|entity| first([entity.id])),
        workspace: first([raw.workspace_name, raw.workspace]),
        client_address: first([raw.client_ip]),
        bytes_basis: if request_bytes.or(response_bytes).is_some() { "body_and_headers" } else { "absent" },
        attributes: upstream_status.map(|text| (Cow::Borrowed("upstream_status"), text)).into_iter().collect(),
        ..AccessRecord::new(event_id, occurred_at, "start")
    })
}

/// The first that says something.
fn first<'a, const N: usize>(texts: [Text<'a>; N]) -> Text<'a> {
    texts.into_iter().flatten().find(|text| !text.is_empty())
}

/// The digits of a number or of a text that holds one; `None` where it is null.
fn digits<'a>(field: &'static str, value: Number<'a>) -> Result<Text<'a>, Rejection> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    if let Some(text) = value.as_str() {
        Ok(Some(Cow::Owned(text.to_owned())))
    } else if value.is_number() {
        Ok(Some(Cow::Owned(value.as_raw_str().to_owned())))
    } else {
        Err(Rejection::new("wrong_type", format!("{field} is neither a number nor a text that holds one")))
    }
}

fn count(field: &'static str, value: Number<'_>) -> Result<Option<i64>, Rejection> {
    let wrong = || Rejection::new("wrong_number", format!("{field} is not a whole number of digits"));
    digits(field, value)?.map(|text| integer(&text).ok_or_else(wrong)).transpose()
}

/// Milliseconds, perhaps with decimals since Kong computes them as floats, to microseconds.
fn microseconds(field: &'static str, value: Number<'_>) -> Result<Option<i64>, Rejection> {
    let wrong = || Rejection::new("wrong_number", format!("{field} is not a number of milliseconds"));
    let text = digits(field, value)?.filter(|text| text != "-1");
    text.map(|text| rounded(&text, 3).ok_or_else(wrong)).transpose()
}

/// The host of a URL, without user and port.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host_port)| host_port);
    let host = match host_port.rsplit_once(':') {
        // The colons of an address in brackets are its own.
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host_port,
    };
    Some(host).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests;
