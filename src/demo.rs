//! `tollbook demo`: the whole path on a simulated month, checked against the simulator's own ledger.
//!
//! A seeded program produces its month into a broker inside this process (or a real one), the jobs of the command line
//! run as an operator would run them, invoices go to a double of Stripe over real HTTP, some are paid. Then every
//! figure is compared with what the simulator counted while it made the traffic. Nothing here is read from the tables
//! by the simulator, and nothing is taken from the ledger by the pipeline.

pub mod broker;
pub mod folder;
pub mod found;
mod sequel;
pub mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use tollbook_billing::register::RegisterRow;
use tollbook_ingest::{Budget, IngestReport, Ingestor};
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::{BILLING_PROFILE, INVOICE_EVENT, INVOICE_LINE};
use tollbook_simulate::stripe_double::{Options as DoubleOptions, StripeDouble};
use tollbook_simulate::{BillingProfile, Ledger, Sequel, Settings, World, world};

use crate::context::JobContext;
use crate::jobs;
use crate::jobs::partner::Profile;
use crate::output::talk;

use broker::{Broker, Committed};

/// What a demo is started with.
#[derive(Debug, Clone)]
pub struct DemoSettings {
    /// Seed and size.
    pub world: Settings,
    /// Folder of the demo; an earlier demo in it is replaced.
    pub folder: PathBuf,
    /// A real broker; the embedded one where `None`.
    pub brokers: Option<String>,
    /// Whether the month after is closed too, with what came late.
    pub month_after: bool,
}

/// What a demo gave.
pub struct DemoResult {
    /// What had to come out.
    pub ledger: Ledger,
    /// What came out.
    pub found: found::Found,
    /// The documents of the month after, against what the simulator expects; none where that was not asked for.
    pub month_after: Vec<verdict::Check>,
    /// The register of invoices.
    pub register: Vec<RegisterRow>,
    /// Its Stripe, still there: jobs can be run again on it.
    pub stripe: StripeDouble,
    /// Seconds of each part.
    pub seconds: Vec<(&'static str, f64)>,
    /// Its configuration.
    pub config: PathBuf,
    /// Folder of the reports.
    pub reports: PathBuf,
    /// An invoice line with few requests behind it, to be explained.
    pub line: String,
}

/// Key of the double. It is no secret: the double lives inside this process and dies with it.
const STRIPE_KEY: &str = "sk_test_tollbook_demo";

/// Runs the demo.
///
/// # Errors
/// Whatever a job of the path ends with.
pub async fn run(settings: &DemoSettings) -> anyhow::Result<DemoResult> {
    let mut watch = Watch::default();
    watch.part("simulate, Kafka, ingest");
    let Ingested { world, context, config, ledger, sequel, double, broker, clock } = ingested(settings).await?;
    watch.part("usage");
    jobs::aggregate::usage(&context).await?;
    watch.part("draft, issue");
    let (month, as_of) = (world.month(), context.as_of(None).await?);
    jobs::bill::draft_month(&context, month, as_of).await?;
    jobs::bill::issue_month(&context, month, as_of).await?;
    watch.part("push, pay, sync");
    jobs::bill::complain(&[jobs::bill::push_month(&context, month).await?])?;
    pay_in_part(&context, &double).await?;
    jobs::bill::sync(&context).await?;
    watch.part("funnel");
    jobs::aggregate::program(&context, as_of).await?;
    watch.part("reports");
    let reports = jobs::report::all(&context, &[month], as_of).await?;
    watch.part("check");
    let found = found::read(&context, month, as_of, &double).await?;
    let register = jobs::bill::register(&context, month, as_of).await?;
    let line = a_line_to_explain(&context).await?;
    let month_after = match settings.month_after {
        true => {
            clock.store(world.later().timestamp(), std::sync::atomic::Ordering::Relaxed);
            close_the_month_after(&config, &world, &broker, &sequel, &mut watch).await?
        }
        false => Vec::new(),
    };
    let seconds = watch.end();
    Ok(DemoResult { ledger, found, month_after, register, stripe: double, seconds, config, reports, line })
}

/// A month later by the clock: takes in what came, bills it, compares.
async fn close_the_month_after(
    config: &Path,
    world: &World,
    broker: &Broker,
    sequel: &Sequel,
    watch: &mut Watch,
) -> anyhow::Result<Vec<verdict::Check>> {
    watch.part("the month after: ingest, usage");
    sequel::set_clock(config, world)?;
    let context = JobContext::open(config)?;
    sequel::ingest(&context, broker, sequel).await?;
    jobs::aggregate::usage(&context).await?;
    watch.part("adjustments, credit notes");
    let (month, as_of) = (world.month().next(), context.as_of(None).await?);
    jobs::bill::draft_month(&context, month, as_of).await?;
    sequel::approve_credit_notes(&context, month).await?;
    let held = sequel::hold_one(&context, month).await?;
    let issued = jobs::bill::issue_month(&context, month, as_of).await?.issued;
    jobs::bill::complain(&[jobs::bill::push_month(&context, month).await?])?;
    let reports = context.configuration.path("reports");
    jobs::report::invoices(&context, month, None, Some(&reports)).await?;
    watch.part("verify");
    let mut checks = sequel::compare(sequel, &sequel::documents(&context, month).await?, &held);
    checks.push(sequel::is_held(&held, &issued));
    for month in [world.month(), month] {
        checks.push(sequel::verified(&context, month).await?);
    }
    Ok(checks)
}

/// A month whose logs and events are in the lake, and nothing is computed yet.
pub(crate) struct Ingested {
    pub(crate) world: World,
    pub(crate) context: JobContext,
    pub(crate) config: PathBuf,
    pub(crate) ledger: Ledger,
    pub(crate) sequel: Sequel,
    pub(crate) double: StripeDouble,
    pub(crate) broker: Broker,
    /// The double's clock, in seconds since 1970.
    pub(crate) clock: Arc<AtomicI64>,
}

/// Simulates a month and takes it in.
pub(crate) async fn ingested(settings: &DemoSettings) -> anyhow::Result<Ingested> {
    let world = world(&settings.world);
    folder::prepare(&settings.folder)?;
    let clock = Arc::new(AtomicI64::new(world.now().timestamp()));
    let double = start_double(clock.clone()).await?;
    let broker = Broker::start(settings.brokers.as_deref(), settings.world.partitions).await?;
    let config = folder::write(&settings.folder, &world, &broker, double.base_url(), STRIPE_KEY)?;
    let context = JobContext::open(&config)?;
    context.lake.append_missing(&BILLING_PROFILE, &profile_rows(world.billing_profiles(), world.now())?).await?;
    let (ledger, sequel) = ingest(&context, &broker, &world).await?;
    Ok(Ingested { world, context, config, ledger, sequel, double, broker, clock })
}

#[derive(Default)]
struct Watch {
    seconds: Vec<(&'static str, f64)>,
    running: Option<(&'static str, Instant)>,
}

impl Watch {
    fn part(&mut self, name: &'static str) {
        self.stop();
        talk(&format!("… {name}"));
        self.running = Some((name, Instant::now()));
    }

    fn stop(&mut self) {
        if let Some((name, since)) = self.running.take() {
            self.seconds.push((name, since.elapsed().as_secs_f64()));
        }
    }

    fn end(mut self) -> Vec<(&'static str, f64)> {
        self.stop();
        self.seconds
    }
}

async fn start_double(clock: Arc<AtomicI64>) -> anyhow::Result<StripeDouble> {
    let now = move || clock.load(std::sync::atomic::Ordering::Relaxed);
    Ok(StripeDouble::start(DoubleOptions::new(STRIPE_KEY, Arc::new(now))).await?)
}

/// Billing profiles as rows of their table, with the ids that follow from what they say.
///
/// # Errors
/// A partner whose id is none.
pub fn profile_rows(
    profiles: impl IntoIterator<Item = BillingProfile>,
    recorded_at: DateTime<Utc>,
) -> anyhow::Result<Vec<Row>> {
    let row = |of: BillingProfile| {
        let profile = Profile {
            partner_id: PartnerId::parse(&of.partner_id)?,
            effective_from: of.effective_from,
            legal_name: of.legal_name,
            address: of.address,
            country: of.country,
            tax_id: of.tax_id,
            billing_email: of.billing_email,
            purchase_order: of.purchase_order,
            payment_terms_days: of.payment_terms_days,
        };
        Ok(profile.recorded(0, recorded_at))
    };
    profiles.into_iter().map(row).collect()
}

/// Produces and ingests at the same time: the embedded broker forgets what is far behind, so the producer never runs
/// further ahead of what is committed than it keeps.
async fn ingest(context: &JobContext, broker: &Broker, world: &World) -> anyhow::Result<(Ledger, Sequel)> {
    // Small batches: the producer waits for commits.
    let budget =
        Budget { batch_bytes_max: 6 * 1024 * 1024, commit_interval: Duration::from_millis(300), ..Budget::default() };
    let ingestors = jobs::ingest::ingestors(context, budget)?;
    let (access, lifecycle) = match ingestors.as_slice() {
        [access, lifecycle] => (access.clone(), lifecycle.clone()),
        _ => bail!("the demo's configuration has two topics"),
    };
    let lifecycle_messages = world.lifecycle_messages();
    broker.produce_all(&lifecycle.kafka.topic, lifecycle_messages).await?;
    lifecycle.until_caught_up(context.clock.now(), &|_| {}).await?;

    let committed: Committed = Arc::new(Mutex::new(BTreeMap::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn(read_while(access.clone(), stop.clone(), committed.clone()));
    let produced = broker.produce(&access.kafka.topic, world.traffic(), committed, stop.clone()).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let read = reading.await.context("the ingestor ended unexpectedly")?;
    let traffic = produced?;
    read?;
    access.until_caught_up(context.clock.now(), &|_| {}).await?;
    Ok(traffic.into_ledger_and_sequel())
}

async fn read_while(
    ingestor: Ingestor,
    stop: Arc<AtomicBool>,
    committed: Committed,
) -> Result<IngestReport, tollbook_ingest::IngestError> {
    let report = ingestor
        // Without a clock: how far the data reach is recorded once, when all of the month has been produced.
        .until_stopped(None, &stop, &move |progress| {
            if let Ok(mut committed) = committed.lock() {
                *committed =
                    progress.partitions.iter().map(|(partition, state)| (*partition, state.committed)).collect();
            }
        })
        .await;
    // An error here must not leave the producer waiting for a commit that never comes.
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    report
}

/// Two of three customers pay, one card fails, the rest is open: in the order of the numbers.
async fn pay_in_part(context: &JobContext, double: &StripeDouble) -> anyhow::Result<()> {
    let mut finalised = context.lake.rows(&INVOICE_EVENT, Some("kind = 'finalised'")).await?;
    finalised.sort_by(|a, b| a.text("invoice_id").cmp(&b.text("invoice_id")));
    let open: BTreeMap<String, String> =
        double.invoices().into_iter().map(|invoice| (invoice.id.clone(), invoice.status.to_string())).collect();
    for (at, event) in finalised.iter().enumerate() {
        let Some(id) = event.text("stripe_id") else { continue };
        if open.get(id).map(String::as_str) != Some("open") {
            continue;
        }
        match at % 3 {
            0 | 1 => double.pay_as_customer(id)?,
            _ if at == 2 => double.fail_payment(id)?,
            _ => {}
        }
    }
    Ok(())
}

/// A metered line with few requests: the first of those with the least.
async fn a_line_to_explain(context: &JobContext) -> anyhow::Result<String> {
    let mut lines = context.lake.rows(&INVOICE_LINE, Some("meter_id is not null and quantity > 0")).await?;
    lines.sort_by_key(|row| (row.decimal("quantity"), row.text("line_id").map(str::to_owned)));
    Ok(lines.first().and_then(|row| row.text("line_id")).unwrap_or_default().to_owned())
}

/// Where the demo's folder is, for people.
#[must_use]
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests;
