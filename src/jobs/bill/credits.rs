//! `tollbook bill credits`: what is left of prepaid credits, from issued documents; writes nothing.

use tollbook_aggregate::{read_registry, usage_pin};
use tollbook_billing::balance::{Balance, balances};
use tollbook_billing::issue::read_issued;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::tables::partner_event;

use crate::context::JobContext;

/// The credits that are known to drafts, of all partners or of one.
///
/// # Errors
/// The lake's; what was issued and contradicts itself.
pub async fn credits(
    context: &JobContext,
    partner_id: Option<&PartnerId>,
    as_of: Option<&str>,
) -> anyhow::Result<Vec<Balance>> {
    let as_of = context.as_of(as_of).await?;
    let events = usage_pin(&context.lake, &partner_event::TABLE).await?;
    let registry = read_registry(&context.lake, &events, None).await?;
    let issued = read_issued(&context.lake, None).await?;
    Ok(balances(&registry, &issued, partner_id, as_of)?)
}
