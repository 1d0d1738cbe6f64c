//! The door from a file: JSON lines, exactly once, by the same commits as a topic.
//!
//! A file is a partition 0 and its line number, from 0, the offset. Empty lines are skipped as Kafka's control records
//! are: they have a number and are no record. The file is named by its path and the SHA-256 of its bytes. Equal bytes
//! are the same file under whatever name they come, so a file that was moved, or is named by another path, adds
//! nothing. A file that grew is another file: give files that nobody writes to any more, such as rotated logs.
//!
//! The same bytes are read in one way (`file/known.rs`): by another decoder, or for another gateway or environment,
//! they are refused. A file of which nothing was accepted is an error once it is committed, and does not say how far
//! the data reach: it was most likely given in the wrong way, and may be read anew as a further generation.
//!
//! A run that is killed is taken up by the next: it goes on where the lake stands.

mod known;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::Sender;
use tollbook_lake::Lake;
use tollbook_schemas::source::Source;

use crate::buffer::{Buffer, Decided, Sealed};
use crate::commit::Committer;
use crate::credential::KeyRing;
use crate::decode::{Decoder, Door, Message, Rejection};
use crate::error::IngestError;
use crate::lines::{Hashed, LINE_BYTES_MAX, Line, Lines, Survey, packing, survey};
use crate::run::{Budget, IngestReport, PartitionState, Progress};

use known::Admitted;

/// A file is one partition.
const PARTITION: i32 = 0;

/// One file with everything it needs.
#[derive(Debug, Clone)]
pub struct FileIngestor {
    /// The lake.
    pub lake: Lake,
    /// The file; its path as given is part of its name.
    pub path: PathBuf,
    /// How lines are read.
    pub decoder: Decoder,
    /// Id of the gateway; event ids are unique within it.
    pub gateway: String,
    /// Environment of records that say none, if given.
    pub environment_default: Option<String>,
    /// Which reading of these bytes it is, from 1; the present one where it is not given. The next one begins only
    /// where nothing of the one before was accepted.
    pub generation: Option<u32>,
    /// When this run began: told of the bytes where they are given again in another way.
    pub begun_at: DateTime<Utc>,
    /// Keys for credentials.
    pub keys: KeyRing,
    /// Limits; lines are committed whenever their bytes reach it, the interval has no meaning here.
    pub budget: Budget,
}

/// What a run did with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Name under which the lake has it: of the path by which it came first.
    pub source: Source,
    /// What this run added.
    pub report: IngestReport,
}

impl FileIngestor {
    /// Takes in what the lake does not have of the file yet. `received_at` is the file's own time.
    ///
    /// # Errors
    /// [`IngestError`]; what was committed before stays and is not repeated by the next run. Where every record is
    /// rejected, that is an error too.
    pub async fn run(
        &self,
        received_at: DateTime<Utc>,
        progress: &(dyn Fn(&Progress) + Send + Sync),
    ) -> Result<FileReport, IngestError> {
        let path = self.path.clone();
        let survey = self.on_thread(move || survey_of(&path)).await?;
        let admitted = known::admit(self, &survey).await?;
        let door = self.door(admitted.source.clone());
        let mut report = Progress::default();
        loop {
            let mut committer = Committer::new(self.lake.clone(), door.clone());
            let mut frontier = committer.frontier().await?;
            if frontier.is_empty() {
                committer.genesis(&BTreeMap::from([(PARTITION, 0)])).await?;
                frontier = committer.frontier().await?;
            }
            let from = frontier.get(&PARTITION).copied().ok_or_else(|| IngestError::MissingFrontier {
                source_name: door.source.to_string(),
                partition: PARTITION,
            })?;
            report.partitions.insert(PARTITION, PartitionState { committed: from, high: survey.lines_total });
            progress(&report);
            if from >= survey.lines_total {
                break;
            }
            let decided = committer.decisions(&frontier).await?.remove(&PARTITION).unwrap_or_default();
            let reading = Reading {
                path: self.path.clone(),
                survey: survey.clone(),
                door: door.clone(),
                from,
                decided,
                received_at,
                batch_bytes_max: self.budget.batch_bytes_max,
            };
            if self.read(reading, &mut committer, &mut report, progress).await? {
                break;
            }
            report.restarts_total += 1;
        }
        if report.accepted_total == 0 {
            self.is_of_use(&admitted, survey.lines_total).await?;
        }
        let source = admitted.source;
        Committer::new(self.lake.clone(), door).file_passed(received_at.timestamp_millis()).await?;
        Ok(FileReport { source, report })
    }

    fn door(&self, source: Source) -> Door {
        Door {
            source,
            decoder: self.decoder,
            gateway: self.gateway.clone(),
            environment_default: self.environment_default.clone(),
            keys: self.keys.clone(),
        }
    }

    /// Whether a file that was read to its end says anything: one that is empty does, one that is all rejected does
    /// not.
    async fn is_of_use(&self, admitted: &Admitted, lines_total: i64) -> Result<(), IngestError> {
        let Admitted { source, generation } = admitted;
        let counts = known::counts(&self.lake, source, self.decoder.table(), lines_total).await?;
        if counts.accepted > 0 || counts.rejected == 0 {
            return Ok(());
        }
        Err(IngestError::NothingAccepted {
            path: self.path.display().to_string(),
            way: known::way_of(self),
            rejected: counts.rejected,
            reason: known::most_frequent(&self.lake, source).await?,
            next: generation + 1,
        })
    }

    /// Reads on a thread of its own and commits what it hands over; false where the run must begin again.
    async fn read(
        &self,
        reading: Reading,
        committer: &mut Committer,
        report: &mut Progress,
        progress: &(dyn Fn(&Progress) + Send + Sync),
    ) -> Result<bool, IngestError> {
        // One hand-over waits while one is committed: more would only hold memory.
        let (out, mut handed) = tokio::sync::mpsc::channel(1);
        let thread = self.on_thread(move || reading.run(&out));
        let commits = async {
            let mut whole = true;
            while let Some(sealed) = handed.recv().await {
                let counts = [sealed.counts()];
                let landed = committer.commit(vec![sealed]).await?;
                whole = report.count(&counts, &landed);
                progress(report);
                committer.checkpoint(self.budget.checkpoint_commits).await?;
                if !whole {
                    break;
                }
            }
            // Dropping the receiver ends the thread at its next hand-over.
            drop(handed);
            Ok::<bool, IngestError>(whole)
        };
        let (read, committed) = tokio::join!(thread, commits);
        let whole = committed?;
        read?;
        Ok(whole)
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, IngestError> + Send + 'static,
    ) -> Result<T, IngestError> {
        let ended = tokio::task::spawn_blocking(work).await;
        ended.map_err(|_| IngestError::ThreadEnded(self.path.display().to_string()))?
    }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> IngestError + use<> {
    let path = path.display().to_string();
    move |source| IngestError::File { path: path.clone(), source }
}

fn survey_of(path: &Path) -> Result<Survey, IngestError> {
    let mut file = File::open(path).map_err(failed(path))?;
    let mut head = Vec::new();
    file.by_ref().take(8).read_to_end(&mut head).map_err(failed(path))?;
    if let Some((packing, unpack)) = packing(&head) {
        return Err(IngestError::FilePacked { path: path.display().to_string(), packing, unpack });
    }
    survey(head.as_slice().chain(file)).map_err(failed(path))
}

/// What the thread needs.
struct Reading {
    path: PathBuf,
    survey: Survey,
    door: Door,
    /// First line that the lake does not have.
    from: i64,
    decided: Decided,
    received_at: DateTime<Utc>,
    batch_bytes_max: usize,
}

impl Reading {
    /// Hands over all lines from `from` on; ends early where nobody takes them any more.
    fn run(self, out: &Sender<Sealed>) -> Result<(), IngestError> {
        let failed = failed(&self.path);
        // Not a byte more than was hashed: what somebody appends meanwhile belongs to another file.
        let file = File::open(&self.path).map_err(&failed)?.take(self.survey.bytes_total);
        let mut lines = Lines::new(BufReader::with_capacity(64 * 1024, Hashed::new(file)), LINE_BYTES_MAX);
        let mut buffer = Buffer::new(PARTITION, self.from, self.door.decoder);
        while let Some((number, line)) = lines.next_line().map_err(&failed)? {
            if number < self.from {
                continue;
            }
            self.take(number, &line, &mut buffer);
            if buffer.bytes() >= self.batch_bytes_max {
                let sealed = buffer.seal(self.door.decoder)?;
                // Blocks while the committer is busy: that is the back-pressure.
                if out.blocking_send(sealed).is_err() {
                    return Ok(());
                }
            }
        }
        if lines.into_inner().into_inner().sha256() != self.survey.sha256 {
            return Err(IngestError::FileChanged { path: self.path.display().to_string() });
        }
        if !buffer.is_empty() {
            // A receiver that is gone has its own error to tell.
            let _ = out.blocking_send(buffer.seal(self.door.decoder)?);
        }
        Ok(())
    }

    fn take(&self, offset: i64, line: &Line<'_>, buffer: &mut Buffer) {
        let message = |payload| Message {
            partition: PARTITION,
            offset,
            received_at: self.received_at,
            payload: Some(payload),
            headers: &[],
        };
        match line {
            Line::Blank => buffer.pass(offset),
            Line::Whole(payload) => buffer.push(&message(payload), &self.door, &self.decided),
            Line::Cut(payload) => {
                let detail =
                    format!("the line is longer than {LINE_BYTES_MAX} bytes; size and hash are those of its beginning");
                let rejection = Rejection::new("line_too_long", detail);
                buffer.reject_whole(&message(payload), &rejection, &self.door, &self.decided);
            }
        }
    }
}

#[cfg(test)]
mod tests;
