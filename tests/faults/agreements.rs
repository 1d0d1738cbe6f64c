//! `bill verify` over what is agreed beside a plan: coupons, a commitment, prepaid credits, a partner that pays for
//! others; with tax, and with late usage that adjusts all of them. It holds as it stands, and in a copy each changed
//! thing turns its own invoice red, and no other.

use std::sync::OnceLock;

use serde_json::{Value, json};
use tollbook_schemas::tables::billing::INVOICE;
use tollbook_schemas::tables::catalog::CATALOG_FILE;
use tollbook_schemas::tables::{Row, Table, access_log, partner_event};

use crate::folder::Folder;
use crate::verify::{change, ingest, verified};

const HEAD: &str = "\
partner_id,display_name,segment,registered_at,consumer,consumer_from,environment,subscription_id,plan_id,time_zone,\
subscription_from,legal_name,address,country,tax_id,billing_email,purchase_order,payment_terms_days
";

const PARTNERS: [&str; 8] = ["acme", "bela", "cora", "dora", "ella", "finn", "gina", "hans"];

/// What was agreed with each partner.
const EVENTS: &[(&str, &str, &str, &str)] = &[
    ("acme", "subscription.started", "2026-04-30T22:00:00Z", r#"{"subscription_id":"a1","plan_id":"pro"}"#),
    ("acme", "coupon.redeemed", "2026-05-10T10:00:00Z", r#"{"coupon_id":"half"}"#),
    ("acme", "coupon.redeemed", "2026-06-02T10:00:00.25Z", r#"{"coupon_id":"ten"}"#),
    ("bela", "subscription.started", "2026-03-31T22:00:00Z", r#"{"subscription_id":"b1","plan_id":"pro"}"#),
    ("bela", "contract.signed", "2026-03-20T00:00:00Z", r#"{"contract_id":"deal"}"#),
    ("cora", "subscription.started", "2026-04-30T22:00:00Z", r#"{"subscription_id":"c1","plan_id":"pro"}"#),
    (
        "cora",
        "credit.granted",
        "2026-05-02T00:00:00Z",
        r#"{"credit_id":"prepaid","amount":"150","currency":"EUR","issuer_id":"acme-eu","description":"Prepaid"}"#,
    ),
    (
        "cora",
        "credit.granted",
        "2026-05-03T00:00:00Z",
        r#"{"credit_id":"soon","amount":"20","currency":"EUR","issuer_id":"acme-eu","description":"Used first",
            "expires_at":"2026-06-30T22:00:00Z"}"#,
    ),
    (
        "cora",
        "credit.granted",
        "2026-05-04T00:00:00Z",
        r#"{"credit_id":"taken","amount":"20","currency":"EUR","issuer_id":"acme-eu","description":"Taken back",
            "priority":-1}"#,
    ),
    ("cora", "credit.voided", "2026-05-20T00:00:00Z", r#"{"credit_id":"taken"}"#),
    // Pays for itself in May, and ella for it from June on, its contract and its coupon with it.
    ("dora", "subscription.started", "2026-04-30T22:00:00Z", r#"{"subscription_id":"d1","plan_id":"pro"}"#),
    ("dora", "contract.signed", "2026-04-20T00:00:00Z", r#"{"contract_id":"deal"}"#),
    ("dora", "coupon.redeemed", "2026-06-01T10:00:00Z", r#"{"coupon_id":"ten","subscription_id":"d1"}"#),
    ("dora", "payer.named", "2026-05-31T22:00:00Z", r#"{"payer_id":"ella"}"#),
    ("ella", "subscription.started", "2026-04-30T22:00:00Z", r#"{"subscription_id":"e1","plan_id":"pro"}"#),
    (
        "ella",
        "credit.granted",
        "2026-05-02T00:00:00Z",
        r#"{"credit_id":"big","amount":"450","currency":"EUR","issuer_id":"acme-eu","description":"Prepaid by ella"}"#,
    ),
    ("finn", "subscription.started", "2026-04-30T22:00:00Z", r#"{"subscription_id":"f1","plan_id":"free"}"#),
    ("finn", "payer.named", "2026-04-30T22:00:00Z", r#"{"payer_id":"ella"}"#),
    // Another system billed the begin of the term, and a fee in advance counts towards it.
    ("gina", "subscription.started", "2026-03-31T22:00:00Z", r#"{"subscription_id":"g1","plan_id":"ahead"}"#),
    ("gina", "contract.signed", "2026-04-20T00:00:00Z", r#"{"contract_id":"early"}"#),
    ("gina", "billing.started", "2026-05-01T00:00:00Z", r#"{"billing_starts_at":"2026-05-16T12:00:00Z"}"#),
    (
        "gina",
        "opening.recorded",
        "2026-05-16T12:00:00Z",
        r#"{"subscription_id":"g1","price_id":"fee","quantity":"0.5"}"#,
    ),
    (
        "gina",
        "opening.recorded",
        "2026-05-16T12:00:00Z",
        r#"{"subscription_id":"g1","meter_id":"calls","quantity":"33"}"#,
    ),
    // The same, paid for by ella from the begin.
    ("hans", "subscription.started", "2026-05-05T10:00:00Z", r#"{"subscription_id":"h1","plan_id":"ahead"}"#),
    ("hans", "contract.signed", "2026-04-20T00:00:00Z", r#"{"contract_id":"early"}"#),
    ("hans", "payer.named", "2026-04-30T22:00:00Z", r#"{"payer_id":"ella"}"#),
];

/// So many requests of each partner, one in four hours, from an instant on.
fn requests(from: i64, count: i64) -> String {
    let mut lines = Vec::new();
    for (number, consumer) in PARTNERS.into_iter().enumerate() {
        for at in 0..count {
            let second = from + at * 14_400 + i64::try_from(number).unwrap() * 700;
            let instant = chrono::DateTime::from_timestamp(second, 0).unwrap().to_rfc3339();
            lines.push(
                json!({
                    "event_id": format!("{consumer}-{second}"), "occurred_at": instant, "status": 200, "path": "/maps/1",
                    "consumer": consumer, "environment": "production",
                })
                .to_string(),
            );
        }
    }
    lines.join("\n")
}

/// Midnight of the second of April and May, in UTC.
const APRIL: i64 = 1_775_088_000;
const MAY: i64 = 1_777_680_000;
const JUNE: i64 = 1_780_358_400;
const JULY: i64 = 1_782_950_400;

/// A month, the instant at which it is closed, and what arrives until then: from when on, and how many requests.
type Close = (&'static str, &'static str, u64, &'static [(i64, i64)]);
const CLOSES: [Close; 3] = [
    ("2026-05", "2026-06-03T00:00:00Z", 1_780_444_800, &[(APRIL, 90), (MAY, 140)]),
    ("2026-06", "2026-07-03T00:00:00Z", 1_783_036_800, &[(JUNE, 100)]),
    // With what is late.
    ("2026-07", "2026-08-03T00:00:00Z", 1_785_715_200, &[(JULY, 100), (JUNE + 1_234, 100), (MAY + 1_234, 30)]),
];

/// May, June and July, issued by the real jobs; with July comes what is late, of May and of June.
fn books() -> &'static Folder {
    static BOOKS: OnceLock<Folder> = OnceLock::new();
    BOOKS.get_or_init(|| {
        let folder = Folder::new();
        // What late usage gives back waits for nobody here.
        folder.configure("[billing.hold]\ncredit_note = false\n");
        folder.write("catalog/catalog.toml", include_str!("verify/agreements.toml"));
        let row = |partner: &str| {
            format!(
                "{partner},{partner},,2026-03-01T00:00:00Z,{partner},2026-03-01T00:00:00Z,production,,,,,{partner} Ltd,\
                 Street 1,DE,,billing@{partner}.example,,14\n"
            )
        };
        folder.write("partners.csv", format!("{HEAD}{}", PARTNERS.map(row).concat()));
        folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
        for (partner, event_type, at, data) in EVENTS {
            let of = ["--partner", partner, "--type", event_type, "--at", at, "--actor", "staff:ann", "--data", data];
            folder.run(&[&["partner", "record"][..], &of].concat()).done();
        }
        let configured = std::fs::read_to_string(folder.path("tollbook.toml")).unwrap();
        for (month, close, mtime, arrived) in CLOSES {
            folder.write("tollbook.toml", configured.replace("2026-07-03T00:00:00Z", close));
            let texts: Vec<String> = arrived.iter().map(|(from, count)| requests(*from, *count)).collect();
            ingest(&folder, &format!("{month}.log"), &texts.join("\n"), mtime);
            folder.run(&["aggregate", "--as-of", close]).done();
            for step in ["draft", "issue"] {
                folder.run(&["bill", step, "--period", month, "--as-of", close]).done();
            }
        }
        folder
    })
}

/// The lines of a month by partner, a credit note's behind `-`: `description amount`, and what an earlier month is
/// adjusted by.
fn lines_of(folder: &Folder, month: &str) -> Vec<String> {
    let mut told = Vec::new();
    for row in folder.rows(&INVOICE).iter().filter(|row| row.text("period") == Some(month)) {
        let body: Value = serde_json::from_str(row.text("document").unwrap()).unwrap();
        let dash = if body["kind"].is_null() { "" } else { "-" };
        let partner = format!("{dash}{}", body["partner_id"].as_str().unwrap());
        for line in body["lines"].as_array().unwrap() {
            told.push(format!("{partner}: {} {}", line["description"].as_str().unwrap(), line["amount_minor"]));
        }
    }
    told
}

#[test]
fn whatever_was_agreed_holds() {
    let folder = books();
    let mut told = Vec::new();
    for (month, count) in [("2026-05", 6), ("2026-06", 5), ("2026-07", 7)] {
        let (verified, printed) = verified(folder, month, 0);
        told.extend(lines_of(folder, month).into_iter().map(|line| format!("{month} {line}")));
        assert_eq!(verified.len(), count, "{printed}{told:#?}");
        assert!(printed.lines().all(|line| line.starts_with("OK AC-0000")), "{printed}");
    }
    // What the books are here for is on them.
    for words in [
        "2026-05 acme: Half off -",
        "2026-06 acme: Half off -",
        "2026-06 acme: Ten off -1000",
        "2026-07 acme: Half off (adjustment of 2026-06) -",
        "2026-07 acme: VAT 19 % (adjustment of 2026-06) ",
        "2026-06 bela: Agreed minimum ",
        "2026-06 bela: Committed ",
        "2026-07 -bela: Committed (adjustment of 2026-06) -",
        "2026-05 cora: Used first -2000",
        "2026-05 cora: Prepaid -",
        "2026-07 cora: Calls (adjustment of 2026-06) ",
        "2026-07 cora: Prepaid -",
        "2026-05 dora: Base ",
        "2026-06 ella: Base (dora) ",
        "2026-06 ella: Agreed minimum (dora) ",
        "2026-06 ella: Committed (dora) ",
        "2026-06 ella: Ten off -1000",
        "2026-06 ella: Free calls (finn) 0",
        "2026-06 ella: VAT 7 %: Committed (dora) ",
        "2026-06 ella: Prepaid by ella -",
        "2026-05 ella: Fee ahead (hans) 2000",
        "2026-06 ella: Committed early (hans) ",
        "2026-06 gina: Committed early ",
        "2026-07 gina: Committed early (adjustment of 2026-06) -",
        "2026-07 dora: Calls (adjustment of 2026-05) ",
        "2026-07 ella: Calls (dora) (adjustment of 2026-06) ",
    ] {
        assert!(told.iter().any(|line| line.starts_with(words)), "{words}: {told:#?}");
    }
    assert!(!told.iter().any(|line| line.contains("Taken back")), "{told:#?}");
}

/// A file of lines alone is enough to come to every amount again, or to say which other line or document it follows
/// from.
#[test]
fn a_file_of_lines_can_be_rebuilt() {
    let folder = books();
    let printed = folder.run(&["bill", "lines", "--format", "json"]).done().printed;
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // A decimal with 12 digits, in units of the last.
    let unscaled = |value: &Value| -> i128 {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        format!("{whole}{part:0<12}").parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    let mut by_price = 0;
    let mut totals: std::collections::BTreeMap<(String, String), i64> = std::collections::BTreeMap::new();
    for line in &lines {
        let (minor, number) = (line["amount_minor"].as_i64().unwrap(), line["number"].as_str().unwrap());
        assert_eq!(unscaled(&line["amount"]), i128::from(minor) * 10_000_000_000, "{line}");
        if !line["unit_price"].is_null() {
            // Half away from zero, from 24 digits to 2.
            let exact = unscaled(&line["quantity"]) * unscaled(&line["unit_price"]);
            let step = 10_i128.pow(22);
            assert_eq!((exact + exact.signum() * step / 2) / step, i128::from(minor), "{line}");
            by_price += 1;
        }
        assert_eq!(line["credits_number"].is_string(), line["document_kind"] == "credit_note", "{line}");
        let issuer = line["issuer_id"].as_str().unwrap().to_owned();
        *totals.entry((issuer, number.to_owned())).or_default() += minor;
    }
    assert!(by_price > 20, "{by_price} of {}", lines.len());
    let sql = "select issuer_id, number, total_minor from invoice_status";
    let stored = folder.run(&["sql", sql, "--format", "json"]).done().printed;
    let stored: Vec<Value> = stored.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for one in &stored {
        let key = (one["issuer_id"].as_str().unwrap().to_owned(), one["number"].as_str().unwrap().to_owned());
        assert_eq!(totals.remove(&key), one["total_minor"].as_i64(), "{key:?}");
    }
    assert!(totals.is_empty(), "{totals:?}");
    for (what, key, value) in [
        ("a contract", "contract_id", "deal"),
        ("a partner that is paid for", "for_partner", "dora"),
        ("a unit", "unit", "call"),
        ("a credit note", "document_kind", "credit_note"),
    ] {
        assert!(lines.iter().any(|line| line[key] == value), "{what}: {lines:#?}");
    }
    let of_contract = lines.iter().find(|line| line["contract_id"] == "deal").unwrap();
    assert_eq!(of_contract["contract_version"], 1, "{of_contract}");
    // The credited invoice is one of these numbers.
    let note = lines.iter().find(|line| line["document_kind"] == "credit_note").unwrap();
    assert!(lines.iter().any(|line| line["number"] == note["credits_number"]), "{note}");
}

/// Each row: a table of a copy, what of it is changed, the month, and what the invoices of it say then; those of other
/// partners hold.
#[test]
fn one_changed_term_turns_its_invoice_red_and_names_the_line() {
    let is = |row: &Row, partner: &str, event_type: &str, words: &str| {
        row.text("partner_id") == Some(partner)
            && row.text("event_type") == Some(event_type)
            && row.text("data").unwrap().contains(words)
    };
    let replaced = |row: Row, column: &'static str, from: &str, to: &str| {
        let text = row.text(column).unwrap().to_owned();
        row.with(column, text.replacen(from, to, 1))
    };
    type Edit<'a> = Box<dyn Fn(Row) -> Option<Row> + 'a>;
    type Fault<'a> = (&'static Table, Edit<'a>, &'static str, &'static [(&'static str, &'static str)]);
    let of = |row: &Row, partner: &str, month: &str| {
        row.text("partner_id") == Some(partner) && row.text("period") == Some(month)
    };
    let faults: Vec<Fault<'_>> = vec![
        (
            &partner_event::TABLE,
            Box::new(|row| {
                if is(&row, "acme", "coupon.redeemed", "half") || is(&row, "dora", "payer.named", "ella") {
                    return None;
                }
                Some(match () {
                    () if is(&row, "cora", "credit.granted", "prepaid") => {
                        replaced(row, "data", "\"150\"", "\"150.01\"")
                    }
                    () if is(&row, "bela", "contract.signed", "deal") => {
                        replaced(row, "data", "{", "{\"effective_at\":\"2026-05-15T00:00:00Z\",")
                    }
                    () => row,
                })
            }),
            "2026-06",
            &[
                ("acme", "line 3 (Half off): price_id is half, and re-derived ten"),
                ("bela", "line 4 (Committed): amount_minor is "),
                ("cora", "(Prepaid): credit is {"),
                ("ella", "line 3 (Base (dora)): subscription_id is d1, and re-derived f1"),
                // Nobody pays for dora then, and no invoice of hers is there.
                ("dora", "DIFFERENT - dora "),
            ],
        ),
        (
            &CATALOG_FILE,
            Box::new(|row| {
                let text = row.text("text").unwrap().replacen("amount = \"400\"", "amount = \"400.01\"", 1);
                Some(row.with("text", text.replacen("amount = \"10\"", "amount = \"9.99\"", 1)))
            }),
            "2026-06",
            &[
                ("acme", "line 4 (Ten off): amount_minor is -1000, and re-derived -999"),
                ("bela", "line 4 (Committed): amount_minor is "),
                ("ella", "line 9 (Committed (dora)): amount_minor is "),
                ("cora", "catalog_sha256 is "),
                ("gina", "catalog_sha256 is "),
            ],
        ),
        // A request of May counts towards the commitment in June.
        (
            &access_log::TABLE,
            Box::new(|row| {
                let first = format!("bela-{}", MAY + 700);
                Some(if row.text("event_id") == Some(&first) { row.with("consumer", "nobody") } else { row })
            }),
            "2026-06",
            &[("bela", "line 4 (Committed): ")],
        ),
        (
            &INVOICE,
            Box::new(move |row| {
                // Of cora the invoice before, of ella the one itself.
                let is_it = of(&row, "cora", "2026-05") || of(&row, "ella", "2026-06");
                Some(if is_it { replaced(row, "document", "\"after_minor\":", "\"after_minor\":1") } else { row })
            }),
            "2026-06",
            &[("cora", "credit: invoice AC-00000"), ("ella", "(Prepaid by ella): credit is {")],
        ),
    ];
    for (table, edit, month, expected) in faults {
        let copy = books().copy();
        change(&copy, table, edit);
        let (invoices, printed) = verified(&copy, month, 3);
        for invoice in &invoices {
            let partner = invoice["partner_id"].as_str().unwrap();
            let named = format!(" {} {partner} ", invoice["number"].as_str().unwrap());
            let told = printed.lines().find(|line| line.contains(&named)).unwrap();
            match expected.iter().find(|(other, _)| *other == partner) {
                Some((_, words)) => assert!(told.starts_with("DIFFERENT") && told.contains(words), "{partner}: {told}"),
                None => assert!(told.starts_with("OK "), "{partner}: {told}"),
            }
        }
    }
}
