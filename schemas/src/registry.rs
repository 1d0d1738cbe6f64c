//! The one fold of partner events: events in, partners, identity links and subscriptions as of an instant out.
//!
//! Order is (`occurred_at`, source, partition, offset, index), so arrival order does not matter. A second event
//! with the same (CloudEvents source, id) is a delivery of the first and is dropped. What contradicts itself is
//! kept as a [`Finding`], never guessed: a consumer that two partners claim at once belongs to nobody for that
//! time, and its traffic is `unattributed` (I9).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::id::{PartnerId, PlanId, SubscriptionId};
use crate::lifecycle::LifecycleEvent;
use crate::period::parse_zone;
use crate::source::Source;

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

/// Something that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Partner concerned, if known.
    pub partner_id: Option<PartnerId>,
    /// Where the event is.
    pub position: Position,
    /// What is wrong, in words.
    pub what: String,
    /// Whether a subscription could not be read: then nobody can say what the partner owes.
    pub is_about_subscription: bool,
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

/// One claim on an external id before overlaps are resolved.
#[derive(Debug, Clone)]
struct Claim {
    partner_id: PartnerId,
    environment: Option<Environment>,
    from: DateTime<Utc>,
    to: Option<DateTime<Utc>>,
}

/// Folds events into the registry as of an instant: events that occurred later are not used.
#[must_use]
pub fn fold(mut events: Vec<(Position, LifecycleEvent)>, as_of: Option<DateTime<Utc>>) -> Registry {
    events.sort_by(|(pa, a), (pb, b)| (a.occurred_at, pa).cmp(&(b.occurred_at, pb)));
    let mut folding = Folding::default();
    let mut seen = BTreeSet::new();
    for (position, event) in events {
        if as_of.is_some_and(|as_of| event.occurred_at > as_of) {
            continue;
        }
        if !seen.insert((event.source.clone(), event.id.clone())) {
            folding.registry.duplicate_count += 1;
            continue;
        }
        folding.apply(&position, &event);
    }
    folding.finish()
}

#[derive(Default)]
struct Folding {
    registry: Registry,
    claims: BTreeMap<(LinkSystem, String), Vec<Claim>>,
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
            "subscription.cancelled" => self.cancel(position, event, partner_id),
            _ => {}
        }
    }

    fn find(&mut self, position: &Position, partner_id: &PartnerId, what: String) {
        let is_about_subscription = what.starts_with("subscription");
        let partner_id = Some(partner_id.clone());
        self.registry.findings.push(Finding { partner_id, position: position.clone(), what, is_about_subscription });
    }

    fn environment(&mut self, position: &Position, event: &LifecycleEvent, partner: &PartnerId) -> Option<Environment> {
        let text = event.text("environment").or_else(|| event.text("env"))?;
        let environment = Environment::parse(text);
        if environment.is_none() {
            self.find(
                position,
                partner,
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
                self.find(position, partner_id, "identity.linked: valid_from is not an instant".into());
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
        let ids = (
            event.text("subscription_id").map(SubscriptionId::parse),
            event.text("plan_id").map(PlanId::parse),
            event.text("time_zone").map(parse_zone).transpose(),
        );
        let (Some(Ok(subscription_id)), Some(Ok(plan_id)), Ok(time_zone)) = ids else {
            self.find(position, partner_id, "subscription.started: an id or the time zone is not valid".into());
            return;
        };
        if self.registry.subscriptions.contains_key(&subscription_id) {
            self.find(position, partner_id, format!("subscription {subscription_id} was started twice"));
            return;
        }
        let subscription = Subscription {
            subscription_id: subscription_id.clone(),
            partner_id: partner_id.clone(),
            plan_id,
            time_zone,
            started_at: event.occurred_at,
            ended_at: None,
        };
        self.registry.subscriptions.insert(subscription_id, subscription);
    }

    fn cancel(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        let id = event.text("subscription_id").and_then(|id| SubscriptionId::parse(id).ok());
        match id.as_ref().and_then(|id| self.registry.subscriptions.get_mut(id)) {
            Some(subscription) if subscription.partner_id == *partner_id && subscription.ended_at.is_none() => {
                subscription.ended_at = Some(event.occurred_at);
            }
            _ => self.find(position, partner_id, "subscription.cancelled: no running subscription of that id".into()),
        }
    }

    fn finish(mut self) -> Registry {
        for ((system, external_id), claims) in self.claims {
            self.registry.links.extend(resolve(system, &external_id, &claims));
        }
        self.registry
    }
}

/// Keyed hashes of a credential, `key_id:hash`, as ingest wrote them (one for each valid key).
fn credential_hashes(event: &LifecycleEvent) -> Vec<String> {
    let hashes = event.data.get("credential_hashes").and_then(serde_json::Value::as_array);
    hashes.into_iter().flatten().filter_map(|hash| hash.as_str().map(str::to_owned)).collect()
}

/// Cuts overlapping claims into spans with one owner each; a span that two partners claim has none.
fn resolve(system: LinkSystem, external_id: &str, claims: &[Claim]) -> Vec<IdentityLink> {
    let cuts: BTreeSet<DateTime<Utc>> = claims.iter().flat_map(|c| [Some(c.from), c.to]).flatten().collect();
    let cuts: Vec<_> = cuts.into_iter().collect();
    let mut links: Vec<IdentityLink> = Vec::new();
    for (at, from) in cuts.iter().enumerate() {
        let valid_to = cuts.get(at + 1).copied();
        let live: Vec<&Claim> = claims.iter().filter(|c| c.from <= *from && c.to.is_none_or(|to| *from < to)).collect();
        let Some(first) = live.first() else { continue };
        let one_partner = live.iter().all(|c| c.partner_id == first.partner_id);
        let environments: BTreeSet<Environment> = live.iter().filter_map(|c| c.environment).collect();
        // Claims of one partner for both environments contradict each other too: nobody is charged.
        let agreed = one_partner && environments.len() <= 1;
        let partner_id = agreed.then(|| first.partner_id.clone());
        let environment = if agreed { environments.into_iter().next() } else { None };
        match links.last_mut() {
            Some(last)
                if last.valid_to == Some(*from) && last.partner_id == partner_id && last.environment == environment =>
            {
                last.valid_to = valid_to;
            }
            _ => links.push(IdentityLink {
                system,
                external_id: external_id.to_owned(),
                partner_id,
                environment,
                valid_from: *from,
                valid_to,
            }),
        }
    }
    links
}

#[cfg(test)]
mod tests;
