//! How far an invoice got, folded from its events. Pure: the same events in any order give the same state, and the
//! next action follows from state and time alone.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use tollbook_schemas::id::{InvoiceId, ProfileVersionId};

use super::requests::profile_version_in;
use crate::event::{EventKind, InvoiceEvent};

/// A step at Stripe, in the order in which they are taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Make the customer.
    Customer,
    /// Bring the customer to a version of its partner's profile.
    CustomerProfile(ProfileVersionId),
    /// Make the draft.
    Create,
    /// Add the n-th hundred of lines.
    Lines(u32),
    /// Finalise.
    Finalise,
}

impl Step {
    /// Reads the word in the table; `None` for steps that are not calls.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "customer" => Some(Self::Customer),
            "create" => Some(Self::Create),
            "finalise" => Some(Self::Finalise),
            _ => match text.strip_prefix("customer-") {
                Some(version) => ProfileVersionId::parse(version).ok().map(Self::CustomerProfile),
                None => text.strip_prefix("lines-").and_then(|batch| batch.parse().ok()).map(Self::Lines),
            },
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customer => f.write_str("customer"),
            Self::CustomerProfile(version) => write!(f, "customer-{version}"),
            Self::Create => f.write_str("create"),
            Self::Lines(batch) => write!(f, "lines-{batch}"),
            Self::Finalise => f.write_str("finalise"),
        }
    }
}

/// Where an invoice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// A draft that may be issued.
    Draft,
    /// A draft that may not be issued any more.
    Withdrawn,
    /// An invoice with its number; Stripe knows nothing of it.
    Issued,
    /// Being built at Stripe.
    Sent,
    /// Final at Stripe.
    Finalised,
    /// Final, and collecting it failed.
    PaymentFailed,
    /// Paid.
    Paid,
    /// Its total is 0.
    NothingDue,
    /// Final, and a person gave up collecting it at Stripe.
    Uncollectible,
    /// Final, and voided at Stripe by a person.
    Voided,
}

impl State {
    /// The word in registers and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Withdrawn => "withdrawn",
            Self::Issued => "issued",
            Self::Sent => "sent",
            Self::Finalised => "finalised",
            Self::PaymentFailed => "payment_failed",
            Self::Paid => "paid",
            Self::NothingDue => "nothing_due",
            Self::Uncollectible => "uncollectible",
            Self::Voided => "voided",
        }
    }
}

/// One generation of one step.
#[derive(Debug, Clone, Default)]
struct Attempt {
    frozen: Option<InvoiceEvent>,
    answered: Option<InvoiceEvent>,
}

/// What to do about a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing: it was carried out.
    Done,
    /// Freeze a request; nothing was ever sent.
    Freeze,
    /// Send these frozen bytes again: their key is young enough to be remembered.
    Resend(Box<InvoiceEvent>),
    /// Look at what Stripe holds first, then adopt it or begin the next generation.
    Observe(Option<Box<InvoiceEvent>>),
}

/// The life of one invoice.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The event that issued it.
    pub issued: Option<InvoiceEvent>,
    /// The event that it is final at Stripe.
    pub finalised: Option<InvoiceEvent>,
    /// The event that it was paid.
    pub paid: Option<InvoiceEvent>,
    /// Whether nothing is due.
    pub nothing_due: bool,
    /// Whether a person gave up collecting it.
    pub uncollectible: bool,
    /// Whether it was voided.
    pub voided: bool,
    draft: Option<(u32, bool)>,
    failed_attempts: BTreeMap<u32, InvoiceEvent>,
    steps: BTreeMap<Step, BTreeMap<u32, Attempt>>,
}

impl Ledger {
    /// Folds events into the ledger of each invoice.
    #[must_use]
    pub fn fold(events: &[InvoiceEvent]) -> BTreeMap<InvoiceId, Self> {
        let mut ledgers: BTreeMap<InvoiceId, Self> = BTreeMap::new();
        for event in events {
            ledgers.entry(event.invoice_id.clone()).or_default().apply(event);
        }
        ledgers
    }

    /// Takes one more event.
    pub fn apply(&mut self, event: &InvoiceEvent) {
        match event.kind {
            EventKind::Drafted | EventKind::Withdrawn => {
                // The later generation decides; within one, a withdrawal follows the draft.
                let new = (event.generation, event.kind == EventKind::Drafted);
                let newer = self
                    .draft
                    .is_none_or(|(generation, live)| new.0 > generation || (new.0 == generation && live && !new.1));
                if newer {
                    self.draft = Some(new);
                }
            }
            EventKind::Issued => self.issued = Some(event.clone()),
            EventKind::Finalised => self.finalised = Some(event.clone()),
            EventKind::Paid => self.paid = Some(event.clone()),
            EventKind::NothingDue => self.nothing_due = true,
            EventKind::Uncollectible => self.uncollectible = true,
            EventKind::Voided => self.voided = true,
            // What is held or approved is a draft still: `hold` folds these.
            EventKind::Held | EventKind::Released | EventKind::Approved => {}
            EventKind::PaymentFailed => {
                self.failed_attempts.insert(event.generation, event.clone());
            }
            EventKind::Frozen | EventKind::Answered => {
                let Some(step) = Step::parse(&event.step) else { return };
                let attempt = self.steps.entry(step).or_default().entry(event.generation).or_default();
                match event.kind {
                    EventKind::Frozen => attempt.frozen = Some(event.clone()),
                    _ => attempt.answered = Some(event.clone()),
                }
            }
        }
    }

    /// Where the invoice stands.
    #[must_use]
    pub fn state(&self) -> State {
        if self.paid.is_some() {
            State::Paid
        } else if self.voided {
            State::Voided
        } else if self.uncollectible {
            State::Uncollectible
        } else if !self.failed_attempts.is_empty() {
            State::PaymentFailed
        } else if self.finalised.is_some() {
            State::Finalised
        } else if self.nothing_due {
            State::NothingDue
        } else if !self.steps.is_empty() {
            State::Sent
        } else if self.issued.is_some() {
            State::Issued
        } else if self.draft.is_some_and(|(_, live)| live) {
            State::Draft
        } else {
            State::Withdrawn
        }
    }

    /// The answer that carried a step out.
    #[must_use]
    pub fn done(&self, step: &Step) -> Option<&InvoiceEvent> {
        self.steps.get(step)?.values().rev().filter_map(|attempt| attempt.answered.as_ref()).find(|a| is_success(a))
    }

    /// The id of the invoice at Stripe.
    #[must_use]
    pub fn stripe_invoice(&self) -> Option<&str> {
        self.done(&Step::Create)?.stripe_id.as_deref()
    }

    /// What Stripe refused last, in words, while nothing came after it.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let (step, attempts) = self.steps.last_key_value()?;
        if self.done(step).is_some() {
            return None;
        }
        attempts.values().next_back()?.answered.as_ref()?.detail.as_deref()
    }

    /// Whether a failed attempt to collect is recorded.
    #[must_use]
    pub fn knows_failed_attempt(&self, attempt: u32) -> bool {
        self.failed_attempts.contains_key(&attempt)
    }

    /// The versions of the partner's profile that the customer was given, of which this ledger has the steps.
    pub(crate) fn profiles_given(&self) -> impl Iterator<Item = ProfileVersionId> {
        let created = self.done(&Step::Customer).and_then(|answered| self.frozen(&Step::Customer, answered.generation));
        let created = created.and_then(|frozen| profile_version_in(frozen.request_body.as_deref()?));
        created.into_iter().chain(self.profile_steps().filter(|(step, _)| self.done(step).is_some()).map(|(_, id)| id))
    }

    /// The versions that the customer may be given yet: frozen, and neither answered nor seen.
    pub(crate) fn profiles_under_way(&self) -> impl Iterator<Item = ProfileVersionId> {
        let is_open = |step: &Step| {
            let last = self.steps.get(step).and_then(BTreeMap::last_key_value);
            self.done(step).is_none() && last.is_some_and(|(_, last)| last.answered.is_none())
        };
        self.profile_steps().filter(move |(step, _)| is_open(step)).map(|(_, id)| id)
    }

    fn profile_steps(&self) -> impl Iterator<Item = (&Step, ProfileVersionId)> {
        self.steps.keys().filter_map(|step| match step {
            Step::CustomerProfile(version) => Some((step, version.clone())),
            _ => None,
        })
    }

    /// The Stripe accounts that requests were frozen for.
    pub(crate) fn account_keys(&self) -> impl Iterator<Item = &str> {
        let frozen = self.steps.values().flat_map(BTreeMap::values).filter_map(|attempt| attempt.frozen.as_ref());
        frozen.filter_map(|event| event.stripe_account_key.as_deref())
    }

    /// The frozen request of a generation.
    pub(crate) fn frozen(&self, step: &Step, generation: u32) -> Option<&InvoiceEvent> {
        self.steps.get(step)?.get(&generation)?.frozen.as_ref()
    }

    /// Whether a generation has a refusal on record.
    pub(crate) fn refusal_at(&self, step: &Step, generation: u32) -> bool {
        let attempt = self.steps.get(step).and_then(|attempts| attempts.get(&generation));
        attempt.and_then(|attempt| attempt.answered.as_ref()).is_some_and(|answered| !is_success(answered))
    }

    /// The next generation of a step.
    pub(crate) fn next_generation(&self, step: &Step) -> u32 {
        self.steps.get(step).and_then(BTreeMap::last_key_value).map_or(0, |(generation, _)| generation + 1)
    }

    /// What to do about a step now.
    pub(crate) fn plan(&self, step: &Step, now: DateTime<Utc>, resend_for: TimeDelta) -> Plan {
        if self.done(step).is_some() {
            return Plan::Done;
        }
        let Some((_, last)) = self.steps.get(step).and_then(BTreeMap::last_key_value) else { return Plan::Freeze };
        match (&last.frozen, &last.answered) {
            (Some(frozen), None) if now - frozen.at <= resend_for => Plan::Resend(Box::new(frozen.clone())),
            (frozen, _) => Plan::Observe(frozen.clone().map(Box::new)),
        }
    }
}

/// An answer without a status is an observation: Stripe was seen to hold the result.
fn is_success(answered: &InvoiceEvent) -> bool {
    answered.stripe_id.is_some() && answered.http_status.is_none_or(|status| (200..300).contains(&status))
}

#[cfg(test)]
#[path = "ledger/tests.rs"]
mod tests;
