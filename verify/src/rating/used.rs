//! What a price is applied to: the quantity of a meter with what of it a model may ask for, and how much of its period
//! a line bills.

use std::collections::BTreeMap;

use tollbook_schemas::price::setting::{LimitsInPart, Proration};

use crate::number::Ratio;

/// Values of dimensions.
pub type Dimensions = BTreeMap<String, String>;

/// What one price is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The meter's quantity; 1 of a flat price.
    pub quantity: Ratio,
    /// Requests that have a value.
    pub event_count: Option<i64>,
    /// The amount of each request in the order of time, of a meter that keeps them.
    pub amounts: Option<Vec<Ratio>>,
    /// The quantity by dimensions, of a meter that counts or sums.
    pub groups: Option<BTreeMap<Dimensions, Ratio>>,
    /// How much of its period a line bills; none for all of it, with one unit.
    pub served: Option<Served>,
    /// Where another system billed the begin of the period: what was used before and what was since. Else empty.
    pub pieces: Vec<Ratio>,
    /// Included units that earlier periods left.
    pub carried: Option<Ratio>,
}

impl Used {
    /// A quantity alone.
    #[must_use]
    pub fn of(quantity: Ratio) -> Self {
        Self {
            quantity,
            event_count: None,
            amounts: None,
            groups: None,
            served: None,
            pieces: Vec::new(),
            carried: None,
        }
    }
}

/// How long something lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Microseconds.
    pub micros: i64,
    /// Local days.
    pub days: i64,
}

/// A stretch of a period with so many units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// How long.
    pub length: Length,
    /// Units, such as seats; one where nobody counts them.
    pub units: Ratio,
}

/// What is billed of a period: the stretches in which something was served, in order, and the whole period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The whole period.
    pub whole: Length,
    /// Stretches; none of what was paused throughout.
    pub stretches: Vec<Stretch>,
}

/// A part of a period that is not all of it.
pub(super) struct Share {
    pub(super) exact: Ratio,
    pub(super) label: String,
}

/// By what a part is measured.
#[derive(Clone, Copy)]
pub(super) enum Measure {
    Time,
    Days,
}

impl Measure {
    pub(super) fn of_amount(proration: Proration) -> Option<Self> {
        match proration {
            Proration::None => None,
            Proration::ByTime => Some(Self::Time),
            Proration::ByDay => Some(Self::Days),
        }
    }

    pub(super) fn of_limits(limits: LimitsInPart) -> Option<Self> {
        match limits {
            LimitsInPart::Whole => None,
            LimitsInPart::ByTime => Some(Self::Time),
            LimitsInPart::ByDay => Some(Self::Days),
        }
    }

    pub(super) fn of(self, length: Length) -> i64 {
        match self {
            Self::Time => length.micros,
            Self::Days => length.days,
        }
    }
}

impl Served {
    /// So much of the period; none where it is all of it.
    pub(super) fn share(&self, part: i64, measure: Measure) -> Option<Share> {
        let whole = measure.of(self.whole);
        let exact = Ratio::whole(part).over(&Ratio::whole(whole)).filter(|share| *share < Ratio::whole(1))?;
        let label = match measure {
            Measure::Days => format!("{part} of {whole} days"),
            Measure::Time => {
                let units = [(3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1, "\u{b5}s")];
                let (unit, name) = units.into_iter().find(|(unit, _)| part % unit == 0 && whole % unit == 0)?;
                format!("{} of {} {name}", part / unit, whole / unit)
            }
        };
        Some(Share { exact, label })
    }

    /// All that was served.
    pub(super) fn all(&self, measure: Measure) -> Option<Share> {
        self.share(self.stretches.iter().map(|stretch| measure.of(stretch.length)).sum(), measure)
    }
}
