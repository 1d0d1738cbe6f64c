//! Whose bill comes out otherwise: subscriptions and what was billed of them in, the first billing period of each that
//! another catalog prices, or measures, otherwise out.
//!
//! A period that was issued is over: it is never looked at. So a subscription that ended and was billed to its end is
//! not affected by anything, and one that ended and was not is.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{Section, entry, fields};
use crate::catalog::{Catalog, Meter, PlanVersion};
use crate::id::{PartnerId, PlanId, SubscriptionId};
use crate::period::{Month, Period, PeriodError};
use crate::registry::{ContractError, InForce, SignedContract, Subscription, contract_in_force};
use crate::schedule;

/// Who subscribed to what, and what was billed of it.
#[derive(Debug, Clone, Copy)]
pub struct Subscribers<'a> {
    /// Subscriptions as the registry has them.
    pub subscriptions: &'a BTreeMap<(SubscriptionId, DateTime<Utc>), Subscription>,
    /// Contracts that were signed, as the registry has them.
    pub contracts: &'a [SignedContract],
    /// End of the last period that was issued, by subscription.
    pub billed_until: &'a BTreeMap<SubscriptionId, DateTime<Utc>>,
}

/// A subscription that is priced or measured otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// Subscriber.
    pub partner_id: PartnerId,
    /// Subscription.
    pub subscription_id: SubscriptionId,
    /// Its plan.
    pub plan_id: PlanId,
    /// The first billing period for which it makes a difference.
    pub month: Month,
    /// The part of it that the subscription bills.
    pub period: Period,
    /// Why, in words.
    pub because: Vec<String>,
}

/// Days of the longest period, a leap year.
const PERIOD_DAYS_MAX: u64 = 366;

/// The subscriptions that the new catalog prices or measures otherwise, by partner, subscription and time.
///
/// # Errors
/// A month outside the calendar.
pub fn affected(old: &Catalog, new: &Catalog, who: Subscribers<'_>) -> Result<Vec<Affected>, PeriodError> {
    let mut affected = Vec::new();
    for subscription in who.subscriptions.values() {
        let billed_until = who.billed_until.get(&subscription.subscription_id);
        affected.extend(first_of(old, new, subscription, who.contracts, billed_until)?);
    }
    affected.sort_by(|a, b| {
        (&a.partner_id, &a.subscription_id, a.period.start).cmp(&(&b.partner_id, &b.subscription_id, b.period.start))
    });
    Ok(affected)
}

fn first_of(
    old: &Catalog,
    new: &Catalog,
    subscription: &Subscription,
    contracts: &[SignedContract],
    billed_until: Option<&DateTime<Utc>>,
) -> Result<Option<Affected>, PeriodError> {
    let plan = &subscription.plan_id;
    let open_from = billed_until.map_or(subscription.started_at, |until| subscription.started_at.max(*until));
    let zone = subscription.time_zone.or_else(|| zone_of(new, plan)).or_else(|| zone_of(old, plan));
    let zone = zone.unwrap_or(chrono_tz::UTC);
    // After the last bound of a version or contract nothing changes, so one period that begins behind all of them is
    // the last to look at.
    let versions = [old, new].into_iter().filter_map(|catalog| catalog.plans.get(plan)).flatten();
    let signed = contracts.iter().filter(|contract| contract.partner_id == subscription.partner_id);
    let terms = signed.clone().flat_map(|contract| {
        [old, new].into_iter().filter_map(|catalog| catalog.contracts.get(&contract.contract_id)).flatten()
    });
    let issuers = versions.clone().flat_map(|version| {
        [old, new].into_iter().filter_map(|catalog| catalog.issuer_versions.get(&version.issuer)).flatten()
    });
    let issued_from: Vec<DateTime<Utc>> = issuers.filter_map(|issuer| issuer.effective_from).collect();
    let bounds = versions
        .map(|version| version.effective_from)
        .chain(issued_from)
        .chain(signed.flat_map(|contract| [Some(contract.signed_at), contract.ended_at]).flatten())
        .chain(terms.flat_map(|version| [Some(version.starts), version.ends]).flatten())
        .chain(
            [old, new]
                .into_iter()
                .flat_map(|catalog| catalog.tax_rates.values().flatten())
                .map(|rate| rate.effective_from),
        );
    let last = bounds.max().map_or(open_from, |last| last.max(open_from));
    let until = last.checked_add_days(Days::new(PERIOD_DAYS_MAX)).ok_or(PeriodError::OutOfRange)?;
    // As either catalog has the periods: they may differ in that too.
    let mut periods = schedule::periods(new, subscription, zone, until)?;
    periods.extend(schedule::periods(old, subscription, zone, until)?);
    periods.sort_by_key(|period| (period.billed.start, period.billed.end));
    for scheduled in periods.iter().filter(|period| open_from < period.billed.end) {
        let start = scheduled.billed.start.max(open_from);
        let in_force = |catalog| contract_in_force(contracts, catalog, subscription, start);
        let mut because = why(old, new, plan, Period { start, end: scheduled.billed.end });
        because.extend(why_contract(in_force(old), in_force(new)));
        if !because.is_empty() {
            return Ok(Some(Affected {
                partner_id: subscription.partner_id.clone(),
                subscription_id: subscription.subscription_id.clone(),
                plan_id: plan.clone(),
                month: scheduled.month(zone),
                period: Period::new(start, scheduled.billed.end)?,
                because,
            }));
        }
        if start >= last {
            break;
        }
    }
    Ok(None)
}

/// The zone of a plan's issuer.
fn zone_of(catalog: &Catalog, plan: &PlanId) -> Option<Tz> {
    let issuer = &catalog.plans.get(plan)?.first()?.issuer;
    catalog.issuers.get(issuer).map(|issuer| issuer.time_zone)
}

/// What is different of the contract that applies.
fn why_contract(
    old: Result<Option<InForce<'_>>, ContractError>,
    new: Result<Option<InForce<'_>>, ContractError>,
) -> Option<String> {
    let name = |one: &InForce<'_>| format!("contract {} version {}", one.contract_id, one.version.version);
    match (old, new) {
        (old, Err(error)) => (old.as_ref().err() != Some(&error)).then(|| error.to_string()),
        (Err(_), Ok(new)) => {
            Some(new.map_or("no contract applies".to_owned(), |new| format!("{} applies", name(&new))))
        }
        (Ok(None), Ok(None)) => None,
        (Ok(None), Ok(Some(new))) => Some(format!("{} applies", name(&new))),
        (Ok(Some(old)), Ok(None)) => Some(format!("{} applies no more", name(&old))),
        (Ok(Some(old)), Ok(Some(new))) if name(&old) != name(&new) => {
            Some(format!("{} instead of {}", name(&new), name(&old)))
        }
        (Ok(Some(old)), Ok(Some(new))) => {
            let both = (Some(old.version), Some(new.version));
            let changed = entry(Section::Contract, new.contract_id, both, fields::contract);
            changed.map(|_| format!("{} changes", name(&new)))
        }
    }
}

/// What is different of a plan in a period; tax is that of its end.
fn why(old: &Catalog, new: &Catalog, plan: &PlanId, period: Period) -> Vec<String> {
    let mut because = Vec::new();
    let at = period.start;
    // A document bears the issuer as it is at the end of what it bills.
    let last = period.end - TimeDelta::microseconds(1);
    let (before, after) = (old.plan_at(plan, at), new.plan_at(plan, at));
    match (before, after) {
        (None, None) => return because,
        (None, Some(after)) => because.push(format!("plan {plan} gets version {}", after.version)),
        (Some(before), None) => because.push(format!("plan {plan} loses version {}", before.version)),
        (Some(before), Some(after)) if before.version != after.version => {
            because.push(format!("plan {plan} version {} instead of {}", after.version, before.version));
        }
        (before, after) => {
            let changed = entry(Section::Plan, plan, (before, after), fields::version);
            let version = after.map_or(0, |after| after.version);
            because.extend(changed.map(|_| format!("plan {plan} version {version} changes")));
        }
    }
    let versions: Vec<&PlanVersion> = before.into_iter().chain(after).collect();
    for id in versions.iter().map(|version| &version.issuer).collect::<BTreeSet<_>>() {
        let changed = entry(Section::Issuer, id, (old.issuer_at(id, last), new.issuer_at(id, last)), fields::issuer);
        because.extend(changed.map(|_| format!("issuer {id} changes")));
        if old.tax_rates_before(id, period.end).ne(new.tax_rates_before(id, period.end)) {
            because.push(format!("tax rates of issuer {id} change"));
        }
    }
    let prices = versions.iter().flat_map(|version| &version.prices);
    let meters: BTreeSet<_> = prices.filter_map(|price| price.meter.as_ref()).collect();
    let mut used: Vec<&Meter> = Vec::new();
    for id in meters {
        let both = (old.meters.get(id), new.meters.get(id));
        used.extend(both.0.into_iter().chain(both.1));
        // One that a new version alone uses is part of that version.
        if let (Some(_), Some(_)) = both {
            let changed = entry(Section::Meter, id, both, fields::meter);
            because.extend(changed.map(|_| format!("meter {id} changes")));
        }
    }
    let of_all = used.iter().any(|meter| meter.product.is_none());
    for id in old.products.keys().chain(new.products.keys()).collect::<BTreeSet<_>>() {
        let is_used = of_all || used.iter().any(|meter| meter.product.as_ref() == Some(id));
        let both = (old.products.get(id), new.products.get(id));
        let changed = entry(Section::Product, id, both, fields::product_rules).filter(|_| is_used);
        because.extend(changed.map(|_| format!("product {id} changes")));
    }
    because
}
