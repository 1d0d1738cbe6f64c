//! Arguments and help texts; what each command does is in `commands.rs`.

mod commands;
mod examples;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use serde_json::json;
use tollbook::context::JobContext;
use tollbook::demo::DemoSettings;
use tollbook::jobs::{bill, check, close, ingest, lake, partner, sql};
use tollbook::output::{data, talk};
use tollbook_schemas::actor::Actor;
use tollbook_schemas::id::InvoiceId;
use tollbook_schemas::period::Month;
use tollbook_simulate::Settings;

use commands::{
    close_of, estimate, run_aggregate, run_bill, run_catalog_coverage, run_catalog_diff, run_compact, run_demo,
    run_ingest, run_partner, run_report,
};

/// API-gateway access logs in from Kafka, provable invoices out through Stripe.
///
/// Exit codes: 0 done, 1 failed, 2 configuration, 3 data contradict an invariant, 4 try again, 5 another process is
/// at it, 6 an input was refused, 10 figures differ (demo, bill compare), 70 our own mistake.
#[derive(Debug, Parser)]
#[command(name = "tollbook", version, after_help = examples::ALL)]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, global = true, default_value = "tollbook.toml")]
    config: PathBuf,
    /// Print JSON, an object a line, where there would be tables or text. bill draft, issue, push and sync, and close,
    /// print it always.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole path on a simulated month, checked against the simulator's ledger.
    #[command(after_help = examples::DEMO)]
    Demo {
        /// Same seed, same figures, same invoice bytes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// At least this many requests.
        #[arg(long, default_value_t = 200_000)]
        events: u64,
        /// Partners of the program.
        #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
        partners: u32,
        /// Folder of the demo; an earlier demo in it is replaced.
        #[arg(long, default_value = "demo")]
        dir: PathBuf,
        /// A real broker instead of the embedded one.
        #[arg(long, value_name = "BROKERS")]
        kafka: Option<String>,
    },
    /// Write a commented configuration and catalog to start from.
    #[command(after_help = examples::INIT)]
    Init {
        /// Folder to write to.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Validate configuration, its secrets and the catalog: what is wrong, where, and how to mend it.
    #[command(after_help = examples::CHECK)]
    Check,
    /// Read the configured topics into the lake, until stopped; or one file of JSON lines.
    #[command(after_help = examples::INGEST)]
    Ingest {
        /// End when every partition has reached the end it had at the start.
        #[arg(long, conflicts_with = "file")]
        until_caught_up: bool,
        /// A file that nobody writes to any more, such as a rotated log; given twice, it adds nothing.
        #[arg(long, value_name = "PATH", requires = "decoder")]
        file: Option<PathBuf>,
        /// How the file's lines are read: native, nginx, kong or cloudevents.
        #[arg(long, requires = "file")]
        decoder: Option<String>,
        /// Id of the gateway that wrote the file; event ids are unique within it.
        #[arg(long, requires = "file")]
        gateway: Option<String>,
        /// Environment of records that say none: production or sandbox.
        #[arg(long, requires = "file")]
        environment: Option<String>,
        /// Read the file anew, in another way, where nothing of it was accepted: 2 after the first reading.
        #[arg(long, value_name = "N", requires = "file", value_parser = clap::value_parser!(u32).range(1..))]
        generation: Option<u32>,
    },
    /// Refresh registry and usage, then the funnel and the view of partners.
    #[command(after_help = examples::AGGREGATE)]
    Aggregate {
        /// Look up to this instant; the watermark of the data by default.
        #[arg(long, value_name = "INSTANT")]
        as_of: Option<String>,
    },
    /// Invoices: draft, adjust by hand, hold and approve, issue, push, sync; list, show, explain, verify; preview, reprice, fit,
    /// compare, estimate.
    #[command(after_help = examples::BILL)]
    Bill {
        #[command(subcommand)]
        step: BillStep,
    },
    /// A month end in one command: aggregate, draft, issue, push, sync, funnel, reports. Resumable at any step.
    #[command(after_help = examples::CLOSE)]
    Close {
        #[command(flatten)]
        period: Period,
        #[command(flatten)]
        accept: Accept,
    },
    /// Partners: import from CSV, record one event by hand.
    #[command(after_help = examples::PARTNER)]
    Partner {
        #[command(subcommand)]
        step: PartnerStep,
    },
    /// Pages of figures: the funnel, the return, the issued invoices. Self-contained HTML, or JSON with --json.
    #[command(after_help = examples::REPORT)]
    Report {
        #[command(subcommand)]
        step: ReportStep,
    },
    /// SQL over every table and view: `show tables` lists them, `describe NAME` shows columns with their meaning.
    #[command(after_help = examples::SQL)]
    Sql {
        /// The query.
        query: String,
        /// Form of the answer.
        #[arg(long, value_enum, default_value = "table")]
        format: sql::Format,
        /// File to write the answer to; needed for parquet.
        #[arg(long, value_name = "FILE", required_if_eq("format", "parquet"))]
        out: Option<PathBuf>,
        /// Tables as this run left them: ingested rows that it knew, other tables as they stood when it ended. Ids are
        /// in run_history.
        #[arg(long, value_name = "RUN_ID")]
        as_of_run: Option<String>,
        /// Tables as they stood when the invoices of this month were issued: as the run left them that issued the last.
        #[arg(long, value_name = "MONTH", conflicts_with = "as_of_run")]
        as_of_close: Option<Month>,
    },
    /// The catalog: what is different between two of them, and for whom; how much traffic its products cover.
    #[command(after_help = examples::CATALOG)]
    Catalog {
        #[command(subcommand)]
        step: CatalogStep,
    },
    /// Files of the lake: list those of a table, merge small ones.
    #[command(after_help = examples::LAKE)]
    Lake {
        #[command(subcommand)]
        step: LakeStep,
    },
}

#[derive(Debug, Subcommand)]
enum CatalogStep {
    /// What is different between two catalogs, key by key, and whose bill changes from which period on; writes nothing.
    #[command(after_help = examples::CATALOG)]
    Diff {
        /// Folder, or the first letters of the hash of a catalog that was used (table catalog_file).
        old: String,
        /// The same; the configured folder by default.
        new: Option<String>,
    },
    /// Requests by product, those of no product, and those that the rules of several products fit; writes nothing.
    #[command(after_help = examples::COVERAGE)]
    Coverage {
        /// A month of UTC, such as 2026-06; all that was counted by default.
        #[arg(long, value_name = "MONTH")]
        period: Option<Month>,
        /// Parts of the path by which requests of no product are grouped: 2 for paths such as /v1/maps/….
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=16))]
        depth: u32,
        /// How many of these groups are listed, the largest first.
        #[arg(long, value_name = "N", default_value_t = 20)]
        top: u32,
    },
}

#[derive(Debug, Subcommand)]
enum LakeStep {
    /// The live Parquet files of a table, for `read_parquet([…])`; a glob over the folder would be wrong.
    #[command(after_help = examples::FILES)]
    Files {
        /// Table; `tollbook sql "show tables"` names them.
        table: String,
    },
    /// Merge small files into few with the same rows, and write checkpoints; safe beside running jobs.
    #[command(after_help = examples::COMPACT)]
    Compact {
        /// Tables; all by default.
        tables: Vec<String>,
        /// Size that merged files aim at.
        #[arg(long, value_name = "BYTES", default_value_t = 128 << 20, value_parser = clap::value_parser!(u64).range(1 << 20..))]
        target_bytes: u64,
    },
}

#[derive(Debug, Subcommand)]
enum PartnerStep {
    /// Partners, identity links, subscriptions and billing profiles from a CSV file; shows what it would do.
    #[command(after_help = examples::IMPORT)]
    Import {
        /// The file.
        #[arg(required_unless_present = "template")]
        file: Option<PathBuf>,
        /// Do it, after a look at what it would do.
        #[arg(long)]
        apply: bool,
        /// Print an example file.
        #[arg(long)]
        template: bool,
    },
    /// One lifecycle event by hand.
    #[command(after_help = examples::RECORD)]
    Record(partner::Recorded),
}

#[derive(Debug, clap::Args)]
struct Period {
    /// A month such as 2026-06, `previous`, or `due`: every ended month in which a subscription ran, by its own calendar.
    #[arg(long, default_value = "due", value_parser = period)]
    period: String,
    /// Look from this instant; the watermark of the data by default.
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
}

/// A word of `--period`, before anything is opened.
fn period(text: &str) -> Result<String, String> {
    let is_known = matches!(text, "previous" | "due") || text.parse::<Month>().is_ok();
    is_known
        .then(|| text.to_owned())
        .ok_or_else(|| "--period takes a month such as 2026-06, previous, or due".to_owned())
}

/// What to do about months whose data are not complete.
#[derive(Debug, clap::Args)]
struct Accept {
    /// Issue also where the data do not reach to the end of the month, and say why: in job_run, in the register and on
    /// the invoices. Looks from now, unless --as-of is given. Drafts of such a month: bill draft --period MONTH.
    #[arg(long = "accept-incomplete", value_name = "REASON", value_parser = bill::reason)]
    reason: Option<String>,
    /// Do not wait for the grace behind the end of a period (grace_hours in [billing]); job_run says so.
    #[arg(long)]
    skip_grace: bool,
}

impl Accept {
    /// The surroundings of a job that waits no longer than this says.
    fn of(&self, context: &JobContext) -> JobContext {
        let mut context = context.clone();
        context.configuration.billing.skips_grace = self.skip_grace;
        context
    }
}

/// Where pages go, and up to when they look.
#[derive(Debug, clap::Args)]
struct Pages {
    /// Look up to this instant; the watermark of the data by default.
    #[arg(long, value_name = "INSTANT", conflicts_with_all = ["as_of_run", "as_of_close"])]
    as_of: Option<String>,
    /// Figures as this run left the tables; ids are in run_history.
    #[arg(long, value_name = "RUN_ID")]
    as_of_run: Option<String>,
    /// Figures as they stood when the invoices of this month were issued: as the run left the tables that issued the
    /// last.
    #[arg(long, value_name = "MONTH", conflicts_with = "as_of_run")]
    as_of_close: Option<Month>,
    /// Folder to write to; `reports` beside the configuration by default.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ReportStep {
    /// Registration to revenue: counts, conversion, drop-off, median times, registrations per week.
    #[command(after_help = examples::FUNNEL)]
    Funnel(Pages),
    /// Revenue and cost by currency with their ratio, usage over time, top partners.
    #[command(after_help = examples::ROI)]
    Roi(Pages),
    /// A page for each issued invoice.
    #[command(after_help = examples::INVOICES)]
    Invoices {
        /// A month such as 2026-06, `previous`, or `due`: every ended month in which a subscription ran, by its own calendar.
        #[arg(long, default_value = "due", value_parser = period)]
        period: String,
        #[command(flatten)]
        pages: Pages,
    },
}

#[derive(Debug, Subcommand)]
enum BillStep {
    /// Rate usage into documents.
    #[command(after_help = examples::DRAFT)]
    Draft {
        #[command(flatten)]
        period: Period,
        /// Who drafts: staff:NAME or system:RULE; by default what TOLLBOOK_ACTOR says.
        #[arg(long, value_parser = Actor::parse)]
        actor: Option<Actor>,
    },
    /// Give drafts their numbers: from then on they are invoices.
    #[command(after_help = examples::ISSUE)]
    Issue {
        #[command(flatten)]
        period: Period,
        #[command(flatten)]
        accept: Accept,
    },
    /// Which months are due, for whom, and why one is not an invoice yet; nothing is written.
    ///
    /// Each place that is not issued, with everything that keeps it: its period runs or stays open (grace_hours), data are
    /// missing, it is not drafted, stale or held, its partner is blocked. What nothing keeps is ready: `bill issue` issues it.
    #[command(after_help = examples::DUE)]
    Due(commands::bill::due::Given),
    /// Stop drafts of a partner and month from being issued, until they are released.
    ///
    /// What is held is the place of the invoice, whatever is drafted there; or, by partner and month, every document of it.
    #[command(after_help = examples::HOLD)]
    Hold {
        #[command(flatten)]
        of: bill::hold::Of,
        #[command(flatten)]
        by: bill::hold::By,
    },
    /// End a hold that somebody made.
    #[command(after_help = examples::RELEASE)]
    Release {
        #[command(flatten)]
        of: bill::hold::Of,
        #[command(flatten)]
        by: bill::hold::By,
    },
    /// Charge or credit a partner by hand, beside what is metered; or take that back.
    ///
    /// It is a line of its month's invoice, also where the month bills nothing else. The same twice is one.
    #[command(after_help = examples::ADJUST)]
    Adjust(Box<bill::adjust::Adjustment>),
    /// What was charged and credited by hand and no issued document bears yet; or all of it.
    #[command(after_help = examples::ADJUSTMENTS)]
    Adjustments(commands::bill::adjustments::Given),
    /// Let drafts be issued that a policy holds: exactly these documents, and no later draft of their place.
    #[command(after_help = examples::APPROVE)]
    Approve {
        /// Drafts, such as inv_0123456789abcdef0123.
        #[arg(required = true, value_parser = bill::hold::draft_id)]
        drafts: Vec<InvoiceId>,
        #[command(flatten)]
        by: bill::hold::By,
    },
    /// Send issued invoices to Stripe.
    #[command(after_help = examples::PUSH)]
    Push(Period),
    /// Bring payments back from Stripe.
    #[command(after_help = examples::SYNC)]
    Sync,
    /// From a printed line to the usage slices and offsets that made it.
    #[command(after_help = examples::EXPLAIN)]
    Explain {
        /// Line id, such as lin_0123456789abcdef0123.
        line: String,
    },
    /// Re-derive issued invoices from the raw rows at their pin, by the second implementation; tell what differs.
    ///
    /// Offline, and without the configured catalog: everything is in the lake. Ends with 3 where an invoice differs.
    #[command(after_help = examples::VERIFY)]
    Verify {
        /// Invoice id (inv_…), number, a month such as 2026-06, `previous`, or `due`.
        #[arg(value_name = "INVOICE|PERIOD")]
        wanted: String,
    },
    /// Each invoice with its state, and why a partner has none.
    #[command(after_help = examples::REGISTER)]
    Register {
        #[command(flatten)]
        period: Period,
        /// As it would have been told when the invoices of this month were issued: as the run left the tables that issued the
        /// last.
        #[arg(long, value_name = "MONTH", conflicts_with = "as_of")]
        as_of_close: Option<Month>,
        /// Comma-separated values.
        #[arg(long)]
        csv: bool,
    },
    /// Invoices and drafts with their state, by month, partner or state.
    #[command(after_help = examples::LIST)]
    List(commands::bill::list::Given),
    /// The printed lines of issued invoices and credit notes, as table, CSV, JSON or Parquet: for ledgers and finance.
    #[command(after_help = examples::LINES)]
    Lines(commands::bill::lines::Given),
    /// Prepaid credits: what was granted, used and is left.
    #[command(after_help = examples::CREDITS)]
    Credits(commands::bill::credits::Given),
    /// One invoice or draft: its lines, how each came about, its total, its life.
    #[command(after_help = examples::SHOW)]
    Show {
        /// Invoice number, invoice id, or the first letters of the id.
        name: String,
    },
    /// The invoices so far, of a month that has not ended; on any day, nothing is written.
    ///
    /// The month as it would be if nothing more came: usage up to --as-of, in whole hours, and flat prices of the whole
    /// month.
    #[command(after_help = examples::PREVIEW)]
    Preview(commands::bill::preview::Given),
    /// All history under another price book: what each partner would have paid; nothing is written.
    ///
    /// Both catalogs price the usage that the present one metered, so a meter or a route that differs is an error. Who
    /// cannot be rated by one of them is listed and is in no sum.
    #[command(after_help = examples::REPRICE)]
    Reprice(commands::bill::reprice::Given),
    /// The cheapest plan for what each subscription really used, against the chosen one; nothing is written.
    ///
    /// Plans of the same issuer and currency, each with the price that an invoice would have. A plan without a price
    /// for a meter that the chosen plan charges for, and that was used, is no candidate.
    #[command(after_help = examples::FIT)]
    Fit(commands::bill::fit::Given),
    /// Who used more of a meter in a month than its plan's quota says; nothing is written, and nothing enforced.
    ///
    /// A quota is of a calendar month in the subscription's time zone, of production usage as it is known now.
    #[command(after_help = examples::QUOTA)]
    Quota(commands::bill::quota::Given),
    /// A parallel run: differences to what another system billed, by partner and line; nothing is written or sent.
    ///
    /// Compared are issued invoices, and for the rest what would be drafted today. Ends with 10 where a line differs.
    #[command(after_help = examples::COMPARE)]
    Compare(commands::bill::compare::Given),
    /// Price calculator: a JSON object a line on stdin, an answer a line on stdout. Needs no configuration.
    ///
    /// A line that is refused is answered with `error`, and the command ends with 6.
    #[command(after_help = examples::ESTIMATE)]
    Estimate,
}

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
            let format = if json && format == sql::Format::Table { sql::Format::Json } else { format };
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
