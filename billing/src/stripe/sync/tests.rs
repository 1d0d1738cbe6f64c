use super::super::ledger::State;
use super::super::testing::document;
use super::*;

/// One row: status and attempts at Stripe, attempts known to have failed, the event that is new.
#[test]
fn each_payment_and_each_failed_attempt_is_recorded_once() {
    let at = tollbook_schemas::period::parse_instant("2026-07-05T00:00:00Z").unwrap();
    let finalised = InvoiceEvent::of(&document(1), EventKind::Finalised, "finalise", 0, at);
    for (status, attempts, known, expected) in [
        (Some("open"), Some(0), vec![], None),
        (Some("open"), None, vec![], None),
        (Some("open"), Some(1), vec![], Some(("payment_failed", 1))),
        (Some("open"), Some(1), vec![1], None),
        (Some("open"), Some(2), vec![1], Some(("payment_failed", 2))),
        (Some("paid"), Some(0), vec![], Some(("paid", 0))),
        (Some("paid"), Some(3), vec![1, 2], Some(("paid", 3))),
        (Some("void"), Some(0), vec![], Some(("voided", 0))),
        (Some("void"), Some(2), vec![1, 2], Some(("voided", 0))),
        (Some("uncollectible"), Some(4), vec![], Some(("uncollectible", 0))),
        (Some("something_new"), None, vec![], None),
        (None, None, vec![], None),
    ] {
        let mut ledger = Ledger::default();
        known.iter().for_each(|n| ledger.apply(&finalised.next(EventKind::PaymentFailed, SYNC, *n, at)));
        let invoice = Object { status: status.map(str::to_owned), attempt_count: attempts, ..Object::default() };
        let mut report = SyncReport::default();
        let event = settle(&finalised, &ledger, &invoice, at, &mut report);
        let found = event.as_ref().map(|event| (event.kind.as_str(), event.generation));
        assert_eq!(found, expected, "{status:?} {attempts:?} {known:?}");
        let otherwise = !matches!(status, Some("open" | "paid" | "void" | "uncollectible"));
        let by_hand = (report.voided.len(), report.uncollectible.len());
        assert_eq!(by_hand, (usize::from(status == Some("void")), usize::from(status == Some("uncollectible"))));
        // What was recorded is not told as new again, and a payment that comes after all is.
        if let Some(event) = event.filter(|event| event.kind == EventKind::Uncollectible) {
            ledger.apply(&event);
            assert_eq!(ledger.state(), State::Uncollectible);
            let mut again = SyncReport::default();
            assert!(settle(&finalised, &ledger, &invoice, at, &mut again).is_none());
            assert_eq!((again.uncollectible.len(), again.already_uncollectible), (0, 1));
            let invoice = Object { status: Some("paid".to_owned()), ..invoice };
            let paid = settle(&finalised, &ledger, &invoice, at, &mut again).unwrap();
            ledger.apply(&paid);
            assert_eq!(ledger.state(), State::Paid);
        }
        assert_eq!(report.settled_otherwise.len(), usize::from(otherwise), "{status:?}");
    }
}
