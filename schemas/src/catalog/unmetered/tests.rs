use crate::catalog::{Catalog, CatalogFile, Problem};
use crate::price::Tariff;

const HEAD: &str = r#"
[[issuer]]
id = "acme"
legal_name = "Acme"
address = ["Street 1"]
number_prefix = "AC-"
time_zone = "UTC"
payment_terms_days = 14

[[meter]]
id = "calls"
name = "Calls"
unit = "call"
aggregation = "count"
group_by = { region = "attributes['region']" }

[[plan]]
id = "pro"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Pro"
issuer = "acme"
currency = "EUR"

[[plan.price]]
id = "p"
description = "P"
meter = "calls"
"#;

fn problems(rest: &str) -> Vec<Problem> {
    let file = CatalogFile { path: "c.toml".into(), text: format!("{HEAD}{rest}\n") };
    Catalog::parse(&[file]).err().unwrap_or_default()
}

/// Each row: the rest of a price, the line of it that is shown, what is underlined, and the words of the problem.
#[test]
fn what_no_draft_can_rate_is_refused_at_its_place() {
    let percentage = |more: &str| format!("model = \"percentage\"\npercent = \"1\"\n{more}");
    for (rest, underlined, words, help) in [
        (percentage("free_total = \"9\"\nfixed_fee = \"2\""), "\"2\"", "fixed_fee needs each event", "per_unit price"),
        (percentage("event_minimum = \"3\""), "\"3\"", "event_minimum needs each event", "sum_by_event"),
        (percentage("event_maximum = \"4\""), "\"4\"", "event_maximum needs each event", "sum_by_event"),
        (
            percentage("free_events = 5"),
            "5",
            "free_events needs each event of the usage, and calls, whose aggregation is count, keeps",
            "sum_by_event",
        ),
        (
            "model = \"per_unit\"\nunit_price = \"1\"\nconvert = \"bytes_to_gb\"".to_owned(),
            "\"bytes_to_gb\"",
            "bytes_to_gb converts bytes, and the unit of meter calls is \"call\"",
            "divide_by",
        ),
        (
            "model = \"per_unit\"\nunit_price = \"1\"\nsettings = { quantity_basis = \"prorated\" }".to_owned(),
            "\"prorated\"",
            "the part of the period for which each unit was there, which is not metered yet",
            "leave it out",
        ),
    ] {
        let found = problems(&rest);
        let [problem] = found.as_slice() else { panic!("{rest}: {found:#?}") };
        assert!(problem.what.contains(words), "{rest}: {problem}");
        assert!(problem.mend.contains(help), "{rest}: {problem}");
        let text = format!("{HEAD}{rest}\n");
        assert_eq!(&text[problem.span.clone()], underlined, "{rest}");
    }
}

/// What refuses too much would stop catalogs that bill well today.
#[test]
fn what_a_draft_has_enough_for_is_taken() {
    for rest in [
        "model = \"percentage\"\npercent = \"1\"\nfixed_fee = \"0\"\nfree_total = \"100\"",
        "model = \"percentage\"\npercent = \"1\"\nfixed_fee = \"2\"",
        "model = \"matrix\"\ndimensions = [\"region\"]\ndefault_unit_price = \"1\"",
        "model = \"graduated_percentage\"\ntiers = [{ percent = \"1\" }]",
        "model = \"dynamic\"\nmultiplier = \"1.2\"",
        "model = \"volume\"\ntiers = [{ unit_price = \"1\" }]\nsettings = { quantity_basis = \"full\", tier_edge = \"ceil\" }",
        "model = \"per_unit\"\nunit_price = \"1\"\ndiscount_percent = \"5\"\nminimum = \"1\"\nincluded = 10",
    ] {
        assert_eq!(problems(rest), [], "{rest}");
    }
}

/// A meter that keeps each event.
#[test]
fn single_events_are_priced_where_they_are_kept() {
    let of_events = |more: &str, rest: &str| {
        let counts = format!("aggregation = \"sum_by_event\"\nvalue = \"attributes['amount']\"\n{more}");
        let head = HEAD.replace("aggregation = \"count\"", &counts);
        Catalog::parse(&[CatalogFile { path: "c.toml".into(), text: format!("{head}{rest}\n") }])
            .err()
            .unwrap_or_default()
    };
    for rest in
        ["free_events = 5\nfixed_fee = \"2\"\nfree_total = \"9\"", "event_minimum = \"1\"\nevent_maximum = \"4\""]
    {
        let rest = format!("model = \"percentage\"\npercent = \"1\"\n{rest}");
        assert_eq!(of_events("", &rest), [], "{rest}");
        let found = of_events("allow_negative = true", &rest);
        let [problem] = found.as_slice() else { panic!("{rest}: {found:#?}") };
        assert!(problem.what.contains("not below zero, and calls allows them"), "{problem}");
        assert_eq!(problem.text, "meter = \"calls\"");
    }
    // Which model takes the whole sum takes it of any meter that sums.
    assert_eq!(of_events("", "model = \"graduated\"\ntiers = [{ unit_price = \"1\" }]"), []);
}

#[test]
fn a_matrix_needs_its_meters_dimensions() {
    let found = problems("model = \"matrix\"\ndimensions = [\"regoin\", \"tier\"]\ndefault_unit_price = \"1\"");
    let told: Vec<(&str, &str)> = found.iter().map(|p| (p.what.as_str(), p.mend.as_str())).collect();
    assert_eq!(
        told,
        [
            ("meter calls has no dimension regoin", "did you mean region?"),
            ("meter calls has no dimension tier", "add tier to the meter's group_by"),
        ]
    );
}

#[test]
fn a_matrix_needs_usage_that_adds_up() {
    let rest = "model = \"matrix\"\ndimensions = [\"region\"]\ndefault_unit_price = \"1\"\n";
    let head = HEAD.replace("aggregation = \"count\"", "aggregation = \"unique\"\nvalue = \"consumer\"");
    let file = CatalogFile { path: "c.toml".into(), text: format!("{head}{rest}") };
    let found = Catalog::parse(&[file]).unwrap_err();
    let [problem] = found.as_slice() else { panic!("{found:#?}") };
    assert!(problem.what.contains("adds up over its dimensions, and calls is unique"), "{problem}");
    assert_eq!(problem.text, "meter = \"calls\"");
}

/// The price calculator has no meters: what a plan may not have yet, it still computes.
#[test]
fn a_price_by_itself_is_not_refused() {
    let json = r#"{"model":"percentage","percent":"1","free_events":3,"fixed_fee":"1"}"#;
    assert!(serde_json::from_str::<Tariff>(json).is_ok());
}
