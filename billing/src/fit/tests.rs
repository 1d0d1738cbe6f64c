use tollbook_schemas::catalog::{Catalog, CatalogFile};

use super::*;
use crate::draft::tests::{CATALOG, with_input};

/// Beside `pro` (49 EUR, calls at 0.10 above 10), `seats` and those that never fit: a plan for few calls, one for many.
const PLANS: &str = r#"
[[plan]]
id = "small"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Small"
issuer = "berlin"
currency = "EUR"
price = [ { id = "calls", description = "Calls", model = "per_unit", meter = "calls", unit_price = "0.5" } ]

[[plan]]
id = "large"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Large"
issuer = "berlin"
currency = "EUR"
price = [
  { id = "base", description = "Base", model = "flat", amount = "99" },
  { id = "calls", description = "Calls", model = "per_unit", meter = "calls", unit_price = "0.01" },
]
"#;

fn fitted(registry: &str, usage: &str) -> Fitted {
    let text = format!("{CATALOG}{PLANS}");
    let mut catalog = Catalog::parse(&[CatalogFile { path: "catalog.toml".into(), text }]).unwrap();
    // Those that these rows are about; other tests have plans of their own in the same catalog.
    let about = ["pro", "seats", "jp", "moved", "late", "huge", "small", "large"];
    catalog.plans.retain(|plan_id, _| about.contains(&plan_id.as_str()));
    with_input(registry, usage, |input| fit(&DraftInput { catalog: &catalog, ..*input }))
}

/// Subscriptions as `id plan cost -> cheaper saving`.
fn told(fitted: &Fitted) -> String {
    let one = |fit: &SubscriptionFit| {
        let cheaper = fit.cheaper().map_or("-".to_owned(), |(other, saving)| format!("{} {saving}", other.plan_id));
        format!("{} {} {} -> {cheaper}", fit.subscription_id, fit.plan_id, fit.cost)
    };
    let blocked = fitted.blocked.iter().map(|blocked| format!("{}!", blocked.partner_id));
    fitted.subscriptions.iter().map(one).chain(blocked).collect::<Vec<_>>().join(" | ")
}

/// One row: subscriptions, usage, the cheapest plan of each.
#[test]
fn the_cheapest_plan_is_found() {
    let calls = |count: i64| format!("acme calls production 2026-06-02T10:00 {count}");
    for (registry, usage, expected) in [
        // 50 calls: 49 + 4 on pro, 25 on small, 99.50 on large.
        ("acme pro 2026-01-01..", calls(50), "s1 pro 53.00 EUR -> small 2800"),
        ("acme small 2026-01-01..", calls(50), "s1 small 25.00 EUR -> -"),
        // 1000 calls: 148 on pro, 500 on small, 109 on large.
        ("acme pro 2026-01-01..", calls(1000), "s1 pro 148.00 EUR -> large 3900"),
        ("acme small 2026-01-01..", calls(1000), "s1 small 500.00 EUR -> large 39100"),
        // A plan without a price for calls costs less, and is no candidate: calls were used.
        ("acme large 2026-01-01..", calls(5000), "s1 large 149.00 EUR -> -"),
        // Nothing was used, so nothing must be priced: of the two that cost nothing the first by name.
        ("acme pro 2026-01-01..", String::new(), "s1 pro 49.00 EUR -> seats 4900"),
        // No other plan of that issuer and currency.
        ("bolt jp 2026-01-01..", String::new(), "s1 jp 1000 JPY -> -"),
        ("corp pro 2026-01-01..", String::new(), "corp!"),
        ("acme", String::new(), ""),
        // Of a plan that was changed within the month, each part alone.
        (
            "acme s9:pro 2026-01-01..2026-06-10; acme s9:small 2026-06-10..",
            "acme calls production 2026-06-02T10:00 20; acme calls production 2026-06-12T10:00 1000".to_owned(),
            "s9 pro 50.00 EUR -> small 4000 | s9 small 500.00 EUR -> large 39100",
        ),
    ] {
        assert_eq!(told(&fitted(registry, &usage)), expected, "{registry} {usage}");
    }
}

#[test]
fn why_a_plan_is_no_candidate_is_told() {
    let usage = "acme calls production 2026-06-02T10:00 50; acme users production 2026-06-02T10:00 a,b";
    let fitted = fitted("acme pro 2026-01-01..; acme seats 2026-01-01..", usage);
    let told = |subscription: usize| -> Vec<String> {
        let others = fitted.subscriptions[subscription].others.iter();
        others
            .map(|other| match &other.cost {
                Ok(cost) => format!("{}: {cost}", other.plan_id),
                Err(reason) => format!("{}: {reason}", other.plan_id),
            })
            .collect()
    };
    let uncovered = "it has no price for calls (50 call used)";
    assert_eq!(
        told(0),
        [
            format!("huge: {uncovered}"),
            "large: 99.50 EUR".to_owned(),
            "late: it has no version in force at 2026-05-31T22:00:00Z".to_owned(),
            format!("moved: {uncovered}"),
            format!("seats: {uncovered}"),
            "small: 25.00 EUR".to_owned(),
        ]
    );
    // Users are used, and no other plan has a price for them.
    assert!(
        told(1).iter().all(|told| told.contains("users (2 user used)") || told.contains("no version")),
        "{:?}",
        told(1)
    );
}

/// What another subscription bills already cannot be billed twice.
#[test]
fn a_plan_that_bills_what_another_subscription_bills_is_no_candidate() {
    let fitted = fitted("acme pro 2026-01-01..; acme seats 2026-01-01..", "");
    let seats = &fitted.subscriptions[1];
    let large = seats.others.iter().find(|other| other.plan_id.as_str() == "large").unwrap();
    let reason = large.cost.as_ref().unwrap_err();
    assert!(reason.contains("would both bill meter calls"), "{reason}");
    let huge = seats.others.iter().find(|other| other.plan_id.as_str() == "huge").unwrap();
    assert!(huge.cost.as_ref().unwrap_err().contains("does not fit"), "{huge:?}");
}
