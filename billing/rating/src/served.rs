//! What a line bills of its period: stretches of time in, each with its length and its units; the shares of the period
//! that flat prices and limits take out.
//!
//! A subscription that ran all the period with one unit is one stretch of the whole. One that started, ended or paused
//! inside it, or whose units changed, has others. All lengths are parts of one period, so shares add up exactly: the
//! stretches of a whole period are the whole.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::period::Period;
use tollbook_schemas::price::setting::{LimitsInPart, Proration};

use super::RatingError;
use super::prorate::{Share, length_us};

/// How long something lasts, in both measures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Length {
    /// Microseconds.
    pub us: i64,
    /// Calendar days of a zone.
    pub days: i64,
}

impl Length {
    /// The length of a period with so many local days.
    #[must_use]
    pub fn new(period: Period, days: i64) -> Self {
        Self { us: length_us(period), days }
    }

    fn plus(self, other: Self) -> Self {
        Self { us: self.us.saturating_add(other.us), days: self.days.saturating_add(other.days) }
    }
}

/// A stretch of the period in which the same units were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// How long.
    pub length: Length,
    /// Units, such as seats; 1 where nobody counts them.
    pub units: Decimal,
}

/// The time of its period that a line bills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The whole period.
    pub whole: Length,
    /// What was served of it, in order; nothing where it was paused throughout.
    pub stretches: Vec<Stretch>,
}

/// The measure of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Time,
    Day,
}

impl By {
    /// The measure of a flat price's amount; none where it is charged whole.
    pub(crate) fn of_amount(proration: Proration) -> Option<Self> {
        match proration {
            Proration::None => None,
            Proration::ByTime => Some(Self::Time),
            Proration::ByDay => Some(Self::Day),
        }
    }

    /// The measure of included units and limits; none where they are whole.
    pub(crate) fn of_limits(limits: LimitsInPart) -> Option<Self> {
        match limits {
            LimitsInPart::Whole => None,
            LimitsInPart::ByTime => Some(Self::Time),
            LimitsInPart::ByDay => Some(Self::Day),
        }
    }
}

/// A share of the period, exact and in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) share: Share,
    /// `240 of 720 h`, `10 of 30 days`.
    pub(crate) label: String,
}

impl Part {
    /// That part of a number.
    pub(crate) fn of(&self, number: Decimal) -> Result<Exact, RatingError> {
        self.share.of(number.into())
    }
}

impl Served {
    /// All of a period, with one unit.
    #[must_use]
    pub fn whole(whole: Length) -> Self {
        Self { whole, stretches: vec![Stretch { length: whole, units: Decimal::whole(1) }] }
    }

    /// What was served in this split of the period, and in the one that came after it.
    ///
    /// # Errors
    /// [`RatingError::Input`] where the periods are not equally long, or their stretches are longer than the period.
    pub(crate) fn then(&self, more: &Self) -> Result<Self, RatingError> {
        if self.whole != more.whole {
            let what = "two splits are of periods that differ in length".to_owned();
            return Err(RatingError::Input { what, mend: "give the same served.period for all splits of a period" });
        }
        let sum = Self { whole: self.whole, stretches: [self.stretches.as_slice(), &more.stretches].concat() };
        if sum.length().us > sum.whole.us {
            let what = "the stretches of the splits are longer than their period".to_owned();
            return Err(RatingError::Input { what, mend: "say of each split what it served itself" });
        }
        Ok(sum)
    }

    /// Stretches that follow each other with the same units, as one.
    pub(crate) fn by_units(&self) -> Vec<Stretch> {
        let mut joined: Vec<Stretch> = Vec::new();
        for stretch in &self.stretches {
            match joined.last_mut().filter(|last| last.units == stretch.units) {
                Some(last) => last.length = last.length.plus(stretch.length),
                None => joined.push(*stretch),
            }
        }
        joined
    }

    /// All that was served.
    pub(crate) fn length(&self) -> Length {
        self.stretches.iter().fold(Length::default(), |sum, stretch| sum.plus(stretch.length))
    }

    /// A length as a part of the period; none where it is all of it.
    pub(crate) fn part(&self, length: Length, by: By) -> Option<Part> {
        let (part, whole) = match by {
            By::Time => (length.us, self.whole.us),
            By::Day => (length.days, self.whole.days),
        };
        let share = Share::new(part, whole);
        let label = || match by {
            By::Day => format!("{part} of {whole} days"),
            By::Time => {
                let units = [(3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s")];
                let fits = units.into_iter().find(|(unit, _)| part % unit == 0 && whole % unit == 0);
                let (unit, name) = fits.unwrap_or((1, "\u{b5}s"));
                format!("{} of {} {name}", part / unit, whole / unit)
            }
        };
        (share != Share::WHOLE).then(|| Part { share, label: label() })
    }
}
