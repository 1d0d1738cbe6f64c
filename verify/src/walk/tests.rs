//! Billing periods by hand, and both implementations of them over random courses.

use proptest::prelude::*;
use tollbook_schemas::catalog::CatalogFile;
use tollbook_schemas::id::{PartnerId, SubscriptionId};
use tollbook_schemas::period::{parse_instant, print_instant};
use tollbook_schemas::registry::{Course, Ending, Term};
use tollbook_schemas::schedule;

use super::*;

const LENGTHS: [&str; 4] = ["weekly", "monthly", "quarterly", "yearly"];

/// A catalog whose plan `pro` has one version, and from 2026-04-10 another one of the next length.
fn catalog(length: &str, anchor: &str) -> Catalog {
    let next = LENGTHS[(LENGTHS.iter().position(|other| *other == length).unwrap() + 1) % 4];
    let version = |number: u32, from: &str, length: &str| {
        format!(
            "[[plan]]\nid = \"pro\"\nversion = {number}\neffective_from = \"{from}T00:00:00Z\"\nname = \"Pro\"\n\
             issuer = \"acme\"\ncurrency = \"EUR\"\nbilling_period = \"{length}\"\nanchor = \"{anchor}\"\n\
             price = [{{ id = \"base\", description = \"Base\", model = \"flat\", amount = \"1\" }}]\n"
        )
    };
    let text = format!(
        "[[issuer]]\nid = \"acme\"\nlegal_name = \"Acme\"\naddress = []\nnumber_prefix = \"A-\"\n\
         time_zone = \"Europe/Berlin\"\npayment_terms_days = 14\n{}{}",
        version(1, "2020-01-01", length),
        version(2, "2026-04-10", next)
    );
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap()
}

fn subscription(started_at: &str) -> Subscription {
    Subscription {
        subscription_id: SubscriptionId::parse("s1").unwrap(),
        partner_id: PartnerId::parse("acme").unwrap(),
        plan_id: PlanId::parse("pro").unwrap(),
        time_zone: None,
        started_at: parse_instant(started_at).unwrap(),
        ended_at: None,
        course: Course::default(),
    }
}

/// Each row: words of the plan, the start, and the edges of the first periods, in Berlin.
#[test]
fn periods_follow_each_other_from_the_start() {
    for (length, anchor, start, edges) in [
        (
            "monthly",
            "calendar",
            "2025-01-10T10:00:00Z",
            "2025-01-10T10:00:00Z 2025-01-31T23:00:00Z 2025-02-28T23:00:00Z",
        ),
        (
            "weekly",
            "calendar",
            "2025-03-28T10:00:00Z",
            "2025-03-28T10:00:00Z 2025-03-30T22:00:00Z 2025-04-06T22:00:00Z",
        ),
        (
            "quarterly",
            "calendar",
            "2025-05-05T00:00:00Z",
            "2025-05-05T00:00:00Z 2025-06-30T22:00:00Z 2025-09-30T22:00:00Z",
        ),
        (
            "yearly",
            "calendar",
            "2023-05-05T00:00:00Z",
            "2023-05-05T00:00:00Z 2023-12-31T23:00:00Z 2024-12-31T23:00:00Z",
        ),
        (
            "monthly",
            "anniversary",
            "2025-01-31T10:00:00Z",
            "2025-01-31T10:00:00Z 2025-02-27T23:00:00Z 2025-03-30T22:00:00Z",
        ),
        (
            "yearly",
            "anniversary",
            "2024-02-29T10:00:00Z",
            "2024-02-29T10:00:00Z 2025-02-27T23:00:00Z 2026-02-27T23:00:00Z",
        ),
    ] {
        let edges: Vec<&str> = edges.split(' ').collect();
        let until = parse_instant(edges[2]).unwrap();
        let walked = walk(&catalog(length, anchor), &subscription(start), Tz::Europe__Berlin, until).unwrap();
        let mut found: Vec<String> = walked.iter().map(|one| print_instant(one.billed.start)).collect();
        found.extend(walked.last().map(|one| print_instant(one.billed.end)));
        assert_eq!(found, edges, "{length} {anchor}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever was said of a subscription, the periods are those that usage is cut at and that invoices are made of.
    #[test]
    fn both_implementations_walk_the_same_way(
        length in 0..4_usize,
        anchor in prop_oneof![Just("calendar"), Just("anniversary")],
        zone in prop_oneof![Just("Europe/Berlin"), Just("Asia/Kathmandu"), Just("America/New_York"), Just("Pacific/Apia")],
        start in 0_i64..900,
        changed in prop::option::of(1_i64..200),
        ended in prop::option::of(1_i64..400),
        term in prop::option::of((1_u32..14, any::<bool>(), 0_u32..3)),
        endings in prop::collection::vec((0_i64..400, any::<bool>()), 0..3),
    ) {
        let (catalog, zone) = (catalog(LENGTHS[length], anchor), zone.parse().unwrap());
        let begun = parse_instant("2024-01-01T07:30:00Z").unwrap() + TimeDelta::hours(start * 25);
        let mut one = subscription("2024-01-01T00:00:00Z");
        one.started_at = begun + TimeDelta::days(changed.unwrap_or(0));
        one.ended_at = ended.map(|days| one.started_at + TimeDelta::days(days));
        one.course.first_started_at = changed.map(|_| begun);
        one.course.term = term.map(|(months, is_automatic, renewal_count)| Term {
            months,
            renewal: if is_automatic { Renewal::Automatic } else { Renewal::None },
            renewal_count,
        });
        one.course.endings = endings
            .into_iter()
            .filter(|(_, of_period)| *of_period || one.course.term.is_some())
            .map(|(days, of_period)| {
                let at = one.started_at + TimeDelta::days(days);
                Ending { with: if of_period { EndsWith::Period } else { EndsWith::Term }, at, said_at: at }
            })
            .collect();
        let until = parse_instant("2026-09-01T00:00:00Z").unwrap();
        let theirs = schedule::periods(&catalog, &one, zone, until).unwrap();
        let theirs: Vec<Walked> =
            theirs.into_iter().map(|one| Walked { whole: one.whole, billed: one.billed }).collect();
        prop_assert_eq!(walk(&catalog, &one, zone, until).unwrap(), theirs);
    }
}
