//! The billing periods of a subscription, walked one by one from its start: how long each is, and how much of it the
//! subscription ran. Pure. From `docs/money.md` and the words of a plan's billing period, not from `schemas::schedule`.

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, TimeDelta, Utc};
use tollbook_schemas::catalog::{Catalog, PlanVersion};
use tollbook_schemas::id::PlanId;
use tollbook_schemas::period::cadence::{Anchor, Cadence, Length};
use tollbook_schemas::period::{Period, Tz, first_instant_of};
use tollbook_schemas::registry::{EndsWith, Renewal, Subscription};

/// One billing period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walked {
    pub(crate) whole: Period,
    /// The part in which the subscription ran on its plan.
    pub(crate) billed: Period,
}

/// The version of a plan in force at an instant.
pub(crate) fn in_force<'a>(catalog: &'a Catalog, plan_id: &PlanId, at: DateTime<Utc>) -> Option<&'a PlanVersion> {
    let versions = catalog.plans.get(plan_id)?.iter().filter(|version| version.effective_from <= at);
    versions.max_by_key(|version| (version.effective_from, version.version))
}

/// The billing periods that begin before an instant, from the start of a subscription on its plan.
///
/// # Errors
/// What is beyond the calendar, in words.
pub(crate) fn walk(
    catalog: &Catalog,
    subscription: &Subscription,
    zone: Tz,
    until: DateTime<Utc>,
) -> Result<Vec<Walked>, String> {
    let course = &subscription.course;
    let first = course.first_started_at.unwrap_or(subscription.started_at);
    let started_on = first.with_timezone(&zone).date_naive();
    let mut ends: Vec<DateTime<Utc>> = subscription.ended_at.into_iter().collect();
    ends.extend(last_terms(subscription, started_on, zone)?);
    let end = ends.into_iter().min();
    let waits_for =
        course.endings.iter().filter(|ending| ending.with == EndsWith::Period).map(|ending| ending.at).min();
    let mut walked: Vec<Walked> = Vec::new();
    let mut at = subscription.started_at;
    while at < until && end.is_none_or(|end| at < end) {
        let cadence = in_force(catalog, &subscription.plan_id, at).map(|version| version.cadence).unwrap_or_default();
        let mut whole = around(cadence, started_on, zone, at)?;
        // The first one of an anniversary begins with the subscription, not at midnight.
        if cadence.anchor == Anchor::Anniversary && whole.start < first {
            whole.start = first;
        }
        let billed = Period { start: at, end: end.map_or(whole.end, |end| whole.end.min(end)) };
        walked.push(Walked { whole, billed });
        if waits_for.is_some_and(|waits_for| waits_for < whole.end) {
            break;
        }
        at = billed.end;
    }
    Ok(walked)
}

/// The instants at which its terms may be over: the last one that was agreed, and the one whose end a cancellation
/// waits for.
fn last_terms(subscription: &Subscription, started_on: NaiveDate, zone: Tz) -> Result<Vec<DateTime<Utc>>, String> {
    let Some(term) = subscription.course.term else { return Ok(Vec::new()) };
    let end_of = |terms: u32| -> Result<DateTime<Utc>, String> {
        let months = terms.checked_mul(term.months).ok_or("a term beyond the calendar")?;
        edge(started_on.checked_add_months(Months::new(months)), zone)
    };
    let mut ends = Vec::new();
    if term.renewal == Renewal::None {
        ends.push(end_of(term.renewal_count.saturating_add(1))?);
    }
    let endings = subscription.course.endings.iter().filter(|ending| ending.with == EndsWith::Term);
    if let Some(waits_for) = endings.map(|ending| ending.at).min() {
        let mut terms = 1_u32;
        while end_of(terms)? <= waits_for {
            terms = terms.saturating_add(1);
        }
        ends.push(end_of(terms)?);
    }
    Ok(ends)
}

/// The first instant of a local day.
pub(crate) fn edge(day: Option<NaiveDate>, zone: Tz) -> Result<DateTime<Utc>, String> {
    let day = day.ok_or("a period beyond the calendar")?;
    first_instant_of(day, zone).map_err(|error| error.to_string())
}

/// The period that holds an instant. Periods of the calendar begin with the week, month, quarter or year of the local
/// day; anniversaries are counted from the day of the start, one after the other.
fn around(cadence: Cadence, started_on: NaiveDate, zone: Tz, at: DateTime<Utc>) -> Result<Period, String> {
    let local = at.with_timezone(&zone).date_naive();
    let months = |months: u32| move |day: NaiveDate| day.checked_add_months(Months::new(months));
    match cadence.anchor {
        Anchor::Calendar => {
            let of_year = |month: u32| NaiveDate::from_ymd_opt(local.year(), month, 1);
            let (first, next) = match cadence.length {
                Length::Weekly => {
                    let monday = local.checked_sub_days(Days::new(u64::from(local.weekday().num_days_from_monday())));
                    (monday, monday.and_then(|monday| monday.checked_add_days(Days::new(7))))
                }
                Length::Monthly => (of_year(local.month()), of_year(local.month()).and_then(months(1))),
                Length::Quarterly => {
                    let first = of_year(local.month0() / 3 * 3 + 1);
                    (first, first.and_then(months(3)))
                }
                Length::Yearly => (of_year(1), of_year(1).and_then(months(12))),
            };
            Ok(Period { start: edge(first, zone)?, end: edge(next, zone)? })
        }
        Anchor::Anniversary => {
            let day = |count: u32| match cadence.length {
                Length::Weekly => started_on.checked_add_signed(TimeDelta::days(i64::from(count) * 7)),
                Length::Monthly => months(count)(started_on),
                Length::Quarterly => months(count.checked_mul(3)?)(started_on),
                Length::Yearly => months(count.checked_mul(12)?)(started_on),
            };
            let mut count = 0_u32;
            while edge(day(count + 1), zone)? <= at {
                count += 1;
            }
            Ok(Period { start: edge(day(count), zone)?, end: edge(day(count + 1), zone)? })
        }
    }
}

#[cfg(test)]
mod tests;
