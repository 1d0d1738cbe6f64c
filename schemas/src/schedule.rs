//! The billing periods of a subscription: catalog and subscription in, what each period bills out. Pure.
//!
//! A subscription is walked from its start: the plan version in force when a period begins says how long it is, where
//! it is anchored and what it costs. A period is billed to its end, or to where the subscription, or its plan, ends
//! inside it; and in the invoice run of the month that holds the last instant of that. Usage is cut at these edges
//! (`aggregate`), and lines are made of them (`billing`), so both ask here (I3).
//!
//! The first period of an anniversary begins with the subscription, whatever the hour, and is whole; its later ones
//! begin at local midnight of the same day.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::catalog::{Catalog, PlanVersion};
use crate::period::cadence::{Anchor, Cadence, months_after};
use crate::period::{Month, Period, PeriodError, first_instant_of};
use crate::registry::{EndsWith, Renewal, Subscription};

/// One billing period of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduled<'a> {
    /// All of it.
    pub whole: Period,
    /// The part in which the subscription ran on its plan.
    pub billed: Period,
    /// The version that prices it; none where the plan has none in force when it begins.
    pub version: Option<&'a PlanVersion>,
}

impl Scheduled<'_> {
    /// The month whose invoice run bills it.
    #[must_use]
    pub fn month(&self, zone: Tz) -> Month {
        Month::of(self.billed.end - chrono::TimeDelta::microseconds(1), zone)
    }
}

/// The zone by whose months the usage of a subscription is cut: its own, else that of its plan's first issuer, else
/// UTC. Billing refuses a plan whose issuers differ in it, where the subscription has none of its own.
#[must_use]
pub fn cut_zone(catalog: &Catalog, subscription: &Subscription) -> Tz {
    let of_issuer = || {
        let version = catalog.plans.get(&subscription.plan_id)?.first()?;
        Some(catalog.issuers.get(&version.issuer)?.time_zone)
    };
    subscription.time_zone.or_else(of_issuer).unwrap_or(Tz::UTC)
}

/// The billing periods that begin before an instant, oldest first: without gap, from the start of the subscription on
/// its plan to its end.
///
/// # Errors
/// [`PeriodError::OutOfRange`].
pub fn periods<'a>(
    catalog: &'a Catalog,
    subscription: &Subscription,
    zone: Tz,
    until: DateTime<Utc>,
) -> Result<Vec<Scheduled<'a>>, PeriodError> {
    let course = &subscription.course;
    let first = course.first_started_at.unwrap_or(subscription.started_at);
    let started_on = first.with_timezone(&zone).date_naive();
    let term_end = term_end(subscription, zone)?;
    let end = [subscription.ended_at, term_end].into_iter().flatten().min();
    let awaited = course.endings.iter().filter(|ending| ending.with == EndsWith::Period).map(|ending| ending.at).min();
    let mut periods = Vec::new();
    let mut at = subscription.started_at;
    while at < until && end.is_none_or(|end| at < end) {
        let version = catalog.plan_at(&subscription.plan_id, at);
        let cadence = version.map_or(Cadence::default(), |version| version.cadence);
        let mut whole = cadence.period_at(started_on, zone, at)?;
        if cadence.anchor == Anchor::Anniversary {
            whole.start = whole.start.max(first);
        }
        let billed = Period::new(at, end.map_or(whole.end, |end| end.min(whole.end)))?;
        periods.push(Scheduled { whole, billed, version });
        if awaited.is_some_and(|awaited| awaited < whole.end) {
            break;
        }
        at = billed.end;
    }
    Ok(periods)
}

/// When the subscription ends, on its plan; none while nothing says so.
///
/// # Errors
/// [`PeriodError::OutOfRange`].
pub fn ends_at(catalog: &Catalog, subscription: &Subscription, zone: Tz) -> Result<Option<DateTime<Utc>>, PeriodError> {
    let awaits = |with: EndsWith| subscription.course.endings.iter().filter(move |ending| ending.with == with);
    if let Some(awaited) = awaits(EndsWith::Period).map(|ending| ending.at).min() {
        let until = awaited.max(subscription.started_at) + chrono::TimeDelta::microseconds(1);
        let last = periods(catalog, subscription, zone, until)?.last().map(|last| last.billed.end);
        // Nothing runs of one that ended before it began.
        return Ok(Some(last.unwrap_or(subscription.started_at)));
    }
    let term_end = term_end(subscription, zone)?;
    Ok([subscription.ended_at, term_end].into_iter().flatten().min())
}

/// Where its last term ends: the one that a cancellation waits for, or the last one of those that do not follow each
/// other by themselves.
fn term_end(subscription: &Subscription, zone: Tz) -> Result<Option<DateTime<Utc>>, PeriodError> {
    let course = &subscription.course;
    let Some(term) = course.term else { return Ok(None) };
    let first = course.first_started_at.unwrap_or(subscription.started_at);
    let started_on = first.with_timezone(&zone).date_naive();
    let end_of = |count: i64| {
        let months = count.checked_mul(i64::from(term.months)).ok_or(PeriodError::OutOfRange)?;
        first_instant_of(months_after(started_on, months)?, zone)
    };
    let mut ends = Vec::new();
    if term.renewal == Renewal::None {
        ends.push(end_of(1 + i64::from(term.renewal_count))?);
    }
    if let Some(awaited) = course.endings.iter().filter(|e| e.with == EndsWith::Term).map(|e| e.at).min() {
        let mut count = 1;
        while end_of(count)? <= awaited {
            count += 1;
        }
        ends.push(end_of(count)?);
    }
    Ok(ends.into_iter().min())
}

#[cfg(test)]
mod tests;
