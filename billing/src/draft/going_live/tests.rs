use std::collections::BTreeMap;

use proptest::prelude::*;
use tollbook_schemas::id::{PriceId, SubscriptionId};
use tollbook_schemas::registry::Registry;

use super::super::tests::{at, catalog, line_rows, profiles, registry, told, usage};
use super::super::{Drafted, TermsChanges, draft_adjusting};
use super::*;
use crate::billed::IssuedDocument;

/// Adds `DAY [subscription/meter=quantity | subscription:price=quantity]…` to the registry of acme.
fn live(registry: Registry, text: &str) -> Registry {
    let mut words = text.split_whitespace();
    let billing_starts_at = at(words.next().unwrap());
    let opening = |word: &str| {
        let (of, quantity) = word.split_once('=').unwrap();
        let (subscription, of) = match (of.split_once('/'), of.split_once(':')) {
            (Some((id, meter)), _) => (id, OpeningOf::Meter(MeterId::parse(meter).unwrap())),
            (_, Some((id, price))) => (id, OpeningOf::Price(PriceId::parse(price).unwrap())),
            _ => panic!("{word}"),
        };
        Opening {
            subscription_id: SubscriptionId::parse(subscription).unwrap(),
            of,
            dimensions: BTreeMap::new(),
            quantity: quantity.parse().unwrap(),
            event_count: None,
        }
    };
    let going_live = GoingLive { billing_starts_at, openings: words.map(opening).collect() };
    Registry { going_live: BTreeMap::from([(PartnerId::parse("acme").unwrap(), going_live)]), ..registry }
}

fn drafted(registry: &Registry, month: &str, usage_text: &str, issued: &[IssuedDocument]) -> Drafted {
    let (catalog, usage) = (catalog(), usage(usage_text));
    let month: tollbook_schemas::period::Month = month.parse().unwrap();
    let input = DraftInput {
        month,
        usage: &usage,
        registry,
        catalog: &catalog,
        profiles: &profiles(),
        pin_json: "{}",
        as_of: at(&format!("{}-02", month.next())),
        terms_changes: &TermsChanges::new(),
    };
    draft_adjusting(&input, issued).unwrap()
}

/// One row: subscriptions, when billing starts and what was billed by then, usage, what June comes to, and what is
/// listed. The plan pro: 49.00 and calls, of which 10 are free and each further one costs 0.10.
#[test]
fn the_first_period_goes_on_from_where_the_other_system_stopped() {
    const USED: &str = "acme calls production 2026-06-10T23:00 99; acme calls production 2026-06-11T00:00 4";
    for (subscriptions, live_text, usage, wanted, listed) in [
        // 8 of the 10 free calls were used up elsewhere, and the fee was paid there.
        (
            "acme pro 2026-01-01.. UTC",
            "2026-06-11 s1/calls=8 s1:base=1",
            USED,
            "acme berlin 0.20 EUR: base 1 0, calls 4 20",
            "calls before 2026-06-11",
        ),
        (
            "acme pro 2026-01-01.. UTC",
            "2026-06-11 s1/calls=15 s1:base=0",
            USED,
            "acme berlin 49.40 EUR: base 1 4900, calls 4 40",
            "calls before 2026-06-11",
        ),
        (
            "acme pro 2026-01-01.. UTC",
            "2026-06-11 s1/calls=0 s1:base=0.5",
            USED,
            "acme berlin 24.50 EUR: base 1 2450, calls 4 0",
            "calls before 2026-06-11",
        ),
        // Included units and fee of the whole period, though they are prorated in a part of it.
        (
            "acme part 2026-01-01.. UTC",
            "2026-06-11 s1/calls=299 s1:base=0",
            USED,
            "acme berlin 52.00 EUR: base 1 4900, calls 4 300",
            "calls before 2026-06-11",
        ),
        // At the begin of a period there is nothing to go on from.
        ("acme pro 2026-01-01.. UTC", "2026-06-01", USED, "acme berlin 58.30 EUR: base 1 4900, calls 103 930", ""),
        (
            "acme pro 2026-01-01.. UTC",
            "2026-06-01 s1/calls=0",
            USED,
            "acme berlin 58.30 EUR: base 1 4900, calls 103 930",
            "",
        ),
        (
            "acme pro 2026-06-11.. UTC",
            "2026-06-11",
            USED,
            "acme berlin 49.00 EUR: base 1 4900, calls 4 0",
            "calls before 2026-06-11",
        ),
        // Before it the other system bills.
        (
            "acme pro 2026-01-01.. UTC",
            "2026-07-01",
            USED,
            "acme- billed elsewhere until 2026-07-01T00:00:00Z (billing_starts_at); its production usage of calls before \
             2026-07-01T00:00:00Z (billing_starts_at) is not billed here",
            "",
        ),
        (
            "acme pro 2026-01-01.. UTC",
            "2026-07-11 s1/calls=8 s1:base=1",
            "",
            "acme- billed elsewhere until 2026-07-11T00:00:00Z (billing_starts_at)",
            "",
        ),
        // The week that holds it, and those after it.
        (
            "acme weeks 2026-01-01.. UTC",
            "2026-06-17 s1/calls=9 s1:base=1",
            "acme calls production 2026-06-10T00:00 99; acme calls production 2026-06-17T00:00 3",
            "acme berlin 9.00 EUR: base 1 0, calls 3 200, base 1 700, calls 0 0",
            "calls before 2026-06-17",
        ),
        // Nobody guesses.
        (
            "acme pro 2026-01-01.. UTC",
            "2026-06-11 s1/calls=8",
            USED,
            "acme! billing starts inside a period of subscription s1, and no opening says what was billed elsewhere of its \
             price base; record opening.recorded with price_id base, with quantity 0 where nothing was",
            "",
        ),
        (
            "acme pro 2026-01-01.. UTC",
            "2026-06-11 s1/calls=8 s1:base=1 s1/users=1",
            USED,
            "acme! an opening of subscription s1 has meter_id users, of which its plan has no metered price; record it again \
             with quantity 0",
            "",
        ),
        (
            "acme pro 2026-01-01.. UTC",
            "2026-06-01 s1/calls=8",
            USED,
            "acme! an opening says what was billed elsewhere of subscription s1, and no period of it runs on through \
             2026-06-01T00:00:00Z (billing_starts_at); record it again with quantity 0, or billing.started with another \
             instant",
            "",
        ),
        (
            "acme seats 2026-01-01.. UTC",
            "2026-06-11 s1/users=2",
            "acme users production 2026-06-11T00:00 a,b",
            "acme! the opening of meter users is 2, and its values do not add up: nobody can say what the whole period \
             comes to; start billing with a period of the subscription",
            "",
        ),
        (
            "acme seats 2026-01-01.. UTC",
            "2026-06-11 s1/users=0",
            "acme users production 2026-06-11T00:00 a,b",
            "acme berlin 5.00 EUR: users 2 500",
            "",
        ),
    ] {
        let registry = live(registry(subscriptions), live_text);
        let found = drafted(&registry, "2026-06", usage, &[]);
        assert_eq!(told(&found), wanted, "{subscriptions} {live_text}");
        let elsewhere: Vec<&str> = found.elsewhere.iter().map(|(_, what)| what.as_str()).collect();
        assert_eq!(elsewhere.len(), usize::from(!listed.is_empty()), "{subscriptions} {live_text}: {elsewhere:?}");
        assert!(elsewhere.concat().contains(listed), "{elsewhere:?}");
    }
}

#[test]
fn a_line_tells_what_was_billed_elsewhere() {
    let registry = live(registry("acme pro 2026-01-01.. UTC"), "2026-06-11 s1/calls=12 s1:base=1");
    let found = drafted(&registry, "2026-06", "acme calls production 2026-06-11T00:00 4", &[]);
    let lines = &found.documents[0].body.lines;
    let opening = |line: &crate::document::Line| serde_json::to_string(&line.opening).unwrap();
    assert_eq!(opening(&lines[0]), r#"{"amount_minor":4900,"quantity":"1","whole_amount_minor":4900}"#);
    assert_eq!(opening(&lines[1]), r#"{"amount_minor":20,"quantity":"12","whole_amount_minor":60}"#);
    assert_eq!((lines[1].working.exact.as_str(), lines[1].span_start), ("0.6", at("2026-06-11")));
    let rows = line_rows(&found.documents[0]);
    assert!(rows[1].text("working").unwrap().starts_with(r#"{"opening":{"amount_minor":20,"#));
}

proptest! {
    /// Late usage before the start changes nothing; late usage after it is billed as a difference that makes the whole
    /// of June what it would have been at once, whatever the opening was.
    #[test]
    fn late_usage_of_the_first_period_goes_on_from_the_opening_too(
        opening in 0_u32..30, first in 0_u32..30, late in prop::collection::vec((0_u32..24, 0_u32..20), 0..5),
    ) {
        let registry = live(registry("acme pro 2026-01-01.. UTC"), &format!("2026-06-11 s1/calls={opening} s1:base=1"));
        let mut known = format!("acme calls production 2026-06-12T00:00 {first}");
        let june = drafted(&registry, "2026-06", &known, &[]);
        let issued = [IssuedDocument { document: june.documents[0].clone(), number: "B-1".into(), is_voided: false }];
        let mut all = first;
        for (hour, calls) in &late {
            // In the hours of the 10th nothing was billed here; in those of the 13th it is.
            known.push_str(&format!("; acme calls production 2026-06-10T{hour:02}:00 {calls}"));
            known.push_str(&format!("; acme calls production 2026-06-13T{hour:02}:00 {calls}"));
            all += calls;
        }
        let july = drafted(&registry, "2026-07", &known, &issued);
        let adjusted: i64 = july.documents.iter().flat_map(|document| &document.body.lines)
            .filter(|line| line.adjusts.is_some()).map(|line| line.amount_minor).sum();
        let at_once = drafted(&registry, "2026-06", &known, &[]);
        let total = |drafted: &Drafted| drafted.documents[0].body.total_minor;
        prop_assert_eq!(total(&june) + adjusted, total(&at_once));
        let cost = |calls: u32| i64::from(calls.saturating_sub(10)) * 10;
        let due = if opening == 0 { cost(all) } else { cost(opening + all) - cost(opening) };
        prop_assert_eq!(total(&at_once), due);
    }
}
