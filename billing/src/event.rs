//! One step in an invoice's life, as a row of `invoice_event`.
//!
//! Events are only added. Their key is (invoice, step, generation, kind), so that the same step written twice is one
//! row, whoever writes it.

use std::fmt;

use chrono::{DateTime, Utc};
use tollbook_schemas::id::{InvoiceId, IssuerId, PartnerId, SlotId};
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::INVOICE_EVENT;

use crate::document::Document;
use crate::error::BillingError;
use crate::stored::Stored;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// The document became the current draft of its slot.
    Drafted,
    /// The document is no longer a draft that may be issued: another took its slot, or nothing is billed there now.
    Withdrawn,
    /// The document became an invoice and got its number.
    Issued,
    /// The bytes of a Stripe request were fixed, before the first was sent.
    Frozen,
    /// Stripe answered a request, or was observed to have carried it out.
    Answered,
    /// The invoice at Stripe is final, with our total.
    Finalised,
    /// It was paid.
    Paid,
    /// An attempt to collect it failed.
    PaymentFailed,
    /// Its total is 0: nothing goes to Stripe.
    NothingDue,
    /// A person gave up collecting it at Stripe; it may be paid all the same.
    Uncollectible,
    /// A person voided it at Stripe: it will never be paid.
    Voided,
    /// The slot may not be issued: somebody holds it, or a policy holds its draft (the step says which).
    Held,
    /// The hold on the slot is over.
    Released,
    /// Somebody saw exactly this document and wants it issued.
    Approved,
}

impl EventKind {
    const WORDS: [(Self, &'static str); 14] = [
        (Self::Drafted, "drafted"),
        (Self::Withdrawn, "withdrawn"),
        (Self::Issued, "issued"),
        (Self::Frozen, "frozen"),
        (Self::Answered, "answered"),
        (Self::Finalised, "finalised"),
        (Self::Paid, "paid"),
        (Self::PaymentFailed, "payment_failed"),
        (Self::NothingDue, "nothing_due"),
        (Self::Uncollectible, "uncollectible"),
        (Self::Voided, "voided"),
        (Self::Held, "held"),
        (Self::Released, "released"),
        (Self::Approved, "approved"),
    ];

    /// The word in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, word)| *word == text).map(|(kind, _)| *kind)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One event. What a kind does not have is `None`.
#[derive(Clone, PartialEq, Eq)]
pub struct InvoiceEvent {
    /// Document.
    pub invoice_id: InvoiceId,
    /// Slot of the document.
    pub slot_id: SlotId,
    /// Partner that is billed.
    pub partner_id: PartnerId,
    /// What happened.
    pub kind: EventKind,
    /// `draft`, `hold`, `hold-RULE`, `approve`, `issue`, `sync`, or a step at Stripe.
    pub step: String,
    /// How often the step was begun anew.
    pub generation: u32,
    /// When.
    pub at: DateTime<Utc>,
    /// Issuer, for issued.
    pub issuer_id: Option<IssuerId>,
    /// Number, for issued.
    pub number: Option<String>,
    /// Place in the issuer's sequence, for issued.
    pub number_sequence: Option<i64>,
    /// Path, for frozen.
    pub request_path: Option<String>,
    /// Bytes, for frozen.
    pub request_body: Option<Vec<u8>>,
    /// Key, for frozen.
    pub idempotency_key: Option<String>,
    /// Status, for answered.
    pub http_status: Option<u16>,
    /// Request-Id, for answered.
    pub stripe_request_id: Option<String>,
    /// Customer or invoice at Stripe.
    pub stripe_id: Option<String>,
    /// Which Stripe account.
    pub stripe_account_key: Option<String>,
    /// Total at Stripe.
    pub amount_minor: Option<i64>,
    /// In words. Of drafted: who drafted it, where that is known; of held, released and approved: who, a blank, and
    /// why.
    pub detail: Option<String>,
}

impl fmt::Debug for InvoiceEvent {
    /// Without the request's bytes: they hold contact data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} g{}", self.invoice_id, self.kind, self.step, self.generation)
    }
}

impl InvoiceEvent {
    /// An event of a document, with only what every event has.
    #[must_use]
    pub fn of(document: &Document, kind: EventKind, step: &str, generation: u32, at: DateTime<Utc>) -> Self {
        let body = &document.body;
        Self::bare((&document.invoice_id, &document.slot_id, &body.partner_id), kind, step, generation, at)
    }

    /// Another event of the same invoice, at the same Stripe account.
    #[must_use]
    pub fn next(&self, kind: EventKind, step: &str, generation: u32, at: DateTime<Utc>) -> Self {
        Self {
            stripe_id: self.stripe_id.clone(),
            stripe_account_key: self.stripe_account_key.clone(),
            ..Self::bare((&self.invoice_id, &self.slot_id, &self.partner_id), kind, step, generation, at)
        }
    }

    /// An event of a document that may not be at hand, with only what every event has.
    pub(crate) fn bare(
        (invoice_id, slot_id, partner_id): (&InvoiceId, &SlotId, &PartnerId),
        kind: EventKind,
        step: &str,
        generation: u32,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            invoice_id: invoice_id.clone(),
            slot_id: slot_id.clone(),
            partner_id: partner_id.clone(),
            kind,
            step: step.to_owned(),
            generation,
            at,
            issuer_id: None,
            number: None,
            number_sequence: None,
            request_path: None,
            request_body: None,
            idempotency_key: None,
            http_status: None,
            stripe_request_id: None,
            stripe_id: None,
            stripe_account_key: None,
            amount_minor: None,
            detail: None,
        }
    }

    /// The row.
    #[must_use]
    pub fn to_row(&self) -> Row {
        Row::new()
            .with("invoice_id", self.invoice_id.as_str())
            .with("slot_id", self.slot_id.as_str())
            .with("partner_id", self.partner_id.as_str())
            .with("kind", self.kind.as_str())
            .with("step", self.step.as_str())
            .with("generation", i64::from(self.generation))
            .with("at", self.at)
            .with("issuer_id", self.issuer_id.as_ref().map(IssuerId::as_str))
            .with("number", self.number.as_deref())
            .with("number_sequence", self.number_sequence)
            .with("request_path", self.request_path.as_deref())
            .with("request_body", self.request_body.clone())
            .with("idempotency_key", self.idempotency_key.as_deref())
            .with("http_status", self.http_status.map(i64::from))
            .with("stripe_request_id", self.stripe_request_id.as_deref())
            .with("stripe_id", self.stripe_id.as_deref())
            .with("stripe_account_key", self.stripe_account_key.as_deref())
            .with("amount_minor", self.amount_minor)
            .with("detail", self.detail.as_deref())
            .with("event_month", self.at.format("%Y-%m").to_string())
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`BillingError::Stored`], also for a kind that this version does not know: acting without understanding an
    /// invoice's life could bill twice.
    pub fn from_row(row: &Row) -> Result<Self, BillingError> {
        let stored = Stored { table: &INVOICE_EVENT, row };
        let text = |column| row.text(column).map(str::to_owned);
        let kind = stored.text("kind")?;
        let kind = EventKind::parse(kind).ok_or_else(|| {
            BillingError::stored(INVOICE_EVENT.name, format!("kind {kind:?} is not known to this version of tollbook"))
        })?;
        Ok(Self {
            invoice_id: stored.id("invoice_id", InvoiceId::parse)?,
            slot_id: stored.id("slot_id", SlotId::parse)?,
            partner_id: stored.id("partner_id", PartnerId::parse)?,
            kind,
            step: stored.text("step")?.to_owned(),
            generation: stored.small("generation")?,
            at: stored.instant("at")?,
            issuer_id: row.text("issuer_id").map(|_| stored.id("issuer_id", IssuerId::parse)).transpose()?,
            number: text("number"),
            number_sequence: row.int("number_sequence"),
            request_path: text("request_path"),
            request_body: row.bytes("request_body").map(<[u8]>::to_vec),
            idempotency_key: text("idempotency_key"),
            http_status: row.int("http_status").and_then(|status| u16::try_from(status).ok()),
            stripe_request_id: text("stripe_request_id"),
            stripe_id: text("stripe_id"),
            stripe_account_key: text("stripe_account_key"),
            amount_minor: row.int("amount_minor"),
            detail: text("detail"),
        })
    }
}

/// Reads rows of `invoice_event`.
///
/// # Errors
/// [`BillingError::Stored`].
pub fn events_of(rows: &[Row]) -> Result<Vec<InvoiceEvent>, BillingError> {
    rows.iter().map(InvoiceEvent::from_row).collect()
}
