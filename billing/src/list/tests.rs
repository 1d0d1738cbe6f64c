use super::*;
use crate::draft::tests::{at, drafted};
use crate::event::EventKind;

fn event(document: &Document, kind: EventKind, step: &str) -> InvoiceEvent {
    InvoiceEvent::of(document, kind, step, 0, at("2026-07-05"))
}

fn issued(document: &Document, sequence: i64) -> InvoiceEvent {
    let mut issued = event(document, EventKind::Issued, "issue");
    (issued.number, issued.number_sequence) = (Some(format!("B-{sequence:06}")), Some(sequence));
    issued
}

/// Rows as `number partner total state note`.
fn told(documents: &[Document], events: &[InvoiceEvent], filter: &Filter) -> Vec<String> {
    let row = |row: &ListRow| {
        let number = row.number.as_deref().unwrap_or("-");
        let note = row.note.as_deref().unwrap_or("-");
        format!("{number} {} {} {} {note}", row.partner_id, row.total, row.state.as_str())
    };
    list(documents, events, filter).iter().map(row).collect()
}

#[test]
fn documents_are_listed_by_month_issuer_and_number() {
    let today = drafted("acme pro 2026-01-01..; bolt pro 2026-01-01..", "").documents;
    let before = drafted("acme pro 2026-01-01..", "acme calls production 2026-06-02T00:00 30").documents;
    let documents = [today.clone(), before.clone()].concat();
    let mut incomplete = issued(&today[0], 10);
    incomplete.detail = Some("issued although…".into());
    let mut refused = event(&today[1], EventKind::Answered, "create");
    (refused.http_status, refused.detail) = (Some(400), Some("no".into()));
    let events = [
        event(&before[0], EventKind::Drafted, "draft"),
        event(&before[0], EventKind::Withdrawn, "draft"),
        event(&today[0], EventKind::Drafted, "draft"),
        incomplete,
        // The number is the order, not its text, nor the partner.
        issued(&today[1], 9),
        event(&today[1], EventKind::Frozen, "create"),
        refused,
    ];
    let all = Filter::default();
    let lines = ["B-000009 bolt 49.00 EUR sent no", "B-000010 acme 49.00 EUR issued issued although…"];
    assert_eq!(told(&documents, &events, &all), lines);
    assert_eq!(told(&documents, &[], &all), Vec::<String>::new(), "what no event names is no draft");
    let of = |partner: Option<&str>, state: Option<State>| Filter {
        partner_id: partner.map(|id| PartnerId::parse(id).unwrap()),
        state,
    };
    assert_eq!(told(&documents, &events, &of(Some("acme"), None)), lines[1..]);
    assert_eq!(told(&documents, &events, &of(None, Some(State::Sent))), lines[..1]);
    let withdrawn = ["- acme 51.00 EUR withdrawn -"];
    assert_eq!(told(&documents, &events, &of(None, Some(State::Withdrawn))), withdrawn);
    assert_eq!(told(&documents, &events, &of(Some("bolt"), Some(State::Withdrawn))), Vec::<String>::new());
    let kinds: Vec<&str> = history(&events, &today[1].invoice_id).iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["issued", "frozen", "answered"]);
}

/// A draft of a later instant stands behind what it replaced, whatever their order in the table.
#[test]
fn a_history_is_in_order_of_time() {
    let document = &drafted("acme pro 2026-01-01..", "").documents[0];
    let late = InvoiceEvent::of(document, EventKind::Drafted, "draft", 1, at("2026-07-06"));
    let events = [late, event(document, EventKind::Withdrawn, "draft"), event(document, EventKind::Drafted, "draft")];
    let told =
        history(&events, &document.invoice_id).into_iter().map(|event| format!("{} g{}", event.kind, event.generation));
    assert_eq!(told.collect::<Vec<_>>(), ["drafted g0", "withdrawn g0", "drafted g1"]);
}

#[test]
fn every_state_has_a_word_that_is_read() {
    for state in State::ALL {
        assert_eq!(State::parse(state.as_str()), Some(state));
    }
    assert_eq!(State::parse("gone"), None);
}
