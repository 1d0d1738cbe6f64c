//! `tollbook bill verify INVOICE|PERIOD`: the second implementation over issued invoices. It takes no lease and writes no
//! rows; the configuration's catalog plays no part, only the kept one.

use anyhow::bail;
use tollbook_schemas::period::Month;
use tollbook_verify::{Verified, Wanted, verify};

use crate::context::JobContext;

/// Issued invoices that do not hold.
#[derive(Debug, thiserror::Error)]
#[error(
    "{differing} of {all} invoices differ from what their raw rows come to; stop and look: \"An invoice that differs\" in \
     docs/operations.md"
)]
pub struct Different {
    /// How many differ.
    pub differing: usize,
    /// How many were verified.
    pub all: usize,
}

/// Verifies every issued invoice of a month.
///
/// # Errors
/// The lake's. What is wrong with an invoice is in its result.
pub async fn verify_month(context: &JobContext, month: Month) -> anyhow::Result<Vec<Verified>> {
    Ok(Box::pin(verify(&context.lake, &Wanted::Month(month))).await?)
}

/// Verifies what a person named: `due` and `previous` as elsewhere, a month, an invoice by its id or number.
///
/// # Errors
/// The lake's; an invoice that nobody issued.
pub async fn verify_named(context: &JobContext, name: &str) -> anyhow::Result<Vec<Verified>> {
    if !matches!(name, "due" | "previous") {
        return Ok(Box::pin(verify(&context.lake, &Wanted::from(name))).await?);
    }
    let as_of = context.as_of(None).await?;
    let mut verified = Vec::new();
    for month in super::months(context, name, as_of).await? {
        verified.extend(verify_month(context, month).await?);
    }
    Ok(verified)
}

/// Ends with an error where an invoice differs, after all of them were told.
///
/// # Errors
/// [`Different`].
pub fn complain_of_different(verified: &[Verified]) -> anyhow::Result<()> {
    let differing = verified.iter().filter(|one| !one.holds()).count();
    if differing > 0 {
        bail!(Different { differing, all: verified.len() });
    }
    Ok(())
}
