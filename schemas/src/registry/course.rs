//! The course of a subscription beside its plan: units, pauses, a term, and ends that wait for their period's. Events
//! in, what was said in; what has no effect as findings, which block nothing: what runs is known, and is billed.
//!
//! A pause holds from its instant (`effective_at`, else when it occurred) to the next resumption. A resumption that
//! holds from no later than the pause takes it back. A cancellation `at` the end of the period or of the term ends the
//! subscription where the period or the term ends that holds its instant; which instant that is, the catalog says
//! (`schedule`). `subscription.renewed` takes such a cancellation back, and adds a term where terms do not follow each
//! other by themselves.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Concern, Folding, Position, instant_of};
use crate::decimal::Decimal;
use crate::id::{PartnerId, SubscriptionId};
use crate::lifecycle::LifecycleEvent;
use crate::period::{Period, print_instant};

/// What was said of a subscription beside its plan and its time: the same for all spans of one id, but for `endings`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Course {
    /// When it started, where an earlier plan began it; none on its first plan.
    pub first_started_at: Option<DateTime<Utc>>,
    /// Units, such as seats, by the instant from which they hold. Without any it is one.
    pub quantities: BTreeMap<DateTime<Utc>, Decimal>,
    /// When it was paused.
    pub pauses: Vec<Pause>,
    /// What it was started for, where it was for a time.
    pub term: Option<Term>,
    /// Cancellations to an end that the catalog tells.
    pub endings: Vec<Ending>,
}

/// A pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// First instant.
    pub from: DateTime<Utc>,
    /// First instant after it; none while it holds.
    pub until: Option<DateTime<Utc>>,
}

/// For how long a subscription was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Months of one term, from the day of the start.
    pub months: u32,
    /// Whether another one follows by itself.
    pub renewal: Renewal,
    /// Terms that were added by `subscription.renewed`.
    pub renewal_count: u32,
}

/// What follows a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Another one.
    Automatic,
    /// Nothing, unless it is said.
    None,
}

/// Whose end a cancellation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndsWith {
    /// The billing period's.
    Period,
    /// The term's.
    Term,
}

/// A cancellation that waits for an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Whose.
    pub with: EndsWith,
    /// It is the period or term that holds this instant.
    pub at: DateTime<Utc>,
    /// When it was said.
    pub said_at: DateTime<Utc>,
}

/// The words of `at` of a cancellation.
pub(crate) const WHEN: [&str; 3] = ["now", "end_of_period", "end_of_term"];
/// The words of `renewal` of a start.
pub(crate) const RENEWAL: [&str; 2] = ["automatic", "none"];
/// Months of a term at most: ten years.
pub(crate) const TERM_MONTHS_MAX: u64 = 120;

impl Course {
    /// The stretches of a period in which it was not paused, each with its units, in order.
    #[must_use]
    pub fn stretches(&self, period: Period) -> Vec<(Period, Decimal)> {
        let cuts = self.quantities.keys().copied();
        let edges = self.pauses.iter().flat_map(|pause| [Some(pause.from), pause.until]).flatten();
        let mut cuts: Vec<DateTime<Utc>> = cuts.chain(edges).filter(|cut| period.contains(*cut)).collect();
        cuts.extend([period.start, period.end]);
        cuts.sort_unstable();
        cuts.dedup();
        let starts = cuts.iter().copied();
        let stretches = starts.zip(cuts.iter().copied().skip(1)).map(|(start, end)| Period { start, end });
        let running = stretches.filter(|stretch| !self.is_paused_at(stretch.start));
        running.map(|stretch| (stretch, self.units_at(stretch.start))).collect()
    }

    /// The parts of a period in which it was not paused, as few as they are.
    #[must_use]
    pub fn running(&self, period: Period) -> Vec<Period> {
        let mut parts: Vec<Period> = Vec::new();
        for (stretch, _) in self.stretches(period) {
            match parts.last_mut().filter(|last| last.end == stretch.start) {
                Some(last) => last.end = stretch.end,
                None => parts.push(stretch),
            }
        }
        parts
    }

    /// Whether it was paused at an instant.
    #[must_use]
    pub fn is_paused_at(&self, at: DateTime<Utc>) -> bool {
        self.pauses.iter().any(|pause| pause.from <= at && pause.until.is_none_or(|until| at < until))
    }

    fn units_at(&self, at: DateTime<Utc>) -> Decimal {
        self.quantities.range(..=at).next_back().map_or(Decimal::whole(1), |(_, units)| *units)
    }

    /// What a start says beside plan, zone and instant; or what cannot be read of it.
    pub(super) fn of_start(event: &LifecycleEvent) -> Result<Self, &'static str> {
        let quantity = quantity_of(event)?;
        let term = match event.data.get("term_months").filter(|months| !months.is_null()) {
            None => None,
            Some(months) => {
                let months = months.as_u64().filter(|months| (1..=TERM_MONTHS_MAX).contains(months));
                let months = months.and_then(|months| u32::try_from(months).ok()).ok_or("term_months")?;
                let renewal = match event.text("renewal") {
                    Some("none") => Renewal::None,
                    _ => Renewal::Automatic,
                };
                Some(Term { months, renewal, renewal_count: 0 })
            }
        };
        let quantities = quantity.map(|quantity| (event.occurred_at, quantity)).into_iter().collect();
        Ok(Self { quantities, term, ..Self::default() })
    }
}

/// The units that an event says: a decimal in text, or a whole number.
pub(super) fn quantity_of(event: &LifecycleEvent) -> Result<Option<Decimal>, &'static str> {
    let quantity = match event.data.get("quantity") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse::<Decimal>().ok(),
        Some(number) => number.as_i64().map(Decimal::whole),
    };
    quantity.filter(|quantity| !quantity.is_negative()).map(Some).ok_or("quantity")
}

/// What a cancellation waits for; nothing where it holds from its instant. Ingest refuses other words.
pub(super) fn ends_with(event: &LifecycleEvent) -> Option<EndsWith> {
    match event.text("at") {
        Some("end_of_period") => Some(EndsWith::Period),
        Some("end_of_term") => Some(EndsWith::Term),
        _ => None,
    }
}

/// A pause, a resumption, a renewal, or a cancellation that waits.
#[derive(Debug)]
pub(super) struct Turn {
    kind: Kind,
    position: Position,
    partner_id: PartnerId,
    subscription_id: Option<SubscriptionId>,
    /// From when it holds; `None` where that cannot be read.
    at: Option<DateTime<Utc>>,
    said_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pause,
    Resume,
    Renew,
    End(EndsWith),
}

impl Turn {
    fn of(position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) -> Option<Self> {
        let kind = match event.event_type.as_str() {
            "subscription.paused" => Kind::Pause,
            "subscription.resumed" => Kind::Resume,
            "subscription.renewed" => Kind::Renew,
            "subscription.cancelled" => Kind::End(ends_with(event)?),
            _ => return None,
        };
        Some(Self {
            kind,
            position: position.clone(),
            partner_id: partner_id.clone(),
            subscription_id: event.text("subscription_id").and_then(|id| SubscriptionId::parse(id).ok()),
            at: instant_of(event, "effective_at").ok().map(|at| at.unwrap_or(event.occurred_at)),
            said_at: event.occurred_at,
        })
    }
}

impl Folding {
    pub(super) fn note_turn(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        self.terms.turns.extend(Turn::of(position, event, partner_id));
    }

    /// Applies pauses, resumptions and renewals in the order in which they were said. To be called when every start,
    /// cancellation and offboarding is applied.
    pub(super) fn conclude_turns(&mut self) {
        for turn in std::mem::take(&mut self.terms.turns) {
            if let Err(what) = self.turn(&turn) {
                self.find(&turn.position, &turn.partner_id, Concern::Cancellation, what);
            }
        }
    }

    fn turn(&mut self, turn: &Turn) -> Result<(), String> {
        let word = match turn.kind {
            Kind::Pause => "subscription.paused",
            Kind::Resume => "subscription.resumed",
            Kind::Renew => "subscription.renewed",
            Kind::End(_) => "subscription.cancelled",
        };
        // The field that cannot be read is told.
        let Some(at) = turn.at else { return Ok(()) };
        let Some(id) = &turn.subscription_id else { return Err(format!("{word}: subscription_id is not valid")) };
        let wrong = |what: &str| Err(format!("{word}: {id} {what}"));
        let own = self.terms.started.get_mut(id).filter(|started| started.partner_id == turn.partner_id);
        let Some(started) = own else { return wrong("is no subscription of the partner") };
        let runs = started.started_at <= at && started.ended_at.is_none_or(|ended| at < ended);
        let course = &mut started.course;
        let open = course.pauses.iter().rposition(|pause| pause.until.is_none());
        match turn.kind {
            Kind::Pause | Kind::End(_) if !runs => return wrong("does not run by then"),
            Kind::Pause => {
                if let Some(open) = open.and_then(|open| course.pauses.get_mut(open)) {
                    let from = open.from;
                    // Of two pauses the earlier one holds.
                    open.from = from.min(at);
                    return wrong(&format!("is paused already, from {}", print_instant(from)));
                }
                course.pauses.push(Pause { from: at, until: None });
            }
            Kind::Resume => {
                let Some(open) = open else { return wrong("is not paused") };
                match course.pauses.get_mut(open) {
                    Some(pause) if pause.from < at => pause.until = Some(at),
                    _ => _ = course.pauses.remove(open),
                }
            }
            Kind::End(EndsWith::Term) if course.term.is_none() => {
                return wrong("has no term whose end it could wait for: say end_of_period");
            }
            Kind::End(with) => course.endings.push(Ending { with, at, said_at: turn.said_at }),
            Kind::Renew if !course.endings.is_empty() => course.endings.clear(),
            Kind::Renew => match &mut course.term {
                Some(term) if term.renewal == Renewal::None => {
                    term.renewal_count = term.renewal_count.saturating_add(1);
                }
                _ => return wrong("goes on by itself: no cancellation waits, and no term ends"),
            },
        }
        Ok(())
    }
}
