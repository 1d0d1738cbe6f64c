//! Which part of a period a service lasted, and the part of an amount that this is.
//!
//! By time: the part is a ratio of microseconds, so a day of 23 hours is shorter. By days: calendar days of a zone are
//! counted, under the settings in which billing systems differ; so a day of 23 hours is a day.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Period, Tz, days_of, days_of_30};

use super::{RatingError, rounded};

/// Whether the last day that a period names belongs to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PeriodEnd {
    /// No: 1 to 31 January are 30 days. As OpenMeter, Kill Bill, Meteroid.
    #[default]
    Exclusive,
    /// Yes: 1 to 31 March are 31 days. As Flexprice.
    Inclusive,
}

/// Whether the day on which a service ends is paid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TerminationDay {
    /// No. As Kill Bill, Meteroid.
    #[default]
    NotCounted,
    /// Yes: 20 May to 20 June are 32 days. As Lago.
    Counted,
}

/// How many days the whole has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DayCount {
    /// Those of the period.
    #[default]
    Period,
    /// Always so many: 30, or 365 of an annual item on a monthly plan.
    Always(u32),
    /// Both as if each month had 30: a 31st is a 30th. As Kill Bill with a fixed number of days.
    ThirtyEach,
}

/// Settings of a proration by days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DaySettings {
    /// `period_end`.
    pub period_end: PeriodEnd,
    /// `termination_day`.
    pub termination_day: TerminationDay,
    /// `day_count`.
    pub day_count: DayCount,
}

/// A part of a whole, from nothing to all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    part: i64,
    whole: i64,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { part: 1, whole: 1 };

    /// `part` of `whole`. A whole of nothing, and a part longer than its whole, are the whole: an amount is never
    /// charged more than once for it.
    #[must_use]
    pub fn new(part: i64, whole: i64) -> Self {
        if whole <= 0 || part >= whole { Self::WHOLE } else { Self { part: part.max(0), whole } }
    }

    /// By time, both periods half-open. All of a service is counted: it lies inside of the whole, or is all of it and
    /// more.
    #[must_use]
    pub fn by_time(full: Period, service: Period) -> Self {
        Self::new(length_us(service), length_us(full))
    }

    /// By calendar days of a zone. All of a service is counted, as by time; the day on which it ends only where that is
    /// a day of the whole.
    #[must_use]
    pub fn by_days(full: Period, service: Period, zone: Tz, settings: DaySettings) -> Self {
        let last = i64::from(settings.period_end == PeriodEnd::Inclusive);
        let ends_inside = days_of(Period { start: service.end, end: full.end }, zone) > 0;
        let ended = i64::from(settings.termination_day == TerminationDay::Counted && ends_inside);
        let whole = match settings.day_count {
            DayCount::Period => days_of(full, zone) + last,
            DayCount::Always(days) => i64::from(days),
            DayCount::ThirtyEach => days_of_30(full, zone) + last,
        };
        let served = match settings.day_count {
            DayCount::ThirtyEach => days_of_30(service, zone),
            _ => days_of(service, zone),
        };
        Self::new(served + last.max(ended), whole)
    }

    /// The rest of the whole: what a credit note gives back.
    #[must_use]
    pub fn rest(self) -> Self {
        Self { part: self.whole - self.part, whole: self.whole }
    }

    /// That part of an amount, exact.
    ///
    /// # Errors
    /// [`RatingError::Overflow`].
    pub fn of(self, amount: Exact) -> Result<Exact, RatingError> {
        Ok(amount.checked_mul(Exact::whole(self.part))?.checked_div(Exact::whole(self.whole))?)
    }
}

pub(crate) fn length_us(period: Period) -> i64 {
    period.end.timestamp_micros().saturating_sub(period.start.timestamp_micros())
}

/// That part of a fee, in major units, rounded once.
///
/// # Errors
/// [`RatingError::Overflow`], [`RatingError::Money`].
pub fn prorate(fee: Decimal, share: Share, currency: Currency) -> Result<Money, RatingError> {
    rounded(share.of(fee.into())?, currency)
}
