//! The one fold of partner events: events in, partners, identity links and subscriptions as of an instant out.
//!
//! **The order is total and does not depend on when anything arrived.** Events follow each other by `occurred_at`;
//! those of one instant by their place (source, partition, offset, index), and what a person records ([`RECORD`])
//! behind all others, because it corrects them. So of several changes of one thing at one instant the last one wins.
//! Within a source and partition that is the one of the highest offset, which is the order in which it was said.
//! Between sources it is the one whose name sorts last, which is a choice, but the same one every time.
//!
//! A second event with the same (CloudEvents source, id) is a delivery of the first and is dropped. So is one under
//! another id that says again what was said last of the same thing and instant, because a file that was edited is
//! imported again.
//!
//! What contradicts itself is kept as a [`Finding`], never guessed. A consumer that two partners claim at once belongs
//! to nobody for that time, and its traffic is `unattributed` (I9). So does what a link claims whose environment cannot
//! be read (I8). A field that cannot be read is never taken for one that is not there: ingest refuses it
//! (`lifecycle::fields`), and here, where an older version stored it, it is a finding. A finding blocks billing only
//! while nobody can say what the partner owes, see [`Concern`].

mod adjustments;
mod claims;
mod contracts;
mod coupons;
mod course;
mod credits;
mod cut;
mod going_live;
mod offboarding;
mod payers;
mod said;
mod subscriptions;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use crate::id::{AdjustmentId, CreditId, PartnerId, PlanId, SubscriptionId};
use crate::lifecycle::{LifecycleEvent, WrongField};
use crate::period::parse_instant;
use crate::source::Source;
use crate::tables::Row;

use adjustments::Adjustments;
use claims::{Claim, resolve};
use contracts::Signatures;
use coupons::Redemptions;
use credits::Credits;
use going_live::Beside;
use offboarding::Offboarding;
use payers::Named;
use subscriptions::Terms;

pub use adjustments::{HandMade, Revoked};
pub use contracts::{ContractError, InForce, SignedContract, contract_in_force};
pub use coupons::RedeemedCoupon;
pub use course::{Course, Ending, EndsWith, Pause, Renewal, Term};
pub(crate) use course::{RENEWAL, TERM_MONTHS_MAX, WHEN};
pub use credits::Grant;
pub use going_live::{GoingLive, Opening, OpeningOf};
pub use payers::Payers;
pub use said::{RECORD, is_said};

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

/// One subscription for as long as its plan stays the same: where the plan changes, one ends and the next one begins
/// under the same id.
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
    /// First instant on this plan.
    pub started_at: DateTime<Utc>,
    /// First instant after it: of the subscription, or of its next plan. A cancellation or term that ends with its
    /// period is in `course`, and ends it earlier (`schedule::ends_at`).
    pub ended_at: Option<DateTime<Utc>>,
    /// Units, pauses, term, and ends that wait.
    pub course: Course,
}

/// What a finding is about, and so whether the partner can be billed in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// A start or change, or a signature, that could not be used, and nothing says yet what was meant: what the partner
    /// owes is not known.
    Subscription,
    /// A start or change that could not be used, and that was put right: the registry's `settle` has the rules.
    SettledSubscription,
    /// A line by hand, or a prepaid credit, that cannot be read or contradicts another: what the partner owes is not
    /// known until it is revoked or voided.
    Adjustment,
    /// A cancellation, or the end of a contract, that ends nothing; a pause, resumption or renewal that changes
    /// nothing. What runs is known, so it is billed; whoever meant something else must say so.
    Cancellation,
    /// An identity link or an environment.
    Link,
    /// What a registration or reactivation says of the partner.
    Partner,
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
        matches!(self.concern, Concern::Subscription | Concern::Adjustment)
    }
}

/// The state of the program as of an instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    /// Partners by id.
    pub partners: BTreeMap<PartnerId, Partner>,
    /// Links, by system, external id and time; never overlapping.
    pub links: Vec<IdentityLink>,
    /// Subscriptions by id and first instant on their plan; those of one id never overlap.
    pub subscriptions: BTreeMap<(SubscriptionId, DateTime<Utc>), Subscription>,
    /// Charges and credits made by hand, those that were taken back too.
    pub adjustments: BTreeMap<AdjustmentId, HandMade>,
    /// Contracts by partner, id, subscription and first instant; those of one key never overlap.
    pub contracts: Vec<SignedContract>,
    /// Partners that another system billed before, from when on they are billed here, and what it billed of that
    /// period.
    pub going_live: BTreeMap<PartnerId, GoingLive>,
    /// Coupons by partner, first instant, id and subscription.
    pub coupons: Vec<RedeemedCoupon>,
    /// Prepaid credits that were granted, those that were voided too.
    pub credits: BTreeMap<CreditId, Grant>,
    /// Partners for which another pays, or did.
    pub payers: BTreeMap<PartnerId, Payers>,
    /// The same by who pays: for whom, at whatever time.
    pub pays_for: BTreeMap<PartnerId, BTreeSet<PartnerId>>,
    /// Contradictions.
    pub findings: Vec<Finding>,
    /// Deliveries of events already seen.
    pub duplicate_count: usize,
}

impl Registry {
    /// The subscriptions of a partner, by id and start.
    pub fn subscriptions_of(&self, partner_id: &PartnerId) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.values().filter(move |subscription| subscription.partner_id == *partner_id)
    }
}

/// Folds events into the registry as of an instant: events that occurred later are not used.
#[must_use]
pub fn fold(mut events: Vec<(Position, LifecycleEvent)>, as_of: Option<DateTime<Utc>>) -> Registry {
    events.retain(|(_, event)| as_of.is_none_or(|as_of| event.occurred_at <= as_of));
    let mut folding = Folding::default();
    let all = events.len();
    let new = said::in_order(&events);
    folding.registry.duplicate_count = all - new.len();
    for (position, event) in new {
        folding.apply(position, event);
    }
    folding.finish()
}

/// A field that should be an instant and is none.
struct NoInstant;

/// An instant that an event's data name beside its own time; a number or another text is none.
fn instant_of(event: &LifecycleEvent, field: &str) -> Result<Option<DateTime<Utc>>, NoInstant> {
    match event.data.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => parse_instant(text).map(Some).map_err(|_| NoInstant),
        Some(_) => Err(NoInstant),
    }
}

#[derive(Default)]
struct Folding {
    registry: Registry,
    claims: BTreeMap<(LinkSystem, String), Vec<Claim>>,
    terms: Terms,
    adjustments: Adjustments,
    signatures: Signatures,
    beside: Beside,
    redemptions: Redemptions,
    credits: Credits,
    payers: Named,
    offboardings: BTreeMap<PartnerId, Vec<Offboarding>>,
}

impl Folding {
    fn apply(&mut self, position: &Position, event: &LifecycleEvent) {
        let Some(partner_id) = &event.partner_id else { return };
        let partner = self.registry.partners.entry(partner_id.clone()).or_default();
        partner.event_count += 1;
        let wrong_finding = self.find_wrong_fields(position, event, partner_id);
        let partner = self.registry.partners.entry(partner_id.clone()).or_default();
        match event.event_type.as_str() {
            "registered" => {
                // A second registration is an attempt of a returning partner; the first one starts the funnel.
                partner.registered_at.get_or_insert(event.occurred_at);
                partner.display_name = event.text("display_name").map(str::to_owned).or(partner.display_name.take());
                partner.segment = event.text("segment").map(str::to_owned).or(partner.segment.take());
                partner.owner = event.text("owner").map(str::to_owned).or(partner.owner.take());
                // Of what is said the last counts, so that a mistake can be taken back; what is not said stays.
                let flag = |field: &str, was: bool| event.data.get(field).and_then(|is| is.as_bool()).unwrap_or(was);
                partner.is_internal = flag("is_internal", partner.is_internal);
                partner.is_test = flag("is_test", partner.is_test);
            }
            "offboarded" => self.offboard(event, partner_id, wrong_finding),
            "reactivated" => self.reactivate(event, partner_id),
            "identity.linked" => self.link(position, event, partner_id),
            "identity.unlinked" => self.unlink(position, event, partner_id),
            "credential.issued" => self.issue(event, partner_id),
            "credential.revoked" => self.revoke(position, event, partner_id),
            "subscription.started" => self.start(position, event, partner_id),
            "subscription.changed" => self.terms.note_change(position, event, partner_id),
            "subscription.cancelled" if course::ends_with(event).is_none() => {
                self.terms.note_cancel(position, event, partner_id);
            }
            "subscription.cancelled" | "subscription.paused" | "subscription.resumed" | "subscription.renewed" => {
                self.note_turn(position, event, partner_id);
            }
            "contract.signed" | "contract.ended" => self.sign(position, event, partner_id),
            "billing.started" => self.start_billing(position, event, partner_id),
            "opening.recorded" => self.open(position, event, partner_id),
            "coupon.redeemed" | "coupon.withdrawn" => self.redeem(position, event, partner_id),
            "credit.granted" => self.grant(position, event, partner_id),
            "credit.voided" => self.void_credit(position, event, partner_id),
            "payer.named" | "payer.ended" => self.name_payer(position, event, partner_id),
            "adjustment.made" => self.make_adjustment(position, event, partner_id),
            "adjustment.revoked" => self.revoke_adjustment(position, event, partner_id),
            _ => {}
        }
    }

    /// Tells the fields that cannot be read; gives the place of the last finding. What is wrong with a start or a
    /// change is told with what becomes of it.
    fn find_wrong_fields(
        &mut self,
        position: &Position,
        event: &LifecycleEvent,
        partner_id: &PartnerId,
    ) -> Option<usize> {
        let concern = match event.event_type.as_str() {
            "registered" | "reactivated" => Concern::Partner,
            // Until when the last bill goes is not known.
            "offboarded" => Concern::Subscription,
            "subscription.cancelled" | "subscription.paused" | "subscription.resumed" | "subscription.renewed" => {
                Concern::Cancellation
            }
            "identity.linked" | "identity.unlinked" | "credential.issued" | "credential.revoked" => Concern::Link,
            _ => return None,
        };
        // An id of a cancellation that cannot be read is told with what becomes of it.
        for WrongField { field, expected } in event.wrong_fields() {
            if field == "subscription_id" {
                continue;
            }
            let what = format!("{}: {field} is missing or wrong: expected {expected}", event.event_type);
            self.find(position, partner_id, concern, what);
        }
        self.registry.findings.iter().rposition(|finding| finding.position == *position)
    }

    fn find(&mut self, position: &Position, partner_id: &PartnerId, concern: Concern, what: String) {
        let partner_id = Some(partner_id.clone());
        self.registry.findings.push(Finding { partner_id, position: position.clone(), what, concern });
    }

    fn finish(mut self) -> Registry {
        self.conclude_subscriptions();
        self.conclude_adjustments();
        self.conclude_contracts();
        self.conclude_going_live();
        self.conclude_coupons();
        self.conclude_credits();
        self.conclude_payers();
        for ((system, external_id), claims) in self.claims {
            self.registry.links.extend(resolve(system, &external_id, &claims));
        }
        self.registry
    }
}

#[cfg(test)]
pub(crate) mod tests;
