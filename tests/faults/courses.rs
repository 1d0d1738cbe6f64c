//! `bill verify` over what a subscription may go through: units that change, a pause, a term that ends, an end that
//! waits, periods of a week and of a quarter, a contract with a minimum, lines by hand, late ones and a credit note. It
//! holds as it stands, and in a copy each changed thing turns its own invoice red, and no other.

use std::sync::OnceLock;

use serde_json::{Value, json};
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT};
use tollbook_schemas::tables::catalog::CATALOG_FILE;
use tollbook_schemas::tables::{Row, partner_event};

use crate::folder::Folder;
use crate::verify::{change, ingest, verified};

pub(crate) const HEAD: &str = "\
partner_id,display_name,segment,registered_at,consumer,consumer_from,environment,subscription_id,plan_id,time_zone,\
subscription_from,legal_name,address,country,tax_id,billing_email,purchase_order,payment_terms_days
";

/// What each partner goes through.
const EVENTS: &[(&str, &str, &str, &str)] = &[
    // Units that change twice, and a pause that begins and ends inside hours.
    (
        "acme",
        "subscription.started",
        "2026-05-10T08:30:00Z",
        r#"{"subscription_id":"a1","plan_id":"seats","quantity":"5"}"#,
    ),
    ("acme", "subscription.changed", "2026-06-11T09:09:09Z", r#"{"subscription_id":"a1","quantity":"8"}"#),
    ("acme", "subscription.changed", "2026-06-25T00:00:00Z", r#"{"subscription_id":"a1","quantity":"2.5"}"#),
    ("acme", "subscription.paused", "2026-06-18T10:20:30Z", r#"{"subscription_id":"a1"}"#),
    ("acme", "subscription.resumed", "2026-06-21T23:40:00Z", r#"{"subscription_id":"a1"}"#),
    // Two plans and a contract of the second one, in force where it begins.
    ("bela", "subscription.started", "2026-05-01T00:00:00Z", r#"{"subscription_id":"b1","plan_id":"week"}"#),
    ("bela", "contract.signed", "2026-05-20T00:00:00Z", r#"{"contract_id":"deal"}"#),
    ("bela", "subscription.changed", "2026-06-10T12:34:56Z", r#"{"subscription_id":"b1","plan_id":"seats"}"#),
    // An anniversary on a 15th.
    ("cora", "subscription.started", "2026-03-15T15:15:15Z", r#"{"subscription_id":"c1","plan_id":"quarter"}"#),
    // A term that nobody renews, in weeks.
    (
        "dora",
        "subscription.started",
        "2026-05-17T10:00:00Z",
        r#"{"subscription_id":"d1","plan_id":"week","time_zone":"Asia/Kathmandu","term_months":1,"renewal":"none"}"#,
    ),
    // A cancellation that waits for the week to end.
    ("ella", "subscription.started", "2026-06-02T10:00:00Z", r#"{"subscription_id":"e1","plan_id":"week"}"#),
    ("ella", "subscription.cancelled", "2026-06-17T10:00:00Z", r#"{"subscription_id":"e1","at":"end_of_period"}"#),
];

/// One request in two and a half hours of each consumer, from 2026-05-05 on.
pub(crate) fn requests(days: i64, from: i64) -> String {
    let mut lines = Vec::new();
    for (number, consumer) in ["acme", "bela", "cora", "dora", "ella"].into_iter().enumerate() {
        for at in 0..days * 24 * 60 / 150 {
            let second = from + at * 9_000 + i64::try_from(number).unwrap() * 700;
            let instant = chrono::DateTime::from_timestamp(second, 0).unwrap().to_rfc3339();
            lines.push(
                json!({
                    "event_id": format!("{consumer}-{second}"), "occurred_at": instant, "status": 200, "path": "/maps/1",
                    "response_bytes": (at * 37) % 91, "consumer": consumer, "environment": "production",
                })
                .to_string(),
            );
        }
    }
    lines.join("\n")
}

pub(crate) const JUNE: [&str; 4] = ["--period", "2026-06", "--as-of", "2026-07-03T00:00:00Z"];
pub(crate) const JULY: [&str; 4] = ["--period", "2026-07", "--as-of", "2026-08-03T00:00:00Z"];
const ANN: [&str; 2] = ["--actor", "staff:ann"];

fn by_hand(folder: &Folder, arguments: &[&str]) -> String {
    let ran = folder.run(&[&["--json", "bill", "adjust"][..], arguments, &ANN].concat());
    ran.json()["adjustment_id"].as_str().unwrap().to_owned()
}

/// The number of a partner's invoice of June.
fn number_of(folder: &Folder, partner: &str) -> String {
    let issued = folder.rows(&INVOICE_EVENT);
    let of_partner = issued.iter().find(|row| row.text("partner_id") == Some(partner) && row.text("number").is_some());
    of_partner.unwrap().text("number").unwrap().to_owned()
}

/// Rates of every kind: two versions in one month, one for a country, one that amounts contain, for each line.
const TAX: &str = r#"
[[tax_rate]]
id = "standard"
version = 1
effective_from = "2026-01-01T00:00:00Z"
issuer = "acme-eu"
description = "VAT 19 %"
percent = "19"

[[tax_rate]]
id = "standard"
version = 2
effective_from = "2026-06-15T00:00:00Z"
issuer = "acme-eu"
description = "VAT 21 %"
percent = "21"

[[tax_rate]]
id = "reverse"
version = 1
effective_from = "2026-01-01T00:00:00Z"
issuer = "acme-eu"
description = "Reverse charge"
percent = "0"
countries = ["FR"]
customer_tax_id = true

[[tax_rate]]
id = "inside"
version = 1
effective_from = "2026-01-01T00:00:00Z"
issuer = "acme-eu"
description = "Contained VAT"
percent = "7"
countries = ["AT"]
mode = "inclusive"
lines = "per_line"
"#;

/// June and July, issued by the real jobs.
fn books() -> &'static Folder {
    static BOOKS: OnceLock<Folder> = OnceLock::new();
    BOOKS.get_or_init(|| issued(""))
}

/// Five partners with a consumer each: in Germany, one in France with a tax id, one in Austria.
pub(crate) fn partners() -> String {
    let row = |partner: &str| {
        let place = match partner {
            "bela" => "FR,FR00",
            "cora" => "AT,",
            _ => "DE,",
        };
        format!(
            "{partner},{partner},,2026-03-01T00:00:00Z,{partner},2026-03-01T00:00:00Z,production,,,,,{partner} Ltd,\
                 Street 1,{place},billing@{partner}.example,,14\n"
        )
    };
    let rows: String = ["acme", "bela", "cora", "dora", "ella"].map(row).concat();
    format!("{HEAD}{rows}")
}

/// With more in the catalog.
fn issued(more: &str) -> Folder {
    let folder = Folder::new();
    folder.write("catalog/catalog.toml", format!("{}{more}", include_str!("verify/courses.toml")));
    folder.write("partners.csv", partners());
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    for (partner, event_type, at, data) in EVENTS {
        let of = ["--partner", partner, "--type", event_type, "--at", at, "--actor", "staff:ann", "--data", data];
        folder.run(&[&["partner", "record"][..], &of].concat()).done();
    }
    let workshop = ["--partner", "acme", "--period", "2026-06", "--amount", "20.5", "--currency", "EUR"];
    let workshop = by_hand(&folder, &[&workshop[..], &["--description", "Workshop", "--reason", "order 17"]].concat());
    let goodwill = ["--partner", "ella", "--period", "2026-06", "--amount=-1.34", "--currency", "EUR"];
    by_hand(&folder, &[&goodwill[..], &["--description", "Goodwill", "--reason", "outage"]].concat());
    ingest(&folder, "june.log", &requests(60, 1_777_939_200), 1_783_036_800);
    folder.run(&["aggregate", "--as-of", JUNE[3]]).done();
    for step in ["draft", "issue"] {
        folder.run(&[&["bill", step][..], &JUNE].concat()).done();
    }
    // Behind June: one line is taken back, one comes late, one credits June's invoice; and late rows.
    let configured = std::fs::read_to_string(folder.path("tollbook.toml")).unwrap();
    folder.write("tollbook.toml", configured.replace("2026-07-03T00:00:00Z", "2026-08-03T00:00:00Z"));
    by_hand(&folder, &["--partner", "acme", "--revoke", &workshop, "--reason", "it never was"]);
    let late = ["--partner", "cora", "--period", "2026-06", "--amount", "12", "--currency", "EUR"];
    by_hand(&folder, &[&late[..], &["--description", "Late", "--reason", "forgotten"]].concat());
    let number = number_of(&folder, "bela");
    let credit = ["--partner", "bela", "--period", "2026-06", "--amount=-33.33", "--currency", "EUR"];
    let credit = [&credit[..], &["--for-invoice", &number, "--description", "Credit", "--reason", "dispute"]].concat();
    by_hand(&folder, &credit);
    ingest(&folder, "july.log", &requests(28, 1_783_123_200), 1_785_715_200);
    // Of June, for everybody: an hour of acme's pause too.
    ingest(&folder, "late.log", &requests(2, 1_781_827_300), 1_785_715_200);
    folder.run(&["aggregate", "--as-of", JULY[3]]).done();
    for step in ["draft", "issue"] {
        folder.run(&[&["bill", step][..], &JULY].concat()).done();
    }
    folder
}

/// The documents of a month by partner; a credit note behind `-`.
pub(crate) fn of_month(folder: &Folder, month: &str) -> Vec<(String, Value)> {
    let rows = folder.rows(&INVOICE);
    let of_month = rows.iter().filter(|row| row.text("period") == Some(month));
    let parsed = of_month.map(|row| {
        let body: Value = serde_json::from_str(row.text("document").unwrap()).unwrap();
        let dash = if body["kind"].is_null() { "" } else { "-" };
        (format!("{dash}{}", body["partner_id"].as_str().unwrap()), body)
    });
    parsed.collect()
}

#[test]
fn whatever_a_subscription_goes_through_holds() {
    let folder = books();
    // What the books are here for is on them.
    let june = of_month(folder, "2026-06");
    let lines = |documents: &[(String, Value)], who: &str| -> Vec<Value> {
        let all = documents.iter().filter(|(partner, _)| partner == who);
        all.flat_map(|(_, body)| body["lines"].as_array().unwrap().clone()).collect()
    };
    let descriptions = |lines: &[Value]| -> Vec<String> {
        lines.iter().map(|line| line["description"].as_str().unwrap().to_owned()).collect()
    };
    let acme = lines(&june, "acme");
    assert_eq!(acme[0]["working"]["components"].as_array().unwrap().len(), 3, "{}", acme[0]);
    assert!(descriptions(&acme).contains(&"Calls: used while paused, not charged".to_owned()), "{acme:?}");
    assert_eq!(descriptions(&acme).last().unwrap(), "Workshop");
    let bela = lines(&june, "bela");
    assert_eq!(bela.iter().filter(|line| line["contract"]["contract_id"] == "deal").count(), 6, "{bela:?}");
    assert_eq!(descriptions(&bela).last().unwrap(), "Agreed minimum");
    let cora = lines(&june, "cora");
    let span =
        |line: &Value| format!("{} {}", line["span_start"].as_str().unwrap(), line["span_end"].as_str().unwrap());
    assert_eq!(span(&cora[0]), "2026-03-15T15:15:15Z 2026-06-14T22:00:00Z");
    let sales = cora.iter().find(|line| line["description"] == "Share of sales").unwrap();
    let names = sales["working"]["components"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap());
    let names: Vec<&str> = names.collect();
    assert_eq!(names, ["percentage", "fixed_fee", "event_minimum", "event_maximum"], "{sales}");
    let last = |lines: &[Value]| lines.iter().map(|line| line["span_end"].as_str().unwrap().to_owned()).max().unwrap();
    assert_eq!(last(&lines(&june, "dora")), "2026-06-16T18:15:00Z", "a month after the start, in Kathmandu");
    assert_eq!(last(&lines(&june, "ella")), "2026-06-30T22:00:00Z", "the line by hand has its month");
    let july = of_month(folder, "2026-07");
    assert!(descriptions(&lines(&july, "acme")).contains(&"Workshop (taken back)".to_owned()), "{july:?}");
    assert!(descriptions(&lines(&july, "cora")).contains(&"Late".to_owned()), "{july:?}");
    assert!(descriptions(&lines(&july, "-bela")).contains(&"Credit".to_owned()), "{july:?}");
    assert!(
        july.iter().any(|(_, body)| body["lines"].as_array().unwrap().iter().any(|line| !line["adjusts"].is_null()))
    );
    for (month, count) in [("2026-06", june.len()), ("2026-07", july.len())] {
        let (verified, printed) = verified(folder, month, 0);
        assert_eq!(verified.len(), count, "{printed}");
        assert!(printed.lines().all(|line| line.starts_with("OK AC-0000")), "{printed}");
    }
}

/// Each row: what of the registry or the catalog is changed, whose invoice of June it is on, and what that says first.
/// All in one copy: each is of another partner.
#[test]
fn a_changed_course_turns_its_invoice_red_and_names_the_line() {
    let data = |row: &Row, from: &str, to: &str| {
        let changed = row.text("data").unwrap().replacen(from, to, 1);
        assert_ne!(Some(changed.as_str()), row.text("data"), "{from}");
        row.clone().with("data", changed)
    };
    let is = |row: &Row, partner: &str, event_type: &str| {
        row.text("partner_id") == Some(partner) && row.text("event_type") == Some(event_type)
    };
    type Edit<'a> = Box<dyn Fn(Row) -> Option<Row> + 'a>;
    // In two copies, since two things of one partner are one fault.
    let copies: [(Edit<'_>, &[(&str, &str)]); 2] = [
        (
            Box::new(|row| {
                if is(&row, "acme", "subscription.paused") || is(&row, "bela", "contract.signed") {
                    return None;
                }
                Some(match () {
                    () if is(&row, "dora", "subscription.started") => data(&row, "\"none\"", "\"automatic\""),
                    () if is(&row, "ella", "adjustment.made") => data(&row, "-1.34", "-1.35"),
                    () if is(&row, "cora", "subscription.started") => data(&row, "quarter", "week"),
                    () => row,
                })
            }),
            &[
                ("acme", "line 1 (Seats): amount_minor is "),
                ("bela", "line 5 (Seats): amount_minor is "),
                ("cora", "period_start is 2026-03-15T15:15:15Z, and re-derived 2026-05-31T22:00:00Z"),
                ("dora", "(Fee of the week): span_end is 2026-06-16T18:15:00Z, and re-derived "),
                ("ella", "(Goodwill): amount_minor is -134, and re-derived -135"),
            ],
        ),
        (
            Box::new(|row| {
                Some(match () {
                    () if is(&row, "acme", "subscription.changed") && row.text("data").unwrap().contains("\"8\"") => {
                        data(&row, "\"8\"", "\"9\"")
                    }
                    () if is(&row, "ella", "subscription.cancelled") => data(&row, "end_of_period", "now"),
                    () => row,
                })
            }),
            &[
                ("acme", "line 1 (Seats): quantity is 8, and re-derived 9"),
                ("ella", "(Fee of the week): span_end is 2026-06-21T22:00:00Z, and re-derived 2026-06-17T10:00:00Z"),
            ],
        ),
    ];
    for (edit, expected) in copies {
        let copy = books().copy();
        change(&copy, &partner_event::TABLE, edit);
        check(&copy, expected);
    }
    let copy = books().copy();
    change(&copy, &CATALOG_FILE, |row| {
        let text = row.text("text").unwrap();
        let changed = text.replacen("amount = \"500\"", "amount = \"501\"", 1).replacen(
            "{ unit_price = \"0.1\" }",
            "{ unit_price = \"0.3\" }",
            1,
        );
        Some(row.with("text", changed))
    });
    check(
        &copy,
        &[
            ("bela", "(Agreed minimum): amount_minor is "),
            ("cora", "line 2 (Calls of the quarter): amount_minor is "),
            // Nothing of theirs was changed but the catalog that all stand on.
            ("acme", "catalog_sha256 is "),
            ("dora", "catalog_sha256 is "),
            ("ella", "catalog_sha256 is "),
        ],
    );
}

/// Tax of every kind: on lines, on lines by hand, on what is adjusted and given back.
#[test]
fn taxes_hold_and_a_changed_rate_is_told() {
    let folder = issued(TAX);
    let mut words = Vec::new();
    for month in ["2026-06", "2026-07"] {
        let documents = of_month(&folder, month);
        for line in documents.iter().flat_map(|(_, body)| body["lines"].as_array().unwrap()) {
            if line["tax"].is_null() {
                continue;
            }
            let tax = &line["tax"];
            let what = if tax["contained_minor"].is_null() { "on top" } else { "contained" };
            let of = if !line["adjusts"].is_null() {
                "adjusts"
            } else if !line["by_hand"].is_null() {
                "by hand"
            } else {
                "month"
            };
            words.push(format!("{} {} {what} {of}", tax["tax_rate_id"].as_str().unwrap(), tax["version"]));
        }
        let (verified, printed) = verified(&folder, month, 0);
        assert_eq!(verified.len(), documents.len(), "{printed}");
    }
    for kind in [
        "standard 1 on top month",
        "standard 2 on top month",
        "standard 2 on top by hand",
        "standard 2 on top adjusts",
        "reverse 1 on top month",
        "inside 1 contained month",
        "inside 1 contained by hand",
    ] {
        assert!(words.iter().any(|word| word == kind), "{kind}: {words:?}");
    }
    change(&folder, &CATALOG_FILE, |row| {
        let changed = row.text("text").unwrap().replacen("percent = \"21\"", "percent = \"22\"", 1);
        Some(row.with("text", changed.replacen("percent = \"7\"", "percent = \"8\"", 1)))
    });
    check(
        &folder,
        &[
            ("acme", "(VAT 21 %): amount_minor is "),
            ("bela", "catalog_sha256 is "),
            ("cora", "(Contained VAT: Fee of the quarter): tax is "),
            ("dora", "(VAT 21 %): amount_minor is "),
            ("ella", "(VAT 21 %): amount_minor is "),
        ],
    );
}

pub(crate) fn check(copy: &Folder, expected: &[(&str, &str)]) {
    let (invoices, printed) = verified(copy, "2026-06", 3);
    for invoice in &invoices {
        let partner = invoice["partner_id"].as_str().unwrap();
        let number = invoice["number"].as_str().unwrap();
        let told = printed.lines().find(|line| line.contains(number)).unwrap();
        match expected.iter().find(|(other, _)| *other == partner) {
            Some((_, words)) => assert!(told.starts_with("DIFFERENT") && told.contains(words), "{partner}: {told}"),
            None => assert!(told.starts_with("OK "), "{partner}: {told}"),
        }
    }
}
