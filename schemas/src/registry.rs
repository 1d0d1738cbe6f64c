//! The one fold of partner events: events in, partners, identity links and subscriptions as of an instant out.
//!
//! Order is (`occurred_at`, source, partition, offset, index), so arrival order does not matter. A second event
//! with the same (CloudEvents source, id) is a delivery of the first and is dropped; so is one that says the same of
//! the same instant under another id, because a file that was edited is imported again. What contradicts itself is
//! kept as a [`Finding`], never guessed: a consumer that two partners claim at once belongs to nobody for that
//! time, and its traffic is `unattributed` (I9). A finding blocks billing only while nobody can say what the partner
//! owes, see [`Concern`].

mod claims;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::id::{PartnerId, PlanId, SubscriptionId};
use crate::lifecycle::{KNOWN_TYPES, LifecycleEvent};
use crate::period::parse_zone;
use crate::source::Source;
use crate::tables::Row;

use claims::{Claim, credential_hashes, resolve};

/// Where an event was read: the tie-break of the fold, and its evidence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Source.
    pub source: Source,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Index in the message.
    pub index: i32,
}

impl Position {
    /// Reads the place of a row of `partner_event`.
    ///
    /// # Errors
    /// The column that is missing or damaged.
    pub fn from_row(row: &Row) -> Result<Self, &'static str> {
        Ok(Self {
            source: row.text("source").and_then(|source| Source::parse(source).ok()).ok_or("source")?,
            partition: small(row, "kafka_partition")?,
            offset: row.int("kafka_offset").ok_or("kafka_offset")?,
            index: small(row, "record_index")?,
        })
    }
}

fn small(row: &Row, column: &'static str) -> Result<i32, &'static str> {
    row.int(column).and_then(|int| i32::try_from(int).ok()).ok_or(column)
}

/// Sandbox and production are told apart everywhere (I8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Environment {
    /// Billed.
    Production,
    /// Never billed.
    Sandbox,
}

impl Environment {
    /// The word in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Sandbox => "sandbox",
        }
    }

    /// Reads the word; anything else is not an environment.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "production" => Some(Self::Production),
            "sandbox" => Some(Self::Sandbox),
            _ => None,
        }
    }
}

/// One partner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partner {
    /// Name for reports.
    pub display_name: Option<String>,
    /// Segment.
    pub segment: Option<String>,
    /// Staff reference.
    pub owner: Option<String>,
    /// First registration.
    pub registered_at: Option<DateTime<Utc>>,
    /// Offboarding that still holds.
    pub offboarded_at: Option<DateTime<Utc>>,
    /// One of our own.
    pub is_internal: bool,
    /// For tests only.
    pub is_test: bool,
    /// Events seen.
    pub event_count: i64,
}

/// What an identity link is keyed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkSystem {
    /// The consumer name of the gateway.
    Consumer,
    /// Key id and keyed hash of a credential.
    Credential,
}

impl LinkSystem {
    /// The word in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Credential => "credential",
        }
    }
}

/// A span of time in which one external id belongs to one partner; `partner_id` is `None` where two claim it.
/// Spans of one external id never overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityLink {
    /// What it is keyed by.
    pub system: LinkSystem,
    /// Consumer name, or `key_id:hash`.
    pub external_id: String,
    /// Whose it is.
    pub partner_id: Option<PartnerId>,
    /// Environment, where the link says so and all claims agree.
    pub environment: Option<Environment>,
    /// First instant.
    pub valid_from: DateTime<Utc>,
    /// First instant after it.
    pub valid_to: Option<DateTime<Utc>>,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Id.
    pub subscription_id: SubscriptionId,
    /// Subscriber.
    pub partner_id: PartnerId,
    /// Plan of the catalog.
    pub plan_id: PlanId,
    /// Zone whose months are the billing periods; `None` where the issuer's zone applies.
    pub time_zone: Option<Tz>,
    /// First instant.
    pub started_at: DateTime<Utc>,
    /// First instant after it.
    pub ended_at: Option<DateTime<Utc>>,
}

/// What a finding is about, and so whether the partner can be billed in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// A start that could not be used, and nothing says yet what was meant: what the partner owes is not known.
    Subscription,
    /// A start that could not be used, and that was put right: the registry's `settle` has the rules.
    SettledSubscription,
    /// A cancellation that ends nothing. What runs is known, so it is billed; whoever meant to end it must say so.
    Cancellation,
    /// An identity link or an environment.
    Link,
}

/// Something that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Partner concerned, if known.
    pub partner_id: Option<PartnerId>,
    /// Where the event is.
    pub position: Position,
    /// What is wrong, in words.
    pub what: String,
    /// What it is about.
    pub concern: Concern,
}

impl Finding {
    /// Whether nobody can say what the partner owes until it is put right.
    #[must_use]
    pub fn blocks_billing(&self) -> bool {
        self.concern == Concern::Subscription
    }
}

/// The state of the program as of an instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    /// Partners by id.
    pub partners: BTreeMap<PartnerId, Partner>,
    /// Links, by system, external id and time; never overlapping.
    pub links: Vec<IdentityLink>,
    /// Subscriptions by id.
    pub subscriptions: BTreeMap<SubscriptionId, Subscription>,
    /// Contradictions.
    pub findings: Vec<Finding>,
    /// Deliveries of events already seen.
    pub duplicate_count: usize,
}

/// Folds events into the registry as of an instant: events that occurred later are not used.
#[must_use]
pub fn fold(mut events: Vec<(Position, LifecycleEvent)>, as_of: Option<DateTime<Utc>>) -> Registry {
    events.sort_by(|(pa, a), (pb, b)| (a.occurred_at, pa).cmp(&(b.occurred_at, pb)));
    let mut folding = Folding::default();
    let mut seen = BTreeSet::new();
    let mut said = Said::default();
    for (position, event) in events {
        if as_of.is_some_and(|as_of| event.occurred_at > as_of) {
            continue;
        }
        if !seen.insert((event.source.clone(), event.id.clone())) {
            folding.registry.duplicate_count += 1;
            continue;
        }
        if !said.insert(&event) {
            folding.registry.duplicate_count += 1;
            continue;
        }
        folding.apply(&position, &event);
    }
    folding.finish()
}

/// What was said of each partner and instant, whatever its id.
#[derive(Default)]
struct Said(BTreeMap<(String, Option<PartnerId>, DateTime<Utc>), Vec<String>>);

impl Said {
    /// Notes what an event says; `false` where it was said before.
    fn insert(&mut self, event: &LifecycleEvent) -> bool {
        let kind = event.event_type.as_str();
        // What the fold does not know is only counted: two calls of one instant may be two.
        if kind == "cost.recorded" || !KNOWN_TYPES.contains(&kind) {
            return true;
        }
        let key = (event.event_type.clone(), event.partner_id.clone(), event.occurred_at);
        let (said, data) = (self.0.entry(key).or_default(), event.data_json());
        // Of registrations the last one counts: a name may go back to what it was.
        let known = if kind == "registered" { said.last() == Some(&data) } else { said.contains(&data) };
        said.push(data);
        !known
    }
}

#[derive(Default)]
struct Folding {
    registry: Registry,
    claims: BTreeMap<(LinkSystem, String), Vec<Claim>>,
    cancels: Vec<Cancel>,
    unusable: Vec<UnusableStart>,
}

/// A cancellation; applied when all starts are known, because a start of the same instant may be sorted behind it.
#[derive(Debug)]
struct Cancel {
    position: Position,
    partner_id: PartnerId,
    subscription_id: Option<SubscriptionId>,
    at: DateTime<Utc>,
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

impl Folding {
    fn apply(&mut self, position: &Position, event: &LifecycleEvent) {
        let Some(partner_id) = &event.partner_id else { return };
        let partner = self.registry.partners.entry(partner_id.clone()).or_default();
        partner.event_count += 1;
        match event.event_type.as_str() {
            "registered" => {
                // A second registration is an attempt of a returning partner; the first one starts the funnel.
                partner.registered_at.get_or_insert(event.occurred_at);
                partner.display_name = event.text("display_name").map(str::to_owned).or(partner.display_name.take());
                partner.segment = event.text("segment").map(str::to_owned).or(partner.segment.take());
                partner.owner = event.text("owner").map(str::to_owned).or(partner.owner.take());
                partner.is_internal |= event.data.get("is_internal") == Some(&true.into());
                partner.is_test |= event.data.get("is_test") == Some(&true.into());
            }
            "offboarded" => partner.offboarded_at = Some(event.occurred_at),
            "reactivated" => partner.offboarded_at = None,
            "identity.linked" => self.link(position, event, partner_id),
            "credential.issued" => self.issue(position, event, partner_id),
            "credential.revoked" => self.revoke(event, partner_id),
            "subscription.started" => self.start(position, event, partner_id),
            "subscription.cancelled" => self.cancels.push(Cancel::of(position, event, partner_id)),
            _ => {}
        }
    }

    fn find(&mut self, position: &Position, partner_id: &PartnerId, concern: Concern, what: String) {
        let partner_id = Some(partner_id.clone());
        self.registry.findings.push(Finding { partner_id, position: position.clone(), what, concern });
    }

    fn environment(&mut self, position: &Position, event: &LifecycleEvent, partner: &PartnerId) -> Option<Environment> {
        let text = event.text("environment").or_else(|| event.text("env"))?;
        let environment = Environment::parse(text);
        if environment.is_none() {
            self.find(
                position,
                partner,
                Concern::Link,
                format!("{}: environment is neither production nor sandbox", event.event_type),
            );
        }
        environment
    }

    fn link(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        // Links to a CRM or to Stripe do not attribute traffic.
        if event.text("system") != Some("gateway") {
            return;
        }
        let Some(external_id) = event.text("external_id").map(str::to_owned) else { return };
        let environment = self.environment(position, event, partner_id);
        // A link may say when it began before it was recorded: that is how a late registration takes its traffic.
        let from = match event.text("valid_from").map(crate::period::parse_instant) {
            None => event.occurred_at,
            Some(Ok(from)) => from,
            Some(Err(_)) => {
                self.find(position, partner_id, Concern::Link, "identity.linked: valid_from is not an instant".into());
                return;
            }
        };
        let claim = Claim { partner_id: partner_id.clone(), environment, from, to: None };
        self.claims.entry((LinkSystem::Consumer, external_id)).or_default().push(claim);
    }

    fn issue(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        let environment = self.environment(position, event, partner_id);
        for hash in credential_hashes(event) {
            let claim = Claim { partner_id: partner_id.clone(), environment, from: event.occurred_at, to: None };
            self.claims.entry((LinkSystem::Credential, hash)).or_default().push(claim);
        }
    }

    fn revoke(&mut self, event: &LifecycleEvent, partner_id: &PartnerId) {
        for hash in credential_hashes(event) {
            for claim in self.claims.entry((LinkSystem::Credential, hash)).or_default() {
                if claim.partner_id == *partner_id && claim.to.is_none() {
                    claim.to = Some(event.occurred_at);
                }
            }
        }
    }

    fn start(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        let subscription_id = event.text("subscription_id").and_then(|id| SubscriptionId::parse(id).ok());
        let ids = (
            subscription_id.clone(),
            event.text("plan_id").map(PlanId::parse),
            event.text("time_zone").map(parse_zone).transpose(),
        );
        let (Some(known_id), Some(Ok(plan_id)), Ok(time_zone)) = ids else {
            let what = match &subscription_id {
                Some(id) => format!("subscription {id} was started with a plan id or a time zone that is not valid"),
                None => "a subscription was started with an id that is not valid".to_owned(),
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
        };
        match self.registry.subscriptions.get(&known_id) {
            None => {
                self.registry.subscriptions.insert(known_id, subscription);
            }
            // The same in other fields that no job reads.
            Some(started) if *started == subscription => self.registry.duplicate_count += 1,
            Some(started) => {
                let what = if started.partner_id == *partner_id {
                    format!("subscription {known_id} was started twice, with different plan, time zone or instant")
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
        self.unusable.push(UnusableStart {
            finding,
            partner_id: partner_id.clone(),
            subscription_id,
            plan_id: event.text("plan_id").and_then(|id| PlanId::parse(id).ok()),
            is_readable,
            at: event.occurred_at,
        });
    }

    fn cancel(&mut self, cancel: &Cancel) {
        let subscription = cancel.subscription_id.as_ref().and_then(|id| self.registry.subscriptions.get_mut(id));
        match subscription {
            Some(subscription)
                if subscription.partner_id == cancel.partner_id
                    && subscription.ended_at.is_none()
                    && subscription.started_at <= cancel.at =>
            {
                subscription.ended_at = Some(cancel.at);
            }
            _ => {
                let what = match &cancel.subscription_id {
                    Some(id) => format!("subscription.cancelled: {id} is no running subscription of the partner"),
                    None => "subscription.cancelled: subscription_id is not valid".to_owned(),
                };
                self.find(&cancel.position, &cancel.partner_id, Concern::Cancellation, what);
            }
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
        for start in &self.unusable {
            let mut own = self.registry.subscriptions.values().filter(|own| own.partner_id == start.partner_id);
            let contested = start.subscription_id.as_ref().and_then(|id| self.registry.subscriptions.get(id));
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

    fn finish(mut self) -> Registry {
        for cancel in std::mem::take(&mut self.cancels) {
            self.cancel(&cancel);
        }
        self.settle();
        for ((system, external_id), claims) in self.claims {
            self.registry.links.extend(resolve(system, &external_id, &claims));
        }
        self.registry
    }
}

impl Cancel {
    fn of(position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) -> Self {
        Self {
            position: position.clone(),
            partner_id: partner_id.clone(),
            subscription_id: event.text("subscription_id").and_then(|id| SubscriptionId::parse(id).ok()),
            at: event.occurred_at,
        }
    }
}

#[cfg(test)]
mod tests;
