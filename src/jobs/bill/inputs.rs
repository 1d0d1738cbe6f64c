//! What months are rated from: everything of one refresh of `usage`, read once for as many months as are asked for.

use std::collections::BTreeMap;

use anyhow::bail;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use serde_json::json;
use tollbook_aggregate::{USAGE_REFRESH, read_registry, usage_is_of, usage_pin};
use tollbook_billing::billed::IssuedDocument;
use tollbook_billing::draft::{DraftInput, Drafted, TermsChanges, draft_adjusting};
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
use crate::jobs::catalog::changes_since_kept;
use crate::jobs::catalog::frozen::refuse_changes;

/// Usage rows that are rated together, where partners are many.
const USAGE_ROWS_MAX: i64 = 200_000;
/// And partners; in tests so few that a program of some has several shares.
const PARTNERS_MAX: usize = if cfg!(test) { 9 } else { 4_000 };
/// Usage rows that are read at once, for several shares: columns need less memory than what is rated, and whoever asks
/// for some partners of a month reads parts of the others' too.
const READ_ROWS_MAX: i64 = 1_000_000;

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
    pub terms_changes: TermsChanges,
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
    pub terms_changes: TermsChanges,
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

    /// The partners in chunks that bound what is read at once, of shares that bound what is rated at once: of usage
    /// rows, and of partners.
    ///
    /// # Errors
    /// The lake's.
    pub async fn chunks(&self) -> anyhow::Result<Vec<Chunk>> {
        // Who pays for another must be read with it.
        if !self.registry.payers.is_empty() {
            return Ok(vec![Chunk { range: PartnerRange::ALL, shares: vec![self.everybody()] }]);
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
        let ranges = PartnerRange::cut(&rows, USAGE_ROWS_MAX, PARTNERS_MAX);
        let place = |partner_id: &PartnerId| PartnerRange::place_of(&ranges, partner_id);
        let mut weights = vec![0_i64; ranges.len()];
        for (partner_id, count) in &rows {
            if let Some(weight) = place(partner_id).and_then(|at| weights.get_mut(at)) {
                *weight = weight.saturating_add(*count);
            }
        }
        let registries = self.registry.cut(place, ranges.len());
        let profiles = self.profiles.cut(place, ranges.len());
        let mut chunks: Vec<(Chunk, i64)> = Vec::new();
        for (((range, registry), profiles), weight) in ranges.into_iter().zip(registries).zip(profiles).zip(weights) {
            let share = Share { range: range.clone(), registry, profiles };
            match chunks.last_mut() {
                Some((chunk, of_chunk)) if of_chunk.saturating_add(weight) <= READ_ROWS_MAX => {
                    *of_chunk = of_chunk.saturating_add(weight);
                    chunk.range.before = range.before;
                    chunk.shares.push(share);
                }
                _ => chunks.push((Chunk { range, shares: vec![share] }, weight)),
            }
        }
        Ok(chunks.into_iter().map(|(chunk, _)| chunk).collect())
    }

    fn everybody(&self) -> Share {
        Share { range: PartnerRange::ALL, registry: self.registry.clone(), profiles: self.profiles.clone() }
    }

    /// What some partners are rated from.
    ///
    /// # Errors
    /// The lake's.
    pub async fn of(self, range: &PartnerRange) -> anyhow::Result<Inputs> {
        let usage = UsageSlice::read(&self.usage_of(range).await?)?;
        let Self { catalog, registry, profiles, pin_json, terms_changes, .. } = self;
        let own = |partner_id: &PartnerId| range.contains(partner_id).then_some(0);
        let (registry, profiles) = match *range == PartnerRange::ALL {
            true => (registry, profiles),
            false => (registry.cut(own, 1).pop().unwrap_or_default(), profiles.cut(own, 1).pop().unwrap_or_default()),
        };
        Ok(Inputs { catalog, usage, registry, profiles, pin_json, terms_changes })
    }

    /// The usage of some partners, as columns.
    ///
    /// # Errors
    /// The lake's.
    pub async fn usage_of(&self, range: &PartnerRange) -> anyhow::Result<Vec<RecordBatch>> {
        let (columns, condition) = (COLUMNS.join(", "), range.condition());
        let sql = format!("select {columns} from usage where {PRODUCTION} and {condition}");
        Ok(self.lake.query(&self.session, &sql).await?)
    }

    /// What a month of a share is drafted from, with its own usage.
    #[must_use]
    pub fn of_month<'a>(
        &'a self,
        share: &'a Share,
        usage: &'a [UsageSlice],
        month: Month,
        as_of: DateTime<Utc>,
    ) -> DraftInput<'a> {
        DraftInput {
            month,
            usage,
            registry: &share.registry,
            catalog: &self.catalog,
            profiles: &share.profiles,
            pin_json: &self.pin_json,
            as_of,
            terms_changes: &self.terms_changes,
        }
    }
}

/// Partners whose usage is read at once.
pub struct Chunk {
    /// Which.
    pub range: PartnerRange,
    /// Them, in shares; at least one.
    pub shares: Vec<Share>,
}

/// Partners that are rated together, with what is known of them but for their usage.
pub struct Share {
    /// Which.
    pub range: PartnerRange,
    registry: Registry,
    profiles: Profiles,
}

impl Inputs {
    /// Reads all partners', without writing anything: what is told of them is told of what drafts would bill, so a
    /// catalog that these refuse is refused here too.
    ///
    /// # Errors
    /// As [`Sources::read`]; a catalog that changes what issued invoices were rated with.
    pub async fn read(context: &JobContext) -> anyhow::Result<Self> {
        refuse_changes(context, &context.catalog()?).await?;
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
            terms_changes: &self.terms_changes,
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
pub(super) const PRODUCTION: &str = "partner_id is not null and environment = 'production'";

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
    let terms_changes = changes_since_kept(context, catalog).await?;
    let (catalog, lake) = (catalog.clone(), context.lake.clone());
    Ok(Sources { catalog, registry, profiles, pin_json, terms_changes, session, lake })
}
