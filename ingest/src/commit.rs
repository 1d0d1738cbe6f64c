//! The order of commits (architecture.md §2a): `rejected` first, then the main table, whose transaction alone is the
//! frontier. A crash between the two leaves decisions that nobody counts yet; on the way back they are taken as they
//! stand. A transaction of either table that is not where this process left it means that somebody else owns the
//! partition: its rows are dropped, and it is read again from where the table stands.

use std::collections::{BTreeMap, HashMap};

use tollbook_lake::{FILE_WATERMARK, Lake, Outcome, Part, TxnStep, watermark_app_id};
use tollbook_schemas::tables::{Table, batch_of, rejected};

use crate::buffer::{Decided, Sealed};
use crate::decode::Door;
use crate::error::IngestError;

/// What the committer knows of one partition.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Transaction of `rejected`; `None` where it has none yet.
    rejected: Option<i64>,
}

/// The one committer of a door.
pub(crate) struct Committer {
    lake: Lake,
    door: Door,
    known: HashMap<i32, Known>,
}

/// How the commit of one partition ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Landed {
    /// The table stands at the end of what was sealed.
    At(i64),
    /// The partition must be read again from here.
    Elsewhere(i64),
}

impl Committer {
    pub(crate) fn new(lake: Lake, door: Door) -> Self {
        Self { lake, door, known: HashMap::new() }
    }

    fn table(&self) -> &'static Table {
        self.door.decoder.table()
    }

    /// Where the main table stands for each partition that it knows.
    pub(crate) async fn frontier(&self) -> Result<BTreeMap<i32, i64>, IngestError> {
        let pin = self.lake.pin(self.table()).await?;
        Ok(pin.iter().filter(|(source, ..)| **source == self.door.source).map(|(_, p, next)| (p, next)).collect())
    }

    /// The genesis commit: the first offsets of all partitions, before anything is read.
    pub(crate) async fn genesis(&self, starts: &BTreeMap<i32, i64>) -> Result<(), IngestError> {
        let parts: Vec<Part> = starts
            .iter()
            .map(|(partition, start)| Part {
                step: TxnStep { app_id: self.door.source.app_id(*partition), expected: None, next: *start },
                batches: Vec::new(),
            })
            .collect();
        // Another process may have made it: then its offsets hold, and the frontier is read again.
        self.lake.append_parts(self.table(), &parts).await?;
        Ok(())
    }

    /// Reads the decisions at or past the main frontier, which an earlier process took and could not use.
    pub(crate) async fn decisions(
        &mut self,
        frontier: &BTreeMap<i32, i64>,
    ) -> Result<HashMap<i32, Decided>, IngestError> {
        self.claim(frontier).await?;
        let mut decided: HashMap<i32, Decided> = HashMap::new();
        let Some(earliest) = frontier.values().min() else { return Ok(decided) };
        let source = tollbook_lake::as_text(self.door.source.as_str());
        let condition = format!("source = {source} and kafka_offset >= {earliest}");
        for row in self.lake.rows(&rejected::TABLE, Some(&condition)).await? {
            let place = (row.int("kafka_partition"), row.int("kafka_offset"), row.int("record_index"));
            let (Some(partition), Some(offset), Some(index)) = place else { continue };
            let (Ok(partition), Ok(index)) = (i32::try_from(partition), i32::try_from(index)) else { continue };
            if frontier.get(&partition).is_some_and(|next| offset >= *next) {
                decided.entry(partition).or_default().insert((offset, index));
            }
        }
        Ok(decided)
    }

    /// Moves the transactions of `rejected` before its decisions are read: an earlier process that still runs can then
    /// add none behind our back. Without it, a process that rejects nothing would never meet the other's rejects, and
    /// one record could be rejected by the one and accepted by the other (I1).
    async fn claim(&mut self, frontier: &BTreeMap<i32, i64>) -> Result<(), IngestError> {
        let txns = self.lake.txns(&rejected::TABLE).await?;
        let parts: Vec<Part> = frontier
            .iter()
            .map(|(partition, next)| {
                let app_id = self.door.source.app_id(*partition);
                let expected = txns.get(&app_id).copied();
                let next = expected.map_or(*next, |expected| expected.max(*next)) + 1;
                Part { step: TxnStep { app_id, expected, next }, batches: Vec::new() }
            })
            .collect();
        let outcomes = self.lake.append_parts(&rejected::TABLE, &parts).await?;
        for ((partition, part), outcome) in frontier.keys().zip(&parts).zip(outcomes) {
            // Somebody else claimed it at the same moment: the first reject of ours is fenced, and we begin again.
            let claimed = outcome == Outcome::Committed;
            let rejected = if claimed { Some(part.step.next) } else { part.step.expected };
            self.known.insert(*partition, Known { rejected });
        }
        Ok(())
    }

    /// Commits what the partitions sealed; gives where each stands now.
    pub(crate) async fn commit(&mut self, sealed: Vec<Sealed>) -> Result<BTreeMap<i32, Landed>, IngestError> {
        let mut landed = BTreeMap::new();
        let fenced = self.commit_rejected(&sealed).await?;
        let app_id = |partition: i32| self.door.source.app_id(partition);
        let sealed: Vec<Sealed> = sealed.into_iter().filter(|part| !fenced.contains(&part.partition)).collect();
        let parts: Vec<Part> = sealed
            .iter()
            .map(|part| Part {
                step: TxnStep { app_id: app_id(part.partition), expected: Some(part.from), next: part.to },
                batches: part.accepted.iter().cloned().collect(),
            })
            .collect();
        let outcomes = self.lake.append_parts(self.table(), &parts).await?;
        let mut elsewhere = fenced;
        for (part, outcome) in sealed.iter().zip(outcomes) {
            match outcome {
                Outcome::Committed => {
                    landed.insert(part.partition, Landed::At(part.to));
                }
                Outcome::Already | Outcome::Fenced { .. } => elsewhere.push(part.partition),
            }
        }
        if !elsewhere.is_empty() {
            let frontier = self.frontier().await?;
            for partition in elsewhere {
                let next = frontier.get(&partition).copied().ok_or_else(|| IngestError::MissingFrontier {
                    source_name: self.door.source.to_string(),
                    partition,
                })?;
                landed.insert(partition, Landed::Elsewhere(next));
            }
        }
        Ok(landed)
    }

    /// Commits the rejects; gives the partitions that somebody else owns.
    async fn commit_rejected(&mut self, sealed: &[Sealed]) -> Result<Vec<i32>, IngestError> {
        let with_rejects: Vec<&Sealed> = sealed.iter().filter(|part| !part.rejected.is_empty()).collect();
        let mut parts = Vec::new();
        for part in &with_rejects {
            let known = self.known.get(&part.partition).and_then(|known| known.rejected);
            // Always a step up, also where the claim stands further ahead.
            let next = known.map_or(part.to, |known| part.to.max(known + 1));
            parts.push(Part {
                step: TxnStep { app_id: self.door.source.app_id(part.partition), expected: known, next },
                batches: vec![batch_of(&rejected::TABLE, &part.rejected)?],
            });
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.lake.append_parts(&rejected::TABLE, &parts).await?;
        let mut fenced = Vec::new();
        for (part, (sealed, outcome)) in parts.iter().zip(with_rejects.iter().zip(outcomes)) {
            match outcome {
                Outcome::Committed => {
                    self.known.insert(sealed.partition, Known { rejected: Some(part.step.next) });
                }
                Outcome::Already | Outcome::Fenced { .. } => fenced.push(sealed.partition),
            }
        }
        Ok(fenced)
    }

    /// Writes a checkpoint of each table that has so many log entries since its last one; none with 0.
    pub(crate) async fn checkpoint(&self, commits: u64) -> Result<(), IngestError> {
        if commits > 0 {
            for table in [self.table(), &rejected::TABLE] {
                self.lake.checkpoint(table, commits).await?;
            }
        }
        Ok(())
    }

    /// Records that a file of this time has been read to its end.
    pub(crate) async fn file_passed(&self, file_ms: i64) -> Result<(), IngestError> {
        let expected = self.lake.txn(self.table(), FILE_WATERMARK).await?;
        if expected.is_none_or(|expected| expected < file_ms) {
            let step = TxnStep { app_id: FILE_WATERMARK.to_owned(), expected, next: file_ms };
            self.lake.append(self.table(), &[], &[step]).await?;
        }
        Ok(())
    }

    /// Records that the partitions have been read up to a high watermark that was fetched when the clock said
    /// `passed_ms`, even when nothing came. Another process may record at the same time: the later instant stays.
    pub(crate) async fn passed(&self, partitions: &[i32], passed_ms: i64) -> Result<(), IngestError> {
        loop {
            let txns = self.lake.txns(self.table()).await?;
            let app_ids = partitions.iter().map(|partition| watermark_app_id(&self.door.source, *partition));
            let steps: Vec<TxnStep> = app_ids
                .map(|app_id| {
                    let expected = txns.get(&app_id).copied();
                    TxnStep { app_id, expected, next: passed_ms }
                })
                .filter(|step| step.expected.is_none_or(|expected| expected < passed_ms))
                .collect();
            // Each turn that is fenced has seen another process move one of them on: it ends.
            if steps.is_empty() || self.lake.append(self.table(), &[], &steps).await? == Outcome::Committed {
                return Ok(());
            }
        }
    }
}
