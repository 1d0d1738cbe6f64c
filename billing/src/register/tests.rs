use super::*;
use crate::draft::tests::{at, drafted};
use crate::event::EventKind;

const BOTH: &str = "acme pro 2026-01-01..; bolt jp 2026-01-01..";

fn event(document: &Document, kind: EventKind, step: &str) -> InvoiceEvent {
    InvoiceEvent::of(document, kind, step, 0, at("2026-07-05"))
}

/// The issued event, with number 1 of its issuer.
fn number(document: &Document) -> InvoiceEvent {
    let mut number = event(document, EventKind::Issued, "issue");
    number.number = Some("B-000001".into());
    number
}

/// The register as `partner number state total note`.
fn told(stored: &[&Document], events: &[InvoiceEvent], today: &Drafted, as_of: &str) -> Vec<String> {
    let stored: BTreeMap<InvoiceId, Document> =
        stored.iter().map(|document| (document.invoice_id.clone(), (*document).clone())).collect();
    let issued: Vec<IssuedDocument> = events
        .iter()
        .filter(|event| event.kind == EventKind::Issued)
        .filter_map(|event| {
            let document: &Document = stored.get(&event.invoice_id)?;
            let number = event.number.clone().unwrap_or_default();
            Some(IssuedDocument { document: document.clone(), number, is_voided: false })
        })
        .collect();
    let rows = register(&stored, &issued, events, today, at(as_of)).unwrap();
    let told = rows.iter().map(|row| {
        format!(
            "{} {} {} {} {}",
            row.partner_id,
            row.number.as_deref().unwrap_or("-"),
            row.state.map_or("-", State::as_str),
            row.total.map_or("-".to_owned(), |total| total.to_string()),
            row.note.as_deref().unwrap_or("-"),
        )
    });
    told.collect()
}

#[test]
fn every_partner_has_a_row_and_withdrawn_drafts_have_none() {
    let before = drafted("acme pro 2026-01-01..", "");
    let today =
        drafted("acme pro 2026-01-01..; corp; dune pro 2026-01-01..", "acme calls production 2026-06-02T00:00 3");
    let (stale, issued) = (&before.documents[0], &today.documents[0]);
    let mut incomplete = number(issued);
    incomplete.detail = Some("issued although…".into());
    let mut refused = event(issued, EventKind::Answered, "create");
    (refused.http_status, refused.detail) = (Some(400), Some("no".into()));
    let events = [
        event(issued, EventKind::Drafted, "draft"),
        incomplete,
        event(issued, EventKind::Frozen, "create"),
        refused,
        event(stale, EventKind::Drafted, "draft"),
        event(stale, EventKind::Withdrawn, "draft"),
    ];
    assert_eq!(
        told(&[issued, stale], &events, &today, "2026-07-03"),
        [
            "acme B-000001 sent 49.00 EUR no; issued although…",
            "corp - - - never subscribed, so none runs in 2026-06",
            "dune - - - blocked: no billing profile is in force; import one with `tollbook partner import` and draft \
             2026-06 again",
        ]
    );
}

/// Who is to be billed and has nothing stored yet is told why, and a stored draft that is not today's says so.
#[test]
fn who_has_no_draft_yet_is_not_left_out() {
    let today = drafted(BOTH, "");
    // Berlin's June ends at 22:00 UTC, Tokyo's at 15:00.
    for (as_of, acme, bolt) in [
        ("2026-06-20", "the period ends at 2026-06-30T22:00:00Z", "the period ends at 2026-06-30T15:00:00Z"),
        ("2026-06-30T16:00", "the period ends at 2026-06-30T22:00:00Z", "run `tollbook bill draft`"),
        ("2026-07-03", "run `tollbook bill draft`", "run `tollbook bill draft`"),
    ] {
        let rows = told(&[], &[], &today, as_of);
        assert_eq!(rows.len(), 2, "{rows:?}");
        for (row, partner, words) in [(&rows[0], "acme", acme), (&rows[1], "bolt", bolt)] {
            assert!(row.starts_with(&format!("{partner} - - - not drafted yet")) && row.ends_with(words), "{row}");
        }
    }
    let before = drafted("acme pro 2026-01-01..", "acme calls production 2026-06-02T00:00 12");
    let draft = &before.documents[0];
    let rows = told(&[draft], &[event(draft, EventKind::Drafted, "draft")], &today, "2026-07-03");
    assert_eq!(rows[0], "acme - draft 49.20 EUR today it would be another; run `tollbook bill draft`");
    // A plan that moved to another issuer after its invoice: not billed twice, and told.
    let issued = drafted("acme pro 2026-01-01..", "");
    let invoice = &issued.documents[0];
    let rows = told(&[invoice], &[number(invoice)], &drafted("acme jp 2026-01-01..", ""), "2026-07-03");
    let moved = format!("acme - - - not billed here: {} has billed its subscription for the month", invoice.invoice_id);
    assert!(rows.contains(&moved), "{rows:?}");
}

/// What arrived after issue is told in the invoice's row, whichever way it goes.
#[test]
fn an_invoice_that_would_be_another_today_says_so() {
    const ACME: &str = "acme pro 2026-01-01..";
    const TWO: &str = "acme pro 2026-01-01..; acme seats 2026-01-01..";
    let issued = drafted(ACME, "acme calls production 2026-06-02T00:00 12");
    let invoice = &issued.documents[0];
    for (registry, usage, note) in [
        (ACME, "acme calls production 2026-06-02T00:00 12", None),
        // The same quantity in other slices bills the same.
        (ACME, "acme calls production 2026-06-02T00:00 5; acme calls production 2026-06-02T01:00 7", None),
        (ACME, "acme calls production 2026-06-02T00:00 22", Some("today it would be 50.20 EUR, 1.00 EUR more, by 1")),
        (ACME, "", Some("today it would be 49.00 EUR, 0.20 EUR less, by 1")),
        (TWO, "acme calls production 2026-06-02T00:00 12", Some("today it would be 49.20 EUR, 0.00 EUR more, by 1")),
        ("acme", "", Some("today it would be 0.00 EUR, 49.20 EUR less, by 2")),
        // Blocked now: what it would be is not known, and its own row tells why.
        ("acme late 2026-01-01..", "", None),
    ] {
        let rows = told(&[invoice], &[number(invoice)], &drafted(registry, usage), "2026-07-03");
        let row = rows.iter().find(|row| row.starts_with("acme B-000001 issued 49.20 EUR ")).unwrap();
        match note {
            Some(words) => {
                let told = format!("changed since issue: {words} other lines; the draft of a later month adjusts it");
                assert!(row.ends_with(&told), "{registry} {usage}: {row}");
            }
            None => assert!(row.ends_with(" -"), "{registry} {usage}: {row}"),
        }
    }
}
