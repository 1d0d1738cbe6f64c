use tollbook_schemas::id::{PartnerId, SlotId};
use tollbook_schemas::period::parse_instant;

use super::*;

/// One row is one event: `day kind step generation status`, the status `-` where there is none.
fn events(table: &str) -> Vec<InvoiceEvent> {
    let first = InvoiceEvent {
        invoice_id: InvoiceId::derive(["a"]),
        slot_id: SlotId::derive(["a"]),
        partner_id: PartnerId::parse("acme").unwrap(),
        kind: EventKind::Drafted,
        step: "draft".into(),
        generation: 0,
        at: parse_instant("2026-07-01T00:00:00Z").unwrap(),
        issuer_id: None,
        number: None,
        number_sequence: None,
        request_path: None,
        request_body: None,
        idempotency_key: None,
        http_status: None,
        stripe_request_id: None,
        stripe_id: None,
        stripe_account_key: None,
        amount_minor: None,
        detail: None,
    };
    table
        .split(';')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let [day, kind, step, generation, status] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let at = parse_instant(&format!("2026-07-{day}T00:00:00Z")).unwrap();
            let mut event = first.next(EventKind::parse(kind).unwrap(), step, generation.parse().unwrap(), at);
            event.http_status = status.parse().ok();
            event.stripe_id = (status == "200" || status == "seen").then(|| "in_1".to_owned());
            event.detail = (status == "400").then(|| "no".to_owned());
            event
        })
        .collect()
}

fn ledger(table: &str) -> Ledger {
    let mut events = events(table);
    let forward = Ledger::fold(&events).into_values().next().unwrap_or_default();
    events.reverse();
    let backward = Ledger::fold(&events).into_values().next().unwrap_or_default();
    assert_eq!(format!("{forward:?}"), format!("{backward:?}"), "order must not matter: {table}");
    forward
}

#[test]
fn the_state_follows_from_the_events_in_any_order() {
    for (table, state) in [
        ("01 drafted draft 0 -", "draft"),
        ("01 drafted draft 0 -; 02 withdrawn draft 0 -", "withdrawn"),
        ("01 drafted draft 0 -; 02 withdrawn draft 0 -; 03 drafted draft 1 -", "draft"),
        ("01 drafted draft 0 -; 02 issued issue 0 -", "issued"),
        ("01 issued issue 0 -; 02 nothing_due push 0 -", "nothing_due"),
        ("01 issued issue 0 -; 02 frozen create 0 -", "sent"),
        ("01 issued issue 0 -; 02 frozen finalise 0 -; 02 answered finalise 0 200", "sent"),
        ("01 issued issue 0 -; 02 frozen create 0 -; 03 finalised finalise 0 -", "finalised"),
        ("01 issued issue 0 -; 03 finalised finalise 0 -; 04 payment_failed sync 1 -", "payment_failed"),
        ("03 finalised finalise 0 -; 04 payment_failed sync 1 -; 05 paid sync 2 -", "paid"),
    ] {
        assert_eq!(ledger(table).state().as_str(), state, "{table}");
    }
}

#[test]
fn the_next_action_follows_from_state_and_time() {
    let now = parse_instant("2026-07-10T00:00:00Z").unwrap();
    for (table, plan, next_generation) in [
        ("01 issued issue 0 -", "Freeze", 0),
        ("10 frozen create 0 -", "Resend", 1),
        // A clock that went back is no reason to believe that Stripe forgot the key.
        ("11 frozen create 0 -", "Resend", 1),
        ("09 frozen create 0 -", "Observe", 1),
        ("09 frozen create 0 -; 09 answered create 0 200", "Done", 1),
        ("09 frozen create 0 -; 09 answered create 0 seen", "Done", 1),
        ("10 frozen create 0 -; 10 answered create 0 400", "Observe", 1),
        ("09 frozen create 0 -; 09 answered create 0 400; 10 frozen create 1 -", "Resend", 2),
        ("09 frozen create 0 -; 10 frozen create 1 -; 10 answered create 1 200", "Done", 2),
        ("09 frozen create 0 -; 10 frozen create 1 -; 10 answered create 0 200", "Done", 2),
        ("09 frozen lines-1 0 -", "Freeze", 0),
    ] {
        let ledger = ledger(table);
        let found = format!("{:?}", ledger.plan(&Step::Create, now, TimeDelta::hours(20)));
        assert_eq!(found.split('(').next().unwrap(), plan, "{table}");
        assert_eq!(ledger.next_generation(&Step::Create), next_generation, "{table}");
    }
}

#[test]
fn only_the_last_step_is_refused() {
    for (table, refusal) in [
        ("09 frozen create 0 -; 09 answered create 0 400", Some("no")),
        ("09 frozen create 0 -; 09 answered create 0 400; 10 frozen create 1 -", None),
        ("09 frozen create 0 -; 09 answered create 0 400; 10 frozen create 1 -; 10 answered create 1 200", None),
    ] {
        assert_eq!(ledger(table).refusal(), refusal, "{table}");
    }
}

#[test]
fn steps_print_as_they_are_read() {
    let profile = Step::CustomerProfile(ProfileVersionId::derive(["acme"]));
    for step in [Step::Customer, profile, Step::Create, Step::Lines(0), Step::Lines(12), Step::Finalise] {
        assert_eq!(Step::parse(&step.to_string()), Some(step));
    }
    for text in ["lines-", "lines-x", "customer-", "customer-x", "draft", "sync", ""] {
        assert_eq!(Step::parse(text), None);
    }
}
