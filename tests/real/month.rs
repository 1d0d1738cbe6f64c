//! A small month of the simulator, ingested, metered, drafted and issued in this process, with a double of Stripe to
//! push to: the tables that readers read and the invoices that billing sends.

use std::sync::Arc;

use tempfile::TempDir;
use tollbook::context::JobContext;
use tollbook::demo::broker::Broker;
use tollbook::{demo, jobs};
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::billing::BILLING_PROFILE;
use tollbook_simulate::stripe_double::{Options, StripeDouble};
use tollbook_simulate::{Settings, world};

/// The one key that the double takes.
pub const KEY: &str = "sk_test_tollbook";

/// The month.
pub struct Issued {
    /// Its jobs' surroundings.
    pub context: JobContext,
    /// The double, which has heard nothing yet.
    pub double: StripeDouble,
    /// Which month.
    pub month: Month,
    _folder: TempDir,
}

impl Issued {
    /// Makes it.
    pub async fn make() -> anyhow::Result<Self> {
        let world = world(&Settings { seed: 5, events: 3_000, partners: 24, partitions: 1 });
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("demo");
        demo::folder::prepare(&path)?;
        let now = world.now().timestamp();
        let double = StripeDouble::start(Options::new(KEY, Arc::new(move || now))).await?;
        let broker = Broker::start(None, 1).await?;
        let config = demo::folder::write(&path, &world, &broker, double.base_url(), KEY)?;
        let context = JobContext::open(&config)?;
        context
            .lake
            .append_missing(&BILLING_PROFILE, &demo::profile_rows(world.billing_profiles(), world.now())?)
            .await?;
        broker.produce_all(broker.lifecycle_topic(), world.lifecycle_messages()).await?;
        broker.produce_all(broker.access_topic(), world.traffic().collect()).await?;
        jobs::ingest::until_caught_up(&context).await?;
        jobs::aggregate::usage(&context).await?;
        let (month, as_of) = (world.month(), context.as_of(None).await?);
        jobs::bill::draft_month(&context, month, as_of).await?;
        jobs::bill::issue_month(&context, month, as_of).await?;
        Ok(Self { context, double, month, _folder: folder })
    }
}
