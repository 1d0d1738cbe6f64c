use proptest::prelude::*;
use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::period::Month;

use super::super::tests::{CATALOG, at, profiles, registry, told, usage};
use super::super::{DraftInput, Drafted, TermsChanges, draft_adjusting};
use crate::billed::IssuedDocument;

/// 1.00 a call, of which 10 a month are included and carry over for two months; 5 half hours a month for one, in hours.
fn catalog() -> Catalog {
    let plan = |id: &str, rest: &str| {
        format!(
            "[[plan]]\nid = \"{id}\"\nversion = 1\neffective_from = \"2026-01-01T00:00:00Z\"\nname = \"{id}\"\nissuer = \"berlin\"\n\
             currency = \"EUR\"\nprice = [{{ id = \"calls\", description = \"Calls\", model = \"per_unit\", meter = \"calls\", \
             unit_price = \"1\", {rest} }}]\n"
        )
    };
    let text = CATALOG.to_owned()
        + &plan("roll", "included = \"10\", rollover_periods = 2")
        + &plan("part", "included = \"10\"").replace("\"part\"", "\"lost\"")
        + &plan("turns", "included = \"10\", rollover_periods = 3")
        + &plan("turns", "included = \"10\", rollover_periods = 1")
            .replace("version = 1", "version = 2")
            .replace("2026-01-01", "2026-02-01")
        + &plan("halves", "included = \"5\", rollover_periods = 1, convert = { divide_by = \"2\" }")
        + &plan("prorated", "included = \"30\", rollover_periods = 1, settings = { limits_in_part = \"by_day\" }");
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap()
}

fn drafted(subscriptions: &str, month: Month, usage_text: &str, issued: &[IssuedDocument]) -> Drafted {
    let (catalog, usage, registry) = (catalog(), usage(usage_text), registry(subscriptions));
    let input = DraftInput {
        month,
        usage: &usage,
        registry: &registry,
        catalog: &catalog,
        profiles: &profiles(),
        pin_json: "{}",
        as_of: at(&format!("{}-02", month.next())),
        terms_changes: &TermsChanges::new(),
    };
    draft_adjusting(&input, issued).unwrap()
}

/// The calls of months from January on.
fn months(calls: &[u32]) -> String {
    let of = |(at, calls): (usize, &u32)| format!("acme calls production 2026-{:02}-10T00:00 {calls}", at + 1);
    calls.iter().enumerate().map(of).collect::<Vec<_>>().join("; ")
}

/// One row: plan, calls of each month from January on, what the last one comes to in minor units, and what it was
/// given.
#[test]
fn what_was_not_used_carries_over_and_expires() {
    for (plan, calls, amount, from) in [
        ("roll", &[4][..], 0, ""),
        ("lost", &[4, 30], 2000, ""),
        ("roll", &[4, 30], 1400, "01:6"),
        // The oldest first: February used four of January's six, and all of its own stay.
        ("roll", &[4, 4, 30], 800, "01:2 02:10"),
        // What January left is gone by April; March used two of it, and two of February's.
        ("roll", &[4, 4, 4, 30], 200, "02:8 03:10"),
        ("roll", &[4, 4, 0, 30], 0, "02:10 03:10"),
        ("roll", &[4, 14, 30], 1800, "02:2"),
        ("roll", &[12, 10, 30], 2000, ""),
        // January's hold until April and February's until March: March takes from February's.
        ("turns", &[6, 0, 5, 30], 600, "01:4 03:10"),
        // In the priced unit, and exactly: 3 calls are 1.5.
        ("halves", &[3, 20], 150, "01:3.5"),
        // A part of a month includes a part; it started on 22 January.
        ("prorated", &[0, 40], 32, "01:9.677419354838709677419354839"),
    ] {
        let start = if plan == "prorated" { "2026-01-22" } else { "2026-01-01" };
        let month: Month = format!("2026-{:02}", calls.len()).parse().unwrap();
        let found = drafted(&format!("acme {plan} {start}.. UTC"), month, &months(calls), &[]);
        let lines = &found.documents[0].body.lines;
        let told = lines[0].rollover.iter().flat_map(|rollover| &rollover.from);
        let told: Vec<String> = told.map(|one| format!("{}:{}", one.span_start.format("%m"), one.units)).collect();
        let wanted: Vec<&str> = from.split_whitespace().filter(|one| !one.ends_with(":0")).collect();
        if plan != "prorated" {
            assert_eq!(
                (lines[0].amount_minor, told),
                (amount, wanted.iter().map(|one| (*one).to_owned()).collect()),
                "{plan} {calls:?}"
            );
        } else {
            // 30 × 10/31 is no finite decimal: the fraction is told.
            assert_eq!((lines[0].amount_minor, told.len()), (amount, 1), "{told:?}");
        }
    }
}

#[test]
fn another_plan_begins_with_nothing() {
    let subscriptions = "acme s1:roll 2026-01-01..2026-02-01 UTC; acme s1:lost 2026-02-01..2026-03-01 UTC first=2026-01-01; \
                         acme s1:roll 2026-03-01.. UTC first=2026-01-01";
    let found = drafted(subscriptions, "2026-03".parse().unwrap(), &months(&[0, 0, 30]), &[]);
    assert_eq!(told(&found), "acme berlin 20.00 EUR: calls 30 2000");
    let line = &found.documents[0].body.lines[0];
    assert_eq!(serde_json::to_string(&line.rollover).unwrap(), r#"{"from":[],"units":"0"}"#);
    let found = drafted("acme roll 2026-01-01.. UTC", "2026-02".parse().unwrap(), &months(&[4, 30]), &[]);
    let line = &found.documents[0].body.lines[0];
    let wanted = r#"{"from":[{"span_start":"2026-01-01T00:00:00Z","units":"6"}],"units":"6"}"#;
    assert_eq!(serde_json::to_string(&line.rollover).unwrap(), wanted);
    assert_eq!(line.working.components[0].name, "units carried over");
}

proptest! {
    /// Whatever comes late for whichever month: in the end each month was billed what it comes to, and all of them what
    /// a naive account of units comes to.
    #[test]
    fn late_usage_moves_what_is_carried_over(
        first in prop::collection::vec(0_u32..25, 4), late in prop::collection::vec((0_usize..4, 0_u32..15, 0_usize..4), 0..4),
    ) {
        let mut issued: Vec<IssuedDocument> = Vec::new();
        let mut month: Month = "2026-01".parse().unwrap();
        // What is known when a month is drafted: all that came before its run.
        let known = |run: usize| {
            let mut calls = first.clone();
            for (month, more, _) in late.iter().filter(|(_, _, comes)| *comes < run) {
                calls[*month] += more;
            }
            calls
        };
        for run in 0..5 {
            let drafted = drafted("acme roll 2026-01-01.. UTC", month, &months(&known(run)), &issued);
            prop_assert!(drafted.blocked.is_empty() && drafted.unadjusted.is_empty(), "{:?}", drafted.unadjusted);
            for document in drafted.documents {
                let number = format!("B-{}", issued.len() + 1);
                issued.push(IssuedDocument { document, number, is_voided: false });
            }
            month = month.next();
        }
        let billed: i64 = issued.iter().map(|one| one.document.body.total_minor).sum();
        let mut bags: Vec<(usize, u32)> = Vec::new();
        let mut due = 0_u32;
        for (month, calls) in known(9).into_iter().enumerate() {
            bags.retain(|(since, _)| month <= since + 2);
            bags.push((month, 10));
            let mut rest = calls;
            for (_, units) in &mut bags {
                let taken = rest.min(*units);
                (*units, rest) = (*units - taken, rest - taken);
            }
            due += rest;
        }
        prop_assert_eq!(billed, i64::from(due) * 100);
    }
}
