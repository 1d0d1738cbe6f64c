//! `tollbook bill show NAME`: one document, by its number, its id, or the first letters of its id; writes nothing.

use std::collections::BTreeSet;

use anyhow::bail;
use tollbook_billing::billed::IssuedDocument;
use tollbook_billing::document::Document;
use tollbook_billing::event::{InvoiceEvent, events_of};
use tollbook_billing::issue::read_issued_of;
use tollbook_billing::list::history;
use tollbook_billing::range::PartnerRange;
use tollbook_billing::stripe::{Ledger, State};
use tollbook_lake::as_text;
use tollbook_schemas::error::Kind;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::money::Money;
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT};

use super::Sources;
use crate::configuration::ConfigurationError;
use crate::context::JobContext;
use crate::jobs::kind_of;

/// How many letters of an id must be given at least, behind `inv_`.
const PREFIX_MIN: usize = 4;

/// Documents that an error lists.
const LISTED_MAX: usize = 10;

/// One document with its life.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The document.
    pub document: Document,
    /// The event that issued it.
    pub issued: Option<InvoiceEvent>,
    /// Where it stands.
    pub state: State,
    /// Invoice at Stripe.
    pub stripe_id: Option<String>,
    /// Its events, in order; without bytes of requests, which hold contact data.
    pub history: Vec<InvoiceEvent>,
    /// Numbers of issued credit notes that give something of it back, with their totals.
    pub credited_by: Vec<(String, Money)>,
    /// What its partners used in its month outside their subscriptions, by usage as it is now: billed by nothing.
    pub outside: Outside,
}

/// Usage of a month that no document bills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outside {
    /// In words, of each partner that has some.
    Listed(Vec<(PartnerId, String)>),
    /// Why it cannot be said now.
    Unknown(String),
}

/// Finds a document.
///
/// # Errors
/// A name that no document or several have; the lake's.
pub async fn show(context: &JobContext, name: &str) -> anyhow::Result<Shown> {
    let name = name.trim();
    let numbered = context.lake.rows(&INVOICE_EVENT, Some(&format!("number = {}", as_text(name)))).await?;
    let ids: Vec<String> = numbered
        .iter()
        .filter_map(|row| row.text("invoice_id"))
        .map(|id| format!("invoice_id = {}", as_text(id)))
        .collect();
    let letters = name.strip_prefix("inv_").unwrap_or(name);
    let is_prefix = letters.len() >= PREFIX_MIN && letters.bytes().all(|byte| byte.is_ascii_hexdigit());
    let condition = match (ids.is_empty(), is_prefix) {
        (false, _) => ids.join(" or "),
        (true, true) => {
            let prefix = format!("inv_{}", letters.to_ascii_lowercase());
            format!("substr(invoice_id, 1, {}) = {}", prefix.len(), as_text(&prefix))
        }
        (true, false) => bail!(ConfigurationError(format!(
            "there is no invoice {name}: give its number, its id, or the first {PREFIX_MIN} letters of its id or more; \
             `tollbook bill list` lists them"
        ))),
    };
    let rows = context.lake.rows(&INVOICE, Some(&condition)).await?;
    let mut documents = rows.iter().map(Document::from_row).collect::<Result<Vec<_>, _>>()?;
    documents.sort_by(|a, b| a.invoice_id.cmp(&b.invoice_id));
    if documents.len() > 1 {
        bail!(ConfigurationError(several(name, &documents)));
    }
    let Some(document) = documents.pop() else {
        bail!(ConfigurationError(format!("there is no invoice {name}; `tollbook bill list` lists them")));
    };
    let condition = format!("invoice_id = {}", as_text(document.invoice_id.as_str()));
    let events = events_of(&context.lake.rows(&INVOICE_EVENT, Some(&condition)).await?)?;
    let ledger = Ledger::fold(&events).remove(&document.invoice_id).unwrap_or_default();
    let history = history(&events, &document.invoice_id);
    let history = history.into_iter().map(|event| InvoiceEvent { request_body: None, ..event.clone() }).collect();
    Ok(Shown {
        credited_by: credited_by(context, &document).await?,
        outside: outside(context, &document).await?,
        state: ledger.state(),
        stripe_id: ledger.stripe_invoice().map(str::to_owned),
        issued: ledger.issued,
        document,
        history,
    })
}

/// The issued credit notes of an invoice.
async fn credited_by(context: &JobContext, document: &Document) -> anyhow::Result<Vec<(String, Money)>> {
    let body = &document.body;
    if !body.kind.is_invoice() {
        return Ok(Vec::new());
    }
    let one = PartnerRange::of_one(&body.partner_id);
    let issued = read_issued_of(&context.lake, Some(body.month), &one).await?;
    let of_it = |note: &&IssuedDocument| {
        note.document.body.credits.as_ref().is_some_and(|credits| credits.invoice_id == document.invoice_id)
    };
    let mut notes: Vec<(String, Money)> =
        issued.iter().filter(of_it).map(|note| (note.number.clone(), note.document.total())).collect();
    notes.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(notes)
}

/// What the partners of a document used outside their subscriptions in its month. It is known only where usage was
/// computed with the present catalog; a document is shown all the same.
async fn outside(context: &JobContext, document: &Document) -> anyhow::Result<Outside> {
    let body = &document.body;
    let sources = match Sources::read(context).await {
        Ok(sources) => sources,
        Err(error) if matches!(kind_of(&error), Some(Kind::Conflict | Kind::Configuration)) => {
            return Ok(Outside::Unknown(format!("{error:#}")));
        }
        Err(error) => return Err(error),
    };
    let borne = body.lines.iter().filter_map(|line| line.for_partner.as_ref());
    let own: BTreeSet<&PartnerId> = borne.chain([&body.partner_id]).collect();
    // Who pays for another must be read with it.
    let range = match sources.registry.payers.is_empty() {
        true => PartnerRange::of_one(&body.partner_id),
        false => PartnerRange::ALL,
    };
    let inputs = sources.of(&range).await?;
    let mut drafted = inputs.draft_adjusting(body.month, context.clock.now(), &[])?;
    drafted.outside.retain(|(partner_id, _)| own.contains(partner_id));
    Ok(Outside::Listed(drafted.outside))
}

/// Numbers are unique for each issuer alone, and letters of an id may begin several.
fn several(name: &str, documents: &[Document]) -> String {
    let told = documents.iter().take(LISTED_MAX).map(|document| {
        let body = &document.body;
        format!("{} ({} {}, issuer {})", document.invoice_id, body.partner_id, body.month, body.issuer.issuer_id)
    });
    let told = told.collect::<Vec<_>>().join(", ");
    let more = documents.len().saturating_sub(LISTED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{name} tells {} documents; give the id of one: {told}{more}", documents.len())
}
