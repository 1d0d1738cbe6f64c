//! `tollbook sql`: DataFusion over every table and view, now or as a run left them. `show tables` lists them,
//! `describe X` shows each column with its documentation.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use tollbook_lake::{SessionContext, as_table};
use tollbook_schemas::tables::{ALL, by_name};
use tollbook_schemas::views::{self, VIEWS};

use crate::configuration::ConfigurationError;
use crate::context::JobContext;
use crate::jobs::past;
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
    /// A file in which decimals, instants and maps keep their types; needs --out.
    Parquet,
}

impl Format {
    /// The form where `--json` is given or not: JSON for a table, and never silently another form than was asked for.
    ///
    /// # Errors
    /// Where `--json` asks for one form and `--format` for another.
    pub fn asked(self, json: bool) -> anyhow::Result<Self> {
        match (json, self) {
            (false, format) => Ok(format),
            (true, Self::Table | Self::Json) => Ok(Self::Json),
            (true, Self::Csv | Self::Parquet) => {
                bail!(ConfigurationError("--json and --format ask for two forms; leave one of them out".to_owned()))
            }
        }
    }
}

/// What is said where Parquet is asked for and cannot be.
const PARQUET: &str = "Parquet is written to a file, named with --out FILE, and holds the rows of a query only";

/// A question and what is to become of the answer.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// SQL, `show tables` or `describe X`.
    pub query: &'a str,
    /// Form of the answer.
    pub format: Format,
    /// The run whose tables are asked; those of now where `None`.
    pub as_of_run: Option<&'a str>,
    /// File to write to; the answer is given as text where `None`.
    pub out: Option<&'a Path>,
}

/// Answers about the present, as text.
///
/// # Errors
/// As [`answer`].
pub async fn sql(context: &JobContext, query: &str, format: Format) -> anyhow::Result<String> {
    let request = Request { query, format, as_of_run: None, out: None };
    Ok(answer(context, &request).await?.unwrap_or_default())
}

/// Answers a request: as text, or `None` where it was written to a file.
///
/// # Errors
/// What is wrong with the query; a run that is not known, or whose tables cannot be read any more; a file that cannot
/// be written.
pub async fn answer(context: &JobContext, request: &Request<'_>) -> anyhow::Result<Option<String>> {
    let Request { query, format, .. } = *request;
    let documented = documentation(query);
    if format == Format::Parquet && (request.out.is_none() || documented.is_some()) {
        bail!(ConfigurationError(PARQUET.to_owned()));
    }
    let text = if let Some(documented) = documented {
        match documented {
            Documentation::All => rendered(&show_tables()?, format)?,
            Documentation::One(name) => describe(context, &name, format).await?,
        }
    } else {
        let session = match request.as_of_run {
            None => context.lake.session().await?,
            Some(run_id) => context.lake.session_at(&past::run(context, run_id).await?.tables).await?,
        };
        return answer_in(context, &session, query, format, request.out).await;
    };
    let Some(path) = request.out else { return Ok(Some(text)) };
    to_file(&text, path)?;
    Ok(None)
}

/// Answers a query over the tables of a session, in the same forms.
///
/// # Errors
/// As [`answer`].
pub(crate) async fn answer_in(
    context: &JobContext,
    session: &SessionContext,
    query: &str,
    format: Format,
    out: Option<&Path>,
) -> anyhow::Result<Option<String>> {
    if format == Format::Parquet {
        let Some(path) = out else { bail!(ConfigurationError(PARQUET.to_owned())) };
        let partial = Partial::of(path)?;
        context.lake.write_parquet(session, query, &partial.file).await?;
        partial.complete()?;
        return Ok(None);
    }
    written(&context.lake.answer(session, query).await?, format, out)
}

/// An answer in one of the forms of text.
///
/// # Errors
/// A file that cannot be written.
pub(crate) fn written(batches: &[RecordBatch], format: Format, out: Option<&Path>) -> anyhow::Result<Option<String>> {
    let text = rendered(batches, format)?;
    let Some(path) = out else { return Ok(Some(text)) };
    to_file(&text, path)?;
    Ok(None)
}

fn to_file(text: &str, path: &Path) -> anyhow::Result<()> {
    let mut partial = Partial::of(path)?;
    let lines = if text.is_empty() { String::new() } else { format!("{text}\n") };
    partial.file.write_all(lines.as_bytes()).with_context(|| cannot_write(path))?;
    partial.complete()
}

/// What is answered from the declarations.
enum Documentation {
    All,
    One(String),
}

fn documentation(query: &str) -> Option<Documentation> {
    let words = query.trim().trim_end_matches(';').to_lowercase();
    let words: Vec<&str> = words.split_whitespace().collect();
    match words.as_slice() {
        ["show", "tables"] => Some(Documentation::All),
        ["describe", name] => Some(Documentation::One((*name).to_owned())),
        _ => None,
    }
}

/// Columns of text under their headings.
fn texts<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> anyhow::Result<RecordBatch> {
    let columns = headings.iter().enumerate().map(|(at, heading)| {
        let cells = StringArray::from_iter_values(rows.iter().map(|row| &row[at]));
        (*heading, Arc::new(cells) as ArrayRef)
    });
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn show_tables() -> anyhow::Result<Vec<RecordBatch>> {
    let tables = ALL.iter().map(|table| [table.name, "table", table.written_by, table.doc]);
    let views = VIEWS.iter().map(|view| [view.name, "view", "", view.doc]);
    let rows: Vec<[String; 4]> = tables.chain(views).map(|row| row.map(str::to_owned)).collect();
    Ok(vec![texts(["name", "kind", "written_by", "one_row"], &rows)?])
}

async fn describe(context: &JobContext, name: &str, format: Format) -> anyhow::Result<String> {
    let (heading, rows) = if let Some(table) = by_name(name) {
        let rows = table.columns.iter().map(|column| {
            let null = if column.nullable { "null" } else { "" };
            [column.name, &column.kind.data_type().to_string(), null, column.doc].map(str::to_owned)
        });
        let heading =
            format!("{}: {}\nkey: {}; written by: {}", table.name, table.doc, table.key.join(", "), table.written_by);
        (heading, rows.collect::<Vec<_>>())
    } else if let Some(view) = views::by_name(name) {
        let session = context.lake.session().await?;
        let batches = context.lake.answer(&session, &format!("select * from {} limit 0", view.name)).await?;
        let schema = batches.first().map(RecordBatch::schema).context("a view has columns")?;
        let rows = view.columns.iter().zip(schema.fields()).map(|(column, field)| {
            let null = if field.is_nullable() { "null" } else { "" };
            [column.name, &field.data_type().to_string(), null, column.doc].map(str::to_owned)
        });
        (format!("{} (view): {}\n\n{}", view.name, view.doc, view.sql.trim()), rows.collect())
    } else {
        let names: Vec<&str> = ALL.iter().map(|table| table.name).chain(VIEWS.iter().map(|view| view.name)).collect();
        bail!(ConfigurationError(format!("there is no table or view {name}; there are {}", names.join(", "))));
    };
    if format != Format::Table {
        return rendered(&[texts(["column", "type", "null", "meaning"], &rows)?], format);
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
    Ok(format!("{heading}\n\n{}", output::table(&["column", "type", "", "meaning"], &rows)))
}

fn rendered(batches: &[RecordBatch], format: Format) -> anyhow::Result<String> {
    let text = match format {
        // Parquet is written by `answer`, straight to its file.
        Format::Table | Format::Parquet => return Ok(as_table(batches)?),
        Format::Csv => {
            let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(Vec::new());
            for batch in batches {
                writer.write(&flattened(batch)?)?;
            }
            writer.into_inner()
        }
        Format::Json => {
            // A column is in every row, whatever is in it.
            let all_keys = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
            let mut writer = all_keys.build::<_, arrow::json::writer::LineDelimited>(Vec::new());
            for batch in batches {
                writer.write(batch)?;
            }
            writer.finish()?;
            writer.into_inner()
        }
    };
    Ok(String::from_utf8(text)?.trim_end().to_owned())
}

/// Columns that CSV has no form for (maps, lists) as JSON text.
fn flattened(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let schema = batch.schema();
    let mut columns = Vec::new();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let mut column = column.clone();
        if field.data_type().is_nested() {
            let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
            writer.write(&RecordBatch::try_from_iter([("value", column)])?)?;
            writer.finish()?;
            let lines = String::from_utf8(writer.into_inner())?;
            let text = |line: &str| {
                let line: serde_json::Value = serde_json::from_str(line)?;
                anyhow::Ok(line.get("value").map(ToString::to_string))
            };
            column = Arc::new(lines.lines().map(text).collect::<anyhow::Result<StringArray>>()?);
        }
        columns.push((field.name(), column, true));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

fn cannot_write(path: &Path) -> String {
    format!("{} cannot be written; name another file with --out", path.display())
}

/// A file beside the one that is wanted: it takes its name when it is whole, and is taken away if it never is.
struct Partial {
    file: std::fs::File,
    at: PathBuf,
    wanted: PathBuf,
}

impl Partial {
    fn of(wanted: &Path) -> anyhow::Result<Self> {
        let name = wanted.file_name().ok_or_else(|| ConfigurationError(cannot_write(wanted)))?.to_string_lossy();
        // Two processes may write the same answer.
        let at = wanted.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        let file = std::fs::File::create(&at).with_context(|| cannot_write(wanted))?;
        Ok(Self { file, at, wanted: wanted.to_owned() })
    }

    fn complete(self) -> anyhow::Result<()> {
        self.file
            .sync_all()
            .and_then(|()| std::fs::rename(&self.at, &self.wanted))
            .with_context(|| cannot_write(&self.wanted))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already where it got its name.
        let _ = std::fs::remove_file(&self.at);
    }
}

#[cfg(test)]
pub(crate) mod tests;
