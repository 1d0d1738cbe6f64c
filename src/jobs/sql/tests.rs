//! Questions to the lake that a demo made: runs, views, files.

use std::collections::{BTreeMap, BTreeSet};

use tollbook_schemas::tables::runs::JOB_RUN;

use super::*;
use crate::demo::DemoResult;

/// Rows of an answer, without the heading.
async fn rows(context: &JobContext, query: &str, as_of_run: Option<&str>) -> Vec<String> {
    let request = Request { query, format: Format::Csv, as_of_run, out: None };
    let text = answer(context, &request).await.unwrap().unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

/// The run of a job whose counts say something above zero.
async fn run_of(context: &JobContext, job: &str, count: &str) -> String {
    let runs = context.lake.rows(&JOB_RUN, Some(&format!("job = '{job}'"))).await.unwrap();
    let run = runs.iter().find(|run| {
        let counts: serde_json::Value = serde_json::from_str(run.text("counts").unwrap()).unwrap();
        counts[count].as_i64().is_some_and(|count| count > 0)
    });
    run.unwrap_or_else(|| panic!("no run of {job} with {count}")).text("run_id").unwrap().to_owned()
}

/// Called by the test of the demo, on the lake that it made.
pub(crate) async fn runs_and_views_are_read(context: &JobContext, result: &DemoResult, folder: &Path) {
    invoices_stand_as_in_the_register(context, result).await;
    runs_are_read_back(context, result).await;
    answers_are_written_whole(context, folder).await;
    // What is asked is answered from the declarations, in every form that has lines.
    for name in ALL.iter().map(|table| table.name).chain(VIEWS.iter().map(|view| view.name)) {
        assert!(
            rows(context, "SHOW TABLES;", None).await.iter().any(|row| row.starts_with(&format!("{name},"))),
            "{name}"
        );
        let described = sql(context, &format!("describe {name}"), Format::Table).await.unwrap();
        assert!(described.starts_with(name) && described.contains("meaning"), "{described}");
    }
    let described = sql(context, "describe revenue_monthly", Format::Json).await.unwrap();
    let issued = described.lines().find(|line| line.contains("issued_minor")).unwrap();
    assert!(issued.contains("Decimal128(38, 0)") && issued.contains("in minor units"), "{issued}");
    // A map is JSON text where a form has no maps.
    let whole = sql(context, "select * from access_log limit 5", Format::Csv).await.unwrap();
    assert_eq!(whole.lines().count(), 6, "{whole}");
    for (query, words) in [
        ("drop table usage", "DDL not supported"),
        ("copy (select 1) to '/tmp/never.csv'", "DML not supported"),
        ("create external table t stored as csv location '/etc/passwd'", "DDL not supported"),
        ("select nothing from usage", "there is no column nothing ("),
        ("select evnt_count from usage", "there is no column evnt_count; did you mean usage.event_count?"),
        ("selekt 1", "selekt"),
        ("select 1/0", "Divide by zero"),
        ("select cast('a' as int)", "Cannot cast string 'a'"),
        ("select cast(attributes as int) from access_log", "Unsupported CAST from Map"),
    ] {
        let error = sql(context, query, Format::Table).await.unwrap_err();
        let told = format!("{error:#}");
        assert!(told.matches(words).count() == 1 && told.lines().count() == 1, "{query}: {told}");
        assert_eq!(crate::jobs::kind_of(&error), Some(tollbook_schemas::error::Kind::Configuration), "{query}");
    }
    one_instant_that_is_too_late_hides_nothing(context).await;
    let unknown = sql(context, "describe nothing", Format::Table).await.unwrap_err().to_string();
    assert!(unknown.contains("no table or view nothing") && unknown.contains("invoice_status"), "{unknown}");
}

/// The documented questions, by their words in README and docs/operations.md.
async fn one_instant_that_is_too_late_hides_nothing(context: &JobContext) {
    let query = "select count(*) as active, max(as_of) as as_of from active_partner";
    let before = rows(context, query, None).await;
    assert!(before[0].ends_with(",2026-07-02T06:00:00Z") && !before[0].starts_with("0,"), "{before:?}");
    for (as_of, words) in [
        ("2030-01-01T00:00:00Z", Some("lies in the future: it is 2026-07-02T06:00:00Z now; give an instant")),
        ("2026-07-02T06:00:00.000001Z", Some("lies in the future")),
        ("2026-07-02T06:00:00Z", None),
        ("2026-05-20T00:00:00Z", None),
    ] {
        let found = context.figures_as_of(Some(as_of)).await;
        match (found, words) {
            (Ok(at), None) => {
                crate::jobs::aggregate::program(context, at).await.unwrap();
            }
            (Err(error), Some(words)) => {
                assert!(format!("{error:#}").contains(words), "{as_of}: {error:#}");
                assert_eq!(crate::jobs::kind_of(&error), Some(tollbook_schemas::error::Kind::Configuration), "{as_of}");
            }
            (found, _) => panic!("{as_of}: {found:?}"),
        }
        assert_eq!(rows(context, query, None).await, before, "{as_of}");
    }
    // Over by the clock, and later than the data reach.
    let mut later = context.clone();
    later.clock = crate::clock::Clock::Fixed("2026-07-09T00:00:00Z".parse().unwrap());
    let error = later.figures_as_of(Some("2026-07-03T00:00:00Z")).await.unwrap_err();
    assert!(error.to_string().contains("is later than 2026-07-02T06:00:00Z, up to which the data reach"), "{error}");
    assert_eq!(crate::jobs::kind_of(&error), Some(tollbook_schemas::error::Kind::Configuration));
    // Billing has guards of its own: what is accepted as missing lies there.
    assert!(later.as_of(Some("2026-07-03T00:00:00Z")).await.is_ok());
    // The demo's clock stands still, and the order of the runs is that in which they ran.
    let last = "select job from run_history order by sequence desc limit 1";
    assert_eq!(rows(context, last, None).await, ["aggregate program"]);
    let first = "select job, sequence > 0 from run_history where job not like 'ingest%' order by sequence limit 3";
    assert_eq!(rows(context, first, None).await, ["aggregate usage,true", "bill draft,true", "bill issue,true"]);
}

/// The view by its SQL, the register by its fold of the same events.
async fn invoices_stand_as_in_the_register(context: &JobContext, result: &DemoResult) {
    let issued = result.register.iter().filter(|row| row.number.is_some());
    let expected: BTreeSet<String> = issued
        .map(|row| {
            let total = row.total.unwrap();
            let paid = if row.state.unwrap().as_str() == "paid" { total.minor } else { 0 };
            let (number, state) = (row.number.as_deref().unwrap(), row.state.unwrap().as_str());
            let stripe = row.stripe_id.as_deref().unwrap_or_default();
            format!("{number},{},{},{},{state},{stripe},{paid}", row.partner_id, total.currency, total.minor)
        })
        .collect();
    let query = "select number, partner_id, currency, total_minor, status, stripe_id, paid_minor from invoice_status";
    let found = rows(context, query, None).await;
    assert_eq!(found.len(), result.ledger.invoices.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    for status in ["paid", "payment_failed", "nothing_due"] {
        assert!(expected.iter().any(|row| row.contains(&format!(",{status},"))), "no invoice is {status}");
    }
    // By month and currency, from the ledger.
    let mut sums: BTreeMap<&str, (i128, usize)> = BTreeMap::new();
    for invoice in result.ledger.invoices.values() {
        let sum = sums.entry(&invoice.currency).or_default();
        *sum = (sum.0 + invoice.total_minor, sum.1 + 1);
    }
    let expected: Vec<String> =
        sums.iter().map(|(currency, (sum, count))| format!("2026-06,{currency},{count},{sum}")).collect();
    let query = "select period, currency, invoice_count, issued_minor from revenue_monthly order by currency";
    assert_eq!(rows(context, query, None).await, expected);
    // Per meter, what may be added: all of them but the meter of distinct users.
    let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
    for (key, quantity) in result.ledger.usage.iter().filter(|(key, _)| key.meter != "llm-users") {
        *sums.entry(&key.meter).or_default() += quantity.millionths;
    }
    let expected: Vec<String> = sums.iter().map(|(meter, sum)| format!("{meter},{sum}")).collect();
    let query = "select meter_id, cast(sum(quantity) * 1000000 as bigint) from usage_daily group by 1 order by 1";
    assert_eq!(rows(context, query, None).await, expected);
}

async fn runs_are_read_back(context: &JobContext, result: &DemoResult) {
    let usage = run_of(context, "aggregate usage", "hours").await;
    let issue = run_of(context, "bill issue", "issued").await;
    let (accepted, invoices) = (result.ledger.access.accepted.to_string(), result.ledger.invoices.len().to_string());
    for (run, query, expected) in [
        // What the refresh read, and what it made of it; nothing was billed yet.
        (&usage, "select count(*) from access_log", accepted.as_str()),
        (&usage, "select count(*) > 0 from usage", "true"),
        (&usage, "select count(*) from invoice", "0"),
        (&usage, "select count(*) from partner_360", "0"),
        // Just issued: nothing is at Stripe yet.
        (&issue, "select count(*), min(status), max(status), count(stripe_id) from invoice_status", "issued"),
    ] {
        let expected = match expected {
            "issued" => format!("{invoices},issued,issued,0"),
            other => other.to_owned(),
        };
        assert_eq!(rows(context, query, Some(run)).await, [expected], "{query} as of {run}");
    }
    // The pin of a run is in its column, and nowhere else.
    let row = &context.lake.rows(&JOB_RUN, Some(&format!("run_id = '{usage}'"))).await.unwrap()[0];
    assert!(!row.text("counts").unwrap().contains("pin") && row.text("pin").unwrap().contains("partner_event"));
    let request = Request { query: "select 1", format: Format::Csv, as_of_run: Some("run_'none"), out: None };
    let unknown = answer(context, &request).await.unwrap_err().to_string();
    assert!(unknown.contains("no run run_'none") && unknown.contains("select run_id"), "{unknown}");
}

async fn answers_are_written_whole(context: &JobContext, folder: &Path) {
    let folder = folder.join("answers");
    std::fs::create_dir(&folder).unwrap();
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(&folder).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let write = async |query: &str, format, name: &str| {
        let path = folder.join(name);
        answer(context, &Request { query, format, as_of_run: None, out: Some(&path) })
            .await
            .map(|text| assert!(text.is_none()))
    };
    let query = "select number, total_minor from invoice_status order by number";
    write(query, Format::Parquet, "a.parquet").await.unwrap();
    write(query, Format::Csv, "a.csv").await.unwrap();
    assert_eq!(names(), ["a.csv", "a.parquet"]);
    let text = std::fs::read_to_string(folder.join("a.csv")).unwrap();
    assert_eq!(text.trim_end(), sql(context, query, Format::Csv).await.unwrap());
    let bytes = std::fs::read(folder.join("a.parquet")).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    // A query that fails leaves the file of before, and nothing beside it.
    let failing = "select cast(number as bigint) from invoice_status";
    assert!(write(failing, Format::Parquet, "a.parquet").await.is_err());
    assert!(write("describe usage", Format::Parquet, "b.parquet").await.is_err());
    assert_eq!((names().len(), std::fs::read(folder.join("a.parquet")).unwrap()), (2, bytes));
    let error = write(query, Format::Csv, "nowhere/a.csv").await.unwrap_err().to_string();
    assert!(error.contains("nowhere/a.csv cannot be written; name another file with --out"), "{error}");
    // No rows, and still a heading.
    let none = "select number, partner_id from invoice_status where false";
    assert_eq!(sql(context, none, Format::Csv).await.unwrap(), "number,partner_id");
    assert!(sql(context, none, Format::Parquet).await.is_err(), "Parquet without a file");
}
