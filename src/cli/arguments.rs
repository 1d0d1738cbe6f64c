//! The words of the command line: commands with their options and help texts, in the order of the path.

mod bill;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tollbook::context::JobContext;
use tollbook::jobs::{bill as bill_jobs, partner, sql};
use tollbook_schemas::period::Month;

use super::examples;

pub(super) use bill::BillStep;

/// API-gateway access logs in from Kafka, provable invoices out through Stripe.
///
/// Exit codes: 0 done, 1 failed, 2 configuration, 3 data contradict an invariant, 4 try again, 5 another process is
/// at it, 6 an input was refused, 10 figures differ (demo, bill compare), 70 our own mistake.
#[derive(Debug, Parser)]
#[command(name = "tollbook", version, after_help = examples::ALL)]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, global = true, default_value = "tollbook.toml")]
    pub(super) config: PathBuf,
    /// Print JSON, an object a line, where there would be tables or text. bill draft, issue, push and sync, and close,
    /// print it always.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
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
    /// Invoices: draft, adjust by hand, hold and approve, issue, push, sync; list, show, explain, verify; preview,
    /// reprice, fit, compare, estimate.
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
pub(in crate::cli) enum CatalogStep {
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
pub(in crate::cli) enum LakeStep {
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
pub(in crate::cli) enum PartnerStep {
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
pub(in crate::cli) struct Period {
    /// A month such as 2026-06, `previous`, or `due`: every ended month in which a subscription ran, by its own
    /// calendar.
    #[arg(long, default_value = "due", value_parser = period)]
    pub(in crate::cli) period: String,
    /// Look from this instant; the watermark of the data by default.
    #[arg(long, value_name = "INSTANT")]
    pub(in crate::cli) as_of: Option<String>,
}

/// A word of `--period`, before anything is opened.
pub(super) fn period(text: &str) -> Result<String, String> {
    let is_known = matches!(text, "previous" | "due") || text.parse::<Month>().is_ok();
    is_known
        .then(|| text.to_owned())
        .ok_or_else(|| "--period takes a month such as 2026-06, previous, or due".to_owned())
}

/// What to do about months whose data are not complete.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Accept {
    /// Issue also where the data do not reach to the end of the month, and say why: in job_run, in the register and on
    /// the invoices. Looks from now, unless --as-of is given. Drafts of such a month: bill draft --period MONTH.
    #[arg(long = "accept-incomplete", value_name = "REASON", value_parser = bill_jobs::reason)]
    pub(in crate::cli) reason: Option<String>,
    /// Do not wait for the grace behind the end of a period (grace_hours in [billing]); job_run says so.
    #[arg(long)]
    pub(in crate::cli) skip_grace: bool,
}

impl Accept {
    /// The surroundings of a job that waits no longer than this says.
    pub(super) fn of(&self, context: &JobContext) -> JobContext {
        let mut context = context.clone();
        context.configuration.billing.skips_grace = self.skip_grace;
        context
    }
}

/// Where pages go, and up to when they look.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Pages {
    /// Look up to this instant; the watermark of the data by default.
    #[arg(long, value_name = "INSTANT", conflicts_with_all = ["as_of_run", "as_of_close"])]
    pub(in crate::cli) as_of: Option<String>,
    /// Figures as this run left the tables; ids are in run_history.
    #[arg(long, value_name = "RUN_ID")]
    pub(in crate::cli) as_of_run: Option<String>,
    /// Figures as they stood when the invoices of this month were issued: as the run left the tables that issued the
    /// last.
    #[arg(long, value_name = "MONTH", conflicts_with = "as_of_run")]
    pub(in crate::cli) as_of_close: Option<Month>,
    /// Folder to write to; `reports` beside the configuration by default.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ReportStep {
    /// Registration to revenue: counts, conversion, drop-off, median times, registrations per week.
    #[command(after_help = examples::FUNNEL)]
    Funnel(Pages),
    /// Revenue and cost by currency with their ratio, usage over time, top partners.
    #[command(after_help = examples::ROI)]
    Roi(Pages),
    /// A page for each issued invoice.
    #[command(after_help = examples::INVOICES)]
    Invoices {
        /// A month such as 2026-06, `previous`, or `due`: every ended month in which a subscription ran, by its own
        /// calendar.
        #[arg(long, default_value = "due", value_parser = period)]
        period: String,
        #[command(flatten)]
        pages: Pages,
    },
}
