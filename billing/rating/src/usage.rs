//! What a price is applied to: a quantity and, for the models that need more, its events or its split by dimension.

use std::collections::BTreeMap;

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;

use super::RatingError;
use super::served::{By, Part, Served};

/// One event, as far as a price needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Its share of the quantity: units, or an amount that a percentage is taken of.
    pub quantity: Decimal,
    /// The units, times the part of the period for which they were there: never more than they are, of the same sign.
    pub prorated: Option<Exact>,
    /// What the event says that it costs, in major units.
    pub amount: Option<Decimal>,
}

/// The part of the usage with the same values of all dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Values by dimension.
    pub values: BTreeMap<String, String>,
    /// Quantity.
    pub quantity: Decimal,
}

/// The usage of one price in one period, from its begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// The meter's value.
    pub quantity: Decimal,
    /// The same, each unit times the part of the period for which it was there.
    pub prorated: Option<Exact>,
    /// Where the quantity came in splits: each of them, in order. Empty for one piece.
    pub pieces: Vec<Decimal>,
    /// How many events there were.
    pub event_count: Option<u32>,
    /// Each event, in order.
    pub events: Option<Vec<Event>>,
    /// The quantity by dimension.
    pub groups: Option<Vec<Group>>,
    /// Whether each group is one event, in their order.
    pub is_group_an_event: bool,
    /// The time of the period that is billed; none for all of it, with one unit.
    pub served: Option<Served>,
    /// Included units that earlier periods left; none where the price carries none over.
    pub carried: Option<Exact>,
}

impl Usage {
    /// A quantity alone: enough for every model except the ones that price events or dimensions.
    #[must_use]
    pub fn of(quantity: Decimal) -> Self {
        Self { quantity, ..Self::default() }
    }

    /// Events; the quantity is their sum.
    ///
    /// # Errors
    /// [`RatingError::Overflow`].
    pub fn of_events(events: Vec<Event>) -> Result<Self, RatingError> {
        let quantity = sum(events.iter().map(|event| event.quantity))?;
        Ok(Self { quantity, events: Some(events), ..Self::default() })
    }

    /// Groups; the quantity is their sum.
    ///
    /// # Errors
    /// [`RatingError::Overflow`].
    pub fn of_groups(groups: Vec<Group>) -> Result<Self, RatingError> {
        let quantity = sum(groups.iter().map(|group| group.quantity))?;
        Ok(Self { quantity, groups: Some(groups), ..Self::default() })
    }

    /// This usage and what came after it, as one.
    ///
    /// What was served of the period adds up, too: each says its own stretches.
    ///
    /// # Errors
    /// [`RatingError::Overflow`]; [`RatingError::Input`] when only one of them has its events, groups or stretches, or
    /// where they are not of one period.
    pub fn then(&self, more: &Self) -> Result<Self, RatingError> {
        let pieces_of =
            |usage: &Self| if usage.pieces.is_empty() { vec![usage.quantity] } else { usage.pieces.clone() };
        let pieces = [pieces_of(self), pieces_of(more)].concat();
        // Nothing has neither events nor groups, and can be written as 0.
        if self.is_nothing() {
            return Ok(Self { pieces, ..more.clone() });
        }
        if more.is_nothing() {
            return Ok(Self { pieces, ..self.clone() });
        }
        let quantity = self.quantity.checked_add(more.quantity)?;
        let prorated = match (self.prorated, more.prorated) {
            (Some(one), Some(two)) => Some(one.checked_add(two)?),
            (None, None) => None,
            _ => return Err(half("prorated units")),
        };
        let event_count = match (self.count(), more.count()) {
            (Some(one), Some(two)) => one.checked_add(two),
            _ => None,
        };
        let events = match (&self.events, &more.events) {
            (Some(one), Some(two)) => Some([one.as_slice(), two].concat()),
            (None, None) => None,
            _ => return Err(half("events")),
        };
        let is_group_an_event = self.is_group_an_event && more.is_group_an_event;
        let groups = match (&self.groups, &more.groups) {
            (Some(one), Some(two)) if is_group_an_event => Some([one.as_slice(), two].concat()),
            (Some(one), Some(two)) => {
                let mut sums: BTreeMap<&BTreeMap<String, String>, Decimal> = BTreeMap::new();
                for group in one.iter().chain(two) {
                    let sum = sums.entry(&group.values).or_insert(Decimal::ZERO);
                    *sum = sum.checked_add(group.quantity)?;
                }
                let group = |(values, quantity): (&BTreeMap<String, String>, Decimal)| Group {
                    values: values.clone(),
                    quantity,
                };
                Some(sums.into_iter().map(group).collect())
            }
            (None, None) => None,
            _ => return Err(half("groups")),
        };
        let served = match (&self.served, &more.served) {
            (Some(one), Some(two)) => Some(one.then(two)?),
            (None, None) => None,
            _ => return Err(half("what was served")),
        };
        // What earlier periods left is known from the begin, and no more of it comes with a split.
        let carried = match (self.carried, more.carried) {
            (Some(one), Some(two)) if one != two => {
                let what = format!("one split says that {one} units were carried over, another one says {two}");
                return Err(RatingError::Input { what, mend: "say it once" });
            }
            (one, two) => two.or(one),
        };
        Ok(Self { quantity, prorated, pieces, event_count, events, groups, is_group_an_event, served, carried })
    }

    fn is_nothing(&self) -> bool {
        let is_bare = self.prorated.is_none() && self.event_count.is_none() && self.events.is_none();
        self.quantity == Decimal::ZERO && is_bare && self.groups.is_none() && self.served.is_none()
    }

    /// What was served of the period, by a measure; none where that is all of it.
    pub(crate) fn part(&self, by: Option<By>) -> Option<Part> {
        let served = self.served.as_ref()?;
        served.part(served.length(), by?)
    }

    /// How many events there were, if that is known.
    pub(crate) fn count(&self) -> Option<u32> {
        self.event_count.or_else(|| u32::try_from(self.events.as_ref()?.len()).ok())
    }

    /// The prorated units, in all.
    pub(crate) fn prorated(&self) -> Result<Exact, RatingError> {
        let total = match self.prorated {
            Some(prorated) => prorated,
            None => self.prorated_by_event()?.ok_or(RatingError::MissingProrated)?,
        };
        if total.is_negative() {
            let what = format!("the prorated units are {total} in all, which is below zero");
            let mend = "what was taken away was there before: look for wrong parts";
            return Err(RatingError::Input { what, mend });
        }
        Ok(total)
    }

    /// The prorated units of all events; none where one of them does not say.
    fn prorated_by_event(&self) -> Result<Option<Exact>, RatingError> {
        let Some(events) = &self.events else { return Ok(None) };
        let mut total = Exact::ZERO;
        for event in events {
            let Some(prorated) = event.prorated else { return Ok(None) };
            total = total.checked_add(prorated)?;
        }
        Ok(Some(total))
    }

    /// Parts that contradict the whole would be billed differently by different models, and so would units that were
    /// there for more than the period.
    pub(crate) fn check(&self) -> Result<(), RatingError> {
        let agree = |parts, sum| {
            let quantity = self.quantity;
            if sum == quantity { Ok(()) } else { Err(RatingError::Disagree { parts, sum, quantity }) }
        };
        if let Some(events) = &self.events {
            agree("events", sum(events.iter().map(|event| event.quantity))?)?;
            for event in events {
                if let Some(prorated) = event.prorated {
                    is_part_of(prorated, event.quantity)?;
                }
            }
            if let (Some(whole), Some(parts)) = (self.prorated, self.prorated_by_event()?)
                && whole != parts
            {
                let what = format!("the prorated units of the events add up to {parts}, and prorated says {whole}");
                return Err(RatingError::Input { what, mend: "give one of them, or equal ones" });
            }
        }
        if let Some(groups) = &self.groups {
            agree("groups", sum(groups.iter().map(|group| group.quantity))?)?;
        }
        if !self.pieces.is_empty() {
            agree("splits", sum(self.pieces.iter().copied())?)?;
        }
        Ok(())
    }
}

/// Units were there for a part of the period, from none of it to all: -7 of 5, 70 of 5 and 3 of none are typos.
///
/// # Errors
/// [`RatingError::Input`].
pub(crate) fn is_part_of(prorated: Exact, quantity: Decimal) -> Result<(), RatingError> {
    let quantity = Exact::from_decimal(quantity);
    let (low, high) = (quantity.least(Exact::ZERO)?, quantity.most(Exact::ZERO)?);
    if prorated.checked_cmp(low)?.is_lt() || prorated.checked_cmp(high)?.is_gt() {
        let what = format!("{prorated} prorated units are no part of {quantity}");
        return Err(RatingError::Input { what, mend: "give the units times the part of the period, from 0 to all" });
    }
    Ok(())
}

fn half(what: &str) -> RatingError {
    let what = format!("only one of two splits has {what}");
    RatingError::Input { what, mend: "give them for both, or for neither" }
}

fn sum(quantities: impl Iterator<Item = Decimal>) -> Result<Decimal, RatingError> {
    let mut sum = Decimal::ZERO;
    for quantity in quantities {
        sum = sum.checked_add(quantity)?;
    }
    Ok(sum)
}
