//! What a push is told, and what it tells.

use chrono::TimeDelta;
use tollbook_schemas::id::{InvoiceId, PartnerId};

use super::super::send::RetrySettings;
use crate::error::BillingError;

/// How a push behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushSettings {
    /// Tells this lake from others that use the same Stripe account: part of every key and of the metadata. Changing
    /// it makes everything look new.
    pub namespace: String,
    /// Calls in flight.
    pub concurrency: usize,
    /// Repetitions.
    pub retry: RetrySettings,
    /// How long a key is trusted to be remembered; Stripe keeps keys for at least 24 hours.
    pub resend_for_hours: u32,
}

impl PushSettings {
    /// The settings of a namespace with every other value at its default.
    #[must_use]
    pub fn of(namespace: &str) -> Self {
        let retry = RetrySettings::default();
        Self { namespace: namespace.to_owned(), concurrency: 4, retry, resend_for_hours: 20 }
    }

    pub(super) fn check(&self) -> Result<(), BillingError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if (1..=64).contains(&self.namespace.len()) && self.namespace.chars().all(plain) {
            return Ok(());
        }
        Err(BillingError::configuration(
            format!("stripe.namespace {:?} is not 1 to 64 letters, digits, '-', '_' or '.'", self.namespace),
            "choose one name for this lake and keep it",
        ))
    }

    pub(super) fn resend_for(&self) -> TimeDelta {
        TimeDelta::hours(i64::from(self.resend_for_hours))
    }
}

/// An invoice that was not finalised, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpushed {
    /// Partner.
    pub partner_id: PartnerId,
    /// Invoice.
    pub invoice_id: InvoiceId,
    /// Why.
    pub reason: String,
}

/// What a push did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushReport {
    /// Finalised now, in number order.
    pub finalised: Vec<InvoiceId>,
    /// Finalised before.
    pub already_finalised: usize,
    /// Of total 0, recorded now.
    pub nothing_due: Vec<InvoiceId>,
    /// Issued credit notes of the month, which are not sent: what they give back is given by hand.
    pub credit_notes: Vec<InvoiceId>,
    /// Refused, or not equal to our document: a person must look.
    pub failed: Vec<Unpushed>,
    /// Not known yet: run the command again.
    pub unfinished: Vec<Unpushed>,
    /// Write requests that were sent, repetitions included.
    pub write_request_count: usize,
}
