//! What one subscription bills in an invoice run: the billing periods that end in its month, each cut to the time in
//! which the subscription ran on its plan, with the version that prices it. A month's run bills what ends in it, so a
//! plan that is billed by the week has several spans in a month, and one that is billed by the year one in twelve.

use chrono::{DateTime, TimeDelta, Utc};
use tollbook_schemas::catalog::{PlanVersion, Price};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{MeterId, PartnerId};
use tollbook_schemas::period::{Month, Period, Tz, days_of, print_instant};
use tollbook_schemas::price::setting::{Charged, Due, Per};
use tollbook_schemas::registry::{GoingLive, InForce, Opening, Subscription, contract_in_force};
use tollbook_schemas::schedule::{self, Scheduled};

use super::DraftInput;
use super::advance::{self, Bills};
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
    /// The part of it in which the subscription ran: longer than what is billed here where another system billed its
    /// begin.
    ran: Period,
    /// What another system billed of it, where it did.
    pub(super) openings: Option<Vec<&'a Opening>>,
    /// The periods of the same plan before it, oldest first; only where a price carries units over.
    pub(super) earlier: Vec<Span<'a>>,
    /// Who pays for it, where the partner does not.
    pub(super) payer: Option<&'a PartnerId>,
    /// Which of its prices it bills.
    pub(super) bills: Bills,
    /// First instant after the trial, where the version has one.
    trial_ends: Option<DateTime<Utc>>,
    /// The zone whose midnights the periods have.
    zone: Tz,
}

impl Span<'_> {
    /// How much of the period a price bills, and with how many units, for what is prorated. A trial takes its time off
    /// what flat prices of each period bill.
    pub(super) fn served(&self, price: &Price) -> Served {
        let length = |period: Period| Length::new(period, days_of(period, self.zone));
        let stretches = self.subscription.course.stretches(self.ran);
        let trial = self.trial_ends.filter(|_| advance::is_free_in_trial(price));
        let after_trial = |(time, units): (Period, Decimal)| {
            let start = trial.map_or(time.start, |ends| time.start.max(ends));
            (start < time.end).then(|| Stretch { length: length(Period { start, ..time }), units })
        };
        Served { whole: length(self.period), stretches: stretches.into_iter().filter_map(after_trial).collect() }
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
        Span {
            version,
            contract: None,
            prices,
            ran: self.billed,
            openings: None,
            trial_ends: None,
            earlier: Vec::new(),
            ..*self
        }
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
    /// The partner whose it is, where another pays for it.
    pub(super) fn for_partner(&self) -> Option<PartnerId> {
        self.payer.map(|_| self.subscription.partner_id.clone())
    }

    /// A description, which names that partner.
    pub(super) fn described(&self, description: &str) -> String {
        match self.payer {
            None => description.to_owned(),
            Some(_) => format!("{description} ({})", self.subscription.partner_id),
        }
    }

    /// Of a period that another system billed in part it must be known what of each price.
    fn check_openings(&self) -> Result<(), String> {
        let Some(openings) = &self.openings else { return Ok(()) };
        going_live::check(self.subscription, &self.prices, openings)
    }

    /// The contract as lines name it.
    pub(super) fn line_contract(&self) -> Option<LineContract> {
        let contract = self.contract?;
        Some(LineContract { contract_id: contract.contract_id.clone(), version: contract.version.version })
    }
}

/// The zone of a subscription: its own, or its issuer's.
pub(super) fn zone_of(input: &DraftInput<'_>, subscription: &Subscription) -> Result<Tz, String> {
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
    let calendar = |error: tollbook_schemas::period::PeriodError| format!("subscription {id}: {error}");
    let zone = zone_of(input, subscription)?;
    let month = input.month.period(zone).map_err(calendar)?;
    let live: Option<&GoingLive> = input.registry.going_live.get(&subscription.partner_id);
    let mut spans = Vec::new();
    // The period that begins where the month ends may be billed before it begins.
    let until = month.end + TimeDelta::microseconds(1);
    let periods = schedule::periods(input.catalog, subscription, zone, until).map_err(calendar)?;
    for (index, scheduled) in periods.iter().enumerate() {
        let ran = scheduled.billed;
        let early = advance::early(input, subscription, (periods.as_slice(), index), live);
        let bills = Bills {
            usage: month.start < ran.end && ran.end <= month.end,
            advance: early.is_some_and(|early| month.contains(early.at)),
            once: early.is_some_and(|early| early.is_first && month.contains(early.at)),
        };
        if !(bills.usage || bills.advance || bills.once) {
            continue;
        }
        let Some(mut span) = span_at(input, subscription, (zone, month), scheduled, bills)? else { continue };
        span.check_openings()?;
        if span.prices.iter().any(|price| price.tariff.steps.rollover_periods.is_some()) {
            let earlier = periods.iter().take(index);
            let earlier =
                earlier.map(|earlier| span_at(input, subscription, (zone, month), earlier, bills).transpose());
            span.earlier = earlier.flatten().collect::<Result<_, _>>()?;
            span.earlier.iter().try_for_each(Span::check_openings)?;
        }
        spans.push(span);
    }
    Ok(spans)
}

/// One period as a span; none where another system bills it. Whether its openings are there is asked by whoever bills
/// it.
pub(super) fn span_at<'a>(
    input: &DraftInput<'a>,
    subscription: &'a Subscription,
    (zone, month): (Tz, Period),
    scheduled: &Scheduled<'a>,
    bills: Bills,
) -> Result<Option<Span<'a>>, String> {
    let id = &subscription.subscription_id;
    let ran = scheduled.billed;
    let live: Option<&GoingLive> = input.registry.going_live.get(&subscription.partner_id);
    let (billed, openings) = match going_live::part_of(live, subscription, ran) {
        Part::Elsewhere => return Ok(None),
        Part::Whole => (ran, None),
        Part::Since { billed, openings } => (billed, Some(openings)),
    };
    if !input.catalog.plans.contains_key(&subscription.plan_id) {
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
    let period = scheduled.whole;
    let trial_ends =
        advance::trial_ends(version, subscription, zone).map_err(|error| format!("subscription {id}: {error}"))?;
    Ok(Some(Span {
        subscription,
        version,
        contract,
        prices,
        month,
        period,
        billed,
        ran,
        openings,
        payer: input.registry.payer_at(&subscription.partner_id, ran.start),
        bills,
        earlier: Vec::new(),
        trial_ends,
        zone,
    }))
}

/// Whether a partner's subscriptions ran in the month, and another system bills all of that.
pub(super) fn is_billed_elsewhere(input: &DraftInput<'_>, partner_id: &PartnerId) -> bool {
    let Some(live) = input.registry.going_live.get(partner_id) else { return false };
    let mut own = input.registry.subscriptions_of(partner_id);
    let ran = |subscription: &Subscription| {
        let month = input.month.period(zone_of(input, subscription).ok()?).ok()?;
        let starts = subscription.started_at.max(month.start);
        let is_over = subscription.ended_at.is_some_and(|ended| ended <= starts);
        Some(starts < month.end.min(live.billing_starts_at) && !is_over)
    };
    own.any(|subscription| ran(subscription) == Some(true))
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

/// When the period of a subscription is billed that runs through the month without an end in it, in words.
pub(super) fn when_billed(input: &DraftInput<'_>, subscription: &Subscription) -> Option<String> {
    let zone = zone_of(input, subscription).ok()?;
    let month = input.month.period(zone).ok()?;
    let periods = schedule::periods(input.catalog, subscription, zone, month.end).ok()?;
    let index = periods.len().checked_sub(1)?;
    let running = periods.get(index).filter(|last| month.end < last.billed.end)?;
    let live = input.registry.going_live.get(&subscription.partner_id);
    let early = advance::early(input, subscription, (periods.as_slice(), index), live);
    let prices = || running.version.into_iter().flat_map(|version| &version.prices);
    let is_ahead = |price: &Price| price.tariff.settings.due == Due::InAdvance;
    let ahead = early.filter(|_| prices().any(is_ahead)).map(|early| Month::of(early.at, zone));
    let is_over_then = prices().all(|price| is_ahead(price) || price.tariff.settings.charged == Charged::Once);
    let (id, period) = (&subscription.subscription_id, running.billed);
    let billed = match ahead {
        Some(ahead) if is_over_then => format!("was billed in {ahead}, in advance"),
        Some(ahead) => {
            format!("is billed in {}; what is due in advance of it was billed in {ahead}", running.month(zone))
        }
        None => format!("is billed in {}", running.month(zone)),
    };
    Some(format!("no period of subscription {id} ends in {}; its period {period} {billed}", input.month))
}

/// One meter may be billed once for one time, and one subscription in one document of a month.
pub(super) fn check_overlaps(spans: &[Span<'_>]) -> Result<(), String> {
    for (index, one) in spans.iter().enumerate() {
        spans[index + 1..].iter().try_for_each(|other| check_clash(one, other))?;
    }
    Ok(())
}

/// Two spans of one month.
pub(super) fn check_clash(one: &Span<'_>, other: &Span<'_>) -> Result<(), String> {
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
    let Some(both) = one.billed.intersect(&other.billed) else { return Ok(()) };
    let Some(meter_id) = meters(one).find(|meter_id| meters(other).any(|m| m == *meter_id)) else { return Ok(()) };
    Err(format!(
        "subscriptions {} and {} would both bill meter {meter_id} for {both}; cancel one of them, or give \
         their plans different meters",
        one.subscription.subscription_id, other.subscription.subscription_id
    ))
}

/// The meters of the prices that it bills.
pub(super) fn meters<'a>(span: &'a Span<'_>) -> impl Iterator<Item = &'a MeterId> {
    let billed = span.prices.iter().filter(|price| span.bills.price(price));
    billed.filter_map(|price| price.meter.as_ref())
}
