//! The invoice so far: a month drafted before it has ended. Pure.
//!
//! Takes what a month is drafted from, what was issued, and the instant up to which usage counts. Gives the documents
//! that the month would come to if nothing more happened until its end, with lines by hand, adjustments of earlier
//! months and prepaid credits. Flat prices are those of the whole span; a level (of a meter of levels) that holds at
//! the instant holds on. Usage counts by slices, which are hours or parts of hours: one that begins before the instant
//! counts whole, one that begins there or later does not.

use chrono::{DateTime, Utc};

use crate::billed::IssuedDocument;
use crate::draft::{DraftInput, Drafted, draft_adjusting};
use crate::error::BillingError;
use crate::usage::UsageSlice;

/// Drafts a month from usage up to an instant.
///
/// # Errors
/// [`BillingError::Stored`] where what was issued contradicts itself.
pub fn preview(
    input: &DraftInput<'_>,
    issued: &[IssuedDocument],
    until: DateTime<Utc>,
) -> Result<Drafted, BillingError> {
    let usage: Vec<UsageSlice> = input.usage.iter().filter(|slice| slice.slice.start < until).cloned().collect();
    draft_adjusting(&DraftInput { usage: &usage, ..*input }, issued)
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::money::Money;

    use super::*;
    use crate::draft::tests::{at, with_input};

    /// The plan `pro` has a base of 49 EUR and calls at 0.10 EUR above 10.
    #[test]
    fn what_begins_later_does_not_count() {
        let usage = "acme calls production 2026-06-02T10:00 20; acme calls production 2026-06-03T10:00 5";
        for (until, total_minor) in [
            ("2026-06-02", 4900),
            ("2026-06-02T10:00", 4900),
            // The hour of the instant counts whole.
            ("2026-06-02T10:01", 5000),
            ("2026-06-03T10:00", 5000),
            ("2026-06-03T10:30", 5050),
            ("2026-07-01", 5050),
        ] {
            let totals: Vec<Money> = with_input("acme pro 2026-01-01..", usage, |input| {
                preview(input, &[], at(until)).unwrap().documents.iter().map(crate::document::Document::total).collect()
            });
            assert_eq!(totals.iter().map(|total| total.minor).collect::<Vec<_>>(), [total_minor], "{until}");
        }
    }
}
