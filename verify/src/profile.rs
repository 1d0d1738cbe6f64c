//! Who is billed, as a page prints it: the version of the billing profile that a document names. Its id is derived from
//! what it says, so a name, an address or a purchase order that was changed behind an issued invoice is told. Pure.
//!
//! Nothing else of an invoice repeats these fields: the document has the id alone, because a document is kept for ever
//! and contact data may have to be forgotten.

use tollbook_schemas::id::ProfileVersionId;
use tollbook_schemas::period::print_instant;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::BILLING_PROFILE;

use crate::compare::Difference;

/// The same profile may be said, taken back and said again: how often that is looked for. A row that is damaged has no
/// id of any of these.
const SAID_AGAIN_MAX: usize = 1_000;

/// The columns that a version's id is derived from, in their order.
const SAID: [&str; 9] = [
    "partner_id",
    "effective_from",
    "legal_name",
    "address",
    "country",
    "tax_id",
    "billing_email",
    "purchase_order",
    "payment_terms_days",
];

/// What a column says, as the id is derived from it; nothing says the same as an empty text.
fn said(row: &Row, column: &str) -> String {
    match column {
        "effective_from" => row.instant(column).map(print_instant).unwrap_or_default(),
        "payment_terms_days" => row.int(column).map(|days| days.to_string()).unwrap_or_default(),
        column => row.text(column).unwrap_or_default().to_owned(),
    }
}

/// Whether a version is what its id was derived from. What it says now is not told: it is contact data.
pub(crate) fn check(row: &Row) -> Option<Difference> {
    let stored = row.text("profile_version_id").unwrap_or_default();
    let parts: Vec<String> = SAID.iter().map(|column| said(row, column)).collect();
    let derived = |again: usize| {
        let again = (again > 0).then(|| again.to_string());
        ProfileVersionId::derive(parts.iter().cloned().chain(again))
    };
    if (0..=SAID_AGAIN_MAX).any(|again| derived(again).as_str() == stored) {
        return None;
    }
    let what = format!(
        "its row is not what {stored} was derived from: who is billed, where, or by what terms was changed; put the table back \
         from a copy of the lake"
    );
    Some(Difference::told(BILLING_PROFILE.name, what))
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::period::parse_instant;

    use super::*;

    fn row() -> Row {
        Row::new()
            .with("partner_id", "acme")
            .with("effective_from", parse_instant("2026-05-01T00:00:00Z").unwrap())
            .with("legal_name", "Acme Ltd")
            .with("address", "Street 1\nBerlin")
            .with("country", "DE")
            .with("tax_id", Option::<String>::None)
            .with("billing_email", "bills@acme.example")
            .with("purchase_order", "PO 7")
            .with("payment_terms_days", 14_i64)
            .with("recorded_at", parse_instant("2026-05-02T00:00:00Z").unwrap())
    }

    #[test]
    fn a_version_is_what_its_id_says() {
        // As the import derives it.
        let parts = "acme|2026-05-01T00:00:00Z|Acme Ltd|Street 1\nBerlin|DE||bills@acme.example|PO 7|14";
        for again in [None, Some("1"), Some("7")] {
            let id = ProfileVersionId::derive(parts.split('|').chain(again));
            let row = row().with("profile_version_id", id.as_str());
            assert_eq!(check(&row), None, "{again:?}");
            // When it was imported is no part of it.
            let later = parse_instant("2026-06-02T00:00:00Z").unwrap();
            assert_eq!(check(&row.clone().with("recorded_at", later)), None);
            for column in SAID {
                let changed = match column {
                    "effective_from" => row.clone().with(column, later),
                    "payment_terms_days" => row.clone().with(column, 15_i64),
                    column => row.clone().with(column, "ZZ"),
                };
                let told = check(&changed).unwrap_or_else(|| panic!("{column} of {again:?}")).to_string();
                assert!(told.starts_with("billing_profile: its row is not what prf_"), "{told}");
                assert!(!told.contains("ZZ") && !told.contains("Acme"), "{told}");
            }
        }
    }
}
