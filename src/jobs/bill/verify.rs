//! `tollbook bill verify INVOICE|PERIOD`: the second implementation over issued invoices. It takes no lease and writes
//! no rows; the configuration's catalog plays no part, only the kept one.

use anyhow::bail;
use tollbook_schemas::period::Month;
use tollbook_verify::{Tally, Verified, Wanted, verify};

use crate::context::JobContext;

/// Issued invoices that do not hold, or of which that cannot be said.
#[derive(Debug, thiserror::Error)]
#[error("{}", told(*.0))]
pub struct Different(pub Tally);

fn told(tally: Tally) -> String {
    let Tally { differing, unknown, .. } = tally;
    let all = tally.all();
    let differ = format!("{differing} of {all} invoices differ from what their raw rows come to");
    let not_known = format!(
        "{unknown} of {all} invoices cannot be judged: they have what this version does not know, so nothing is said of \
         whether they are right"
    );
    let told = match (differing, unknown) {
        (_, 0) => differ,
        (0, _) => not_known,
        _ => format!("{differ}, and {not_known}"),
    };
    format!("{told}; stop and look: \"An invoice that differs\" in docs/operations.md")
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
    let mut verified: Vec<Verified> = Vec::new();
    for month in super::months(context, name, as_of).await? {
        let of_month = verify_month(context, month).await?;
        // What has no document any more is told with every month.
        let is_told = |one: &Verified| verified.iter().any(|told| told.invoice_id == one.invoice_id);
        let anew: Vec<Verified> =
            of_month.into_iter().filter(|one| one.invoice_id.is_empty() || !is_told(one)).collect();
        verified.extend(anew);
    }
    Ok(verified)
}

/// Ends with an error where an invoice differs or cannot be judged, after all of them were told.
///
/// # Errors
/// [`Different`].
pub fn complain_of_different(verified: &[Verified]) -> anyhow::Result<()> {
    let tally = Tally::of(verified);
    if tally.differing > 0 || tally.unknown > 0 {
        bail!(Different(tally));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_what_differs_from_what_is_not_known() {
        for (holding, differing, unknown, expected) in [
            (2, 1, 0, "1 of 3 invoices differ from what their raw rows come to; stop"),
            (2, 0, 1, "1 of 3 invoices cannot be judged: they have what this version does not know"),
            (1, 2, 1, "2 of 4 invoices differ from what their raw rows come to, and 1 of 4 invoices cannot be judged"),
        ] {
            let found = Different(Tally { holding, differing, unknown, noted: 1 }).to_string();
            assert!(found.starts_with(expected), "{found}");
            assert_eq!(found.contains("differ from"), differing > 0, "{found}");
        }
    }
}
