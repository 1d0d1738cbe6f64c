//! Billing on a lake that partners were imported into and nothing else: what cannot be used, and what is not there.

use std::path::Path;
use std::sync::Arc;

use tollbook_billing::stripe::State;
use tollbook_schemas::error::Kind;
use tollbook_schemas::period::parse_instant;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::BILLING_PROFILE;
use tollbook_schemas::tables::runs::JOB_RUN;
use tollbook_simulate::stripe_double::{Options, StripeDouble};

use super::*;
use crate::clock::Clock;
use crate::jobs::partner::{TEMPLATE, apply, plan};
use crate::jobs::{check, close, kind_of, report};

const KEY: &str = "sk_test_tollbook";
const REASON: &str = "flat plans only";

fn june() -> Month {
    "2026-06".parse().unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    parse_instant(text).unwrap()
}

/// The sample configuration and catalog, and the partners of a text; nothing was ever read of the configured topics.
async fn imported(folder: &Path, partners: &str) -> JobContext {
    check::init(folder).unwrap();
    let mut context = JobContext::open(&folder.join("tollbook.toml")).unwrap();
    context.clock = Clock::Fixed(at("2026-07-02T00:00:00Z"));
    import(&context, partners).await;
    context
}

async fn import(context: &JobContext, partners: &str) {
    let file = context.configuration.path("partners.csv");
    std::fs::write(&file, partners).unwrap();
    apply(context, &plan(context, &file).await.unwrap()).await.unwrap();
    crate::jobs::aggregate::usage(context).await.unwrap();
}

/// The template with a second partner, bolt.
fn two() -> String {
    let bolt = TEMPLATE.lines().nth(1).unwrap().replace("acme", "bolt").replace("Acme", "Bolt");
    format!("{TEMPLATE}{bolt}\n")
}

/// Rows in an order that does not depend on their files.
fn in_order(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_cached_key(|row| format!("{row:?}"));
    rows
}

/// The register as `partner state note`.
async fn told(context: &JobContext) -> Vec<String> {
    let rows = register(context, june(), context.clock.now()).await.unwrap();
    let told = rows.iter().map(|row| {
        let state = row.state.map_or("-", State::as_str);
        format!("{} {state} {}", row.partner_id, row.note.as_deref().unwrap_or("-"))
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_cannot_be_used_blocks_its_partner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut context = imported(folder.path(), &two()).await;
    // As an older version wrote it: the door of today refuses such terms.
    let rows = context.lake.rows(&BILLING_PROFILE, None).await.unwrap();
    let acme = rows.iter().find(|row| row.text("partner_id") == Some("acme")).unwrap();
    for (terms, words) in [(-14_i64, "payment_terms_days is -14"), (4_000, "payment_terms_days 4000, more than 365")] {
        let id = tollbook_schemas::id::ProfileVersionId::derive([terms.to_string()]);
        let recorded = acme.instant("recorded_at").unwrap() + chrono::TimeDelta::seconds(terms.abs());
        let bad: Row = acme
            .clone()
            .with("profile_version_id", id.as_str())
            .with("payment_terms_days", terms)
            .with("recorded_at", recorded);
        context.lake.append_missing(&BILLING_PROFILE, &[bad]).await.unwrap();
        let result = draft_month(&context, june(), context.clock.now()).await.unwrap();
        let drafted = &result.drafted;
        assert_eq!((result.document_count, drafted.blocked.len()), (1, 1), "{words}");
        let register = told(&context).await;
        assert!(register[0].starts_with("acme - blocked: billing profile prf_"), "{register:?}");
        assert!(register[0].contains(words) && register[0].contains("import it again"), "{register:?}");
        assert!(!register[0].contains("example.org") && !register[0].contains("Street"), "{register:?}");
        assert_eq!(register[1], "bolt draft -");
    }
    // Mended by the import that the reason names, of the same day.
    context.clock = Clock::Fixed(at("2026-07-03T00:00:00Z"));
    import(&context, &two().replace("billing@", "bills@")).await;
    let result = draft_month(&context, june(), context.clock.now()).await.unwrap();
    let drafted = &result.drafted;
    assert_eq!((result.document_count, drafted.blocked.len()), (2, 0), "{:?}", drafted.blocked);
}

/// Flat plans of a program whose requests nobody reads: refused with what is missing and the way out; accepted, said on
/// the run, in the register and on the page; again, nothing changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_month_without_data_is_issued_only_by_whoever_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let context = imported(folder.path(), TEMPLATE).await;
    let error = issue_as_of(&context, None, None).await.unwrap_err();
    assert!(format!("{error:#}").contains("--accept-incomplete REASON"), "{error:#}");
    let as_of = issue_as_of(&context, None, Some(REASON)).await.unwrap();
    assert_eq!(as_of, context.clock.now());
    draft_month(&context, june(), as_of).await.unwrap();

    let refused = issue_month(&context, june(), as_of).await.unwrap();
    assert_eq!((refused.issued.invoices.len(), refused.issued.incomplete.len(), refused.reach), (0, 1, None));
    let missing = what_is_missing(&context, june(), &refused.issued, refused.reach).await.unwrap().unwrap();
    for words in [
        "2026-06: 1 drafts are not issued (acme)",
        "the last at 2026-06-30T22:00:00Z",
        "not known how far the data behind usage reach",
        "main/access-log/1 was never read to its end, main/partner-lifecycle/1 was never read to its end",
        "--period 2026-06 --accept-incomplete REASON",
    ] {
        assert!(missing.contains(words), "{words}: {missing}");
    }
    let error = complain_of_incomplete(&[missing]).unwrap_err();
    assert_eq!(kind_of(&error), Some(Kind::Retry));
    assert_eq!(told(&context).await, ["acme draft -"]);

    let issued = issue_accepting(&context, june(), as_of, Some(REASON)).await.unwrap().issued;
    assert_eq!((issued.invoices.len(), issued.incomplete.len()), (1, 0));
    assert_eq!(what_is_missing(&context, june(), &issued, None).await.unwrap(), None);
    let words = "issued although it is not known how far the data reach: flat plans only";
    assert_eq!(told(&context).await, [format!("acme issued {words}")]);
    let (documents, pages) = report::invoices(&context, june(), None, Some(folder.path())).await.unwrap();
    assert_eq!(documents[0].incomplete.as_deref(), Some(words));
    assert!(std::fs::read_to_string(&pages[0]).unwrap().contains(words));
    let runs = context.lake.rows(&JOB_RUN, Some("job = 'bill issue'")).await.unwrap();
    let counts: Vec<Value> =
        runs.iter().map(|run| serde_json::from_str(run.text("counts").unwrap()).unwrap()).collect();
    let accepted: Vec<_> = counts.iter().filter(|counts| counts["accept_incomplete"] == REASON).collect();
    assert_eq!((runs.len(), accepted.len()), (2, 1), "{counts:?}");
    assert_eq!((&accepted[0]["issued_incomplete"], &accepted[0]["reach"]), (&json!(1), &json!(null)));

    let events = in_order(context.lake.rows(&INVOICE_EVENT, None).await.unwrap());
    let again = issue_accepting(&context, june(), as_of, Some("another reason")).await.unwrap().issued;
    assert_eq!((again.invoices.len(), again.already_issued), (0, 1));
    assert_eq!(in_order(context.lake.rows(&INVOICE_EVENT, None).await.unwrap()), events);
}

/// `close` takes the same word, issues and pushes; without it, it tells at its end what it left.
#[tokio::test(flavor = "multi_thread")]
async fn a_close_leaves_what_is_incomplete_unless_somebody_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut context = imported(folder.path(), TEMPLATE).await;
    let now = context.clock.now().timestamp();
    let double = StripeDouble::start(Options::new(KEY, Arc::new(move || now))).await.unwrap();
    std::fs::write(folder.path().join("key"), KEY).unwrap();
    let stripe = context.configuration.stripe.as_mut().unwrap();
    (stripe.base_url, stripe.secret_env) = (double.base_url().to_owned(), None);
    stripe.secret_file = Some(folder.path().join("key").to_str().unwrap().to_owned());
    let as_of = context.clock.now();
    let mut issued_before = 0;
    for (accept, issued, finalised, incomplete) in [(None, 0, 0, 1), (Some(REASON), 1, 1, 0), (Some(REASON), 0, 0, 0)] {
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |closed: &close::Told| match closed {
            close::Told::Month(closed) => told.lock().unwrap().push(closed.clone()),
            close::Told::Payments { payments } => assert_eq!(payments["open"], issued_before + issued),
        };
        let closed = close::close(&context, &[june()], as_of, accept, &tell).await;
        match closed {
            Ok(()) => assert_eq!(incomplete, 0),
            Err(error) => assert!(incomplete > 0 && error.to_string().contains("--accept-incomplete"), "{error:#}"),
        }
        let told = told.into_inner().unwrap();
        let found = (told[0].issued, told[0].finalised, told[0].incomplete, told[0].issued_incomplete);
        assert_eq!(found, (issued, finalised, incomplete, issued));
        issued_before += issued;
    }
    double.shutdown().await;
}

#[test]
fn a_reason_is_a_short_line() {
    for (text, is_reason) in [
        ("flat plans only", true),
        (" ", false),
        ("", false),
        ("two\nlines", false),
        (&"x".repeat(200), true),
        (&"x".repeat(201), false),
    ] {
        assert_eq!(reason(text).is_ok(), is_reason, "{text:?}");
    }
    assert_eq!(reason("  why ").unwrap(), "why");
}
