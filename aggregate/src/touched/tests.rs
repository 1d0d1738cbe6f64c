//! Which hours a change touches, as tables of rows.

use chrono_tz::Tz;
use tollbook_schemas::id::{PlanId, SubscriptionId};
use tollbook_schemas::period::{parse_instant, print_instant};
use tollbook_schemas::registry::{Course, IdentityLink, Subscription};

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    parse_instant(&format!("2026-06-{text}:00Z")).unwrap()
}

#[test]
fn hours_join_to_ranges() {
    for (hours, wanted) in [
        (&[][..], &[][..]),
        (&["01T05:00"], &[("01T05:00", "01T06:00")]),
        (&["01T05:00", "01T06:00", "01T09:00"], &[("01T05:00", "01T07:00"), ("01T09:00", "01T10:00")]),
        (&["01T23:00", "02T00:00"], &[("01T23:00", "02T01:00")]),
    ] {
        let found = ranges(hours.iter().map(|hour| at(hour)));
        let wanted: Vec<_> = wanted.iter().map(|(start, end)| Period { start: at(start), end: at(end) }).collect();
        assert_eq!(found, wanted, "{hours:?}");
    }
}

/// `acme 01T00:00 05T00:00, zeta 05T00:00`: whose a consumer is, from when, until when.
fn linked(text: &str) -> Registry {
    let mut registry = Registry::default();
    for link in text.split(',').map(str::trim).filter(|link| !link.is_empty()) {
        let words: Vec<&str> = link.split_whitespace().collect();
        registry.links.push(IdentityLink {
            system: LinkSystem::Consumer,
            external_id: "shop".to_owned(),
            partner_id: (words[0] != "nobody").then(|| PartnerId::parse(words[0]).unwrap()),
            environment: None,
            valid_from: at(words[1]),
            valid_to: words.get(2).map(|end| at(end)),
        });
    }
    registry
}

#[test]
fn a_changed_link_touches_only_the_time_in_which_it_says_something_else() {
    for (before, after, wanted) in [
        ("", "", &[][..]),
        ("acme 01T00:00", "acme 01T00:00", &[]),
        ("", "acme 01T00:00 05T00:00", &[("01T00:00", "05T00:00")]),
        ("acme 01T00:00 05T00:00", "", &[("01T00:00", "05T00:00")]),
        ("acme 01T00:00 05T00:00", "acme 02T00:00 05T00:00", &[("01T00:00", "02T00:00")]),
        (
            "acme 01T00:00 05T00:00",
            "acme 01T00:00 03T00:00, zeta 03T00:00 06T00:00",
            &[("03T00:00", "05T00:00"), ("05T00:00", "06T00:00")],
        ),
        // A contradiction is nobody's, which is not the same as no link.
        ("", "nobody 01T00:00 02T00:00", &[("01T00:00", "02T00:00")]),
        // Cut otherwise, saying the same.
        ("acme 01T00:00 05T00:00", "acme 01T00:00 03T00:00, acme 03T00:00 05T00:00", &[]),
    ] {
        let changed = changed_links(&linked(before), &linked(after));
        let spans: Vec<Period> = changed.iter().map(|link| link.span).collect();
        let wanted: Vec<_> = wanted.iter().map(|(start, end)| Period { start: at(start), end: at(end) }).collect();
        assert_eq!(spans, wanted, "{before} to {after}");
    }
}

fn subscribed(zone: Tz, start: &str, end: Option<&str>) -> Registry {
    let mut registry = Registry::default();
    let subscription = Subscription {
        subscription_id: SubscriptionId::parse("s1").unwrap(),
        partner_id: PartnerId::parse("acme").unwrap(),
        plan_id: PlanId::parse("pro").unwrap(),
        time_zone: Some(zone),
        started_at: at(start),
        ended_at: end.map(at),
        course: Course::default(),
    };
    registry.subscriptions.insert((subscription.subscription_id.clone(), subscription.started_at), subscription);
    registry
}

#[test]
fn a_changed_subscription_touches_only_the_hours_that_it_cuts_inside() {
    let catalog = Catalog::parse(&[]).unwrap();
    let range = Period { start: parse_instant("2026-05-30T00:00:00Z").unwrap(), end: at("20T00:00") };
    let none = Registry::default();
    for (before, after, wanted) in [
        (&none, &none, &[][..]),
        // The month begins between two hours, the subscription inside one.
        (&none, &subscribed(Tz::UTC, "03T10:20", None), &["2026-06-03T10:00:00Z"]),
        // Kathmandu is at +5:45: its month begins at 18:15 UTC.
        (&none, &subscribed(Tz::Asia__Kathmandu, "03T10:20", None), &["2026-05-31T18:00:00Z", "2026-06-03T10:00:00Z"]),
        (
            &subscribed(Tz::UTC, "03T10:20", None),
            &subscribed(Tz::UTC, "03T10:20", Some("05T07:30")),
            &["2026-06-05T07:00:00Z"],
        ),
        (&subscribed(Tz::UTC, "03T10:20", None), &subscribed(Tz::UTC, "03T10:20", None), &[]),
    ] {
        let hours = recut_hours((before, &catalog), (after, &catalog), range).unwrap();
        assert_eq!(hours.into_iter().map(print_instant).collect::<Vec<_>>(), wanted);
    }
}

/// Hundreds of scattered hours are one list: a chain of conditions would be planned by recursion.
#[tokio::test]
async fn many_ranges_are_a_condition_that_can_be_planned() {
    let hours: Vec<Hour> = (0..2_000).map(|at| at_hour(at * 2)).collect();
    let condition = in_ranges("occurred_at", &ranges(hours));
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
    let context = lake.empty_session().unwrap();
    for (at, inside) in [(0, true), (1, false), (2, true), (3_998, true), (3_999, false), (4_000, false)] {
        let instant = instant_sql(at_hour(at) + TimeDelta::minutes(59));
        let sql = format!("select {condition} from (select {instant} as occurred_at)");
        let batches = lake.query(&context, &sql).await.unwrap();
        assert_eq!(batches[0].column(0).as_boolean().value(0), inside, "hour {at}");
    }
}

fn at_hour(hours: i64) -> Hour {
    at("01T00:00") + TimeDelta::hours(hours)
}
