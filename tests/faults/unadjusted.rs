//! `bill verify` over what earlier months come to: a difference that was known when an invoice was drafted, and that no
//! document bills, is told. It is a difference where the product would have billed it, and a note with its amount where
//! a rule leaves it out. What came too late to be known is neither.

use serde_json::{Value, json};
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT};
use tollbook_schemas::tables::{Row, access_log, partner_event};

use crate::courses::{JULY, JUNE};
use crate::folder::Folder;
use crate::verify::{change, ingest, verified, while_changed};

pub(crate) const AUGUST: [&str; 4] = ["--period", "2026-08", "--as-of", "2026-09-03T00:00:00Z"];

pub(crate) const CATALOG: &str = r#"
[[issuer]]
id = "acme-eu"
legal_name = "Acme APIs GmbH"
address = ["Torstraße 1", "10119 Berlin"]
tax_id = "DE000000000"
number_prefix = "AC-"
time_zone = "Europe/Berlin"
payment_terms_days = 14

[[product]]
id = "maps"
name = "Maps"
routes = ["/maps/"]

[[meter]]
id = "calls"
name = "Calls"
unit = "call"
product = "maps"
aggregation = "count"

[[plan]]
id = "pro"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Pro"
issuer = "acme-eu"
currency = "EUR"

[[plan.price]]
id = "base"
description = "Base"
model = "flat"
amount = "30"
settings = { due = "in_advance", proration = "by_day" }

[[plan.price]]
id = "calls"
description = "Calls"
meter = "calls"
model = "per_unit"
unit_price = "0.10"
"#;

pub(crate) const PARTNERS: &str = "\
partner_id,display_name,segment,registered_at,consumer,consumer_from,environment,subscription_id,plan_id,time_zone,\
subscription_from,legal_name,address,country,tax_id,billing_email,purchase_order,payment_terms_days
acme,Acme,,2026-05-01T00:00:00Z,acme,2026-05-01T00:00:00Z,production,s1,pro,,2026-06-01T00:00:00Z,Acme Ltd,\
Street 1,DE,,billing@acme.example,,14
bela,Bela,,2026-05-01T00:00:00Z,bela,2026-05-01T00:00:00Z,production,s2,pro,,2026-06-01T00:00:00Z,Bela Ltd,\
Street 2,DE,,billing@bela.example,,14
";

/// Requests of a consumer on a day, as many as are said.
pub(crate) fn requests(name: &str, consumer: &str, day: &str, count: usize) -> String {
    let line = |number| {
        json!({
            "event_id": format!("{name}-{number}"), "occurred_at": format!("{day}T10:{number:02}:00Z"), "status": 200,
            "path": "/maps/1", "consumer": consumer, "environment": "production",
        })
        .to_string()
    };
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}

pub(crate) fn clock(folder: &Folder, at: &str) {
    let configured = std::fs::read_to_string(folder.path("tollbook.toml")).unwrap();
    let begin = configured.find("fixed = ").unwrap();
    let end = begin + configured[begin..].find('\n').unwrap();
    folder.write("tollbook.toml", configured.replace(&configured[begin..end], &format!("fixed = \"{at}\"")));
}

/// Closes a month: what came is counted, drafted and issued.
pub(crate) fn bill(folder: &Folder, month: &[&str; 4]) {
    clock(folder, month[3]);
    folder.run(&["aggregate", "--as-of", month[3]]).done();
    for step in ["draft", "issue"] {
        folder.run(&[&["bill", step][..], month].concat()).done();
    }
}

fn record(folder: &Folder, (partner, event_type, at, data): (&str, &str, &str, &str)) {
    clock(folder, JULY[3]);
    let of = ["--partner", partner, "--type", event_type, "--at", at, "--actor", "staff:ann", "--data", data];
    folder.run(&[&["partner", "record"][..], &of].concat()).done();
}

pub(crate) const JUNE_END: u64 = 1_783_036_800;
pub(crate) const JULY_END: u64 = 1_785_715_200;
pub(crate) const AUGUST_END: u64 = 1_788_393_600;

/// June, issued: acme has 5 calls and bela 4.
fn june(more: &str) -> Folder {
    june_of(CATALOG, more)
}

pub(crate) fn june_of(catalog: &str, more: &str) -> Folder {
    let folder = Folder::new();
    folder.configure(more);
    folder.write("catalog/catalog.toml", catalog);
    folder.write("partners.csv", PARTNERS);
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    let text = format!("{}\n{}", requests("a", "acme", "2026-06-10", 5), requests("b", "bela", "2026-06-11", 4));
    ingest(&folder, "june.log", &text, JUNE_END);
    bill(&folder, &JUNE);
    folder
}

/// What is told of the documents of a month: `PARTNER TOTAL VERDICT: differences | notes`.
pub(crate) fn told(folder: &Folder, month: &str, code: i32) -> Vec<String> {
    let (parsed, printed) = verified(folder, month, code);
    let line = |one: &Value| {
        let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
        let differences = one["differences"].as_array().unwrap().iter().map(|difference| {
            let line = difference["line_number"].as_i64().map(|line| format!("line {line}, ")).unwrap_or_default();
            let (field, note) = (text(&difference["field"]), text(&difference["note"]));
            format!("{line}{}{field}: {note}", text(&difference["description"]))
        });
        let notes = one["unadjusted"]
            .as_array()
            .unwrap()
            .iter()
            .map(|note| format!("{} {} {}", text(&note["month"]), note["amount_minor"], text(&note["reason"])));
        let (differences, notes): (Vec<_>, Vec<_>) = (differences.collect(), notes.collect());
        for note in &notes {
            let words = note.splitn(3, ' ').last().unwrap();
            let begins = ["\n  note: 2026-", "\n  note: what 2026-"];
            assert!(begins.iter().any(|begin| printed.contains(begin)) && printed.contains(words), "{printed}");
        }
        let (partner, total) = (text(&one["partner_id"]), &one["total_minor"]);
        format!("{partner} {total} {}: {} | {}", text(&one["verdict"]), differences.join("; "), notes.join("; "))
    };
    parsed.iter().map(line).collect()
}

#[track_caller]
fn assert_told(found: &[String], expected: &[&str]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        let parts: Vec<&str> = expected.split('…').collect();
        assert!(
            parts.iter().all(|part| found.contains(part)) && found.starts_with(parts[0]),
            "{expected} is not {found}"
        );
    }
}

/// Three late calls of June, of a consumer that was nobody's when July was drafted: July holds. Where they were acme's
/// all the time, its invoice of July lacks 0.30, and so does that of August, which was asked for nothing else.
#[test]
fn an_adjustment_that_is_missing_is_a_difference() {
    let folder = june("");
    let july = [requests("c", "acme", "2026-07-10", 6), requests("d", "bela", "2026-07-10", 2)].join("\n");
    ingest(&folder, "july.log", &july, JULY_END);
    ingest(&folder, "late.log", &requests("late", "nobody", "2026-06-20", 3), JULY_END);
    bill(&folder, &JULY);
    ingest(&folder, "august.log", &requests("e", "acme", "2026-08-10", 1), AUGUST_END);
    bill(&folder, &AUGUST);
    let copy = folder.copy();
    let holds = ["acme 3060 holds:  | ", "bela 3020 holds:  | "];
    assert_told(&told(&copy, "2026-07", 0), &holds);
    let late = |row: Row| {
        let is_late = row.text("event_id").is_some_and(|id| id.starts_with("late-"));
        Some(if is_late { row.with("consumer", "acme") } else { row })
    };
    while_changed(&copy, &access_log::TABLE, late, || {
        // What June was billed by was drafted before they came.
        assert_told(&told(&copy, "2026-06", 0), &["acme 6050 holds:  | ", "bela 6040 holds:  | "]);
        let missing = "acme 3060 differs: line 3, Calls (adjustment of 2026-06)line: the invoice does not have it | ";
        assert_told(&told(&copy, "2026-07", 3), &[missing, holds[1]]);
        // August's was asked for what became known behind July's.
        assert_told(&told(&copy, "2026-08", 0), &["acme 3010 holds:  | ", "bela 3000 holds:  | "]);
    });
    // A late retraction that bears nobody's name, of one of bela's requests.
    let again = |row: Row| {
        let is_one = row.text("event_id") == Some("late-0");
        Some(if is_one { row.with("kind", "retraction").with("corrects_event_id", "b-1") } else { row })
    };
    while_changed(&copy, &access_log::TABLE, again, || {
        let less = "bela 3020 differs: adjusts: 2026-06 comes to 0.10 EUR less at this pin, and no credit note of 2026-07 gives it";
        assert_told(&told(&copy, "2026-07", 3), &[holds[0], less]);
    });
    assert_told(&told(&copy, "2026-07", 0), &holds);
}

/// Deliveries, in whatever order they came, adjust July; the document that bills them holds, and without its line it
/// does not.
#[test]
fn what_is_adjusted_holds() {
    let folder = june("[billing.hold]\ncredit_note = false\n");
    ingest(&folder, "late.log", &requests("late", "acme", "2026-06-20", 3), JULY_END);
    record(&folder, ("bela", "subscription.cancelled", "2026-07-11T00:00:00Z", r#"{"subscription_id":"s2"}"#));
    bill(&folder, &JULY);
    assert_told(&told(&folder, "2026-07", 0), &["acme 3030 holds:  | ", "bela 0 holds:  | ", "bela -2032 holds:  | "]);
    // In August bela has no document: what is late of it makes one, and is missed where there is none.
    ingest(&folder, "later.log", &requests("later", "nobody", "2026-06-21", 3), AUGUST_END);
    bill(&folder, &AUGUST);
    assert_told(&told(&folder, "2026-08", 0), &["acme 3000 holds:  | "]);
    let copy = folder.copy();
    let later = |row: Row| {
        let is_later = row.text("event_id").is_some_and(|id| id.starts_with("later-"));
        Some(if is_later { row.with("consumer", "bela") } else { row })
    };
    while_changed(&copy, &access_log::TABLE, later, || {
        let missing =
            "bela 0 differs: document: 2026-06 comes to 0.30 EUR more at this pin, and no document of 2026-08 bills it";
        assert_told(&told(&copy, "2026-08", 3), &["acme 3000 holds:  | ", missing]);
        assert_told(
            &told(&copy, "2026-07", 0),
            &["acme 3030 holds:  | ", "bela 0 holds:  | ", "bela -2032 holds:  | "],
        );
    });
    // The credit note is gone, with everything that was kept of it.
    let copy = folder.copy();
    let note = |row: &Row| row.int("total_minor").is_some_and(|total| total < 0);
    let id = folder.rows(&INVOICE).iter().find(|row| note(row)).unwrap().text("invoice_id").unwrap().to_owned();
    change(&copy, &INVOICE_EVENT, |row| (row.text("invoice_id") != Some(&id)).then_some(row));
    let waits = "bela 0 holds:  | 2026-06 -2032 its credit note of 2026-07 was drafted and is not issued";
    assert_told(&told(&copy, "2026-07", 0), &["acme 3030 holds:  | ", waits]);
    change(&copy, &INVOICE, |row| (!note(&row)).then_some(row));
    let gone = "bela 0 differs: adjusts: 2026-06 comes to 20.32 EUR less at this pin, and no credit note of 2026-07 gives it back";
    assert_told(&told(&copy, "2026-07", 3), &["acme 3030 holds:  | ", gone]);
}

/// Each row: what keeps the product from billing three late calls of June, and the note that stands in their place.
#[test]
fn what_a_rule_leaves_out_is_a_note() {
    type Change = fn(&Folder);
    let rules: [(&str, Change, &str); 4] = [
        (
            "another product takes some of the requests",
            |folder| {
                let more = "\n[[product]]\nid = \"tiles\"\nname = \"Tiles\"\nroutes = [\"/maps/tiles/\"]\n";
                folder.write("catalog/catalog.toml", format!("{CATALOG}{more}"));
            },
            "2026-06 30 the product of meter calls takes, or may take, other requests since invoice AC-000001 was drafted",
        ),
        (
            "a tax from before",
            |folder| {
                let more = "\n[[tax_rate]]\nid = \"vat\"\nversion = 1\neffective_from = \"2026-06-01T00:00:00Z\"\n\
                            issuer = \"acme-eu\"\ndescription = \"VAT\"\npercent = \"19\"\n";
                folder.write("catalog/catalog.toml", format!("{CATALOG}{more}"));
            },
            "the tax rates of issuer acme-eu from 2026-06-01",
        ),
        (
            "a version that is backdated",
            |folder| {
                let begin = CATALOG.find("[[plan]]").unwrap();
                let more = CATALOG[begin..].replace("version = 1", "version = 2").replace("\"0.10\"", "\"0.20\"");
                let more = more.replace("2026-01-01", "2026-05-30");
                folder.write("catalog/catalog.toml", format!("{CATALOG}{more}"));
            },
            "version 2 of plan pro would price it now, and version 1 did",
        ),
        (
            "an issuer that adjusts nothing",
            |folder| {
                let changed =
                    CATALOG.replace("payment_terms_days = 14", "payment_terms_days = 14\nadjust_months_max = 0");
                folder.write("catalog/catalog.toml", changed);
            },
            "2026-06 30 issuer acme-eu adjusts invoices of the last 0 months only (adjust_months_max)",
        ),
    ];
    let june = june("");
    for (name, change, note) in rules {
        let folder = june.copy();
        change(&folder);
        ingest(&folder, "late.log", &requests("late", "acme", "2026-06-20", 3), JULY_END);
        ingest(&folder, "july.log", &requests("c", "bela", "2026-07-10", 2), JULY_END);
        bill(&folder, &JULY);
        let found = told(&folder, "2026-07", 0);
        assert!(
            found[0].contains(note) && found[0].starts_with("acme") && found[0].contains(" holds:  | "),
            "{name}: {found:#?}"
        );
    }
}

/// The same for what was said: an event that was known, and makes another month of June.
#[test]
fn a_registry_that_says_otherwise_is_asked_for_too() {
    let folder = june("");
    record(&folder, ("bela", "subscription.cancelled", "2026-07-31T22:00:00Z", r#"{"subscription_id":"s2"}"#));
    ingest(&folder, "july.log", &requests("c", "acme", "2026-07-10", 6), JULY_END);
    bill(&folder, &JULY);
    assert_told(&told(&folder, "2026-07", 0), &["acme 3060 holds:  | ", "bela 0 holds:  | "]);
    // Left on 11 July and not at its end: July was billed in advance by June's run.
    change(&folder, &partner_event::TABLE, |row| {
        let is_it = row.text("event_type") == Some("subscription.cancelled");
        let earlier = tollbook_schemas::period::parse_instant("2026-07-10T22:00:00Z").unwrap();
        Some(if is_it { row.with("occurred_at", earlier) } else { row })
    });
    let found = told(&folder, "2026-07", 3);
    assert!(found[1].contains("adjusts: 2026-06 comes to 20.32 EUR less at this pin"), "{found:#?}");
}

/// A tax rate that none of a month's lines gets changed: that is no reason to leave out what the month comes to.
#[test]
fn a_tax_rate_of_others_ends_no_adjustment() {
    let rate = |id: &str, country: &str, percent: &str| {
        format!(
            "\n[[tax_rate]]\nid = \"{id}\"\nversion = 1\neffective_from = \"2026-01-01T00:00:00Z\"\nissuer = \"acme-eu\"\n\
             description = \"Tax\"\npercent = \"{percent}\"\ncountries = [\"{country}\"]\n"
        )
    };
    let catalog = |percent: &str| format!("{CATALOG}{}{}", rate("vat", "DE", "20"), rate("other", "FR", percent));
    let folder = june_of(&catalog("5"), "");
    folder.write("catalog/catalog.toml", catalog("6"));
    ingest(&folder, "late.log", &requests("late", "acme", "2026-06-20", 3), JULY_END);
    ingest(&folder, "later.log", &requests("later", "nobody", "2026-06-21", 5), JULY_END);
    bill(&folder, &JULY);
    assert_told(&told(&folder, "2026-07", 0), &["acme 3636 holds:  | ", "bela 3600 holds:  | "]);
    let later = |row: Row| {
        let is_later = row.text("event_id").is_some_and(|id| id.starts_with("later-"));
        Some(if is_later { row.with("consumer", "bela") } else { row })
    };
    while_changed(&folder, &access_log::TABLE, later, || {
        let found = told(&folder, "2026-07", 3);
        assert!(found[1].starts_with("bela 3600 differs: ") && found[1].ends_with(" | "), "{found:#?}");
    });
}
