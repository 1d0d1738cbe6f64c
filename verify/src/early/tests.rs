//! Which month bills what of a period, and what it comes to: the rows of `docs/money.md`, and those around them.

use tollbook_schemas::catalog::CatalogFile;
use tollbook_schemas::id::{PartnerId, PlanId, SubscriptionId};
use tollbook_schemas::period::parse_instant;
use tollbook_schemas::registry::{Course, GoingLive, Pause};

use super::*;
use crate::rating::{Used, price};
use crate::spans::spans_of;

/// Plans of 30.00 a month by day, and calls: in arrears, in advance, with a setup fee, with a trial; a year in advance;
/// one whose second version is of another issuer.
fn catalog() -> Catalog {
    let issuer = |id: &str| {
        format!(
            "[[issuer]]\nid = \"{id}\"\nlegal_name = \"{id}\"\naddress = []\nnumber_prefix = \"{id}-\"\n\
             time_zone = \"UTC\"\npayment_terms_days = 14\n"
        )
    };
    let plan = |id: &str, version: u32, from: &str, of: (&str, &str), rest: &str, prices: &[(&str, &str, &str)]| {
        let (issuer, currency) = of;
        let price = |(id, amount, settings): &(&str, &str, &str)| {
            format!(
                "{{ id = \"{id}\", description = \"{id}\", model = \"flat\", amount = \"{amount}\", \
                 settings = {{ {settings} }} }}, "
            )
        };
        let prices: String = prices.iter().map(price).collect();
        format!(
            "[[plan]]\nid = \"{id}\"\nversion = {version}\neffective_from = \"{from}T00:00:00Z\"\nname = \"{id}\"\n\
             issuer = \"{issuer}\"\ncurrency = \"{currency}\"\n{rest}\nprice = [{prices} {{ id = \"calls\", \
             description = \"calls\", model = \"per_unit\", meter = \"calls\", unit_price = \"1\" }}]\n"
        )
    };
    let (one, other) = (("one", "EUR"), ("other", "JPY"));
    let (ahead, behind) = ("proration = \"by_day\", due = \"in_advance\"", "proration = \"by_day\"");
    let text = [
        issuer("one"),
        issuer("other"),
        "[[meter]]\nid = \"calls\"\nname = \"Calls\"\nunit = \"call\"\naggregation = \"count\"\n".to_owned(),
        plan("behind", 1, "2026-01-01", one, "", &[("base", "30", behind)]),
        plan("ahead", 1, "2026-01-01", one, "", &[("base", "30", ahead)]),
        plan("setup", 1, "2026-01-01", one, "", &[("setup", "100", "charged = \"once\""), ("base", "30", behind)]),
        plan("tried", 1, "2026-01-01", one, "trial_days = 14", &[("base", "30", behind)]),
        plan(
            "early",
            1,
            "2026-01-01",
            one,
            "trial_days = 14",
            &[("base", "30", ahead), ("setup", "5", "charged = \"once\"")],
        ),
        plan("whole", 1, "2026-01-01", one, "trial_days = 14", &[("base", "30", "proration = \"none\"")]),
        plan(
            "year",
            1,
            "2026-01-01",
            one,
            "billing_period = \"yearly\"\nanchor = \"anniversary\"",
            &[("base", "365", ahead)],
        ),
        plan("turned", 1, "2026-01-01", one, "", &[("base", "30", ahead)]),
        plan("turned", 2, "2026-07-01", other, "", &[("base", "3100", ahead)]),
    ]
    .concat();
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }])
        .unwrap_or_else(|problems| panic!("{:?}", problems.iter().map(ToString::to_string).collect::<Vec<_>>()))
}

fn at(text: &str) -> DateTime<Utc> {
    let time = if text.contains('T') { "" } else { "T00:00:00Z" };
    parse_instant(&format!("{text}{time}")).unwrap()
}

/// `PLAN FROM..TO [paused=FROM/TO] [live=AT]`, one behind the other with `;`: one subscription `s1` of acme.
fn registry(text: &str) -> Registry {
    let mut registry = Registry::default();
    let mut first = None;
    let acme = PartnerId::parse("acme").unwrap();
    for one in text.split("; ") {
        let mut words = one.split(' ');
        let plan_id = PlanId::parse(words.next().unwrap()).unwrap();
        let (from, to) = words.next().unwrap().split_once("..").unwrap();
        let mut course = Course { first_started_at: first, ..Course::default() };
        for word in words {
            match word.split_once('=').unwrap() {
                ("paused", pause) => {
                    let (from, until) = pause.split_once('/').unwrap();
                    course.pauses.push(Pause { from: at(from), until: Some(at(until)) });
                }
                ("live", live) => {
                    let live = GoingLive { billing_starts_at: at(live), openings: Vec::new() };
                    registry.going_live.insert(acme.clone(), live);
                }
                _ => panic!("{one}"),
            }
        }
        let subscription = Subscription {
            subscription_id: SubscriptionId::parse("s1").unwrap(),
            partner_id: acme.clone(),
            plan_id,
            time_zone: None,
            started_at: at(from),
            ended_at: (!to.is_empty()).then(|| at(to)),
            course,
        };
        first = first.or(Some(at(from)));
        registry.subscriptions.insert((subscription.subscription_id.clone(), at(from)), subscription);
    }
    registry
}

/// What a month bills: price, first day, and the amount in minor units of what is flat.
fn billed(registry: &Registry, month: &str) -> String {
    let catalog = catalog();
    let acme = PartnerId::parse("acme").unwrap();
    let spans = spans_of(registry, &catalog, &acme, month.parse().unwrap()).unwrap();
    let mut told = Vec::new();
    for span in &spans {
        for one in span.due() {
            let day = span.billed.start.format("%m-%d");
            let amount = match one.meter {
                Some(_) => String::new(),
                None => {
                    let used = Used { served: Some(span.served(one)), ..Used::of(span.units(one.tariff.settings.per)) };
                    format!(" {}", price(&one.tariff, &used, span.version.currency).unwrap().0)
                }
            };
            let word = When::of(one).word().map(|word| format!(" {word}")).unwrap_or_default();
            told.push(format!("{} {day}{amount}{word}", one.price_id));
        }
    }
    told.join(", ")
}

#[test]
fn each_month_bills_what_is_due_in_it() {
    for (subscriptions, month, wanted) in [
        // In arrears nothing is early; in advance the first period comes beside the next one.
        ("behind 2026-06-11..", "2026-06", "base 06-11 2000, calls 06-11"),
        ("ahead 2026-06-11..", "2026-06", "base 06-11 2000 in_advance, calls 06-11, base 07-01 3000 in_advance"),
        ("ahead 2026-06-11..", "2026-07", "calls 07-01, base 08-01 3000 in_advance"),
        ("ahead 2026-06-11..", "2026-05", ""),
        // From midnight on the first: nothing came before it, so its own month bills it.
        ("ahead 2026-06-01..", "2026-05", ""),
        ("ahead 2026-06-01..", "2026-06", "base 06-01 3000 in_advance, calls 06-01, base 07-01 3000 in_advance"),
        // What is known to end is billed to its end, and nothing behind it.
        ("ahead 2026-01-01..2026-07-11", "2026-06", "calls 06-01, base 07-01 968 in_advance"),
        ("ahead 2026-01-01..2026-07-11", "2026-07", "calls 07-01"),
        ("ahead 2026-01-01..2026-07-01", "2026-06", "calls 06-01"),
        ("ahead 2026-01-01..2026-07-01", "2026-07", ""),
        // A pause takes its days off what is in advance too.
        ("ahead 2026-01-01.. paused=2026-07-02/2026-07-12", "2026-06", "calls 06-01, base 07-01 2032 in_advance"),
        // From another plan: in the middle of a month, and at its edge.
        (
            "behind 2026-01-01..2026-06-16; ahead 2026-06-16..",
            "2026-06",
            "base 06-01 1500, calls 06-01, base 06-16 1500 in_advance, calls 06-16, base 07-01 3000 in_advance",
        ),
        (
            "behind 2026-01-01..2026-07-01; ahead 2026-07-01..",
            "2026-06",
            "base 06-01 3000, calls 06-01, base 07-01 3000 in_advance",
        ),
        ("behind 2026-01-01..2026-07-01; ahead 2026-07-01..", "2026-07", "calls 07-01, base 08-01 3000 in_advance"),
        // With a gap nothing came before it.
        ("behind 2026-01-01..2026-06-20; ahead 2026-07-01..", "2026-06", "base 06-01 1900, calls 06-01"),
        (
            "behind 2026-01-01..2026-06-20; ahead 2026-07-01..",
            "2026-07",
            "base 07-01 3000 in_advance, calls 07-01, base 08-01 3000 in_advance",
        ),
        // A year, in the month in which it begins, and the next one a day before.
        ("year 2026-06-15..", "2026-06", "base 06-15 36500 in_advance"),
        ("year 2026-06-15..", "2026-07", ""),
        ("year 2026-06-15..", "2027-06", "calls 06-15, base 06-15 36500 in_advance"),
        // The next period is another issuer's: its own month bills it.
        ("turned 2026-01-01..", "2026-06", "calls 06-01"),
        ("turned 2026-01-01..", "2026-07", "base 07-01 3100 in_advance, calls 07-01, base 08-01 3100 in_advance"),
        // Once: with the first period, not where the plan comes back, and not for a month on another plan.
        ("setup 2026-06-11..", "2026-06", "setup 06-11 10000 once, base 06-11 2000, calls 06-11"),
        ("setup 2026-06-11..", "2026-07", "base 07-01 3000, calls 07-01"),
        (
            "behind 2026-01-01..2026-06-16; setup 2026-06-16..",
            "2026-06",
            "base 06-01 1500, calls 06-01, setup 06-16 10000 once, base 06-16 1500, calls 06-16",
        ),
        (
            "setup 2026-01-01..2026-03-01; behind 2026-03-01..2026-06-16; setup 2026-06-16..",
            "2026-06",
            "base 06-01 1500, calls 06-01, base 06-16 1500, calls 06-16",
        ),
        // The run before its first period, where another plan came right before.
        (
            "behind 2026-01-01..2026-07-01; setup 2026-07-01..",
            "2026-06",
            "base 06-01 3000, calls 06-01, setup 07-01 10000 once",
        ),
        ("behind 2026-01-01..2026-07-01; setup 2026-07-01..", "2026-07", "base 07-01 3000, calls 07-01"),
        // A trial: the day of the start is its first, and usage and what is charged once are no part of it.
        ("tried 2026-06-11T15:00:00Z..", "2026-06", "base 06-11 600, calls 06-11"),
        ("tried 2026-06-21..", "2026-06", "base 06-21 0, calls 06-21"),
        ("tried 2026-06-21..", "2026-07", "base 07-01 2613, calls 07-01"),
        ("whole 2026-06-21..", "2026-06", "base 06-21 0, calls 06-21"),
        ("whole 2026-06-21..", "2026-07", "base 07-01 3000, calls 07-01"),
        (
            "early 2026-06-21..",
            "2026-06",
            "base 06-21 0 in_advance, setup 06-21 500 once, calls 06-21, base 07-01 2613 in_advance",
        ),
        // It goes with its plan, and counts from the start of the subscription.
        (
            "behind 2026-06-01..2026-06-11; tried 2026-06-11..",
            "2026-06",
            "base 06-01 1000, calls 06-01, base 06-11 1600, calls 06-11",
        ),
        (
            "tried 2026-06-01..2026-06-06; behind 2026-06-06..",
            "2026-06",
            "base 06-01 0, calls 06-01, base 06-06 2500, calls 06-06",
        ),
        // Going live at an edge: the first period that is billed here has nothing before it, and its setup fee was the
        // other system's where it began before.
        ("ahead 2026-01-01.. live=2026-07-01", "2026-06", ""),
        (
            "ahead 2026-01-01.. live=2026-07-01",
            "2026-07",
            "base 07-01 3000 in_advance, calls 07-01, base 08-01 3000 in_advance",
        ),
        ("setup 2026-01-01.. live=2026-07-01", "2026-07", "base 07-01 3000, calls 07-01"),
        ("setup 2026-07-01.. live=2026-07-01", "2026-07", "setup 07-01 10000 once, base 07-01 3000, calls 07-01"),
    ] {
        assert_eq!(billed(&registry(subscriptions), month), wanted, "{subscriptions} in {month}");
    }
}
