//! Subscriptions: starts, changes and cancellations in, spans of one plan each out, and what cannot be used as
//! findings, until other events put it right.
//!
//! An id is started once and ends once: by its cancellation, or where its partner leaves (`offboarding`); a
//! cancellation holds from its `effective_at`, else from when it occurred. A change of the plan holds from its instant
//! (`effective_at`, else when it occurred): there one span ends and the next one begins under the same id, as if the
//! subscription had been cancelled and another one started. A change of the quantity holds from its instant too, and
//! ends no span: a meter's tiers go on through it. Of anything else a change says nothing that can be billed, so it is
//! a finding. A cancellation that waits for the end of the period overtakes changes of the plan that were planned for
//! after it; one that is said later is a finding.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::course::{Course, EndsWith, Turn, quantity_of};
use super::{Concern, Folding, NoInstant, Position, Subscription, instant_of};
use crate::decimal::Decimal;
use crate::id::{PartnerId, PlanId, SubscriptionId};
use crate::lifecycle::LifecycleEvent;
use crate::period::parse_zone;

/// What was said of subscriptions. Changes and cancellations are applied when all starts are known, because a start of
/// the same instant may be sorted behind them.
#[derive(Default)]
pub(super) struct Terms {
    /// As started, on their first plan.
    pub(super) started: BTreeMap<SubscriptionId, Subscription>,
    /// Where the start of each was read, and every repetition of it.
    pub(super) starts: BTreeMap<SubscriptionId, BTreeSet<Position>>,
    /// When the end of each was said, which may be before it holds.
    pub(super) ends_said: BTreeMap<SubscriptionId, DateTime<Utc>>,
    /// Where each was cancelled, though its partner may have left before.
    cancelled: BTreeMap<SubscriptionId, DateTime<Utc>>,
    changes: Vec<Change>,
    cancels: Vec<Cancel>,
    /// Pauses, resumptions, renewals, and cancellations that wait, in the order in which they were said.
    pub(super) turns: Vec<Turn>,
    unusable_starts: Vec<UnusableStart>,
    /// Plans that began later, by instant.
    plans: BTreeMap<SubscriptionId, BTreeMap<DateTime<Utc>, PlanId>>,
}

/// A cancellation.
#[derive(Debug)]
struct Cancel {
    position: Position,
    partner_id: PartnerId,
    subscription_id: Option<SubscriptionId>,
    /// From when it holds; `None` where that cannot be read.
    at: Option<DateTime<Utc>>,
    said_at: DateTime<Utc>,
}

/// A change of plan or quantity.
#[derive(Debug)]
struct Change {
    position: Position,
    partner_id: PartnerId,
    subscription_id: Option<SubscriptionId>,
    /// From when it holds.
    at: DateTime<Utc>,
    said_at: DateTime<Utc>,
    /// What it names; or what is wrong.
    terms: Result<NewTerms, &'static str>,
}

/// What a change names: plan or quantity, and the zone.
#[derive(Debug)]
struct NewTerms {
    plan_id: Option<PlanId>,
    quantity: Option<Decimal>,
    time_zone: Option<Tz>,
}

/// A start that could not be used, by its finding.
#[derive(Debug)]
struct UnusableStart {
    finding: usize,
    partner_id: PartnerId,
    /// Where it could be read.
    subscription_id: Option<SubscriptionId>,
    /// Where it could be read.
    plan_id: Option<PlanId>,
    /// Whether all of it could be read, and only others contradict it.
    is_readable: bool,
    at: DateTime<Utc>,
}

impl Terms {
    pub(super) fn note_change(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        let effective_at = instant_of(event, "effective_at");
        let plan_id = event.text("plan_id").map(PlanId::parse).transpose();
        let time_zone = event.text("time_zone").map(parse_zone).transpose();
        let is_wrong = |name: &str| event.wrong_fields().iter().any(|wrong| wrong.field == name);
        let terms = match (&effective_at, plan_id, time_zone, quantity_of(event)) {
            _ if is_wrong("plan_id") => Err("plan_id is not valid"),
            _ if is_wrong("time_zone") => Err("time_zone is not valid"),
            (Err(NoInstant), ..) => Err("effective_at is not an instant"),
            (_, Err(_), ..) => Err("plan_id is not valid"),
            (.., Err(_)) => Err("quantity is not a decimal from 0 on"),
            (_, Ok(None), _, Ok(None)) => {
                Err("it names neither plan_id nor quantity, and nothing else of a subscription can be changed")
            }
            (_, _, Err(_), _) => Err("time_zone is not valid"),
            (_, Ok(plan_id), Ok(time_zone), Ok(quantity)) => Ok(NewTerms { plan_id, quantity, time_zone }),
        };
        self.changes.push(Change {
            position: position.clone(),
            partner_id: partner_id.clone(),
            subscription_id: subscription_id_of(event),
            at: effective_at.ok().flatten().unwrap_or(event.occurred_at),
            said_at: event.occurred_at,
            terms,
        });
    }

    pub(super) fn note_cancel(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        self.cancels.push(Cancel {
            position: position.clone(),
            partner_id: partner_id.clone(),
            subscription_id: subscription_id_of(event),
            at: instant_of(event, "effective_at").ok().map(|at| at.unwrap_or(event.occurred_at)),
            said_at: event.occurred_at,
        });
    }

    /// Whether the subscription was started again behind a cancellation at its very start: said in this order, in one
    /// source and partition, where the order of places is the order in which things were said.
    fn is_started_again(&self, id: &SubscriptionId, cancel: &Cancel) -> bool {
        let place = &cancel.position;
        let starts = self.starts.get(id).into_iter().flatten();
        let mut own = starts.filter(|start| (&start.source, start.partition) == (&place.source, place.partition));
        own.next().is_some_and(|first| *first < *place) && own.next_back().is_some_and(|last| *place < *last)
    }

    /// Notes the plan that a change begins; else says what is wrong with it.
    fn use_change(&mut self, change: &Change) -> Result<(), String> {
        let id = change.subscription_id.as_ref().ok_or("subscription.changed: subscription_id is not valid")?;
        let wrong = |what: &str| format!("subscription.changed: {id}: {what}");
        let own = self.started.get(id).filter(|started| started.partner_id == change.partner_id);
        let started = own.ok_or_else(|| wrong("it is no subscription of the partner"))?;
        // Nothing runs from here on, whatever was changed.
        if started.ended_at == Some(change.at) || self.cancelled.get(id) == Some(&change.at) {
            return Ok(());
        }
        if change.at < started.started_at {
            return Err(wrong("it had not started by then"));
        }
        if started.ended_at.is_some_and(|ended| ended < change.at) {
            // Planned for later, and overtaken by an end that was said after it.
            if self.ends_said.get(id).is_some_and(|end_said| change.said_at <= *end_said) {
                return Ok(());
            }
            return Err(wrong("it was over by then"));
        }
        let NewTerms { plan_id, quantity, time_zone } = change.terms.as_ref().map_err(|what| wrong(what))?;
        if time_zone.is_some() && *time_zone != started.time_zone {
            return Err(wrong("it cannot change to another time zone"));
        }
        if let Some(plan_id) = plan_id {
            let waits = |with: EndsWith, at: DateTime<Utc>| with == EndsWith::Period && at < change.at;
            let ending = started.course.endings.iter().find(|ending| waits(ending.with, ending.at));
            if let Some(ending) = ending {
                // Planned for later, and overtaken by a cancellation that was said after it.
                if change.said_at <= ending.said_at {
                    return Ok(());
                }
                return Err(wrong("it was cancelled to the end of its period before: record subscription.renewed"));
            }
            self.plans.entry(id.clone()).or_default().insert(change.at, plan_id.clone());
        }
        if let (Some(quantity), Some(started)) = (quantity, self.started.get_mut(id)) {
            started.course.quantities.insert(change.at, *quantity);
        }
        Ok(())
    }

    /// A change that could not be used is put right by one that can, of the same subscription (of any, where not even
    /// the id could be read) and instant; or, where the subscription does not run by then, by a start at that instant.
    fn is_settled(&self, change: &Change) -> bool {
        let own = || self.started.values().filter(|own| own.partner_id == change.partner_id);
        let is_changed = |own: &Subscription| {
            let at = change.at.max(own.started_at);
            let is_planned = self.plans.get(&own.subscription_id).is_some_and(|plans| plans.contains_key(&at));
            is_planned || at > own.started_at && own.course.quantities.contains_key(&at)
        };
        let contested = own().find(|own| change.subscription_id.as_ref() == Some(&own.subscription_id));
        let is_over = |own: &Subscription| own.ended_at.is_some_and(|ended| ended <= change.at);
        match (&change.subscription_id, contested) {
            (None, _) => own().any(is_changed) || own().any(|own| own.started_at == change.at),
            (Some(_), None) => own().any(|own| own.started_at == change.at),
            (Some(id), Some(contested)) => {
                is_changed(contested)
                    || is_over(contested) && own().any(|own| own.subscription_id != *id && own.started_at == change.at)
            }
        }
    }

    /// Each subscription, cut where its plan changes.
    fn spans(&mut self) -> Vec<Subscription> {
        let mut spans = Vec::new();
        for (id, started) in std::mem::take(&mut self.started) {
            let mut current = started;
            for (at, plan_id) in self.plans.remove(&id).unwrap_or_default() {
                if at == current.started_at {
                    current.plan_id = plan_id;
                } else if plan_id != current.plan_id {
                    let mut next = Subscription { plan_id, started_at: at, ..current.clone() };
                    next.course.first_started_at.get_or_insert(current.started_at);
                    // What waits for a period waits for that of the plan that is on by then.
                    current.course.endings.retain(|ending| ending.with == EndsWith::Term);
                    spans.push(Subscription { ended_at: Some(at), ..current });
                    current = next;
                }
            }
            spans.push(current);
        }
        spans
    }
}

fn subscription_id_of(event: &LifecycleEvent) -> Option<SubscriptionId> {
    event.text("subscription_id").and_then(|id| SubscriptionId::parse(id).ok())
}

impl Folding {
    pub(super) fn start(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        let subscription_id = subscription_id_of(event);
        let course = Course::of_start(event);
        let wrong_field = event.wrong_fields().first().map(|wrong| wrong.field).or(course.as_ref().err().copied());
        let ids = (
            subscription_id.clone(),
            event.text("plan_id").map(PlanId::parse),
            event.text("time_zone").map(parse_zone).transpose(),
            course,
            wrong_field,
        );
        let (Some(known_id), Some(Ok(plan_id)), Ok(time_zone), Ok(course), None) = ids else {
            let of_course = wrong_field.filter(|field| ["quantity", "term_months", "renewal"].contains(field));
            let what = match (&subscription_id, of_course) {
                (Some(id), Some(field)) => format!("subscription {id} was started with a {field} that is not valid"),
                (Some(id), None) => {
                    format!("subscription {id} was started with a plan id or a time zone that is not valid")
                }
                (None, _) => "a subscription was started with an id that is not valid".to_owned(),
            };
            return self.unusable_start(position, event, partner_id, (subscription_id, false), what);
        };
        let subscription = Subscription {
            subscription_id: known_id.clone(),
            partner_id: partner_id.clone(),
            plan_id,
            time_zone,
            started_at: event.occurred_at,
            ended_at: None,
            course,
        };
        match self.terms.started.get(&known_id) {
            None => {
                self.terms.starts.entry(known_id.clone()).or_default().insert(position.clone());
                self.terms.started.insert(known_id, subscription);
            }
            // The same in other fields that no job reads, or again behind a cancellation.
            Some(started) if *started == subscription => {
                self.terms.starts.entry(known_id).or_default().insert(position.clone());
                self.registry.duplicate_count += 1;
            }
            Some(started) => {
                let what = if started.partner_id == *partner_id {
                    format!(
                        "subscription {known_id} was started twice, with different plan, time zone, quantity, term or instant"
                    )
                } else {
                    format!("subscription {known_id} was started by another partner before")
                };
                self.unusable_start(position, event, partner_id, (subscription_id, true), what);
            }
        }
    }

    fn unusable_start(
        &mut self,
        position: &Position,
        event: &LifecycleEvent,
        partner_id: &PartnerId,
        (subscription_id, is_readable): (Option<SubscriptionId>, bool),
        what: String,
    ) {
        self.find(position, partner_id, Concern::Subscription, what);
        let finding = self.registry.findings.len() - 1;
        self.terms.unusable_starts.push(UnusableStart {
            finding,
            partner_id: partner_id.clone(),
            subscription_id,
            plan_id: event.text("plan_id").and_then(|id| PlanId::parse(id).ok()),
            is_readable,
            at: event.occurred_at,
        });
    }

    /// Applies what needs to know every start, and gives the subscriptions to the registry.
    pub(super) fn conclude_subscriptions(&mut self) {
        for cancel in std::mem::take(&mut self.terms.cancels) {
            self.cancel(&cancel);
        }
        let ended = self.terms.started.iter().filter_map(|(id, own)| Some((id.clone(), own.ended_at?)));
        self.terms.cancelled = ended.collect();
        self.end_offboarded();
        self.conclude_turns();
        let mut unusable = Vec::new();
        for change in std::mem::take(&mut self.terms.changes) {
            if let Err(what) = self.terms.use_change(&change) {
                self.find(&change.position, &change.partner_id, Concern::Subscription, what);
                unusable.push((self.registry.findings.len() - 1, change));
            }
        }
        for (finding, change) in unusable {
            if let Some(finding) = self.registry.findings.get_mut(finding).filter(|_| self.terms.is_settled(&change)) {
                finding.concern = Concern::SettledSubscription;
            }
        }
        self.settle();
        let spans = self.terms.spans();
        let keyed = spans.into_iter().map(|span| ((span.subscription_id.clone(), span.started_at), span));
        self.registry.subscriptions.extend(keyed);
    }

    /// Ends what runs, or what would have run longer: of two ends the earlier one holds, whichever was said first.
    fn cancel(&mut self, cancel: &Cancel) {
        // The field that cannot be read is told.
        let Some(at) = cancel.at else { return };
        let is_meant = |started: &&Subscription| {
            started.partner_id == cancel.partner_id
                && started.started_at <= at
                && started.ended_at.is_none_or(|ended| at <= ended)
        };
        let running = cancel.subscription_id.as_ref().and_then(|id| self.terms.started.get(id)).filter(is_meant);
        let Some(started) = running else {
            let what = match &cancel.subscription_id {
                Some(id) => format!("subscription.cancelled: {id} is no running subscription of the partner"),
                None => "subscription.cancelled: subscription_id is not valid".to_owned(),
            };
            return self.find(&cancel.position, &cancel.partner_id, Concern::Cancellation, what);
        };
        let id = started.subscription_id.clone();
        if started.started_at == at && self.terms.is_started_again(&id, cancel) {
            return;
        }
        if let Some(started) = self.terms.started.get_mut(&id).filter(|started| started.ended_at != Some(at)) {
            started.ended_at = Some(at);
            self.terms.ends_said.insert(id, cancel.said_at);
        }
    }

    /// A start that could not be used is put right by other events, never edited:
    ///
    /// - one that could not be read: by one that can, of the same subscription and no earlier; or of the same instant
    ///   and plan where not even the id could be read;
    /// - one whose id another partner has: by one of the same instant and plan under an id of its own;
    /// - one that contradicts an earlier one: by ending that one (at its own start, if it was the wrong one) and
    ///   starting another at the instant of the later one.
    fn settle(&mut self) {
        for start in &self.terms.unusable_starts {
            let mut own = self.terms.started.values().filter(|own| own.partner_id == start.partner_id);
            let contested = start.subscription_id.as_ref().and_then(|id| self.terms.started.get(id));
            let is_over = |other: &Subscription| other.ended_at.is_some_and(|ended| ended <= start.at);
            let Some(finding) = self.registry.findings.get_mut(start.finding) else { continue };
            let settled = match (&start.subscription_id, contested) {
                // An earlier start of it is what the unreadable one was to change.
                (Some(id), _) if !start.is_readable => {
                    own.any(|own| own.subscription_id == *id && own.started_at >= start.at)
                }
                (_, Some(other)) if other.partner_id == start.partner_id => {
                    is_over(other)
                        && own.any(|own| own.subscription_id != other.subscription_id && own.started_at == start.at)
                }
                // Another plan of the same instant is another subscription.
                _ => own.any(|own| {
                    own.started_at == start.at && start.plan_id.as_ref().is_none_or(|plan_id| own.plan_id == *plan_id)
                }),
            };
            if settled {
                finding.concern = Concern::SettledSubscription;
            }
        }
    }
}
