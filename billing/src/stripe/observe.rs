//! What Stripe holds, by LIST and by id: recovery after an unknown outcome, and the gate before finalising.
//!
//! Search lags behind and is never used. Objects are found by our ids in their metadata, never by position: lines
//! come newest first. An invoice is looked for among all of its customer's, without a time window, so that no
//! difference between two clocks can hide it.

use std::collections::BTreeMap;

use tollbook_schemas::id::LineId;
use tollbook_schemas::invariant::Invariant;

use super::answers::{Object, Page};
use super::requests::{self, document_sha256};
use super::send::{ReadFailure, RetrySettings, get};
use super::transport::Transport;
use crate::document::Document;

/// A look at Stripe.
#[derive(Clone, Copy)]
pub(super) struct Observer<'a> {
    pub(super) transport: &'a Transport,
    pub(super) retry: &'a RetrySettings,
    pub(super) namespace: &'a str,
}

impl Observer<'_> {
    async fn list(&self, page_path: impl Fn(Option<&str>) -> String) -> Result<Vec<Object>, ReadFailure> {
        let mut objects: Vec<Object> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let answer = get(self.transport, self.retry, &page_path(after.as_deref())).await?;
            let page = Page::read(&answer.body)
                .ok_or_else(|| ReadFailure::Unavailable("Stripe's list could not be read".to_owned()))?;
            let last = page.objects.last().and_then(|object| object.id.clone());
            objects.extend(page.objects);
            match (page.has_more, last) {
                (false, _) => return Ok(objects),
                (true, None) => {
                    return Err(ReadFailure::Unavailable(
                        "Stripe's list goes on after a page without an id".to_owned(),
                    ));
                }
                (true, last) if last == after => {
                    return Err(ReadFailure::Unavailable("Stripe's list repeats a page".to_owned()));
                }
                (true, last) => after = last,
            }
        }
    }

    /// One invoice.
    pub(super) async fn invoice(&self, stripe_invoice: &str) -> Result<Object, ReadFailure> {
        let answer = get(self.transport, self.retry, &requests::retrieve(stripe_invoice)).await?;
        Object::read(&answer.body).ok_or_else(|| ReadFailure::Unavailable("Stripe's invoice cannot be read".to_owned()))
    }

    /// One customer, also one that was deleted.
    pub(super) async fn one_customer(&self, customer: &str) -> Result<Object, ReadFailure> {
        let answer = get(self.transport, self.retry, &requests::retrieve_customer(customer)).await?;
        Object::read(&answer.body)
            .ok_or_else(|| ReadFailure::Unavailable("Stripe's customer cannot be read".to_owned()))
    }

    /// The customer of a partner: the oldest that carries our ids. The address only narrows the list down.
    pub(super) async fn customer(&self, email: &str, partner_id: &str) -> Result<Option<String>, ReadFailure> {
        let customers = self.list(|after| requests::list_customers(email, after)).await?;
        let ours = customers.into_iter().filter(|customer| {
            !customer.deleted
                && customer.partner_id.as_deref() == Some(partner_id)
                && customer.namespace.as_deref() == Some(self.namespace)
        });
        Ok(ours.min_by_key(|customer| (customer.created, customer.id.clone())).and_then(|customer| customer.id))
    }

    /// The invoice of a document, and how many others carry its id. Of several the one that is no draft counts; of
    /// drafts the oldest.
    pub(super) async fn created(
        &self,
        customer: &str,
        document: &Document,
    ) -> Result<Option<(String, usize)>, ReadFailure> {
        let invoices = self.list(|after| requests::list_invoices(customer, after)).await?;
        let ours: Vec<Object> = invoices
            .into_iter()
            .filter(|invoice| {
                invoice.invoice_id.as_deref() == Some(document.invoice_id.as_str())
                    && invoice.namespace.as_deref() == Some(self.namespace)
                    && invoice.status.as_deref() != Some("void")
            })
            .collect();
        let past_draft = ours.iter().filter(|invoice| invoice.is_past_draft()).count();
        if past_draft > 1 {
            let what = format!(
                "{} does not hold: {past_draft} final invoices at Stripe carry the id {}; void all but one",
                Invariant::I7,
                document.invoice_id
            );
            return Err(ReadFailure::Refused(what));
        }
        let others = ours.len().saturating_sub(1);
        let chosen =
            ours.into_iter().min_by_key(|invoice| (!invoice.is_past_draft(), invoice.created, invoice.id.clone()));
        Ok(chosen.and_then(|invoice| invoice.id).map(|id| (id, others)))
    }

    /// Our lines on an invoice at Stripe.
    pub(super) async fn lines(&self, stripe_invoice: &str) -> Result<Vec<Object>, ReadFailure> {
        self.list(|after| requests::list_lines(stripe_invoice, after)).await
    }

    /// The gate: nothing is finalised whose lines, amounts and document are not exactly ours. Gives the invoice as
    /// Stripe holds it, or what differs.
    pub(super) async fn gate(
        &self,
        stripe_invoice: &str,
        document: &Document,
    ) -> Result<Result<Object, String>, ReadFailure> {
        let invoice = self.invoice(stripe_invoice).await?;
        let lines = self.lines(stripe_invoice).await?;
        Ok(compare(document, &invoice, &lines).map(|()| invoice))
    }
}

/// Compares what Stripe holds with the document.
pub(super) fn compare(document: &Document, invoice: &Object, lines: &[Object]) -> Result<(), String> {
    let differs = |what: String| Err(format!("the draft at Stripe is not our document ({what}); it is not finalised"));
    if invoice.document_sha256.as_deref() != Some(document_sha256(document).as_str()) {
        return differs("its metadata names another document".to_owned());
    }
    if invoice.currency.as_deref() != Some(document.body.currency.code()) {
        return differs("another currency".to_owned());
    }
    let mut expected: BTreeMap<LineId, i64> =
        document.body.lines.iter().map(|line| (document.line_id(line.line_number), line.amount_minor)).collect();
    let mut sum = 0_i64;
    for line in lines {
        let Some(line_id) = line.line_id.as_deref().and_then(|id| LineId::parse(id).ok()) else {
            return differs("a line that is not ours".to_owned());
        };
        // Removing finds what is there twice, too.
        match (expected.remove(&line_id), line.amount) {
            (Some(ours), Some(theirs)) if ours == theirs => sum = sum.saturating_add(theirs),
            (Some(_), _) => return differs(format!("line {line_id} has another amount")),
            (None, _) => return differs(format!("line {line_id} is there twice, or does not belong there")),
        }
    }
    if let Some((line_id, _)) = expected.first_key_value() {
        return differs(format!("line {line_id} is missing, of {}", expected.len()));
    }
    if sum != document.body.total_minor || invoice.total.is_some_and(|total| total != sum) {
        return differs(format!("{} does not hold: another total", Invariant::I4));
    }
    Ok(())
}
