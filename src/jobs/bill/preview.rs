//! `tollbook bill preview`: the invoices so far, on any day; writes nothing.

use std::collections::BTreeMap;

use anyhow::bail;
use chrono::{DateTime, Utc};
use tollbook_aggregate::usage_reach;
use tollbook_billing::draft::Drafted;
use tollbook_billing::event::events_of;
use tollbook_billing::issue::{Slots, read_issued};
use tollbook_billing::preview::preview as make_preview;
use tollbook_schemas::id::{PartnerId, SlotId};
use tollbook_schemas::period::{Month, print_instant};
use tollbook_schemas::tables::billing::INVOICE_EVENT;

use super::{Inputs, Unseen, unseen};
use crate::configuration::ConfigurationError;
use crate::context::JobContext;

/// What a month comes to so far.
pub struct Previewed {
    /// What it would come to if nothing more happened.
    pub drafted: Drafted,
    /// Up to when usage counts.
    pub until: DateTime<Utc>,
    /// How far the data behind usage reach; none where nobody knows.
    pub reach: Option<DateTime<Utc>>,
    /// What is known and in no usage yet.
    pub unseen: Unseen,
    /// Numbers of invoices that were issued in the place of a document.
    pub issued: BTreeMap<SlotId, String>,
}

impl Previewed {
    /// What a person must know of it, a line each.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let month = self.drafted.month;
        let until = print_instant(self.until);
        let reach = match self.reach {
            None => "it is not known how far the data behind usage reach".to_owned(),
            Some(reach) if reach < self.until => {
                format!("the data behind usage reach only to {}: what came later is not in it", print_instant(reach))
            }
            Some(reach) => format!("the data behind usage reach to {}", print_instant(reach)),
        };
        let mut told = vec![format!(
            "a preview of {month}, no invoice: usage up to {until}, and the rest of the month as if nothing more came; \
             {reach}; nothing was written"
        )];
        let ended = self.drafted.documents.iter().filter(|document| document.body.period_end <= self.until).count();
        if ended > 0 {
            told.push(format!("{month}: the period of {ended} documents has ended: `tollbook bill draft` drafts them"));
        }
        for document in &self.drafted.documents {
            if let Some(number) = self.issued.get(&document.slot_id) {
                told.push(format!("{month} {}: {number} was issued and stays as it is", document.body.partner_id));
            }
        }
        let listed = self.drafted.outside.iter().chain(&self.drafted.side_by_side);
        told.extend(listed.map(|(partner_id, listed)| format!("{month} {partner_id}: {listed}")));
        told.extend(self.unseen.told());
        told
    }
}

/// Drafts a month as it stands at an instant; the month of the instant, by UTC, where none is named.
///
/// # Errors
/// A partner that nobody knows; as [`Inputs::read`].
pub async fn preview(
    context: &JobContext,
    month: Option<Month>,
    partner_id: Option<&PartnerId>,
    as_of: DateTime<Utc>,
) -> anyhow::Result<Previewed> {
    let inputs = Inputs::read(context).await?;
    let month = month.unwrap_or_else(|| Month::of(as_of, chrono_tz::UTC));
    if let Some(unknown) = partner_id.filter(|id| !inputs.registry.partners.contains_key(*id)) {
        bail!(ConfigurationError(no_partner(unknown)));
    }
    let issued = read_issued(&context.lake, None).await?;
    let mut drafted = make_preview(&inputs.of_month(month, as_of), &issued, as_of)?;
    if let Some(partner_id) = partner_id {
        drafted.documents.retain(|document| document.body.partner_id == *partner_id);
        drafted.blocked.retain(|blocked| blocked.partner_id == *partner_id);
        drafted.without.retain(|(id, _)| id == partner_id);
        drafted.outside.retain(|(id, _)| id == partner_id);
        drafted.side_by_side.retain(|(id, _)| id == partner_id);
    }
    let slots = Slots::fold(&events_of(&context.lake.rows(&INVOICE_EVENT, Some("kind = 'issued'")).await?)?)?;
    let issued = drafted.documents.iter().filter_map(|document| {
        let number = slots.issued_in(&document.slot_id)?.number.clone()?;
        Some((document.slot_id.clone(), number))
    });
    let issued = issued.collect();
    let reach = usage_reach(&context.lake).await?;
    Ok(Previewed { drafted, until: as_of, reach, unseen: unseen(context).await?, issued })
}

/// What is said of a partner that the registry does not have.
pub(super) fn no_partner(partner_id: &PartnerId) -> String {
    format!(
        "there is no partner {partner_id}; `tollbook sql \"select partner_id from partner\"` lists them, and \
         `tollbook partner import` brings them in"
    )
}
