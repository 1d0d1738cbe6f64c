//! What months are rated from: everything of one refresh of `usage`, read once for as many months as are asked for.

use anyhow::bail;
use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use serde_json::json;
use tollbook_aggregate::{USAGE_REFRESH, read_registry, usage_is_of, usage_pin};
use tollbook_billing::billed::IssuedDocument;
use tollbook_billing::draft::{DraftInput, Drafted, Otherwise, draft, draft_adjusting};
use tollbook_billing::profile::Profiles;
use tollbook_billing::usage::{COLUMNS, UsageSlice};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::period::Month;
use tollbook_schemas::registry::Registry;
use tollbook_schemas::tables::billing::BILLING_PROFILE;
use tollbook_schemas::tables::derived::USAGE;
use tollbook_schemas::tables::{access_log, partner_event};

use super::Stale;
use crate::context::JobContext;
use crate::jobs::catalog::otherwise_of;

/// Usage, registry, catalog and profiles that belong together.
pub struct Inputs {
    /// The present catalog, which `usage` was computed with.
    pub catalog: Catalog,
    /// Production usage of partners, of all months.
    pub usage: Vec<UsageSlice>,
    /// Partners and subscriptions at the pin of `usage`.
    pub registry: Registry,
    /// Billing profiles, all versions.
    pub profiles: Profiles,
    /// The pin of `usage`, as documents carry it.
    pub pin_json: String,
    /// What of the catalog would make another past, by earlier catalogs.
    pub otherwise: Otherwise,
}

impl Inputs {
    /// Reads them, without writing anything.
    ///
    /// # Errors
    /// [`Stale`] where usage is of another catalog, or kept changing; the lake's.
    pub async fn read(context: &JobContext) -> anyhow::Result<Self> {
        let catalog = context.catalog()?;
        if !usage_is_of(&context.lake, &catalog).await? {
            bail!(Stale::of("usage was computed with another catalog, or never; run `tollbook aggregate` first"));
        }
        for _ in 0..5 {
            let before = context.lake.txn(&USAGE, USAGE_REFRESH).await?;
            let inputs = read_once(context, &catalog).await?;
            if context.lake.txn(&USAGE, USAGE_REFRESH).await? == before {
                return Ok(inputs);
            }
        }
        bail!(Stale::of("usage kept changing while it was rated; run the command again"))
    }

    /// What a month is drafted from.
    #[must_use]
    pub fn of_month(&self, month: Month, as_of: DateTime<Utc>) -> DraftInput<'_> {
        DraftInput {
            month,
            usage: &self.usage,
            registry: &self.registry,
            catalog: &self.catalog,
            profiles: &self.profiles,
            pin_json: &self.pin_json,
            as_of,
            otherwise: &self.otherwise,
        }
    }

    /// Rates a month, with what earlier months are to be adjusted by.
    ///
    /// # Errors
    /// Where what was issued contradicts itself.
    pub fn draft_adjusting(
        &self,
        month: Month,
        as_of: DateTime<Utc>,
        issued: &[IssuedDocument],
    ) -> anyhow::Result<Drafted> {
        Ok(draft_adjusting(&self.of_month(month, as_of), issued)?)
    }

    /// Rates a month of itself.
    #[must_use]
    pub fn draft(&self, month: Month, as_of: DateTime<Utc>) -> Drafted {
        draft(&self.of_month(month, as_of))
    }
}

/// The pin of `usage` as documents carry it.
pub(super) async fn usage_pin_json(context: &JobContext) -> anyhow::Result<String> {
    let access = usage_pin(&context.lake, &access_log::TABLE).await?;
    let events = usage_pin(&context.lake, &partner_event::TABLE).await?;
    Ok(json!({ "access_log": access, "partner_event": events }).to_string())
}

/// Production usage of partners (I8), as columns.
async fn production_usage(context: &JobContext) -> anyhow::Result<Vec<RecordBatch>> {
    let session = context.lake.empty_session()?;
    context.lake.register(&session, &USAGE, None).await?;
    let columns = COLUMNS.join(", ");
    let sql = format!("select {columns} from usage where partner_id is not null and environment = 'production'");
    Ok(context.lake.query(&session, &sql).await?)
}

async fn read_once(context: &JobContext, catalog: &Catalog) -> anyhow::Result<Inputs> {
    let pin_json = usage_pin_json(context).await?;
    let events = usage_pin(&context.lake, &partner_event::TABLE).await?;
    let registry = read_registry(&context.lake, &events, None).await?;
    let usage = UsageSlice::read(&production_usage(context).await?)?;
    let profiles = Profiles::read(&context.lake.rows(&BILLING_PROFILE, None).await?)?;
    let otherwise = otherwise_of(context, catalog).await?;
    Ok(Inputs { catalog: catalog.clone(), usage, registry, profiles, pin_json, otherwise })
}
