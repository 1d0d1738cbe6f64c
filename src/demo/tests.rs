//! The whole path, small: the same seed gives the same bytes, a false figure in the ledger is seen, and every job can
//! be run again without changing anything.

use tollbook_schemas::tables::{ALL, Value};
use tollbook_simulate::Quantity;

use super::*;

fn settings(folder: &Path, seed: u64) -> DemoSettings {
    let world = Settings { seed, events: 4_000, partners: 14, partitions: 3 };
    DemoSettings { world, folder: folder.to_path_buf(), brokers: None, month_after: false }
}

/// The classes in which something differs; any of them ends the demo with 10, as docs/operations.md says.
fn wrong(ledger: &Ledger, found: &found::Found) -> Vec<&'static str> {
    let checks = verdict::compare(ledger, found);
    let mut classes: Vec<_> = checks.iter().filter(|check| !check.is_equal()).map(|check| check.class).collect();
    classes.dedup();
    assert_eq!(verdict::exit_code(&checks), if classes.is_empty() { 0 } else { 10 });
    classes
}

/// Everything in the lake but `job_run`, which tells of every run.
async fn contents(context: &JobContext) -> BTreeMap<&'static str, Vec<Row>> {
    let mut contents = BTreeMap::new();
    for table in ALL.iter().filter(|table| table.name != "job_run") {
        let mut rows = context.lake.rows(table, None).await.unwrap();
        rows.sort_by_key(|row| table.key.iter().map(|key| format!("{:?}", row.get(key))).collect::<Vec<_>>());
        contents.insert(table.name, rows);
    }
    contents
}

#[tokio::test(flavor = "multi_thread")]
async fn the_month_is_right_and_can_be_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let result = run(&settings(&folder.path().join("a"), 11)).await.unwrap();
    assert_eq!(wrong(&result.ledger, &result.found), Vec::<&str>::new());

    // A false figure in each class is seen in that class, and nowhere else.
    let mut counts = result.ledger.clone();
    counts.access.duplicates += 1;
    assert_eq!(wrong(&counts, &result.found), ["counts"]);
    let mut usage = result.ledger.clone();
    usage.usage.values_mut().next().unwrap().millionths += 1;
    assert_eq!(wrong(&usage, &result.found), ["usage"]);
    let mut missing = result.ledger.clone();
    missing.unattributed_usage.insert("map-calls".to_owned(), Quantity::whole(0));
    assert_eq!(wrong(&missing, &result.found), ["usage"]);
    let mut invoices = result.ledger.clone();
    invoices.invoices.values_mut().next().unwrap().total_minor += 1;
    assert_eq!(wrong(&invoices, &result.found), ["invoices"]);
    let mut funnel = result.ledger.clone();
    funnel.funnel.sandbox.reached += 1;
    assert_eq!(wrong(&funnel, &result.found), ["funnel"]);

    // Every job again, from a process that knows nothing but the lake.
    let context = JobContext::open(&result.config).unwrap();
    let before = contents(&context).await;
    let requests = result.stripe.requests().len();
    let (month, as_of) = ("2026-06".parse().unwrap(), context.as_of(None).await.unwrap());
    jobs::aggregate::usage(&context).await.unwrap();
    jobs::bill::draft_month(&context, month, as_of).await.unwrap();
    jobs::bill::issue_month(&context, month, as_of).await.unwrap();
    let pushed = jobs::bill::push_month(&context, month).await.unwrap();
    assert_eq!(pushed.write_request_count, 0);
    jobs::bill::sync(&context).await.unwrap();
    jobs::aggregate::program(&context, as_of).await.unwrap();
    let explained = jobs::explain::explain(&context, &result.line).await.unwrap();
    let found: i64 = explained.evidence.iter().map(|evidence| evidence.request_count).sum();
    let billed: i64 = explained.line.usage.iter().map(|day| day.event_count).sum();
    assert!(found > 0 && found == billed, "{found} requests behind a line that billed {billed}");
    let live = context.lake.files("access_log").await.unwrap().unwrap();
    let is_live = |file: &str| live.iter().any(|path| path.ends_with(&format!("/{file}")));
    assert!(explained.evidence.iter().all(|evidence| is_live(&evidence.data_file)), "{:?}", explained.evidence);
    assert!(result.reports.join("roi.html").exists());
    let after = contents(&context).await;
    for (table, rows) in &before {
        assert_eq!(rows.len(), after[table].len(), "{table} changed");
        assert!(*rows == after[table], "{table} changed");
    }
    let again = &result.stripe.requests()[requests..];
    assert!(again.iter().all(|request| request.method == "GET"), "a write was sent again");

    // Secrets and raw credentials are in no table (the demo's keys begin with these words).
    for (table, rows) in &after {
        let printed = format!("{rows:?}");
        assert!(!printed.contains(STRIPE_KEY), "{table} holds the Stripe key");
    }
    let numbers = numbers(&after["invoice_event"]);
    assert!(
        !numbers.is_empty()
            && numbers.values().all(|sequence| *sequence == (1..=sequence.len() as i64).collect::<Vec<_>>())
    );
    jobs::report::tests::figures_are_those_of_the_ledger(&context, &result, as_of).await;
    jobs::sql::tests::runs_and_views_are_read(&context, &result, folder.path()).await;
    result.stripe.shutdown().await;
}

/// The issued numbers of each issuer, in order.
fn numbers(events: &[Row]) -> BTreeMap<String, Vec<i64>> {
    let mut numbers: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for event in events.iter().filter(|event| *event.get("kind") == Value::Text("issued".to_owned())) {
        let issuer = event.text("issuer_id").unwrap().to_owned();
        numbers.entry(issuer).or_default().push(event.int("number_sequence").unwrap());
    }
    numbers.values_mut().for_each(|sequence| sequence.sort_unstable());
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_figures_and_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut results = Vec::new();
    for (name, seed) in [("a", 5), ("b", 5), ("c", 6)] {
        let result = run(&settings(&folder.path().join(name), seed)).await.unwrap();
        assert_eq!(wrong(&result.ledger, &result.found), Vec::<&str>::new(), "seed {seed}");
        results.push(result.found);
        result.stripe.shutdown().await;
    }
    assert_eq!(results[0], results[1]);
    assert_ne!(results[0].invoices, results[2].invoices);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_may_be_there_later() {
    let Err(error) = Broker::start(Some("127.0.0.1:1"), 1).await else { panic!("who answers at port 1?") };
    let told = format!("{error:#}");
    for words in
        ["kafka at 127.0.0.1:1, topic tollbook-demo-access-log: making the topic failed", "check that the broker"]
    {
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(jobs::kind_of(&error), Some(tollbook_schemas::error::Kind::Retry));
}

#[test]
fn a_folder_that_is_no_demo_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("precious.txt"), "mine").unwrap();
    let error = folder::prepare(folder.path()).unwrap_err().to_string();
    assert!(error.contains("holds something that is not a demo"), "{error}");
    assert!(folder.path().join("precious.txt").exists());
}

/// July bills what came late for June, and gives back what was retracted; one false figure is seen.
#[tokio::test(flavor = "multi_thread")]
async fn the_month_after_adjusts_and_credits() {
    let folder = tempfile::tempdir().unwrap();
    let settings = DemoSettings { month_after: true, ..settings(&folder.path().join("a"), 12) };
    let result = run(&settings).await.unwrap();
    assert_eq!(wrong(&result.ledger, &result.found), Vec::<&str>::new());
    let different: Vec<_> = result.month_after.iter().filter(|check| !check.is_equal()).collect();
    assert!(different.is_empty(), "{different:#?}");
    let of_kind = |word: &str| result.month_after.iter().filter(|check| check.figure.ends_with(word)).count();
    assert!(of_kind(" invoice") >= 3 && of_kind(" credit_note") == 1, "{:#?}", result.month_after);
    let found = |words: &str| result.month_after.iter().any(|check| check.found.contains(words));
    assert!(found("map-calls@2026-06") && found("; shadow ") && !found("; shadow 0"), "{:#?}", result.month_after);
    let mut checks = result.month_after.clone();
    checks[0].expected.push('1');
    assert_eq!(verdict::exit_code(&checks), 10);
    // The configuration is a month on: what a person asks next sees both months.
    let context = JobContext::open(&result.config).unwrap();
    let july = jobs::bill::register(&context, "2026-07".parse().unwrap(), context.as_of(None).await.unwrap()).await;
    let notes: Vec<_> = july.unwrap().into_iter().filter_map(|row| row.note).collect();
    assert!(notes.iter().any(|note| note.starts_with("credit note of")), "{notes:?}");
}
