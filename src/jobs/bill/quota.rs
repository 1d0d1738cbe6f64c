//! `tollbook bill quota`: who used more than its plan says; writes nothing.

use anyhow::bail;
use tollbook_billing::quota::{QuotaUse, quotas};
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::Month;

use super::Inputs;
use super::preview::no_partner;
use crate::configuration::ConfigurationError;
use crate::context::JobContext;

/// Every quota of a month with what was used of it, or those of one partner.
///
/// # Errors
/// A partner that nobody knows; as [`Inputs::read`].
pub async fn quota(
    context: &JobContext,
    month: Month,
    partner_id: Option<&PartnerId>,
) -> anyhow::Result<Vec<QuotaUse>> {
    let inputs = Inputs::read(context).await?;
    let mut uses = quotas(&inputs.catalog, &inputs.registry, &inputs.usage, month);
    if let Some(partner_id) = partner_id {
        if !inputs.registry.partners.contains_key(partner_id) {
            bail!(ConfigurationError(no_partner(partner_id)));
        }
        uses.retain(|one| one.partner_id == *partner_id);
    }
    Ok(uses)
}
