//! The close of a month, from the rollups: `bill draft` and `bill issue` of many partners, as the jobs run them, with
//! documents, lines and evidence in the lake; pages are not rendered.
//!
//! `TOLLBOOK_BENCH_PARTNERS` says how many partners there are. Each has ten lines of ten rows of `usage`: 100,000
//! partners make a million lines of ten million rows. The memory is the highest of a process of its own that drafts and
//! issues.

mod figures;
mod inputs;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{
    Date32Builder, Decimal128Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tollbook::clock::Clock;
use tollbook::context::JobContext;
use tollbook::demo::profile_rows;
use tollbook::jobs::{bill, check};
use tollbook_aggregate::{read_registry, refresh_usage};
use tollbook_lake::{Lake, Part, TxnStep};
use tollbook_schemas::period::{Month, parse_instant};
use tollbook_schemas::tables::billing::BILLING_PROFILE;
use tollbook_schemas::tables::derived::USAGE;
use tollbook_schemas::tables::{Kind, partner_event, text_map_builder};
use tollbook_simulate::BillingProfile;

use figures::{Took, measured_of, setting};

const METERS: usize = 10;
const DAYS: usize = 10;
/// How far the data reach, and when the month is closed.
const REACH: &str = "2026-07-01T12:00:00Z";
const NOW: &str = "2026-07-02T00:00:00Z";
/// Given to the process that closes, before the folder of the deployment.
const CLOSE: &str = "--close";

fn at(text: &str) -> DateTime<Utc> {
    parse_instant(text).unwrap()
}

fn partner(number: u64) -> String {
    format!("p-{number:06}")
}

/// Ten meters, and a plan that prices each of them: by the call, by package, in three tiers.
fn catalog() -> String {
    let mut text = "[[issuer]]\nid = \"eu\"\nlegal_name = \"Bench GmbH\"\naddress = [\"Street 1\", \"10119 Berlin\"]\n\
                    tax_id = \"DE000000000\"\nnumber_prefix = \"B-\"\ntime_zone = \"UTC\"\npayment_terms_days = 14\n\
                    [[product]]\nid = \"maps\"\nname = \"Maps\"\nroutes = [\"/maps/\"]\n"
        .to_owned();
    let mut prices = String::new();
    for meter in 0..METERS {
        let (aggregation, value) = if meter % 2 == 0 { ("count", "") } else { ("sum", "value = \"response_bytes\"\n") };
        text += &format!(
            "[[meter]]\nid = \"m{meter}\"\nname = \"Meter {meter}\"\nunit = \"call\"\naggregation = \"{aggregation}\"\n{value}"
        );
        let model = match meter % 3 {
            0 => "model = \"per_unit\"\nunit_price = \"0.00123\"",
            1 => "model = \"package\"\npackage_size = \"1000\"\npackage_price = \"0.5\"",
            _ => {
                "model = \"graduated\"\ntiers = [{ up_to = \"1000\", unit_price = \"0\" }, { up_to = \"100000\", \
                 unit_price = \"0.002\" }, { unit_price = \"0.001\" }]"
            }
        };
        prices += &format!(
            "[[plan.price]]\nid = \"x{meter}\"\ndescription = \"Price {meter}\"\nmeter = \"m{meter}\"\n{model}\n"
        );
    }
    text + "[[plan]]\nid = \"pro\"\nversion = 1\neffective_from = \"2026-01-01T00:00:00Z\"\nname = \"Pro\"\nissuer = \"eu\"\n\
            currency = \"EUR\"\n"
        + &prices
}

/// Partners with a subscription and a billing profile, as ingest and import leave them.
async fn people(lake: &Lake, partners: u64) {
    let mut door = inputs::Partitions::new(inputs::door(tollbook_ingest::Decoder::CloudEvents, "lifecycle"));
    let mut offset = 0;
    for number in 0..partners {
        let id = partner(number);
        for (kind, data) in [
            ("registered", json!({ "display_name": id })),
            ("subscription.started", json!({ "subscription_id": format!("s-{id}"), "plan_id": "pro" })),
        ] {
            let event = json!({
                "specversion": "1.0", "id": format!("{id}-{kind}"), "source": "/bench",
                "subject": format!("partner/{id}"), "datacontenttype": "application/json",
                "type": format!("org.example.partner.{kind}.v1"), "time": "2026-05-01T00:00:00Z", "data": data,
            });
            let headers = [("content-type".to_owned(), b"application/cloudevents+json".to_vec())];
            if let Some(sealed) =
                door.push(0, offset, at("2026-05-01T00:00:00Z"), Some(event.to_string().as_bytes()), &headers)
            {
                append(lake, sealed).await;
            }
            offset += 1;
        }
    }
    append(lake, door.seal()).await;
    let profile = |number| BillingProfile {
        partner_id: partner(number),
        effective_from: at("2026-01-01T00:00:00Z"),
        legal_name: format!("{} Ltd", partner(number)),
        address: "Street 1\n10119 Berlin".to_owned(),
        country: "DE".to_owned(),
        tax_id: None,
        billing_email: "billing@example.org".to_owned(),
        purchase_order: None,
        payment_terms_days: 14,
    };
    let profiles = profile_rows((0..partners).map(profile), at("2026-01-01T00:00:00Z")).unwrap();
    lake.append_missing(&BILLING_PROFILE, &profiles).await.unwrap();
}

async fn append(lake: &Lake, sealed: Vec<(i32, tollbook_ingest::bench::Decoded)>) {
    for (partition, part) in sealed {
        assert_eq!(part.rejected_total, 0, "an event was refused");
        let app_id = inputs::source("lifecycle").app_id(partition);
        let expected = lake.txn(&partner_event::TABLE, &app_id).await.unwrap();
        if expected == Some(part.to) {
            continue;
        }
        let step = TxnStep { app_id, expected, next: part.to };
        let part = Part { step, batches: part.accepted.into_iter().collect() };
        lake.append_parts(&partner_event::TABLE, &[part]).await.unwrap();
    }
}

/// One day's usage of everybody, in the order in which a refresh writes it: by meter.
fn usage_of_day(day: usize, partners: u64) -> RecordBatch {
    let start = at("2026-06-01T00:00:00Z") + TimeDelta::days(i64::try_from(day).unwrap() * 3);
    let (start, end) = (start.timestamp_micros(), (start + TimeDelta::hours(1)).timestamp_micros());
    let date = i32::try_from(start / 86_400_000_000).unwrap();
    let count = usize::try_from(partners).unwrap() * METERS;
    let text = || StringBuilder::with_capacity(count, count * 10);
    let instant = || TimestampMicrosecondBuilder::with_capacity(count).with_timezone("UTC");
    let (mut meters, mut ids, mut environments, mut reasons, mut products, mut states) =
        (text(), text(), text(), text(), text(), text());
    let (mut starts, mut ends) = (instant(), instant());
    let mut quantities = Decimal128Builder::with_capacity(count).with_data_type(Kind::Decimal.data_type());
    let (mut dimensions, mut excluded) = (text_map_builder(), text_map_builder());
    let (mut events, mut zeros) = (Int64Builder::new(), Int64Builder::new());
    let mut dates = Date32Builder::new();
    for meter in 0..METERS {
        for number in 0..partners {
            let quantity =
                i64::try_from(number * 7919 + u64::try_from(meter * 31 + day * 17).unwrap()).unwrap() % 25_000;
            meters.append_value(format!("m{meter}"));
            ids.append_value(partner(number));
            environments.append_value("production");
            reasons.append_null();
            products.append_value("maps");
            dimensions.append(true).unwrap();
            starts.append_value(start);
            ends.append_value(end);
            quantities.append_value(i128::from(quantity) * 1_000_000_000_000);
            // What `schemas/src/meter/state.rs` makes of a count and of a sum.
            if meter % 2 == 0 {
                states.append_value("{}");
            } else {
                states.append_value(format!("{{\"sum\":\"{quantity}\"}}"));
            }
            events.append_value(quantity);
            zeros.append_value(0);
            excluded.append(true).unwrap();
            dates.append_value(date);
        }
    }
    let zeros = Arc::new(zeros.finish());
    let mut columns: BTreeMap<&str, arrow::array::ArrayRef> = BTreeMap::from([
        ("meter_id", Arc::new(meters.finish()) as _),
        ("partner_id", Arc::new(ids.finish()) as _),
        ("environment", Arc::new(environments.finish()) as _),
        ("unattributed_reason", Arc::new(reasons.finish()) as _),
        ("product_id", Arc::new(products.finish()) as _),
        ("dimensions", Arc::new(dimensions.finish()) as _),
        ("slice_start", Arc::new(starts.finish()) as _),
        ("slice_end", Arc::new(ends.finish()) as _),
        ("quantity", Arc::new(quantities.finish()) as _),
        ("state", Arc::new(states.finish()) as _),
        ("event_count", Arc::new(events.finish()) as _),
        ("duplicate_count", zeros.clone() as _),
        ("invalid_count", zeros as _),
        ("excluded", Arc::new(excluded.finish()) as _),
        ("event_date", Arc::new(dates.finish()) as _),
    ]);
    let columns = USAGE.columns.iter().map(|column| columns.remove(column.name).unwrap()).collect();
    RecordBatch::try_new(USAGE.arrow_schema(), columns).unwrap()
}

async fn lake_of(folder: &Path, partners: u64) {
    check::init(folder).unwrap();
    std::fs::write(folder.join("catalog/catalog.toml"), catalog()).unwrap();
    let mut context = JobContext::open(&folder.join("tollbook.toml")).unwrap();
    context.clock = Clock::Fixed(at(NOW));
    people(&context.lake, partners).await;
    let events = context.lake.pin(&partner_event::TABLE).await.unwrap();
    let registry = read_registry(&context.lake, &events, None).await.unwrap();
    let reach = Some(at(REACH));
    refresh_usage(&context.lake, &registry, &events, &context.catalog().unwrap(), reach).await.unwrap();
    for day in 0..DAYS {
        context.lake.append_batches(&USAGE, &[usage_of_day(day, partners)], &[]).await.unwrap();
    }
}

fn took(took: Took) -> serde_json::Value {
    json!({ "wall_seconds": took.wall_seconds, "cpu_seconds": took.cpu_seconds })
}

/// Drafts, issues and drafts again, and prints what it took as JSON.
async fn close(folder: &Path) {
    let mut context = JobContext::open(&folder.join("tollbook.toml")).unwrap();
    context.clock = Clock::Fixed(at(NOW));
    let month: Month = "2026-06".parse().unwrap();
    let as_of = at(REACH);
    let (drafted, draft) = measured_of(bill::draft_month(&context, month, as_of)).await;
    let drafted = drafted.unwrap();
    let told = drafted.told();
    drop(drafted);
    let (issued, issue) = measured_of(bill::issue_month(&context, month, as_of)).await;
    let issued = issued.unwrap().issued.invoices.len();
    let close_peak_bytes = figures::peak_memory_bytes();
    let (again, redraft) = measured_of(bill::draft_month(&context, month, as_of)).await;
    assert_eq!(again.unwrap().counts.drafted, 0);
    let figures = json!({
        "issued": issued, "told": told, "draft": took(draft), "issue": took(issue), "draft_again": took(redraft),
        "peak_bytes": close_peak_bytes,
    });
    println!("{figures}");
}

fn run() {
    let partners = setting("PARTNERS", 20_000);
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(lake_of(folder.path(), partners));
    // In a process of its own: what made the rows left its memory behind.
    let done = Command::new(std::env::current_exe().unwrap()).arg(CLOSE).arg(folder.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut figures: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(figures["issued"], partners, "{figures:#}");
    figures["lines"] = json!(partners * METERS as u64);
    figures["usage_rows"] = json!(partners * (METERS * DAYS) as u64);
    figures["partners"] = json!(partners);
    figures::write("close", &figures);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [close_it, folder] if close_it == CLOSE => runtime().block_on(close(Path::new(folder))),
        _ => run(),
    }
}
