//! What a meter says of a consumer on a day is what DuckDB computes over the same Parquet files: count, sum, least,
//! greatest, distinct values, a percentile, the latest value; each request counted once, by its first delivery.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use chrono::DateTime;
use tollbook_aggregate::{read_registry, refresh_usage};
use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::id::MeterId;
use tollbook_schemas::meter::{MeterState, quantity};
use tollbook_schemas::period::Period;
use tollbook_schemas::tables::derived::USAGE;
use tollbook_schemas::tables::{Row, Value, partner_event};

use crate::duckdb::plain;
use crate::month::Issued;
use crate::parts::{install, wanted};

/// Meter, its keys in the catalog, what DuckDB is asked instead, over the first deliveries.
const METERS: [(&str, &str, &str); 9] = [
    ("calls", "aggregation = \"count\"", "count(*)"),
    (
        "good",
        "aggregation = \"count\"\nfilter = \"status between 200 and 299\"",
        "count(*) filter (status between 200 and 299)",
    ),
    ("bytes", "aggregation = \"sum\"\nvalue = \"response_bytes\"", "coalesce(sum(response_bytes), 0)"),
    (
        "tokens",
        "aggregation = \"sum\"\nvalue = \"attributes['tokens']\"",
        "coalesce(sum(try_cast(attributes['tokens'] as decimal(38, 12))), 0)",
    ),
    ("least", "aggregation = \"min\"\nvalue = \"latency_us\"", "coalesce(min(latency_us), 0)"),
    ("most", "aggregation = \"max\"\nvalue = \"response_bytes\"", "coalesce(max(response_bytes), 0)"),
    ("paths", "aggregation = \"unique\"\nvalue = \"path\"", "count(distinct path)"),
    (
        "p95",
        "aggregation = \"percentile\"\npercentile = \"95\"\nvalue = \"latency_us\"",
        "coalesce(quantile_disc(latency_us, 0.95), 0)",
    ),
    (
        "last",
        "aggregation = \"latest\"\nvalue = \"response_bytes\"",
        "coalesce(last(response_bytes order by occurred_at, source, kafka_partition, kafka_offset, record_index)
           filter (response_bytes is not null), 0)",
    ),
];

/// Arguments: files. Expressions on stdin, as JSON. Prints consumer, day and each answer.
const ASK: &str = r#"
import decimal, json, sys
import duckdb
def plain(cell):
    # Not 0E-12.
    return format(cell, "f") if isinstance(cell, decimal.Decimal) else str(cell)
db = duckdb.connect()
db.execute("set timezone = 'UTC'")
names = ", ".join(f"'{name}'" for name in sys.argv[1:])
for row in db.execute(f"""
    with delivered as (
      select *, row_number() over (partition by gateway, event_id
        order by source, kafka_partition, kafka_offset, record_index) as delivery
      from read_parquet([{names}]) where kind = 'request')
    select coalesce(consumer, '-'), strftime(occurred_at, '%Y-%m-%d'), {", ".join(json.load(sys.stdin))}
    from delivered where delivery = 1 group by 1, 2""").fetchall():
    print(json.dumps([plain(cell) for cell in row]))
"#;

/// (meter, consumer, day) → quantity.
type Quantities = BTreeMap<(String, String, String), String>;

fn folded(rows: &[Row], catalog: &Catalog) -> Quantities {
    let mut states: BTreeMap<(String, String, String), (MeterState, i64)> = BTreeMap::new();
    for row in rows {
        let meter = row.text("meter_id").unwrap().to_owned();
        let aggregation = catalog.meters[&MeterId::parse(&*meter).unwrap()].aggregation;
        let Value::TextMap(dimensions) = row.get("dimensions") else { panic!("{row:?}") };
        let consumer = dimensions.get("consumer").cloned().unwrap_or_else(|| "-".to_owned());
        let day = row.date("event_date").unwrap().to_string();
        let sum = states.entry((meter, consumer, day)).or_insert_with(|| (MeterState::empty(aggregation), 0));
        sum.0.merge(MeterState::from_json(aggregation, row.text("state").unwrap()).unwrap()).unwrap();
        sum.1 += row.int("event_count").unwrap();
    }
    let nowhen = Period { start: DateTime::UNIX_EPOCH, end: DateTime::UNIX_EPOCH };
    let quantity_of = |(key, (state, events)): ((String, String, String), (MeterState, i64))| {
        let aggregation = catalog.meters[&MeterId::parse(&*key.0).unwrap()].aggregation;
        let said = quantity(aggregation, &state, events, nowhen, None).unwrap();
        (key, plain(&said.to_string()))
    };
    states.into_iter().map(quantity_of).filter(|(_, quantity)| quantity != "0").collect()
}

#[test]
fn duckdb_gives_the_quantities_of_every_kind_of_meter() {
    let Some(python) = wanted("DuckDB", || install("duckdb")) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let issued = Issued::make().await.unwrap();
        let lake = &issued.context.lake;
        let mut text = String::new();
        for (id, keys, _) in METERS {
            text += &format!("[[meter]]\nid = {id:?}\nname = \"M\"\nunit = \"u\"\n{keys}\n[meter.group_by]\n");
            text += "consumer = \"consumer\"\n";
        }
        let catalog = Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap();
        let events = lake.pin(&partner_event::TABLE).await.unwrap();
        let registry = read_registry(lake, &events, None).await.unwrap();
        let report = refresh_usage(lake, &registry, &events, &catalog, None).await.unwrap();
        assert!(report.duplicates_total > 0, "nothing came twice: {report:?}");
        let ours = folded(&lake.rows(&USAGE, None).await.unwrap(), &catalog);

        let mut asking = Command::new(&python)
            .args(["-c", ASK])
            .args(lake.files("access_log").await.unwrap().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let expressions: Vec<&str> = METERS.iter().map(|(_, _, expression)| *expression).collect();
        asking.stdin.take().unwrap().write_all(serde_json::json!(expressions).to_string().as_bytes()).unwrap();
        let output = asking.wait_with_output().unwrap();
        assert!(output.status.success(), "DuckDB failed");
        let mut theirs = Quantities::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let cells: Vec<String> = serde_json::from_str(line).unwrap();
            for ((meter, _, _), found) in METERS.iter().zip(&cells[2..]) {
                let found = plain(found);
                if found != "0" {
                    theirs.insert(((*meter).to_owned(), cells[0].clone(), cells[1].clone()), found);
                }
            }
        }
        for (meter, _, _) in METERS {
            let of = |all: &Quantities| -> Quantities {
                all.iter().filter(|(key, _)| key.0 == meter).map(|(key, value)| (key.clone(), value.clone())).collect()
            };
            let (ours, theirs) = (of(&ours), of(&theirs));
            assert!(ours.len() > 50, "{meter}: only {} groups to compare", ours.len());
            let different = ours.iter().find(|(key, value)| theirs.get(*key) != Some(value));
            assert_eq!(different.map(|(key, value)| (key, value, theirs.get(key))), None, "{meter}");
            assert_eq!(ours.len(), theirs.len(), "{meter}: DuckDB has groups that we do not have");
            println!("{meter}: {} groups of consumer and day, equal", ours.len());
        }
    });
}
