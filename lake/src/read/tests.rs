//! Views by rows, tables as a run left them, answers as Parquet.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{Array as _, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT};
use tollbook_schemas::tables::derived::{PARTNER, PARTNER_360, USAGE};
use tollbook_schemas::tables::partner_event::TABLE as EVENTS;
use tollbook_schemas::tables::rejected::TABLE as REJECTED;
use tollbook_schemas::tables::{Kind, Value, partner_event};

use super::*;
use crate::commit::TxnStep;

fn open(folder: &Path) -> Lake {
    Lake::open(folder.to_str().unwrap()).unwrap()
}

fn at(day: u32) -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(2026, 6, day).unwrap().and_time(chrono::NaiveTime::MIN).and_utc()
}

fn day(day: u32) -> NaiveDate {
    at(day).date_naive()
}

/// The row with something in every column that a test does not care about.
fn whole(def: &'static Table, mut row: Row) -> Row {
    for column in def.columns.iter().filter(|column| !column.nullable) {
        if *row.get(column.name) == Value::Null {
            row = match column.kind {
                Kind::Text => row.with(column.name, "-"),
                Kind::Bytes => row.with(column.name, Vec::new()),
                Kind::Int | Kind::Int32 => row.with(column.name, 0_i64),
                Kind::Flag => row.with(column.name, false),
                Kind::Instant => row.with(column.name, at(1)),
                Kind::Date => row.with(column.name, day(1)),
                Kind::Decimal => row.with(column.name, Decimal::ZERO),
                Kind::TextMap => row.with(column.name, BTreeMap::new()),
            };
        }
    }
    row
}

async fn put(lake: &Lake, def: &'static Table, rows: impl IntoIterator<Item = Row>) {
    let rows: Vec<Row> = rows.into_iter().map(|row| whole(def, row)).collect();
    assert_eq!(lake.append_missing(def, &rows).await.unwrap(), rows.len());
}

/// Each row as its values in print, separated by spaces; null is a dash.
fn printed(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(|column| cast(column, &DataType::Utf8).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| {
                let strings = column.as_string::<i32>();
                if strings.is_null(row) { "-" } else { strings.value(row) }
            });
            rows.push(cells.collect::<Vec<_>>().join(" "));
        }
    }
    rows
}

async fn asked(lake: &Lake, context: &SessionContext, sql: &str) -> Result<Vec<String>, LakeError> {
    Ok(printed(&lake.query(context, sql).await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn views_have_the_columns_that_they_declare() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    let context = lake.session().await.unwrap();
    for view in VIEWS {
        let batches = lake.answer(&context, &format!("select * from {}", view.name)).await.unwrap();
        let schema = batches[0].schema();
        let found: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let declared: Vec<&str> = view.columns.iter().map(|column| column.name).collect();
        assert_eq!(found, declared, "{}", view.name);
        for field in schema.fields().iter().filter(|field| field.name().ends_with("_minor")) {
            let exact = matches!(field.data_type(), DataType::Int64 | DataType::Decimal128(38, 0));
            assert!(exact, "{}.{} is {}", view.name, field.name(), field.data_type());
        }
    }
    let kinds = "select table_type, count(*) from information_schema.tables where table_schema = 'public' group by 1";
    let kinds = asked(&lake, &context, kinds).await.unwrap();
    assert_eq!(kinds.len(), 2, "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_stands_where_its_life_got_to() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    let event = |invoice: &str, kind: &str| {
        let row = Row::new().with("invoice_id", invoice).with("kind", kind).with("at", at(3));
        match kind {
            "issued" => row.with("number", format!("N-{invoice}")).with("issuer_id", "eu"),
            "answered" => {
                row.with("step", "create").with("http_status", 200_i64).with("stripe_id", format!("in_{invoice}"))
            }
            "finalised" => row.with("stripe_id", format!("in_{invoice}")),
            "paid" => row.with("amount_minor", 250_i64),
            // What failed collected nothing, whatever was due.
            "payment_failed" => row.with("amount_minor", 999_i64),
            _ => row,
        }
    };
    let rows = [
        // (invoice, its events in any order, total, status, Stripe id, paid)
        ("draft", &["drafted"][..], 1, ""),
        ("gone", &["drafted", "withdrawn"], 1, ""),
        ("new", &["drafted", "issued"], 100, "N-new issued - 0"),
        ("free", &["issued", "nothing_due"], 0, "N-free nothing_due - 0"),
        ("frozen", &["issued", "frozen"], 100, "N-frozen sent - 0"),
        ("built", &["issued", "frozen", "answered"], 100, "N-built sent in_built 0"),
        ("open", &["finalised", "issued", "frozen", "answered"], 100, "N-open finalised in_open 0"),
        ("bounced", &["payment_failed", "issued", "finalised"], 999, "N-bounced payment_failed in_bounced 0"),
        ("paid", &["paid", "payment_failed", "issued", "finalised"], 250, "N-paid paid in_paid 250"),
    ];
    for (invoice, kinds, total, _) in rows {
        put(&lake, &INVOICE, [Row::new().with("invoice_id", invoice).with("total_minor", i64::from(total))]).await;
        put(&lake, &INVOICE_EVENT, kinds.iter().map(|kind| event(invoice, kind))).await;
    }
    // A customer is made by a refused call too, and neither is the invoice at Stripe.
    let refused = event("frozen", "answered").with("http_status", 402_i64).with("stripe_id", "in_never");
    let customer = event("frozen", "answered").with("step", "customer").with("stripe_id", "cus_1");
    put(&lake, &INVOICE_EVENT, [refused, customer]).await;

    let context = lake.session().await.unwrap();
    for (invoice, _, _, expected) in rows {
        let sql =
            format!("select number, status, stripe_id, paid_minor from invoice_status where invoice_id = '{invoice}'");
        assert_eq!(asked(&lake, &context, &sql).await.unwrap().concat(), expected, "{invoice}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revenue_is_summed_by_currency_beyond_64_bits() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    for (invoice, period, currency, total, kinds) in [
        ("a", "2026-06", "EUR", i64::MAX, &["issued", "paid"][..]),
        ("b", "2026-06", "EUR", i64::MAX, &["issued"]),
        ("c", "2026-06", "USD", 5, &["issued", "paid"]),
        ("d", "2026-05", "EUR", 7, &["issued"]),
        ("e", "2026-06", "EUR", 1_000, &["drafted"]),
    ] {
        let row = Row::new().with("invoice_id", invoice).with("currency", currency).with("period", period);
        put(&lake, &INVOICE, [row.with("total_minor", total)]).await;
        // Stripe told no total with the payment: then it is ours.
        let event = |kind: &&str| Row::new().with("invoice_id", invoice).with("kind", *kind);
        put(&lake, &INVOICE_EVENT, kinds.iter().map(event)).await;
    }
    let context = lake.session().await.unwrap();
    let found = asked(&lake, &context, "select * from revenue_monthly order by period, currency").await.unwrap();
    assert_eq!(
        found,
        [
            "2026-05 EUR 1 7 0 0 0 0 0",
            "2026-06 EUR 2 18446744073709551614 1 9223372036854775807 0 0 0",
            "2026-06 USD 1 5 1 5 0 0 0"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_quantities_that_add_up_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    let usage = |meter: &str, hour: i64, on: u32, quantity: &str, state: &str| {
        Row::new()
            .with("meter_id", meter)
            .with("partner_id", "acme")
            .with("environment", "production")
            .with("slice_start", at(on) + chrono::TimeDelta::hours(hour))
            .with("quantity", quantity.parse::<Decimal>().unwrap())
            .with("state", state)
            .with("event_count", 3_i64)
            .with("event_date", day(on))
    };
    let huge = Decimal::from_unscaled(10_i128.pow(38) - 1).unwrap().to_string();
    let nobody = |hour| {
        let row = usage("calls", hour, 2, "3", "{}").with("partner_id", None::<String>).with("duplicate_count", 1_i64);
        row.with("environment", None::<String>).with("unattributed_reason", "unknown_consumer")
    };
    put(
        &lake,
        &USAGE,
        [
            usage("calls", 0, 2, "3", "{}"),
            usage("calls", 1, 2, "3", "{}"),
            usage("calls", 2, 2, "3", "{}").with("environment", "sandbox"),
            usage("calls", 0, 3, "3", "{}"),
            usage("tokens", 0, 2, "0.000000000001", r#"{"sum":"0.000000000001"}"#),
            usage("tokens", 1, 2, "2", r#"{"sum":"2"}"#),
            // The same user in two hours is one user.
            usage("users", 0, 2, "1", r#"{"values":["ann"]}"#),
            usage("users", 1, 2, "1", r#"{"values":["ann"]}"#),
            usage("huge", 0, 9, &huge, r#"{"sum":""}"#),
            usage("huge", 1, 9, &huge, r#"{"sum":""}"#),
            nobody(0),
            nobody(5),
        ],
    )
    .await;
    let context = lake.session().await.unwrap();
    let sql = "select * from usage_daily where meter_id <> 'huge' order by meter_id, environment, day";
    assert_eq!(
        asked(&lake, &context, sql).await.unwrap(),
        [
            "calls acme production 2026-06-02 6.000000000000 6",
            "calls acme production 2026-06-03 3.000000000000 3",
            "calls acme sandbox 2026-06-02 3.000000000000 3",
            "tokens acme production 2026-06-02 2.000000000001 6",
        ]
    );
    // More than 38 digits hold is an error, and never another number.
    let wrapped = asked(&lake, &context, "select quantity from usage_daily where meter_id = 'huge'").await;
    assert!(wrapped.is_err(), "{wrapped:?}");
    let found = asked(&lake, &context, "select * from unattributed_daily").await.unwrap();
    assert_eq!(found, ["2026-06-02 calls unknown_consumer 6 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn active_partners_are_those_of_the_newest_instant() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    let view = |partner: &str, on: u32, active: bool| {
        Row::new().with("as_of", at(on)).with("partner_id", partner).with("active", active).with("trend", "steady")
    };
    put(
        &lake,
        &PARTNER_360,
        [
            view("acme", 1, true),
            view("acme", 2, true),
            view("birch", 1, true),
            view("birch", 2, false),
            view("new", 2, true),
        ],
    )
    .await;
    put(&lake, &PARTNER, [Row::new().with("partner_id", "acme").with("display_name", "Acme")]).await;
    let context = lake.session().await.unwrap();
    let sql = "select partner_id, display_name, trend from active_partner order by partner_id";
    assert_eq!(asked(&lake, &context, sql).await.unwrap(), ["acme Acme steady", "new - steady"]);
}

fn step(app_id: &str, expected: Option<i64>, next: i64) -> TxnStep {
    TxnStep { app_id: app_id.to_owned(), expected, next }
}

const SOURCE: &str = "test/events/1";

fn of_offset(def: &'static Table, offset: i64) -> Row {
    whole(def, Row::new().with("source", SOURCE).with("kafka_offset", offset))
}

fn refused(target: &str, offset: i64) -> Row {
    of_offset(&REJECTED, offset).with("target", target).with("reason", "no_json").with("ingest_date", day(4))
}

/// One commit for each offset from `from` to `to`.
async fn ingest(lake: &Lake, from: i64, to: i64) {
    for offset in from..to {
        let step = step(&format!("{SOURCE}#0"), (offset > 0).then_some(offset), offset + 1);
        lake.append(&EVENTS, &[of_offset(&EVENTS, offset)], &[step]).await.unwrap();
    }
}

/// The registry is these partners, and nobody else.
async fn registry(lake: &Lake, refresh: i64, partners: &[&str]) {
    let rows: Vec<Row> = partners.iter().map(|id| whole(&PARTNER, Row::new().with("partner_id", *id))).collect();
    let step = step("test", (refresh > 1).then_some(refresh - 1), refresh);
    lake.replace(&PARTNER, None, &rows, &[step]).await.unwrap();
}

/// What a run records.
async fn record(lake: &Lake) -> PinnedTables {
    let mut recorded = PinnedTables::default();
    for def in INGESTED {
        recorded.pins.insert(def.name.to_owned(), lake.pin(def).await.unwrap());
    }
    for def in ALL {
        recorded.versions.insert(def.name.to_owned(), u64::try_from(lake.version(def).await.unwrap()).unwrap());
    }
    recorded
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_read_as_a_run_left_them() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    ingest(&lake, 0, 5).await;
    registry(&lake, 1, &["acme", "birch"]).await;
    // Two records were refused; of the second the main table knows nothing yet.
    put(&lake, &REJECTED, [refused("partner_event", 2), refused("partner_event", 6)]).await;
    // What was meant for another table counts by that table's frontier.
    put(&lake, &REJECTED, [refused("access_log", 3)]).await;
    let run = record(&lake).await;

    const EVENT_COUNT: &str = "select count(*), max(kafka_offset) from partner_event";
    const PARTNERS: &str = "select partner_id from partner order by partner_id";
    const REFUSED: &str = "select kafka_offset from rejected order by kafka_offset";
    const REFUSED_DAILY: &str = "select day, target, reason, record_count from reject_daily";
    let now = lake.session().await.unwrap();
    assert_eq!(asked(&lake, &now, REFUSED).await.unwrap(), ["2"], "what is not decided yet is not shown");

    // The lake goes on: more events, another registry, small files merged.
    ingest(&lake, 5, 8).await;
    registry(&lake, 2, &["cobalt"]).await;
    lake.compact(&partner_event::TABLE, 1 << 27).await.unwrap();
    registry(&lake, 3, &["cobalt", "delta"]).await;
    let now = lake.session().await.unwrap();
    assert_eq!(asked(&lake, &now, EVENT_COUNT).await.unwrap(), ["8 7"]);
    assert_eq!(asked(&lake, &now, PARTNERS).await.unwrap(), ["cobalt", "delta"]);
    assert_eq!(asked(&lake, &now, REFUSED_DAILY).await.unwrap(), ["2026-06-04 partner_event no_json 2"]);

    // The run's tables are what they were, also for a process that knows only the folder.
    for reader in [lake.clone(), open(folder.path())] {
        let then = reader.session_at(&run).await.unwrap();
        for (sql, expected) in [
            (EVENT_COUNT, &["5 4"][..]),
            (PARTNERS, &["acme", "birch"]),
            (REFUSED, &["2"]),
            (REFUSED_DAILY, &["2026-06-04 partner_event no_json 1"]),
            ("select kafka_offset from partner_event where kafka_offset > 2 and event_id = '-' limit 1", &["3"]),
        ] {
            assert_eq!(asked(&reader, &then, sql).await.unwrap(), expected, "{sql}");
        }
    }
    // A table that the run does not name was not there yet, and no pin is nothing known.
    let nothing = lake.session_at(&PinnedTables::default()).await.unwrap();
    for sql in [PARTNERS, REFUSED, "select event_id from partner_event"] {
        assert_eq!(asked(&lake, &nothing, sql).await.unwrap(), Vec::<String>::new(), "{sql}");
    }

    // Files that another tool took away, a log that does not reach back, a lake that is older than the run.
    let vacuumed = folder.path().join("partner");
    let live = lake.files("partner").await.unwrap().unwrap();
    for entry in std::fs::read_dir(&vacuumed).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && !live.contains(&path.display().to_string()) {
            std::fs::remove_file(path).unwrap();
        }
    }
    let told = |error: LakeError, words: &str| {
        let text = error.to_string();
        assert!(matches!(error, LakeError::Past { table: "partner", .. }) && text.contains(words), "{text}");
    };
    let then = lake.session_at(&run).await.unwrap();
    told(asked(&lake, &then, PARTNERS).await.unwrap_err(), "1 of its 1 files are gone");
    told(asked(&lake, &then, "select * from active_partner").await.unwrap_err(), "are gone");
    let written = lake.write_parquet(&then, PARTNERS, Vec::new()).await;
    told(written.unwrap_err(), "are gone");
    assert_eq!(asked(&lake, &then, EVENT_COUNT).await.unwrap(), ["5 4"], "other tables are still read");

    let at = lake.checkpoint(&PARTNER, 1).await.unwrap().unwrap();
    for entry in 0..=at {
        std::fs::remove_file(vacuumed.join(format!("_delta_log/{entry:020}.json"))).unwrap();
    }
    let cold = open(folder.path());
    let then = cold.session_at(&run).await.unwrap();
    told(asked(&cold, &then, PARTNERS).await.unwrap_err(), "entries of its log are gone");

    let mut later = run.clone();
    later.versions.insert("partner".to_owned(), 99);
    let then = lake.session_at(&later).await.unwrap();
    told(asked(&lake, &then, PARTNERS).await.unwrap_err(), "older than the run");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_parquet_keeps_its_types() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    let exact: Decimal = "12345678901234567890.000000000001".parse().unwrap();
    let dimensions = BTreeMap::from([("region".to_owned(), "eu".to_owned())]);
    put(&lake, &USAGE, [Row::new().with("quantity", exact).with("dimensions", dimensions).with("event_count", 7_i64)])
        .await;
    let context = lake.session().await.unwrap();
    let sql = "select quantity, slice_start, dimensions, event_date, event_count, partner_id, \
               sum(cast(event_count as decimal(38, 0))) over () as total from usage";
    let mut bytes = Vec::new();
    assert_eq!(lake.write_parquet(&context, sql, &mut bytes).await.unwrap(), 1);
    let read = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).unwrap();
    let found: Vec<DataType> = read.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(
        found,
        [
            DataType::Decimal128(38, 12),
            instant,
            Kind::TextMap.data_type(),
            DataType::Date32,
            DataType::Int64,
            DataType::Utf8,
            DataType::Decimal128(38, 0)
        ]
    );
    let written: Vec<RecordBatch> = read.build().unwrap().collect::<Result<_, _>>().unwrap();
    let asked_for = lake.query(&context, sql).await.unwrap();
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].columns(), asked_for[0].columns());

    // No rows, and still columns.
    let mut bytes = Vec::new();
    let none = "select quantity from usage where false";
    assert_eq!(lake.write_parquet(&context, none, &mut bytes).await.unwrap(), 0);
    let read = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).unwrap();
    assert_eq!(read.schema().field(0).data_type(), &DataType::Decimal128(38, 12));
    assert_eq!(lake.answer(&context, none).await.unwrap()[0].num_columns(), 1);

    // What no reader could tell apart is not written.
    let twice = "select a.meter_id, b.meter_id from usage a join usage b on a.meter_id = b.meter_id";
    let error = lake.write_parquet(&context, twice, Vec::new()).await.unwrap_err().to_string();
    assert!(error.contains("two columns are named meter_id"), "{error}");
}

/// A data file never changes, so its footer is read by the first query of a process and by no other.
#[tokio::test]
async fn a_footer_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    put(&lake, &PARTNER, ["a", "b"].map(|id| Row::new().with("partner_id", id))).await;
    let before = lake.rows(&PARTNER, None).await.unwrap();
    assert_eq!(before.len(), 2);
    let file = lake.files("partner").await.unwrap().unwrap().remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    let end = bytes.len();
    bytes[end - 8..].fill(0);
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(lake.rows(&PARTNER, None).await.unwrap(), before);
    assert!(open(folder.path()).rows(&PARTNER, None).await.is_err());
}
