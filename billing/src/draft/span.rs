//! The part of a month that one subscription bills, and the plan version that prices it.

use tollbook_schemas::catalog::{PlanVersion, Price};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::MeterId;
use tollbook_schemas::period::{Period, Tz, days_of, print_instant};
use tollbook_schemas::registry::{InForce, Subscription, contract_in_force};

use super::DraftInput;
use crate::document::LineContract;
use crate::rating::served::{Length, Served, Stretch};

/// What one subscription bills.
#[derive(Debug)]
pub(super) struct Span<'a> {
    pub(super) subscription: &'a Subscription,
    pub(super) version: &'a PlanVersion,
    /// The contract that holds when it begins.
    pub(super) contract: Option<InForce<'a>>,
    /// Those of the version, under the contract.
    pub(super) prices: Vec<Price>,
    /// The whole month, in the subscription's zone.
    pub(super) month: Period,
    /// The part of it in which the subscription ran.
    pub(super) billed: Period,
    /// The zone whose midnights the month has.
    zone: Tz,
}

impl Span<'_> {
    /// How much of the month is billed, for what is prorated.
    pub(super) fn served(&self) -> Served {
        let length = |period: Period| Length::new(period, days_of(period, self.zone));
        let stretch = Stretch { length: length(self.billed), units: Decimal::whole(1) };
        Served { whole: length(self.month), stretches: vec![stretch] }
    }
}

impl Span<'_> {
    /// The contract as lines name it.
    pub(super) fn line_contract(&self) -> Option<LineContract> {
        let contract = self.contract?;
        Some(LineContract { contract_id: contract.contract_id.clone(), version: contract.version.version })
    }
}

/// The span of a subscription in the month; none where it did not run.
pub(super) fn span_of<'a>(input: &DraftInput<'a>, subscription: &'a Subscription) -> Result<Option<Span<'a>>, String> {
    let id = &subscription.subscription_id;
    let versions = input.catalog.plans.get(&subscription.plan_id);
    let calendar = |error: tollbook_schemas::period::PeriodError| format!("subscription {id}: {error}");
    // Without its own zone a subscription follows its issuer, whose months are needed to find the plan version that
    // names it. The versions of a plan that ran by then share one issuer's zone, or nobody can say which it is.
    let zone = match (subscription.time_zone, versions) {
        (Some(zone), _) => zone,
        (None, None) => tollbook_schemas::period::parse_zone("UTC").map_err(calendar)?,
        (None, Some(versions)) => {
            let mut zones: Vec<_> = versions
                .iter()
                .filter_map(|version| input.catalog.issuers.get(&version.issuer))
                .map(|issuer| issuer.time_zone)
                .collect();
            zones.dedup();
            match zones[..] {
                [zone] => zone,
                _ => {
                    return Err(format!(
                        "the versions of plan {} have issuers in different time zones; give subscription {id} a \
                         time_zone of its own",
                        subscription.plan_id
                    ));
                }
            }
        }
    };
    let month = input.month.period(zone).map_err(calendar)?;
    let end = subscription.ended_at.unwrap_or(month.end).min(month.end);
    if end <= subscription.started_at {
        return Ok(None);
    }
    let ran = Period::new(subscription.started_at, end).map_err(calendar)?;
    let Some(billed) = month.intersect(&ran) else { return Ok(None) };
    if versions.is_none() {
        return Err(format!(
            "subscription {id} is to plan {}, which the catalog does not have; add the plan, or correct the \
             subscription",
            subscription.plan_id
        ));
    }
    let version = input.catalog.plan_at(&subscription.plan_id, billed.start).ok_or_else(|| {
        format!(
            "plan {} has no version in force at {}, when subscription {id} begins to be billed; give a version an \
             earlier effective_from",
            subscription.plan_id, billed.start
        )
    })?;
    let contract = contract_in_force(&input.registry.contracts, input.catalog, subscription, billed.start);
    let contract = contract.map_err(|error| error.to_string())?;
    let prices = contract.map_or_else(|| version.prices.clone(), |contract| contract.version.prices_of(version));
    Ok(Some(Span { subscription, version, contract, prices, month, billed, zone }))
}

/// One meter may be billed once for one time, and one subscription in one document of a month.
pub(super) fn check_overlaps(spans: &[Span<'_>]) -> Result<(), String> {
    for (index, one) in spans.iter().enumerate() {
        for other in &spans[index + 1..] {
            let id = &one.subscription.subscription_id;
            let document = |span: &Span<'_>| (span.version.issuer.clone(), span.version.currency);
            // A second document of it would be taken for its month billed twice, and never be issued.
            if *id == other.subscription.subscription_id && document(one) != document(other) {
                return Err(format!(
                    "subscription {id} changes at {} to a plan of another issuer or currency within the month; cancel \
                     it at that instant with `tollbook partner record`, and start another one there, with the same \
                     time_zone, or the two months overlap",
                    print_instant(other.billed.start)
                ));
            }
            let Some(both) = one.billed.intersect(&other.billed) else { continue };
            let Some(meter_id) = meters(one).find(|meter_id| meters(other).any(|m| m == *meter_id)) else { continue };
            return Err(format!(
                "subscriptions {} and {} would both bill meter {meter_id} for {both}; cancel one of them, or give \
                 their plans different meters",
                one.subscription.subscription_id, other.subscription.subscription_id
            ));
        }
    }
    Ok(())
}

fn meters<'a>(span: &'a Span<'_>) -> impl Iterator<Item = &'a MeterId> {
    span.prices.iter().filter_map(|price| price.meter.as_ref())
}
