//! Payments: what became of the invoices that are final at Stripe.
//!
//! Takes every invoice that is final there and neither paid nor voided, reads it, and records payment, failed attempts
//! and what a person decided there (void, uncollectible), each once. Nothing is written to Stripe; running twice adds
//! no row.

use chrono::{DateTime, Utc};
use futures::StreamExt;
use tollbook_lake::Lake;
use tollbook_schemas::id::{InvoiceId, PartnerId};
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::INVOICE_EVENT;

use super::answers::Object;
use super::ledger::Ledger;
use super::observe::Observer;
use super::push::{PushSettings, Unpushed};
use super::send::ReadFailure;
use super::transport::Transport;
use crate::error::BillingError;
use crate::event::{EventKind, InvoiceEvent, events_of};

/// The step of these events.
const SYNC: &str = "sync";

/// What a sync found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Paid, recorded now.
    pub paid: Vec<InvoiceId>,
    /// A failed attempt, recorded now.
    pub payment_failed: Vec<InvoiceId>,
    /// Still open.
    pub open: usize,
    /// Paid before.
    pub already_paid: usize,
    /// Voided at Stripe, recorded now.
    pub voided: Vec<Unpushed>,
    /// Voided before.
    pub already_voided: usize,
    /// Marked uncollectible at Stripe, recorded now.
    pub uncollectible: Vec<Unpushed>,
    /// Marked before, and not paid since.
    pub already_uncollectible: usize,
    /// At another account, or of a status that a final invoice cannot have: a person must look.
    pub settled_otherwise: Vec<Unpushed>,
    /// Not readable now: run the command again.
    pub unfinished: Vec<Unpushed>,
}

/// Reads payments.
///
/// # Errors
/// [`BillingError::Configuration`] when Stripe refuses the key; the lake's errors.
pub async fn sync(
    lake: &Lake,
    transport: &Transport,
    settings: &PushSettings,
    clock: &dyn Fn() -> DateTime<Utc>,
) -> Result<SyncReport, BillingError> {
    let condition = "kind IN ('finalised', 'paid', 'payment_failed', 'uncollectible', 'voided')";
    let events = events_of(&lake.rows(&INVOICE_EVENT, Some(condition)).await?)?;
    let mut report = SyncReport::default();
    let mut to_read: Vec<(InvoiceEvent, Ledger)> = Vec::new();
    for ledger in Ledger::fold(&events).into_values() {
        let Some(finalised) = ledger.finalised.clone() else { continue };
        if ledger.paid.is_some() {
            report.already_paid += 1;
        } else if ledger.voided {
            report.already_voided += 1;
        } else if finalised.stripe_account_key.as_deref() == Some(transport.account_key()) {
            to_read.push((finalised, ledger));
        } else {
            report.settled_otherwise.push(of(&finalised, "it is at another Stripe account".to_owned()));
        }
    }
    let observer = Observer { transport, retry: &settings.retry, namespace: &settings.namespace };
    let reads = to_read.iter().map(|(finalised, ledger)| async move {
        let stripe_id = finalised.stripe_id.as_deref().unwrap_or_default();
        (finalised, ledger, observer.invoice(stripe_id).await)
    });
    let reads: Vec<_> = futures::stream::iter(reads).buffered(settings.concurrency.max(1)).collect().await;
    let now = clock();
    let mut found = Vec::new();
    let mut stop = None;
    for (finalised, ledger, read) in reads {
        match read {
            Ok(invoice) => found.extend(settle(finalised, ledger, &invoice, now, &mut report)),
            Err(ReadFailure::Stop(error)) => stop = Some(error),
            Err(ReadFailure::Refused(told) | ReadFailure::Unavailable(told)) => {
                report.unfinished.push(of(finalised, told));
            }
        }
    }
    if !found.is_empty() {
        let rows: Vec<Row> = found.iter().map(InvoiceEvent::to_row).collect();
        lake.append_missing(&INVOICE_EVENT, &rows).await?;
    }
    stop.map_or(Ok(report), Err)
}

fn of(event: &InvoiceEvent, reason: String) -> Unpushed {
    let (partner_id, invoice_id): (PartnerId, InvoiceId) = (event.partner_id.clone(), event.invoice_id.clone());
    Unpushed { partner_id, invoice_id, reason }
}

/// The event that an invoice's state at Stripe makes, if it is new. Pure.
fn settle(
    finalised: &InvoiceEvent,
    ledger: &Ledger,
    invoice: &Object,
    now: DateTime<Utc>,
    report: &mut SyncReport,
) -> Option<InvoiceEvent> {
    let attempts = invoice.attempt_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let event = |kind| {
        let mut event = finalised.next(kind, SYNC, attempts, now);
        event.amount_minor = invoice.total;
        event
    };
    // A person's decision is one, however often it was tried to collect before.
    let once = |kind| InvoiceEvent { generation: 0, ..event(kind) };
    match invoice.status.as_deref() {
        Some("paid") => {
            report.paid.push(finalised.invoice_id.clone());
            Some(event(EventKind::Paid))
        }
        Some("open") => {
            report.open += 1;
            // An open invoice with attempts behind it: the last of them failed.
            if attempts == 0 || ledger.knows_failed_attempt(attempts) {
                return None;
            }
            report.payment_failed.push(finalised.invoice_id.clone());
            Some(event(EventKind::PaymentFailed))
        }
        Some("void") => {
            report.voided.push(of(finalised, "it was voided at Stripe and will not be paid".to_owned()));
            Some(once(EventKind::Voided))
        }
        Some("uncollectible") if ledger.uncollectible => {
            report.already_uncollectible += 1;
            None
        }
        Some("uncollectible") => {
            report.uncollectible.push(of(finalised, "it was marked uncollectible at Stripe".to_owned()));
            Some(once(EventKind::Uncollectible))
        }
        status => {
            let told = format!("its status at Stripe is {}", status.unwrap_or("not told"));
            report.settled_otherwise.push(of(finalised, told));
            None
        }
    }
}

#[cfg(test)]
#[path = "sync/tests.rs"]
mod tests;
