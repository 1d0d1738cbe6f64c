//! Whether deliveries that came since a pin make another month of one that was billed: those that bear a name of its
//! partner in its time, and those of the id of one that does. Rows are looked at in columns, two passes for all months
//! together.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tollbook_lake::{Lake, Sift};
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::access_log::TABLE as ACCESS_LOG;

use crate::cells::{Cells, Texts};
use crate::error::VerifyError;
use crate::meter::Place;
use crate::needs::{Names, Times, credential};
use crate::sieves::{IdHashes, Offsets, about, claimed, gateway_hash, hash_of, known};

/// One month of one document.
pub(crate) struct Case {
    pub(crate) names: Names,
    pub(crate) times: Times,
    /// What came behind them is asked for.
    pub(crate) since: Offsets,
}

/// The cases of a name.
#[derive(Default)]
struct ByName {
    consumers: HashMap<String, Vec<u32>>,
    credentials: HashMap<String, Vec<u32>>,
}

impl Case {
    fn knows(&self, (source, partition, offset, _): &Place) -> bool {
        self.since.know(source, *partition, *offset)
    }
}

/// Of which cases something that is known at a pin came since. All of them know what is known at the oldest pin.
///
/// # Errors
/// The lake's.
pub(crate) async fn came_since(
    lake: &Lake,
    pin: &Pin,
    oldest: &Pin,
    cases: Vec<Case>,
) -> Result<Vec<bool>, VerifyError> {
    let mut came = vec![false; cases.len()];
    let (mut names, mut times, mut by_name) = (Names::default(), Times::default(), ByName::default());
    for (number, case) in (0_u32..).zip(&cases) {
        names.add(&case.names);
        times.add(&case.times);
        for name in &case.names.consumers {
            by_name.consumers.entry(name.clone()).or_default().push(number);
        }
        for name in &case.names.credentials {
            by_name.credentials.entry(name.clone()).or_default().push(number);
        }
    }
    if cases.is_empty() {
        return Ok(came);
    }
    let cases = Arc::new(cases);
    let sift = Sift {
        table: &ACCESS_LOG,
        days: times.days(),
        sieves: vec![claimed(names), known(pin, None, Some(times))],
        columns: vec![
            "gateway",
            "event_id",
            "kind",
            "corrects_event_id",
            "source",
            "kafka_partition",
            "kafka_offset",
            "record_index",
            "occurred_at",
            "consumer",
            "credential_key_id",
            "credential_hash",
        ],
    };
    let of_cases = cases.clone();
    let by_batch = lake.sift(sift, move |batch| {
        let (mut texts, mut found) = (Texts::default(), Vec::<(u32, Option<u64>)>::new());
        for row in 0..batch.num_rows() {
            let cells = Cells { batch, row };
            let (at, place) = (cells.instant(8)?, cells.place(&mut texts, 4)?);
            let consumer = cells.text(9).and_then(|name| by_name.consumers.get(name));
            let credential = match by_name.credentials.is_empty() {
                true => None,
                false => by_name.credentials.get(&credential(cells.text(10), cells.text(11))),
            };
            let numbers: BTreeSet<u32> = consumer.into_iter().chain(credential).flatten().copied().collect();
            let kind = texts.must(&cells, 2)?;
            let (gateway, id) = cells.id(&mut texts, &kind, [0, 1, 3])?;
            for number in numbers {
                let Some(case) = of_cases.get(place_of(number)) else { continue };
                if case.times.contains(at) {
                    let is_new = !case.knows(&place);
                    found.push((number, (!is_new).then(|| hash_of(gateway_hash(Some(&gateway)), &id))));
                }
            }
        }
        Ok::<_, VerifyError>(found)
    });
    let mut by_id: HashMap<u64, Vec<u32>> = HashMap::new();
    for (number, id) in by_batch.await?.into_iter().flatten() {
        match (id, came.get_mut(place_of(number))) {
            (None, Some(came)) => *came = true,
            (Some(id), Some(false)) => by_id.entry(id).or_default().push(number),
            _ => {}
        }
    }
    if by_id.is_empty() {
        return Ok(came);
    }
    // What is of the id of an earlier delivery may lie in any hour, and be of anybody.
    let ids: IdHashes = by_id.keys().copied().collect();
    let sift = Sift {
        table: &ACCESS_LOG,
        days: None,
        sieves: vec![known(pin, Some(oldest), None), about(ids)],
        columns: vec![
            "gateway",
            "event_id",
            "kind",
            "corrects_event_id",
            "source",
            "kafka_partition",
            "kafka_offset",
            "record_index",
        ],
    };
    let by_batch = lake.sift(sift, |batch| {
        let mut texts = Texts::default();
        let delivery = |row| {
            let cells = Cells { batch, row };
            let kind = texts.must(&cells, 2)?;
            let (gateway, id) = cells.id(&mut texts, &kind, [0, 1, 3])?;
            Ok::<_, VerifyError>((hash_of(gateway_hash(Some(&gateway)), &id), cells.place(&mut texts, 4)?))
        };
        (0..batch.num_rows()).map(delivery).collect::<Result<Vec<_>, _>>()
    });
    for (id, place) in by_batch.await?.into_iter().flatten() {
        for number in by_id.get(&id).into_iter().flatten() {
            if let (Some(case), Some(came)) = (cases.get(place_of(*number)), came.get_mut(place_of(*number))) {
                *came |= !case.knows(&place);
            }
        }
    }
    Ok(came)
}

fn place_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
