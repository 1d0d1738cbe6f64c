//! A seeded partner program: its partners, their lifecycle events and gateway traffic, and the ledger of what the
//! pipeline must make of them. Beside it a double of Stripe.
//!
//! Takes a seed and a size, gives Kafka messages and a [`Ledger`] that is counted while they are made, by this
//! crate's own arithmetic: it shares no decimal, no rating, no registry and no SQL with what it checks. The same
//! settings give the same bytes. Nothing that a production run needs is here.
//!
//! ```
//! use tollbook_simulate::{Settings, world};
//!
//! let world = world(&Settings { events: 500, partners: 8, ..Settings::default() });
//! let mut traffic = world.traffic();
//! let messages = traffic.by_ref().count();
//! let ledger = traffic.into_ledger();
//! assert_eq!(ledger.access.messages, messages as u64);
//! assert!(ledger.access.distinct >= 500);
//! ```

mod calendar;
mod catalog;
mod dice;
mod ledger;
mod lifecycle;
mod metering;
mod oddity;
mod pricing;
mod profile;
mod request;
mod sequel;
pub mod stripe_double;
mod text;
mod traffic;
mod world;

use std::fmt;

pub use ledger::{Counts, ExpectedInvoice, Funnel, FunnelStep, Ledger, Milestones, UsageKey};
pub use metering::Quantity;
pub use pricing::ExpectedLine;
pub use profile::BillingProfile;
pub use sequel::{ExpectedDocument, Sequel};
pub use traffic::Traffic;
pub use world::{Settings, World, world};

/// One message to produce. `Debug` shows its size, not its payload, which may carry a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Partition to produce to.
    pub partition: i32,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Payload; none for a null payload.
    pub payload: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Record time, milliseconds since 1970: when it arrives.
    pub timestamp_ms: i64,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("partition", &self.partition)
            .field("timestamp_ms", &self.timestamp_ms)
            .field("payload_bytes_total", &self.payload.as_ref().map(Vec::len))
            .field("header_count", &self.headers.len())
            .finish_non_exhaustive()
    }
}
