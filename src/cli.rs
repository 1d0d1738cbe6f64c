//! Arguments and help texts; what each command does is in `commands.rs`.

mod commands;

use std::path::PathBuf;

use anyhow::bail;
use clap::{Parser, Subcommand};
use tollbook::context::JobContext;
use tollbook::demo::DemoSettings;
use tollbook::jobs::{bill, check, close, ingest, partner, sql};
use tollbook::output::{data, talk};
use tollbook_simulate::Settings;

use commands::{estimate, run_aggregate, run_bill, run_compact, run_demo, run_ingest, run_partner, run_report};

/// API-gateway access logs in from Kafka, provable invoices out through Stripe.
///
/// Exit codes: 0 done, 1 failed, 2 configuration, 3 data contradict an invariant, 4 try again, 5 another process is
/// at it, 6 an input was refused, 10 the demo's figures differ, 70 our own mistake.
#[derive(Debug, Parser)]
#[command(name = "tollbook", version)]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, global = true, default_value = "tollbook.toml")]
    config: PathBuf,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole path on a simulated month, checked against the simulator's ledger.
    #[command(after_help = "Example: tollbook demo --seed 7 --events 50000 --dir /tmp/demo")]
    Demo {
        /// Same seed, same figures, same invoice bytes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// At least this many requests.
        #[arg(long, default_value_t = 200_000)]
        events: u64,
        /// Partners of the program.
        #[arg(long, default_value_t = 40)]
        partners: u32,
        /// Folder of the demo; an earlier demo in it is replaced.
        #[arg(long, default_value = "demo")]
        dir: PathBuf,
        /// A real broker instead of the embedded one.
        #[arg(long, value_name = "BROKERS")]
        kafka: Option<String>,
    },
    /// Write a commented configuration and catalog to start from.
    Init {
        /// Folder to write to.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Validate configuration and catalog: what is wrong, where, and how to mend it.
    Check,
    /// Read the configured topics into the lake, until stopped; or one file of JSON lines.
    #[command(
        after_help = "Examples:\n  tollbook ingest --until-caught-up\n  tollbook ingest --file access.log.1 --decoder nginx --gateway edge --environment production"
    )]
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
    },
    /// Refresh registry and usage, then the funnel and the view of partners.
    Aggregate {
        /// Look up to this instant; the watermark of the data by default.
        #[arg(long, value_name = "INSTANT")]
        as_of: Option<String>,
    },
    /// Invoices: draft, issue, push, sync, register.
    Bill {
        #[command(subcommand)]
        step: BillStep,
    },
    /// A month end in one command: aggregate, draft, issue, push, sync, funnel, reports. Resumable at any step.
    #[command(after_help = "From cron: 15 3 * * * tollbook --config /etc/tollbook/tollbook.toml close")]
    Close(Period),
    /// Partners: import from CSV, record one event by hand.
    Partner {
        #[command(subcommand)]
        step: PartnerStep,
    },
    /// Pages of figures: the funnel, the return, the issued invoices. Self-contained HTML, or JSON with --json.
    Report {
        #[command(subcommand)]
        step: ReportStep,
    },
    /// SQL over every table and view: `show tables` lists them, `describe NAME` shows columns with their meaning.
    #[command(
        after_help = "How many active partners do we have?\n  tollbook sql \"select count(*) as active, max(as_of) as as_of from active_partner\"\nExamples:\n  tollbook sql \"select * from revenue_monthly\" --format csv\n  tollbook sql \"select * from usage_daily\" --format parquet --out usage.parquet\n  tollbook sql \"select count(*) from access_log\" --as-of-run run_0123456789abcdef0123"
    )]
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
        /// in job_run.
        #[arg(long, value_name = "RUN_ID")]
        as_of_run: Option<String>,
    },
    /// The lake itself.
    Lake {
        #[command(subcommand)]
        step: LakeStep,
    },
}

#[derive(Debug, Subcommand)]
enum LakeStep {
    /// The live Parquet files of a table, for `read_parquet([…])`; a glob over the folder would be wrong.
    Files {
        /// Table.
        table: String,
    },
    /// Merge small files into few with the same rows, and write checkpoints; safe beside running jobs.
    #[command(after_help = "From cron: 40 2 * * * tollbook --config /etc/tollbook/tollbook.toml lake compact")]
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
    #[command(
        after_help = "Example: tollbook partner import --template > partners.csv; edit; tollbook partner import partners.csv; then --apply"
    )]
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
    #[command(
        after_help = "Example: tollbook partner record --partner acme --type subscription.cancelled --at 2026-06-15T00:00:00Z --actor staff:ann --data '{\"subscription_id\":\"s1\"}'"
    )]
    Record(partner::Recorded),
}

#[derive(Debug, clap::Args)]
struct Period {
    /// A month such as 2026-06, `previous`, or `due`: every ended month in which a subscription ran.
    #[arg(long, default_value = "due")]
    period: String,
    /// Look from this instant; the watermark of the data by default.
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
}

/// Where pages go, and up to when they look.
#[derive(Debug, clap::Args)]
struct Pages {
    /// Look up to this instant; the watermark of the data by default.
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
    /// Folder to write to; `reports` beside the configuration by default.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ReportStep {
    /// Registration to revenue: counts, conversion, drop-off, median times, registrations per week.
    Funnel(Pages),
    /// Revenue and cost by currency with their ratio, usage over time, top partners.
    Roi(Pages),
    /// A page for each issued invoice.
    #[command(after_help = "Example: tollbook report invoices --period 2026-06")]
    Invoices {
        /// A month such as 2026-06, `previous`, or `due`: every ended month in which a subscription ran.
        #[arg(long, default_value = "due")]
        period: String,
        #[command(flatten)]
        pages: Pages,
    },
}

#[derive(Debug, Subcommand)]
enum BillStep {
    /// Rate usage into documents.
    Draft(Period),
    /// Give drafts their numbers: from then on they are invoices.
    Issue(Period),
    /// Send issued invoices to Stripe.
    Push(Period),
    /// Bring payments back from Stripe.
    Sync,
    /// From a printed line to the usage slices and offsets that made it.
    Explain {
        /// Line id, such as lin_0123456789abcdef0123.
        line: String,
    },
    /// Each invoice with its state, and why a partner has none.
    Register {
        #[command(flatten)]
        period: Period,
        /// Comma-separated values.
        #[arg(long)]
        csv: bool,
    },
    /// Price calculator: a JSON object a line on stdin, an answer a line on stdout. Needs no configuration.
    ///
    /// A line that is refused is answered with `error`, and the command ends with 6.
    #[command(
        after_help = "Example:\n  echo '{\"currency\":\"EUR\",\"price\":{\"model\":\"per_unit\",\"unit_price\":\"0.002\"},\"quantity\":\"1250\"}' | tollbook bill estimate"
    )]
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
            return run_demo(&DemoSettings { world, folder: dir, brokers: kafka }, json).await;
        }
        Command::Init { folder } => {
            check::init(&folder)?.iter().for_each(|path| data(path));
            talk("next: edit them, then run `tollbook check`");
        }
        Command::Check => data(&check::check(&arguments.config)?),
        Command::Ingest { until_caught_up, file, decoder, gateway, environment } => {
            let context = JobContext::open(&arguments.config)?;
            let given =
                file.map(|path| ingest::GivenFile { path, decoder: decoder.unwrap_or_default(), gateway, environment });
            run_ingest(&context, until_caught_up, given, json).await?
        }
        Command::Aggregate { as_of } => {
            run_aggregate(&JobContext::open(&arguments.config)?, as_of.as_deref(), json).await?
        }
        Command::Report { step } => {
            run_report(&JobContext::open(&arguments.config)?, step, json).await?;
        }
        Command::Bill { step: BillStep::Estimate } => return estimate(),
        Command::Bill { step } => run_bill(&JobContext::open(&arguments.config)?, step, json).await?,
        Command::Sql { query, format, out, as_of_run } => {
            let format = if json && format == sql::Format::Table { sql::Format::Json } else { format };
            let request = sql::Request { query: &query, format, as_of_run: as_of_run.as_deref(), out: out.as_deref() };
            match (sql::answer(&JobContext::open(&arguments.config)?, &request).await?, &out) {
                (Some(text), _) => data(&text),
                (None, Some(path)) => data(&path.display().to_string()),
                (None, None) => {}
            }
        }
        Command::Close(period) => {
            let context = JobContext::open(&arguments.config)?;
            let as_of = context.as_of(period.as_of.as_deref()).await?;
            let months = bill::months(&context, &period.period, as_of).await?;
            close::close(&context, &months, as_of, &|closed| match serde_json::to_string(closed) {
                Ok(line) => data(&line),
                Err(error) => talk(&error.to_string()),
            })
            .await?;
        }
        Command::Partner { step } => run_partner(&arguments.config, step, json).await?,
        Command::Lake { step: LakeStep::Files { table } } => {
            let context = JobContext::open(&arguments.config)?;
            match context.lake.files(&table).await? {
                Some(files) => files.iter().for_each(|file| data(file)),
                None => bail!("there is no table {table}"),
            }
        }
        Command::Lake { step: LakeStep::Compact { tables, target_bytes } } => {
            run_compact(&JobContext::open(&arguments.config)?, &tables, target_bytes, json).await?;
        }
    }
    Ok(0)
}
