//! `bill verify` over what is billed at another time than when it was used: flat prices in advance and once, trials,
//! included units that carry over, and a first period of which another system billed the begin. Late requests, a plan
//! that is left after it was billed in advance, and an opening that is put right adjust them. All of it holds as it
//! stands, and in a copy each changed thing turns its own invoice red, and names the line.

use std::sync::OnceLock;

use serde_json::Value;
use tollbook_schemas::tables::billing::INVOICE_LINE;
use tollbook_schemas::tables::catalog::CATALOG_FILE;
use tollbook_schemas::tables::{Row, access_log, partner_event};

use crate::courses::{JULY, JUNE, check, of_month, partners, requests};
use crate::folder::Folder;
use crate::verify::{change, ingest, verified};

type Event = (&'static str, &'static str, &'static str, &'static str);

/// What is known in June's run.
const EVENTS: &[Event] = &[
    // A first period in advance with units that change in it, a setup fee, and July.
    (
        "acme",
        "subscription.started",
        "2026-06-10T08:30:00Z",
        r#"{"subscription_id":"a1","plan_id":"ahead","quantity":"5"}"#,
    ),
    ("acme", "subscription.changed", "2026-06-20T12:00:00Z", r#"{"subscription_id":"a1","quantity":"8"}"#),
    // A trial that ends in July.
    (
        "bela",
        "subscription.started",
        "2026-06-15T10:00:00Z",
        r#"{"subscription_id":"b1","plan_id":"tried","time_zone":"Asia/Kathmandu"}"#,
    ),
    ("cora", "subscription.started", "2026-05-05T00:00:00Z", r#"{"subscription_id":"c1","plan_id":"roll"}"#),
    // Live in the middle of an hour of June, under a contract with a minimum.
    (
        "dora",
        "subscription.started",
        "2026-01-15T00:00:00Z",
        r#"{"subscription_id":"d1","plan_id":"live","quantity":"3"}"#,
    ),
    ("dora", "contract.signed", "2026-01-15T00:00:00Z", r#"{"contract_id":"deal"}"#),
    ("dora", "billing.started", "2026-06-01T00:00:00Z", r#"{"billing_starts_at":"2026-06-11T12:34:56Z"}"#),
    (
        "dora",
        "opening.recorded",
        "2026-06-11T12:34:56Z",
        r#"{"subscription_id":"d1","price_id":"base","quantity":"0.5"}"#,
    ),
    (
        "dora",
        "opening.recorded",
        "2026-06-11T12:34:56Z",
        r#"{"subscription_id":"d1","price_id":"ahead","quantity":"2"}"#,
    ),
    (
        "dora",
        "opening.recorded",
        "2026-06-11T12:34:56Z",
        r#"{"subscription_id":"d1","price_id":"once","quantity":"1"}"#,
    ),
    (
        "dora",
        "opening.recorded",
        "2026-06-11T12:34:56Z",
        r#"{"subscription_id":"d1","meter_id":"calls","quantity":"100"}"#,
    ),
    (
        "dora",
        "opening.recorded",
        "2026-06-11T12:34:56Z",
        r#"{"subscription_id":"d1","meter_id":"bytes","quantity":"4000.5","event_count":77}"#,
    ),
    (
        "dora",
        "opening.recorded",
        "2026-06-11T12:34:56Z",
        r#"{"subscription_id":"d1","meter_id":"held","quantity":"1234.5"}"#,
    ),
    // From a plan in arrears to one in advance where July begins in Berlin, under a contract with a minimum.
    ("ella", "subscription.started", "2026-06-02T10:00:00Z", r#"{"subscription_id":"e1","plan_id":"behind"}"#),
    ("ella", "contract.signed", "2026-06-20T00:00:00Z", r#"{"contract_id":"floor"}"#),
    ("ella", "subscription.changed", "2026-06-30T22:00:00Z", r#"{"subscription_id":"e1","plan_id":"ahead"}"#),
    // Nothing but flat prices, of other periods: a year, a quarter of which a part had run, weeks, another issuer in
    // July.
    ("acme", "subscription.started", "2026-06-15T10:00:00Z", r#"{"subscription_id":"a2","plan_id":"year"}"#),
    ("bela", "subscription.started", "2026-06-03T10:00:00Z", r#"{"subscription_id":"b2","plan_id":"week"}"#),
    (
        "cora",
        "subscription.started",
        "2026-06-05T12:00:00Z",
        r#"{"subscription_id":"c2","plan_id":"quarter","quantity":"3"}"#,
    ),
    ("ella", "subscription.started", "2026-06-10T00:00:00Z", r#"{"subscription_id":"e2","plan_id":"turned"}"#),
];

/// What is said behind June: a plan that is left and taken again, a pause, a week that is the last, an opening that was
/// wrong.
const LATER: &[Event] = &[
    ("acme", "subscription.changed", "2026-07-11T06:00:00Z", r#"{"subscription_id":"a1","plan_id":"behind"}"#),
    ("acme", "subscription.changed", "2026-07-25T00:00:00Z", r#"{"subscription_id":"a1","plan_id":"ahead"}"#),
    ("bela", "subscription.cancelled", "2026-07-15T10:00:00Z", r#"{"subscription_id":"b2","at":"end_of_period"}"#),
    ("bela", "subscription.paused", "2026-07-20T00:00:00Z", r#"{"subscription_id":"b1"}"#),
    ("bela", "subscription.resumed", "2026-07-24T09:00:00Z", r#"{"subscription_id":"b1"}"#),
    (
        "dora",
        "opening.recorded",
        "2026-07-02T00:00:00Z",
        r#"{"subscription_id":"d1","meter_id":"calls","quantity":"60"}"#,
    ),
];

fn record(folder: &Folder, events: &[Event]) {
    for (partner, event_type, at, data) in events {
        let of = ["--partner", partner, "--type", event_type, "--at", at, "--actor", "staff:ann", "--data", data];
        folder.run(&[&["partner", "record"][..], &of].concat()).done();
    }
}

/// June and July, issued by the real jobs.
fn books() -> &'static Folder {
    static BOOKS: OnceLock<Folder> = OnceLock::new();
    BOOKS.get_or_init(|| {
        let folder = Folder::new();
        // What late usage gives back waits for nobody here.
        folder.configure("[billing.hold]\ncredit_note = false\n");
        folder.write("catalog/catalog.toml", include_str!("verify/terms.toml"));
        folder.write("partners.csv", partners());
        folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
        record(&folder, EVENTS);
        ingest(&folder, "june.log", &requests(60, 1_777_939_200), 1_783_036_800);
        folder.run(&["aggregate", "--as-of", JUNE[3]]).done();
        for step in ["draft", "issue"] {
            folder.run(&[&["bill", step][..], &JUNE].concat()).done();
        }
        let configured = std::fs::read_to_string(folder.path("tollbook.toml")).unwrap();
        folder.write("tollbook.toml", configured.replace("2026-07-03T00:00:00Z", "2026-08-03T00:00:00Z"));
        record(&folder, LATER);
        ingest(&folder, "july.log", &requests(28, 1_783_123_200), 1_785_715_200);
        // Of June and of May, for everybody.
        ingest(&folder, "late.log", &requests(2, 1_781_827_300), 1_785_715_200);
        ingest(&folder, "later.log", &requests(1, 1_779_000_100), 1_785_715_200);
        folder.run(&["aggregate", "--as-of", JULY[3]]).done();
        for step in ["draft", "issue"] {
            folder.run(&[&["bill", step][..], &JULY].concat()).done();
        }
        folder
    })
}

/// The lines of a document, as `DESCRIPTION AMOUNT`, with the words of what they say beside it.
fn told(documents: &[(String, Value)], who: &str) -> Vec<String> {
    let all = documents.iter().filter(|(partner, _)| partner == who);
    let line = |line: &Value| {
        let words = ["due", "opening", "rollover"].into_iter().filter(|key| !line[*key].is_null());
        let words: Vec<String> = words.map(|key| format!(" {}", line[key].as_str().unwrap_or(key))).collect();
        format!("{} {}{}", line["description"].as_str().unwrap(), line["amount_minor"], words.concat())
    };
    all.flat_map(|(_, body)| body["lines"].as_array().unwrap().iter().map(line)).collect()
}

#[test]
fn what_is_billed_at_another_time_holds() {
    let folder = books();
    let (june, july) = (of_month(folder, "2026-06"), of_month(folder, "2026-07"));
    // What the books are here for is on them.
    for (documents, who, line) in [
        (&june, "acme", "Setup 9999 once"),
        (&june, "acme", "Desk 2170 in_advance"),
        (&june, "acme", "Desk 3100 in_advance"),
        (&june, "acme", "Fee of the year 36500 in_advance"),
        (&june, "bela", "Tried fee 0 in_advance"),
        (&june, "cora", "Fee of the quarter 9100 in_advance"),
        (&june, "cora", "Card 1200 once"),
        (&july, "ella", "Fee that turned 3100 in_advance"),
        (&june, "bela", "Tried start 500 once"),
        (&june, "dora", "Live base 2205 opening"),
        (&june, "ella", "Setup 9999 once"),
        // What was billed in advance is given back where the plan was left, and so is what was late taken off.
        (&july, "-acme", "Desk (adjustment of 2026-06) -2100 in_advance"),
        (&july, "ella", "Desk 3100 in_advance"),
    ] {
        let lines = told(documents, who);
        assert!(lines.iter().any(|told| told == line), "{line}: {who} has {lines:#?}");
    }
    for (documents, who, parts) in [
        (&june, "cora", ["Rolled calls ", "", " rollover"]),
        (&june, "cora", ["Rolled bytes ", "", " rollover"]),
        (&june, "dora", ["Live calls ", " opening", " rollover"]),
        (&june, "dora", ["Live ahead ", " in_advance", " opening"]),
        (&june, "dora", ["Agreed minimum ", "", ""]),
        (&july, "cora", ["Rolled calls (adjustment of 2026-06) ", "", " rollover"]),
        (&july, "dora", ["Live calls (adjustment of 2026-06) ", " opening", " rollover"]),
        (&july, "bela", ["Tried fee ", "", " in_advance"]),
        (&july, "-bela", ["Tried fee (adjustment of 2026-06) ", "", " in_advance"]),
        (&july, "ella", ["Floor ", "", ""]),
    ] {
        let lines = told(documents, who);
        let is_it = |told: &String| told.starts_with(parts[0]) && parts.iter().all(|part| told.contains(part));
        assert!(lines.iter().any(is_it), "{parts:?}: {who} has {lines:#?}");
    }
    let live =
        july.iter().filter(|(partner, _)| partner == "dora").flat_map(|(_, body)| body["lines"].as_array().unwrap());
    let carried: Vec<&Value> = live.map(|line| &line["rollover"]["from"]).filter(|from| from.is_array()).collect();
    assert!(carried.iter().any(|from| from[0]["span_start"] == "2026-06-11T12:34:56Z"), "{carried:?}");
    let bela = &june.iter().find(|(partner, _)| partner == "bela").unwrap().1;
    assert_eq!(bela["shadows"][0]["plan_id"], "ahead", "{bela}");
    for (month, documents) in [("2026-06", june), ("2026-07", july)] {
        let (verified, printed) = verified(folder, month, 0);
        assert_eq!(verified.len(), documents.len(), "{printed}");
        assert!(printed.lines().all(|line| line.starts_with("OK ")), "{printed}");
    }
}

/// Each row: what of a copy is changed, and what the invoices of June that it is on say first; the others hold.
#[test]
fn a_changed_term_turns_its_invoice_red_and_names_the_line() {
    let data = |row: &Row, from: &str, to: &str| {
        let changed = row.text("data").unwrap().replacen(from, to, 1);
        assert_ne!(Some(changed.as_str()), row.text("data"), "{from}");
        row.clone().with("data", changed)
    };
    let is = |row: &Row, partner: &str, event_type: &str, part: &str| {
        row.text("partner_id") == Some(partner)
            && row.text("event_type") == Some(event_type)
            && row.text("data").unwrap().contains(part)
    };
    // Each of another partner, so that one copy has them all.
    let copy = books().copy();
    change(&copy, &partner_event::TABLE, |row| {
        Some(match () {
            () if is(&row, "acme", "subscription.changed", "\"8\"") => data(&row, "\"8\"", "\"9\""),
            () if is(&row, "dora", "opening.recorded", "\"100\"") => data(&row, "\"100\"", "\"101\""),
            () if is(&row, "ella", "subscription.changed", "ahead") => return None,
            () => row,
        })
    });
    check(
        &copy,
        &[
            ("acme", "line 2 (Seats): quantity is 8, and re-derived 9"),
            ("dora", "(Live calls): amount_minor is "),
            ("ella", "line 3 (Setup): "),
        ],
    );
    // A request of May that is gone leaves one unit more to June.
    let copy = books().copy();
    change(&copy, &access_log::TABLE, |row| (row.text("event_id") != Some("cora-1777940600")).then_some(row));
    check(&copy, &[("cora", "(Rolled calls): amount_minor is ")]);
    // Terms of the catalog: whose invoice stands on none of them has its hash alone.
    let copy = books().copy();
    change(&copy, &CATALOG_FILE, |row| {
        let changed = row.text("text").unwrap().replacen("trial_days = 20", "trial_days = 16", 1);
        let changed = changed.replacen("amount = \"99.99\"", "amount = \"99.98\"", 1);
        let changed = changed.replacen("rollover_periods = 2", "rollover_periods = 1", 1);
        Some(row.with("text", changed.replacen("amount = \"49\"", "amount = \"48\"", 1)))
    });
    check(
        &copy,
        &[
            ("acme", "line 1 (Setup): amount_minor is 9999, and re-derived 9998"),
            ("bela", "(Tried fee): amount_minor is "),
            ("cora", "catalog_sha256 is "),
            ("dora", "(Live base): amount_minor is 2205, and re-derived 2160"),
            ("ella", "(Setup): amount_minor is 9999, and re-derived 9998"),
        ],
    );
    // A figure beside the document.
    let copy = books().copy();
    change(&copy, &INVOICE_LINE, |row| {
        let is_it = row.text("description") == Some("Live calls");
        let working =
            row.text("working").unwrap_or_default().replacen("\"quantity\":\"100\"", "\"quantity\":\"99\"", 1);
        Some(if is_it { row.with("working", working) } else { row })
    });
    check(&copy, &[("dora", "(Live calls): invoice_line.working is ")]);
}
