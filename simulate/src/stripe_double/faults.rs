//! Faults on order: at the n-th request to an endpoint, counted from the order, something goes wrong once.
//!
//! A fault is taken after authentication and before the idempotency layer. Faults that say "execute" on a request
//! which is a replay change only how the kept answer travels: nothing is executed twice.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One fault, to happen once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Method and path template as in [`super::ENDPOINTS`], e.g. `POST /v1/invoices/{id}/add_lines`; `*` is any.
    pub endpoint: &'static str,
    /// Which request to that endpoint, counted from now; 1 is the next one.
    pub nth: u32,
    /// What happens.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The connection closes; nothing was executed.
    RefuseBefore,
    /// The request is executed, then the connection closes without an answer.
    ExecuteThenDrop,
    /// The request is executed; the connection closes after this many bytes of the answer's body.
    ExecuteThenTruncate(usize),
    /// The request is executed; the answer comes late by this many milliseconds.
    ExecuteThenSlow(u64),
    /// The request waits this many milliseconds with its key in use, then is executed, even if its client has left.
    Slow(u64),
    /// 500; nothing was executed, nothing is kept under the key.
    Status500Before,
    /// The request is executed, and 500 is answered and kept under the key.
    Status500After,
    /// 429 of a limiter; limiters run before the idempotency layer, so nothing is executed or kept.
    Status429(LimitReason),
    /// 429 `lock_timeout` without a reason; not executed, and kept under the key or not
    /// ([`super::Quirks::lock_timeout_kept`]).
    LockTimeout,
    /// 409 `idempotency_key_in_use`; not executed.
    KeyInUse,
    /// An HTML page of a proxy with this status; not executed.
    Html(u16),
    /// The request is executed, and 200 comes with an empty body.
    EmptyBody,
    /// The request is executed, and 200 comes with JSON that ends half-way, its length being right.
    BrokenJson,
}

/// Which limiter refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitReason {
    /// Too many requests to the account.
    GlobalRate,
    /// Too many requests to the endpoint.
    EndpointRate,
    /// Too many requests of the account at once.
    GlobalConcurrency,
    /// Too many requests to the endpoint at once.
    EndpointConcurrency,
    /// Too many requests about one object.
    ResourceSpecific,
}

impl LimitReason {
    /// The value of the header `Stripe-Rate-Limited-Reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GlobalRate => "global-rate",
            Self::EndpointRate => "endpoint-rate",
            Self::GlobalConcurrency => "global-concurrency",
            Self::EndpointConcurrency => "endpoint-concurrency",
            Self::ResourceSpecific => "resource-specific",
        }
    }
}

/// The faults still to come.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    fn ordered(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders one.
    pub fn order(&self, fault: Fault) {
        self.ordered().push(fault);
    }

    /// How many have not happened.
    pub fn left(&self) -> usize {
        self.ordered().len()
    }

    /// Counts a request to `endpoint` and gives the fault that is due, the oldest order first. A second one that is
    /// due at the same request happens at the next.
    pub fn take(&self, endpoint: &str) -> Option<FaultKind> {
        let mut ordered = self.ordered();
        for fault in ordered.iter_mut().filter(|fault| fault.endpoint == endpoint || fault.endpoint == "*") {
            fault.nth = fault.nth.saturating_sub(1);
        }
        let due = |fault: &Fault| fault.nth == 0 && (fault.endpoint == endpoint || fault.endpoint == "*");
        let at = ordered.iter().position(due)?;
        Some(ordered.remove(at).kind)
    }
}
