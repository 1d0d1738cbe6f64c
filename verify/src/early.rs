//! What of a billing period is billed before it is over: flat prices in advance, and those that are charged once.
//! Beside it, what a trial frees. Pure. From `docs/money.md`, "In advance, once, in a trial", and not from `billing`.
//!
//! Each period has one instant that says when its early prices are due: the last one before it begins. Where nothing
//! came before it on the same invoice, it is the first one that is billed here; where another paid for what ended in
//! the month in which it begins, the last one of the period itself. The month that holds that instant bills them.

use chrono::{DateTime, Days, TimeDelta, Utc};
use tollbook_schemas::catalog::{Catalog, PlanVersion, Price};
use tollbook_schemas::period::{Month, Period, Tz};
use tollbook_schemas::price::PriceModel;
use tollbook_schemas::price::setting::{Charged, Due};
use tollbook_schemas::registry::{Registry, Subscription};

use crate::spans::zone_of;
use crate::walk::{Walked, edge, in_force, walk};

/// When a price is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// When its period is over.
    Over,
    /// Before its period begins.
    Before,
    /// With the first period on the plan, and never again.
    Once,
}

impl When {
    pub(crate) fn of(price: &Price) -> Self {
        let settings = price.tariff.settings;
        if settings.charged == Charged::Once {
            Self::Once
        } else if settings.due == Due::InAdvance {
            Self::Before
        } else {
            Self::Over
        }
    }

    /// The word of a line that is not billed when its period is over.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::Over => None,
            Self::Before => Some("in_advance"),
            Self::Once => Some("once"),
        }
    }
}

/// What of a period the run of a month bills.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bills {
    /// Prices that are due when it is over: it ends in the month.
    pub(crate) over: bool,
    /// Prices in advance.
    pub(crate) before: bool,
    /// Prices that are charged once.
    pub(crate) once: bool,
}

impl Bills {
    pub(crate) fn anything(self) -> bool {
        self.over || self.before || self.once
    }

    pub(crate) fn price(self, price: &Price) -> bool {
        match When::of(price) {
            When::Over => self.over,
            When::Before => self.before,
            When::Once => self.once,
        }
    }
}

/// The billing periods of a subscription on its plan, with what is known beside them.
pub(crate) struct Life<'a, 'w> {
    pub(crate) registry: &'a Registry,
    pub(crate) catalog: &'a Catalog,
    pub(crate) subscription: &'a Subscription,
    pub(crate) walked: &'w [Walked],
}

impl Life<'_, '_> {
    /// What of a period the run of a month bills.
    pub(crate) fn bills(&self, place: usize, month: Period) -> Bills {
        let Some(own) = self.walked.get(place) else { return Bills::default() };
        let over = month.start < own.billed.end && own.billed.end <= month.end;
        let Some((at, with_once)) = self.early(place, own.billed.start) else {
            return Bills { over, ..Bills::default() };
        };
        let is_due = month.contains(at);
        Bills { over, before: is_due, once: is_due && with_once }
    }

    /// The instant whose month bills what is early of a period, and whether what is charged once is with it; none where
    /// nothing of it is early.
    fn early(&self, place: usize, starts: DateTime<Utc>) -> Option<(DateTime<Utc>, bool)> {
        let Self { registry, catalog, subscription, walked } = self;
        let version = in_force(catalog, &subscription.plan_id, starts)?;
        if version.prices.iter().all(|price| When::of(price) == When::Over) {
            return None;
        }
        let just_before = starts - TimeDelta::microseconds(1);
        // The period before: of this plan, else the last one of the plan that the subscription came from.
        let (began, before) = match place.checked_sub(1).and_then(|place| walked.get(place)) {
            Some(one) => (one.billed.start, in_force(catalog, &subscription.plan_id, one.billed.start)),
            None => (just_before, self.came_from()),
        };
        let is_same =
            before.is_some_and(|before| before.issuer == version.issuer && before.currency == version.currency);
        let payer = |at| registry.payer_at(&subscription.partner_id, at);
        let is_same_payer = payer(began) == payer(starts);
        // Before this instant another system bills: whatever it billed of early prices, nothing here came before.
        let live = registry.going_live.get(&subscription.partner_id).map(|live| live.billing_starts_at);
        let was_billed_here = live.is_none_or(|live| live < starts);
        let begins_here = live.map_or(starts, |live| live.max(starts));
        let zone = zone_of(catalog, subscription).unwrap_or(Tz::UTC);
        let at = if !is_same || !was_billed_here {
            begins_here
        } else if is_same_payer {
            just_before
        } else if Month::of(just_before, zone) == Month::of(starts, zone) {
            // The payer before has the subscription on its invoice of this month: it waits until it is over.
            self.walked.get(place)?.billed.end - TimeDelta::microseconds(1)
        } else {
            begins_here
        };
        Some((at, place == 0 && begins_here == starts && !self.was_on_plan_before()))
    }

    /// What the same subscription was before this plan.
    fn earlier_plans(&self) -> impl Iterator<Item = &Subscription> {
        let own = self.subscription;
        let all = self.registry.subscriptions.values();
        all.filter(|other| other.subscription_id == own.subscription_id && other.started_at < own.started_at)
    }

    fn was_on_plan_before(&self) -> bool {
        self.earlier_plans().any(|other| other.plan_id == self.subscription.plan_id)
    }

    /// The version that priced the end of the plan from which it came without a gap. Where nobody can say which that
    /// is, the subscription begins by itself.
    fn came_from(&self) -> Option<&PlanVersion> {
        let until = self.subscription.started_at;
        let before = self.earlier_plans().max_by_key(|other| other.started_at)?;
        if before.ended_at != Some(until) {
            return None;
        }
        let zone = zone_of(self.catalog, before).ok()?;
        let last = walk(self.catalog, before, zone, until).ok()?.pop()?;
        in_force(self.catalog, &before.plan_id, last.billed.start)
    }
}

/// First instant after the trial of a plan: so many local days from that of the start, which is the first of them.
///
/// # Errors
/// What is beyond the calendar, in words.
pub(crate) fn trial_ends(
    version: &PlanVersion,
    subscription: &Subscription,
    zone: Tz,
) -> Result<Option<DateTime<Utc>>, String> {
    let Some(days) = version.trial_days else { return Ok(None) };
    let first = subscription.course.first_started_at.unwrap_or(subscription.started_at);
    let started_on = first.with_timezone(&zone).date_naive();
    edge(started_on.checked_add_days(Days::new(u64::from(days))), zone).map(Some)
}

/// Whether a trial frees a price: a flat one of each period. Usage is charged, and so is what is charged once.
pub(crate) fn is_free_in_trial(price: &Price) -> bool {
    matches!(price.tariff.model, PriceModel::Flat { .. }) && When::of(price) != When::Once
}

#[cfg(test)]
mod tests;
