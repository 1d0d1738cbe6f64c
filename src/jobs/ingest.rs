//! `tollbook ingest`: all doors of the configuration at once, each with its topic; or one file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tollbook_ingest::{
    Budget, Clock, Decoder, FileIngestor, FileReport, IngestReport, Ingestor, KafkaSettings, Progress,
};

use crate::configuration::ConfigurationError;
use crate::context::JobContext;

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
    }
}

/// Reads every topic up to its present end.
///
/// # Errors
/// The first error of any topic.
pub async fn until_caught_up(context: &JobContext) -> anyhow::Result<Vec<(String, IngestReport)>> {
    let bars = Bars::new();
    let mut reports = Vec::new();
    for ingestor in ingestors(context, budget(context))? {
        let bar = bars.bar(&ingestor.kafka.topic);
        let report = ingestor.until_caught_up(context.clock.now(), &|progress| show(&bar, progress)).await?;
        bar.finish_and_clear();
        reports.push((ingestor.kafka.topic, report));
    }
    Ok(reports)
}

/// Reads every topic until `stop` is set.
///
/// # Errors
/// The first error of any topic; the others are stopped then.
pub async fn until_stopped(
    context: &JobContext,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<Vec<(String, IngestReport)>> {
    let bars = Bars::new();
    let mut running = tokio::task::JoinSet::new();
    for ingestor in ingestors(context, budget(context))? {
        let (bar, stop) = (bars.bar(&ingestor.kafka.topic), stop.clone());
        let clock = context.clock;
        let clock: Clock = Arc::new(move || clock.now());
        running.spawn(async move {
            let report = ingestor.until_stopped(Some(clock), &stop, &|progress| show(&bar, progress)).await;
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
}

/// Takes in a file of JSON lines; what the lake has of it already is left out.
///
/// # Errors
/// What is wrong with the file or with what is said of it, and how to mend it.
pub async fn file(context: &JobContext, given: GivenFile) -> anyhow::Result<FileReport> {
    let GivenFile { path, decoder: word, gateway, environment } = given;
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
    let bar = Bars::new().bar(&path.display().to_string());
    let ingestor = FileIngestor {
        lake: context.lake.clone(),
        path,
        decoder,
        gateway,
        environment_default: environment,
        keys: context.configuration.key_ring()?,
        budget: Budget::default(),
    };
    let report = ingestor.run(received_at, &|progress| show(&bar, progress)).await?;
    bar.finish_and_clear();
    Ok(report)
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
