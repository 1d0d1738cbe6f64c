//! Every request that reached the double, with its bytes, for assertions such as "the retry was the same to the byte".

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One request, in the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// Method.
    pub method: String,
    /// Path, with its query string if it had one.
    pub path: String,
    /// The endpoint it reached, as in [`super::ENDPOINTS`]; `None` for an unknown path.
    pub endpoint: Option<&'static str>,
    /// The body as it came.
    pub body: Vec<u8>,
    /// Header `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The `Request-Id` it was given.
    pub request_id: String,
    /// Whether the answer was a kept one.
    pub replayed: bool,
    /// The status decided on; `None` while the request runs. A status is here even if a fault kept it from the client.
    pub status: Option<u16>,
    /// Whether a fault closed the connection instead of answering in full.
    pub cut: bool,
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct RequestLog(Mutex<Vec<LoggedRequest>>);

impl RequestLog {
    fn entries(&self) -> MutexGuard<'_, Vec<LoggedRequest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an arrival; gives where to note its end.
    pub fn arrive(&self, entry: LoggedRequest) -> usize {
        let mut entries = self.entries();
        entries.push(entry);
        entries.len() - 1
    }

    /// Notes how the request ended.
    pub fn end(&self, at: usize, status: u16, replayed: bool, cut: bool) {
        if let Some(entry) = self.entries().get_mut(at) {
            entry.status = Some(status);
            entry.replayed = replayed;
            entry.cut = cut;
        }
    }

    /// A copy of the log.
    pub fn all(&self) -> Vec<LoggedRequest> {
        self.entries().clone()
    }

    /// Requests for each endpoint.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for endpoint in self.entries().iter().filter_map(|entry| entry.endpoint) {
            *counts.entry(endpoint).or_default() += 1;
        }
        counts
    }
}
