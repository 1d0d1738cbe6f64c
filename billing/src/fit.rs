//! The cheapest plan for what a partner really used, against the one that it chose. Pure.
//!
//! Takes what a month is drafted from; gives each subscription's cost, what each other plan of the same issuer and
//! currency would have cost it, and why some plans are no candidate. A cost is never an estimate: the month is drafted
//! again with the subscription on the other plan, so spans, steps and rounding are those of an invoice.
//!
//! A partner for which another pays is looked at as any other. What is missing to the commitment of a contract is no
//! cost of a plan: it is owed on every plan.
//!
//! A plan is no candidate if it has no price for a meter that the chosen plan prices and that the partner used: it
//! would be cheaper by not charging for it. Nor is one that cannot be drafted, as one that would bill a meter which
//! another subscription of the partner bills already.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use tollbook_schemas::catalog::PlanVersion;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{IssuerId, MeterId, PartnerId, PlanId, SubscriptionId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::print_instant;
use tollbook_schemas::registry::{Registry, Subscription};

use crate::document::{Body, Line};
use crate::draft::{Blocked, COMMITMENT, DraftInput, Drafted, draft};
use crate::usage::UsageSlice;

/// What another plan would have cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherPlan {
    /// Plan.
    pub plan_id: PlanId,
    /// The version in force when the subscription begins to be billed; none where there is none.
    pub plan_version: Option<u32>,
    /// The cost, or why it is no candidate.
    pub cost: Result<Money, String>,
}

/// One subscription, for as long as it was on one plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionFit {
    /// Partner.
    pub partner_id: PartnerId,
    /// Subscription.
    pub subscription_id: SubscriptionId,
    /// First instant that is billed.
    pub span_start: DateTime<Utc>,
    /// The chosen plan.
    pub plan_id: PlanId,
    /// Its version.
    pub plan_version: u32,
    /// What it costs.
    pub cost: Money,
    /// Every other plan of the same issuer and currency, by id.
    pub others: Vec<OtherPlan>,
}

impl SubscriptionFit {
    /// The cheapest candidate that costs less than the chosen plan, with what it saves in minor units; none where the
    /// chosen one is as cheap as any.
    #[must_use]
    pub fn cheaper(&self) -> Option<(&OtherPlan, i64)> {
        let costs = self.others.iter().filter_map(|other| Some((other, other.cost.as_ref().ok()?.minor)));
        let (cheapest, minor) = costs.min_by_key(|(other, minor)| (*minor, &other.plan_id))?;
        let saving = self.cost.minor.saturating_sub(minor);
        (saving > 0).then_some((cheapest, saving))
    }
}

/// All subscriptions of a month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fitted {
    /// By partner, subscription and time.
    pub subscriptions: Vec<SubscriptionFit>,
    /// Partners that cannot be billed, with the reason.
    pub blocked: Vec<Blocked>,
}

/// Finds the cheapest plan of each subscription in a month.
#[must_use]
pub fn fit(input: &DraftInput<'_>) -> Fitted {
    let drafted = draft(input);
    let mut fitted = Fitted { subscriptions: Vec::new(), blocked: drafted.blocked.clone() };
    // Whose the lines are, whoever pays.
    let owners = drafted.documents.iter().flat_map(|document| {
        let lines = document.body.lines.iter();
        lines.map(|line| line.for_partner.as_ref().unwrap_or(&document.body.partner_id))
    });
    let partners: BTreeSet<&PartnerId> = owners.collect();
    for partner_id in partners {
        let alone = Alone::of(input, partner_id);
        for subscription in alone.registry.subscriptions.values() {
            match fit_of(input, &alone, &drafted, subscription) {
                Ok(fit) => fitted.subscriptions.extend(fit),
                Err(reason) => fitted.blocked.push(Blocked { partner_id: partner_id.clone(), reason }),
            }
        }
    }
    fitted
}

/// One partner with its usage, as if there were no other: drafting it again is cheap.
struct Alone {
    registry: Registry,
    usage: Vec<UsageSlice>,
}

impl Alone {
    fn of(input: &DraftInput<'_>, partner_id: &PartnerId) -> Self {
        let all = input.registry;
        let is_own = |subscription: &Subscription| subscription.partner_id == *partner_id;
        // Whoever pays for it is there without subscriptions of its own.
        let payers = all.payers.get(partner_id);
        let payer_ids = all.payers_of(partner_id);
        let registry = Registry {
            partners: std::iter::once(partner_id)
                .chain(payer_ids.iter().copied())
                .filter_map(|id| all.partners.get_key_value(id))
                .map(|(id, p)| (id.clone(), p.clone()))
                .collect(),
            payers: payers.map(|payers| (partner_id.clone(), payers.clone())).into_iter().collect(),
            pays_for: payer_ids.into_iter().map(|id| (id.clone(), BTreeSet::from([partner_id.clone()]))).collect(),
            subscriptions: all
                .subscriptions
                .iter()
                .filter(|(_, subscription)| is_own(subscription))
                .map(|(key, subscription)| (key.clone(), subscription.clone()))
                .collect(),
            going_live: all
                .going_live
                .iter()
                .filter(|(id, _)| *id == partner_id)
                .map(|(id, live)| (id.clone(), live.clone()))
                .collect(),
            ..Registry::default()
        };
        let usage = input.usage.iter().filter(|slice| slice.partner_id.as_ref() == Some(partner_id)).cloned().collect();
        Self { registry, usage }
    }

    /// The month with one subscription on another plan.
    fn with_plan(&self, input: &DraftInput<'_>, subscription: &Subscription, plan_id: &PlanId) -> Drafted {
        let mut registry = self.registry.clone();
        let key = (subscription.subscription_id.clone(), subscription.started_at);
        registry.subscriptions.insert(key, Subscription { plan_id: plan_id.clone(), ..subscription.clone() });
        draft(&DraftInput { registry: &registry, usage: &self.usage, ..*input })
    }
}

/// One subscription; none where it bills nothing in the month.
fn fit_of(
    input: &DraftInput<'_>,
    alone: &Alone,
    drafted: &Drafted,
    subscription: &Subscription,
) -> Result<Option<SubscriptionFit>, String> {
    let lines = lines_of(drafted, subscription);
    let Some((body, first)) = lines.first().copied() else { return Ok(None) };
    let (issuer_id, currency) = (&body.issuer.issuer_id, body.currency);
    let cost = sum_of(&lines, currency)?;
    let needed = needed_of(&lines);
    let mut others = Vec::new();
    for plan_id in input.catalog.plans.keys().filter(|plan_id| **plan_id != first.plan_id) {
        let version = input.catalog.plan_at(plan_id, first.span_start);
        if !is_comparable(input, plan_id, version, issuer_id, currency) {
            continue;
        }
        let plan_version = version.map(|version| version.version);
        let cost = match version {
            None => Err(format!("it has no version in force at {}", print_instant(first.span_start))),
            Some(version) => match not_covered(version, &needed) {
                Some(reason) => Err(reason),
                None => cost_on(input, alone, subscription, plan_id, currency),
            },
        };
        others.push(OtherPlan { plan_id: plan_id.clone(), plan_version, cost });
    }
    Ok(Some(SubscriptionFit {
        partner_id: subscription.partner_id.clone(),
        subscription_id: subscription.subscription_id.clone(),
        span_start: first.span_start,
        plan_id: first.plan_id.clone(),
        plan_version: first.plan_version,
        cost,
        others,
    }))
}

/// Whether a plan is sold by the same issuer in the same currency: at the instant, or, where no version is in force
/// then, by its first one.
fn is_comparable(
    input: &DraftInput<'_>,
    plan_id: &PlanId,
    version: Option<&PlanVersion>,
    issuer_id: &IssuerId,
    currency: Currency,
) -> bool {
    let first = || input.catalog.plans.get(plan_id).and_then(|versions| versions.first());
    version.or_else(first).is_some_and(|one| one.issuer == *issuer_id && one.currency == currency)
}

/// The lines that bill a subscription while it is on this plan.
fn lines_of<'a>(drafted: &'a Drafted, subscription: &Subscription) -> Vec<(&'a Body, &'a Line)> {
    let is_own = |line: &Line| {
        // What a plan costs is told before coupons, credits and tax.
        line.tax.is_none()
            && line.coupon.is_none()
            && line.credit.is_none()
            // A commitment binds whatever the plan is.
            && line.price_model != COMMITMENT
            && line.subscription_id == subscription.subscription_id
            && line.span_start >= subscription.started_at
            && subscription.ended_at.is_none_or(|ended_at| line.span_start < ended_at)
    };
    let all = drafted.documents.iter().flat_map(|one| one.body.lines.iter().map(move |line| (&one.body, line)));
    all.filter(|(_, line)| is_own(line)).collect()
}

fn sum_of(lines: &[(&Body, &Line)], currency: Currency) -> Result<Money, String> {
    let sum = lines.iter().try_fold(0_i64, |sum, (_, line)| sum.checked_add(line.amount_minor));
    sum.map(|minor| Money { minor, currency }).ok_or_else(|| "the cost does not fit 63 bits of minor units".to_owned())
}

/// The metered quantities that the chosen plan charges for and that are there, in words.
fn needed_of(lines: &[(&Body, &Line)]) -> BTreeMap<MeterId, String> {
    let used = lines.iter().filter(|(_, line)| line.usage.iter().any(|day| day.event_count > 0) || !is_zero(line));
    used.filter_map(|(_, line)| {
        let unit = line.unit.as_deref().unwrap_or("units");
        Some((line.meter_id.clone()?, format!("{} {unit}", line.quantity)))
    })
    .collect()
}

fn is_zero(line: &Line) -> bool {
    line.quantity == Decimal::ZERO
}

/// Why a plan is no candidate: what was used and has no price in it.
fn not_covered(version: &PlanVersion, needed: &BTreeMap<MeterId, String>) -> Option<String> {
    let priced: BTreeSet<&MeterId> = version.prices.iter().filter_map(|price| price.meter.as_ref()).collect();
    let missing = needed.iter().filter(|(meter_id, _)| !priced.contains(meter_id));
    let missing: Vec<String> = missing.map(|(meter_id, used)| format!("{meter_id} ({used} used)")).collect();
    (!missing.is_empty()).then(|| format!("it has no price for {}", missing.join(", ")))
}

fn cost_on(
    input: &DraftInput<'_>,
    alone: &Alone,
    subscription: &Subscription,
    plan_id: &PlanId,
    currency: Currency,
) -> Result<Money, String> {
    let drafted = alone.with_plan(input, subscription, plan_id);
    if let Some(blocked) = drafted.blocked.first() {
        return Err(blocked.reason.clone());
    }
    sum_of(&lines_of(&drafted, subscription), currency)
}

#[cfg(test)]
mod tests;
