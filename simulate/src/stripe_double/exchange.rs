//! One request from its arrival to its answer, in Stripe's order: authentication, version, endpoint, limiters,
//! parameters' shape, idempotency, validation, execution. Faults strike between these.
//!
//! The whole runs in a task of its own: a client that leaves does not stop what it asked for.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State as Shelf};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::answers::{Answer, Refusal};
use super::faults::FaultKind;
use super::form;
use super::idempotency::{Ask, Turn};
use super::request_log::LoggedRequest;
use super::router::{self, Endpoint};
use super::wire::Fuse;
use super::{Account, authority};

const BODY_BYTES_MOST: usize = 4 * 1024 * 1024;

/// How an answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Whole,
    Nothing,
    Truncated(usize),
}

/// A decided answer.
struct Reply {
    answer: Answer,
    replayed: bool,
    /// The first request with the key, where a key took part.
    original: Option<String>,
    delivery: Delivery,
}

impl Reply {
    fn plain(answer: Answer) -> Self {
        Self { answer, replayed: false, original: None, delivery: Delivery::Whole }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::plain(refusal.answer())
    }
}

/// The handler of every path.
pub(super) async fn handle(
    Shelf(account): Shelf<Arc<Account>>,
    ConnectInfo(fuse): ConnectInfo<Fuse>,
    request: Request,
) -> Response<Body> {
    let answered = tokio::spawn(converse(account, fuse, request)).await;
    answered.unwrap_or_else(|_| {
        let mut response = Response::new(Body::from("the Stripe double panicked"));
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        response
    })
}

async fn converse(account: Arc<Account>, fuse: Fuse, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    // A body that did not arrive whole never became a request.
    let Ok(body) = to_bytes(body, BODY_BYTES_MOST).await else {
        fuse.blow();
        return Response::new(Body::empty());
    };
    let request_id = account.next_request_id();
    let path = head.uri.path();
    let found = router::find(head.method.as_str(), path);
    let key = header_text(&head.headers, "idempotency-key");
    let at = account.log.arrive(LoggedRequest {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(|| path.to_owned(), ToString::to_string),
        endpoint: found.as_ref().map(|(_, name, _)| *name),
        body: body.to_vec(),
        idempotency_key: key.clone(),
        request_id: request_id.clone(),
        replayed: false,
        status: None,
        cut: false,
    });
    let incoming = Incoming {
        account: &account,
        method: &head.method,
        path,
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body: &body,
        key: key.as_deref(),
        request_id: &request_id,
    };
    let reply = incoming.decide(found).await;
    let cut = reply.delivery != Delivery::Whole;
    account.log.end(at, reply.answer.status, reply.replayed, cut);
    match reply.delivery {
        Delivery::Whole => {}
        Delivery::Nothing => fuse.blow(),
        Delivery::Truncated(body_bytes) => fuse.blow_after(body_bytes),
    }
    respond(reply, &head.headers, &request_id, key.as_deref())
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn respond(reply: Reply, asked: &HeaderMap, request_id: &str, key: Option<&str>) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.answer.body));
    *response.status_mut() = StatusCode::from_u16(reply.answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.answer.media_type));
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("request-id", request_id);
    if let Some(version) = header_text(asked, "stripe-version") {
        set("stripe-version", &version);
    }
    if let Some(original) = &reply.original {
        set("original-request", original);
        set("idempotency-key", key.unwrap_or_default());
    }
    if reply.replayed {
        set("idempotent-replayed", "true");
    }
    if let Some(reason) = reply.answer.limit_reason {
        set("stripe-rate-limited-reason", reason);
    }
    response
}

/// A request with what is needed to answer it.
struct Incoming<'a> {
    account: &'a Account,
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    body: &'a [u8],
    key: Option<&'a str>,
    request_id: &'a str,
}

impl Incoming<'_> {
    async fn decide(&self, found: Option<(Endpoint, &'static str, String)>) -> Reply {
        if let Err(refusal) = authority::check(&self.account.secret_key, self.headers) {
            return refusal.into();
        }
        if let Err(refusal) = check_version(self.headers) {
            return refusal.into();
        }
        let Some((endpoint, name, id)) = found else {
            return Refusal::no_such_path(self.method.as_str(), self.path).into();
        };
        let fault = self.account.faults.take(name);
        if let Some(reply) = before_execution(fault) {
            return reply;
        }
        match self.keyed(endpoint, id, fault).await {
            Ok(reply) => after_execution(reply, fault).await,
            Err(refusal) => refusal.into(),
        }
    }

    /// The idempotency layer around an execution. An `Err` was not executed and is not kept.
    async fn keyed(&self, endpoint: Endpoint, id: String, fault: Option<FaultKind>) -> Result<Reply, Refusal> {
        let is_post = *self.method == Method::POST;
        let params = self.params(is_post)?;
        // Only POST takes keys: the others are idempotent by what they mean.
        let Some(key) = self.key.filter(|_| is_post) else {
            wait(fault).await;
            if fault == Some(FaultKind::LockTimeout) {
                return Err(Refusal::lock_timeout());
            }
            let work = router::prepare(endpoint, id, params)?;
            return Ok(Reply::plain(self.execute(work, fault)));
        };
        if key.is_empty() || key.len() > 255 {
            return Err(Refusal::invalid("Idempotency keys must have 1 to 255 characters"));
        }
        let ask = Ask { method: self.method.to_string(), path: self.path.to_owned(), params: params.clone() };
        let keys = &self.account.keys;
        let original = match keys.begin(key, ask, self.request_id, self.account.now()) {
            Turn::Refused(refusal) => return Err(refusal),
            Turn::Again(answer, original) => {
                return Ok(Reply { replayed: true, original: Some(original), ..Reply::plain(answer) });
            }
            Turn::Yours => Some(self.request_id.to_owned()),
        };
        wait(fault).await;
        if fault == Some(FaultKind::LockTimeout) {
            let answer = Refusal::lock_timeout().answer();
            if self.account.quirks.lock_timeout_kept {
                keys.keep(key, &answer);
            } else {
                keys.release(key);
            }
            return Ok(Reply { original, ..Reply::plain(answer) });
        }
        let work = router::prepare(endpoint, id, params).inspect_err(|_| keys.release(key))?;
        let answer = self.execute(work, fault);
        keys.keep(key, &answer);
        Ok(Reply { original, ..Reply::plain(answer) })
    }

    fn params(&self, is_post: bool) -> Result<form::Params, Refusal> {
        if is_post && !self.body.is_empty() {
            let media_type = header_text(self.headers, "content-type").unwrap_or_default();
            if !media_type.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
                return Err(Refusal::invalid(
                    "Invalid request (check that your POST content type is application/x-www-form-urlencoded).",
                ));
            }
        }
        let mut encoded = self.query.as_bytes().to_vec();
        if !encoded.is_empty() && !self.body.is_empty() {
            encoded.push(b'&');
        }
        encoded.extend_from_slice(self.body);
        form::decode(&encoded)
    }

    fn execute(&self, work: super::Work, fault: Option<FaultKind>) -> Answer {
        let now = self.account.now();
        let mut state = self.account.state_at(now);
        let answer = match work(&mut state, now) {
            Ok(body) => Answer::json(200, &body),
            Err(refusal) => refusal.answer(),
        };
        match fault {
            Some(FaultKind::Status500After) => Refusal::unknown_outcome().answer(),
            _ => answer,
        }
    }
}

fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    let version = header_text(headers, "stripe-version")
        .ok_or_else(|| Refusal::invalid("This double wants a Stripe-Version header on every request"))?;
    // `2026-09-30.endive`, or only the date for versions before 2024-09-30.
    let date = version.split('.').next().unwrap_or_default();
    let is_date = date.len() == 10
        && date
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    if is_date { Ok(()) } else { Err(Refusal::invalid(format!("Invalid Stripe API version: {version}"))) }
}

/// The faults of networks, proxies and limiters, which come before the idempotency layer.
fn before_execution(fault: Option<FaultKind>) -> Option<Reply> {
    Some(match fault? {
        // The status is for the log only: 499 is what servers note when a connection ends without an answer.
        FaultKind::RefuseBefore => Reply { delivery: Delivery::Nothing, ..Reply::plain(Answer::html(499)) },
        FaultKind::Html(status) => Reply::plain(Answer::html(status)),
        FaultKind::Status429(reason) => Refusal::limited(reason.as_str()).into(),
        FaultKind::Status500Before => Refusal::unknown_outcome().into(),
        FaultKind::KeyInUse => Refusal::key_in_use("ordered by a fault").into(),
        _ => return None,
    })
}

async fn wait(fault: Option<FaultKind>) {
    if let Some(FaultKind::Slow(ms)) = fault {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// The faults of an answer on its way back.
async fn after_execution(mut reply: Reply, fault: Option<FaultKind>) -> Reply {
    match fault {
        Some(FaultKind::ExecuteThenDrop) => reply.delivery = Delivery::Nothing,
        Some(FaultKind::ExecuteThenTruncate(body_bytes)) => reply.delivery = Delivery::Truncated(body_bytes),
        Some(FaultKind::ExecuteThenSlow(ms)) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Some(FaultKind::EmptyBody) => reply.answer.body.clear(),
        Some(FaultKind::BrokenJson) => reply.answer.body.truncate(reply.answer.body.len() / 2),
        _ => {}
    }
    reply
}
