//! Stripe: our invoice is the truth, Stripe mirrors it.
//!
//! | file | what it does |
//! |---|---|
//! | `transport` | sends bytes over pooled connections, gives status, the headers that matter, and the body |
//! | `requests` | builds each request from async-stripe's types and freezes it as bytes |
//! | `answers` | reads answers leniently: what is missing is `None`, never an error |
//! | `outcome` | what an answer, or its absence, means: the table of the protocol |
//! | `ledger` | how far an invoice got, folded from its events |
//! | `send` | sends frozen calls, few at a time, one in flight for each customer, and again where that is safe |
//! | `observe` | what Stripe holds, by LIST: recovery, and the gate before finalising |
//! | `push` | the batch: customers, drafts, lines, gate, finalise |
//! | `sync` | payments |
//!
//! Every write is frozen in `invoice_event` before its first byte leaves, with a deterministic idempotency key that
//! carries a generation; it is sent again with the same bytes and key, and a new generation begins only after Stripe
//! was seen, by LIST, not to hold what the old one would have made (I7).

mod answers;
mod ledger;
mod observe;
mod outcome;
mod push;
mod requests;
mod send;
mod sync;
#[cfg(test)]
mod testing;
mod transport;

pub use ledger::{Ledger, State, Step};
pub use outcome::{Outcome, classify};
pub use push::{PushReport, PushSettings, Unpushed, push};
pub use requests::{Frozen, LINES_MAX, STRIPE_VERSION};
pub use send::RetrySettings;
pub use sync::{SyncReport, sync};
pub use transport::{Answer, SecretKey, SendFailure, Transport};
