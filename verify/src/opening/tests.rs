//! The rows of `docs/money.md`, "Going live beside another system", and both implementations over random prices.

use proptest::prelude::*;
use tollbook_rating::opening::rate_after;
use tollbook_schemas::id::{MeterId, PartnerId, PlanId, PriceId, SubscriptionId};
use tollbook_schemas::period::parse_instant;
use tollbook_schemas::registry::Course;

use super::*;
use crate::rating::tests::{amounts, number, parts, tariff, tariffs, theirs_of, usages, used};
use crate::rating::{Length, Served};

#[test]
fn the_rest_of_a_period_goes_on_from_the_opening() {
    let eur = Currency::parse("EUR").unwrap();
    let graduated =
        r#"{"model":"graduated","tiers":[{"up_to":"10","unit_price":"1","flat_price":"5"},{"unit_price":"2"}]}"#;
    let included = r#"{"model":"per_unit","unit_price":"0.1","included":"10","minimum":"1"}"#;
    let held = r#"{"model":"per_unit","unit_price":"1","maximum":"10","discount_percent":"50"}"#;
    let each = r#"{"model":"per_unit","unit_price":"10","convert":{"divide_by":"1000"},
        "round_quantity":{"direction":"up"},"settings":{"split_rounding":"each"}}"#;
    let flat = r#"{"model":"flat","amount":"49"}"#;
    let seats = r#"{"model":"flat","amount":"10","settings":{"per":"unit","proration":"by_time"}}"#;
    for (price, opening, since, due) in [
        (graduated, "8", "4", 600),
        (graduated, "12", "1", 200),
        (graduated, "0", "3", 800),
        (included, "8", "4", 100),
        (included, "15", "4", 50),
        (included, "30", "4", 40),
        // Held at 10 in all, half of it.
        (held, "8", "4", 100),
        (held, "12", "4", 0),
        // 2 and 2, of which 2 were billed; as one they would be 3.
        (each, "1400", "1300", 2000),
        (&each.replace("each", "cumulative"), "1400", "1300", 1000),
        (flat, "0", "1", 4900),
        (flat, "1", "1", 0),
        (flat, "0.5", "1", 2450),
        // 5 units were there throughout; 2 of them were billed for the whole period.
        (seats, "2", "5", 3000),
        (seats, "5", "5", 0),
    ] {
        let whole = Length { micros: 720, days: 30 };
        let units = if price == seats { number(since) } else { Ratio::whole(1) };
        let served = Some(Served { whole, stretches: vec![Stretch { length: whole, units }] });
        let since = Used { served, ..used(since, Some(1)) };
        let count = if price == flat || price == seats { None } else { Some(if opening == "0" { 0 } else { 1 }) };
        let rest = price_after(&tariff(price), &used(opening, count), &since, eur).unwrap();
        assert_eq!(rest.amount_minor, due, "{price}: {opening}, {}", since.quantity.text());
        assert_eq!(rest.opening.whole_amount_minor - rest.opening.amount_minor, due);
    }
}

fn at(text: &str) -> chrono::DateTime<chrono::Utc> {
    parse_instant(&format!("{text}T00:00:00Z")).unwrap()
}

fn subscription() -> Subscription {
    Subscription {
        subscription_id: SubscriptionId::parse("s1").unwrap(),
        partner_id: PartnerId::parse("acme").unwrap(),
        plan_id: PlanId::parse("pro").unwrap(),
        time_zone: None,
        started_at: at("2026-01-01"),
        ended_at: None,
        course: Course::default(),
    }
}

/// `SUBSCRIPTION/METER=QUANTITY` or `SUBSCRIPTION:PRICE=QUANTITY`.
fn openings(text: &str) -> Vec<Opening> {
    let one = |word: &str| {
        let (of, quantity) = word.split_once('=').unwrap();
        let (subscription, of) = match (of.split_once('/'), of.split_once(':')) {
            (Some((id, meter)), _) => (id, OpeningOf::Meter(MeterId::parse(meter).unwrap())),
            (_, Some((id, price))) => (id, OpeningOf::Price(PriceId::parse(price).unwrap())),
            _ => panic!("{word}"),
        };
        Opening {
            subscription_id: SubscriptionId::parse(subscription).unwrap(),
            of,
            dimensions: Dimensions::new(),
            quantity: quantity.parse().unwrap(),
            event_count: None,
        }
    };
    text.split_whitespace().map(one).collect()
}

/// Each row: when billing started here, and what is billed of June.
#[test]
fn what_ran_before_is_not_billed() {
    let june = Period { start: at("2026-06-01"), end: at("2026-07-01") };
    for (live, billed) in [
        ("2026-05-31", Some(("2026-06-01", None))),
        ("2026-06-01", Some(("2026-06-01", None))),
        ("2026-06-11", Some(("2026-06-11", Some(1)))),
        ("2026-07-01", None),
        ("2026-07-11", None),
    ] {
        let live = GoingLive { billing_starts_at: at(live), openings: openings("s1/calls=8 s2/calls=9") };
        let part = part_of(Some(&live), &subscription(), june);
        let told = part.map(|(billed, own)| (billed.start, billed.end, own.map(|own| own.len())));
        let expected = billed.map(|(start, own): (&str, Option<usize>)| (at(start), june.end, own));
        assert_eq!(told, expected, "{}", live.billing_starts_at);
    }
    assert_eq!(part_of(None, &subscription(), june), Some((june, None)));
}

#[test]
fn nobody_guesses_what_was_billed_elsewhere() {
    let price = |id: &str, meter: Option<&str>| Price {
        price_id: PriceId::parse(id).unwrap(),
        description: id.to_owned(),
        meter: meter.map(|meter| MeterId::parse(meter).unwrap()),
        tax_code: None,
        tariff: tariff(r#"{"model":"per_unit","unit_price":"1"}"#),
    };
    let prices = [price("base", None), price("calls", Some("calls")), price("more", Some("calls"))];
    for (text, wrong) in [
        ("s1/calls=8 s1:base=1", ""),
        ("s1/calls=0 s1:base=0 s1/users=0", ""),
        ("s1/calls=8", "price base of subscription s1"),
        ("s1:base=1", "price calls of subscription s1"),
        ("s1/calls=8 s1:base=1 s1/users=1", "is of no price of its plan"),
        ("s1/calls=8 s1:base=1 s1:calls=1", "is of no price of its plan"),
    ] {
        let openings = openings(text);
        let checked = check(&subscription(), &prices, &openings.iter().collect::<Vec<_>>());
        match checked {
            Ok(()) => assert_eq!(wrong, "", "{text}"),
            Err(told) => assert!(!wrong.is_empty() && told.contains(wrong), "{text}: {told}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// What is due, what the opening and the whole come to, and the working, whatever the price; where one has no
    /// amount, the other has none.
    #[test]
    fn both_implementations_agree_on_the_rest(
        (their_opening, our_opening) in usages(),
        (theirs, ours) in usages(),
        tariff in tariffs(),
        served in parts(),
        carried in prop::option::of(amounts()),
        counts in any::<bool>(),
    ) {
        let eur = Currency::parse("EUR").unwrap();
        // What is known by its events is counted by them.
        let is_counted = counts || our_opening.amounts.is_some();
        let their_opening = tollbook_rating::Usage {
            event_count: their_opening.event_count.filter(|_| is_counted),
            ..their_opening
        };
        let our_opening = Used { event_count: our_opening.event_count.filter(|_| is_counted), ..our_opening };
        let theirs = tollbook_rating::Usage {
            served: Some(theirs_of(&served)),
            carried: carried.map(tollbook_schemas::exact::Exact::from_decimal),
            ..theirs
        };
        let ours = Used { served: Some(served), carried: carried.map(Ratio::decimal), ..ours };
        match (rate_after(&tariff, &their_opening, &theirs, eur), price_after(&tariff, &our_opening, &ours, eur)) {
            (Ok(theirs), Ok(ours)) => {
                let amounts = (ours.amount_minor, ours.opening.amount_minor, ours.opening.whole_amount_minor);
                prop_assert_eq!((theirs.due.minor, theirs.opening.minor, theirs.whole.amount.minor), amounts);
                let workings = [serde_json::to_string(&theirs.whole.working), serde_json::to_string(&ours.working)];
                let [theirs, ours] = workings.map(Result::unwrap);
                prop_assert_eq!(theirs, ours);
            }
            (Err(_), Err(_)) => {}
            (one, other) => prop_assert!(false, "{:?} and {:?}", one, other),
        }
    }
}
