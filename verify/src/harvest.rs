//! The raw rows of some documents that stand on the same pin and catalog, read together; and which of them may be
//! whose.
//!
//! Memory follows the requests of a harvest. So documents are read together only as far as their requests come to no
//! more than [`ROWS_AT_ONCE`]; the requests of one partner in its months are always read together.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tollbook_lake::Lake;
use tollbook_schemas::id::{MeterId, PartnerId};
use tollbook_schemas::pin::Pin;

use crate::deliveries::Verdicts;
use crate::earlier::Earlier;
use crate::error::VerifyError;
use crate::ground::Ground;
use crate::needs::{Names, Needs, Times, credential};
use crate::owner::{Links, Products, tags_of};
use crate::payer::partners_of;
use crate::raw::{self, Question, RawRows, Request};
use crate::sieves::Offsets;
use crate::since::{Case, came_since};
use crate::usage::{Judge, Origin};

/// Requests that are read together where several partners are: some hundred MB.
const ROWS_AT_ONCE: usize = 400_000;

/// A document to be derived: its place among those that are wanted, what it stands on, what it needs.
pub(crate) struct Wanting {
    pub(crate) at: usize,
    pub(crate) ground: Ground,
    pub(crate) needs: Needs,
}

/// Documents that are read together: all of one pin and catalog.
pub(crate) type Batch = Vec<Wanting>;

/// Puts documents into batches.
///
/// # Errors
/// The lake's.
pub(crate) async fn batches(lake: &Lake, all: Vec<Wanting>) -> Result<Vec<Batch>, VerifyError> {
    let mut groups: BTreeMap<(String, String), Vec<Wanting>> = BTreeMap::new();
    for one in all {
        let pins = &one.ground.pins;
        let key = (pins.access.to_json() + &pins.events.to_json(), one.ground.catalog().sha256.clone());
        groups.entry(key).or_default().push(one);
    }
    let mut batches = Vec::new();
    for group in groups.into_values() {
        let sizes = sizes(lake, &group).await?;
        // All documents of a partner are in one batch: they are of the same rows.
        let mut by_partner: BTreeMap<PartnerId, Vec<Wanting>> = BTreeMap::new();
        for one in group {
            by_partner.entry(one.ground.partner_id.clone()).or_default().push(one);
        }
        let (mut batch, mut rows) = (Batch::new(), 0_usize);
        for (partner_id, documents) in by_partner {
            let more = sizes.get(&partner_id).copied().unwrap_or(0);
            if !batch.is_empty() && rows.saturating_add(more) > ROWS_AT_ONCE {
                batches.push(std::mem::take(&mut batch));
                rows = 0;
            }
            rows = rows.saturating_add(more);
            batch.extend(documents);
        }
        batches.extend((!batch.is_empty()).then_some(batch));
    }
    Ok(batches)
}

/// How many requests each partner may have; nothing of a single one, which is read however many they are.
async fn sizes(lake: &Lake, group: &[Wanting]) -> Result<BTreeMap<PartnerId, usize>, VerifyError> {
    let mut of_partners: BTreeMap<&PartnerId, Needs> = BTreeMap::new();
    let mut times = Times::default();
    for Wanting { ground, needs, .. } in group {
        let known = of_partners.entry(&ground.partner_id).or_default();
        known.names.add(&needs.names);
        times.add(&needs.times);
    }
    let (Some(first), true) = (group.first(), of_partners.len() > 1 && !times.is_empty()) else {
        return Ok(BTreeMap::new());
    };
    let names = of_partners.values().map(|needs| needs.names.clone()).collect();
    let counts = raw::counts(lake, &first.ground.pins.access, &times, names).await?;
    Ok(of_partners.into_keys().cloned().zip(counts).collect())
}

/// Keeps of the earlier months of documents those that something changed, and adds what these need.
///
/// # Errors
/// The lake's.
pub(crate) async fn ask_for_changed(lake: &Lake, batch: &mut [Wanting]) -> Result<(), VerifyError> {
    let Some(pin) = batch.first().map(|first| first.ground.pins.access.clone()) else { return Ok(()) };
    let (mut cases, mut oldest) = (Vec::new(), None::<Pin>);
    for Wanting { ground, .. } in batch.iter() {
        for Earlier { month, since, .. } in &ground.earlier.months {
            let Some(since) = since else { continue };
            // What stops it is told where it is derived.
            let Needs { names, times, .. } = ground.needs([*month]).unwrap_or_default();
            oldest = Some(oldest.map_or_else(|| since.clone(), |oldest: Pin| oldest.both(since)));
            cases.push(Case { names, times, since: Offsets::of(since) });
        }
    }
    let Some(oldest) = oldest else { return Ok(()) };
    let mut changed = came_since(lake, &pin, &oldest, cases).await?.into_iter();
    for Wanting { ground, needs, .. } in batch {
        let mut months = std::mem::take(&mut ground.earlier.months);
        months.retain(|one| one.since.is_none() || changed.next().unwrap_or(true));
        for month in months.iter().filter(|one| one.since.is_some()).map(|one| one.month) {
            needs.add(ground.needs([month]).unwrap_or_default());
        }
        ground.earlier.months = months;
    }
    Ok(())
}

/// Reads the rows of a batch; gives them with the meters that were asked, in the order of their answers.
///
/// # Errors
/// The lake's.
pub(crate) async fn read(lake: &Lake, batch: &[Wanting]) -> Result<(RawRows, Vec<MeterId>), VerifyError> {
    let mut times = Times::default();
    batch.iter().for_each(|one| times.add(&one.needs.times));
    let Some(first) = batch.first().filter(|_| !times.is_empty()) else { return Ok((RawRows::default(), Vec::new())) };
    let ground = &first.ground;
    let mut question = Question {
        pin: &ground.pins.access,
        names: Names::default(),
        times,
        tags: tags_of(ground.catalog()),
        rule_columns: Products::of(ground.catalog()).columns(),
        meters: Vec::new(),
    };
    batch.iter().for_each(|one| question.names.add(&one.needs.names));
    let wanted: BTreeSet<&MeterId> = batch.iter().flat_map(|one| &one.needs.meters).collect();
    let meters = ground.catalog().meters.iter().filter(|(id, _)| wanted.contains(id));
    let (ids, meters) = meters.map(|(id, meter)| (id.clone(), meter)).unzip();
    question.meters = meters;
    Ok((raw::read(lake, &question).await?, ids))
}

/// What was read for a batch, judged.
pub(crate) struct Harvest<'a> {
    judge: Judge<'a>,
    meters: &'a [MeterId],
    /// The requests that may be of each document's partner in its time.
    claimed: Vec<Vec<&'a Request>>,
}

impl<'a> Harvest<'a> {
    pub(crate) fn of(batch: &'a [Wanting], rows: &'a RawRows, meters: &'a [MeterId]) -> Option<Self> {
        let ground = &batch.first()?.ground;
        let judge = Judge {
            catalog: ground.catalog(),
            known: &ground.known,
            links: Links::of(&ground.known.links),
            products: Products::of(ground.catalog()),
            verdicts: Verdicts::over(&rows.deliveries),
        };
        let mut by_consumer: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut by_credential: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, one) in batch.iter().enumerate() {
            one.needs.names.consumers.iter().for_each(|name| by_consumer.entry(name).or_default().push(at));
            one.needs.names.credentials.iter().for_each(|name| by_credential.entry(name).or_default().push(at));
        }
        let mut claimed: Vec<Vec<&Request>> = batch.iter().map(|_| Vec::new()).collect();
        for request in &rows.requests {
            let consumer = request.consumer.as_deref().and_then(|name| by_consumer.get(name));
            let credential = match by_credential.is_empty() {
                true => None,
                false => {
                    let (key_id, hash) = (request.credential_key_id.as_deref(), request.credential_hash.as_deref());
                    by_credential.get(credential(key_id, hash).as_str())
                }
            };
            let documents: BTreeSet<usize> = consumer.into_iter().chain(credential).flatten().copied().collect();
            for at in documents {
                if batch[at].needs.times.contains(request.at) {
                    claimed[at].push(request);
                }
            }
        }
        Some(Self { judge, meters, claimed })
    }

    /// The requests of each partner whose spans one document may bill, judged, and the number of their deliveries.
    pub(crate) fn origins(&self, ground: &'a Ground, at: usize) -> (Vec<Origin<'a>>, usize) {
        let claimed = self.claimed.get(at).map_or(&[][..], Vec::as_slice);
        let ids: HashSet<_> = claimed.iter().map(|request| &request.id).collect();
        let rows_read = ids.into_iter().map(|id| self.judge.verdicts.delivery_count(id)).sum();
        let mut partner_ids = partners_of(ground);
        if partner_ids.len() == 1 {
            let origins = partner_ids.drain(..).map(|own| Origin::of(&self.judge, own, claimed));
            return (origins.collect(), rows_read);
        }
        // Of many partners each looks at its own alone.
        let mut by_owner: BTreeMap<&PartnerId, Vec<&Request>> = BTreeMap::new();
        for request in claimed {
            if let Some((owner, _)) = self.judge.links.owner(request) {
                by_owner.entry(owner).or_default().push(request);
            }
        }
        let of_owner = |own| Origin::of(&self.judge, own, by_owner.get(own).map_or(&[][..], Vec::as_slice));
        (partner_ids.into_iter().map(of_owner).collect(), rows_read)
    }

    /// Where the answers of a meter are among those of a request.
    pub(crate) fn place_of(&self, id: &MeterId) -> Option<usize> {
        self.meters.iter().position(|known| known == id)
    }
}
