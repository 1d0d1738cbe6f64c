//! What of a period is billed before it is over: flat prices in advance, and those that are charged once. Pure.
//!
//! A month's run bills in advance the period that begins where one ends in the month, or right behind it; the first
//! period of a subscription, which no invoice came before, in the run of the month in which it begins, beside the one
//! after it. What is billed early is the same line as at the end of its period, by what is known then: where the
//! subscription is cancelled, paused, or goes to another plan or number of units later, its month is computed anew, and
//! the next documents bill or give back the difference (`adjust`). So in the end a price in advance bills what it would
//! bill in arrears.
//!
//! Decisions:
//!
//! - a period whose version has another issuer or currency than the one before it cannot be on that one's invoice, and
//!   is billed as a first one, in its own month; so is the first one that is billed here of a partner that went live;
//! - a period that another payer bears than the one before it, and that begins inside of a month, is billed when it is
//!   over: in the month in which it begins the payer before has the same subscription on its invoice;
//! - a price that is charged once is due with the first period of the subscription on a plan that has it, and never
//!   again by that plan; one that began before the partner went live is the other system's;
//! - a trial frees flat prices of each period, in advance or not, and no usage.

use chrono::{DateTime, Days, TimeDelta, Utc};
use tollbook_schemas::catalog::{PlanVersion, Price, PriceModel};
use tollbook_schemas::period::{Month, PeriodError, Tz, first_instant_of};
use tollbook_schemas::price::setting::{Charged, Due};
use tollbook_schemas::registry::{GoingLive, Subscription};
use tollbook_schemas::schedule::{self, Scheduled};

use super::DraftInput;

/// Which prices of a period a run bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bills {
    /// Those that are due when it is over.
    pub(super) usage: bool,
    /// Those that are due in advance.
    pub(super) advance: bool,
    /// Those that are charged once.
    pub(super) once: bool,
}

impl Bills {
    /// Whether it bills a price.
    pub(super) fn price(self, price: &Price) -> bool {
        match (price.tariff.settings.charged, price.tariff.settings.due) {
            (Charged::Once, _) => self.once,
            (_, Due::InAdvance) => self.advance,
            _ => self.usage,
        }
    }
}

/// When a period is billed early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Early {
    /// The month that holds this instant does.
    pub(super) at: DateTime<Utc>,
    /// Whether what is charged once is due with it.
    pub(super) is_first: bool,
}

fn is_early(price: &Price) -> bool {
    price.tariff.settings.due == Due::InAdvance || price.tariff.settings.charged == Charged::Once
}

/// When a period is billed early; none where nothing of it is.
pub(super) fn early(
    input: &DraftInput<'_>,
    subscription: &Subscription,
    (periods, index): (&[Scheduled<'_>], usize),
    live: Option<&GoingLive>,
) -> Option<Early> {
    let scheduled = periods.get(index)?;
    let version = scheduled.version?;
    // A contract's price is due as the one that it replaces: the catalog is refused where it is not.
    if !version.prices.iter().any(is_early) {
        return None;
    }
    let starts = scheduled.billed.start;
    let starts_here = live.map_or(starts, |live| starts.max(live.billing_starts_at));
    let before = match index.checked_sub(1) {
        Some(before) => periods.get(before).and_then(|before| before.version),
        None => version_before(input, subscription),
    };
    let same = |before: &PlanVersion| before.issuer == version.issuer && before.currency == version.currency;
    // Another payer's invoice would have the same subscription in the same month: its first period waits for its own.
    let payer_at = |at| input.registry.payer_at(&subscription.partner_id, at);
    let before_starts = index.checked_sub(1).and_then(|before| periods.get(before));
    let before_starts = before_starts.map_or(starts - TimeDelta::microseconds(1), |before| before.billed.start);
    let same_payer = payer_at(before_starts) == payer_at(starts);
    let was_here = live.is_none_or(|live| live.billing_starts_at < starts);
    let just_before = starts - TimeDelta::microseconds(1);
    let at = match before.is_some_and(same) && was_here {
        true if same_payer => just_before,
        // The month in which it begins is one in which the payer before bears the usage of the period before.
        true if is_one_month(input, subscription, just_before, starts) => {
            scheduled.billed.end - TimeDelta::microseconds(1)
        }
        _ => starts_here,
    };
    let was_on_it = || {
        let id = &subscription.subscription_id;
        let earlier = input.registry.subscriptions.range(..(id.clone(), subscription.started_at)).rev();
        let mut own = earlier.map(|(_, own)| own).take_while(|own| own.subscription_id == *id);
        own.any(|own| own.plan_id == subscription.plan_id)
    };
    let is_first = index == 0 && starts_here == starts && !was_on_it();
    Some(Early { at, is_first })
}

/// Whether two instants are of one month of a subscription.
fn is_one_month(input: &DraftInput<'_>, subscription: &Subscription, one: DateTime<Utc>, other: DateTime<Utc>) -> bool {
    let zone = super::span::zone_of(input, subscription);
    zone.is_ok_and(|zone| Month::of(one, zone) == Month::of(other, zone))
}

/// The version that priced the end of the plan on which the subscription was before.
fn version_before<'a>(input: &DraftInput<'a>, subscription: &Subscription) -> Option<&'a PlanVersion> {
    let key = (subscription.subscription_id.clone(), subscription.started_at);
    let (_, before) = input.registry.subscriptions.range(..key).next_back()?;
    let is_before =
        before.subscription_id == subscription.subscription_id && before.ended_at == Some(subscription.started_at);
    let zone = super::span::zone_of(input, before).ok().filter(|_| is_before)?;
    schedule::periods(input.catalog, before, zone, subscription.started_at).ok()?.last()?.version
}

/// Whether a trial frees a price.
pub(super) fn is_free_in_trial(price: &Price) -> bool {
    matches!(price.tariff.model, PriceModel::Flat { .. }) && price.tariff.settings.charged == Charged::EachPeriod
}

/// First instant after the trial: the midnight with which the local day begins that is so many days after that of the
/// start.
pub(super) fn trial_ends(
    version: &PlanVersion,
    subscription: &Subscription,
    zone: Tz,
) -> Result<Option<DateTime<Utc>>, PeriodError> {
    let Some(days) = version.trial_days else { return Ok(None) };
    let first = subscription.course.first_started_at.unwrap_or(subscription.started_at);
    let day = first.with_timezone(&zone).date_naive().checked_add_days(Days::new(u64::from(days)));
    first_instant_of(day.ok_or(PeriodError::OutOfRange)?, zone).map(Some)
}

#[cfg(test)]
mod tests;
