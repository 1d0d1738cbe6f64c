use super::*;
use crate::catalog::{CatalogFile, Problem};
use crate::period::{parse_instant, print_instant};

/// Two versions of a plan; the second one, from July on, has a price more.
const BASE: &str = r#"
[[issuer]]
id = "acme"
legal_name = "Acme"
address = []
number_prefix = "A-"
time_zone = "Europe/Berlin"
payment_terms_days = 14
[[meter]]
id = "calls"
name = "Calls"
unit = "call"
aggregation = "count"
[[plan]]
id = "pro"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Pro"
issuer = "acme"
currency = "EUR"
price = [
  { id = "base", description = "Base", model = "flat", amount = "49" },
  { id = "calls", description = "Calls", model = "per_unit", meter = "calls", unit_price = "0.02" },
]
[[plan]]
id = "pro"
version = 2
effective_from = "2026-07-01T00:00:00Z"
name = "Pro"
issuer = "acme"
currency = "EUR"
price = [
  { id = "base", description = "Base", model = "flat", amount = "59", discount_percent = "1" },
  { id = "calls", description = "Calls", model = "per_unit", meter = "calls", unit_price = "0.02" },
  { id = "more", description = "More", model = "flat", amount = "1" },
]
[[plan]]
id = "late"
version = 1
effective_from = "2026-08-01T00:00:00Z"
name = "Late"
issuer = "acme"
currency = "USD"
price = [{ id = "contract-minimum", description = "Base", model = "flat", amount = "49" }]
"#;

/// A contract of June, with its custom price.
const JUNE: &str = r#"
[[contract]]
id = "big"
version = 1
name = "Big"
plan = "pro"
currency = "EUR"
starts = "2026-05-31T22:00:00Z"
ends = "2026-06-30T22:00:00Z"
discount_percent = "12.5"
minimum = { description = "Minimum", amount = "500" }
[[contract.price]]
id = "calls"
description = "Calls, as agreed"
model = "per_unit"
meter = "calls"
unit_price = "0.01"
"#;

fn parse(text: &str) -> Result<Catalog, Vec<Problem>> {
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text: text.into() }])
}

#[test]
fn a_contract_replaces_and_discounts_the_prices_of_its_plan() {
    let catalog = parse(&format!("{BASE}{JUNE}")).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let id = ContractId::parse("big").unwrap();
    let contract = &catalog.contracts[&id][0];
    let plan = &catalog.plans[&contract.plan][0];
    let prices: Vec<String> = contract
        .prices_of(plan)
        .iter()
        .map(|price| format!("{} {} {:?}", price.price_id, price.description, price.tariff.steps.discount_percent))
        .collect();
    let discount = contract.discount_percent;
    assert_eq!(prices, [format!("base Base {discount:?}"), "calls Calls, as agreed None".to_owned()]);
    assert_eq!(plan.prices[0].tariff.steps.discount_percent, None, "the plan keeps its own");
    // Its term is half-open.
    for (at, holds) in [
        ("2026-05-31T21:59:59Z", false),
        ("2026-05-31T22:00:00Z", true),
        ("2026-06-30T21:59:59Z", true),
        ("2026-06-30T22:00:00Z", false),
    ] {
        assert_eq!(catalog.contract_at(&id, parse_instant(at).unwrap()).is_some(), holds, "{at}");
    }
    // A later version takes its place, also where this one would go on.
    let open = JUNE.replace("ends = \"2026-06-30T22:00:00Z\"\n", "").replace("discount_percent = \"12.5\"\n", "");
    let second = open.replace("version = 1", "version = 2").replace("2026-05-31T22", "2026-06-10T00");
    let second = second.replace("minimum =", "ends = \"2026-06-20T00:00:00Z\"\nminimum =");
    let catalog = parse(&format!("{BASE}{second}{open}")).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let version = |at: &str| catalog.contract_at(&id, parse_instant(at).unwrap()).map(|version| version.version);
    let at = ["2026-06-09T23:59:59Z", "2026-06-10T00:00:00Z", "2026-06-20T00:00:00Z"];
    assert_eq!(at.map(version), [Some(1), Some(2), None]);
}

/// Each row: begin and months of a term in Berlin, and its end.
#[test]
fn a_term_is_calendar_months_of_the_issuers_zone() {
    for (starts, months, ends) in [
        ("2026-05-31T22:00:00Z", "1", "2026-06-30T22:00:00Z"),
        // Winter time from October on, and 12 months of 365 days.
        ("2026-06-30T22:00:00Z", "6", "2026-12-31T23:00:00Z"),
        ("2026-01-30T23:00:00Z", "1", "2026-02-27T23:00:00Z"),
    ] {
        let text = JUNE.replace("2026-05-31T22:00:00Z", starts);
        let text = text.replace("ends = \"2026-06-30T22:00:00Z\"", &format!("term_months = {months}"));
        let text = text.replace("discount_percent = \"12.5\"\n", "");
        let catalog = parse(&format!("{BASE}{text}")).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let found = catalog.contracts.values().next().unwrap()[0].ends.map(print_instant);
        assert_eq!(found.as_deref(), Some(ends), "{starts}");
    }
}

/// Each row replaces a piece of the contract; the words of the one problem that is told.
#[test]
fn every_mistake_of_a_contract_is_told() {
    let term = "ends = \"2026-06-30T22:00:00Z\"";
    for (from, to, words) in [
        ("id = \"big\"\n", "", "a contract needs id"),
        ("version = 1", "version = 0", "version must be 1 or more"),
        ("plan = \"pro\"", "plan = \"prp\"", "no plan prp, expected the id of a [[plan]]; did you mean pro?"),
        ("currency = \"EUR\"", "currency = \"USD\"", "plan pro version 1 is in EUR, not in USD"),
        ("starts = \"2026-05-31T22:00:00Z\"", "starts = \"2025-05-31\"", "not an RFC 3339"),
        ("2026-05-31T22:00:00Z", "2025-05-31T22:00:00Z", "plan pro has no version in force when the contract starts"),
        (term, "ends = \"2026-05-31T22:00:00Z\"", "it ends before it starts"),
        (term, "ends = \"2026-06-30T22:00:00Z\"\nterm_months = 1", "both say when it ends"),
        (term, "term_months = 0", "term_months must be 1 to 1200"),
        (
            "starts = \"2026-05-31T22:00:00Z\"\nends = \"2026-06-30T22:00:00Z\"",
            "starts = \"2026-06-01T00:00:00Z\"\nterm_months = 1",
            "counts from the begin of a day in Europe/Berlin",
        ),
        ("\"12.5\"", "\"0\"", "is not above 0"),
        ("\"12.5\"", "\"101\"", "more than everything"),
        ("amount = \"500\"", "amount = \"500.001\"", "parts of the smallest unit of EUR"),
        ("amount = \"500\"", "amunt = \"500\"", "unknown field `amunt`"),
        ("id = \"calls\"", "id = \"call\"", "plan pro version 1 has no price call; did you mean calls?"),
        ("unit_price = \"0.01\"", "unit_price = \"-1\"", "a price is negative"),
        ("meter = \"calls\"", "meter = \"colls\"", "no meter colls"),
        ("[[contract.price]]", "[contract.price]", "expected [[contract.price]]"),
        // What the next version of the plan says, in a term that reaches into it.
        (term, "", "price base of plan pro version 2 has a discount_percent of its own"),
        ("name = \"Big\"", "name = \"Big\"\nzz = 1", "unknown field `zz`"),
    ] {
        assert!(JUNE.contains(from), "{from}");
        let problems = parse(&format!("{BASE}{}", JUNE.replacen(from, to, 1))).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].contains(words), "{to}: {told:#?}");
    }
    let with = |contract: &str| -> Vec<String> {
        let problems = parse(&format!("{BASE}{contract}")).err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect()
    };
    let twice = with(&format!("{JUNE}{JUNE}"));
    assert!(twice.len() == 1 && twice[0].contains("contract big version 1 is declared twice, first at "), "{twice:?}");
    let head = JUNE[..JUNE.find("discount_percent").unwrap()].to_owned();
    assert!(with(&head)[0].contains("changes nothing of its plan"));
    let late = head.replace("\"pro\"", "\"late\"").replace("EUR", "USD").replace("2026-06-30", "2026-09-30");
    let late = late.replace("2026-05-31", "2026-08-31") + "minimum = { description = \"M\", amount = \"1\" }";
    assert!(with(&late)[0].contains("has a price contract-minimum itself"), "{:?}", with(&late));
    let of_one = with(
        &JUNE.replace(term, "").replace("discount_percent = \"12.5\"\n", "").replace("\"calls\"\nd", "\"more\"\nd"),
    );
    assert!(of_one[0].contains("plan pro version 1 has no price more"), "{of_one:?}");
}
