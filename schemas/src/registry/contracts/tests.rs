use super::super::tests::events;
use super::super::{Registry, fold};
use super::*;
use crate::catalog::CatalogFile;
use crate::id::PlanId;
use crate::period::parse_instant;

/// Spans as `partner contract[/subscription] from..to`, then what is told, with `!` where it blocks billing.
fn told(registry: &Registry) -> Vec<String> {
    let day = |instant: DateTime<Utc>| instant.format("%d").to_string();
    let span = |span: &SignedContract| {
        let of = span.subscription_id.as_ref().map(|id| format!("/{id}")).unwrap_or_default();
        let ended = span.ended_at.map(day).unwrap_or_default();
        format!("{} {}{of} {}..{ended}", span.partner_id, span.contract_id, day(span.signed_at))
    };
    let finding = |finding: &super::super::Finding| {
        format!("{}{}", if finding.blocks_billing() { "! " } else { "" }, finding.what)
    };
    registry.contracts.iter().map(span).chain(registry.findings.iter().map(finding)).collect()
}

/// Each row: events in any order, and what comes of them.
#[test]
fn signatures_become_spans() {
    for (table, wanted) in [
        ("01 acme contract.signed contract_id=big", &["acme big 01.."][..]),
        ("05 acme contract.signed contract_id=big effective_at=2026-06-01T00:00:00Z", &["acme big 01.."]),
        (
            "01 acme contract.signed contract_id=big subscription_id=s1
             02 acme contract.ended contract_id=big subscription_id=s1 effective_at=2026-06-20T00:00:00Z",
            &["acme big/s1 01..20"],
        ),
        // Said again, and signed once more while it runs.
        (
            "01 acme contract.signed contract_id=big
             01 acme contract.signed contract_id=big
             03 acme contract.signed contract_id=big",
            &["acme big 01.."],
        ),
        // Ended and signed anew, at one instant too.
        (
            "01 acme contract.signed contract_id=big
             05 acme contract.ended contract_id=big
             05 acme contract.signed contract_id=big
             07 acme contract.ended contract_id=big
             09 acme contract.signed contract_id=big",
            &["acme big 01..05", "acme big 05..07", "acme big 09.."],
        ),
        // Taken back at its very begin.
        (
            "01 acme contract.signed contract_id=big
             03 acme contract.ended contract_id=big effective_at=2026-06-01T00:00:00Z",
            &[],
        ),
        // An end that names no subscription ends every one; one that names it, just this.
        (
            "01 acme contract.signed contract_id=big subscription_id=s1
             01 acme contract.signed contract_id=big
             01 bolt contract.signed contract_id=big
             02 acme contract.ended contract_id=big",
            &["acme big 01..02", "acme big/s1 01..02", "bolt big 01.."],
        ),
        (
            "01 acme contract.signed contract_id=big subscription_id=s1
             01 acme contract.signed contract_id=big
             02 acme contract.ended contract_id=big subscription_id=s1",
            &["acme big 01..", "acme big/s1 01..02"],
        ),
        ("01 acme contract.ended contract_id=big", &["contract.ended: big is no running contract of the partner"]),
        // What cannot be read blocks, until one that can puts it right.
        ("01 acme contract.signed contract_id=json:5", &["! contract.signed: contract_id is missing or not valid"]),
        (
            "01 acme contract.signed contract_id=a/b
             02 acme contract.signed contract_id=big",
            &["acme big 02..", "contract.signed: contract_id is missing or not valid"],
        ),
        (
            "01 acme contract.signed contract_id=big
             02 acme contract.ended contract_id=big effective_at=soon",
            &["acme big 01..", "! contract.ended: effective_at is missing or not valid"],
        ),
        (
            "01 acme contract.signed contract_id=big subscription_id=a/b",
            &["! contract.signed: subscription_id is missing or not valid"],
        ),
    ] {
        assert_eq!(told(&fold(events(table), None)), wanted, "{table}");
        // Delivered twice it is the same.
        let twice = [events(table), events(table)].concat();
        assert_eq!(told(&fold(twice, None)), wanted, "{table}");
    }
}

const CATALOG: &str = r#"
[[issuer]]
id = "acme"
legal_name = "Acme"
address = []
number_prefix = "A-"
time_zone = "UTC"
payment_terms_days = 14
[[plan]]
id = "pro"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Pro"
issuer = "acme"
currency = "EUR"
price = [{ id = "base", description = "Base", model = "flat", amount = "49" }]
[[contract]]
id = "big"
version = 1
name = "Big"
plan = "pro"
currency = "EUR"
starts = "2026-06-05T00:00:00Z"
ends = "2026-06-25T00:00:00Z"
discount_percent = "10"
[[contract]]
id = "small"
version = 1
name = "Small"
plan = "pro"
currency = "EUR"
starts = "2026-01-01T00:00:00Z"
discount_percent = "1"
"#;

/// Each row: events of contracts, plan and day of June; the contract that applies to subscription s1 of acme.
#[test]
fn a_contract_applies_while_it_is_signed_and_its_term_holds() {
    let catalog = Catalog::parse(&[CatalogFile { path: "c.toml".into(), text: CATALOG.into() }]).unwrap();
    let of_all = "01 acme contract.signed contract_id=big\n20 acme contract.ended contract_id=big";
    let of_one = "01 acme contract.signed contract_id=small subscription_id=s1";
    for (table, plan, day, wanted) in [
        (of_all, "pro", "04", "none"),
        (of_all, "pro", "05", "big"),
        (of_all, "pro", "19", "big"),
        (of_all, "pro", "20", "none"),
        (of_all, "free", "10", "none"),
        ("01 acme contract.signed contract_id=big", "pro", "25", "none"),
        ("08 acme contract.signed contract_id=big", "pro", "07", "none"),
        ("01 bolt contract.signed contract_id=big", "pro", "10", "none"),
        ("01 acme contract.signed contract_id=big subscription_id=s2", "pro", "10", "none"),
        // The one that names the subscription.
        (&format!("{of_all}\n{of_one}"), "pro", "10", "small"),
        // The same contract twice is one.
        (
            "01 acme contract.signed contract_id=big\n01 acme contract.signed contract_id=big subscription_id=s1",
            "pro",
            "10",
            "big",
        ),
        (
            "01 acme contract.signed contract_id=big\n01 acme contract.signed contract_id=small",
            "pro",
            "10",
            "contracts big, small all apply to subscription s1",
        ),
        ("01 acme contract.signed contract_id=gone", "pro", "10", "contract gone was signed, and the catalog"),
        ("01 acme contract.signed contract_id=gone subscription_id=s2", "pro", "10", "none"),
    ] {
        let instant = |day: &str| parse_instant(&format!("2026-06-{day}T00:00:00Z")).unwrap();
        let subscription = Subscription {
            subscription_id: SubscriptionId::parse("s1").unwrap(),
            partner_id: PartnerId::parse("acme").unwrap(),
            plan_id: PlanId::parse(plan).unwrap(),
            time_zone: None,
            started_at: instant("01"),
            ended_at: None,
            course: crate::registry::Course::default(),
        };
        let registry = fold(events(table), None);
        let found = contract_in_force(&registry.contracts, &catalog, &subscription, instant(day));
        let found = match found {
            Ok(found) => found.map_or("none".to_owned(), |found| found.contract_id.to_string()),
            Err(error) => error.to_string(),
        };
        assert!(found.starts_with(wanted), "{table} on {day}: {found}");
    }
}
