//! What one subscription bills in an invoice run: the billing periods that end in its month, each cut to the time in which
//! the subscription ran on its plan, with the version that prices it. A month's run bills what ends in it, so a plan that
//! is billed by the week has several spans in a month, and one that is billed by the year one in twelve.

use tollbook_schemas::catalog::{PlanVersion, Price};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{MeterId, PartnerId, SubscriptionId};
use tollbook_schemas::period::{Month, Period, Tz, days_of, print_instant};
use tollbook_schemas::price::setting::Per;
use tollbook_schemas::registry::{GoingLive, InForce, Opening, Subscription, contract_in_force};
use tollbook_schemas::schedule;

use super::DraftInput;
use super::going_live::{self, Part};
use crate::document::LineContract;
use crate::rating::served::{Length, Served, Stretch};

/// What one subscription bills.
#[derive(Debug, Clone)]
pub(super) struct Span<'a> {
    pub(super) subscription: &'a Subscription,
    pub(super) version: &'a PlanVersion,
    /// The contract that holds when it begins.
    pub(super) contract: Option<InForce<'a>>,
    /// Those of the version, under the contract.
    pub(super) prices: Vec<Price>,
    /// The month of the invoice run, in the subscription's zone.
    pub(super) month: Period,
    /// The whole billing period.
    pub(super) period: Period,
    /// The part of it in which the subscription ran and was billed here.
    pub(super) billed: Period,
    /// The part of it in which the subscription ran: longer than what is billed here where another system billed its begin.
    ran: Period,
    /// What another system billed of it, where it did.
    pub(super) openings: Option<Vec<&'a Opening>>,
    /// The zone whose midnights the periods have.
    zone: Tz,
}

impl Span<'_> {
    /// How much of the period is billed, and with how many units, for what is prorated.
    pub(super) fn served(&self) -> Served {
        let length = |period: Period| Length::new(period, days_of(period, self.zone));
        let stretches = self.subscription.course.stretches(self.ran);
        let stretch = |(time, units)| Stretch { length: length(time), units };
        Served { whole: length(self.period), stretches: stretches.into_iter().map(stretch).collect() }
    }

    /// The units of a flat price: the most that there were at once, or the one subscription.
    pub(super) fn units(&self, per: Per) -> Decimal {
        match per {
            Per::Subscription => Decimal::whole(1),
            Per::Unit => {
                let stretches = self.subscription.course.stretches(self.ran);
                stretches.into_iter().map(|(_, units)| units).max().unwrap_or(Decimal::ZERO)
            }
        }
    }

    /// The same span, priced by a version of another plan: what is billed here of it alone.
    pub(super) fn on<'b>(&'b self, version: &'b PlanVersion) -> Span<'b> {
        let prices = version.prices.clone();
        Span { version, contract: None, prices, ran: self.billed, openings: None, ..*self }
    }

    /// The times of the span in which the subscription was not paused.
    pub(super) fn running(&self) -> Vec<Period> {
        self.subscription.course.running(self.billed)
    }

    /// The times of the span in which it was.
    pub(super) fn paused(&self) -> Vec<Period> {
        let mut paused = Vec::new();
        let mut from = self.billed.start;
        for running in self.running() {
            paused.push(Period { start: from, end: running.start });
            from = running.end;
        }
        paused.push(Period { start: from, end: self.billed.end });
        paused.retain(|part| part.start < part.end);
        paused
    }
}

impl Span<'_> {
    /// The contract as lines name it.
    pub(super) fn line_contract(&self) -> Option<LineContract> {
        let contract = self.contract?;
        Some(LineContract { contract_id: contract.contract_id.clone(), version: contract.version.version })
    }
}

/// The zone of a subscription: its own, or its issuer's.
fn zone_of(input: &DraftInput<'_>, subscription: &Subscription) -> Result<Tz, String> {
    let id = &subscription.subscription_id;
    let versions = input.catalog.plans.get(&subscription.plan_id);
    // Without its own zone a subscription follows its issuer, whose months are needed to find the plan version that
    // names it. The versions of a plan that ran by then share one issuer's zone, or nobody can say which it is.
    match (subscription.time_zone, versions) {
        (Some(zone), _) => Ok(zone),
        (None, None) => Ok(Tz::UTC),
        (None, Some(versions)) => {
            let mut zones: Vec<_> = versions
                .iter()
                .filter_map(|version| input.catalog.issuers.get(&version.issuer))
                .map(|issuer| issuer.time_zone)
                .collect();
            zones.dedup();
            match zones[..] {
                [zone] => Ok(zone),
                _ => Err(format!(
                    "the versions of plan {} have issuers in different time zones; give subscription {id} a \
                         time_zone of its own",
                    subscription.plan_id
                )),
            }
        }
    }
}

/// The spans of a subscription that the month's run bills; none where none of its periods ends in it.
pub(super) fn spans_of<'a>(input: &DraftInput<'a>, subscription: &'a Subscription) -> Result<Vec<Span<'a>>, String> {
    let id = &subscription.subscription_id;
    let versions = input.catalog.plans.get(&subscription.plan_id);
    let calendar = |error: tollbook_schemas::period::PeriodError| format!("subscription {id}: {error}");
    let zone = zone_of(input, subscription)?;
    let month = input.month.period(zone).map_err(calendar)?;
    let live: Option<&GoingLive> = input.registry.going_live.get(&subscription.partner_id);
    let mut spans = Vec::new();
    for scheduled in schedule::periods(input.catalog, subscription, zone, month.end).map_err(calendar)? {
        let ran = scheduled.billed;
        if ran.end <= month.start || month.end < ran.end {
            continue;
        }
        let (billed, openings) = match going_live::part_of(live, subscription, ran) {
            Part::Elsewhere => continue,
            Part::Whole => (ran, None),
            Part::Since { billed, openings } => (billed, Some(openings)),
        };
        if versions.is_none() {
            return Err(format!(
                "subscription {id} is to plan {}, which the catalog does not have; add the plan, or correct the \
                 subscription",
                subscription.plan_id
            ));
        }
        let version = scheduled.version.ok_or_else(|| {
            format!(
                "plan {} has no version in force at {}, when subscription {id} begins to be billed; give a version an \
                 earlier effective_from",
                subscription.plan_id, ran.start
            )
        })?;
        let contract = contract_in_force(&input.registry.contracts, input.catalog, subscription, ran.start);
        let contract = contract.map_err(|error| error.to_string())?;
        let prices = contract.map_or_else(|| version.prices.clone(), |contract| contract.version.prices_of(version));
        if let Some(openings) = &openings {
            going_live::check(subscription, &prices, openings)?;
        }
        let period = scheduled.whole;
        spans.push(Span { subscription, version, contract, prices, month, period, billed, ran, openings, zone });
    }
    Ok(spans)
}

/// Whether a partner's subscriptions ran in the month, and another system bills all of that.
pub(super) fn is_billed_elsewhere(input: &DraftInput<'_>, partner_id: &PartnerId) -> bool {
    let Some(live) = input.registry.going_live.get(partner_id) else { return false };
    let own = input.registry.subscriptions.values().filter(|subscription| subscription.partner_id == *partner_id);
    let ran = |subscription: &Subscription| {
        let month = input.month.period(zone_of(input, subscription).ok()?).ok()?;
        let starts = subscription.started_at.max(month.start);
        let is_over = subscription.ended_at.is_some_and(|ended| ended <= starts);
        Some(starts < month.end.min(live.billing_starts_at) && !is_over)
    };
    own.into_iter().any(|subscription| ran(subscription) == Some(true))
}

/// An opening that says something of a partner's subscription must be of a period in which billing started.
pub(super) fn check_openings(input: &DraftInput<'_>, partner_id: &PartnerId) -> Result<(), String> {
    let Some(live) = input.registry.going_live.get(partner_id) else { return Ok(()) };
    let at = live.billing_starts_at;
    for opening in live.openings.iter().filter(|opening| opening.quantity != Decimal::ZERO) {
        let id = &opening.subscription_id;
        let own = input.registry.subscriptions.values().filter(|own| own.subscription_id == *id);
        let mut is_inside = false;
        for subscription in own {
            let zone = zone_of(input, subscription)?;
            let periods = schedule::periods(input.catalog, subscription, zone, at);
            let periods = periods.map_err(|error| format!("subscription {id}: {error}"))?;
            is_inside |= periods.last().is_some_and(|last| at < last.billed.end);
        }
        if !is_inside {
            return Err(format!(
                "an opening says what was billed elsewhere of subscription {id}, and no period of it runs \
                 on through {} (billing_starts_at); record it again with quantity 0, or billing.started with another instant",
                print_instant(at)
            ));
        }
    }
    Ok(())
}

/// The period of a subscription that runs through the month without an end in it, and the month whose run bills it.
pub(super) fn next_bill<'a>(
    input: &DraftInput<'_>,
    subscription: &'a Subscription,
) -> Option<(&'a SubscriptionId, (Period, Month))> {
    let zone = zone_of(input, subscription).ok()?;
    let month = input.month.period(zone).ok()?;
    let periods = schedule::periods(input.catalog, subscription, zone, month.end).ok()?;
    let running = periods.last().filter(|last| month.end < last.billed.end)?;
    Some((&subscription.subscription_id, (running.billed, running.month(zone))))
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
