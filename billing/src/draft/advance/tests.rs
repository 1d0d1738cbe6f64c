use proptest::prelude::*;
use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::period::Month;
use tollbook_schemas::registry::Registry;

use super::super::tests::{CATALOG, at, profiles, registry, told, usage};
use super::super::{Drafted, TermsChanges, draft_adjusting};
use super::*;
use crate::billed::IssuedDocument;

/// Plans of 30.00 a month, prorated by day: in arrears, in advance, with a setup fee, with a trial; a year in advance,
/// with and without calls; and one that goes to another issuer.
fn catalog() -> Catalog {
    let plan = |id: &str, version: u32, from: &str, by: &str, rest: &str, price: &str| {
        format!(
            "[[plan]]\nid = \"{id}\"\nversion = {version}\neffective_from = \"{from}T00:00:00Z\"\nname = \"{id}\"\n{by}\n{rest}\n\
             price = [{price} {{ id = \"calls\", description = \"Calls\", model = \"per_unit\", meter = \"calls\", \
             unit_price = \"1\" }}]\n"
        )
    };
    let flat = |id: &str, amount: &str, settings: &str| {
        format!(
            "{{ id = \"{id}\", description = \"{id}\", model = \"flat\", amount = \"{amount}\", settings = {{ {settings} }} }},"
        )
    };
    let (berlin, tokyo) = ("issuer = \"berlin\"\ncurrency = \"EUR\"", "issuer = \"tokyo\"\ncurrency = \"JPY\"");
    let (ahead, behind) = ("proration = \"by_day\", due = \"in_advance\"", "proration = \"by_day\"");
    let yearly = "billing_period = \"yearly\"\nanchor = \"anniversary\"";
    let without_calls = |plan: &str| format!("{}]\n", plan.split(" { id = \"calls\"").next().unwrap());
    let text = [
        CATALOG.to_owned(),
        plan("behind", 1, "2026-01-01", berlin, "", &flat("base", "30", behind)),
        plan("ahead", 1, "2026-01-01", berlin, "", &flat("base", "30", ahead)),
        plan(
            "setup",
            1,
            "2026-01-01",
            berlin,
            "",
            &(flat("setup", "100", "charged = \"once\"") + &flat("base", "30", behind)),
        ),
        plan("tried", 1, "2026-01-01", berlin, "trial_days = 14", &flat("base", "30", behind)),
        plan("whole", 1, "2026-01-01", berlin, "trial_days = 14", &flat("base", "30", "proration = \"none\"")),
        plan("anniversary", 1, "2026-01-01", berlin, "anchor = \"anniversary\"", &flat("base", "30", ahead)),
        plan("year", 1, "2026-01-01", berlin, yearly, &flat("fee", "365", ahead)),
        without_calls(&plan("fee", 1, "2026-01-01", berlin, yearly, &flat("fee", "365", ahead))),
        plan("turned", 1, "2026-01-01", berlin, "", &flat("base", "30", ahead)),
        plan("turned", 2, "2026-07-01", tokyo, "", &flat("base", "3100", ahead)),
    ]
    .concat();
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap()
}

fn drafted(registry: &Registry, month: Month, usage_text: &str, issued: &[IssuedDocument]) -> Drafted {
    let (catalog, usage) = (catalog(), usage(usage_text));
    let as_of = at(&format!("{}-02", month.next()));
    let input = DraftInput {
        month,
        usage: &usage,
        registry,
        catalog: &catalog,
        profiles: &profiles(),
        pin_json: "{}",
        as_of,
        terms_changes: &TermsChanges::new(),
    };
    draft_adjusting(&input, issued).unwrap()
}

/// Who pays changes where a period begins, inside of a month: that period waits until it is over, so that no two payers
/// have the subscription on an invoice of one month.
#[test]
fn a_period_that_another_pays_for_from_inside_a_month_is_billed_when_it_is_over() {
    let id = |text: &str| tollbook_schemas::id::PartnerId::parse(text).unwrap();
    let mut registry = registry("acme; bolt anniversary 2026-05-15.. UTC");
    let payers = [(at("2026-07-15"), Some(id("acme")))].into();
    registry.set_payers([(id("bolt"), payers)].into());
    for (month, wanted) in [
        ("2026-06", "bolt berlin 30.00 EUR: calls 0 0, base 1 3000"),
        ("2026-07", "bolt berlin 0.00 EUR: calls 0 0"),
        ("2026-08", "acme berlin 60.00 EUR: base 1 3000, calls 0 0, base 1 3000"),
        ("2026-09", "acme berlin 30.00 EUR: calls 0 0, base 1 3000"),
    ] {
        let found = told(&drafted(&registry, month.parse().unwrap(), "", &[]));
        assert!(found.starts_with(wanted) && !found.contains('!'), "{month}: {found}");
    }
}

/// One row: subscriptions, month, what it comes to.
#[test]
fn flat_prices_are_billed_in_advance_and_once() {
    for (subscriptions, month, wanted) in [
        // With the first invoice its own part, 20 of 30 days, and July.
        ("acme ahead 2026-06-11.. UTC", "2026-06", "acme berlin 50.00 EUR: base 1 2000, calls 0 0, base 1 3000"),
        ("acme ahead 2026-06-11.. UTC", "2026-07", "acme berlin 30.00 EUR: calls 0 0, base 1 3000"),
        ("acme ahead 2026-06-01.. UTC", "2026-06", "acme berlin 60.00 EUR: base 1 3000, calls 0 0, base 1 3000"),
        ("acme ahead 2026-06-01.. UTC", "2026-05", "acme- no subscription runs in 2026-05"),
        // What is known to end is billed to its end: 10 of 31 days.
        ("acme ahead 2026-01-01..2026-07-11 UTC", "2026-06", "acme berlin 9.68 EUR: calls 0 0, base 1 968"),
        ("acme ahead 2026-01-01..2026-07-11 UTC", "2026-07", "acme berlin 0.00 EUR: calls 0 0"),
        ("acme ahead 2026-01-01..2026-07-01 UTC", "2026-06", "acme berlin 0.00 EUR: calls 0 0"),
        ("acme ahead 2026-01-01..2026-07-01 UTC", "2026-07", "acme- no subscription runs in 2026-07"),
        // To another plan within the month: its first part with this invoice; at the edge: as if it had always been
        // there.
        (
            "acme s1:behind 2026-01-01..2026-06-16 UTC; acme s1:ahead 2026-06-16.. UTC first=2026-01-01",
            "2026-06",
            "acme berlin 60.00 EUR: base 1 1500, calls 0 0, base 1 1500, calls 0 0, base 1 3000",
        ),
        (
            "acme s1:behind 2026-01-01..2026-07-01 UTC; acme s1:ahead 2026-07-01.. UTC first=2026-01-01",
            "2026-06",
            "acme berlin 60.00 EUR: base 1 3000, calls 0 0, base 1 3000",
        ),
        (
            "acme s1:behind 2026-01-01..2026-07-01 UTC; acme s1:ahead 2026-07-01.. UTC first=2026-01-01",
            "2026-07",
            "acme berlin 30.00 EUR: calls 0 0, base 1 3000",
        ),
        // A year, in the month in which it begins.
        ("acme year 2026-06-15.. UTC", "2026-06", "acme berlin 365.00 EUR: fee 1 36500"),
        (
            "acme year 2026-06-15.. UTC",
            "2026-07",
            "acme- no period of subscription s1 ends in 2026-07; its period [2026-06-15T00:00:00Z, 2027-06-15T00:00:00Z) is \
             billed in 2027-06; what is due in advance of it was billed in 2026-06",
        ),
        (
            "acme fee 2026-06-15.. UTC",
            "2026-07",
            "acme- no period of subscription s1 ends in 2026-07; its period [2026-06-15T00:00:00Z, 2027-06-15T00:00:00Z) was \
             billed in 2026-06, in advance",
        ),
        ("acme year 2026-06-15.. UTC", "2027-06", "acme berlin 365.00 EUR: calls 0 0, fee 1 36500"),
        // The next period is another issuer's: with that one's first invoice.
        ("acme turned 2026-01-01.. UTC", "2026-06", "acme berlin 0.00 EUR: calls 0 0"),
        ("acme turned 2026-01-01.. UTC", "2026-07", "acme tokyo 6200 JPY: base 1 3100, calls 0 0, base 1 3100"),
        // Once, whole, with the first invoice; not again where the plan comes back, and not for the time on another
        // plan.
        ("acme setup 2026-06-11.. UTC", "2026-06", "acme berlin 120.00 EUR: setup 1 10000, base 1 2000, calls 0 0"),
        ("acme setup 2026-06-11.. UTC", "2026-07", "acme berlin 30.00 EUR: base 1 3000, calls 0 0"),
        (
            "acme s1:behind 2026-01-01..2026-06-16 UTC; acme s1:setup 2026-06-16.. UTC first=2026-01-01",
            "2026-06",
            "acme berlin 130.00 EUR: base 1 1500, calls 0 0, setup 1 10000, base 1 1500, calls 0 0",
        ),
        (
            "acme s1:setup 2026-01-01..2026-03-01 UTC; acme s1:behind 2026-03-01..2026-06-16 UTC first=2026-01-01; \
             acme s1:setup 2026-06-16.. UTC first=2026-01-01",
            "2026-06",
            "acme berlin 30.00 EUR: base 1 1500, calls 0 0, base 1 1500, calls 0 0",
        ),
        // A trial of 14 days, the first of which is that of the start; usage is charged.
        ("acme tried 2026-06-11T15:00.. UTC", "2026-06", "acme berlin 6.00 EUR: base 1 600, calls 0 0"),
        ("acme tried 2026-06-21.. UTC", "2026-06", "acme berlin 0.00 EUR: base 1 0, calls 0 0"),
        ("acme tried 2026-06-21.. UTC", "2026-07", "acme berlin 26.13 EUR: base 1 2613, calls 0 0"),
        ("acme whole 2026-06-21.. UTC", "2026-06", "acme berlin 0.00 EUR: base 1 0, calls 0 0"),
        ("acme whole 2026-06-21.. UTC", "2026-07", "acme berlin 30.00 EUR: base 1 3000, calls 0 0"),
    ] {
        let found = drafted(&registry(subscriptions), month.parse().unwrap(), "", &[]);
        assert_eq!(told(&found), wanted, "{subscriptions} in {month}");
    }
}

#[test]
fn a_line_says_that_it_is_early_and_of_which_period() {
    let found = drafted(
        &registry("acme setup 2026-06-11.. UTC; acme ahead 2026-01-01..2026-06-11 UTC"),
        "2026-06".parse().unwrap(),
        "",
        &[],
    );
    let due: Vec<_> = found.documents[0].body.lines.iter().map(|line| line.due.as_deref()).collect();
    assert_eq!(due, [Some("once"), None, None, None]);
    let found = drafted(&registry("acme ahead 2026-01-01.. UTC"), "2026-06".parse().unwrap(), "", &[]);
    let line = &found.documents[0].body.lines[1];
    assert_eq!(
        (line.due.as_deref(), line.span_start, line.span_end),
        (Some("in_advance"), at("2026-07-01"), at("2026-08-01"))
    );
    assert!(found.documents[0].text.contains(r#""description":"base","due":"in_advance","line_number":2"#));
}

proptest! {
    /// A life of a subscription, month by month: what is said of it is said at some time and may hold from before it.
    /// All that is billed and given back comes to the same, in advance and in arrears.
    #[test]
    fn in_advance_and_in_arrears_bill_the_same_in_the_end(
        start in 1_u32..=30, end in (7_u32..=10, 1_u32..=30), end_said in 0_u32..=6,
        pause in (7_u32..=10, 1_u32..=20, 1_u32..=40), pause_said in 0_u32..=6,
    ) {
        let of_plan = |plan: &str| {
            let mut issued: Vec<IssuedDocument> = Vec::new();
            let mut month: Month = "2026-06".parse().unwrap();
            for run in 0..=7_u32 {
                let until = if run >= end_said { format!("2026-{:02}-{:02}", end.0, end.1) } else { String::new() };
                let from = at(&format!("2026-{:02}-{:02}", pause.0, pause.1));
                let back = (from + TimeDelta::days(i64::from(pause.2))).format("%Y-%m-%d").to_string();
                let paused = if run >= pause_said { format!(" paused={}/{back}", from.format("%Y-%m-%d")) } else { String::new() };
                let registry = registry(&format!("acme {plan} 2026-06-{start:02}..{until} UTC{paused}"));
                let drafted = drafted(&registry, month, "", &issued);
                assert!(drafted.blocked.is_empty() && drafted.unadjusted.is_empty(), "{:?}", drafted.unadjusted);
                for document in drafted.documents {
                    let number = format!("B-{}", issued.len() + 1);
                    issued.push(IssuedDocument { document, number, is_voided: false });
                }
                month = month.next();
            }
            issued.iter().map(|one| one.document.body.total_minor).sum::<i64>()
        };
        prop_assert_eq!(of_plan("ahead"), of_plan("behind"));
    }
}
