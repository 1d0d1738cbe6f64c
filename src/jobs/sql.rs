//! `tollbook sql`: DataFusion over every table; `describe T` shows each column with its documentation.

use anyhow::{Context as _, bail};
use arrow::record_batch::RecordBatch;
use tollbook_lake::as_table;
use tollbook_schemas::tables::by_name;

use crate::context::JobContext;
use crate::output;

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// RFC 4180, with a heading line.
    Csv,
    /// One JSON object a line.
    Json,
}

/// Runs a query and gives its answer as text.
///
/// # Errors
/// The planner's words.
pub async fn sql(context: &JobContext, query: &str, format: Format) -> anyhow::Result<String> {
    let lower = query.trim().trim_end_matches(';').to_lowercase();
    if let Some(table) = lower.strip_prefix("describe ") {
        return describe(table.trim());
    }
    let session = context.lake.session().await?;
    let batches = context.lake.query(&session, query).await.context("see `describe TABLE` for the columns")?;
    render(&batches, format)
}

fn describe(name: &str) -> anyhow::Result<String> {
    let Some(table) = by_name(name) else {
        let names: Vec<&str> = tollbook_schemas::tables::ALL.iter().map(|table| table.name).collect();
        bail!("there is no table {name}; the tables are {}", names.join(", "));
    };
    let rows: Vec<Vec<String>> = table
        .columns
        .iter()
        .map(|column| {
            let null = if column.nullable { "null" } else { "" };
            vec![column.name.to_owned(), column.kind.data_type().to_string(), null.to_owned(), column.doc.to_owned()]
        })
        .collect();
    Ok(format!(
        "{}: {}\nkey: {}; written by: {}\n\n{}",
        table.name,
        table.doc,
        table.key.join(", "),
        table.written_by,
        output::table(&["column", "type", "", "meaning"], &rows)
    ))
}

fn render(batches: &[RecordBatch], format: Format) -> anyhow::Result<String> {
    let text = match format {
        Format::Table => return Ok(as_table(batches)?),
        Format::Csv => {
            let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(Vec::new());
            for batch in batches {
                writer.write(batch)?;
            }
            writer.into_inner()
        }
        Format::Json => {
            let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
            for batch in batches {
                writer.write(batch)?;
            }
            writer.finish()?;
            writer.into_inner()
        }
    };
    Ok(String::from_utf8(text)?.trim_end().to_owned())
}
