//! `bill lines`: the printed lines of issued documents, as table, CSV, JSON or Parquet.

use std::path::PathBuf;

use tollbook::context::JobContext;
use tollbook::jobs::bill::{Months, lines};
use tollbook::jobs::sql::Format;
use tollbook::output::data;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::Month;

use super::close_of;

/// Which lines, and in what form.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Given {
    /// Months of the documents: 2026-06, 2026-01..2026-06, or several behind commas; all by default.
    #[arg(long, value_name = "MONTHS", value_parser = Months::read)]
    period: Option<Months>,
    /// Only of this partner.
    #[arg(long, value_name = "PARTNER")]
    partner: Option<PartnerId>,
    /// Lines as they were when the invoices of this month were issued: as the run left the tables that issued the last.
    #[arg(long, value_name = "MONTH")]
    as_of_close: Option<Month>,
    /// Form of the answer: with --json it is json.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// File to write to; needed for parquet.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(context: &JobContext, given: Given, json: bool) -> anyhow::Result<()> {
    let format = given.format.asked(json)?;
    let out = given.out.as_deref();
    let past = close_of(context, given.as_of_close).await?;
    let (months, partner) = (given.period.as_ref(), given.partner.as_ref());
    if let Some(text) = lines::lines(context, past.as_ref(), months, partner, format, out).await? {
        // Nothing in JSON or CSV is no line at all.
        if !text.is_empty() {
            data(&text);
        }
    }
    Ok(())
}
