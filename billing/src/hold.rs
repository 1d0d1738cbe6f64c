//! Which drafts may not be issued yet, and why.
//!
//! Two kinds of holds, and what ends each:
//!
//! - **by hand**: somebody holds a *slot*, or everything of a partner's month: every document of it, of whatever kind,
//!   that is there or comes later. It stays held whatever is drafted there, until it is released;
//! - **by policy**: the *document* meets a rule of [`HoldPolicy`]. It is issued when somebody has approved exactly this
//!   document: one that was drafted anew with other content is another, and is looked at again. So what was approved is
//!   what is issued. The rules are looked at anew whenever a month is drafted, listed or issued; that a policy held a
//!   draft when it was to be issued is also an event, once for each document and rule.
//!
//! Takes the events, the profiles and what was issued before; gives for each draft what holds it. [`read`] is the noisy
//! edge; the rest is pure. What people do is in `act`.

mod act;
mod acts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use tollbook_lake::Lake;
use tollbook_schemas::actor::Actor;
use tollbook_schemas::id::{InvoiceId, IssuerId, PartnerId, SlotId};
use tollbook_schemas::money::Currency;
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::{BILLING_PROFILE, INVOICE, INVOICE_EVENT};

use crate::billed::IssuedDocument;
use crate::document::{Body, Document, read_documents};
use crate::error::BillingError;
use crate::event::{EventKind, InvoiceEvent, events_of};
use crate::issue::{Slots, read_issued};
use crate::policy::{HoldPolicy, rules_met};
use crate::profile::Profiles;
use crate::register::RegisterRow;
use crate::stripe::State;

pub use act::{Act, ActDone, Target, act};
pub use acts::{Acts, Said};

/// The kinds of events that say what is held, and what may be.
const KINDS: &str = "kind in ('drafted', 'withdrawn', 'issued', 'held', 'released', 'approved')";

/// One thing that holds a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBy {
    /// `staff:NAME`, or `system:RULE`.
    pub actor: String,
    /// The reason, or the rule's figures.
    pub what: String,
    /// Whether everything of the partner's month is held.
    pub of_month: bool,
}

impl HeldBy {
    fn of_rule(rule: &'static str, what: String) -> Self {
        Self { actor: Actor::rule(rule).to_string(), what, of_month: false }
    }

    /// The rule, where it is one.
    fn rule(&self) -> Option<&str> {
        self.actor.strip_prefix("system:")
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "held by {}: {}", self.actor, self.what)
    }
}

/// A draft that may not be issued, with everything that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldDraft {
    /// Partner.
    pub partner_id: PartnerId,
    /// The draft.
    pub invoice_id: InvoiceId,
    /// Its slot.
    pub slot_id: SlotId,
    /// Its month.
    pub month: Month,
    /// At least one.
    pub by: Vec<HeldBy>,
}

impl HeldDraft {
    /// How a person lets it go on.
    #[must_use]
    pub fn way_out(&self) -> String {
        let id = &self.invoice_id;
        let by_hand = self.by.iter().any(|by| by.rule().is_none() && !by.of_month);
        let of_month = self.by.iter().any(|by| by.of_month);
        let by_rule = self.by.iter().any(|by| by.rule().is_some());
        let release = by_hand.then(|| format!("`tollbook bill release {id}`"));
        let (partner_id, month) = (&self.partner_id, self.month);
        let release_month =
            of_month.then(|| format!("`tollbook bill release --partner {partner_id} --period {month}`"));
        let approve = by_rule.then(|| format!("`tollbook bill approve {id}`"));
        release.into_iter().chain(release_month).chain(approve).collect::<Vec<_>>().join(" and ")
    }
}

impl fmt::Display for HeldDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by: Vec<String> = self.by.iter().map(ToString::to_string).collect();
        f.write_str(&by.join("; "))
    }
}

/// The place of a hold of everything of a partner's month; no document fills it.
#[must_use]
pub fn slot_of_whole_month(partner_id: &PartnerId, month: Month) -> SlotId {
    SlotId::derive(["whole month", partner_id.as_str(), &month.to_string()])
}

/// Whether two texts name one person: names are typed, and `staff:Ann` is `staff:ann`.
fn is_same_actor(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// The slots of one issuer, partner and currency, month by month.
type SlotLine = (IssuerId, PartnerId, Currency);

/// Issued totals before prepaid credits, in minor units, by line of slots and month.
type Past = BTreeMap<SlotLine, BTreeMap<Month, i64>>;

fn line_of(document: &Document) -> SlotLine {
    let body = &document.body;
    (body.issuer.issuer_id.clone(), body.partner_id.clone(), body.currency)
}

/// Everything that decides whether a draft is held.
#[derive(Debug, Clone)]
pub struct Holds<'p> {
    policy: &'p HoldPolicy,
    acts: Acts,
    profiles: Profiles,
    past: Past,
    /// The documents that were approved, by slot and content.
    approved: BTreeMap<(SlotId, String), Vec<InvoiceId>>,
}

/// What a person approves: the document without what was known otherwise when it was drafted. A draft that is made
/// again from more offsets or with another catalog, and bills just the same, is approved still.
fn content_of(document: &Document) -> Option<(SlotId, String)> {
    let body = &document.body;
    let body = Body { pin: String::new(), catalog_sha256: String::new(), ..body.clone() };
    Some((document.slot_id.clone(), serde_json::to_string(&body).ok()?))
}

impl<'p> Holds<'p> {
    /// From what was read. Of the issued documents the invoices are the past, but those that were voided since: nobody
    /// owes them, so they are no measure of what is usual. `approved` are the documents that events of approvals name.
    #[must_use]
    pub fn of(
        policy: &'p HoldPolicy,
        events: &[InvoiceEvent],
        issued: &[IssuedDocument],
        profiles: Profiles,
        approved: &[Document],
    ) -> Self {
        let mut past = Past::new();
        for issued in issued.iter().filter(|issued| !issued.is_voided && issued.document.body.kind.is_invoice()) {
            let body = &issued.document.body;
            let total = issued.document.total_before_credits();
            past.entry(line_of(&issued.document)).or_default().insert(body.month, total.minor);
        }
        let mut by_content: BTreeMap<_, Vec<InvoiceId>> = BTreeMap::new();
        for document in approved {
            if let Some(content) = content_of(document) {
                by_content.entry(content).or_default().push(document.invoice_id.clone());
            }
        }
        Self { policy, acts: Acts::fold(events), profiles, past, approved: by_content }
    }

    /// What holds a draft; none where it may be issued.
    #[must_use]
    pub fn why_held(&self, document: &Document) -> Option<HeldDraft> {
        let body = &document.body;
        let mut by: Vec<HeldBy> = self.by_hand(document).collect();
        let nothing = BTreeMap::new();
        let past = self.past.get(&line_of(document)).unwrap_or(&nothing);
        let met = rules_met(self.policy, document, self.profiles.version(&body.profile_version_id), past);
        if !met.is_empty() && !self.is_approved(document) {
            by.extend(met.into_iter().map(|met| HeldBy::of_rule(met.rule, met.what)));
            let own = self.acts.approvals(&document.invoice_id).next();
            let is_drafter_known = self.acts.drafter(&document.invoice_id).is_some();
            by.extend(own.map(|Said { actor, .. }| {
                let what = match is_drafter_known {
                    true => format!("{actor} approved it, and drafted it or made a line of it; somebody else must"),
                    false => format!(
                        "{actor} approved it, and nobody knows who drafted it; run `tollbook bill draft --period {} --actor \
                         staff:NAME`, and somebody else must approve it",
                        body.month
                    ),
                };
                HeldBy::of_rule("four_eyes", what)
            }));
        }
        (!by.is_empty()).then(|| HeldDraft {
            partner_id: body.partner_id.clone(),
            invoice_id: document.invoice_id.clone(),
            slot_id: document.slot_id.clone(),
            month: body.month,
            by,
        })
    }

    /// Who holds its slot by hand, and who everything of its partner's month.
    fn by_hand(&self, document: &Document) -> impl Iterator<Item = HeldBy> {
        let body = &document.body;
        let whole = slot_of_whole_month(&body.partner_id, body.month);
        let held = |slot_id: &SlotId, of_month| {
            let held = self.acts.held(slot_id);
            held.map(|Said { actor, what }| HeldBy { actor: actor.clone(), what: what.clone(), of_month })
        };
        held(&document.slot_id, false).into_iter().chain(held(&whole, true))
    }

    /// Whether a policy or a person might hold it, whatever was approved: what need not be kept to be asked again.
    #[must_use]
    pub fn may_hold(&self, document: &Document) -> bool {
        let past = self.past.get(&line_of(document));
        let profile = self.profiles.version(&document.body.profile_version_id);
        self.by_hand(document).next().is_some()
            || !rules_met(self.policy, document, profile, past.unwrap_or(&BTreeMap::new())).is_empty()
    }

    /// Whether an approval of the document, or of one that bills just the same in its slot, counts.
    fn is_approved(&self, document: &Document) -> bool {
        let (drafter, authors) = (self.acts.drafter(&document.invoice_id), authors_of(document));
        let is_author = |actor: &str| authors.iter().any(|author| is_same_actor(author, actor));
        // Where nobody knows who drafted, it may have been whoever approved.
        let is_another = |actor: &str| drafter.is_some_and(|drafter| !is_same_actor(drafter, actor));
        let counts = |actor: &str| !self.policy.four_eyes || (is_another(actor) && !is_author(actor));
        let same = content_of(document).and_then(|content| self.approved.get(&content)).into_iter().flatten();
        let mut named = std::iter::once(&document.invoice_id).chain(same);
        named.any(|invoice_id| self.acts.approvals(invoice_id).any(|approval| counts(&approval.actor)))
    }
}

/// Who made lines of a document by hand, or took back what a line gives back.
#[must_use]
pub fn authors_of(document: &Document) -> BTreeSet<String> {
    let by_hand = document.body.lines.iter().filter_map(|line| line.by_hand.as_ref());
    by_hand.map(|by_hand| by_hand.actor.clone()).collect()
}

/// Reads everything that decides about drafts.
///
/// # Errors
/// [`BillingError`].
pub async fn read<'p>(lake: &Lake, policy: &'p HoldPolicy) -> Result<Holds<'p>, BillingError> {
    of_events(lake, policy, &read_events(lake).await?).await
}

async fn of_events<'p>(
    lake: &Lake,
    policy: &'p HoldPolicy,
    events: &[InvoiceEvent],
) -> Result<Holds<'p>, BillingError> {
    let issued = if policy.needs_past() { read_issued(lake, None).await? } else { Vec::new() };
    let profiles = Profiles::read(&lake.rows(&BILLING_PROFILE, None).await?)?;
    let named: Vec<String> = events
        .iter()
        .filter(|event| event.kind == EventKind::Approved)
        .map(|event| format!("'{}'", event.invoice_id))
        .collect();
    let approved = match named.is_empty() {
        true => Vec::new(),
        false => lake.rows(&INVOICE, Some(&format!("invoice_id in ({})", named.join(", ")))).await?,
    };
    let approved = approved.iter().map(Document::from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(Holds::of(policy, events, &issued, profiles, &approved))
}

async fn read_events(lake: &Lake) -> Result<Vec<InvoiceEvent>, BillingError> {
    events_of(&lake.rows(&INVOICE_EVENT, Some(KINDS)).await?)
}

/// What holds the current drafts of a month, whether or not they could be issued otherwise.
///
/// # Errors
/// [`BillingError`].
pub async fn held_drafts(lake: &Lake, month: Month, policy: &HoldPolicy) -> Result<Vec<HeldDraft>, BillingError> {
    let documents: Vec<Document> = read_documents(lake, month).await?.into_values().collect();
    held_among(lake, &documents, policy).await
}

/// What holds those of some documents that are current drafts.
///
/// # Errors
/// [`BillingError`].
pub async fn held_among(
    lake: &Lake,
    documents: &[Document],
    policy: &HoldPolicy,
) -> Result<Vec<HeldDraft>, BillingError> {
    let events = read_events(lake).await?;
    let (slots, holds) = (Slots::fold(&events)?, of_events(lake, policy, &events).await?);
    let drafts = documents.iter().filter(|document| slots.is_draft(document));
    let mut held: Vec<HeldDraft> = drafts.filter_map(|document| holds.why_held(document)).collect();
    held.sort_by(|a, b| (&a.partner_id, &a.invoice_id).cmp(&(&b.partner_id, &b.invoice_id)));
    Ok(held)
}

/// Says in a register what is held, and why, before everything else that is noted.
pub fn mark_held(rows: &mut [RegisterRow], held: &[HeldDraft]) {
    for row in rows.iter_mut().filter(|row| row.state == Some(State::Draft)) {
        let Some(held) = held.iter().find(|held| row.invoice_id.as_ref() == Some(&held.invoice_id)) else { continue };
        row.is_held = true;
        let noted = std::iter::once(held.to_string()).chain(row.note.take());
        row.note = Some(noted.collect::<Vec<_>>().join("; "));
    }
}

/// Notes the holds by policy as events: once for each document and rule, however often it is found.
///
/// # Errors
/// The lake's.
pub async fn note(lake: &Lake, held: &[HeldDraft], at: DateTime<Utc>) -> Result<usize, BillingError> {
    let mut rows: Vec<Row> = Vec::new();
    for draft in held {
        let ids = (&draft.invoice_id, &draft.slot_id, &draft.partner_id);
        for by in &draft.by {
            let Some(rule) = by.rule() else { continue };
            let mut event = InvoiceEvent::bare(ids, EventKind::Held, &format!("{}-{rule}", acts::HOLD), 0, at);
            event.detail = Some(format!("{} {}", by.actor, by.what));
            rows.push(event.to_row());
        }
    }
    if rows.is_empty() { Ok(0) } else { Ok(lake.append_missing(&INVOICE_EVENT, &rows).await?) }
}

#[cfg(test)]
mod tests;
