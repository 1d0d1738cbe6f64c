use chrono::{DateTime, Utc};

use super::*;
use crate::event::EventKind;

fn at() -> DateTime<Utc> {
    tollbook_schemas::period::parse_instant("2026-07-05T00:00:00Z").unwrap()
}

#[test]
fn every_partner_has_a_row_and_withdrawn_drafts_have_none() {
    let (issued, stale) = (crate::stripe::document_of_lines(2), crate::stripe::document_of_lines(1));
    let event = |document: &Document, kind, step: &str| InvoiceEvent::of(document, kind, step, 0, at());
    let mut number = event(&issued, EventKind::Issued, "issue");
    number.number = Some("B-000001".into());
    let mut refused = event(&issued, EventKind::Answered, "create");
    (refused.http_status, refused.detail) = (Some(400), Some("no".into()));
    let events = [
        event(&issued, EventKind::Drafted, "draft"),
        number,
        event(&issued, EventKind::Frozen, "create"),
        refused,
        event(&stale, EventKind::Drafted, "draft"),
        event(&stale, EventKind::Withdrawn, "draft"),
    ];
    let partner = |text: &str| PartnerId::parse(text).unwrap();
    let blocked = [Blocked { partner_id: partner("bolt"), reason: "no profile".into() }];
    let without = [(partner("corp"), "no subscription".to_owned())];
    let rows = register(&[issued.clone(), stale], &events, &blocked, &without);
    let told: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "{} {} {} {} {}",
                row.partner_id,
                row.number.as_deref().unwrap_or("-"),
                row.state.map_or("-", State::as_str),
                row.total.map_or("-".to_owned(), |total| total.to_string()),
                row.note.as_deref().unwrap_or("-"),
            )
        })
        .collect();
    assert_eq!(
        told,
        ["acme B-000001 sent 3.00 EUR no", "bolt - - - blocked: no profile", "corp - - - no subscription"]
    );
}
