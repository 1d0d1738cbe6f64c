//! What every job has: the configuration, the lake, the catalog, the clock; and the frame around a job: its lease and
//! its row in `job_run`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tollbook_aggregate::data_reach;
use tollbook_lake::Lake;
use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::id::RunId;
use tollbook_schemas::period::{parse_instant, print_instant};
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::runs::JOB_RUN;
use tollbook_schemas::tables::{ALL, Row, access_log, partner_event};

use crate::clock::Clock;
use crate::configuration::Configuration;

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
        let root = root.to_str().context("the lake's path is not UTF-8")?;
        Ok(Self { lake: Lake::open(root)?, configuration, clock })
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

    /// The instant up to which a report looks: as given, else as far as the data reach; never the clock.
    ///
    /// # Errors
    /// Where nobody knows how far the data reach.
    pub async fn as_of(&self, given: Option<&str>) -> anyhow::Result<DateTime<Utc>> {
        if let Some(text) = given {
            return Ok(parse_instant(text)?);
        }
        data_reach(&self.lake, &self.configuration.feeds()?).await?.context(
            "how far the data reach is not known: nothing was ingested, or a topic of tollbook.toml was not read to its \
             end yet; run `tollbook ingest --until-caught-up`, or give --as-of",
        )
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
            // Both are polled together: the work may hold what the renewal waits for.
            let mut renewing = Box::pin(async {
                loop {
                    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
                    if let Err(error) = lease.renew(machine.now()).await {
                        break error;
                    }
                }
            });
            tokio::select! {
                result = &mut work => result,
                error = &mut renewing => Err(error.into()),
            }
        };
        let (word, mut counts) = match &result {
            Ok((_, counts)) => ("ok".to_owned(), counts.clone()),
            Err(error) => (crate::jobs::kind_of(error).map_or("error".to_owned(), |kind| kind.to_string()), json!({})),
        };
        let read = counts.as_object_mut().and_then(|counts| counts.remove("pin"));
        let pin = read.map_or(pin, |read| read.to_string());
        let duration_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
        let reported = async {
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
                .with("result", word)
                .with("pin", pin)
                .with("catalog_sha256", catalog_sha256)
                .with("table_versions", serde_json::to_string(&versions)?)
                .with("counts", counts)
                .with("run_month", started_at.format("%Y-%m").to_string());
            self.lake.append_missing(&JOB_RUN, &[row]).await?;
            anyhow::Ok(())
        }
        .await;
        let released = lease.release().await;
        // What went wrong with the work is told first; what went wrong after it only where the work was done.
        let value = result?.0;
        reported?;
        released?;
        Ok(value)
    }
}

/// Reads and checks a catalog folder, its meters' SQL included.
///
/// # Errors
/// All problems, each with file, line and how to mend it.
pub fn read_catalog(folder: &Path) -> anyhow::Result<Catalog> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| {
        format!("the catalog folder {} cannot be read; write one with `tollbook init`", folder.display())
    })?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push(CatalogFile { path: name, text });
        }
    }
    let catalog = match Catalog::parse(&files) {
        Ok(catalog) => catalog,
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            bail!(CatalogProblems(lines.join("\n")));
        }
    };
    let problems = tollbook_aggregate::check_meters(&catalog);
    if !problems.is_empty() {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        bail!(CatalogProblems(lines.join("\n")));
    }
    Ok(catalog)
}

/// What is wrong in a catalog, one line each.
#[derive(Debug, thiserror::Error)]
#[error("the catalog cannot be used:\n{0}")]
pub struct CatalogProblems(String);
