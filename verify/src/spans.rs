//! What one subscription bills in the invoice run of a month: the billing periods that end in it, and those of which
//! something is due before. Each is cut to the time in which the subscription ran on its plan. It has the plan version
//! and the contract in force when it begins, and the stretches in which it was not paused. From `docs/money.md`, "Which
//! price, which usage".

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use tollbook_schemas::catalog::{Catalog, ContractVersion, PlanVersion, Price};
use tollbook_schemas::id::{ContractId, MeterId, PartnerId};
use tollbook_schemas::period::{Month, Period, Tz};
use tollbook_schemas::price::setting::Per;
use tollbook_schemas::registry::{Opening, Registry, Subscription};

use crate::early::{self, Bills, Life};
use crate::number::Ratio;
use crate::opening;
use crate::rating::{Length, Served, Stretch};
use crate::walk::{Walked, in_force, walk};

/// What one subscription bills.
#[derive(Clone)]
pub(crate) struct Span<'a> {
    pub(crate) subscription: &'a Subscription,
    pub(crate) version: &'a PlanVersion,
    /// The contract that prices it.
    pub(crate) contract: Option<(&'a ContractId, &'a ContractVersion)>,
    /// Those of the version, under the contract.
    pub(crate) prices: Vec<Price>,
    /// Which of them the run bills.
    pub(crate) bills: Bills,
    /// The month of the invoice run.
    pub(crate) month: Period,
    /// First instant at which it ran in its period: who pays is asked then.
    pub(crate) starts: DateTime<Utc>,
    /// The whole billing period.
    pub(crate) whole: Period,
    /// The part of it that is billed here.
    pub(crate) billed: Period,
    /// What another system billed of its begin, where it did.
    pub(crate) openings: Option<Vec<&'a Opening>>,
    /// The periods before it on the same plan that are billed here, oldest first; only where a price carries units
    /// over.
    pub(crate) earlier: Vec<Span<'a>>,
    /// The parts of the time in which it ran in which nothing changed and it was not paused, each with its units. It
    /// ran before it was billed here where another system billed its begin.
    stretches: Vec<(Period, Ratio)>,
    /// First instant after the trial, of a plan that has one.
    trial_ends: Option<DateTime<Utc>>,
    zone: Tz,
}

impl Span<'_> {
    /// The prices that the run bills, in the order of the plan.
    pub(crate) fn due(&self) -> impl Iterator<Item = &Price> {
        self.prices.iter().filter(|price| self.bills.price(price))
    }

    /// The same as another plan would have it: what is billed here, without what this plan gives.
    pub(crate) fn on_another_plan(&self) -> Self {
        let stretches = self.stretches_here().collect();
        Self { openings: None, earlier: Vec::new(), stretches, trial_ends: None, ..self.clone() }
    }

    /// The stretches in the part that is billed here.
    fn stretches_here(&self) -> impl Iterator<Item = (Period, Ratio)> {
        let here = |(time, units): &(Period, Ratio)| Some((time.intersect(&self.billed)?, units.clone()));
        self.stretches.iter().filter_map(here)
    }

    /// How much of the period a price bills, by time and by local days: the day in which a stretch starts is one, the
    /// one in which it ends is not. What a trial frees is none of it.
    pub(crate) fn served(&self, price: &Price) -> Served {
        let day = |at: DateTime<Utc>| at.with_timezone(&self.zone).date_naive();
        let length = |period: Period| Length {
            micros: (period.end - period.start).num_microseconds().unwrap_or(i64::MAX),
            days: (day(period.end) - day(period.start)).num_days(),
        };
        let trial_ends = self.trial_ends.filter(|_| early::is_free_in_trial(price));
        let stretch = |(time, units): &(Period, Ratio)| {
            let charged = Period { start: trial_ends.map_or(time.start, |ends| ends.max(time.start)), ..*time };
            (charged.start < charged.end).then(|| Stretch { length: length(charged), units: units.clone() })
        };
        Served { whole: length(self.whole), stretches: self.stretches.iter().filter_map(stretch).collect() }
    }

    /// What a flat price is multiplied with: one, or the most units that were there.
    pub(crate) fn units(&self, per: Per) -> Ratio {
        match per {
            Per::Subscription => Ratio::whole(1),
            Per::Unit => self.stretches.iter().map(|(_, units)| units.clone()).max().unwrap_or(Ratio::whole(0)),
        }
    }

    /// The times of what is billed here in which it was not paused, as few as they are.
    pub(crate) fn running(&self) -> Vec<Period> {
        let mut running: Vec<Period> = Vec::new();
        for (time, _) in self.stretches_here() {
            match running.last_mut() {
                Some(last) if last.end == time.start => last.end = time.end,
                _ => running.push(time),
            }
        }
        running
    }

    /// The times in which it was paused.
    pub(crate) fn paused(&self) -> Vec<Period> {
        let running = self.running();
        let starts = [self.billed.start].into_iter().chain(running.iter().map(|time| time.end));
        let ends = running.iter().map(|time| time.start).chain([self.billed.end]);
        starts.zip(ends).map(|(start, end)| Period { start, end }).filter(|gap| gap.start < gap.end).collect()
    }
}

/// The spans of a partner in a month, in the order of subscriptions, of their plans and of time.
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
    let mut spans = Vec::new();
    for subscription in registry.subscriptions.values().filter(|one| one.partner_id == *partner_id) {
        spans.extend(spans_in(registry, catalog, subscription, month)?);
    }
    check_openings(registry, catalog, partner_id)?;
    for (at, one) in spans.iter().enumerate() {
        // Nobody bills a subscription by two documents of a month.
        let id = &one.subscription.subscription_id;
        let mut same = spans[at + 1..].iter().filter(|other| other.subscription.subscription_id == *id);
        let (issuer, currency) = (&one.version.issuer, one.version.currency);
        if same.any(|other| (&other.version.issuer, other.version.currency) != (issuer, currency)) {
            return Err(format!("subscription {id} goes to a plan of another issuer or currency within the month"));
        }
        let overlap = |other: &&Span<'_>| one.billed.intersect(&other.billed).is_some();
        for other in spans[at + 1..].iter().filter(overlap) {
            if let Some(meter_id) = meters_of(one).find(|meter_id| meters_of(other).any(|also| also == *meter_id)) {
                let [one, other] = [one, other].map(|span| &span.subscription.subscription_id);
                return Err(format!("subscriptions {one} and {other} would both bill meter {meter_id}"));
            }
        }
    }
    Ok(spans)
}

/// What another system billed is of a period that runs on through the instant at which billing started here.
fn check_openings(registry: &Registry, catalog: &Catalog, partner_id: &PartnerId) -> Result<(), String> {
    let Some(live) = registry.going_live.get(partner_id) else { return Ok(()) };
    let at = live.billing_starts_at;
    for opening in live.openings.iter().filter(|opening| !Ratio::decimal(opening.quantity).is_zero()) {
        let id = &opening.subscription_id;
        let mut runs_through = false;
        for subscription in registry.subscriptions.values().filter(|one| one.subscription_id == *id) {
            let periods = walk(catalog, subscription, zone_of(catalog, subscription)?, at)?;
            runs_through |= periods.iter().any(|period| period.billed.start < at && at < period.billed.end);
        }
        if !runs_through {
            return Err(format!("an opening is of subscription {id}, no period of which runs on through {at}"));
        }
    }
    Ok(())
}

fn meters_of<'s>(span: &'s Span<'_>) -> impl Iterator<Item = &'s MeterId> {
    span.due().filter_map(|price| price.meter.as_ref())
}

/// The zone whose midnights a subscription's periods have.
///
/// # Errors
/// Why nobody can say which it is, in words.
pub(crate) fn zone_of(catalog: &Catalog, subscription: &Subscription) -> Result<Tz, String> {
    if let Some(zone) = subscription.time_zone {
        return Ok(zone);
    }
    let versions = catalog.plans.get(&subscription.plan_id).into_iter().flatten();
    let zones: BTreeSet<&str> =
        versions.filter_map(|version| Some(catalog.issuers.get(&version.issuer)?.time_zone.name())).collect();
    match zones.len() {
        0 => Ok(Tz::UTC),
        1 => zones.first().and_then(|zone| zone.parse().ok()).ok_or_else(|| "a time zone that is none".to_owned()),
        _ => {
            let id = &subscription.subscription_id;
            Err(format!("subscription {id} has no time zone, and those of its plan's issuers differ"))
        }
    }
}

fn spans_in<'a>(
    registry: &'a Registry,
    catalog: &'a Catalog,
    subscription: &'a Subscription,
    month: Month,
) -> Result<Vec<Span<'a>>, String> {
    let id = &subscription.subscription_id;
    let zone = zone_of(catalog, subscription)?;
    let month = month.period(zone).map_err(|error| error.to_string())?;
    // What begins where the month ends may be due before.
    let until = month.end + TimeDelta::microseconds(1);
    let walked = walk(catalog, subscription, zone, until).map_err(|what| format!("subscription {id}: {what}"))?;
    let life = Life { registry, catalog, subscription, walked: &walked };
    let mut spans = Vec::new();
    for (place, one) in walked.iter().enumerate() {
        let bills = life.bills(place, month);
        if !bills.anything() {
            continue;
        }
        let Some(mut span) = span_of(&life, one, (zone, month), bills)? else { continue };
        if span.prices.iter().any(|price| price.tariff.steps.rollover_periods.is_some()) {
            for earlier in walked.iter().take(place) {
                span.earlier.extend(span_of(&life, earlier, (zone, month), Bills::default())?);
            }
        }
        spans.push(span);
    }
    Ok(spans)
}

/// One period with what prices it; none where another system bills it.
fn span_of<'a>(
    life: &Life<'a, '_>,
    walked: &Walked,
    (zone, month): (Tz, Period),
    bills: Bills,
) -> Result<Option<Span<'a>>, String> {
    let Life { registry, catalog, subscription, .. } = *life;
    let id = &subscription.subscription_id;
    let Walked { whole, billed: ran } = *walked;
    let live = registry.going_live.get(&subscription.partner_id);
    let Some((billed, openings)) = opening::part_of(live, subscription, ran) else { return Ok(None) };
    let version = in_force(catalog, &subscription.plan_id, ran.start);
    let version = version.ok_or_else(|| format!("subscription {id}: no version of its plan is in force"))?;
    let contract = contract_of(registry, catalog, subscription, ran.start)?;
    let prices = version.prices.iter().map(|price| under(price, contract.map(|(_, terms)| terms)));
    let prices: Vec<Price> = prices.collect();
    if let Some(openings) = &openings {
        opening::check(subscription, &prices, openings)?;
    }
    let stretches = stretches_of(subscription, ran);
    let trial_ends =
        early::trial_ends(version, subscription, zone).map_err(|what| format!("subscription {id}: {what}"))?;
    let earlier = Vec::new();
    Ok(Some(Span {
        subscription,
        version,
        contract,
        prices,
        bills,
        month,
        starts: ran.start,
        whole,
        billed,
        openings,
        earlier,
        stretches,
        trial_ends,
        zone,
    }))
}

/// A price of a plan as a contract has it: replaced where the contract has one of the same id, else with its discount.
fn under(price: &Price, contract: Option<&ContractVersion>) -> Price {
    let Some(contract) = contract else { return price.clone() };
    if let Some(own) = contract.prices.iter().find(|own| own.price_id == price.price_id) {
        return own.clone();
    }
    let mut price = price.clone();
    if contract.discount_percent.is_some() {
        price.tariff.steps.discount_percent = contract.discount_percent;
    }
    price
}

/// The contract that prices what begins at an instant: signed by then and not ended, of the plan, in its term; one that
/// names the subscription goes before one that names none.
pub(crate) fn contract_of<'a>(
    registry: &'a Registry,
    catalog: &'a Catalog,
    subscription: &Subscription,
    at: DateTime<Utc>,
) -> Result<Option<(&'a ContractId, &'a ContractVersion)>, String> {
    let id = &subscription.subscription_id;
    for named in [true, false] {
        let mut applies: Vec<(&ContractId, &ContractVersion)> = Vec::new();
        for signed in &registry.contracts {
            let is_meant = match &signed.subscription_id {
                Some(own) => named && own == id,
                None => !named,
            };
            let holds = signed.signed_at <= at && signed.ended_at.is_none_or(|ended| at < ended);
            if !is_meant || !holds || signed.partner_id != subscription.partner_id {
                continue;
            }
            let versions = catalog.contracts.get(&signed.contract_id);
            let versions = versions.ok_or_else(|| format!("contract {} is not in the catalog", signed.contract_id))?;
            let begun = versions.iter().filter(|version| version.starts <= at).max_by_key(|version| version.starts);
            let begun = begun.filter(|version| version.ends.is_none_or(|ends| at < ends));
            applies.extend(
                begun.filter(|version| version.plan == subscription.plan_id).map(|begun| (&signed.contract_id, begun)),
            );
        }
        let ids: BTreeSet<&ContractId> = applies.iter().map(|(id, _)| *id).collect();
        if ids.len() > 1 {
            return Err(format!("several contracts apply to subscription {id}"));
        }
        if let Some(first) = applies.first() {
            return Ok(Some(*first));
        }
    }
    Ok(None)
}

/// The parts of a time in which a subscription was not paused, each with its units: cut wherever either may change.
fn stretches_of(subscription: &Subscription, time: Period) -> Vec<(Period, Ratio)> {
    let course = &subscription.course;
    let mut cuts = BTreeSet::from([time.start, time.end]);
    let changes = course.quantities.keys().copied();
    let pauses = course.pauses.iter().flat_map(|pause| [Some(pause.from), pause.until].into_iter().flatten());
    cuts.extend(changes.chain(pauses).filter(|cut| time.start < *cut && *cut < time.end));
    let cuts: Vec<DateTime<Utc>> = cuts.into_iter().collect();
    let mut stretches = Vec::new();
    for pair in cuts.windows(2) {
        let [start, end] = [pair[0], pair[1]];
        let is_paused = |pause: &tollbook_schemas::registry::Pause| {
            pause.from <= start && pause.until.is_none_or(|until| start < until)
        };
        if course.pauses.iter().any(is_paused) {
            continue;
        }
        let said = course.quantities.iter().filter(|(from, _)| **from <= start).max_by_key(|(from, _)| **from);
        let units = said.map_or(Ratio::whole(1), |(_, units)| Ratio::decimal(*units));
        stretches.push((Period { start, end }, units));
    }
    stretches
}
