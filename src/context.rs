//! What every job has: the configuration, the lake, the catalog, the clock; and the frame around a job: its lease and
//! its row in `job_run`.

mod folder;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{anyhow, bail};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tollbook_aggregate::{AggregateError, data_reach};
use tollbook_lake::{Lake, LakeError};
use tollbook_schemas::catalog::{Catalog, CatalogFile, Problem, problem};
use tollbook_schemas::id::RunId;
use tollbook_schemas::period::{parse_instant, print_instant};
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::runs::JOB_RUN;
use tollbook_schemas::tables::{ALL, Row, access_log, partner_event};

use crate::clock::Clock;
use crate::configuration::{Configuration, ConfigurationError};
use crate::jobs::bill::Stale;

/// The surroundings of a job.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// As read.
    pub configuration: Configuration,
    /// The lake.
    pub lake: Lake,
    /// The clock.
    pub clock: Clock,
}

/// How often a job renews its lease, which holds for a minute.
const RENEW_EVERY: Duration = Duration::from_secs(20);

impl JobContext {
    /// Opens everything that a configuration names.
    ///
    /// # Errors
    /// What is wrong, where, and how to mend it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Self::of(Configuration::read(path)?)
    }

    /// Opens everything that a configuration names.
    ///
    /// # Errors
    /// What is wrong, where, and how to mend it.
    pub fn of(configuration: Configuration) -> anyhow::Result<Self> {
        let clock = match &configuration.clock {
            None => Clock::System,
            Some(section) => Clock::Fixed(parse_instant(&section.fixed)?),
        };
        let root = configuration.path(&configuration.lake.root);
        let no_text =
            || ConfigurationError(format!("the lake's path {} is not UTF-8; rename a folder", root.display()));
        let root = root.to_str().ok_or_else(no_text)?;
        let lake = Lake::open_within(root, configuration.lake.query_memory_bytes_max)?;
        Ok(Self { lake, configuration, clock })
    }

    /// Reads and checks the catalog, its meters' SQL included.
    ///
    /// # Errors
    /// All problems, each with file, line and how to mend it.
    pub fn catalog(&self) -> anyhow::Result<Catalog> {
        read_catalog(&self.configuration.path(&self.configuration.catalog.folder))
    }

    /// What is known of both ingested tables now.
    ///
    /// # Errors
    /// The lake's.
    pub async fn pins(&self) -> anyhow::Result<(Pin, Pin)> {
        Ok((self.lake.pin(&access_log::TABLE).await?, self.lake.pin(&partner_event::TABLE).await?))
    }

    /// The instant from which a job looks: as given, which may not lie in the future; else as far as the data reach;
    /// never the clock.
    ///
    /// # Errors
    /// Where nobody knows how far the data reach; an instant in the future.
    pub async fn as_of(&self, given: Option<&str>) -> anyhow::Result<DateTime<Utc>> {
        let Some(text) = given else {
            let feeds = self.configuration.feeds()?;
            let topics = feeds.access_log.iter().chain(&feeds.partner_event).map(ToString::to_string).collect();
            return Ok(data_reach(&self.lake, &feeds).await?.ok_or(ReachUnknown { topics })?);
        };
        let (at, now) = (parse_instant(text)?, self.clock.now());
        if at > now {
            bail!(ConfigurationError(format!(
                "--as-of {text} lies in the future: it is {} now; give an instant that is over, or leave --as-of out",
                print_instant(now)
            )));
        }
        Ok(at)
    }

    /// The instant up to which figures look: as [`Self::as_of`], and no later than the data reach, where that is known.
    /// Views show the newest instant that was aggregated: one that the data do not reach would hide all others.
    ///
    /// # Errors
    /// As [`Self::as_of`]; an instant that the data do not reach.
    pub async fn figures_as_of(&self, given: Option<&str>) -> anyhow::Result<DateTime<Utc>> {
        let at = self.as_of(given).await?;
        match data_reach(&self.lake, &self.configuration.feeds()?).await? {
            Some(reach) if at > reach => bail!(ConfigurationError(format!(
                "--as-of {} is later than {}, up to which the data reach; give that instant or an earlier one, leave \
                 --as-of out, or run `tollbook ingest --until-caught-up` first",
                print_instant(at),
                print_instant(reach)
            ))),
            _ => Ok(at),
        }
    }

    /// Runs a job under its lease and reports it in `job_run`. A `pin` among the job's counts is what it read; it takes
    /// the place of what was known at its start. The table versions are those at its end, with what it wrote: between
    /// them `tollbook sql --as-of-run` shows a run's tables.
    ///
    /// # Errors
    /// The job's; a lease that another process holds.
    pub async fn run<T>(
        &self,
        job: &str,
        catalog_sha256: Option<String>,
        work: impl Future<Output = anyhow::Result<(T, Value)>>,
    ) -> anyhow::Result<T> {
        self.run_renewing(RENEW_EVERY, job, catalog_sha256, work).await
    }

    async fn run_renewing<T>(
        &self,
        every: Duration,
        job: &str,
        catalog_sha256: Option<String>,
        work: impl Future<Output = anyhow::Result<(T, Value)>>,
    ) -> anyhow::Result<T> {
        let started_at = self.clock.now();
        let started = std::time::Instant::now();
        // A lease is between processes: it ends by the machine's clock, also where the jobs' own clock stands still.
        let machine = Clock::System;
        let mut lease = self.lake.lease(job, machine.now()).await?;
        // Before the work: what it reads is at least this, unless its counts say what it was.
        let (access, events) = self.pins().await?;
        let pin = json!({ "access_log": access, "partner_event": events }).to_string();
        let mut work = Box::pin(work);
        let result = {
            let (stop, mut stopped) = oneshot::channel::<()>();
            // Both are polled together: the work may hold what the renewal waits for.
            let mut renewing = Box::pin(async {
                loop {
                    tokio::select! {
                        _ = &mut stopped => break Ok::<(), LakeError>(()),
                        () = tokio::time::sleep(every) => lease.renew(machine.now()).await?,
                    }
                }
            });
            tokio::select! {
                result = &mut work => {
                    // A renewal that has begun comes to its end: its commit may have landed, and whoever gives the
                    // lease back must know where it stands.
                    drop(stop);
                    let renewed = renewing.await;
                    result.and_then(|done| Ok(renewed.map(|()| done)?))
                }
                lost = &mut renewing => Err(lost.err().map_or_else(|| anyhow!("the renewal of a lease ended"), Into::into)),
            }
        };
        let mut counts = match &result {
            Ok((_, counts)) => counts.clone(),
            // A run that stopped half-way tells what it did until then.
            Err(error) => error.downcast_ref::<Stale>().and_then(Stale::done).cloned().unwrap_or_else(|| json!({})),
        };
        let read = counts.as_object_mut().and_then(|counts| counts.remove("pin"));
        let pin = read.map_or(pin, |read| read.to_string());
        let ran = Ran { job, started_at, started, error: result.as_ref().err(), pin, catalog_sha256, counts };
        let reported = self.report(ran).await;
        let released = lease.release().await;
        // What went wrong with the work is told first; what went wrong after it only where the work was done.
        let value = result?.0;
        reported?;
        released?;
        Ok(value)
    }

    /// Writes the row of a run into `job_run`, with the versions that the tables have now.
    ///
    /// # Errors
    /// The lake's.
    pub(crate) async fn report(&self, ran: Ran<'_>) -> anyhow::Result<()> {
        let Ran { job, started_at, started, error, pin, catalog_sha256, counts } = ran;
        let duration_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
        let result = match error {
            None => "ok".to_owned(),
            Some(error) => crate::jobs::kind_of(error).map_or("error".to_owned(), |kind| kind.to_string()),
        };
        let mut versions = BTreeMap::new();
        for table in ALL {
            versions.insert(table.name, self.lake.version(table).await?);
        }
        let counts = counts.to_string();
        let run_id = RunId::derive([job, print_instant(started_at).as_str(), pin.as_str(), counts.as_str()]);
        let row = Row::new()
            .with("run_id", run_id.as_str())
            .with("job", job)
            .with("started_at", started_at)
            .with("duration_ms", duration_ms)
            .with("result", result)
            .with("pin", pin)
            .with("catalog_sha256", catalog_sha256)
            .with("table_versions", serde_json::to_string(&versions)?)
            .with("counts", counts)
            .with("run_month", started_at.format("%Y-%m").to_string());
        self.lake.append_missing(&JOB_RUN, &[row]).await?;
        Ok(())
    }
}

/// A run that has ended, as `job_run` tells it.
pub(crate) struct Ran<'a> {
    pub job: &'a str,
    /// By the jobs' clock.
    pub started_at: DateTime<Utc>,
    /// By the machine's, for the duration.
    pub started: std::time::Instant,
    /// Why it failed, if it did.
    pub error: Option<&'a anyhow::Error>,
    /// What it read, JSON.
    pub pin: String,
    pub catalog_sha256: Option<String>,
    pub counts: Value,
}

/// Reads and checks a catalog folder, its meters' SQL included.
///
/// # Errors
/// [`CatalogProblems`]: all of them, each with its place and how to mend it; a folder or file that cannot be read, or
/// would not be.
pub fn read_catalog(folder: &Path) -> anyhow::Result<Catalog> {
    let shown = folder.display();
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for (name, bytes) in folder::files(folder)? {
        match CatalogFile::of_bytes(name, bytes) {
            Ok(file) => files.push(file),
            Err(problem) => problems.push(*problem),
        }
    }
    if !problems.is_empty() {
        // What names something of a file that is no text is no mistake of its own.
        bail!(CatalogProblems::of(folder, problems));
    }
    if files.is_empty() {
        let what = format!(
            "the catalog folder {shown} has no *.toml file; name the right one ([catalog] folder where the command names \
             none), or write one"
        );
        bail!(ConfigurationError(what));
    }
    let (catalog, problems) = Catalog::parse_partly(&files);
    refuse(folder, problems, tollbook_aggregate::check_meters(&catalog))?;
    Ok(catalog)
}

/// Refuses a catalog of which there is something to tell.
///
/// # Errors
/// Every problem, its meters' with those that were found before.
pub fn refuse(folder: &Path, mut problems: Vec<Problem>, of_meters: Vec<AggregateError>) -> anyhow::Result<()> {
    for error in of_meters {
        match error {
            AggregateError::Meter(problem) => problems.push(*problem),
            other => bail!(other),
        }
    }
    if !problems.is_empty() {
        bail!(CatalogProblems::of(folder, problems));
    }
    Ok(())
}

/// Nobody knows yet up to which instant everything was read.
#[derive(Debug, thiserror::Error)]
#[error(
    "how far the data reach is not known: {}; run `tollbook ingest --until-caught-up`, or give --as-of. A topic that \
     tollbook.toml names holds every month back until it was read: where only files are read, take it out",
    match .topics.as_slice() {
        [] => "nothing was ingested".to_owned(),
        topics => format!("not all of {} were read to their end", topics.join(", ")),
    }
)]
pub struct ReachUnknown {
    /// The topics that are configured, as sources.
    pub topics: Vec<String>,
}

/// What is wrong in a catalog, in file and line order.
#[derive(Debug, thiserror::Error)]
#[error("the catalog cannot be used\n\n{}", problem::shown_all(problems))]
pub struct CatalogProblems {
    /// Each of them; paths begin with the catalog's folder.
    pub problems: Vec<Problem>,
}

impl CatalogProblems {
    /// Those of a folder's files, in their order.
    pub(crate) fn of(folder: &Path, mut problems: Vec<Problem>) -> Self {
        problem::sort(&mut problems);
        for problem in &mut problems {
            problem.path = folder.join(&problem.path).display().to_string();
        }
        Self { problems }
    }
}

#[cfg(test)]
mod tests;
