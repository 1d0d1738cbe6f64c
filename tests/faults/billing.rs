//! What changes between draft, issue and payment: told, and never billed by what is known to be wrong.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollbook_billing::stripe::STRIPE_VERSION;
use tollbook_schemas::tables::billing::INVOICE_EVENT;

use crate::catalog::{PARTNERS, feed};
use crate::folder::{Folder, KEY, MONTH, Ran};
use crate::stripe::Shop;

/// Two partners that can be billed and one without a profile; requests to the month's end, and usage of them.
fn june() -> Folder {
    let folder = Folder::new();
    folder.write("partners.csv", PARTNERS);
    feed(&folder);
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    aggregate(&folder);
    folder
}

fn aggregate(folder: &Folder) {
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
}

fn bill(folder: &Folder, step: &str) -> Ran {
    folder.run(&[&["bill", step][..], &MONTH].concat())
}

/// The register's rows, by partner; a partner may have several.
fn register(folder: &Folder, period: &[&str]) -> Vec<Value> {
    let printed = folder.run(&[&["--json", "bill", "register"][..], period].concat()).done().printed;
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn row<'a>(rows: &'a [Value], partner: &str) -> &'a Value {
    let of_partner: Vec<&Value> = rows.iter().filter(|row| row["partner_id"] == partner).collect();
    assert_eq!(of_partner.len(), 1, "{partner}: {rows:?}");
    of_partner[0]
}

fn count(folder: &Folder, kind: &str) -> usize {
    folder.rows(&INVOICE_EVENT).iter().filter(|row| row.text("kind") == Some(kind)).count()
}

#[test]
fn drafts_of_an_old_catalog_are_never_issued() {
    let folder = june();
    bill(&folder, "draft").done();
    let path = "catalog/catalog.toml";
    let catalog = std::fs::read_to_string(folder.path(path)).unwrap();
    folder.write(path, catalog.replace("amount = \"49\"", "amount = \"4.9\""));
    let way_out =
        &["drafts of acme, dora are stale", "another catalog", "`tollbook aggregate`", "`tollbook bill draft`"];
    bill(&folder, "issue").fails(5, way_out);
    assert_eq!(count(&folder, "issued"), 0);
    // Also where usage is of the corrected catalog already, and the drafts are not.
    aggregate(&folder);
    bill(&folder, "issue").fails(5, way_out);
    assert_eq!(count(&folder, "issued"), 0);
    // Drafted anew, the old drafts are withdrawn, by name.
    let drafted = bill(&folder, "draft").fails(0, &["2026-06 acme: draft inv_", "is withdrawn", "2026-06 dora: draft"]);
    let told: Value = serde_json::from_str(drafted.printed.trim()).unwrap();
    assert_eq!((&told["drafted"], &told["withdrawn"], &told["billed_elsewhere"]), (&json!(2), &json!(2), &json!(0)));
    assert_eq!(bill(&folder, "issue").json()["issued"], 2);
    assert_eq!(row(&register(&folder, &MONTH), "acme")["total_minor"], 490);
}

/// A cancellation that is known, and that no draft knows: its partner's draft is refused, the others' go on.
#[test]
fn what_is_known_and_in_no_draft_is_told() {
    let folder = june();
    assert_eq!(bill(&folder, "draft").json()["newer_events"], 0);
    let cancel = ["--type", "subscription.cancelled", "--at", "2026-05-31T22:00:00Z", "--actor", "staff:ann"];
    let cancelled =
        [&["partner", "record", "--partner", "acme"][..], &cancel, &["--data", r#"{"subscription_id":"s1"}"#]];
    folder.run(&cancelled.concat()).done();
    folder.write("late.log", r#"{"event_id":"late","occurred_at":"2026-06-11T00:00:00Z","consumer":"dora"}"#);
    assert_eq!(folder.ingest("late.log", "native"), (1, 0));
    let words = "1 newer partner events and 1 newer requests are not in usage; run `tollbook aggregate`";
    let told: Value = serde_json::from_str(bill(&folder, "draft").fails(0, &[words]).printed.trim()).unwrap();
    assert_eq!((&told["unchanged"], &told["newer_events"], &told["newer_requests"]), (&json!(2), &json!(1), &json!(1)));
    bill(&folder, "issue").fails(5, &["2026-06: 1 issued, but drafts of acme are stale", "newer lifecycle events"]);
    let rows = register(&folder, &MONTH);
    assert_eq!((&row(&rows, "acme")["state"], &row(&rows, "dora")["state"]), (&json!("draft"), &json!("issued")));
    aggregate(&folder);
    let drafted = bill(&folder, "draft").fails(0, &["acme: draft inv_", "is withdrawn"]);
    assert!(!drafted.told.contains("newer"), "{}", drafted.told);
    assert_eq!(bill(&folder, "issue").json()["issued"], 0);
    assert_eq!(count(&folder, "issued"), 1);
}

#[test]
fn what_arrives_after_issue_is_told_until_it_is_billed() {
    let folder = june();
    // Nobody is left out of the register before the first draft either.
    let rows = register(&folder, &MONTH);
    assert_eq!(row(&rows, "acme")["note"], "not drafted yet; run `tollbook bill draft`");
    assert!(row(&rows, "bolt")["note"].as_str().unwrap().starts_with("blocked: no billing profile"));
    bill(&folder, "draft").done();
    bill(&folder, "issue").done();
    let unchanged = bill(&folder, "draft").json();
    assert_eq!((&unchanged["already_issued"], &unchanged["changed_since_issue"]), (&json!(2), &json!(0)));
    assert_eq!(row(&register(&folder, &MONTH), "acme")["note"], Value::Null);

    let header = PARTNERS.lines().next().unwrap();
    let second = "acme,,,,,,,s9,maps-free,,2026-05-31T22:00:00Z,,,,,,,";
    folder.write("more.csv", format!("{header}\n{second}\n"));
    folder.run(&["partner", "import", "more.csv", "--apply"]).done();
    let late: Vec<String> = (0..10_020)
        .map(|n| {
            format!(
                r#"{{"event_id":"l{n}","occurred_at":"2026-06-11T00:00:00Z","consumer":"dora","path":"/maps/t","status":200}}"#
            )
        })
        .collect();
    folder.write("late.log", late.join("\n"));
    assert_eq!(folder.ingest("late.log", "native"), (10_020, 0));
    aggregate(&folder);
    let before = folder.rows(&INVOICE_EVENT);
    let drafted = bill(&folder, "draft");
    let told: Value = serde_json::from_str(drafted.printed.trim()).unwrap();
    // The second subscription to the same meter would bill it twice: acme is blocked, and says so.
    let acme = row(&register(&folder, &MONTH), "dora").clone();
    assert_eq!((&told["already_issued"], &told["changed_since_issue"]), (&json!(2), &json!(2)), "{}", drafted.told);
    let dora = "changed since issue: today it would be 49.04 EUR, 0.04 EUR more, by 1 other lines; the draft of a later month adjusts it";
    assert!(drafted.told.contains(&format!("2026-06 dora AC-000002 of 49.00 EUR: {dora}")), "{}", drafted.told);
    assert!(drafted.told.contains("2026-06 acme AC-000001 of 49.00 EUR: changed since issue"), "{}", drafted.told);
    assert_eq!(acme["note"], dora);
    assert_eq!(folder.rows(&INVOICE_EVENT), before, "nothing is written for a closed slot");
    let run = folder.run(&["sql", "select counts from job_run where job = 'bill draft'", "--format", "csv"]).done();
    assert!(run.printed.contains(r#"""changed_since_issue"":2"#), "{}", run.printed);
}

/// One heading for all months, and cells that a spreadsheet can add up.
#[test]
fn the_register_of_all_months_is_one_table() {
    let folder = june();
    bill(&folder, "draft").done();
    bill(&folder, "issue").done();
    let due = &MONTH[2..];
    // Registered in May, subscribed from June on by the issuer's calendar: no other month is due.
    for json in register(&folder, due) {
        assert_eq!(json["month"], "2026-06");
        if json["partner_id"] == "acme" {
            assert!(json["invoice_id"].as_str().unwrap().starts_with("inv_"), "{json}");
            assert_eq!((&json["issuer_id"], &json["currency"]), (&json!("acme-eu"), &json!("EUR")));
        }
    }
    // A second month, by a subscription that began in May. It bills what the other one does, so nobody records it by
    // hand.
    let may = ["--type", "subscription.started", "--at", "2026-05-10T00:00:00Z", "--actor", "staff:ann"];
    let data = r#"{"subscription_id":"s7","plan_id":"maps-pro"}"#;
    let record = [&["partner", "record", "--partner", "bolt"][..], &may, &["--data", data]].concat();
    folder.run(&record).fails(2, &["nobody could bill this", "s2 and s7 would both bill meter map-calls"]);
    let head = r#"{"specversion":"1.0","id":"may","source":"/portal","type":"com.x.partner.subscription.started.v1""#;
    let event = format!(r#"{head},"subject":"partner/bolt","time":"2026-05-10T00:00:00Z","data":{data}}}"#);
    folder.write("may.log", event);
    assert_eq!(folder.ingest("may.log", "cloudevents"), (1, 0));
    aggregate(&folder);
    let printed = folder.run(&[&["bill", "register", "--csv"][..], due].concat()).done().printed;
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "month,partner,issuer,invoice_id,number,state,currency,amount,stripe,note");
    assert_eq!(lines.iter().filter(|line| line.starts_with("month,")).count(), 1, "{printed}");
    assert!(lines[1].starts_with("\"2026-05\",\"acme\",,,,,,,,\"no subscription runs in 2026-05\""), "{printed}");
    let acme = lines.iter().find(|line| line.starts_with("\"2026-06\",\"acme\"")).unwrap();
    assert!(acme.ends_with(",\"AC-000001\",\"issued\",\"EUR\",\"49.00\",,"), "{acme}");
    let table = folder.run(&[&["bill", "register"][..], due].concat()).done().printed;
    assert_eq!(table.lines().filter(|line| line.starts_with("month")).count(), 1, "{table}");
    assert!(table.lines().any(|line| line.starts_with("2026-06  acme") && line.contains("49.00")), "{table}");
}

/// What a person decides at Stripe by hand is recorded once, and seen wherever an invoice is.
#[test]
fn what_was_voided_or_given_up_at_stripe_is_told() {
    let shop = Shop::open();
    bill(&shop.folder, "push").done();
    let invoices = shop.double.invoices();
    post(shop.double.base_url(), &format!("/v1/invoices/{}/void", invoices[0].id));
    post(shop.double.base_url(), &format!("/v1/invoices/{}/mark_uncollectible", invoices[1].id));
    let sync = || shop.folder.run(&["bill", "sync"]);
    let first = sync().fails(0, &["was voided at Stripe and will not be paid", "was marked uncollectible at Stripe"]);
    assert!(first.told.contains("acme inv_") && first.told.contains("dora inv_"), "{}", first.told);
    let told: Value = serde_json::from_str(first.printed.trim()).unwrap();
    assert_eq!((&told["open"], &told["voided"], &told["uncollectible"]), (&json!(0), &json!(1), &json!(1)));
    let events = shop.folder.rows(&INVOICE_EVENT);
    let again = sync().done();
    assert_eq!(again.told, "", "told once");
    let told: Value = serde_json::from_str(again.printed.trim()).unwrap();
    assert_eq!((&told["already_voided"], &told["already_uncollectible"]), (&json!(1), &json!(1)));
    assert_eq!(shop.folder.rows(&INVOICE_EVENT), events, "again adds no row");
    let mut states: Vec<Value> = register(&shop.folder, &MONTH).iter().map(|row| row["state"].clone()).collect();
    states.retain(|state| !state.is_null());
    states.sort_by_key(Value::to_string);
    assert_eq!(states, ["uncollectible", "voided"]);
    let sql = |query: &str| shop.folder.run(&["sql", query, "--format", "csv"]).done().printed;
    assert_eq!(sql("select status from invoice_status order by status"), "status\nuncollectible\nvoided\n");
    let revenue = "select invoice_count, issued_minor, uncollectible_minor, voided_invoice_count, voided_minor from \
                   revenue_monthly";
    assert!(sql(revenue).ends_with("\n1,4900,4900,1,4900\n"), "{}", sql(revenue));
    let runs = sql("select counts from job_run where job = 'bill sync'");
    assert!(runs.contains(r#"""voided"":1"#) && runs.contains(r#"""already_voided"":1"#), "{runs}");
    // Paid after all.
    shop.double.pay_as_customer(&invoices[1].id).unwrap();
    assert_eq!(sync().json()["paid"], 1);
    assert_eq!(count(&shop.folder, "paid"), 1);
}

/// Sends what a person's click sends.
fn post(base_url: &str, path: &str) {
    let host = base_url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {KEY}\r\nstripe-version: {STRIPE_VERSION}\r\nidempotency-key: {path}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// With every setting at its default: a few tries, and not those of every call of every invoice in turn. Seven
/// tries of a first call alone wait for half a minute; this waits for a second, beside what a loaded machine takes.
#[test]
fn a_stripe_that_cannot_be_reached_is_given_up_soon() {
    let shop = Shop::open();
    let text = std::fs::read_to_string(shop.folder.path("tollbook.toml")).unwrap();
    let text = text.replace(shop.double.base_url(), "http://127.0.0.1:1").replace("sends_max = 2\n", "");
    shop.folder.write("tollbook.toml", text);
    let begun = Instant::now();
    let told = bill(&shop.folder, "push").fails(4, &["Stripe could not be reached", "run `tollbook bill push` again"]);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(told.told.contains("2 invoices are not final"), "{}", told.told);
    // The same of `close`, which pushes every month and then asks for payments.
    let begun = Instant::now();
    let closed = shop.folder.run(&["close", "--period", "2026-06", "--as-of", MONTH[3]]);
    closed.fails(4, &["Stripe could not be reached"]);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
