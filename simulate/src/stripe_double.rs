//! A Stripe double: enough of Stripe's API to bill through, in this process, over real HTTP on 127.0.0.1.
//!
//! Takes the requests a client of the real API makes; gives the answers Stripe documents, from state that it keeps.
//! It is strict (an unknown parameter is refused, as is anything it does not model), it is deterministic (ids are
//! counters, the clock is given), and it fails on demand ([`StripeDouble::inject`]).
//!
//! Modelled: customers, invoices with integer-amount lines, their life from draft to paid, void or uncollectible,
//! customer balances, idempotency keys, lists. Not modelled: prices, invoice items apart from lines, tax, discounts,
//! credit notes, saved payment methods, search, webhooks, rate limits other than by fault. What is known of the real
//! server, and how well, is in the design notes; where sources contradict each other the double has a [`Quirks`]
//! setting, and a client must be right under both.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tollbook_schemas::error::{Classified, Kind};

mod answers;
mod authority;
mod currencies;
mod customers;
mod exchange;
mod faults;
mod form;
mod idempotency;
mod invoice_json;
mod invoices;
mod lines;
mod oracle;
mod paging;
mod request_log;
mod router;
mod state;
mod transitions;
mod wire;

#[cfg(test)]
mod tests;

pub use faults::{Fault, FaultKind, LimitReason};
pub use oracle::{Breach, INVOICE_ID_KEY, InvoiceView, LINE_ID_KEY, LineView};
pub use request_log::LoggedRequest;
pub use router::ENDPOINTS;
pub use state::InvoiceStatus;

use answers::Refusal;
use faults::Faults;
use idempotency::Keys;
use request_log::RequestLog;
use state::State;

/// Gives the time in Unix seconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A checked request, ready to be executed against the account at an instant.
type Work = Box<dyn FnOnce(&mut State, i64) -> Result<Value, Refusal> + Send>;

/// Where sources about the real server contradict each other, or a recording contradicts the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// A step that the status forbids is refused with `code: invoice_not_editable`; recordings have no code.
    pub transition_codes: bool,
    /// An uncollectible invoice can be voided, as the documents say; a recording has it refused.
    pub uncollectible_can_be_voided: bool,
    /// A 429 `lock_timeout` is kept under its key and replayed, as Autumn saw in production.
    pub lock_timeout_kept: bool,
    /// An amount due below the currency's minimum is carried to the customer's balance, and the invoice is paid.
    pub small_amounts_are_carried: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            transition_codes: false,
            uncollectible_can_be_voided: true,
            lock_timeout_kept: true,
            small_amounts_are_carried: true,
        }
    }
}

/// What a double is started with.
#[derive(Clone)]
pub struct Options {
    /// The one key it accepts; must begin with `sk_test_`.
    pub secret_key: String,
    /// Its clock.
    pub clock: Clock,
    /// How long an answer is kept under its idempotency key.
    pub key_lifetime_s: i64,
    /// Its behaviour where sources differ.
    pub quirks: Quirks,
}

impl Options {
    /// Keys that live 24 hours, and the default [`Quirks`].
    #[must_use]
    pub fn new(secret_key: impl Into<String>, clock: Clock) -> Self {
        Self { secret_key: secret_key.into(), clock, key_lifetime_s: 24 * 3_600, quirks: Quirks::default() }
    }
}

impl fmt::Debug for Options {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("key_lifetime_s", &self.key_lifetime_s)
            .field("quirks", &self.quirks)
            .finish_non_exhaustive()
    }
}

/// Why the double cannot do what it is told.
#[derive(Debug, thiserror::Error)]
pub enum StripeDoubleError {
    /// The key could be taken for a live one.
    #[error("the Stripe double takes only keys that begin with sk_test_ and go on after it")]
    NotATestKey,
    /// No socket.
    #[error("the Stripe double cannot listen on 127.0.0.1")]
    Listen(#[source] io::Error),
    /// A fault for an endpoint that does not exist would never happen.
    #[error("the Stripe double has no endpoint {0:?}; the names are in ENDPOINTS, or use *")]
    NoSuchEndpoint(&'static str),
    /// Requests are counted from 1.
    #[error("the nth request of a fault is counted from 1; 0 would never happen")]
    NthZero,
    /// No invoice has this id.
    #[error("the Stripe double has no invoice {0}")]
    NoSuchInvoice(String),
    /// Only open and uncollectible invoices are paid.
    #[error("invoice {id} is {status}; only an open or uncollectible invoice can be paid")]
    NotPayable {
        /// Stripe's id.
        id: String,
        /// Its status.
        status: InvoiceStatus,
    },
}

impl Classified for StripeDoubleError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotATestKey => Kind::Configuration,
            Self::Listen(_) => Kind::Retry,
            Self::NoSuchEndpoint(_) | Self::NthZero | Self::NoSuchInvoice(_) => Kind::Bug,
            Self::NotPayable { .. } => Kind::Conflict,
        }
    }
}

/// What all connections share.
struct Account {
    secret_key: String,
    clock: Clock,
    quirks: Quirks,
    state: Mutex<State>,
    keys: Keys,
    faults: Faults,
    log: RequestLog,
    requests_seen: AtomicU64,
}

impl Account {
    fn now(&self) -> i64 {
        (self.clock)()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state after everything that Stripe does on its own until `now`.
    fn state_at(&self, now: i64) -> MutexGuard<'_, State> {
        let mut state = self.state();
        transitions::advance(&mut state, now);
        state
    }

    fn next_request_id(&self) -> String {
        format!("req_{:012}", self.requests_seen.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

/// A running double. Dropping it, or [`StripeDouble::shutdown`], stops it.
pub struct StripeDouble {
    account: Arc<Account>,
    base_url: String,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl fmt::Debug for StripeDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeDouble").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl StripeDouble {
    /// Starts a double on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// A key that is not a test key, or no socket.
    pub async fn start(options: Options) -> Result<Self, StripeDoubleError> {
        if options.secret_key.strip_prefix("sk_test_").is_none_or(str::is_empty) {
            return Err(StripeDoubleError::NotATestKey);
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(StripeDoubleError::Listen)?;
        let port = listener.local_addr().map_err(StripeDoubleError::Listen)?.port();
        let account = Arc::new(Account {
            secret_key: options.secret_key,
            clock: options.clock,
            quirks: options.quirks,
            state: Mutex::new(State::new(options.quirks)),
            keys: Keys::new(options.key_lifetime_s),
            faults: Faults::default(),
            log: RequestLog::default(),
            requests_seen: AtomicU64::new(0),
        });
        let service = Router::new()
            .fallback(exchange::handle)
            .with_state(Arc::clone(&account))
            .into_make_service_with_connect_info::<wire::Fuse>();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(wire::Wires(listener), service).with_graceful_shutdown(async move {
            // Told to stop, or dropped: both end it.
            let _ = stopped.await;
        });
        let server = tokio::spawn(async move {
            // Serving with a shutdown signal ends without an error.
            let _ = serving.await;
        });
        Ok(Self { account, base_url: format!("http://127.0.0.1:{port}"), stop: Some(stop), server })
    }

    /// Scheme, host and port, without a slash at the end and without `/v1`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Stops listening, lets running requests end for at most five seconds, and closes. Afterwards connections are
    /// refused.
    pub async fn shutdown(mut self) {
        self.stop.take();
        if tokio::time::timeout(Duration::from_secs(5), &mut self.server).await.is_err() {
            self.server.abort();
        }
    }

    /// Orders a fault.
    ///
    /// # Errors
    /// An endpoint that does not exist, or `nth` 0.
    pub fn inject(&self, fault: Fault) -> Result<(), StripeDoubleError> {
        if fault.endpoint != "*" && !ENDPOINTS.contains(&fault.endpoint) {
            return Err(StripeDoubleError::NoSuchEndpoint(fault.endpoint));
        }
        if fault.nth == 0 {
            return Err(StripeDoubleError::NthZero);
        }
        self.account.faults.order(fault);
        Ok(())
    }

    /// How many ordered faults have not happened.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        self.account.faults.left()
    }

    /// Pays an open or uncollectible invoice, as the customer would on Stripe's page.
    ///
    /// # Errors
    /// An invoice that does not exist or cannot be paid.
    pub fn pay_as_customer(&self, invoice_id: &str) -> Result<(), StripeDoubleError> {
        self.with_payable(invoice_id, |state, now| transitions::collect(state, invoice_id, now))
    }

    /// Lets a payment fail: one attempt more, and the status stays.
    ///
    /// # Errors
    /// An invoice that does not exist or cannot be paid.
    pub fn fail_payment(&self, invoice_id: &str) -> Result<(), StripeDoubleError> {
        self.with_payable(invoice_id, |state, _| transitions::fail(state, invoice_id))
    }

    fn with_payable(
        &self,
        id: &str,
        step: impl FnOnce(&mut State, i64) -> Result<(), Refusal>,
    ) -> Result<(), StripeDoubleError> {
        let now = self.account.now();
        let mut state = self.account.state_at(now);
        let Some(status) = state.invoices.get(id).map(|invoice| invoice.status) else {
            return Err(StripeDoubleError::NoSuchInvoice(id.to_owned()));
        };
        step(&mut state, now).map_err(|_| StripeDoubleError::NotPayable { id: id.to_owned(), status })
    }

    /// Every request so far, in the order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.account.log.all()
    }

    /// How many requests each endpoint has had.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.account.log.counts()
    }

    /// Every invoice that is not deleted, oldest first.
    #[must_use]
    pub fn invoices(&self) -> Vec<InvoiceView> {
        self.account.state_at(self.account.now()).invoices.iter().map(InvoiceView::new).collect()
    }

    /// Whether the client billed everything at most once, with lines that add up: an empty list is a pass.
    #[must_use]
    pub fn oracle(&self) -> Vec<Breach> {
        oracle::breaches(&self.account.state_at(self.account.now()))
    }
}
