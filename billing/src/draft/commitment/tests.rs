//! Commitments in drafts: a term of three months from April, `pro` at 49.00 a month and 0.10 a call above 10.

use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::registry::{Registry, SignedContract};

use super::super::tax::tests::rates;
use super::super::tests::{at, catalog as sample, profiles, registry as subscriptions, usage};
use super::super::{DraftInput, Drafted, Otherwise, draft_adjusting};
use crate::billed::IssuedDocument;
use crate::document::Line;

/// A catalog with the contract, of so many months, and tax rates.
fn catalog(term_months: u32, rates_text: &str) -> Catalog {
    let contract = format!(
        "[[contract]]\nid = \"big\"\nversion = 1\nname = \"B\"\nplan = \"pro\"\ncurrency = \"EUR\"\n\
         starts = \"2026-03-31T22:00:00Z\"\nterm_months = {term_months}\n\
         commitment = {{ description = \"Committed\", amount = \"150\" }}\n"
    );
    let text = format!("{}{contract}{}", sample().files()[0].text, rates(rates_text));
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn drafted(
    catalog: &Catalog,
    month: &str,
    (registry_text, ended): (&str, Option<&str>),
    usage_text: &str,
    issued: &[IssuedDocument],
) -> Drafted {
    let signed = SignedContract {
        partner_id: tollbook_schemas::id::PartnerId::parse("acme").unwrap(),
        contract_id: tollbook_schemas::id::ContractId::parse("big").unwrap(),
        subscription_id: None,
        signed_at: at("2026-03-01"),
        ended_at: ended.map(at),
    };
    let registry = Registry { contracts: vec![signed], ..subscriptions(registry_text) };
    let next = month.parse::<super::Month>().unwrap().next();
    let input = DraftInput {
        month: month.parse().unwrap(),
        usage: &usage(usage_text),
        registry: &registry,
        catalog,
        profiles: &profiles(),
        pin_json: "{}",
        as_of: at(&format!("{next}-02")),
        otherwise: &Otherwise::new(),
    };
    draft_adjusting(&input, issued).unwrap()
}

/// `kind total: price[@month] amount, …`; then who is blocked, and why.
fn told(drafted: &Drafted) -> String {
    let line = |line: &Line| {
        let month = line.adjusts.as_ref().map_or(String::new(), |adjusts| format!("@{}", adjusts.month));
        format!("{}{month} {}", line.price_id, line.amount_minor)
    };
    let documents = drafted.documents.iter().map(|document| {
        let lines: Vec<String> = document.body.lines.iter().map(line).collect();
        format!("{} {}: {}", document.body.kind.as_str(), document.total(), lines.join(", "))
    });
    let blocked = drafted.blocked.iter().map(|blocked| format!("{}! {}", blocked.partner_id, blocked.reason));
    documents.chain(blocked).collect::<Vec<_>>().join(" | ")
}

/// One row: months of the term, tax, subscriptions, when the contract was ended, usage of April; what June comes to.
#[test]
fn what_is_missing_to_a_commitment_is_due_at_the_end_of_its_term() {
    let pro = "acme pro 2026-01-01..";
    for (months, rates, registry, ended, calls, expected) in [
        // 3 × 49.00 are 147.00 of 150.00.
        (3, "", pro, None, 0, "invoice 52.00 EUR: base 4900, calls 0, contract-commitment 300"),
        // Usage of April counts: 2.00; above what was committed the line is printed at 0.
        (3, "", pro, None, 30, "invoice 50.00 EUR: base 4900, calls 0, contract-commitment 100"),
        (3, "", pro, None, 100, "invoice 49.00 EUR: base 4900, calls 0, contract-commitment 0"),
        // Taxed as a price: 52.00 × 0.19.
        (3, "vat 19", pro, None, 0, "invoice 61.88 EUR: base 4900, calls 0, contract-commitment 300, vat 988"),
        // The term goes on; or it ended before.
        (4, "", pro, None, 0, "invoice 49.00 EUR: base 4900, calls 0"),
        (2, "", pro, None, 0, "invoice 49.00 EUR: base 4900, calls 0"),
        (3, "", pro, Some("2026-06-10"), 0, "invoice 49.00 EUR: base 4900, calls 0"),
        // Two spans in the last month: it is asked for once. The second is priced by version 2 of the plan.
        (
            3,
            "",
            "acme s1:pro 2026-01-01..2026-06-20; acme s2:pro 2026-06-20..",
            None,
            0,
            "invoice 108.00 EUR: base 4900, calls 0, base 5900, contract-commitment 0",
        ),
        // Nothing is billed by it when it ends: told.
        (
            3,
            "",
            "acme pro 2026-01-01..2026-05-31T22:00",
            None,
            0,
            "acme! the term of contract big ends in 2026-06, and no subscription is billed by it then: what is missing to its \
             commitment is of no line; record contract.ended of it at the instant at which it was ended, and bill what is owed \
             with `tollbook bill adjust`",
        ),
    ] {
        let usage = format!("acme calls production 2026-04-02T00:00 {calls}");
        let found = drafted(&catalog(months, rates), "2026-06", (registry, ended), &usage, &[]);
        assert_eq!(told(&found), expected, "{months} {registry}");
    }
    let found = drafted(&catalog(3, ""), "2026-06", (pro, None), "acme calls production 2026-04-02T00:00 30", &[]);
    let json = serde_json::to_string(&found.documents[0].body.lines[2].working).unwrap();
    assert_eq!(
        json,
        r#"{"components":[{"exact":"150","name":"committed"},{"exact":"-51","name":"billed in 2026-04"},{"exact":"-49","name":"billed in 2026-05"},{"exact":"-49","name":"billed in 2026-06"}],"exact":"1"}"#
    );
}

/// Late usage of a month of the term: it is billed, and the commitment's line is given back by as much, until nothing is missing. In
/// the end the term was billed what it comes to.
#[test]
fn late_usage_draws_from_the_commitment() {
    let (catalog, pro) = (catalog(3, ""), ("acme pro 2026-01-01..", None));
    for (late, expected, term) in [
        (
            30,
            "invoice 61.00 EUR: base 5900, calls@2026-04 200 | credit_note -2.00 EUR: contract-commitment@2026-06 -200",
            15_000,
        ),
        (
            100,
            "invoice 68.00 EUR: base 5900, calls@2026-04 900 | credit_note -3.00 EUR: contract-commitment@2026-06 -300",
            15_600,
        ),
    ] {
        let mut issued: Vec<IssuedDocument> = Vec::new();
        let mut last = String::new();
        for month in ["2026-04", "2026-05", "2026-06", "2026-07"] {
            let calls = if month == "2026-07" { late } else { 0 };
            let usage = format!("acme calls production 2026-04-02T00:00 {calls}");
            let found = drafted(&catalog, month, pro, &usage, &issued);
            last = told(&found);
            for document in found.documents {
                let number = format!("N{}", issued.len() + 1);
                issued.push(IssuedDocument { document, number, is_voided: false });
            }
        }
        assert_eq!(last, expected, "{late}");
        let all: i64 = issued.iter().map(|one| one.document.body.total_minor).sum();
        assert_eq!(all - 5_900, term, "all of the term, without July");
    }
}

/// Of what is due in advance the lines of the term's own months count, whichever run billed them.
#[test]
fn a_price_in_advance_counts_for_its_own_month() {
    let arrears = catalog(3, "");
    let (from, to) = ("amount = \"49\" }", "amount = \"49\", settings = { due = \"in_advance\" } }");
    let text = arrears.files()[0].text.replacen(from, to, 1);
    let ahead = Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap();
    for catalog in [&arrears, &ahead] {
        let june = drafted(catalog, "2026-06", ("acme pro 2026-01-01..", None), "", &[]);
        let missing =
            june.documents[0].body.lines.iter().find(|line| line.price_id.as_str() == super::COMMITMENT_PRICE);
        assert_eq!(missing.map(|line| line.amount_minor), Some(300));
    }
}
