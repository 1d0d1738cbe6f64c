//! Contracts in drafts: subscriptions, signatures and usage in, lines out.

use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::id::{ContractId, SubscriptionId};
use tollbook_schemas::registry::SignedContract;

use super::super::tests::{at, catalog as sample, drafted_with, told};
use tollbook_schemas::id::PartnerId;

/// Beside the sample: `pro` costs 49 and, from 11 calls on, 0.1 a call; `seats` 2.5 a user.
const CONTRACTS: &str = r#"
[[contract]]
id = "big"
version = 1
name = "Big"
plan = "pro"
currency = "EUR"
starts = "2026-01-01T00:00:00Z"
ends = "2026-06-15T00:00:00Z"
discount_percent = "10"
minimum = { description = "Minimum", amount = "100" }
[[contract.price]]
id = "calls"
description = "Calls, as agreed"
model = "per_unit"
meter = "calls"
unit_price = "0.015"

[[contract]]
id = "few"
version = 1
name = "Few"
plan = "seats"
currency = "EUR"
starts = "2026-01-01T00:00:00Z"
minimum = { description = "At least", amount = "5" }
"#;

fn catalog() -> Catalog {
    let text = format!("{}{CONTRACTS}", sample().files()[0].text);
    Catalog::parse(&[CatalogFile { path: "catalog.toml".into(), text }])
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Reads `partner contract[/subscription] from..to`, several, separated by `;`.
fn signed(text: &str) -> Vec<SignedContract> {
    text.split(';')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let [partner, contract, span] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
            let (contract, subscription) =
                contract.split_once('/').map_or((contract, None), |(contract, own)| (contract, Some(own)));
            let (from, to) = span.split_once("..").unwrap();
            SignedContract {
                partner_id: PartnerId::parse(partner).unwrap(),
                contract_id: ContractId::parse(contract).unwrap(),
                subscription_id: subscription.map(|id| SubscriptionId::parse(id).unwrap()),
                signed_at: at(from),
                ended_at: (!to.is_empty()).then(|| at(to)),
            }
        })
        .collect()
}

/// One row: subscriptions, signatures, usage; what comes of it.
#[test]
fn a_contract_prices_the_spans_that_begin_while_it_holds() {
    let pro = "acme pro 2026-01-01..";
    let usage = "acme calls production 2026-06-02T00:00 1000";
    for (registry, contracts, usage, expected) in [
        // 10 per cent off the base; the custom price has no discount; 40.90 are missing to 100.
        (
            pro,
            "acme big 2026-05-01..",
            usage,
            "acme berlin 100.00 EUR: base 1 4410, calls 1000 1500, contract-minimum 1 4090",
        ),
        // Above the minimum the line is printed at 0.
        (
            pro,
            "acme big 2026-05-01..",
            "acme calls production 2026-06-02T00:00 10000",
            "acme berlin 194.10 EUR: base 1 4410, calls 10000 15000, contract-minimum 1 0",
        ),
        // Signed within the month, ended by its start, signed by somebody else, for another subscription: list prices.
        (pro, "acme big 2026-06-02..", "", "acme berlin 49.00 EUR: base 1 4900, calls 0 0"),
        (pro, "acme big 2026-05-01..2026-05-31T22:00", "", "acme berlin 49.00 EUR: base 1 4900, calls 0 0"),
        (pro, "bolt big 2026-05-01..", "", "acme berlin 49.00 EUR: base 1 4900, calls 0 0"),
        (pro, "acme big/s9 2026-05-01..", "", "acme berlin 49.00 EUR: base 1 4900, calls 0 0"),
        // Of the plan that it is of, and no other.
        (
            "acme pro 2026-01-01..; acme seats 2026-01-01..",
            "acme few 2026-05-01..",
            "",
            "acme berlin 54.00 EUR: base 1 4900, calls 0 0, users 0 0, contract-minimum 1 500",
        ),
        // Ended within the month: it priced the span that began while it held.
        (
            pro,
            "acme big 2026-05-01..2026-06-05",
            "",
            "acme berlin 100.00 EUR: base 1 4410, calls 0 0, contract-minimum 1 5590",
        ),
        // A span that begins behind the term's end. Version 2 of the plan holds there.
        ("acme pro 2026-06-20..", "acme big 2026-05-01..", "", "acme berlin 59.00 EUR: base 1 5900"),
        // Two spans of one contract in a month, with another plan between: the minimum is asked for once.
        (
            "acme s1:pro 2026-01-01..2026-06-05; acme s1:seats 2026-06-05..2026-06-10; acme s1:pro 2026-06-10..",
            "acme big 2026-05-01..",
            "",
            "acme berlin 100.00 EUR: base 1 4410, calls 0 0, users 0 0, base 1 4410, calls 0 0, contract-minimum 1 1180",
        ),
        // Nobody can say which: the partner is blocked, and no other.
        (
            "acme pro 2026-01-01..; bolt pro 2026-01-01..",
            "acme gone 2026-05-01..",
            "",
            "bolt berlin 49.00 EUR: base 1 4900, calls 0 0 | acme! contract gone was signed, and the catalog does not have it; \
             add it, or record contract.ended of it at the instant of its signature",
        ),
    ] {
        let found = drafted_with(&catalog(), registry, signed(contracts), usage);
        assert_eq!(told(&found), expected, "{registry}, {contracts}");
        for document in &found.documents {
            for line in &document.body.lines {
                let by_contract = line.contract.as_ref().map(|contract| contract.contract_id.as_str());
                let is_of_contract = contracts.contains(by_contract.unwrap_or("none"));
                assert!(by_contract.is_none() || is_of_contract, "{line:?}");
                let printed = serde_json::to_string(line).unwrap();
                assert_eq!(printed.contains("\"contract\""), by_contract.is_some(), "{printed}");
            }
        }
    }
}

#[test]
fn a_line_says_which_contract_priced_it_and_how() {
    let found = drafted_with(&catalog(), "acme pro 2026-01-01..", signed("acme big 2026-05-01.."), "");
    let lines = &found.documents[0].body.lines;
    let json = serde_json::to_string(&lines[2]).unwrap();
    assert!(
        json.starts_with(
            r#"{"amount_minor":5590,"contract":{"contract_id":"big","version":1},"description":"Minimum""#
        ),
        "{json}"
    );
    assert!(json.contains(r#""working":{"exact":"55.9"}"#), "{json}");
    assert_eq!(lines[0].description, "Base");
    assert_eq!(lines[1].description, "Calls, as agreed");
    assert!(lines[0].working.to_json().unwrap().contains("discount"), "{:?}", lines[0].working);
}
