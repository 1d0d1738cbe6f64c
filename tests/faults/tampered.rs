//! Every column of every table that an invoice stands on, changed in one row after another of a copy of a lake:
//! `verify` turns red, or the column is listed here with the reason why it proves nothing.
//!
//! A column that is listed is changed in every row, and must leave the invoices green: what is proven one day leaves
//! the list.

use serde_json::{Value as Json, json};
use tollbook_lake::Lake;
use tollbook_schemas::tables::billing::{BILLED_USAGE, BILLING_PROFILE, INVOICE, INVOICE_EVENT, INVOICE_LINE};
use tollbook_schemas::tables::catalog::CATALOG_FILE;
use tollbook_schemas::tables::{Column, Kind, Row, Table, Value, access_log, partner_event};
use tollbook_verify::{Verdict, Wanted, verify};

use crate::folder::{Folder, MONTH, runtime};
use crate::verify::{ingest, while_changed};

/// What is not proven, of each table: columns, and why.
const NOT_PROVEN: &[(&Table, &[&str], &str)] = &[
    (
        &access_log::TABLE,
        &[
            "route",
            "path_template",
            "error_code",
            "request_bytes",
            "latency_us",
            "upstream_latency_us",
            "scope",
            "workspace",
            "client_address",
            "user_agent",
            "id_basis",
            "bytes_basis",
            "time_basis",
        ],
        "no meter and no product of this catalog asks for it",
    ),
    (&access_log::TABLE, &["environment_default"], "every request says itself which it is of"),
    (&access_log::TABLE, &["event_date"], "the partition; a row is found wherever it lies in the days of the document"),
    (
        &partner_event::TABLE,
        &["event_source", "event_id", "record_index"],
        "by which an event counts once, and which of one message comes first: no two are of one id or message here",
    ),
    (
        &partner_event::TABLE,
        &["event_type_full", "received_at", "actor", "correlation_id", "causation_id"],
        "who said it, how and when: what was said is in the others",
    ),
    (&partner_event::TABLE, &["event_month"], "the partition; the month is that of occurred_at"),
    (&CATALOG_FILE, &["kept_at"], "when it was kept: its hash is over paths and texts"),
    (&BILLING_PROFILE, &["recorded_at"], "when it was imported: the document names the version"),
    (
        &INVOICE_EVENT,
        &["step", "generation", "at", "detail"],
        "when and why it was issued is in the event alone; `at` within its month",
    ),
    (
        &INVOICE_EVENT,
        &[
            "request_path",
            "request_body",
            "idempotency_key",
            "http_status",
            "stripe_request_id",
            "stripe_id",
            "stripe_account_key",
            "amount_minor",
        ],
        "what Stripe was told and said: `bill push` and `bill sync` compare it with Stripe",
    ),
];

const PARTNERS: &str = "\
partner_id,display_name,segment,registered_at,consumer,consumer_from,environment,subscription_id,plan_id,time_zone,\
subscription_from,legal_name,address,country,tax_id,billing_email,purchase_order,payment_terms_days
acme,Acme,,2026-05-01T00:00:00Z,shop,2026-05-01T00:00:00Z,,s1,all,,2026-05-10T08:30:00Z,Acme Ltd,\
Street 1,DE,DE1,billing@acme.example,PO 7,14
";

const CATALOG: &str = r#"
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
[[product.rule]]
host = "*.example.com"
method = ["GET"]
route = "/maps/"
tag = { tier = "gold" }

[[product]]
id = "tiles"
name = "Tiles"
routes = ["/tiles/"]

[[meter]]
id = "calls"
name = "Calls"
unit = "call"
product = "maps"
aggregation = "count"
filter = "status between 200 and 299"
exclude = ["health_checks", "cache_hits", "try_it", "retries"]

[[meter]]
id = "bytes"
name = "Bytes"
unit = "byte"
aggregation = "sum"
value = "response_bytes"
group_by = { user = "attributes['user']" }

[[meter]]
id = "last"
name = "Last"
unit = "seat"
aggregation = "latest"
value = "attributes['seats']"

[[plan]]
id = "all"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "All"
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
id = "bytes"
description = "Bytes"
meter = "bytes"
model = "per_unit"
unit_price = "0.01"

[[plan.price]]
id = "last"
description = "Seats"
meter = "last"
model = "per_unit"
unit_price = "1"
"#;

/// A request, one that comes again, a retry, one that is amended, one of a credential, one that the gateway names the
/// product of.
fn requests() -> String {
    let request = |id: &str, minute: usize, more: Json| {
        let mut record = json!({
            "event_id": id, "occurred_at": format!("2026-06-11T11:{minute:02}:11Z"), "status": 200, "path": "/maps/1",
            "host": "api.example.com", "method": "GET", "response_bytes": 700 + minute, "consumer": "shop",
            "environment": "production",
            "attributes": { "user": id, "seats": format!("{minute}"), "tier": "gold" },
        });
        let fields = record.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        fields.retain(|_, value| !value.is_null());
        record.to_string()
    };
    [
        request("sure", 1, json!({})),
        request("again", 2, json!({ "idempotency_key": "k1" })),
        request("again", 3, json!({ "response_bytes": 9 })),
        request("retry", 4, json!({ "idempotency_key": "k1" })),
        request("wrong", 5, json!({})),
        request("right", 6, json!({ "kind": "amendment", "corrects_event_id": "wrong", "response_bytes": 5 })),
        request("later", 9, json!({ "kind": "amendment", "corrects_event_id": "wrong", "response_bytes": 6 })),
        request("key", 7, json!({ "consumer": null, "credential": "key-a" })),
        request("hinted", 8, json!({ "path": "/other", "product": "maps" })),
    ]
    .join("\n")
}

const CREDENTIALS: &str = r#"{"specversion":"1.0","id":"c1","source":"/portal","type":"com.x.partner.credential.issued.v1","subject":"partner/acme","time":"2026-05-02T00:00:00Z","data":{"credential":"key-a"}}
"#;

/// One invoice of June, and the months before it, in which nothing was used.
fn books() -> Folder {
    let folder = Folder::new();
    folder.write("catalog/catalog.toml", CATALOG);
    folder.write("partners.csv", PARTNERS);
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    folder.write("credentials.log", CREDENTIALS);
    assert_eq!(folder.ingest("credentials.log", "cloudevents"), (1, 0));
    ingest(&folder, "june.log", &requests(), 1_783_036_800);
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    for step in ["draft", "issue"] {
        folder.run(&[&["bill", step][..], &MONTH].concat()).done();
    }
    folder
}

/// What is found of June; nothing where all of it holds.
fn found(folder: &Folder) -> String {
    let root = folder.path("lake");
    let verified = runtime().block_on(async move {
        let lake = Lake::open(root.to_str().unwrap()).unwrap();
        Box::pin(verify(&lake, &Wanted::Month("2026-06".parse().unwrap()))).await
    });
    match verified {
        Err(error) => format!("error: {error}"),
        Ok(all) if all.is_empty() => "nothing was issued".to_owned(),
        Ok(all) => {
            let red = all.iter().filter(|one| one.verdict != Verdict::Holds);
            red.map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
    }
}

/// Another value of the same kind.
fn other(column: &Column, value: &Value) -> Value {
    match (value, column.kind) {
        (Value::Text(text), _) if column.name == "text" => {
            let changed = text.replacen("0.10", "0.11", 1);
            if changed == *text { format!("{text} ") } else { changed }.into()
        }
        (Value::Text(text), _) if column.name == "data" => {
            text.replacen(':', ": ", 1).replacen("shop", "shoq", 1).into()
        }
        // What the catalog's rules look at: a value that they tell apart.
        (Value::Text(text), _) if column.name == "path" => format!("/x{text}").into(),
        (_, _) if column.name == "status" => 500_i64.into(),
        (_, _) if column.name == "cache_status" => "hit".into(),
        (_, _) if column.name == "client_tag" => "try_it".into(),
        (Value::Instant(at), _) if column.name == "occurred_at" => (*at + chrono::TimeDelta::days(40)).into(),
        (Value::Text(text), _) => format!("{text}x").into(),
        (Value::Int(number), _) => (number + 1).into(),
        (Value::Flag(is), _) => (!is).into(),
        (Value::Instant(at), _) => (*at + chrono::TimeDelta::minutes(1)).into(),
        (Value::Date(date), _) => date.succ_opt().unwrap().into(),
        (Value::Decimal(_), _) => "12345".parse::<tollbook_schemas::decimal::Decimal>().unwrap().into(),
        (Value::Bytes(_), _) | (Value::Null, Kind::Bytes) => Value::Bytes(vec![7]),
        (Value::TextMap(map), _) => {
            let mut map = map.clone();
            map.insert("seats".to_owned(), "77".to_owned());
            map.insert("user".to_owned(), "somebody".to_owned());
            Value::TextMap(map)
        }
        (Value::Null, Kind::Text) => "x".into(),
        (Value::Null, Kind::Int | Kind::Int32) => 1_i64.into(),
        (Value::Null, kind) => panic!("{}: nothing of kind {kind:?}", column.name),
    }
}

fn reason(table: &Table, column: &Column) -> Option<&'static str> {
    let listed = NOT_PROVEN.iter().find(|(of, columns, _)| of.name == table.name && columns.contains(&column.name));
    listed.map(|(_, _, reason)| *reason)
}

/// Changes every column in one row after another until something is red.
fn tamper(table: &'static Table) {
    let folder = books();
    assert_eq!(found(&folder), "");
    // By content: a table is read in no certain order.
    let rows = folder.rows(table);
    let mut wrong = Vec::new();
    for column in table.columns {
        let reason = reason(table, column);
        let mut told = String::new();
        // Of a column that proves nothing all rows at once.
        let chosen: Vec<Option<&Row>> = if reason.is_some() { vec![None] } else { rows.iter().map(Some).collect() };
        for one in chosen {
            let edit = |row: Row| {
                let is_it = one.is_none_or(|one| *one == row);
                let changed = other(column, row.get(column.name));
                Some(if is_it { row.with(column.name, changed) } else { row })
            };
            while_changed(&folder, table, edit, || told = found(&folder));
            if !told.is_empty() {
                break;
            }
        }
        match (reason, told.is_empty()) {
            (None, true) => wrong.push(format!("{}.{} may be changed, and nothing is said", table.name, column.name)),
            (Some(reason), false) => wrong.push(format!("{}.{} ({reason}): {told}", table.name, column.name)),
            _ => {}
        }
    }
    assert_eq!(found(&folder), "", "it was put back");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_changed_request_is_told() {
    tamper(&access_log::TABLE);
}

#[test]
fn a_changed_event_or_catalog_or_profile_is_told() {
    for table in [&partner_event::TABLE, &CATALOG_FILE, &BILLING_PROFILE] {
        tamper(table);
    }
}

#[test]
fn a_changed_document_or_what_is_kept_beside_it_is_told() {
    for table in [&INVOICE, &INVOICE_LINE, &BILLED_USAGE] {
        tamper(table);
    }
}

#[test]
fn a_changed_event_of_an_invoice_is_told() {
    tamper(&INVOICE_EVENT);
}
