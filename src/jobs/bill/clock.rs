//! The billing clock: which months are due and for whom, why not yet, and the grace in which a period that has ended
//! stays open.
//!
//! `bill due` writes nothing. A month is due when it is over by the clock; what the data say of it is told in its rows.

use chrono::{DateTime, TimeDelta, Utc};
use tollbook_aggregate::usage_reach;
use tollbook_billing::document::read_documents;
use tollbook_billing::due::{DueInput, DueRow, due};
use tollbook_billing::event::events_of;
use tollbook_billing::issue::{Issued, NotEnded, Slots, read_issued};
use tollbook_schemas::id::{InvoiceId, PartnerId};
use tollbook_schemas::period::{Month, print_instant};
use tollbook_schemas::tables::billing::INVOICE_EVENT;

use super::{Inputs, hold, months, unseen};
use crate::context::JobContext;

/// A draft whose period has ended and stays open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InGrace {
    /// Partner.
    pub partner_id: PartnerId,
    /// Draft.
    pub invoice_id: InvoiceId,
    /// From when on it is issued.
    pub closes_at: DateTime<Utc>,
}

impl InGrace {
    /// What a person must know of it.
    #[must_use]
    pub fn told(&self, month: Month) -> String {
        format!(
            "{month} {}: left, because its period stays open for what comes late until {} (grace_hours in [billing]); \
             `--skip-grace` does not wait",
            self.partner_id,
            print_instant(self.closes_at)
        )
    }
}

/// The instant by which a period must have ended to be issued.
pub(super) fn ended_by(as_of: DateTime<Utc>, grace: TimeDelta) -> DateTime<Utc> {
    as_of.checked_sub_signed(grace).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// Takes the drafts whose period has ended by an instant out of those that have not ended a grace before it.
pub(super) fn in_grace(issued: &mut Issued, by: DateTime<Utc>, grace: TimeDelta) -> Vec<InGrace> {
    let (ended, running): (Vec<NotEnded>, _) =
        std::mem::take(&mut issued.not_ended).into_iter().partition(|one| !grace.is_zero() && one.period_end <= by);
    issued.not_ended = running;
    let of = |NotEnded { partner_id, invoice_id, period_end }| {
        // A period so late that it has no end with the grace is never closed.
        let closes_at = period_end.checked_add_signed(grace).unwrap_or(DateTime::<Utc>::MAX_UTC);
        InGrace { partner_id, invoice_id, closes_at }
    };
    let mut found: Vec<InGrace> = ended.into_iter().map(of).collect();
    found.sort_by(|a, b| (&a.partner_id, &a.invoice_id).cmp(&(&b.partner_id, &b.invoice_id)));
    found
}

/// What is due, and how it was looked at.
pub struct Due {
    /// Months that were looked at.
    pub months: Vec<Month>,
    /// Their open places, in order of months.
    pub rows: Vec<DueRow>,
    /// How far the data behind usage reach; none where nobody knows.
    pub reach: Option<DateTime<Utc>>,
    /// What usage does not know yet, in a line.
    pub unseen: Option<String>,
}

/// The open places of the months that a word names (`due`: those that are over by the clock), of all partners or of
/// one.
///
/// # Errors
/// A word that is none; where usage was computed with another catalog; the lake's.
pub async fn due_now(context: &JobContext, period: &str, partner_id: Option<&PartnerId>) -> anyhow::Result<Due> {
    let (now, grace) = (context.clock.now(), context.configuration.grace()?);
    let policy = context.configuration.hold_policy()?;
    let months = months(context, period, now).await?;
    let reach = usage_reach(&context.lake).await?;
    let unseen = unseen(context).await?;
    let mut rows = Vec::new();
    if !months.is_empty() {
        let inputs = Inputs::read(context).await?;
        let issued = read_issued(&context.lake, None).await?;
        let slots = Slots::fold(&events_of(&context.lake.rows(&INVOICE_EVENT, None).await?)?)?;
        for month in months.iter().copied() {
            let drafted = inputs.draft_adjusting(month, now, &issued)?;
            let documents = read_documents(&context.lake, month).await?;
            let held = hold::held_drafts(context, month, &policy).await?;
            let (drafted, documents, slots, held) = (&drafted, &documents, &slots, &held[..]);
            let overtaken = &unseen.partners;
            rows.extend(due(&DueInput { drafted, documents, slots, held, overtaken, now, grace, reach }));
        }
    }
    rows.retain(|row| partner_id.is_none_or(|partner_id| row.partner_id == *partner_id));
    Ok(Due { months, rows, reach, unseen: unseen.told() })
}
