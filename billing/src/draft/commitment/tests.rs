//! Commitments in drafts: a term of three months from April, `pro` at 49.00 a month and 0.10 a call above 10.

use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::registry::{Registry, SignedContract};

use super::super::tax::tests::rates;
use super::super::tests::{at, catalog as sample, profiles, registry as subscriptions, usage};
use super::super::{DraftInput, Drafted, TermsChanges, draft_adjusting};
use crate::billed::IssuedDocument;
use crate::document::Line;

/// A catalog with the contract, of so many months, and tax rates.
fn catalog(term_months: u32, rates_text: &str) -> Catalog {
    catalog_of("pro", term_months, rates_text)
}

fn catalog_of(plan: &str, term_months: u32, rates_text: &str) -> Catalog {
    let contract = format!(
        "[[contract]]\nid = \"big\"\nversion = 1\nname = \"B\"\nplan = \"{plan}\"\ncurrency = \"EUR\"\n\
         starts = \"2026-03-31T22:00:00Z\"\nterm_months = {term_months}\n\
         commitment = {{ description = \"Committed\", amount = \"150\" }}\n"
    );
    let text = format!("{}{contract}{}", sample().files()[0].text, rates(rates_text));
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn signed(ended: Option<&str>) -> SignedContract {
    SignedContract {
        partner_id: tollbook_schemas::id::PartnerId::parse("acme").unwrap(),
        contract_id: tollbook_schemas::id::ContractId::parse("big").unwrap(),
        subscription_id: None,
        signed_at: at("2026-03-01"),
        ended_at: ended.map(at),
    }
}

fn drafted(
    catalog: &Catalog,
    month: &str,
    (registry_text, ended): (&str, Option<&str>),
    usage_text: &str,
    issued: &[IssuedDocument],
) -> Drafted {
    let registry = Registry { contracts: vec![signed(ended)], ..subscriptions(registry_text) };
    drafted_of(catalog, month, &registry, usage_text, issued)
}

fn drafted_of(
    catalog: &Catalog,
    month: &str,
    registry: &Registry,
    usage_text: &str,
    issued: &[IssuedDocument],
) -> Drafted {
    let next = month.parse::<super::Month>().unwrap().next();
    let input = DraftInput {
        month: month.parse().unwrap(),
        usage: &usage(usage_text),
        registry,
        catalog,
        profiles: &profiles(),
        pin_json: "{}",
        as_of: at(&format!("{next}-02")),
        terms_changes: &TermsChanges::new(),
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

/// Late usage of a month of the term: it is billed, and the commitment's line is given back by as much, until nothing
/// is missing. In the end the term was billed what it comes to.
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

/// Anniversary periods of 92.00 a quarter that begin on 20 February: two begin in the term, which ends with September,
/// and the last of them ends on 20 November. What the contract prices counts, so the line is asked for in the run that
/// bills the last of it.
#[test]
fn a_period_that_begins_in_the_term_counts_where_it_ends_behind_it() {
    let catalog = catalog_of("quarter", 6, "");
    let quarter = ("acme quarter 2026-02-20.. Europe/Berlin", None);
    for (month, expected) in [
        ("2026-05", "invoice 92.00 EUR: base 9200, calls 0"),
        ("2026-08", "invoice 92.00 EUR: base 9200, calls 0"),
        ("2026-09", ""),
        ("2026-11", "invoice 92.00 EUR: base 9200, calls 0, contract-commitment 0"),
    ] {
        assert_eq!(told(&drafted(&catalog, month, quarter, "", &[])), expected, "{month}");
    }
    // Whoever cancels with the first of them owes the rest, with the last document of the term.
    let cancelled = ("acme quarter 2026-02-20..2026-09-10 Europe/Berlin", None);
    let found = drafted(&catalog, "2026-09", cancelled, "", &[]);
    let missing = found.documents[0].body.lines.iter().find(|line| line.price_id.as_str() == super::COMMITMENT_PRICE);
    // 92.00, and 21 of 92 days from 20 August: 21.00.
    assert_eq!(missing.map(|line| line.amount_minor), Some(3_700));
}

/// What another system billed whole of a term is not known: nobody is asked for what is missing by a guess.
#[test]
fn a_term_that_another_system_billed_in_part_is_not_asked_for() {
    let catalog = catalog(3, "");
    for (live, is_blocked) in [("2026-04-30T22:00", true), ("2026-03-31T22:00", false)] {
        let mut registry = subscriptions("acme pro 2026-01-01..");
        registry.contracts = vec![signed(None)];
        let acme = tollbook_schemas::id::PartnerId::parse("acme").unwrap();
        let live = tollbook_schemas::registry::GoingLive { billing_starts_at: at(live), openings: Vec::new() };
        registry.going_live.insert(acme, live);
        let told = told(&drafted_of(&catalog, "2026-06", &registry, "", &[]));
        assert_eq!(told.contains("another system billed periods of the term of contract big, before billing_starts_at: what they came to is not known here, so"), is_blocked, "{told}");
    }
}
