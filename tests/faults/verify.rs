//! `bill verify` over a lake that the real jobs filled: it holds as it stands, and turns red, naming the line, wherever
//! one thing of a copy is changed.
//!
//! The history is random, from a seed. Requests come again in other files, hours and months, with the same and with
//! other content. There are retractions and amendments, early, late and twice; retries; a consumer that moves from one
//! partner to the other, a credential, sandbox traffic. Plans change and end within hours, in zones of half and quarter
//! hours, and files bring late rows behind the invoices.

use std::sync::OnceLock;

use serde_json::{Value, json};
use tollbook_lake::{Lake, Outcome, TxnStep};
use tollbook_schemas::tables::billing::{BILLED_USAGE, INVOICE, INVOICE_EVENT, INVOICE_LINE};
use tollbook_schemas::tables::catalog::CATALOG_FILE;
use tollbook_schemas::tables::{Row, Table, access_log, partner_event};

use crate::folder::{Folder, MONTH, copy_all, runtime};

const PARTNERS: &str = "\
partner_id,display_name,segment,registered_at,consumer,consumer_from,environment,subscription_id,plan_id,time_zone,\
subscription_from,legal_name,address,country,tax_id,billing_email,purchase_order,payment_terms_days
acme,Acme,,2026-05-01T00:00:00Z,shop,2026-05-01T00:00:00Z,production,s1,all,,2026-05-10T08:30:00Z,Acme Ltd,\
Street 1,DE,,billing@acme.example,,14
acme,,,,try,2026-05-01T00:00:00Z,sandbox,,,,,,,,,,,
dora,Dora,,2026-05-01T00:00:00Z,bank,2026-05-01T00:00:00Z,production,s4,all,Asia/Kathmandu,2026-06-03T07:07:07Z,Dora Ltd,\
Street 2,DE,,billing@dora.example,,30
";

/// What happens to them: a consumer moves, a plan changes, a subscription ends, each inside an hour.
const EVENTS: &[(&str, &str, &str, &str)] = &[
    ("acme", "subscription.changed", "2026-06-15T10:20:30Z", r#"{"subscription_id":"s1","plan_id":"few"}"#),
    ("dora", "subscription.cancelled", "2026-06-25T05:30:15Z", r#"{"subscription_id":"s4"}"#),
    ("dora", "identity.unlinked", "2026-06-12T12:12:12Z", r#"{"system":"gateway","external_id":"bank"}"#),
    ("acme", "identity.linked", "2026-06-12T12:12:12Z", r#"{"system":"gateway","external_id":"bank"}"#),
    ("dora", "identity.linked", "2026-06-12T12:12:12Z", r#"{"system":"gateway","external_id":"bank-2"}"#),
];

/// A credential of each; what comes with the consumer of the other is nobody's.
const CREDENTIALS: &str = r#"{"specversion":"1.0","id":"c1","source":"/portal","type":"com.x.partner.credential.issued.v1","subject":"partner/acme","time":"2026-05-02T00:00:00Z","data":{"credential":"key-a"}}
{"specversion":"1.0","id":"c2","source":"/portal","type":"com.x.partner.credential.issued.v1","subject":"partner/dora","time":"2026-05-02T00:00:00Z","data":{"credential":"key-d","environment":"production"}}
"#;

/// A generator of small numbers: the same seed gives the same history on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % end
    }

    fn of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[usize::try_from(self.below(i64::try_from(choice.len()).unwrap())).unwrap()]
    }
}

/// A file of requests, as JSON lines. The ids go on from those of the files before.
fn requests(dice: &mut Dice, known: &mut Vec<Value>, length: usize) -> String {
    let mut lines = Vec::new();
    for _ in 0..length {
        // From 2026-05-25 to 2026-07-02, some of them around the edges of months and plans.
        let second = match dice.below(6) {
            0 => {
                dice.of(&[561_600, 1_850_400, 2_600_000, 3_168_000, 576_900, 1_603_930, 1_808_430]) + dice.below(7_200)
                    - 3_600
            }
            _ => dice.below(38 * 86_400),
        };
        let at = chrono::DateTime::from_timestamp(1_779_667_200 + second, 0).unwrap();
        let id = format!("e{}", known.len());
        let mut record = json!({
            "event_id": id, "occurred_at": at.to_rfc3339(), "status": dice.of(&[200, 200, 204, 404]),
            "path": dice.of(&["/maps/1", "/maps/tile/2", "/other", "/ping"]), "response_bytes": dice.below(5_000),
            "latency_us": 1 + dice.below(900),
            "consumer": dice.of(&["shop", "shop", "bank", "bank", "bank-2", "try", "nobody"]),
            "environment": dice.of(&["production", "production", "production", "production", "sandbox"]),
            "attributes": {
                "user": format!("u{}", dice.below(7)), "region": dice.of(&["eu", "us", "asia"]),
                "tokens": dice.of(&["3", "0.125", "12.5", "1e3", "-2", "0"]), "seats": dice.below(9),
            },
        });
        let fields = record.as_object_mut().unwrap();
        for (key, value) in [
            ("client_tag", dice.of(&["", "", "", "try_it", "health_check"])),
            ("cache_status", dice.of(&["", "", "HIT", "miss"])),
            ("idempotency_key", dice.of(&["", "", "k1", "k2"])),
            ("credential", dice.of(&["", "", "", "", "key-a", "key-d"])),
            ("product", dice.of(&["", "", "", "tiles", "unknown"])),
        ] {
            if !value.is_empty() {
                fields.insert(key.to_owned(), value.into());
            }
        }
        if dice.below(3) > 0 {
            fields["attributes"]["model"] = dice.of(&["small", "large"]).into();
        }
        let earlier = (!known.is_empty())
            .then(|| known[usize::try_from(dice.below(i64::try_from(known.len()).unwrap())).unwrap()].clone());
        match (dice.below(14), earlier) {
            // Delivered again as it was, whatever it was.
            (0 | 1, Some(earlier)) => record = earlier,
            // The same id with another content, and mostly in another hour.
            (2, Some(earlier)) if earlier["kind"].is_null() => record["event_id"] = earlier["event_id"].clone(),
            (3, Some(earlier)) if earlier["kind"].is_null() => {
                let fields = json!({ "kind": "retraction", "event_id": format!("c{id}"), "occurred_at": record["occurred_at"],
                    "corrects_event_id": earlier["event_id"] });
                record = fields;
            }
            // Of an earlier one, or of one that may come, or that never does.
            (4, _) => {
                record["kind"] = "amendment".into();
                record["corrects_event_id"] =
                    format!("e{}", dice.below(i64::try_from(known.len() + 40).unwrap())).into();
                record["event_id"] = format!("c{id}").into();
            }
            _ => {}
        }
        lines.push(record.to_string());
        known.push(record);
    }
    lines.join("\n")
}

/// A file that was last changed at a time.
pub(crate) fn dated(folder: &Folder, name: &str, text: &str, mtime: u64) {
    folder.write(name, text);
    let file = std::fs::File::options().write(true).open(folder.path(name)).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(mtime)).unwrap();
}

pub(crate) fn ingest(folder: &Folder, name: &str, text: &str, mtime: u64) {
    dated(folder, name, text, mtime);
    let (accepted, rejected) = folder.ingest(name, "native");
    assert_eq!((usize::try_from(accepted).unwrap(), rejected), (text.lines().count(), 0));
}

const MONTH_END: u64 = 1_783_036_800;
/// One request that is on acme's invoice beyond doubt: its id comes once, and its fields are all there.
const SURE: &str = r#"{"event_id":"sure","occurred_at":"2026-06-11T11:11:11Z","status":200,"path":"/maps/1","response_bytes":768,"latency_us":899,"consumer":"shop","environment":"production","attributes":{"user":"u-sure","region":"eu","tokens":"100","seats":4}}"#;

/// Invoices of June, issued by the real jobs; behind them late rows, that no invoice knows.
fn books() -> &'static Folder {
    static BOOKS: OnceLock<Folder> = OnceLock::new();
    BOOKS.get_or_init(|| {
        let folder = Folder::new();
        folder.write("catalog/catalog.toml", include_str!("verify/catalog.toml"));
        folder.write("partners.csv", PARTNERS);
        folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
        for (partner, event_type, at, data) in EVENTS {
            let of = ["--partner", partner, "--type", event_type, "--at", at, "--actor", "staff:ann", "--data", data];
            folder.run(&[&["partner", "record"][..], &of].concat()).done();
        }
        folder.write("credentials.log", CREDENTIALS);
        assert_eq!(folder.ingest("credentials.log", "cloudevents"), (2, 0));
        let (mut dice, mut known) = (Dice(7), Vec::new());
        for (name, mtime) in [("b.log", MONTH_END), ("a.log", MONTH_END - 3_600), ("c.log", MONTH_END - 86_400)] {
            let text = requests(&mut dice, &mut known, 400);
            let sure = if name == "a.log" { format!("{SURE}\n") } else { String::new() };
            ingest(&folder, name, &format!("{sure}{text}"), mtime);
            folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
        }
        for step in ["draft", "issue"] {
            folder.run(&[&["bill", step][..], &MONTH].concat()).done();
        }
        let late = requests(&mut dice, &mut known, 100);
        ingest(&folder, "0-late.log", &late, MONTH_END);
        folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
        folder
    })
}

/// Something of one table is changed while something is done; behind it the table is as it was. So many faults need one
/// copy of a lake, and each still sees a lake in which nothing else is wrong.
pub(crate) fn while_changed(
    folder: &Folder,
    table: &'static Table,
    edit: impl FnMut(Row) -> Option<Row>,
    then: impl FnOnce(),
) {
    let (place, aside) = (folder.path("lake").join(table.name), folder.path("aside"));
    copy_all(&place, &aside);
    change(folder, table, edit);
    then();
    std::fs::remove_dir_all(&place).unwrap();
    std::fs::rename(&aside, &place).unwrap();
}

/// The same rows of a table, some of them changed; its transactions stay.
pub(crate) fn change(folder: &Folder, table: &'static Table, mut edit: impl FnMut(Row) -> Option<Row>) {
    let open = || Lake::open(folder.path("lake").to_str().unwrap()).unwrap();
    let (rows, txns) = runtime().block_on(async {
        let lake = open();
        (lake.rows(table, None).await.unwrap(), lake.txns(table).await.unwrap())
    });
    let edited: Vec<Row> = rows.iter().cloned().filter_map(&mut edit).collect();
    assert_ne!(edited, rows, "nothing of {} was changed", table.name);
    std::fs::remove_dir_all(folder.path("lake").join(table.name)).unwrap();
    let steps: Vec<TxnStep> = txns.into_iter().map(|(app_id, next)| TxnStep { app_id, expected: None, next }).collect();
    let outcome = runtime().block_on(async { open().append(table, &edited, &steps).await.unwrap() });
    assert_eq!(outcome, Outcome::Committed);
}

pub(crate) fn verified(folder: &Folder, wanted: &str, code: i32) -> (Vec<Value>, String) {
    let ran = folder.run(&["--json", "bill", "verify", wanted]).fails(code, &[]);
    let parsed = ran.printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let printed = folder.run(&["bill", "verify", wanted]).fails(code, &[]).printed;
    (parsed, printed)
}

#[test]
fn what_was_issued_holds_and_late_rows_change_nothing() {
    let folder = books();
    let (invoices, printed) = verified(folder, "2026-06", 0);
    let of = |partner: &str| invoices.iter().find(|one| one["partner_id"] == partner).unwrap();
    // acme has two spans, dora one; every price of a plan is a line.
    assert_eq!((invoices.len(), &of("acme")["line_count"], &of("dora")["line_count"]), (2, &json!(14), &json!(12)));
    assert!(invoices.iter().all(|one| one["rows_read"].as_i64().unwrap() > 300), "{printed}");
    assert!(printed.lines().all(|line| line.starts_with("OK AC-00000")), "{printed}");
    let number = of("dora")["number"].as_str().unwrap();
    assert_eq!(verified(folder, number, 0).0, [of("dora").clone()]);
    assert_eq!(verified(folder, of("acme")["invoice_id"].as_str().unwrap(), 0).0, [of("acme").clone()]);
    // The history has in it what it is here for: usage of every line, corrections, deliveries that came again.
    let empty = "select count(*) as n from invoice_line where meter_id is not null and quantity = 0";
    assert_eq!(folder.run(&["sql", empty, "--format", "csv"]).done().printed, "n\n0\n");
    let reasons = folder.run(&["sql", "select distinct reasons from contested_request"]).done().printed;
    for reason in ["amended", "content", "hour", "orphan", "retracted"] {
        assert!(reasons.contains(reason), "{reasons}");
    }
    let before = folder.all_rows();
    verified(folder, "2026-06", 0);
    assert_eq!(folder.all_rows(), before, "verifying writes nothing");
}

#[test]
fn what_nobody_issued_is_told() {
    let folder = books();
    for wanted in ["AC-000009", "inv_00000000000000000000", "nonsense"] {
        folder.run(&["bill", "verify", wanted]).fails(2, &["there is no issued invoice", wanted, "bill register"]);
    }
    let none = folder.run(&["bill", "verify", "2026-05"]).done();
    assert!(none.printed.is_empty() && none.told.contains("no invoice was issued"), "{}", none.told);
}

/// Each row: what is changed in a copy of the lake, and what the invoice that it is on then says first.
#[test]
fn one_changed_row_turns_it_red_and_names_the_line() {
    let on = |column: &'static str, value: &'static str| move |row: &Row| row.text(column) == Some(value);
    type Edit = Box<dyn FnMut(Row) -> Option<Row>>;
    let edit = |is: Box<dyn Fn(&Row) -> bool>, to: fn(Row) -> Option<Row>| -> Edit {
        Box::new(move |row| if is(&row) { to(row) } else { Some(row) })
    };
    let sure = || Box::new(on("event_id", "sure"));
    let line = |description: &'static str| {
        move |row: &Row| row.text("description") == Some(description) && row.text("partner_id") == Some("acme")
    };
    let faults: Vec<(&str, &'static Table, Edit, &[&str])> = vec![
        (
            "one billed raw row: its status",
            &access_log::TABLE,
            edit(sure(), |row| Some(row.with("status", 500))),
            &["line 2 (Calls made): quantity is ", "; on 2026-06-11 "],
        ),
        (
            "one billed raw row: its size",
            &access_log::TABLE,
            edit(sure(), |row| Some(row.with("response_bytes", 769_i64))),
            &["line 3 (Bytes sent): quantity is ", "; on 2026-06-11 "],
        ),
        (
            "one billed raw row: its consumer",
            &access_log::TABLE,
            edit(sure(), |row| Some(row.with("consumer", "nobody"))),
            &["line 2 (Calls made): quantity is "],
        ),
        (
            "one billed raw row: its time, within the hour",
            &access_log::TABLE,
            edit(sure(), |row| {
                let later = row.instant("occurred_at").unwrap() + chrono::TimeDelta::minutes(1);
                Some(row.with("occurred_at", later))
            }),
            &["line 10 (Seats at the end): usage of 2026-06-11: usage_sha256 is "],
        ),
        (
            "one billed raw row: gone",
            &access_log::TABLE,
            edit(sure(), |_| None),
            &[
                "line 2 (Calls made): quantity is ",
                "also: pin: in neither access_log nor rejected are the offsets 0 to 0 of file:",
            ],
        ),
        (
            "one price of the kept catalog",
            &CATALOG_FILE,
            Box::new(|row| {
                let text = row.text("text").unwrap().replacen("unit_price = \"0.07\"", "unit_price = \"0.08\"", 1);
                Some(row.with("text", text))
            }),
            &[
                "line 3 (Bytes sent): amount_minor is ",
                "also: catalog_file: it does not hold catalog ",
                "put the table back",
            ],
        ),
        (
            "one filter of the kept catalog",
            &CATALOG_FILE,
            Box::new(|row| {
                let text = row.text("text").unwrap().replacen("attributes['region'] is not null", "status = 200", 1);
                Some(row.with("text", text))
            }),
            &["line 4 (Calls by region): quantity is "],
        ),
        ("the kept catalog", &CATALOG_FILE, Box::new(|_| None), &["catalog_file: catalog ", "is not in the table"]),
        (
            "one invoice line: its amount",
            &INVOICE_LINE,
            edit(Box::new(line("Users seen")), |row| Some(row.with("amount_minor", 1_i64))),
            &["line 6 (Users seen): invoice_line.amount_minor is 1, and re-derived "],
        ),
        (
            "one invoice line: gone",
            &INVOICE_LINE,
            edit(Box::new(line("Mean latency")), |_| None),
            &["line 7 (Mean latency): invoice_line: it has no row lin_"],
        ),
        (
            "one day of evidence",
            &BILLED_USAGE,
            Box::new({
                let mut is_first = true;
                move |row| {
                    let row = if is_first { row.with("event_count", 77_i64) } else { row };
                    is_first = false;
                    Some(row)
                }
            }),
            &["billed_usage.event_count is 77, and re-derived "],
        ),
        (
            "the text of the document",
            &INVOICE,
            Box::new(|row| {
                let text = row.text("document").unwrap().replacen("Base fee", "Base free", 1);
                Some(row.with("document", text))
            }),
            &["line 1 (Base free): description is Base free, and re-derived Base fee", "also: invoice_id: it is inv_"],
        ),
        (
            "the total beside the document",
            &INVOICE,
            Box::new(|row| Some(row.with("total_minor", 1_i64))),
            &["invoice.total_minor is 1, and re-derived "],
        ),
        (
            "the number",
            &INVOICE_EVENT,
            edit(Box::new(on("number", "AC-000001")), |row| Some(row.with("number", "AC-000007"))),
            &["DIFFERENT AC-000007 acme", "invoice_event.number is AC-000007, and re-derived AC-000001"],
        ),
        (
            "an invoice that is gone",
            &INVOICE_EVENT,
            edit(Box::new(on("number", "AC-000001")), |_| None),
            &["DIFFERENT AC-000002", "nobody has the number before it: an issued invoice is gone"],
        ),
        (
            "an event of the registry",
            &partner_event::TABLE,
            edit(Box::new(on("event_type", "subscription.changed")), |_| None),
            &["line 1 (Base fee): span_end is 2026-06-15T10:20:30Z, and re-derived 2026-06-30T22:00:00Z"],
        ),
    ];
    let copy = books().copy();
    for (name, table, edit, words) in faults {
        while_changed(&copy, table, edit, || {
            let ran = copy.run(&["bill", "verify", "2026-06"]).fails(3, &["differ from what their raw rows come to"]);
            for word in words {
                assert!(ran.printed.contains(word), "{name}: {word:?} is not in {}{}", ran.printed, ran.told);
            }
            let is_red = |line: &&str| line.starts_with("DIFFERENT AC-00000");
            assert!(ran.printed.lines().any(|line| is_red(&line)), "{name}: {}", ran.printed);
        });
    }
    // What was changed was put back each time, or every fault would have seen those before it.
    verified(&copy, "2026-06", 0);
}

/// The first difference is of the line that the row is on: nothing else is told before it.
#[test]
fn the_days_of_a_quantity_are_told() {
    let copy = books().copy();
    change(&copy, &access_log::TABLE, |row| {
        Some(if row.text("event_id") == Some("sure") { row.with("response_bytes", 1_768_i64) } else { row })
    });
    let (invoices, _) = verified(&copy, "2026-06", 3);
    let acme = invoices.iter().find(|one| one["partner_id"] == "acme").unwrap();
    let first = &acme["differences"][0];
    assert_eq!((&first["line_number"], &first["field"]), (&json!(3), &json!("quantity")), "{acme}");
    let days = first["days"].as_array().unwrap();
    assert_eq!((days.len(), &days[0]["event_date"]), (1, &json!("2026-06-11")));
    let number = |value: &Value| value.as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(number(&days[0]["rederived"]) - number(&days[0]["stored"]), 1_000);
    assert_eq!(number(&first["rederived"]) - number(&first["stored"]), 1_000);
    let dora = invoices.iter().find(|one| one["partner_id"] == "dora").unwrap();
    assert_eq!(dora["differences"], json!([]), "the others hold");
}

/// A lake that was put back from before the invoice, and one whose files are gone.
#[test]
fn a_pin_that_the_lake_does_not_reach_is_told() {
    let copy = books().copy();
    let open = || Lake::open(copy.path("lake").to_str().unwrap()).unwrap();
    std::fs::remove_dir_all(copy.path("lake/access_log")).unwrap();
    runtime().block_on(async { open().version(&access_log::TABLE).await.unwrap() });
    let ran = copy.run(&["bill", "verify", "AC-000001"]).fails(3, &[]);
    for word in ["DIFFERENT AC-000001 acme", "was read never", "put it back from a later copy"] {
        assert!(ran.printed.contains(word), "{word:?} is not in {}", ran.printed);
    }
    let copy = books().copy();
    for entry in std::fs::read_dir(copy.path("lake/access_log")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name != "_delta_log") {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    copy.run(&["bill", "verify", "AC-000001"]).fails(3, &["put it back from a copy of the lake"]);
}

/// A document that is gone, and one whose text is none: each is told, and the other invoice of the month is verified
/// all the same.
#[test]
fn a_document_that_is_gone_is_told_and_hides_no_other() {
    let copy = books().copy();
    let is_acme = |row: &Row| row.text("partner_id") == Some("acme");
    let gone = |row: Row| (!is_acme(&row)).then_some(row);
    let broken = |row: Row| {
        let text = row.text("document").unwrap_or_default()[1..].to_owned();
        Some(if is_acme(&row) { row.with("document", text) } else { row })
    };
    let is_told = |edit: &dyn Fn(Row) -> Option<Row>, words: &str| {
        while_changed(&copy, &INVOICE, edit, || {
            let (invoices, printed) = verified(&copy, "2026-06", 3);
            let lines: Vec<&str> = printed.lines().filter(|line| !line.starts_with(' ')).collect();
            assert_eq!((invoices.len(), lines.len()), (2, 2), "{printed}");
            let of = |partner: &str| lines.iter().find(|line| line.contains(partner)).unwrap();
            assert!(of("acme").starts_with("DIFFERENT AC-000001") && of("acme").contains(words), "{printed}");
            assert!(of("dora").starts_with("OK AC-000002"), "{printed}");
            assert!(verified(&copy, "AC-000001", 3).1.contains(words));
        });
    };
    is_told(&gone, "it was issued, and is gone");
    is_told(&broken, "the stored text is no JSON object");
}
