//! Claims on an external id, cut into spans of time with one owner each.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Environment, IdentityLink, LinkSystem};
use crate::id::PartnerId;
use crate::lifecycle::LifecycleEvent;

/// One claim on an external id before overlaps are resolved.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) partner_id: PartnerId,
    pub(super) environment: Option<Environment>,
    pub(super) from: DateTime<Utc>,
    pub(super) to: Option<DateTime<Utc>>,
}

/// Keyed hashes of a credential, `key_id:hash`, as ingest wrote them (one for each valid key).
pub(super) fn credential_hashes(event: &LifecycleEvent) -> Vec<String> {
    let hashes = event.data.get("credential_hashes").and_then(serde_json::Value::as_array);
    hashes.into_iter().flatten().filter_map(|hash| hash.as_str().map(str::to_owned)).collect()
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
