//! What changes or blocks one line, or one partner, is no reason for the others: each adjustment that it does not
//! concern is made, and `bill verify` holds. Each test was a month that billing or verify got wrong.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::courses::{HEAD, JULY, JUNE};
use crate::folder::Folder;
use crate::unadjusted::{AUGUST, AUGUST_END, CATALOG, JULY_END, JUNE_END, bill, clock, june_of, requests, told};
use crate::verify::{dated, ingest};

/// Products that only a gateway names.
const TILES: &str = "\n[[product]]\nid = \"tiles\"\nname = \"Tiles\"\nroutes = []\n";
const ROADS: &str = "\n[[product]]\nid = \"roads\"\nname = \"Roads\"\nroutes = []\n";

/// Plans without a price in advance, one with a matrix and one of another currency.
const PLANS: &str = r#"
[[meter]]
id = "regions"
name = "Calls by region"
unit = "call"
product = "maps"
aggregation = "count"
filter = "status = 299"
group_by = { region = "attributes['region']" }

[[plan]]
id = "plain"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Plain"
issuer = "acme-eu"
currency = "EUR"

[[plan.price]]
id = "base"
description = "Base"
model = "flat"
amount = "49"

[[plan.price]]
id = "calls"
description = "Calls"
meter = "calls"
model = "per_unit"
unit_price = "0.10"

[[plan.price]]
id = "regions"
description = "Regions"
meter = "regions"
model = "matrix"
dimensions = ["region"]
cells = [{ values = ["eu"], unit_price = "1" }]

[[plan]]
id = "dollars"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Dollars"
issuer = "acme-eu"
currency = "USD"

[[plan.price]]
id = "base"
description = "Base"
model = "flat"
amount = "59"
"#;

/// Credit notes wait for nobody.
const NO_HOLD: &str = "[billing.hold]\ncredit_note = false\n";

/// What the portal tells, in a file of a month's end.
fn say(folder: &Folder, month_end: u64, (partner, event_type, at, data): (&str, &str, &str, Value)) {
    let name = format!("{partner}-{event_type}.log");
    let event = json!({
        "specversion": "1.0", "id": name, "source": "/portal", "type": event_type, "time": at,
        "subject": format!("partner/{partner}"), "data": data,
    });
    dated(folder, &name, &event.to_string(), month_end);
    assert_eq!(folder.ingest(&name, "cloudevents"), (1, 0));
}

/// Requests with one more field.
fn with(requests: &str, field: &str, value: &Value) -> String {
    let changed = requests.lines().map(|line| {
        let mut request: Value = serde_json::from_str(line).unwrap();
        request[field] = value.clone();
        request.to_string()
    });
    changed.collect::<Vec<_>>().join("\n")
}

/// A copy of June, issued once: bela paid July in advance, cora pays for dora, ella has no profile, and of the calls of
/// finn the gateway named one to be of tiles and one of roads.
fn june() -> Folder {
    static ISSUED: OnceLock<Folder> = OnceLock::new();
    let issue = || {
        let folder = Folder::new();
        folder.configure(NO_HOLD);
        folder.write("catalog/catalog.toml", format!("{CATALOG}{TILES}{PLANS}"));
        let partner = |(partner, subscription, plan): (&str, &str, &str)| {
            format!(
                "{partner},{partner},,2026-05-01T00:00:00Z,{partner},2026-05-01T00:00:00Z,production,{subscription},\
                 {plan},,2026-06-01T00:00:00Z,{partner} Ltd,Street 1,DE,,billing@{partner}.example,,14\n"
            )
        };
        let billed = [("bela", "s1", "pro"), ("cora", "s2", "plain"), ("dora", "s3", "plain"), ("finn", "s4", "plain")];
        let ella = "ella,Ella,,2026-05-01T00:00:00Z,ella,2026-05-01T00:00:00Z,production,,,,,,,,,,,\n";
        folder.write("partners.csv", format!("{HEAD}{}{ella}", billed.map(partner).concat()));
        folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
        say(&folder, JUNE_END, ("dora", "payer.named", "2026-05-31T22:00:00Z", json!({ "payer_id": "cora" })));
        let named = |product: &str, day: &str| with(&requests(product, "finn", day, 1), "product", &json!(product));
        let text = [
            requests("b", "bela", "2026-06-11", 4),
            requests("f", "finn", "2026-06-10", 5),
            named("tiles", "2026-06-12"),
            named("roads", "2026-06-13"),
        ];
        ingest(&folder, "june.log", &text.join("\n"), JUNE_END);
        bill(&folder, &JUNE);
        folder
    };
    ISSUED.get_or_init(issue).copy()
}

/// A rate of one country from a day on, with a tax line for each line.
fn rate(country: &str, from: &str, percent: &str) -> String {
    let id = country.to_lowercase();
    format!(
        "\n[[tax_rate]]\nid = \"{id}\"\nversion = 1\neffective_from = \"{from}T00:00:00Z\"\nissuer = \"acme-eu\"\n\
         description = \"Tax\"\npercent = \"{percent}\"\ncountries = [\"{country}\"]\nlines = \"per_line\"\n"
    )
}

fn taxed_catalog() -> String {
    format!("{CATALOG}{}", rate("DE", "2026-01-01", "20"))
}

/// A copy of June with taxes, issued once: acme has 5 calls and bela 4, and both paid July in advance.
fn taxed_june() -> Folder {
    static ISSUED: OnceLock<Folder> = OnceLock::new();
    ISSUED.get_or_init(|| june_of(&taxed_catalog(), NO_HOLD)).copy()
}

/// Another profile of acme, that comes in July's run.
fn moves(folder: &Folder, street: &str, country: &str, from: &str) {
    clock(folder, JULY[3]);
    let text = format!(
        "partner_id,legal_name,address,country,billing_email,payment_terms_days,profile_from\n\
         acme,Acme Ltd,{street},{country},billing@acme.example,14,{from}\n"
    );
    folder.write("profile.csv", text);
    folder.run(&["partner", "import", "profile.csv", "--apply"]).done();
}

/// July comes to these documents, and each holds: `PARTNER TOTAL holds:  | notes`, the last note cut off at `…`.
#[track_caller]
fn assert_july(name: &str, folder: &Folder, july: &str, expected: &[&str]) {
    ingest(folder, "july.log", july, JULY_END);
    bill(folder, &JULY);
    let found = told(folder, "2026-07", 0);
    let is = |(found, expected): (&String, &&str)| match expected.strip_suffix('…') {
        Some(begin) => found.starts_with(begin),
        None => found == expected,
    };
    let is_all = found.len() == expected.len() && found.iter().zip(expected).all(is);
    assert!(is_all, "{name}: {found:#?} is not {expected:#?}");
}

/// A product that requests were named for comes or goes: that left out every line of June, the price in advance that
/// bela gets back too. It leaves out the lines of usage alone.
#[test]
fn a_product_that_requests_were_named_for_leaves_what_no_usage_made() {
    for (name, catalog, amount) in
        [("one comes", format!("{CATALOG}{TILES}{PLANS}{ROADS}"), -10), ("one goes", format!("{CATALOG}{PLANS}"), 10)]
    {
        let folder = june();
        folder.write("catalog/catalog.toml", catalog);
        let cancelled = json!({ "subscription_id": "s1" });
        say(&folder, JULY_END, ("bela", "subscription.cancelled", "2026-07-11T00:00:00Z", cancelled));
        let finn =
            format!("finn 4920 holds:  | 2026-06 {amount} the product of meter calls takes, or may take, other…");
        let expected = ["bela 0 holds:  | ", "bela -2032 holds:  | ", "cora 9800 holds:  | ", finn.as_str()];
        assert_july(name, &folder, &requests("july", "finn", "2026-07-10", 2), &expected);
    }
}

/// Who pays for finn is named late, and is blocked: June was given back to finn, and nobody was billed for it.
#[test]
fn a_new_payer_that_is_blocked_gives_no_month_back() {
    let folder = june();
    say(&folder, JULY_END, ("finn", "payer.named", "2026-05-31T22:00:00Z", json!({ "payer_id": "ella" })));
    let moved =
        "finn 0 holds:  | 2026-06 -4960 subscription s4 moved to another issuer, currency or payer after invoice …";
    let expected = ["bela 3000 holds:  | ", "cora 9800 holds:  | ", moved];
    assert_july("a new payer", &folder, &requests("july", "finn", "2026-07-10", 2), &expected);
}

/// A child that is blocked left out what is late of its payer too: cora's three calls are billed, dora's two wait.
#[test]
fn a_blocked_child_leaves_what_its_payer_used() {
    let folder = june();
    // It changes neither the plan nor the quantity.
    let nothing = json!({ "subscription_id": "s3" });
    say(&folder, JULY_END, ("dora", "subscription.changed", "2026-07-10T00:00:00Z", nothing));
    let late = [requests("late-c", "cora", "2026-06-20", 3), requests("late-d", "dora", "2026-06-20", 2)];
    ingest(&folder, "late.log", &late.join("\n"), JULY_END);
    let cora = "cora 4930 holds:  | 2026-06 null of dora, for whom it pays, it is not known: …";
    let expected = ["bela 3000 holds:  | ", cora, "finn 4920 holds:  | "];
    assert_july("a blocked child", &folder, &requests("july", "finn", "2026-07-10", 2), &expected);
}

/// A child that is blocked in July alone: cora's invoice of July bills what is late of dora's June, and verify could
/// not derive it.
#[test]
fn a_child_that_is_blocked_in_one_month_is_adjusted_in_another() {
    let folder = june();
    ingest(&folder, "late.log", &requests("late", "dora", "2026-06-20", 3), JULY_END);
    // The matrix has no cell for it.
    let us = with(&requests("us", "dora", "2026-07-11", 1), "status", &json!(299));
    let us = with(&us, "attributes", &json!({ "region": "us" }));
    let july = [requests("july", "finn", "2026-07-10", 2), us].join("\n");
    let expected = ["bela 3000 holds:  | ", "cora 4930 holds:  | ", "finn 4920 holds:  | "];
    assert_july("a child of July", &folder, &july, &expected);
}

/// Whom billing blocks has no document, and verify asked for one: finn moves to a plan of another currency within July,
/// acme to a country that has no tax rate.
#[test]
fn who_is_blocked_is_asked_for_no_document() {
    let folder = june();
    let dollars = json!({ "subscription_id": "s4", "plan_id": "dollars" });
    say(&folder, JULY_END, ("finn", "subscription.changed", "2026-07-10T00:00:00Z", dollars));
    let expected = ["bela 3000 holds:  | ", "cora 9800 holds:  | "];
    assert_july("another currency", &folder, &requests("july", "finn", "2026-07-10", 2), &expected);

    let folder = taxed_june();
    moves(&folder, "Street 1", "AT", "2026-07-15T00:00:00Z");
    let july = requests("july", "acme", "2026-07-10", 2);
    assert_july("another country", &folder, &july, &["bela 3600 holds:  | "]);
}

/// A tax line for each line, and August in advance is under another address than July's calls: verify derived one
/// profile for all lines of a rate.
#[test]
fn each_tax_line_has_the_profile_of_its_own_line() {
    let folder = taxed_june();
    moves(&folder, "Street 9", "DE", "2026-07-31T22:00:00Z");
    let july = requests("july", "acme", "2026-07-10", 2);
    assert_july("another address", &folder, &july, &["acme 3624 holds:  | ", "bela 3600 holds:  | "]);
}

/// June comes to less, its credit note is issued, and a rate of another country came: verify told that no document
/// gives it back.
#[test]
fn what_a_credit_note_gives_back_is_no_note() {
    let folder = taxed_june();
    folder.write("catalog/catalog.toml", format!("{}{}", taxed_catalog(), rate("AT", "2026-06-01", "10")));
    let expected = ["acme 3600 holds:  | ", "acme -24 holds:  | ", "bela 3600 holds:  | "];
    assert_july("a credit note", &folder, &taken_back("a", 2), &expected);
}

/// Retractions of the first requests of a name.
fn taken_back(name: &str, count: usize) -> String {
    let back = |number: usize| {
        json!({
            "event_id": format!("back-{name}-{number}"), "kind": "retraction",
            "corrects_event_id": format!("{name}-{number}"), "occurred_at": "2026-07-02T10:00:00Z",
        })
        .to_string()
    };
    (0..count).map(back).collect::<Vec<_>>().join("\n")
}

/// Finn is gone and has a credit note of July. A document of July that comes in August's run adjusts nothing any more,
/// and what is late of finn's June is August's to bill: verify asked July for it, since July's credit note had lines of
/// the same prices.
#[test]
fn what_comes_after_a_credit_note_is_asked_of_no_document_of_its_month() {
    let folder = june();
    let cancelled = json!({ "subscription_id": "s4" });
    say(&folder, JULY_END, ("finn", "subscription.cancelled", "2026-06-30T22:00:00Z", cancelled));
    let expected = ["bela 3000 holds:  | ", "cora 9800 holds:  | ", "finn -20 holds:  | "];
    assert_july("july", &folder, &taken_back("f", 2), &expected);
    let started = json!({ "subscription_id": "s5", "plan_id": "plain" });
    say(&folder, AUGUST_END, ("ella", "subscription.started", "2026-06-30T22:00:00Z", started));
    clock(&folder, AUGUST[3]);
    let profile = "partner_id,legal_name,address,country,billing_email,payment_terms_days,profile_from\n\
                   ella,Ella Ltd,Street 1,DE,billing@ella.example,14,2026-05-01T00:00:00Z\n";
    folder.write("profile.csv", profile);
    folder.run(&["partner", "import", "profile.csv", "--apply"]).done();
    ingest(&folder, "august.log", &requests("late", "finn", "2026-06-12", 10), AUGUST_END);
    for month in ["2026-07", "2026-08"] {
        bill(&folder, &["--period", month, "--as-of", AUGUST[3]]);
    }
    let found = told(&folder, "2026-07", 0);
    assert!(found.contains(&"ella 4900 holds:  | ".to_owned()), "{found:#?}");
    let note = found.iter().find(|told| told.starts_with("finn 0 holds:")).unwrap_or_else(|| panic!("{found:#?}"));
    assert!(note.contains("2026-06 100 ") && note.contains("no longer the last month"), "{note}");
    assert!(told(&folder, "2026-08", 0).contains(&"finn 100 holds:  | ".to_owned()));
}
