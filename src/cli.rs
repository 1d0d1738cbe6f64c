//! The command line: from arguments to the job that they ask for. What may be written is in `arguments.rs`, what each
//! command prints in `commands.rs`.

mod arguments;
mod commands;
mod examples;

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::demo::DemoSettings;
use tollbook::jobs::{bill, check, close, ingest, lake, sql};
use tollbook::output::{data, talk};
use tollbook_simulate::Settings;

pub use arguments::Arguments;
use arguments::{Accept, BillStep, CatalogStep, Command, LakeStep, Pages, PartnerStep, Period, ReportStep, period};
use commands::{
    close_of, estimate, run_aggregate, run_bill, run_catalog_coverage, run_catalog_diff, run_compact, run_demo,
    run_ingest, run_partner, run_report,
};

/// Runs the command; gives the exit code.
///
/// # Errors
/// The command's.
pub async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let json = arguments.json;
    match arguments.command {
        Command::Demo { seed, events, partners, dir, kafka } => {
            let world = Settings { seed, events, partners, ..Settings::default() };
            return run_demo(&DemoSettings { world, folder: dir, brokers: kafka, month_after: true }, json).await;
        }
        Command::Init { folder } => {
            let written = check::init(&folder)?;
            if json {
                data(&json!({ "written": written }).to_string());
            } else {
                written.iter().for_each(|path| data(path));
            }
            talk("next: edit them, set the secrets that tollbook.toml names, then run `tollbook check`");
        }
        Command::Check => {
            let checked = Box::pin(check::check_with_lake(&arguments.config)).await;
            if json {
                data(&check::to_json(&arguments.config, &checked).to_string());
                checked?;
            } else {
                let checked = checked?;
                checked.notes.iter().for_each(|note| talk(&format!("note: {note}")));
                data(&checked.to_string());
            }
        }
        Command::Ingest { until_caught_up, file, decoder, gateway, environment, generation } => {
            let context = JobContext::open(&arguments.config)?;
            let decoder = decoder.unwrap_or_default();
            let given = file.map(|path| ingest::GivenFile { path, decoder, gateway, environment, generation });
            run_ingest(&context, until_caught_up, given, json).await?
        }
        Command::Aggregate { as_of } => {
            run_aggregate(&JobContext::open(&arguments.config)?, as_of.as_deref(), json).await?
        }
        Command::Report { step } => {
            run_report(&JobContext::open(&arguments.config)?, step, json).await?;
        }
        Command::Bill { step: BillStep::Estimate } => return estimate(),
        Command::Bill { step } => return run_bill(&JobContext::open(&arguments.config)?, step, json).await,
        Command::Sql { query, format, out, as_of_run, as_of_close } => {
            let context = JobContext::open(&arguments.config)?;
            let as_of_run = match as_of_close {
                Some(month) => Some(close_of(&context, month).await?.run_id),
                None => as_of_run,
            };
            let format = format.asked(json)?;
            let request = sql::Request { query: &query, format, as_of_run: as_of_run.as_deref(), out: out.as_deref() };
            match (sql::answer(&context, &request).await?, &out) {
                (Some(text), _) => data(&text),
                (None, Some(path)) => data(&path.display().to_string()),
                (None, None) => {}
            }
        }
        Command::Close { period, accept } => {
            let context = accept.of(&JobContext::open(&arguments.config)?);
            let reason = accept.reason.as_deref();
            let as_of = bill::issue_as_of(&context, period.as_of.as_deref(), reason).await?;
            let months = bill::months(&context, &period.period, as_of).await?;
            close::close(&context, &months, as_of, reason, &|closed| match serde_json::to_string(closed) {
                Ok(line) => data(&line),
                Err(error) => talk(&error.to_string()),
            })
            .await?;
        }
        Command::Partner { step } => run_partner(&arguments.config, step, json).await?,
        Command::Catalog { step: CatalogStep::Diff { old, new } } => {
            run_catalog_diff(&JobContext::open(&arguments.config)?, &old, new.as_deref(), json).await?;
        }
        Command::Catalog { step: CatalogStep::Coverage { period, depth, top } } => {
            run_catalog_coverage(&JobContext::open(&arguments.config)?, period, (depth, top), json).await?;
        }
        Command::Lake { step: LakeStep::Files { table } } => {
            let files = lake::files(&JobContext::open(&arguments.config)?, &table).await?;
            if json {
                data(&json!({ "table": table, "files": files }).to_string());
            } else {
                files.iter().for_each(|file| data(file));
                if files.is_empty() {
                    talk(&format!("{table} has no files: nothing was written to it yet"));
                }
            }
        }
        Command::Lake { step: LakeStep::Compact { tables, target_bytes } } => {
            run_compact(&JobContext::open(&arguments.config)?, &tables, target_bytes, json).await?;
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests;
