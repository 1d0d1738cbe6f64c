//! `tollbook bill adjustments`: what people charged and credited by hand, and what of it is not on an issued document
//! yet; writes nothing.

use tollbook_billing::adjustments::{Account, accounts};
use tollbook_billing::issue::read_issued;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::registry::fold;

use crate::configuration::ConfigurationError;
use crate::context::JobContext;
use crate::jobs::partner::known_events;

/// The charges and credits by hand of all partners or of one: those of which something is still to be billed, or all.
/// Also what no draft knows yet.
///
/// # Errors
/// The lake's; sums that do not fit.
pub async fn adjustments(
    context: &JobContext,
    partner_id: Option<&PartnerId>,
    all: bool,
) -> anyhow::Result<Vec<Account>> {
    let known = fold(known_events(context).await?, None);
    let issued = read_issued(&context.lake, None).await?;
    let mut accounts = accounts(&known, &issued).map_err(ConfigurationError)?;
    accounts.retain(|one| partner_id.is_none_or(|own| *own == one.made.partner_id) && (all || one.open.minor != 0));
    Ok(accounts)
}
