//! What one subscription bills of a month: its month in its own zone, cut to its own start and end, under the plan version
//! in force when that begins. From `docs/money.md`, "Which price, which usage".

use chrono::{DateTime, Utc};
use tollbook_schemas::catalog::{Catalog, PlanVersion};
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::{Month, Period, Tz};
use tollbook_schemas::registry::{Registry, Subscription};

use crate::rating::Served;

/// What one subscription bills.
pub(crate) struct Span<'a> {
    pub(crate) subscription: &'a Subscription,
    pub(crate) version: &'a PlanVersion,
    /// The whole month.
    pub(crate) month: Period,
    /// The part of it that is billed.
    pub(crate) billed: Period,
    zone: Tz,
}

impl Span<'_> {
    /// How much of the month is billed, by time and by local days: the day in which it starts is one, the one in which it
    /// ends is not.
    pub(crate) fn served(&self) -> Served {
        let micros = |period: Period| (period.end - period.start).num_microseconds().unwrap_or(i64::MAX);
        let day = |at: DateTime<Utc>| at.with_timezone(&self.zone).date_naive();
        let days = |period: Period| (day(period.end) - day(period.start)).num_days();
        Served { time: (micros(self.billed), micros(self.month)), days: (days(self.billed), days(self.month)) }
    }
}

/// The spans of a partner in a month, in the order of subscriptions and of their plans.
///
/// # Errors
/// Why nobody can say what is billed, in words.
pub(crate) fn spans_of<'a>(
    registry: &'a Registry,
    catalog: &'a Catalog,
    partner_id: &PartnerId,
    month: Month,
) -> Result<Vec<Span<'a>>, String> {
    let blocks = |finding: &&tollbook_schemas::registry::Finding| {
        finding.partner_id.as_ref() == Some(partner_id) && finding.blocks_billing()
    };
    if let Some(finding) = registry.findings.iter().find(blocks) {
        return Err(format!("the partner is blocked at the pin: {}", finding.what));
    }
    // Before this instant another system bills. A span that holds it has openings, and is not known here.
    let live = registry.going_live.get(partner_id).map(|live| live.billing_starts_at);
    let is_billed_here = |span: &Span<'_>| live.is_none_or(|from| from < span.billed.end);
    let mut spans = Vec::new();
    for subscription in registry.subscriptions.values().filter(|one| one.partner_id == *partner_id) {
        spans.extend(span_of(catalog, subscription, month)?.filter(is_billed_here));
    }
    for (at, one) in spans.iter().enumerate() {
        let meters = |span: &Span<'a>| span.version.prices.iter().filter_map(|price| price.meter.as_ref());
        let overlap = |other: &&Span<'_>| one.billed.intersect(&other.billed).is_some();
        for other in spans[at + 1..].iter().filter(overlap) {
            if let Some(meter_id) = meters(one).find(|meter_id| meters(other).any(|also| also == *meter_id)) {
                let [one, other] = [one, other].map(|span| &span.subscription.subscription_id);
                return Err(format!("subscriptions {one} and {other} would both bill meter {meter_id}"));
            }
        }
    }
    Ok(spans)
}

fn span_of<'a>(catalog: &'a Catalog, subscription: &'a Subscription, month: Month) -> Result<Option<Span<'a>>, String> {
    let id = &subscription.subscription_id;
    let versions = catalog.plans.get(&subscription.plan_id).map(Vec::as_slice).unwrap_or_default();
    let zone = match subscription.time_zone {
        Some(zone) => zone,
        None => {
            let zones = versions.iter().filter_map(|version| Some(catalog.issuers.get(&version.issuer)?.time_zone));
            let zones: Vec<_> = zones.collect();
            if zones.iter().any(|zone| Some(zone) != zones.first()) {
                return Err(format!("subscription {id} has no time zone, and those of its plan's issuers differ"));
            }
            zones.first().copied().unwrap_or(Tz::UTC)
        }
    };
    let month = month.period(zone).map_err(|error| error.to_string())?;
    let start = subscription.started_at.max(month.start);
    let end = subscription.ended_at.map_or(month.end, |end| end.min(month.end));
    if end <= start {
        return Ok(None);
    }
    let in_force = versions.iter().filter(|version| version.effective_from <= start);
    let version = in_force.max_by_key(|version| (version.effective_from, version.version));
    let version = version.ok_or_else(|| format!("subscription {id}: no version of its plan is in force"))?;
    Ok(Some(Span { subscription, version, month, billed: Period { start, end }, zone }))
}
