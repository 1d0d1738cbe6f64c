//! What months are rated from: everything of one refresh of `usage`, read once for as many months as are asked for.

use std::collections::BTreeMap;

use anyhow::bail;
use chrono::{DateTime, Utc};
use serde_json::json;
use tollbook_aggregate::{USAGE_REFRESH, read_registry, usage_is_of, usage_pin};
use tollbook_billing::billed::IssuedDocument;
use tollbook_billing::draft::{DraftInput, Drafted, Otherwise, draft_adjusting};
use tollbook_billing::profile::Profiles;
use tollbook_billing::range::PartnerRange;
use tollbook_billing::usage::{COLUMNS, UsageSlice};
use tollbook_lake::{Lake, SessionContext};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::Month;
use tollbook_schemas::registry::Registry;
use tollbook_schemas::tables::Cells;
use tollbook_schemas::tables::billing::BILLING_PROFILE;
use tollbook_schemas::tables::derived::USAGE;
use tollbook_schemas::tables::{access_log, partner_event};

use super::Stale;
use crate::context::JobContext;
use crate::jobs::catalog::otherwise_of;

/// Usage rows that are rated together, where partners are many.
const USAGE_ROWS_MAX: i64 = 1_000_000;
/// And partners; in tests so few that a program of some has several shares.
const PARTNERS_MAX: usize = if cfg!(test) { 9 } else { 10_000 };

/// Registry, catalog and profiles, and the usage that belongs to them, which is read share by share.
pub struct Sources {
    /// The present catalog, which `usage` was computed with.
    pub catalog: Catalog,
    /// Partners and subscriptions at the pin of `usage`.
    pub registry: Registry,
    /// Billing profiles, all versions.
    pub profiles: Profiles,
    /// The pin of `usage`, as documents carry it.
    pub pin_json: String,
    /// What of the catalog would make another past, by earlier catalogs.
    pub otherwise: Otherwise,
    /// Sees `usage` as it was when the others were read, whatever is committed since.
    session: SessionContext,
    lake: Lake,
}

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

impl Sources {
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
            let sources = read_once(context, &catalog).await?;
            if context.lake.txn(&USAGE, USAGE_REFRESH).await? == before {
                return Ok(sources);
            }
        }
        bail!(Stale::of("usage kept changing while it was rated; run the command again"))
    }

    /// The partners in shares that bound what is rated at once: of usage rows, and of themselves.
    ///
    /// # Errors
    /// The lake's.
    pub async fn ranges(&self) -> anyhow::Result<Vec<PartnerRange>> {
        // Who pays for another must be read with it.
        if !self.registry.payers.is_empty() {
            return Ok(vec![PartnerRange::ALL]);
        }
        let sql =
            format!("select partner_id, count(*) as event_count from usage where {PRODUCTION} group by partner_id");
        let mut rows: BTreeMap<PartnerId, i64> = self.registry.partners.keys().map(|id| (id.clone(), 0)).collect();
        for batch in self.lake.query(&self.session, &sql).await? {
            let (partner_id, count) =
                (Cells::of(&USAGE, &batch, "partner_id")?, Cells::of(&USAGE, &batch, "event_count")?);
            for row in 0..batch.num_rows() {
                rows.insert(PartnerId::parse(partner_id.some_text(row)?)?, count.some_int(row)?);
            }
        }
        let rows: Vec<(PartnerId, i64)> = rows.into_iter().collect();
        Ok(PartnerRange::cut(&rows, USAGE_ROWS_MAX, PARTNERS_MAX))
    }

    /// What some partners are rated from.
    ///
    /// # Errors
    /// The lake's.
    pub async fn of(&self, range: &PartnerRange) -> anyhow::Result<Inputs> {
        let (columns, condition) = (COLUMNS.join(", "), range.condition());
        let sql = format!("select {columns} from usage where {PRODUCTION} and {condition}");
        let usage = UsageSlice::read(&self.lake.query(&self.session, &sql).await?)?;
        let registry =
            if *range == PartnerRange::ALL { self.registry.clone() } else { range.of_registry(&self.registry) };
        Ok(Inputs {
            catalog: self.catalog.clone(),
            usage,
            registry,
            profiles: self.profiles.within(range),
            pin_json: self.pin_json.clone(),
            otherwise: self.otherwise.clone(),
        })
    }
}

impl Inputs {
    /// Reads all partners', without writing anything.
    ///
    /// # Errors
    /// As [`Sources::read`].
    pub async fn read(context: &JobContext) -> anyhow::Result<Self> {
        Sources::read(context).await?.of(&PartnerRange::ALL).await
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
}

/// Production usage of partners (I8).
const PRODUCTION: &str = "partner_id is not null and environment = 'production'";

/// The pin of `usage` as documents carry it.
pub(super) async fn usage_pin_json(context: &JobContext) -> anyhow::Result<String> {
    let access = usage_pin(&context.lake, &access_log::TABLE).await?;
    let events = usage_pin(&context.lake, &partner_event::TABLE).await?;
    Ok(json!({ "access_log": access, "partner_event": events }).to_string())
}

async fn read_once(context: &JobContext, catalog: &Catalog) -> anyhow::Result<Sources> {
    let pin_json = usage_pin_json(context).await?;
    let events = usage_pin(&context.lake, &partner_event::TABLE).await?;
    let registry = read_registry(&context.lake, &events, None).await?;
    let session = context.lake.empty_session()?;
    context.lake.register(&session, &USAGE, None).await?;
    let profiles = Profiles::read(&context.lake.rows(&BILLING_PROFILE, None).await?)?;
    let otherwise = otherwise_of(context, catalog).await?;
    let (catalog, lake) = (catalog.clone(), context.lake.clone());
    Ok(Sources { catalog, registry, profiles, pin_json, otherwise, session, lake })
}
