//! Quotas: who used more of a meter in a month than its plan says. Pure; nothing is enforced or billed by it.
//!
//! A quota is of a calendar month in the subscription's own zone, whatever the plan's billing period. It is asked of
//! the version in force when the subscription's part of that month begins, of production usage alone (I8), and in full
//! for a part of a month. A subscription that went to another plan in the month has a row for each.

use std::collections::BTreeMap;

use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::error::with_causes;
use tollbook_schemas::id::{MeterId, PartnerId, PlanId, SubscriptionId};
use tollbook_schemas::period::{Month, Period};
use tollbook_schemas::registry::{Environment, Registry};
use tollbook_schemas::schedule;

use crate::usage::{UsageError, UsageSlice, fold};

/// One quota of one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUse {
    /// Partner.
    pub partner_id: PartnerId,
    /// Subscription.
    pub subscription_id: SubscriptionId,
    /// Its plan.
    pub plan_id: PlanId,
    /// Version of it.
    pub plan_version: u32,
    /// Meter.
    pub meter_id: MeterId,
    /// The part of the month in which it ran on the plan.
    pub period: Period,
    /// How much the plan says, in the meter's unit.
    pub quota: Decimal,
    /// How much was used; why that cannot be said.
    pub used: Result<Decimal, String>,
}

impl QuotaUse {
    /// Whether more was used than the plan says.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.used.as_ref().is_ok_and(|used| *used > self.quota)
    }
}

/// Every quota of a month with what was used of it, by partner, subscription, time and meter.
#[must_use]
pub fn quotas(catalog: &Catalog, registry: &Registry, usage: &[UsageSlice], month: Month) -> Vec<QuotaUse> {
    let mut by_meter: BTreeMap<(&PartnerId, &MeterId), Vec<&UsageSlice>> = BTreeMap::new();
    for slice in usage {
        if let (Some(partner_id), Some(Environment::Production)) = (&slice.partner_id, slice.environment) {
            by_meter.entry((partner_id, &slice.meter_id)).or_default().push(slice);
        }
    }
    let mut uses = Vec::new();
    for subscription in registry.subscriptions.values() {
        let zone = schedule::cut_zone(catalog, subscription);
        let Ok(whole) = month.period(zone) else { continue };
        let start = subscription.started_at.max(whole.start);
        // Outside the calendar nothing ends: drafting tells why it cannot be billed.
        let ended_at = schedule::ends_at(catalog, subscription, zone).unwrap_or(subscription.ended_at);
        let end = ended_at.map_or(whole.end, |ended| ended.min(whole.end));
        if end <= start {
            continue;
        }
        let period = Period { start, end };
        let Some(version) = catalog.plan_at(&subscription.plan_id, start) else { continue };
        for quota in &version.quotas {
            let slices = by_meter.get(&(&subscription.partner_id, &quota.meter)).map_or(&[][..], Vec::as_slice);
            uses.push(QuotaUse {
                partner_id: subscription.partner_id.clone(),
                subscription_id: subscription.subscription_id.clone(),
                plan_id: subscription.plan_id.clone(),
                plan_version: version.version,
                meter_id: quota.meter.clone(),
                period,
                quota: quota.per_month,
                used: used_in(catalog, &quota.meter, slices, period).map_err(|error| with_causes(&error)),
            });
        }
    }
    uses.sort_by(|a, b| {
        (&a.partner_id, &a.subscription_id, a.period.start, &a.meter_id).cmp(&(
            &b.partner_id,
            &b.subscription_id,
            b.period.start,
            &b.meter_id,
        ))
    });
    uses
}

fn used_in(
    catalog: &Catalog,
    meter_id: &MeterId,
    slices: &[&UsageSlice],
    period: Period,
) -> Result<Decimal, UsageError> {
    let Some(meter) = catalog.meters.get(meter_id) else { return Ok(Decimal::ZERO) };
    let inside = slices.iter().filter(|slice| slice.slice.intersect(&period).is_some());
    let inside: Vec<&UsageSlice> = inside.copied().collect();
    let before = slices.iter().filter(|slice| slice.slice.end <= period.start);
    let before: Vec<&UsageSlice> = before.filter(|_| meter.aggregation.carries_over()).copied().collect();
    Ok(fold(meter_id, meter.aggregation, &inside, period, &before)?.quantity)
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::catalog::CatalogFile;

    use super::*;
    use crate::draft::tests::{CATALOG, registry, usage};

    /// One row: subscriptions, usage, each quota of June as `subscription plan used of quota`, with `!` where it is
    /// over.
    #[test]
    fn quotas_of_a_month() {
        let quota = "\nquota = [{ meter = \"calls\", per_month = \"10\" }, { meter = \"users\", per_month = 2 }]";
        let text = CATALOG.replacen("id = \"part\"", &format!("id = \"part\"{quota}"), 1);
        let text = text.replacen("id = \"quarter\"", &format!("id = \"quarter\"{quota}"), 1);
        let catalog = Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap();
        for (subscriptions, used, wanted) in [
            ("acme part 2026-01-01..", "", "s1 part calls 0 of 10 | s1 part users 0 of 2"),
            (
                "acme part 2026-01-01..",
                "acme calls production 2026-06-02T00:00 10; acme users production 2026-06-02T00:00 a,b,c",
                "s1 part calls 10 of 10 | s1 part users 3 of 2!",
            ),
            // Berlin's June, sandbox and other partners left out.
            (
                "acme part 2026-01-01..",
                "acme calls production 2026-05-31T21:00 9; acme calls production 2026-05-31T22:00 6;
                 acme calls production 2026-06-30T21:00 5; acme calls production 2026-06-30T22:00 9;
                 acme calls sandbox 2026-06-02T00:00 9; bolt calls production 2026-06-02T00:00 9",
                "s1 part calls 11 of 10! | s1 part users 0 of 2",
            ),
            // Of the month, though the plan is billed by the quarter; not beyond the part in which it ran.
            (
                "acme quarter 2026-01-01..2026-06-10",
                "acme calls production 2026-05-02T00:00 99; acme calls production 2026-06-09T00:00 3;
                 acme calls production 2026-06-10T00:00 99",
                "s1 quarter calls 3 of 10 | s1 quarter users 0 of 2",
            ),
            // Cancelled to the end of May, which is no end of its own.
            (
                "acme part 2026-01-01.. Europe/Berlin to_period=2026-05-10",
                "acme calls production 2026-06-02T00:00 12",
                "",
            ),
            ("acme pro 2026-01-01..; acme part 2026-07-01..", "", ""),
        ] {
            let (registry, slices) = (registry(subscriptions), usage(used));
            let told: Vec<String> = quotas(&catalog, &registry, &slices, "2026-06".parse().unwrap())
                .iter()
                .map(|one| {
                    let over = if one.is_over() { "!" } else { "" };
                    let (id, used) = (&one.subscription_id, one.used.as_ref().unwrap());
                    format!("{id} {} {} {used} of {}{over}", one.plan_id, one.meter_id, one.quota)
                })
                .collect();
            assert_eq!(told.join(" | "), wanted, "{subscriptions} {used}");
        }
    }
}
