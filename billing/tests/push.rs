//! Pushing against the Stripe double: the happy path, every fault at every step, crashes, and what must not happen.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tollbook_billing::document::{Body, Document, DocumentKind, FORMAT, IssuedBy, Line};
use tollbook_billing::draft::Drafted;
use tollbook_billing::event::{EventKind, InvoiceEvent, events_of};
use tollbook_billing::issue::{IssueTerms, issue};
use tollbook_billing::policy::HoldPolicy;
use tollbook_billing::rating::Working;
use tollbook_billing::stripe::{Ledger, PushReport, PushSettings, SecretKey, Transport, push, sync};
use tollbook_billing::write_drafts::draft_into;
use tollbook_lake::Lake;
use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::error::{Classified, Kind};
use tollbook_schemas::id::{IssuerId, PartnerId, PlanId, PriceId, ProfileVersionId, SubscriptionId};
use tollbook_schemas::money::Currency;
use tollbook_schemas::period::{Month, parse_instant};
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::{BILLING_PROFILE, INVOICE_EVENT};
use tollbook_simulate::stripe_double::{Fault, FaultKind, InvoiceStatus, LimitReason, Options, StripeDouble};

const CATALOG: &str = r#"
[[issuer]]
id = "berlin"
legal_name = "Berlin APIs GmbH"
address = ["Street 1"]
number_prefix = "B-"
time_zone = "UTC"
payment_terms_days = 14
"#;

const KEY: &str = "sk_test_double";
const CUSTOMERS: &str = "POST /v1/customers";
const UPDATE: &str = "POST /v1/customers/{id}";
const CREATE: &str = "POST /v1/invoices";
const ADD_LINES: &str = "POST /v1/invoices/{id}/add_lines";
const FINALISE: &str = "POST /v1/invoices/{id}/finalize";

fn at(text: &str) -> DateTime<Utc> {
    parse_instant(text).unwrap()
}

fn catalog() -> Catalog {
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text: CATALOG.into() }]).unwrap()
}

fn month() -> Month {
    "2026-06".parse().unwrap()
}

/// A document of lines of 1.00, 2.00, 3.00 … in a currency; of nothing but zero where `line_count` is 0.
fn document(partner: &str, currency: &str, line_count: u32) -> Document {
    let line = |number: u32| Line {
        adjusts: None,
        by_hand: None,
        amount_minor: if line_count == 0 { 0 } else { i64::from(number) * 100 },
        contract: None,
        coupon: None,
        credit: None,
        description: format!("Price {number}"),
        due: None,
        for_partner: None,
        line_number: number,
        meter_id: None,
        opening: None,
        plan_id: PlanId::parse("pro").unwrap(),
        plan_version: 1,
        price_id: PriceId::parse(format!("p{number}")).unwrap(),
        price_model: "flat".into(),
        quantity: Decimal::whole(1),
        rollover: None,
        span_end: at("2026-07-01T00:00:00Z"),
        span_start: at("2026-06-01T00:00:00Z"),
        subscription_id: SubscriptionId::parse("s1").unwrap(),
        tax: None,
        unit: None,
        usage: Vec::new(),
        working: Working { exact: number.to_string(), ..Working::default() },
    };
    let lines: Vec<Line> = (1..=line_count.max(1)).map(line).collect();
    let total_minor = lines.iter().map(|line| line.amount_minor).sum();
    let body = Body {
        catalog_sha256: catalog().sha256,
        credits: None,
        currency: Currency::parse(currency).unwrap(),
        format: FORMAT,
        issuer: IssuedBy {
            address: vec!["Street 1".into()],
            issuer_id: IssuerId::parse("berlin").unwrap(),
            legal_name: "Berlin APIs GmbH".into(),
            tax_id: None,
        },
        kind: DocumentKind::Invoice,
        lines,
        month: month(),
        partner_id: PartnerId::parse(partner).unwrap(),
        payment_terms_days: 21,
        period_end: at("2026-07-01T00:00:00Z"),
        period_start: at("2026-06-01T00:00:00Z"),
        pin: "{}".into(),
        profile_version_id: ProfileVersionId::derive([partner]),
        shadows: Vec::new(),
        total_minor,
    };
    Document::close(body).unwrap()
}

fn profile_row(partner: &str) -> Row {
    let email = if partner == "noaddress" { String::new() } else { format!("bills+june@{partner}.example") };
    Row::new()
        .with("profile_version_id", ProfileVersionId::derive([partner]).as_str())
        .with("partner_id", partner)
        .with("effective_from", at("2026-01-01T00:00:00Z"))
        .with("legal_name", format!("{partner} & Söhne"))
        .with("address", "Road 1")
        .with("country", "DE")
        .with("billing_email", email)
        .with("payment_terms_days", 21)
        .with("recorded_at", at("2026-01-01T00:00:00Z"))
}

/// A later version of a partner's profile: everything that Stripe shows of it is another.
fn moved(partner: &str, version: &str, from: &str) -> Row {
    profile_row(partner)
        .with("profile_version_id", ProfileVersionId::derive([partner, version]).as_str())
        .with("effective_from", at(from))
        .with("legal_name", format!("{partner} {version}"))
        .with("address", format!("Lane {version}\n10115 Berlin"))
        .with("tax_id", format!("DE{version}"))
        .with("billing_email", format!("{version}@{partner}.example"))
        .with("recorded_at", at("2026-07-02T00:00:00Z"))
}

/// A lake with issued invoices, a double, and one clock for both.
struct World {
    _folder: tempfile::TempDir,
    lake: Lake,
    double: StripeDouble,
    seconds: Arc<AtomicI64>,
    settings: PushSettings,
}

impl World {
    async fn new(documents: Vec<Document>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
        let start = at("2026-07-02T00:00:00Z");
        let seconds = Arc::new(AtomicI64::new(start.timestamp()));
        let clock = Arc::clone(&seconds);
        let options = Options::new(KEY, Arc::new(move || clock.load(Ordering::SeqCst)));
        let double = StripeDouble::start(options).await.unwrap();
        let mut partners: Vec<&str> = documents.iter().map(|d| d.body.partner_id.as_str()).collect();
        partners.dedup();
        let profiles: Vec<Row> = partners.into_iter().map(profile_row).collect();
        lake.append_missing(&BILLING_PROFILE, &profiles).await.unwrap();
        let drafted = Drafted { documents, ..Drafted::of(month()) };
        draft_into(&lake, &drafted, start).await.unwrap();
        let pin_json = drafted.documents.first().map_or_else(String::new, |document| document.body.pin.clone());
        let usage = IssueTerms {
            pin_json: &pin_json,
            reach: Some(start),
            as_of: start,
            accept_incomplete: None,
            overtaken: &BTreeSet::new(),
            policy: &HoldPolicy::NOTHING,
        };
        issue(&lake, &catalog(), month(), usage, start).await.unwrap();
        let mut settings = PushSettings::of("test");
        settings.retry.base_ms = 2;
        settings.retry.max_ms = 8;
        settings.retry.sends_max = 4;
        Self { _folder: folder, lake, double, seconds, settings }
    }

    fn transport(&self) -> Transport {
        let key = SecretKey::parse(KEY, false).unwrap();
        Transport::new(self.double.base_url(), &key, None, Duration::from_millis(400)).unwrap()
    }

    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.seconds.load(Ordering::SeqCst), 0).unwrap()
    }

    fn pass_hours(&self, hours: i64) {
        self.seconds.fetch_add(hours * 3600, Ordering::SeqCst);
    }

    async fn push(&self) -> PushReport {
        push(&self.lake, &self.transport(), &self.settings, month(), &|| self.now()).await.unwrap()
    }

    /// Pushes until nothing is unfinished; gives the last report.
    async fn push_until_known(&self) -> PushReport {
        let mut report = self.push().await;
        for _ in 0..5 {
            if report.unfinished.is_empty() {
                break;
            }
            report = self.push().await;
        }
        report
    }

    fn inject(&self, endpoint: &'static str, nth: u32, kind: FaultKind) {
        self.double.inject(Fault { endpoint, nth, kind }).unwrap();
    }

    fn write_count(&self) -> usize {
        self.double.requests().iter().filter(|request| request.method == "POST").count()
    }

    async fn import(&self, rows: &[Row]) {
        assert_eq!(self.lake.append_missing(&BILLING_PROFILE, rows).await.unwrap(), rows.len());
    }

    async fn read(&self, path: &str) -> serde_json::Value {
        serde_json::from_slice(&self.transport().get(path).await.unwrap().body).unwrap()
    }

    /// The customers as `name, e-mail, address, tax id`, the oldest first.
    async fn customers(&self) -> Vec<String> {
        let customers = self.read("/v1/customers?limit=100").await;
        let told = customers["data"].as_array().unwrap().iter().rev().map(|customer| {
            let text = |path: &str| customer.pointer(path).and_then(|text| text.as_str()).unwrap_or("-").to_owned();
            let tax_id = text("/invoice_settings/custom_fields/0/value");
            let (line1, line2) = (text("/address/line1"), text("/address/line2"));
            format!("{}, {}, {line1}, {line2}, {tax_id}", text("/name"), text("/email"))
        });
        told.collect()
    }

    /// The bodies that customers were updated with, in order.
    fn updates(&self) -> Vec<Vec<u8>> {
        let requests = self.double.requests();
        requests.iter().filter(|request| request.endpoint == Some(UPDATE)).map(|request| request.body.clone()).collect()
    }

    async fn events(&self) -> Vec<InvoiceEvent> {
        events_of(&self.lake.rows(&INVOICE_EVENT, None).await.unwrap()).unwrap()
    }

    /// Everything is at Stripe once, final, with our lines, and a further push does nothing.
    async fn assert_all_final(&self, context: &str) {
        assert_eq!(self.double.oracle(), [], "{context}");
        let events = self.events().await;
        let finalised = events.iter().filter(|event| event.kind == EventKind::Finalised).count();
        let due = Ledger::fold(&events).values().filter(|l| l.issued.is_some() && !l.nothing_due).count();
        assert_eq!(finalised, due, "{context}: each invoice is final");
        let at_stripe = self.double.invoices();
        let open = at_stripe.iter().filter(|invoice| invoice.status != InvoiceStatus::Draft).count();
        assert_eq!(open, due, "{context}: one final invoice each at Stripe");
        // Frozen bytes are what was sent, each time under that key.
        for request in self.double.requests().iter().filter(|request| request.method == "POST") {
            let frozen = events.iter().find(|event| event.idempotency_key == request.idempotency_key);
            assert_eq!(frozen.and_then(|f| f.request_body.clone()).as_ref(), Some(&request.body), "{context}");
        }
        let (writes, rows) = (self.write_count(), events.len());
        let again = self.push().await;
        assert_eq!(
            (again.write_request_count, self.write_count()),
            (0, writes),
            "{context}: a second push writes nothing"
        );
        assert_eq!(self.events().await.len(), rows, "{context}: a second push adds no row");
    }
}

fn three() -> Vec<Document> {
    vec![document("acme", "EUR", 2), document("acme", "USD", 1), document("bolt", "EUR", 205)]
}

#[tokio::test]
async fn a_month_is_pushed_once_in_batches() {
    let mut documents = three();
    documents.push(document("corp", "EUR", 0));
    let world = World::new(documents).await;
    let report = world.push().await;
    assert_eq!((report.finalised.len(), report.nothing_due.len()), (3, 1), "{report:?}");
    assert!(report.failed.is_empty() && report.unfinished.is_empty(), "{report:?}");
    // 2 customers, 3 drafts, 1 + 1 + 3 calls of lines, 3 finalised.
    assert_eq!(report.write_request_count, 2 + 3 + 5 + 3);
    let numbers: Vec<_> = world.double.invoices().iter().map(|i| i.metadata["tollbook_number"].clone()).collect();
    assert_eq!(numbers.len(), 3);
    world.assert_all_final("happy path").await;
    // Everything of a step is frozen before the first of it is sent: one instant, one commit.
    let order: Vec<&str> =
        world.double.requests().iter().filter_map(|r| r.endpoint.filter(|_| r.method == "POST")).collect::<Vec<_>>();
    let mut steps = order.clone();
    steps.dedup();
    assert_eq!(steps, [CUSTOMERS, CREATE, ADD_LINES, FINALISE]);
}

/// Each kind of fault at the first and at the second request of each step, spread over as many months as there are
/// kinds; whatever goes wrong, everything ends up at Stripe once.
#[tokio::test]
async fn every_fault_at_every_step_ends_with_one_invoice() {
    let kinds = [
        FaultKind::RefuseBefore,
        FaultKind::ExecuteThenDrop,
        FaultKind::ExecuteThenTruncate(20),
        FaultKind::ExecuteThenSlow(600),
        FaultKind::Slow(600),
        FaultKind::Status500Before,
        FaultKind::Status500After,
        FaultKind::Status429(LimitReason::EndpointRate),
        FaultKind::Status429(LimitReason::ResourceSpecific),
        FaultKind::LockTimeout,
        FaultKind::KeyInUse,
        FaultKind::Html(502),
        FaultKind::EmptyBody,
        FaultKind::BrokenJson,
    ];
    for month in 0..kinds.len() {
        let world = World::new(three()).await;
        let mut context = String::new();
        for (step, endpoint) in [CUSTOMERS, CREATE, ADD_LINES, FINALISE].into_iter().enumerate() {
            let (first, second) = (kinds[(month + step) % kinds.len()], kinds[(month + step + 7) % kinds.len()]);
            world.inject(endpoint, 1, first);
            world.inject(endpoint, 2, second);
            context += &format!("{endpoint}: {first:?}, {second:?}; ");
        }
        let report = world.push_until_known().await;
        assert!(report.failed.is_empty() && report.unfinished.is_empty(), "{context}: {report:?}");
        assert_eq!(world.double.faults_left(), 0, "{context}: the faults happened");
        world.assert_all_final(&context).await;
    }
}

/// The outcome of a call is not known, and the run ends. The next one sends the same bytes and key; when the key may
/// be forgotten (the double forgets it after 24 hours), it looks first: what is there is adopted, what is not there is
/// made under the next generation.
#[tokio::test]
async fn an_unknown_outcome_is_resent_while_the_key_is_young_and_looked_for_later() {
    for (hours, kind, generation) in [
        (1, FaultKind::ExecuteThenDrop, 0),
        (1, FaultKind::RefuseBefore, 0),
        (30, FaultKind::ExecuteThenDrop, 0),
        (30, FaultKind::RefuseBefore, 1),
    ] {
        for (endpoint, step) in
            [(CUSTOMERS, "customer"), (CREATE, "create"), (ADD_LINES, "lines-0"), (FINALISE, "finalise")]
        {
            let mut world = World::new(vec![document("acme", "EUR", 2)]).await;
            let context = format!("{kind:?} at {endpoint}, resumed after {hours} h");
            world.settings.retry.sends_max = 1;
            world.inject(endpoint, 1, kind);
            assert_eq!(world.push().await.unfinished.len(), 1, "{context}");
            world.pass_hours(hours);
            let report = world.push().await;
            assert_eq!(report.finalised.len(), 1, "{context}: {report:?}");
            let events = world.events().await;
            let answered = events.iter().find(|event| event.kind == EventKind::Answered && event.step == step).unwrap();
            assert_eq!(answered.generation, generation, "{context}");
            let seen = hours > 20 && generation == 0;
            assert_eq!(answered.http_status.is_none(), seen, "{context}: adopted by LIST, or answered");
            world.assert_all_final(&context).await;
        }
    }
}

/// Runs that are killed after some milliseconds, wherever they are then, until one gets through.
#[tokio::test]
async fn runs_that_are_killed_anywhere_are_resumed() {
    for (first_ms, more_ms, hours) in [(15, 35, 0), (40, 55, 0), (30, 45, 30)] {
        let world = World::new(three()).await;
        let mut killed = 0;
        for attempt in 0..60 {
            let limit = Duration::from_millis(first_ms + more_ms * attempt);
            if tokio::time::timeout(limit, world.push()).await.is_ok_and(|report| report.unfinished.is_empty()) {
                break;
            }
            killed += 1;
            world.pass_hours(hours);
        }
        assert!(killed > 0, "no run was killed");
        let report = world.push_until_known().await;
        assert!(report.failed.is_empty() && report.unfinished.is_empty(), "{report:?}");
        world.assert_all_final(&format!("killed {killed} times, {hours} h apart")).await;
    }
}

#[tokio::test]
async fn a_refused_key_stops_the_run_and_an_invoice_stays_with_its_account() {
    let world = World::new(three()).await;
    let before = {
        // A key of another account: nothing works, and that is said.
        let key = SecretKey::parse("sk_test_wrong", false).unwrap();
        let wrong = Transport::new(world.double.base_url(), &key, Some("acct_1"), Duration::from_secs(1)).unwrap();
        let error = push(&world.lake, &wrong, &world.settings, month(), &|| world.now()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Configuration);
        assert!(!format!("{error:?} {wrong:?}").contains("sk_test_wrong"));
        world.double.invoices().len()
    };
    assert_eq!(before, 0);
    // The customers were frozen for acct_1: another account must not go on with them.
    let report = world.push().await;
    assert_eq!(report.failed.len(), 2, "{report:?}");
    assert!(report.failed.iter().all(|failed| failed.reason.contains("another Stripe account")));
    assert_eq!(report.finalised.len(), 1, "the invoice that no customer was frozen for goes on: {report:?}");
    // The right key for the account it was begun with.
    let key = SecretKey::parse(KEY, false).unwrap();
    let right = Transport::new(world.double.base_url(), &key, Some("acct_1"), Duration::from_secs(1)).unwrap();
    let report = push(&world.lake, &right, &world.settings, month(), &|| world.now()).await.unwrap();
    assert_eq!((report.finalised.len(), report.failed.len()), (2, 1), "{report:?}");
    assert!(report.failed[0].reason.contains("final at another"), "the one of the other account is told: {report:?}");
    assert_eq!(world.double.oracle(), []);
}

/// Stripe refuses an invoice to a customer without an address. The others go on; each later run looks, finds nothing,
/// and tries once more under the next generation, until somebody has mended it.
#[tokio::test]
async fn what_stripe_refuses_fails_alone_and_is_tried_again_later() {
    let world = World::new(vec![document("acme", "EUR", 1), document("noaddress", "EUR", 1)]).await;
    for (generation, mended) in [(0, false), (1, false), (2, true)] {
        if mended {
            let customers = world.transport().get("/v1/customers?limit=100").await.unwrap();
            let customers: serde_json::Value = serde_json::from_slice(&customers.body).unwrap();
            let ours =
                customers["data"].as_array().unwrap().iter().find(|c| c["email"].as_str().is_none_or(str::is_empty));
            let path = format!("/v1/customers/{}", ours.unwrap()["id"].as_str().unwrap());
            assert_eq!(
                world.transport().post(&path, b"email=a%40noaddress.example", "by-hand").await.unwrap().status,
                200
            );
        }
        let report = world.push().await;
        let events = world.events().await;
        let last = events.iter().filter(|e| e.step == "create" && e.partner_id.as_str() == "noaddress");
        let last = last.filter(|e| e.kind == EventKind::Answered).max_by_key(|e| e.generation).unwrap();
        assert_eq!(last.generation, generation);
        if mended {
            assert_eq!((report.finalised.len(), report.failed.len()), (1, 0), "{report:?}");
        } else {
            assert_eq!(report.finalised.len(), usize::from(generation == 0), "the other goes on once: {report:?}");
            assert!(report.failed[0].reason.starts_with("create: 400"), "{report:?}");
            assert_eq!(last.http_status, Some(400));
        }
    }
    assert_eq!(world.double.oracle(), []);
}

#[tokio::test]
async fn a_draft_that_somebody_changed_is_not_finalised() {
    let world = World::new(vec![document("acme", "EUR", 2), document("bolt", "EUR", 1)]).await;
    // Stop before finalising: every finalise is refused before it is executed.
    let mut settings = world.settings.clone();
    settings.retry.sends_max = 1;
    world.inject(FINALISE, 1, FaultKind::RefuseBefore);
    world.inject(FINALISE, 2, FaultKind::RefuseBefore);
    push(&world.lake, &world.transport(), &settings, month(), &|| world.now()).await.unwrap();
    let victim = world.double.invoices().into_iter().find(|i| i.metadata["tollbook_partner_id"] == "acme").unwrap();
    let answer = world
        .transport()
        .post(
            &format!("/v1/invoices/{}/add_lines", victim.id),
            b"lines[0][amount]=1&lines[0][description]=stray",
            "by-hand",
        )
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    // Too old to be sent again blindly, so the gate looks once more.
    world.pass_hours(30);
    let report = world.push().await;
    assert_eq!(report.finalised.len(), 1, "{report:?}");
    assert!(report.failed[0].reason.contains("a line that is not ours"), "{report:?}");
    let victim = world.double.invoices().into_iter().find(|i| i.id == victim.id).unwrap();
    assert_eq!(victim.status, InvoiceStatus::Draft);
}

/// Of three lines one is there already: only the other two are sent, under the next generation.
#[tokio::test]
async fn lines_that_are_there_are_not_added_again() {
    let mut world = World::new(vec![document("acme", "EUR", 3)]).await;
    world.settings.retry.sends_max = 1;
    world.inject(ADD_LINES, 1, FaultKind::RefuseBefore);
    world.push().await;
    let draft = world.double.invoices().remove(0);
    let line_id = document("acme", "EUR", 3).line_id(2);
    let form =
        format!("lines[0][amount]=200&lines[0][description]=Price&lines[0][metadata][tollbook_line_id]={line_id}");
    let path = format!("/v1/invoices/{}/add_lines", draft.id);
    assert_eq!(world.transport().post(&path, form.as_bytes(), "by-hand").await.unwrap().status, 200);
    world.pass_hours(30);
    let report = world.push().await;
    assert_eq!(report.finalised.len(), 1, "{report:?}");
    assert_eq!(world.double.oracle(), []);
    let lines = &world.double.invoices()[0].lines;
    assert_eq!(lines.iter().map(|line| line.amount).collect::<Vec<_>>(), [200, 100, 300]);
}

#[tokio::test]
async fn two_pushes_at_once_make_one_invoice_each() {
    let world = World::new(three()).await;
    // Two lakes over one folder, as two processes have them.
    let other = Lake::open(world.lake.root()).unwrap();
    let transport = world.transport();
    let clock = || world.now();
    let (one, two) = tokio::join!(world.push(), push(&other, &transport, &world.settings, month(), &clock));
    let report = world.push_until_known().await;
    assert!(report.failed.is_empty() && report.unfinished.is_empty(), "{one:?} {two:?} {report:?}");
    world.assert_all_final("two at once").await;
}

#[tokio::test]
async fn payments_are_recorded_once() {
    let world = World::new(three()).await;
    world.push().await;
    let invoices = world.double.invoices();
    let sync_now = async || sync(&world.lake, &world.transport(), &world.settings, &|| world.now()).await.unwrap();
    assert_eq!(sync_now().await.open, 3);
    world.double.fail_payment(&invoices[0].id).unwrap();
    world.double.pay_as_customer(&invoices[1].id).unwrap();
    let report = sync_now().await;
    assert_eq!((report.paid.len(), report.payment_failed.len(), report.open), (1, 1, 2), "{report:?}");
    let rows = world.events().await.len();
    let report = sync_now().await;
    assert_eq!((report.paid.len(), report.payment_failed.len(), report.already_paid), (0, 0, 1), "{report:?}");
    assert_eq!(world.events().await.len(), rows, "a second sync adds no row");
    world.double.fail_payment(&invoices[0].id).unwrap();
    assert_eq!(sync_now().await.payment_failed.len(), 1, "a second failed attempt is another");
    world.double.pay_as_customer(&invoices[0].id).unwrap();
    assert_eq!(sync_now().await.paid.len(), 1);
}

#[tokio::test]
async fn a_customer_is_made_once_for_all_months_and_currencies() {
    let world = World::new(three()).await;
    world.push().await;
    assert_eq!(world.double.counts()[CUSTOMERS], 2);
    let customers: BTreeSet<_> = world
        .double
        .invoices()
        .iter()
        .map(|i| (i.metadata["tollbook_partner_id"].clone(), i.customer.clone()))
        .collect();
    assert_eq!(customers.len(), 2, "one customer for each partner");
}

/// A world whose customer was made, and whose invoice is a draft at Stripe still.
async fn before_finalising() -> World {
    let mut world = World::new(vec![document("acme", "EUR", 2), document("acme", "USD", 1)]).await;
    let sends_max = std::mem::replace(&mut world.settings.retry.sends_max, 1);
    world.inject(FINALISE, 1, FaultKind::RefuseBefore);
    world.inject(FINALISE, 2, FaultKind::RefuseBefore);
    assert_eq!(world.push().await.unfinished.len(), 2);
    world.settings.retry.sends_max = sends_max;
    assert_eq!(world.customers().await, ["acme & Söhne, bills+june@acme.example, Road 1, -, -"]);
    world
}

const MOVED: &str = "acme v2, v2@acme.example, Lane v2, 10115 Berlin, DEv2";

#[tokio::test]
async fn a_changed_profile_is_at_stripe_before_the_invoice_is_final() {
    let world = before_finalising().await;
    // A version that begins later is not in force, and another partner's is not this one's.
    world.import(&[moved("acme", "v2", "2026-07-01T00:00:00Z"), moved("acme", "v9", "2026-09-01T00:00:00Z")]).await;
    world.import(&[moved("bolt", "v5", "2026-07-01T00:00:00Z")]).await;
    let report = world.push().await;
    assert_eq!((report.finalised.len(), report.write_request_count), (2, 3), "{report:?}");
    assert_eq!(world.customers().await, [MOVED]);
    for invoice in world.double.invoices() {
        let invoice = world.read(&format!("/v1/invoices/{}", invoice.id)).await;
        assert_eq!(
            (&invoice["customer_name"], &invoice["customer_email"]),
            (&"acme v2".into(), &"v2@acme.example".into())
        );
        assert_eq!(invoice["customer_address"]["line1"], "Lane v2");
    }
    let events = world.events().await;
    let frozen = events.iter().find(|event| event.step.starts_with("customer-")).unwrap();
    let version = ProfileVersionId::derive(["acme", "v2"]);
    assert_eq!(frozen.step, format!("customer-{version}"));
    let key = format!("test:{}:customer-{version}:g0", frozen.invoice_id);
    assert!(events.iter().any(|event| event.idempotency_key.as_deref() == Some(&key)), "{key}");
    world.assert_all_final("moved").await;

    // The next month's invoice, after a version that takes the tax id back: one request brings it all.
    let mut back = moved("acme", "v3", "2026-07-01T00:00:00Z").with("address", "Lane v3");
    back = back.with("tax_id", None::<String>).with("recorded_at", at("2026-07-03T00:00:00Z"));
    world.import(&[back]).await;
    assert_eq!(world.push().await.write_request_count, 0, "no invoice waits: nothing is sent");
    let (july, now) = ("2026-07".parse::<Month>().unwrap(), at("2026-08-02T00:00:00Z"));
    let mut body = document("acme", "EUR", 1).body;
    (body.month, body.period_start, body.period_end) = (july, body.period_end, at("2026-08-01T00:00:00Z"));
    let documents = vec![Document::close(body).unwrap()];
    let drafted = Drafted { documents, ..Drafted::of(july) };
    draft_into(&world.lake, &drafted, now).await.unwrap();
    let usage = IssueTerms {
        pin_json: "{}",
        reach: Some(now),
        as_of: now,
        accept_incomplete: None,
        overtaken: &BTreeSet::new(),
        policy: &HoldPolicy::NOTHING,
    };
    issue(&world.lake, &catalog(), july, usage, now).await.unwrap();
    world.pass_hours(31 * 24);
    let push_july =
        async || push(&world.lake, &world.transport(), &world.settings, july, &|| world.now()).await.unwrap();
    let report = push_july().await;
    assert_eq!((report.finalised.len(), report.write_request_count), (1, 4), "{report:?}");
    assert_eq!(world.customers().await, ["acme v3, v3@acme.example, Lane v3, -, -"]);
    let rows = world.events().await.len();
    assert_eq!((push_july().await.write_request_count, world.events().await.len()), (0, rows));
    assert_eq!(world.double.oracle(), []);
}

/// Whatever becomes of the update, the customer has the version once, and the invoice waits for it.
#[tokio::test]
async fn an_update_of_unknown_outcome_is_resent_or_looked_for() {
    for (hours, kind, generation, updates) in [
        (1, FaultKind::ExecuteThenDrop, 0, 2),
        (1, FaultKind::RefuseBefore, 0, 2),
        // Its 500 is kept under the key: seen at Stripe to have been carried out.
        (1, FaultKind::Status500After, 0, 2),
        // Seen at Stripe: not sent again.
        (30, FaultKind::ExecuteThenDrop, 0, 1),
        (30, FaultKind::RefuseBefore, 1, 2),
    ] {
        let context = format!("{kind:?}, resumed after {hours} h");
        let mut world = before_finalising().await;
        world.import(&[moved("acme", "v2", "2026-07-01T00:00:00Z")]).await;
        world.settings.retry.sends_max = 1;
        world.inject(UPDATE, 1, kind);
        let report = world.push().await;
        assert_eq!((report.finalised.len(), report.unfinished.len()), (0, 2), "{context}: {report:?}");
        assert!(report.unfinished[0].reason.starts_with("customer-prf_"), "{context}: {report:?}");
        world.pass_hours(hours);
        world.settings.retry.sends_max = 4;
        let report = world.push().await;
        assert_eq!(report.finalised.len(), 2, "{context}: {report:?}");
        assert_eq!(world.customers().await, [MOVED], "{context}");
        let events = world.events().await;
        let answered = |e: &&InvoiceEvent| e.kind == EventKind::Answered && e.step.starts_with("customer-");
        let done = events.iter().filter(answered).find(|event| event.stripe_id.is_some()).unwrap();
        let sent = world.updates();
        assert_eq!((done.generation, sent.len()), (generation, updates), "{context}");
        assert!(sent.iter().all(|body| *body == sent[0]), "{context}: the same bytes");
        world.assert_all_final(&context).await;
    }
}

/// An earlier version may be under way still when a later one comes: it is settled first, so that it cannot undo the
/// later one.
#[tokio::test]
async fn a_version_that_is_under_way_is_settled_before_the_next() {
    for (hours, order) in [(1, vec!["v2", "v2", "v3"]), (30, vec!["v2", "v3"])] {
        let mut world = before_finalising().await;
        world.import(&[moved("acme", "v2", "2026-07-01T00:00:00Z")]).await;
        world.settings.retry.sends_max = 1;
        world.inject(UPDATE, 1, FaultKind::RefuseBefore);
        world.push().await;
        world.import(&[moved("acme", "v3", "2026-07-02T00:00:00Z")]).await;
        world.pass_hours(hours);
        let report = world.push().await;
        assert_eq!(report.finalised.len(), 2, "{report:?}");
        let name = |body: &Vec<u8>| {
            let body = String::from_utf8_lossy(body).into_owned();
            body.split('&').find_map(|pair| pair.strip_prefix("name=acme+")).unwrap().to_owned()
        };
        assert_eq!(world.updates().iter().map(name).collect::<Vec<_>>(), order);
        assert_eq!(world.customers().await, ["acme v3, v3@acme.example, Lane v3, 10115 Berlin, DEv3"]);
        world.assert_all_final("two versions").await;
    }
}

/// An address that Stripe refuses holds up its partner alone; importing the profile again mends it, and nothing goes
/// back to an earlier version.
#[tokio::test]
async fn a_refused_profile_holds_up_its_partner_until_a_better_one_is_imported() {
    let world = before_finalising().await;
    let refused = moved("acme", "v2", "2026-07-01T00:00:00Z").with("billing_email", "secret-address");
    world.import(&[refused]).await;
    for _ in 0..2 {
        let report = world.push().await;
        assert_eq!((report.finalised.len(), report.failed.len()), (0, 2), "{report:?}");
        assert!(report.failed[0].reason.contains("400 email_invalid about email"), "{report:?}");
        let details: Vec<_> = world.events().await.into_iter().filter_map(|event| event.detail).collect();
        assert!(!format!("{report:?} {details:?}").contains("secret-address"), "contact data: {report:?} {details:?}");
    }
    world.import(&[moved("acme", "v3", "2026-07-01T00:00:00Z").with("recorded_at", at("2026-07-02T01:00:00Z"))]).await;
    world.pass_hours(2);
    assert_eq!(world.push().await.finalised.len(), 2);
    assert_eq!(world.customers().await, ["acme v3, v3@acme.example, Lane v3, 10115 Berlin, DEv3"]);
    world.assert_all_final("mended").await;
}

/// What cannot be used of one partner's profiles holds up that partner alone.
#[tokio::test]
async fn a_profile_that_cannot_be_read_holds_up_its_partner_alone() {
    let world = World::new(vec![document("acme", "EUR", 1), document("bolt", "EUR", 1)]).await;
    world.import(&[moved("acme", "v2", "2026-07-01T00:00:00Z").with("payment_terms_days", -1)]).await;
    let report = world.push().await;
    assert_eq!((report.finalised.len(), report.failed.len()), (1, 1), "{report:?}");
    assert!(report.failed[0].reason.contains("payment_terms_days is -1"), "{report:?}");
    assert!(!report.failed[0].reason.contains("@acme"), "no contact data: {report:?}");
    world.import(&[moved("acme", "v3", "2026-07-02T00:00:00Z")]).await;
    assert_eq!(world.push().await.finalised.len(), 1);
    assert_eq!(world.updates().len(), 0, "a customer is made with the version that holds");
    world.assert_all_final("mended").await;
}
