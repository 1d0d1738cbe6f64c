//! The partners of the simulated program: who they are, how far they got, and when.
//!
//! Takes a seed and a size, gives a [`World`] that is the same for the same settings on any machine. The first eight
//! partners are a fixed cast, so that every situation the demo has to show occurs at any size; the rest are drawn.

mod cast;
mod names;
mod schedule;

use std::fmt;

use chrono::{DateTime, Utc};
use tollbook_schemas::period::Month;

use crate::calendar::{NOW, Zone, as_utc};
use crate::dice::{Dice, Purpose};
use crate::lifecycle;
use crate::pricing::Plan;
use crate::profile::{self, BillingProfile};
use crate::traffic::Traffic;

pub(crate) use cast::{Archetype, EARLY_CALLER, ONE_CONSUMER, PAYING_CONSUMER, PAYING_CREDENTIAL, RETRACTING};

/// Size and seed of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Same seed, same bytes.
    pub seed: u64,
    /// At least this many distinct requests.
    pub events: u64,
    /// Partners; fewer than 8 are 8.
    pub partners: u32,
    /// Partitions of the access topic; fewer than 1 are 1.
    pub partitions: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seed: 1, events: 200_000, partners: 40, partitions: 4 }
    }
}

/// Environment of a request or link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Environment {
    Sandbox,
    Production,
}

impl Environment {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }
}

/// A raw credential. Made up, but handled as a real one would be: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credential(pub String);

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(***)")
    }
}

/// A span of instants: `from` belongs to it, `to` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub from: i64,
    pub to: i64,
}

impl Span {
    pub(crate) fn holds(self, instant: i64) -> bool {
        (self.from..self.to).contains(&instant)
    }
}

/// What a record says about the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// Always: nothing else tells.
    Always,
    /// In one of four records; the link tells anyway.
    Sometimes,
}

/// How the traffic of one partner and environment is known, from `linked_at` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub environment: Environment,
    pub traffic: Span,
    /// When the link or credential begins.
    pub linked_at: i64,
    /// When the event of the consumer link was recorded; later than `linked_at` for the late registration.
    pub recorded_at: i64,
    /// Consumer name in the records.
    pub consumer: Option<String>,
    /// Whether a link names that consumer; where not, only the credential tells whose it is.
    pub consumer_linked: bool,
    /// Whether that link names the environment.
    pub link_names_environment: bool,
    pub credential: Option<Credential>,
    /// A second credential that replaces the first.
    pub rotation: Option<Rotation>,
    pub says: Says,
}

/// A change of credentials with an overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rotation {
    pub credential: Credential,
    pub issued_at: i64,
    /// Records carry the new one from here on.
    pub used_from: i64,
    pub revoked_at: i64,
}

impl Access {
    /// The credential that a request at an instant carries.
    pub(crate) fn credential_at(&self, instant: i64) -> Option<&Credential> {
        match &self.rotation {
            Some(rotation) if rotation.used_from <= instant => Some(&rotation.credential),
            _ => self.credential.as_ref(),
        }
    }
}

/// A subscription.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Subscription {
    pub id: String,
    pub plan: &'static Plan,
    /// Zone that the event names; the issuer's zone applies where it names none.
    pub zone: Option<Zone>,
    pub started_at: i64,
    pub ended_at: Option<i64>,
}

impl Subscription {
    /// Zone whose months are the billing periods.
    pub(crate) fn billing_zone(&self) -> Zone {
        self.zone.unwrap_or(self.plan.issuer_zone)
    }

    /// What the invoice for June covers; `None` where nothing of June is left.
    pub(crate) fn billed(&self) -> Option<Span> {
        self.ran_in(self.billing_zone().june())
    }

    /// The same for July.
    pub(crate) fn billed_in_july(&self) -> Option<Span> {
        self.ran_in(self.billing_zone().july())
    }

    fn ran_in(&self, (start, end): (i64, i64)) -> Option<Span> {
        let (from, to) = (start.max(self.started_at), self.ended_at.map_or(end, |ended| ended.min(end)));
        (from < to).then_some(Span { from, to })
    }
}

/// One partner.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Partner {
    pub id: String,
    pub display_name: String,
    pub archetype: Archetype,
    pub zone: Zone,
    /// Thousandths of the median partner.
    pub weight: u64,
    pub registered_at: i64,
    pub sandbox: Option<Access>,
    pub production: Option<Access>,
    pub subscription: Option<Subscription>,
    pub offboarded_at: Option<i64>,
    pub is_internal: bool,
    /// Its gateway sends arrays of records.
    pub sends_arrays: bool,
    /// Its gateway writes local times with an offset.
    pub writes_local_time: bool,
}

impl Partner {
    pub(crate) fn access(&self, environment: Environment) -> Option<&Access> {
        match environment {
            Environment::Sandbox => self.sandbox.as_ref(),
            Environment::Production => self.production.as_ref(),
        }
    }
}

/// A simulated partner program.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    pub(crate) settings: Settings,
    pub(crate) partners: Vec<Partner>,
}

/// Draws a world.
#[must_use]
pub fn world(settings: &Settings) -> World {
    let mut settings = settings.clone();
    settings.partners = settings.partners.max(cast::SIZE);
    settings.partitions = settings.partitions.max(1);
    let mut dice = Dice::new(settings.seed, Purpose::World);
    let mut names = names::Names::new(&mut dice);
    let mut partners = Vec::new();
    for index in 0..settings.partners {
        let part = cast::part(index, settings.partners, &mut dice);
        partners.push(schedule::partner(index, part, names.next_name(), &mut dice));
    }
    World { settings, partners }
}

impl World {
    /// The demo's clock: 2026-07-02T06:00:00Z.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        as_utc(NOW)
    }

    /// The demo's clock when the month after is closed: 2026-08-02T06:00:00Z.
    #[must_use]
    pub fn later(&self) -> DateTime<Utc> {
        as_utc(crate::sequel::NOW)
    }

    /// The month that is billed: 2026-06.
    #[must_use]
    pub fn month(&self) -> Month {
        Month::of(self.now(), chrono_tz::UTC).previous()
    }

    /// The catalog's files, as name and text.
    #[must_use]
    pub fn catalog_files(&self) -> Vec<(String, String)> {
        crate::catalog::FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    /// Who is billed and where, one for each partner. Made up, and never part of an event.
    #[must_use]
    pub fn billing_profiles(&self) -> Vec<BillingProfile> {
        profile::profiles(self)
    }

    /// Messages of the lifecycle topic (partition 0), in produce order.
    #[must_use]
    pub fn lifecycle_messages(&self) -> Vec<crate::Message> {
        lifecycle::deliveries(self).messages
    }

    /// Messages of the access topic, in produce order, and the ledger that grows with them.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic::new(self.clone())
    }
}

#[cfg(test)]
mod tests;
