//! `tollbook ingest`: all doors of the configuration at once, each with its topic; or one file.
//!
//! Each run holds a lock for each source that it reads, so that a second one ends at once; a service that is killed
//! holds nothing (docs/adr/0004). When it ends, by itself, by a signal or by an error, it writes its row of `job_run`:
//! what it had committed by then, and the offsets at which the tables stand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use chrono::{DateTime, Utc};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tollbook_ingest::{
    Budget, Clock, Decoder, FileIngestor, FileReport, IngestReport, Ingestor, KafkaSettings, Progress,
};

use crate::configuration::ConfigurationError;
use crate::context::{JobContext, Ran};

/// Jobs as `job_run` names them.
const JOB: &str = "ingest";
const FILE_JOB: &str = "ingest file";

/// The ingestors of a configuration.
///
/// # Errors
/// A configuration without topics, or a secret that is not there.
pub fn ingestors(context: &JobContext, budget: Budget) -> anyhow::Result<Vec<Ingestor>> {
    let configuration = &context.configuration;
    let doors = configuration.doors()?;
    if doors.is_empty() {
        let none = "no [[topic]] is configured, so there is nothing to ingest; add one, or give --file";
        bail!(ConfigurationError(none.to_owned()));
    }
    let (properties, brokers) = (configuration.kafka_properties()?, configuration.kafka()?.brokers.clone());
    Ok(doors
        .into_iter()
        .map(|(topic, door)| Ingestor {
            lake: context.lake.clone(),
            door,
            kafka: KafkaSettings { brokers: brokers.clone(), topic, properties: properties.clone() },
            budget,
        })
        .collect())
}

/// The configured limits of a run.
fn budget(context: &JobContext) -> Budget {
    let (section, default) = (&context.configuration.ingest, Budget::default());
    Budget {
        batch_bytes_max: section.batch_bytes_max.unwrap_or(default.batch_bytes_max),
        commit_interval: section.commit_interval_ms.map_or(default.commit_interval, Duration::from_millis),
        watermark_interval: section.watermark_interval_ms.map_or(default.watermark_interval, Duration::from_millis),
        checkpoint_commits: section.checkpoint_commits.unwrap_or(default.checkpoint_commits),
    }
}

/// What was committed of each source, as far as it is known: told even where a run fails.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<BTreeMap<String, Progress>>>);

impl Tally {
    fn note(&self, source: &str, progress: &Progress) {
        // A thread that panicked while it held the tally left a whole one: each note is one insertion.
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.insert(source.to_owned(), progress.clone());
    }

    /// Calls a source by its name, which was not known before the end.
    fn rename(&self, from: &str, to: &str) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = noted.remove(from) {
            noted.insert(to.to_owned(), progress);
        }
    }

    /// As `job_run` tells it.
    fn counts(&self, mode: &str) -> Value {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |of: fn(&Progress) -> u64| noted.values().map(of).sum::<u64>();
        let sources: serde_json::Map<String, Value> = noted
            .iter()
            .map(|(source, progress)| {
                let counts = json!({ "accepted": progress.accepted_total, "rejected": progress.rejected_total,
                    "rejected_before": progress.decided_total, "commits": progress.commits_total,
                    "restarts": progress.restarts_total, "lag": progress.lag_offsets(),
                    "held_back": progress.is_held_back });
                (source.clone(), counts)
            })
            .collect();
        json!({ "mode": mode, "accepted": sum(|one| one.accepted_total), "rejected": sum(|one| one.rejected_total),
            "sources": sources })
    }
}

/// Runs an ingest under the locks of its work and reports it in `job_run`. The pin is what the tables stand at when it
/// ends, read from the tables: never more than is committed.
async fn observed<T>(
    context: &JobContext,
    (job, mode): (&str, &str),
    locked: BTreeSet<String>,
    tally: &Tally,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut locks = Vec::new();
    for name in &locked {
        locks.push(context.lake.lock(name)?);
    }
    let (started_at, started) = (context.clock.now(), Instant::now());
    let result = work.await;
    let reported = async {
        let (access, events) = context.pins().await?;
        let pin = json!({ "access_log": access, "partner_event": events }).to_string();
        let (error, counts) = (result.as_ref().err(), tally.counts(mode));
        context.report(Ran { job, started_at, started, error, pin, catalog_sha256: None, counts }).await
    }
    .await;
    drop(locks);
    // What went wrong with the work is told first.
    let value = result?;
    reported?;
    Ok(value)
}

fn locks_of(ingestors: &[Ingestor]) -> BTreeSet<String> {
    ingestors.iter().map(|ingestor| format!("{JOB} {}", ingestor.door.source)).collect()
}

/// Reads every topic up to its present end.
///
/// # Errors
/// The first error of any topic; a topic that another process reads.
pub async fn until_caught_up(context: &JobContext) -> anyhow::Result<Vec<(String, IngestReport)>> {
    let (bars, tally) = (Bars::new(), Tally::default());
    let ingestors = ingestors(context, budget(context))?;
    let locks = locks_of(&ingestors);
    let work = async {
        let mut reports = Vec::new();
        for ingestor in ingestors {
            let bar = bars.bar(&ingestor.kafka.topic);
            let source = ingestor.door.source.as_str();
            let progress = |progress: &Progress| {
                tally.note(source, progress);
                show(&bar, progress);
            };
            let report = ingestor.until_caught_up(context.clock.now(), &progress).await?;
            tally.note(source, &report);
            bar.finish_and_clear();
            reports.push((ingestor.kafka.topic, report));
        }
        Ok(reports)
    };
    observed(context, (JOB, "until caught up"), locks, &tally, work).await
}

/// Reads every topic until `stop` is set.
///
/// # Errors
/// The first error of any topic; the others are stopped then. A topic that another process reads.
pub async fn until_stopped(
    context: &JobContext,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<Vec<(String, IngestReport)>> {
    let (bars, tally) = (Bars::new(), Tally::default());
    let ingestors = ingestors(context, budget(context))?;
    let locks = locks_of(&ingestors);
    let work = async {
        let mut running = tokio::task::JoinSet::new();
        for ingestor in ingestors {
            let (bar, stop, tally) = (bars.bar(&ingestor.kafka.topic), stop.clone(), tally.clone());
            let clock = context.clock;
            let clock: Clock = Arc::new(move || clock.now());
            running.spawn(async move {
                let source = ingestor.door.source.as_str();
                let progress = |progress: &Progress| {
                    tally.note(source, progress);
                    show(&bar, progress);
                };
                let report = ingestor.until_stopped(Some(clock), &stop, &progress).await;
                // Whichever ends first, by a signal or by an error, ends the others too: each commits what it holds.
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                report.map(|report| (ingestor.kafka.topic, report))
            });
        }
        let mut reports = Vec::new();
        let mut failed = None;
        while let Some(ended) = running.join_next().await {
            match ended? {
                Ok(report) => reports.push(report),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(reports),
        }
    };
    observed(context, (JOB, "service"), locks, &tally, work).await
}

/// A file as it is given on the command line.
#[derive(Debug, Clone)]
pub struct GivenFile {
    /// Path.
    pub path: PathBuf,
    /// Word for how its lines are read.
    pub decoder: String,
    /// Id of the gateway; only lifecycle events come from none.
    pub gateway: Option<String>,
    /// Environment of records that say none.
    pub environment: Option<String>,
    /// Which reading of these bytes it is; the present one where it is not given.
    pub generation: Option<u32>,
}

/// Takes in a file of JSON lines; what the lake has of it already is left out.
///
/// # Errors
/// What is wrong with the file or with what is said of it, and how to mend it.
pub async fn file(context: &JobContext, given: GivenFile) -> anyhow::Result<FileReport> {
    let GivenFile { path, decoder: word, gateway, environment, generation } = given;
    // The command line is configuration too: what is wrong with it does not get better by trying again.
    let decoder = Decoder::parse(&word)
        .ok_or_else(|| ConfigurationError(format!("decoder {word:?} is not known; use {}", Decoder::WORDS)))?;
    let gateway = gateway.unwrap_or_default();
    if decoder.needs_gateway() && gateway.is_empty() {
        let missing = "--gateway is missing; event ids are unique within a gateway, so it needs a name";
        bail!(ConfigurationError(missing.to_owned()));
    }
    if let Some(word) = environment.as_deref()
        && !["production", "sandbox"].contains(&word)
    {
        bail!(ConfigurationError(format!("environment {word:?} is neither production nor sandbox; use one of them")));
    }
    // The file's own time stands for the record time of Kafka: it decides lateness, and is the same for every run.
    let told = path.display();
    let metadata = std::fs::metadata(&path).map_err(|error| {
        ConfigurationError(format!("{told} cannot be read ({error}); check the path and who may read it"))
    })?;
    if !metadata.is_file() {
        let told = format!("{told} is no file; give one that nobody writes to any more, such as a rotated log");
        bail!(ConfigurationError(told));
    }
    let received_at = DateTime::<Utc>::from(metadata.modified()?);
    let (bar, tally) = (Bars::new().bar(&path.display().to_string()), Tally::default());
    // One at a time for a path: two would fence each other, line by line. Bytes that come under two names still do.
    let name = path.canonicalize().unwrap_or_else(|_| path.clone());
    let locks = BTreeSet::from([format!("{FILE_JOB} {}", name.display())]);
    let given = path.display().to_string();
    let ingestor = FileIngestor {
        lake: context.lake.clone(),
        path,
        decoder,
        gateway,
        environment_default: environment,
        generation,
        begun_at: context.clock.now(),
        keys: context.configuration.key_ring()?,
        budget: Budget { checkpoint_commits: budget(context).checkpoint_commits, ..Budget::default() },
    };
    let work = async {
        let progress = |progress: &Progress| {
            tally.note(&given, progress);
            show(&bar, progress);
        };
        let report = ingestor.run(received_at, &progress).await?;
        tally.rename(&given, report.source.as_str());
        bar.finish_and_clear();
        Ok(report)
    };
    observed(context, (FILE_JOB, "file"), locks, &tally, work).await
}

struct Bars(MultiProgress);

impl Bars {
    fn new() -> Self {
        // indicatif draws on a terminal only, and on stderr.
        Self(MultiProgress::new())
    }

    fn bar(&self, topic: &str) -> ProgressBar {
        let style = ProgressStyle::with_template("{prefix:20} {bar:30} {pos}/{len} offsets, {per_sec}, {msg}");
        let bar = self.0.add(ProgressBar::new(0));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(topic.to_owned());
        bar
    }
}

fn show(bar: &ProgressBar, progress: &Progress) {
    let high: i64 = progress.partitions.values().map(|state| state.high).sum();
    let committed: i64 = progress.partitions.values().map(|state| state.committed.min(state.high)).sum();
    bar.set_length(u64::try_from(high).unwrap_or_default());
    bar.set_position(u64::try_from(committed).unwrap_or_default());
    bar.set_message(format!("lag {}, rejected {}", progress.lag_offsets(), progress.rejected_total));
}

#[cfg(test)]
mod tests;
