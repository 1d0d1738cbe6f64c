//! Drafting many partners: the input cut into parts by partner, drafted beside each other, put together again. Pure.
//!
//! No document depends on another partner, so the parts do not either: whatever the cut, the result is the same. Where
//! one partner pays for another a document does, and all are one part. A part also bounds what is looked through for
//! each of its partners: subscriptions, profiles, findings, issued documents.

use std::collections::{BTreeMap, BTreeSet};

use tollbook_lake::on_threads;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::registry::Registry;

use super::index::UsageIndex;
use super::{DraftInput, Drafted, order_of};
use crate::billed::IssuedDocument;
use crate::profile::Profiles;

/// Partners of one part.
pub(super) const PART_PARTNERS: usize = 128;

/// What is drafted of one part.
pub(super) struct Part<'a> {
    pub(super) registry: Registry,
    pub(super) profiles: Profiles,
    pub(super) usage: UsageIndex<'a>,
    pub(super) issued: Vec<&'a IssuedDocument>,
}

/// Cuts the input into parts of so many partners, in order of partner.
fn parts_of<'a>(input: &DraftInput<'a>, issued: &'a [IssuedDocument], partners_max: usize) -> Vec<Part<'a>> {
    let mut usage = UsageIndex::of_slices(input.usage);
    let Registry { partners, subscriptions, adjustments, .. } = input.registry;
    let subscribers = subscriptions.values().map(|subscription| &subscription.partner_id);
    let made_by_hand = adjustments.values().map(|made| &made.partner_id);
    let billed = issued.iter().map(|one| &one.document.body.partner_id);
    let all: BTreeSet<&PartnerId> = partners.keys().chain(subscribers).chain(made_by_hand).chain(billed).collect();
    let part_count = all.len().div_ceil(partners_max);
    let places: BTreeMap<&PartnerId, usize> =
        all.iter().enumerate().map(|(at, partner_id)| (*partner_id, at / partners_max)).collect();
    let place_of = |partner_id: &PartnerId| places.get(partner_id).copied();
    let shares = input.registry.cut(place_of, part_count).into_iter().zip(input.profiles.cut(place_of, part_count));
    let part = |(registry, profiles)| Part { registry, profiles, usage: UsageIndex::default(), issued: Vec::new() };
    let mut parts: Vec<Part<'a>> = shares.map(part).collect();
    for (partner_id, at) in &places {
        if let Some(own) = usage.take(partner_id) {
            parts[*at].usage.put(own);
        }
    }
    for one in issued {
        if let Some(at) = place_of(&one.document.body.partner_id) {
            parts[at].issued.push(one);
        }
    }
    parts
}

/// Drafts all parts, as many at once as the machine has cores.
///
/// # Errors
/// The first part's that has one.
pub(super) fn draft_parts<'a, E: Send>(
    input: &DraftInput<'a>,
    issued: &'a [IssuedDocument],
    partners_max: usize,
    draft: impl Fn(&DraftInput<'_>, &Part<'a>) -> Result<Drafted, E> + Sync,
) -> Result<Drafted, E> {
    let is_apart = input.registry.payers.is_empty();
    let parts = parts_of(input, issued, if is_apart { partners_max } else { usize::MAX });
    let drafted = on_threads(&parts, |part| {
        let input = DraftInput { registry: &part.registry, profiles: &part.profiles, ..*input };
        draft(&input, part)
    })?;
    let mut all = Drafted::of(input.month);
    drafted.into_iter().for_each(|part| all.add(part));
    all.documents.sort_by(|a, b| order_of(a).cmp(&order_of(b)));
    Ok(all)
}
