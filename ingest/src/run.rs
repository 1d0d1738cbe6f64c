//! One run of one door: find where the table stands, read from there, commit, until caught up or stopped.
//!
//! Whenever a partition turns out to stand elsewhere than this process believed, everything that was read and not
//! committed is dropped and the run begins again from the table. That is always safe: nothing that was dropped was
//! visible, and Kafka still has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tollbook_lake::{CHECKPOINT_ENTRIES, Lake};

use crate::buffer::{Counts, Sealed};
use crate::commit::{Committer, Landed};
use crate::consume::{Consuming, Handed, KafkaSettings, Watermarks, is_settled};
use crate::decode::Door;
use crate::error::IngestError;
use crate::watermark::Clock;

/// Looks at a transaction that is open, and the pause between two.
const OPEN_LOOKS: usize = 10;
const OPEN_PAUSE: Duration = Duration::from_millis(300);

/// Looks at a topic that contradicts the table, and the pause between two.
const CONTRADICTED_LOOKS: usize = 4;
const CONTRADICTED_PAUSE: Duration = Duration::from_millis(250);

/// Limits of a run.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Message bytes that are buffered before they are committed.
    pub batch_bytes_max: usize,
    /// Longest time between two commits while something waits.
    pub commit_interval: Duration,
    /// How often a service asks for the topic's ends, to record how far it has read.
    pub watermark_interval: Duration,
    /// Commits to a table after which it gets a checkpoint; none with 0. Without checkpoints every commit costs more
    /// than the one before, and so does every start of a process.
    pub checkpoint_commits: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            batch_bytes_max: 32 * 1024 * 1024,
            commit_interval: Duration::from_secs(10),
            watermark_interval: Duration::from_secs(60),
            checkpoint_commits: CHECKPOINT_ENTRIES,
        }
    }
}

/// Where one partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionState {
    /// Next offset to read, committed.
    pub committed: i64,
    /// Next offset of the topic, when it was last asked for: at the start of a run, and by a service at intervals.
    pub high: i64,
}

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records accepted and committed by this run.
    pub accepted_total: u64,
    /// Records rejected and committed by this run.
    pub rejected_total: u64,
    /// Records that an earlier, unfinished run had rejected.
    pub decided_total: u64,
    /// Commits made.
    pub commits_total: u64,
    /// How often the run had to begin again from the table.
    pub restarts_total: u64,
    /// Whether a transaction that was open held the run back: what lies behind it was not read, and how far the topic
    /// was read is not recorded.
    pub is_held_back: bool,
    /// Partitions.
    pub partitions: BTreeMap<i32, PartitionState>,
}

impl Progress {
    /// Offsets between what is committed and the ends of the topic when they were last asked for.
    #[must_use]
    pub fn lag_offsets(&self) -> i64 {
        self.partitions.values().map(|state| (state.high - state.committed).max(0)).sum()
    }
}

impl Progress {
    /// Notes where the topic ends now.
    fn ends(&mut self, ends: &BTreeMap<i32, i64>) {
        for (partition, end) in ends {
            if let Some(state) = self.partitions.get_mut(partition) {
                state.high = *end;
            }
        }
    }

    /// Counts one commit; false where a partition stands elsewhere, so that the run must begin again.
    pub(crate) fn count(&mut self, counts: &[Counts], landed: &BTreeMap<i32, Landed>) -> bool {
        self.commits_total += 1;
        let mut whole = true;
        for part in counts {
            match landed.get(&part.partition) {
                Some(Landed::At(next)) => {
                    self.accepted_total += part.accepted;
                    self.rejected_total += part.rejected;
                    self.decided_total += part.decided;
                    if let Some(state) = self.partitions.get_mut(&part.partition) {
                        state.committed = *next;
                    }
                }
                Some(Landed::Elsewhere(_)) | None => whole = false,
            }
        }
        whole
    }
}

/// What a run did.
pub type IngestReport = Progress;

/// One door with everything it needs.
#[derive(Clone)]
pub struct Ingestor {
    /// The lake.
    pub lake: Lake,
    /// The door.
    pub door: Door,
    /// The topic.
    pub kafka: KafkaSettings,
    /// Limits.
    pub budget: Budget,
}

impl Ingestor {
    /// Reads up to the end that the topic has now; records that it has been read up to `clock_at`.
    ///
    /// # Errors
    /// [`IngestError`].
    pub async fn until_caught_up(
        &self,
        clock_at: DateTime<Utc>,
        progress: &(dyn Fn(&Progress) + Send + Sync),
    ) -> Result<IngestReport, IngestError> {
        let (watermarks, is_settled) = self.settled_watermarks().await?;
        let until = watermarks.iter().map(|(partition, (_, high))| (*partition, *high)).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let mut report = self.run(Some(until), None, &stop, progress).await?;
        let partitions: Vec<i32> = watermarks.keys().copied().collect();
        if is_settled {
            let committer = Committer::new(self.lake.clone(), self.door.clone());
            committer.passed(&partitions, clock_at.timestamp_millis()).await?;
        }
        report.is_held_back = !is_settled;
        // What lies between here and the ends are control records, or records of open transactions: nothing to read.
        for state in report.partitions.values_mut() {
            state.high = state.high.min(state.committed);
        }
        Ok(report)
    }

    /// Reads until `stop` is set; what is in hand then is committed first. With a clock, how far it has read is
    /// recorded at the budget's interval, and partitions that are added to the topic are read from then on.
    ///
    /// # Errors
    /// [`IngestError`].
    pub async fn until_stopped(
        &self,
        clock: Option<Clock>,
        stop: &Arc<AtomicBool>,
        progress: &(dyn Fn(&Progress) + Send + Sync),
    ) -> Result<IngestReport, IngestError> {
        self.run(None, clock, stop, progress).await
    }

    /// Up to where each partition may be read now; and whether that is everything that the topic held at the call.
    /// Transactions are short: one that is open is waited for a little, and then left for a later run.
    async fn settled_watermarks(&self) -> Result<(Watermarks, bool), IngestError> {
        let ends = self.ask(KafkaSettings::ends).await?;
        let mut watermarks = self.watermarks().await?;
        let mut looks = 0;
        while !is_settled(&ends, &watermarks) && looks < OPEN_LOOKS {
            tokio::time::sleep(OPEN_PAUSE).await;
            watermarks = self.watermarks().await?;
            looks += 1;
        }
        let is_settled = is_settled(&ends, &watermarks);
        Ok((watermarks, is_settled))
    }

    async fn watermarks(&self) -> Result<Watermarks, IngestError> {
        self.ask(KafkaSettings::watermarks).await
    }

    /// Asks the broker on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: fn(&KafkaSettings) -> Result<T, IngestError>,
    ) -> Result<T, IngestError> {
        let kafka = self.kafka.clone();
        tokio::task::spawn_blocking(move || question(&kafka))
            .await
            .map_err(|_| IngestError::ThreadEnded(self.kafka.topic.clone()))?
    }

    async fn run(
        &self,
        until: Option<BTreeMap<i32, i64>>,
        clock: Option<Clock>,
        stop: &Arc<AtomicBool>,
        progress: &(dyn Fn(&Progress) + Send + Sync),
    ) -> Result<IngestReport, IngestError> {
        let mut report = Progress::default();
        loop {
            let mut committer = Committer::new(self.lake.clone(), self.door.clone());
            let (assignment, watermarks) = self.assignment(&committer).await?;
            for (partition, (_, high)) in &watermarks {
                let committed = assignment.get(partition).copied().unwrap_or_default();
                report.partitions.insert(*partition, PartitionState { committed, high: *high });
            }
            progress(&report);
            let decided = committer.decisions(&assignment).await?;
            let consuming = Consuming {
                settings: self.kafka.clone(),
                door: self.door.clone(),
                assignment,
                decided,
                until: until.clone(),
                clock: clock.clone(),
                budget: self.budget,
                stop: stop.clone(),
            };
            match self.consume(consuming, &mut committer, &mut report, progress).await {
                Ok(true) => return Ok(report),
                Ok(false) => report.restarts_total += 1,
                Err(error) => {
                    // The topic may say better than librdkafka what is wrong with it.
                    if error.is_out_of_range() {
                        self.assignment(&committer).await?;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Runs the consumer's thread and commits what it hands over; false where the run must begin again.
    async fn consume(
        &self,
        consuming: Consuming,
        committer: &mut Committer,
        report: &mut Progress,
        progress: &(dyn Fn(&Progress) + Send + Sync),
    ) -> Result<bool, IngestError> {
        // One hand-over waits while one is committed: more would only hold memory.
        let (out, mut handed) = tokio::sync::mpsc::channel(1);
        let stop = consuming.stop.clone();
        let partitions: Vec<i32> = consuming.assignment.keys().copied().collect();
        let thread = tokio::task::spawn_blocking(move || consuming.run(&out));
        let mut whole = true;
        while let Some(message) = handed.recv().await {
            let sealed = match message {
                Handed::Sealed(sealed) => sealed,
                Handed::Ends(ends) => {
                    report.ends(&ends);
                    progress(report);
                    continue;
                }
                Handed::Passed(asked_at) => {
                    committer.passed(&partitions, asked_at.timestamp_millis()).await?;
                    // An idle service commits watermarks all the time.
                    committer.checkpoint(self.budget.checkpoint_commits).await?;
                    continue;
                }
                Handed::CaughtUp => break,
                Handed::Changed => {
                    whole = false;
                    break;
                }
            };
            let counts: Vec<Counts> = sealed.iter().map(Sealed::counts).collect();
            let landed = committer.commit(sealed).await?;
            whole = report.count(&counts, &landed);
            progress(report);
            // What landed is counted and told: were this to fail, nothing of it is undone.
            committer.checkpoint(self.budget.checkpoint_commits).await?;
            if !whole {
                break;
            }
        }
        // Dropping the receiver ends the thread at its next look, also while it waits to hand over.
        drop(handed);
        thread.await.map_err(|_| IngestError::ThreadEnded(self.kafka.topic.clone()))??;
        Ok(whole || stop.load(Ordering::Relaxed))
    }

    /// Where to read each partition from: the table's frontier, made by a genesis commit before anything is read; and
    /// the topic's ends. Where the two contradict each other it looks again for a while: a broker that has just become
    /// the leader of a partition, or has not heard of it yet, may answer too low.
    async fn assignment(&self, committer: &Committer) -> Result<(BTreeMap<i32, i64>, Watermarks), IngestError> {
        let mut looks = 0;
        loop {
            let (frontier, watermarks) = self.frontier_and_ends(committer).await?;
            match self.contradiction(&frontier, &watermarks) {
                None => return Ok((frontier, watermarks)),
                Some(error) if looks == CONTRADICTED_LOOKS => return Err(error),
                Some(_) => {}
            }
            looks += 1;
            tokio::time::sleep(CONTRADICTED_PAUSE).await;
        }
    }

    /// The frontier is read first: another process may move it at any time, and compared with ends that were fetched
    /// before, a healthy topic would look truncated.
    async fn frontier_and_ends(&self, committer: &Committer) -> Result<(BTreeMap<i32, i64>, Watermarks), IngestError> {
        let mut frontier = committer.frontier().await?;
        let mut watermarks = self.watermarks().await?;
        let starts = self.starts(&frontier, &watermarks)?;
        if !starts.is_empty() {
            committer.genesis(&starts).await?;
            frontier = committer.frontier().await?;
            watermarks = self.watermarks().await?;
        }
        Ok((frontier, watermarks))
    }

    /// What is wrong with a topic that is not what was read.
    fn contradiction(&self, frontier: &BTreeMap<i32, i64>, watermarks: &Watermarks) -> Option<IngestError> {
        let name = || self.door.source.to_string();
        for (partition, next) in frontier {
            let (partition, next) = (*partition, *next);
            let wrong = match watermarks.get(&partition) {
                None => IngestError::PartitionGone { source_name: name(), partition, frontier: next },
                Some((low, _)) if next < *low => {
                    IngestError::Lost { source_name: name(), partition, frontier: next, low: *low }
                }
                Some((_, high)) if next > *high => {
                    IngestError::Truncated { source_name: name(), partition, frontier: next, high: *high }
                }
                Some(_) => continue,
            };
            return Some(wrong);
        }
        let unknown = watermarks.keys().find(|partition| !frontier.contains_key(partition));
        unknown.map(|partition| IngestError::MissingFrontier { source_name: name(), partition: *partition })
    }

    /// First offsets of partitions that the table does not know.
    fn starts(
        &self,
        frontier: &BTreeMap<i32, i64>,
        watermarks: &Watermarks,
    ) -> Result<BTreeMap<i32, i64>, IngestError> {
        let last_known = frontier.keys().next_back().copied();
        let mut starts = BTreeMap::new();
        for (partition, (low, _)) in watermarks.iter().filter(|(partition, _)| !frontier.contains_key(partition)) {
            match last_known {
                // Nothing was ever read of this source: begin with what Kafka still has.
                None => starts.insert(*partition, *low),
                // A partition that was added to the topic begins at its first offset.
                Some(last) if *partition > last => starts.insert(*partition, 0),
                // A hole among known partitions is damage. "From the earliest" would count everything twice.
                Some(_) => {
                    let source_name = self.door.source.to_string();
                    return Err(IngestError::MissingFrontier { source_name, partition: *partition });
                }
            };
        }
        Ok(starts)
    }
}

#[cfg(test)]
mod tests;
