//! Claims on an external id: what links and ends them, cut into spans of time with one owner each.
//!
//! A span is half-open: traffic of the very instant at which a link ends is not the partner's any more. An end counts
//! for the links that were said before it and began no later than it; a link that is said after an end holds from its
//! own start. An end of what was never linked is a finding. A claim whose environment cannot be read owns nothing, and
//! nobody has what it claims (I8): traffic that is called sandbox somehow must not be billed by the default of a door.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Concern, Environment, Folding, IdentityLink, LinkSystem, NoInstant, Position, instant_of};
use crate::id::PartnerId;
use crate::lifecycle::LifecycleEvent;

/// One claim on an external id before overlaps are resolved.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) partner_id: PartnerId,
    pub(super) environment: Option<Environment>,
    /// Whether its environment can be read; else it owns nothing.
    pub(super) is_readable: bool,
    pub(super) from: DateTime<Utc>,
    pub(super) to: Option<DateTime<Utc>>,
}

/// Keyed hashes of a credential, `key_id:hash`, as ingest wrote them (one for each valid key).
pub(super) fn credential_hashes(event: &LifecycleEvent) -> Vec<String> {
    let hashes = event.data.get("credential_hashes").and_then(Value::as_array);
    hashes.into_iter().flatten().filter_map(|hash| hash.as_str().map(str::to_owned)).collect()
}

/// An environment that is there and cannot be read.
struct NoEnvironment;

/// The environment that an event names; the finding is told by then.
fn environment_of(event: &LifecycleEvent) -> Result<Option<Environment>, NoEnvironment> {
    if event.wrong_fields().iter().any(|wrong| matches!(wrong.field, "environment" | "env")) {
        return Err(NoEnvironment);
    }
    Ok(event.text("environment").or_else(|| event.text("env")).and_then(Environment::parse))
}

impl Folding {
    pub(super) fn link(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        // Links to a CRM or to Stripe do not attribute traffic.
        if event.text("system") != Some("gateway") {
            return;
        }
        let Some(external_id) = event.text("external_id").map(str::to_owned) else { return };
        let environment = environment_of(event);
        // A link may say when it began before it was recorded: that is how a late registration takes its traffic.
        let from = match instant_of(event, "valid_from") {
            Ok(from) => from.unwrap_or(event.occurred_at),
            Err(NoInstant) => {
                self.find(position, partner_id, Concern::Link, "identity.linked: valid_from is not an instant".into());
                return;
            }
        };
        let claim = Claim::of(partner_id, environment, from);
        self.claims.entry((LinkSystem::Consumer, external_id)).or_default().push(claim);
    }

    /// Where something of the event cannot be read, it ends more rather than less: traffic that is nobody's is counted
    /// and found, traffic of the wrong partner is billed.
    pub(super) fn unlink(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        let is_other = |system: &str| !system.trim().eq_ignore_ascii_case("gateway");
        if event.text("system").is_some_and(is_other) {
            return;
        }
        let Some(external_id) = event.text("external_id").map(str::to_owned) else { return };
        let environment = environment_of(event).ok().flatten();
        let to = match instant_of(event, "valid_to") {
            Ok(to) => to.unwrap_or(event.occurred_at),
            Err(NoInstant) => {
                let what = "identity.unlinked: valid_to is not an instant; the link ends when the event occurred";
                self.find(position, partner_id, Concern::Link, what.into());
                event.occurred_at
            }
        };
        let mut was_linked = false;
        for claim in self.claims.entry((LinkSystem::Consumer, external_id)).or_default() {
            // An environment ends the link of that environment, and one that has none.
            let is_meant = environment.is_none_or(|one| claim.environment.is_none_or(|other| one == other));
            if claim.partner_id == *partner_id && is_meant && claim.from <= to {
                claim.to = Some(claim.to.map_or(to, |known| known.min(to)));
                was_linked = true;
            }
        }
        if !was_linked {
            let what = "identity.unlinked: the consumer was not linked to the partner by then; a link whose event came \
                        later than its valid_from is ended by an event that is later still, with valid_to";
            self.find(position, partner_id, Concern::Link, what.into());
        }
    }

    pub(super) fn issue(&mut self, event: &LifecycleEvent, partner_id: &PartnerId) {
        for hash in credential_hashes(event) {
            let claim = Claim::of(partner_id, environment_of(event), event.occurred_at);
            self.claims.entry((LinkSystem::Credential, hash)).or_default().push(claim);
        }
    }

    pub(super) fn revoke(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        let (mut is_own, mut is_anothers) = (false, false);
        for hash in credential_hashes(event) {
            for claim in self.claims.entry((LinkSystem::Credential, hash)).or_default() {
                is_own |= claim.partner_id == *partner_id;
                is_anothers |= claim.partner_id != *partner_id && claim.to.is_none();
                if claim.partner_id == *partner_id && claim.to.is_none() {
                    claim.to = Some(event.occurred_at);
                }
            }
        }
        // One that nobody has was issued before there was tollbook.
        if is_anothers && !is_own {
            let what = "credential.revoked: the credential is another partner's, who has it still";
            self.find(position, partner_id, Concern::Link, what.into());
        }
    }
}

impl Claim {
    fn of(
        partner_id: &PartnerId,
        environment: Result<Option<Environment>, NoEnvironment>,
        from: DateTime<Utc>,
    ) -> Self {
        let is_readable = environment.is_ok();
        Self { partner_id: partner_id.clone(), environment: environment.ok().flatten(), is_readable, from, to: None }
    }
}

/// Cuts overlapping claims into spans with one owner each; a span that two partners claim has none.
pub(super) fn resolve(system: LinkSystem, external_id: &str, claims: &[Claim]) -> Vec<IdentityLink> {
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
        let agreed = one_partner && environments.len() <= 1 && live.iter().all(|claim| claim.is_readable);
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
