//! `tollbook bill fit`: the cheapest plan for what was used, against the chosen one; writes nothing.

use std::collections::BTreeSet;

use anyhow::bail;
use chrono::{DateTime, Utc};
use tollbook_billing::fit::{Fitted, fit as make_fit};
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::Month;

use super::Inputs;
use super::due::refuse_not_begun;
use super::preview::no_partner;
use crate::configuration::ConfigurationError;
use crate::context::JobContext;

/// Finds the cheapest plan for each subscription of a month, or for those of one partner.
///
/// # Errors
/// A partner that nobody knows; a month that has not begun; as [`Inputs::read`].
pub async fn fit(
    context: &JobContext,
    month: Month,
    partner_id: Option<&PartnerId>,
    as_of: DateTime<Utc>,
) -> anyhow::Result<Fitted> {
    refuse_not_begun(context, month, "fitted")?;
    let mut inputs = Inputs::read(context).await?;
    if let Some(partner_id) = partner_id {
        if !inputs.registry.partners.contains_key(partner_id) {
            bail!(ConfigurationError(no_partner(partner_id)));
        }
        // With whoever pays for it, whose profile its documents bear.
        let payers: BTreeSet<PartnerId> = inputs.registry.payers_of(partner_id).into_iter().cloned().collect();
        inputs.registry.partners.retain(|id, _| id == partner_id || payers.contains(id));
        inputs.registry.subscriptions.retain(|_, subscription| subscription.partner_id == *partner_id);
    }
    let mut fitted = make_fit(&inputs.of_month(month, as_of));
    if let Some(partner_id) = partner_id {
        fitted.blocked.retain(|one| one.partner_id == *partner_id);
    }
    Ok(fitted)
}
