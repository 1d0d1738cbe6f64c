//! `tollbook bill hold|release|approve`, and what the other steps of `bill` tell of held drafts.
//!
//! Drafts are named by their ids; or everything of a partner's month is, whatever kind of document it is, and whether
//! it is there or comes later: `close` drafts and issues in one go, and whoever must stop an invoice cannot wait
//! between the two.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use serde_json::{Value, json};
use tollbook_billing::document::{Document, read_documents, slot_of};
use tollbook_billing::event::{EventKind, InvoiceEvent, events_of};
use tollbook_billing::hold::{Act, ActDone, Acts, HeldDraft, Target, act, held_drafts as read_held};
use tollbook_billing::issue::Slots;
use tollbook_billing::policy::HoldPolicy;
use tollbook_schemas::actor::{Actor, reason};
use tollbook_schemas::id::{InvoiceId, PartnerId, SlotId};
use tollbook_schemas::period::Month;
use tollbook_schemas::registry::fold;
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT};

use crate::configuration::{ACTOR_VARIABLE, ConfigurationError, actor_of_environment};
use crate::context::JobContext;
use crate::jobs::partner::known_events;

/// Who does it, and why.
#[derive(Debug, Clone, clap::Args)]
pub struct By {
    /// Who does it: staff:NAME.
    #[arg(long, value_parser = person)]
    actor: Actor,
    /// Why, in one line; it is kept for good.
    #[arg(long, value_parser = reason)]
    reason: String,
}

/// Whose drafts of which month.
#[derive(Debug, Clone, clap::Args)]
pub struct Of {
    /// Drafts, such as inv_0123456789abcdef0123.
    #[arg(required_unless_present = "partner", conflicts_with_all = ["partner", "period"])]
    drafts: Vec<InvoiceId>,
    /// Every document of this partner in the month, invoices and credit notes, also what is still to come.
    #[arg(long, requires = "period")]
    partner: Option<PartnerId>,
    /// The month, such as 2026-06.
    #[arg(long, requires = "partner")]
    period: Option<Month>,
}

/// Only a person holds and approves; rules are in the configuration.
fn person(text: &str) -> Result<Actor, String> {
    let actor = Actor::parse(text).map_err(|error| error.to_string())?;
    if actor.as_str().starts_with("staff:") { Ok(actor) } else { Err("it takes a person: staff:NAME".to_owned()) }
}

/// Who drafts: as given, else as the environment says, else nobody knows.
///
/// # Errors
/// Where the environment's word is no actor; where the policy must know who drafts, and nobody says it.
pub(super) fn drafter(given: Option<&Actor>, policy: &HoldPolicy) -> anyhow::Result<Option<Actor>> {
    let named = match (given, actor_of_environment()) {
        (Some(given), _) => Some(given.clone()),
        (None, Some(text)) => {
            Some(Actor::parse(&text).map_err(|error| ConfigurationError(format!("{ACTOR_VARIABLE}: {error}")))?)
        }
        (None, None) => None,
    };
    if named.is_none() && policy.four_eyes {
        bail!(ConfigurationError(format!(
            "four_eyes in [billing.hold] must know who drafts: give --actor staff:NAME, or set {ACTOR_VARIABLE}, for a \
             scheduler such as system:cron"
        )));
    }
    Ok(named)
}

/// What holds the current drafts of a month.
///
/// # Errors
/// The lake's.
pub async fn held_drafts(context: &JobContext, month: Month, policy: &HoldPolicy) -> anyhow::Result<Vec<HeldDraft>> {
    Ok(read_held(&context.lake, month, policy).await?)
}

/// A line for each held draft: what holds it, and how it goes on.
#[must_use]
pub fn told(month: Month, held: &[HeldDraft]) -> Vec<String> {
    let line = |one: &HeldDraft| {
        format!("{month} {}: {} is {one}; it goes on by {}", one.partner_id, one.invoice_id, one.way_out())
    };
    held.iter().map(line).collect()
}

/// The same for machines.
#[must_use]
pub fn to_json(held: &[HeldDraft]) -> Value {
    let one = |held: &HeldDraft| {
        let by: Vec<Value> = held.by.iter().map(|by| json!({ "actor": by.actor, "what": by.what })).collect();
        json!({ "partner_id": held.partner_id, "invoice_id": held.invoice_id, "by": by })
    };
    held.iter().map(one).collect()
}

/// What was done, one target each.
#[derive(Debug)]
pub struct Acted {
    act: Act,
    by: By,
    /// What became of each.
    pub done: Vec<ActDone>,
    /// What else a person must know.
    pub notes: Vec<String>,
}

impl Acted {
    /// A line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let By { actor, reason } = &self.by;
        let line = |done: &ActDone| {
            let (target, partner_id) = (&done.target, &done.target.partner_id);
            let known = if done.is_new { "" } else { "; it was there already, nothing was added" };
            format!("{partner_id}: {target} is {} by {actor}: {reason}{known}", self.act.participle())
        };
        self.done.iter().map(line).collect()
    }

    /// The same for machines, an object each.
    #[must_use]
    pub fn json(&self) -> Vec<Value> {
        let one = |done: &ActDone| {
            let Target { partner_id, invoice_id, slot_id, month, is_whole_month, .. } = &done.target;
            let invoice_id = (!is_whole_month).then_some(invoice_id);
            json!({ "partner_id": partner_id, "invoice_id": invoice_id, "slot_id": slot_id, "month": month,
                "whole_month": is_whole_month, "kind": self.act.participle(), "actor": self.by.actor.as_str(), "reason": self.by.reason,
                "is_new": done.is_new })
        };
        self.done.iter().map(one).collect()
    }
}

/// Holds slots, or everything of a partner's month.
///
/// # Errors
/// Where nothing is meant, or it cannot be held.
pub async fn hold(context: &JobContext, of: &Of, by: &By) -> anyhow::Result<Acted> {
    let (Some(partner_id), Some(month)) = (&of.partner, of.period) else {
        return done(context, Act::Hold, by_ids(context, &of.drafts).await?, by).await;
    };
    if !fold(known_events(context).await?, None).partners.contains_key(partner_id) {
        bail!(ConfigurationError(format!("nothing of {partner_id} could be held: nobody knows the partner")));
    }
    let acted = done(context, Act::Hold, vec![Target::whole_month(partner_id, month)], by).await?;
    let documents = read_documents(&context.lake, month).await?;
    let events = events_of(&context.lake.rows(&INVOICE_EVENT, None).await?)?;
    let slots = Slots::fold(&events)?;
    let own = || documents.values().filter(|document| document.body.partner_id == *partner_id);
    let numbers = own().filter_map(|document| {
        let issued = slots.issued_in(&document.slot_id)?;
        (issued.invoice_id == document.invoice_id).then(|| issued.number.clone()).flatten()
    });
    let issued = numbers.map(|number| format!("{number} was issued before, and stays as it is")).collect::<Vec<_>>();
    let held = own().filter(|document| slots.is_draft(document));
    let held = held.map(|document| format!("{} of {} is held by it", document.invoice_id, document.total()));
    Ok(Acted { notes: held.chain(issued).map(|note| format!("{partner_id} {month}: {note}")).collect(), ..acted })
}

/// Ends holds by hand.
///
/// # Errors
/// Where nothing is meant, or nobody holds it.
pub async fn release(context: &JobContext, of: &Of, by: &By) -> anyhow::Result<Acted> {
    let targets = match (&of.partner, of.period) {
        (Some(partner_id), Some(month)) => holds_of(context, partner_id, month).await?,
        _ => by_ids(context, &of.drafts).await?,
    };
    done(context, Act::Release, targets, by).await
}

/// Approves documents.
///
/// # Errors
/// Where one is not the draft of its slot, or somebody else must approve it.
pub async fn approve(context: &JobContext, drafts: &[InvoiceId], by: &By) -> anyhow::Result<Acted> {
    let targets = by_ids(context, drafts).await?;
    done(context, Act::Approve, targets, by).await
}

async fn done(context: &JobContext, what: Act, targets: Vec<Target>, by: &By) -> anyhow::Result<Acted> {
    let policy = context.configuration.hold_policy()?;
    let job = match what {
        Act::Hold => "bill hold",
        Act::Release => "bill release",
        Act::Approve => "bill approve",
    };
    let work = async {
        let said = (&by.actor, by.reason.as_str());
        let done = act(&context.lake, what, &targets, said, &policy, context.clock.now()).await?;
        let acted = Acted { act: what, by: by.clone(), done, notes: Vec::new() };
        let added = acted.done.iter().filter(|done| done.is_new).count();
        let told = json!({ "added": added, "acts": acted.json() });
        Ok((acted, told))
    };
    context.run(job, None, work).await
}

/// The documents of ids, in the order in which they are named.
async fn by_ids(context: &JobContext, ids: &[InvoiceId]) -> anyhow::Result<Vec<Target>> {
    // Ids hold no quotes.
    let named: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
    let rows = context.lake.rows(&INVOICE, Some(&format!("invoice_id in ({})", named.join(", ")))).await?;
    let documents = rows.iter().map(Document::from_row).collect::<Result<Vec<_>, _>>()?;
    let found: BTreeMap<&InvoiceId, &Document> = documents.iter().map(|one| (&one.invoice_id, one)).collect();
    let one = |id: &InvoiceId| {
        let unknown = || ConfigurationError(format!("{id} is no document; `tollbook bill register --json` names them"));
        found.get(id).map(|document| Target::of(document)).ok_or_else(unknown)
    };
    Ok(ids.iter().map(one).collect::<Result<Vec<_>, _>>()?)
}

/// The slots of a partner in a month that somebody holds, whether or not anything was drafted there; where nobody does,
/// those that were held before.
async fn holds_of(context: &JobContext, partner_id: &PartnerId, month: Month) -> anyhow::Result<Vec<Target>> {
    let events = events_of(&context.lake.rows(&INVOICE_EVENT, None).await?)?;
    let acts = Acts::fold(&events);
    let mut slots: BTreeSet<SlotId> =
        read_documents(&context.lake, month).await?.into_values().map(|document| document.slot_id).collect();
    // One that was held before it was drafted: of any issuer and currency that a plan has.
    for version in context.catalog()?.plans.values().flatten() {
        slots.insert(slot_of(&version.issuer, partner_id, version.currency, month));
    }
    let whole = Target::whole_month(partner_id, month);
    slots.insert(whole.slot_id.clone());
    let is_hold = |event: &&InvoiceEvent| {
        event.kind == EventKind::Held && event.partner_id == *partner_id && slots.contains(&event.slot_id)
    };
    let by_hand = events.iter().filter(is_hold).filter(|event| acts.was_held(&event.slot_id));
    // By the document that it was when it was held.
    let targets: BTreeMap<&SlotId, Target> = by_hand
        .map(|event| {
            let (invoice_id, slot_id) = (event.invoice_id.clone(), event.slot_id.clone());
            let is_whole_month = slot_id == whole.slot_id;
            (&event.slot_id, Target { invoice_id, slot_id, is_whole_month, ..whole.clone() })
        })
        .collect();
    let is_held = |target: &Target| acts.held(&target.slot_id).is_some();
    let any_held = targets.values().any(is_held);
    let targets: Vec<Target> = targets.into_values().filter(|target| !any_held || is_held(target)).collect();
    if targets.is_empty() {
        bail!(ConfigurationError(format!(
            "nobody held a draft of {partner_id} in {month}; what a policy holds is approved, with `tollbook bill approve`"
        )));
    }
    Ok(targets)
}
