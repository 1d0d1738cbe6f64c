//! A close that ends anywhere is taken up by the next one: the same documents, numbers and invoices at Stripe as of a
//! close that nothing happened to.

use std::collections::{BTreeMap, BTreeSet};

use tollbook_lake::TxnStep;
use tollbook_schemas::tables::billing::{BILLED_USAGE, INVOICE, INVOICE_EVENT, INVOICE_LINE};
use tollbook_schemas::tables::derived::{FUNNEL, PARTNER_360, USAGE};
use tollbook_schemas::tables::runs::JOB_RUN;
use tollbook_simulate::Settings;
use tollbook_simulate::stripe_double::{Fault, FaultKind, StripeDouble};

use super::*;
use crate::demo::{DemoSettings, Ingested, ingested};

async fn month(folder: &std::path::Path) -> Ingested {
    let world = Settings { seed: 11, events: 1_500, partners: 12, partitions: 2 };
    ingested(&DemoSettings { world, folder: folder.to_path_buf(), brokers: None, month_after: false }).await.unwrap()
}

/// A process of its own: it knows nothing but the folder. A call is sent once, so that each fault is met by a run.
fn process(ingested: &Ingested) -> JobContext {
    let mut context = JobContext::open(&ingested.config).unwrap();
    if let Some(stripe) = &mut context.configuration.stripe {
        stripe.sends_max = Some(1);
    }
    context
}

async fn close_once(context: &JobContext, month: Month) -> anyhow::Result<()> {
    let as_of = context.as_of(None).await?;
    close(context, &[month], as_of, None, &|_| {}).await
}

/// What a customer, an analyst and Stripe see: no id that Stripe gave, because those go by the order of requests.
async fn outcome(context: &JobContext, double: &StripeDouble) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut outcome = BTreeMap::new();
    for table in [&USAGE, &INVOICE, &INVOICE_LINE, &BILLED_USAGE, &FUNNEL, &PARTNER_360] {
        let rows = context.lake.rows(table, None).await.unwrap();
        let printed: BTreeSet<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        assert_eq!(printed.len(), rows.len(), "{}: a row is there twice", table.name);
        outcome.insert(table.name, printed);
    }
    let events = context.lake.rows(&INVOICE_EVENT, None).await.unwrap();
    let told = |kind: &str| -> BTreeSet<String> {
        let of_kind: Vec<_> = events.iter().filter(|event| event.text("kind") == Some(kind)).collect();
        let told: BTreeSet<String> = of_kind
            .iter()
            .map(|e| format!("{:?} {:?} {:?}", e.text("invoice_id"), e.text("number"), e.int("amount_minor")))
            .collect();
        assert_eq!(told.len(), of_kind.len(), "{kind}: an event is there twice");
        told
    };
    for kind in ["drafted", "issued", "finalised", "nothing_due"] {
        outcome.insert(kind, told(kind));
    }
    let invoices = double.invoices();
    outcome.insert(
        "stripe",
        invoices.iter().map(|one| format!("{:?} {:?} {:?}", one.status, one.total, one.line_amounts())).collect(),
    );
    outcome.insert("stripe count", BTreeSet::from([invoices.len().to_string()]));
    assert!(double.oracle().is_empty(), "{:?}", double.oracle());
    outcome
}

/// What a minute does: the leases of a process that was killed end.
async fn a_minute_later(context: &JobContext) {
    for (app_id, version) in context.lake.txns(&JOB_RUN).await.unwrap() {
        if app_id.starts_with("lease/") && version != 0 {
            let step = TxnStep { app_id, expected: Some(version), next: 0 };
            context.lake.append(&JOB_RUN, &[], &[step]).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_ends_anywhere_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let whole = month(&folder.path().join("whole")).await;
    let closing = whole.world.month();
    let begun = std::time::Instant::now();
    close_once(&process(&whole), closing).await.unwrap();
    let took = begun.elapsed();
    let expected = outcome(&whole.context, &whole.double).await;
    assert!(!expected["finalised"].is_empty() && expected["issued"].len() > expected["finalised"].len());

    // Killed after an eighth, two eighths… of the time that all of it takes, each time from what the last one left.
    let cut = month(&folder.path().join("cut")).await;
    let mut cuts = 0;
    for eighths in 1..8 {
        let context = process(&cut);
        let ended = tokio::time::timeout(took * eighths / 8, close_once(&context, closing)).await;
        cuts += usize::from(ended.is_err());
        a_minute_later(&context).await;
    }
    assert!(cuts >= 2, "only {cuts} runs were cut off");
    close_once(&process(&cut), closing).await.unwrap();
    assert_eq!(outcome(&cut.context, &cut.double).await, expected, "after {cuts} kills");

    // Stripe fails at each step, before or after it did as asked: a run tells of it, and the next one goes on from
    // there.
    let failed = month(&folder.path().join("failed")).await;
    for endpoint in [
        "POST /v1/customers",
        "POST /v1/invoices",
        "POST /v1/invoices/{id}/add_lines",
        "GET /v1/invoices/{id}/lines",
        "POST /v1/invoices/{id}/finalize",
    ] {
        for (nth, kind) in [(1, FaultKind::Status500Before), (2, FaultKind::ExecuteThenDrop)] {
            failed.double.inject(Fault { endpoint, nth, kind }).unwrap();
        }
    }
    let mut told = 0;
    while let Err(error) = close_once(&process(&failed), closing).await {
        told += 1;
        assert!(told < 12, "{error:#}");
    }
    assert_eq!(failed.double.faults_left(), 0, "a step met no fault");
    assert!(told > 0);
    assert_eq!(outcome(&failed.context, &failed.double).await, expected, "after {told} runs with faults");
    for ingested in [whole, cut, failed] {
        ingested.double.shutdown().await;
    }
}
