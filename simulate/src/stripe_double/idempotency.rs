//! Stripe's idempotency layer, version 1.
//!
//! One scope: the account, so a key belongs to one method, path and set of parameters wherever it is used. An answer
//! is kept once execution has begun, whatever it says. Kept answers are forgotten after a lifetime (24 hours at
//! Stripe); the same key is then a new request, which is why a client must look before it sends again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::answers::{Answer, Refusal};
use super::form::Params;

/// What a request asks for, as far as its key is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    /// Method.
    pub method: String,
    /// Path.
    pub path: String,
    /// Parameters, in no order.
    pub params: Params,
}

#[derive(Debug)]
struct Kept {
    ask: Ask,
    request_id: String,
    first_seen_at: i64,
    /// `None` while the first request runs.
    answer: Option<Answer>,
}

/// What the layer says to a request with a key.
#[derive(Debug)]
pub(super) enum Turn {
    /// Nobody had this key: execute, then [`Keys::keep`] or [`Keys::release`].
    Yours,
    /// Answered before: say the same again, naming the first request.
    Again(Answer, String),
    /// Not like this.
    Refused(Refusal),
}

/// The keys of the account.
#[derive(Debug)]
pub(super) struct Keys {
    lifetime_s: i64,
    kept: Mutex<HashMap<String, Kept>>,
}

impl Keys {
    /// No keys yet.
    pub fn new(lifetime_s: i64) -> Self {
        Self { lifetime_s, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a turn.
    pub fn begin(&self, key: &str, ask: Ask, request_id: &str, now: i64) -> Turn {
        let mut kept = self.kept();
        if let Some(first) = kept.get(key) {
            let expired = first.answer.is_some() && now.saturating_sub(first.first_seen_at) >= self.lifetime_s;
            if !expired {
                return match &first.answer {
                    _ if first.ask != ask => Turn::Refused(Refusal::key_reused(key)),
                    None => Turn::Refused(Refusal::key_in_use(key)),
                    Some(answer) => Turn::Again(answer.clone(), first.request_id.clone()),
                };
            }
        }
        let first = Kept { ask, request_id: request_id.to_owned(), first_seen_at: now, answer: None };
        kept.insert(key.to_owned(), first);
        Turn::Yours
    }

    /// Keeps the answer for whoever comes with the key again.
    pub fn keep(&self, key: &str, answer: &Answer) {
        if let Some(first) = self.kept().get_mut(key) {
            first.answer = Some(answer.clone());
        }
    }

    /// Forgets the key: execution never began.
    pub fn release(&self, key: &str) {
        self.kept().remove(key);
    }
}
