use tollbook_schemas::id::SlotId;

use super::*;
use crate::draft::tests::{at, drafted};
use crate::event::{EventKind, InvoiceEvent};
use crate::hold::HeldBy;

const ACME: &str = "acme pro 2026-01-01..";

fn event(document: &Document, kind: EventKind) -> InvoiceEvent {
    InvoiceEvent::of(document, kind, "draft", 0, at("2026-07-02"))
}

/// The rows as `partner: word word`, `ready` where nothing keeps it.
fn told(rows: &[DueRow]) -> Vec<String> {
    let one = |row: &DueRow| {
        let words: Vec<&str> = row.why_not.iter().map(WhyNot::word).collect();
        format!("{}: {}", row.partner_id, if row.is_ready() { "ready".to_owned() } else { words.join(" ") })
    };
    rows.iter().map(one).collect()
}

/// What differs between the rows of the table: the clock, the grace in hours, how far the data reach, and what became
/// of the draft of acme, whose June in Berlin ends at 22:00 of the 30th by UTC.
struct Case {
    now: &'static str,
    grace_hours: i64,
    reach: Option<&'static str>,
    stored: Stored,
    expected: &'static str,
}

#[derive(Clone, Copy)]
enum Stored {
    Nothing,
    Draft,
    OlderDraft,
    HeldByAnn,
    Overtaken,
    Issued,
}

#[test]
fn every_open_place_tells_what_keeps_it() {
    use Stored::*;
    let (june, july) = ("2026-06-20", "2026-07-03");
    let row = |now, grace_hours, reach, stored, expected| Case { now, grace_hours, reach, stored, expected };
    for case in [
        row(july, 0, Some(july), Draft, "acme: ready"),
        row(july, 0, Some(july), Nothing, "acme: not_drafted"),
        row(july, 0, Some(july), OlderDraft, "acme: stale"),
        row(july, 0, Some(july), HeldByAnn, "acme: held"),
        row(july, 0, Some(july), Overtaken, "acme: overtaken"),
        row(july, 0, Some(july), Issued, ""),
        row(july, 0, None, Draft, "acme: incomplete"),
        row(july, 0, Some("2026-06-30T21:59"), Draft, "acme: incomplete"),
        row(july, 0, Some("2026-06-30T22:00"), Draft, "acme: ready"),
        // Both ends of the grace: the period ended 50 hours before.
        row(july, 50, Some(july), Draft, "acme: ready"),
        row(july, 51, Some(july), Draft, "acme: in_grace"),
        row(july, 51, None, Nothing, "acme: in_grace incomplete not_drafted"),
        row(july, 51, Some(july), HeldByAnn, "acme: in_grace held"),
        row(june, 51, Some(june), Nothing, "acme: not_ended"),
        row(june, 51, Some(june), OlderDraft, "acme: not_ended stale"),
        row("2026-06-30T22:00", 0, Some(july), Draft, "acme: ready"),
        row("2026-06-30T21:59", 0, Some(july), Draft, "acme: not_ended"),
    ] {
        let today = drafted(ACME, "acme calls production 2026-06-02T00:00 3");
        let before = drafted(ACME, "");
        let (now, older) = (&today.documents[0], &before.documents[0]);
        assert_ne!(now.invoice_id, older.invoice_id);
        let mut number = event(now, EventKind::Issued);
        number.number = Some("B-000001".into());
        let (document, events) = match case.stored {
            Nothing => (None, vec![]),
            Draft | HeldByAnn | Overtaken => (Some(now), vec![event(now, EventKind::Drafted)]),
            OlderDraft => (Some(older), vec![event(older, EventKind::Drafted)]),
            Issued => (Some(now), vec![event(now, EventKind::Drafted), number]),
        };
        let held = |slot_id: &SlotId| HeldDraft {
            partner_id: now.body.partner_id.clone(),
            invoice_id: now.invoice_id.clone(),
            slot_id: slot_id.clone(),
            month: now.body.month,
            by: vec![HeldBy { actor: "staff:ann".into(), what: "dispute".into(), of_month: false }],
        };
        let rows = due(&DueInput {
            drafted: &today,
            documents: &document.into_iter().map(|one| (one.invoice_id.clone(), one.clone())).collect(),
            slots: &Slots::fold(&events).unwrap(),
            held: &if matches!(case.stored, HeldByAnn) { vec![held(&now.slot_id)] } else { vec![] },
            overtaken: &matches!(case.stored, Overtaken).then(|| now.body.partner_id.clone()).into_iter().collect(),
            now: at(case.now),
            grace: TimeDelta::hours(case.grace_hours),
            reach: case.reach.map(at),
        });
        assert_eq!(told(&rows).join("; "), case.expected, "{} {} {:?}", case.now, case.grace_hours, case.reach);
        for row in &rows {
            assert_eq!(row.period_end, Some(at("2026-06-30T22:00")));
            let closes_at = at("2026-06-30T22:00") + TimeDelta::hours(case.grace_hours);
            assert_eq!((row.closes_at, row.total), (Some(closes_at), Some(now.total())));
        }
    }
}

#[test]
fn who_is_blocked_and_what_is_billed_no_more_has_a_row() {
    let today = drafted("bolt jp 2026-01-01..; corp; dune pro 2026-01-01..", "");
    let before = drafted(ACME, "");
    let gone = &before.documents[0];
    let rows = due(&DueInput {
        drafted: &today,
        documents: &[(gone.invoice_id.clone(), gone.clone())].into(),
        slots: &Slots::fold(&[event(gone, EventKind::Drafted)]).unwrap(),
        held: &[],
        overtaken: &BTreeSet::new(),
        now: at("2026-07-03"),
        grace: TimeDelta::zero(),
        reach: Some(at("2026-07-03")),
    });
    assert_eq!(told(&rows), ["acme: stale", "bolt: not_drafted", "dune: blocked"]);
    assert!(rows[2].why_not[0].to_string().starts_with("blocked: no billing profile"), "{:?}", rows[2]);
}
