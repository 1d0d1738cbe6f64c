//! What the lake knows of a file's bytes: in which way they were read, and whether they may be read as they are given.
//!
//! The same bytes are read in one way: by one decoder, for one gateway, with one environment. The way is recorded
//! before the first line is read, as transactions of `rejected`, the table that all decoders share. The number of the
//! reading, its generation, is compared and swapped, so that one way alone wins; the way itself stands beside it.
//!
//! A further generation makes the same bytes another source. It is given only where the one before was read to its end,
//! so that no process can add to it any more, and accepted nothing: then nothing counts twice.

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::{DateTime, Utc};
use tollbook_lake::{Lake, Outcome, TxnStep, as_text};
use tollbook_schemas::period::print_instant;
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::{Table, access_log, partner_event, rejected};

use super::FileIngestor;
use crate::error::IngestError;
use crate::lines::Survey;

/// Under what name the bytes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Admitted {
    pub source: Source,
    pub generation: i64,
}

/// How many records of a source count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub accepted: i64,
    pub rejected: i64,
}

/// The newest reading of some bytes.
struct Known {
    generation: i64,
    /// Version of the transaction that counts readings; none where the lake was fed before there was one.
    recorded: Option<i64>,
    /// The way, and when it was recorded.
    way: Option<(String, DateTime<Utc>)>,
    /// Name, table, and the next line to read; none where it was killed before its first commit.
    place: Option<(Source, &'static Table, i64)>,
}

/// Without '#', so that it is never taken for an offset.
fn generation_app_id(sha256: &str) -> String {
    format!("file_generation {sha256}")
}

/// Ends with a way; see [`way_of`].
fn way_app_id(sha256: &str, generation: i64) -> String {
    format!("file_way {sha256} {generation} ")
}

/// How the name of a source ends that holds these bytes.
fn suffix_of(sha256: &str, generation: i64) -> String {
    if generation == 1 { format!("@{sha256}") } else { format!("@{sha256}/{generation}") }
}

/// The way in which a file is given, as words of the command line. A word that is not plain is quoted: two ways never
/// have the same words, and none ends as a partition's app id does, with '#' and a number.
pub(super) fn way_of(file: &FileIngestor) -> String {
    let word = |text: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
        if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { format!("{text:?}") }
    };
    let mut way = format!("--decoder {}", file.decoder.word());
    // Lifecycle events come from no gateway, and have no environment but their own.
    if file.decoder.needs_gateway() {
        way.push_str(&format!(" --gateway {}", word(&file.gateway)));
        if let Some(environment) = &file.environment_default {
            way.push_str(&format!(" --environment {}", word(environment)));
        }
    }
    way
}

/// Gives the name under which the bytes are read, or refuses them.
pub(super) async fn admit(file: &FileIngestor, survey: &Survey) -> Result<Admitted, IngestError> {
    let (asked, sha256) = (way_of(file), survey.sha256.as_str());
    loop {
        let known = Known::of(&file.lake, sha256).await?;
        let current = known.as_ref().map(|known| known.generation);
        let wanted = file.generation.map(i64::from).or(current).unwrap_or(1);
        if let Some(known) = &known
            && wanted == known.generation
            && known.is_read_as(&asked, file.decoder.table())
        {
            let source = match &known.place {
                Some((source, ..)) => source.clone(),
                None => named(file, sha256, wanted)?,
            };
            return Ok(Admitted { source, generation: wanted });
        }
        if let Some(way_out) = refusal(file, known.as_ref(), wanted, survey).await? {
            let was = match &known {
                Some(known) => known.told(&file.lake).await?,
                None => "was never read".to_owned(),
            };
            let asked = match file.generation {
                Some(generation) => format!("{asked} --generation {generation}"),
                None => asked,
            };
            return Err(IngestError::FileKnown { path: file.path.display().to_string(), was, asked, way_out });
        }
        let source = named(file, sha256, wanted)?;
        let steps = [
            TxnStep {
                app_id: generation_app_id(sha256),
                expected: known.and_then(|known| known.recorded),
                next: wanted,
            },
            TxnStep {
                app_id: way_app_id(sha256, wanted) + &asked,
                expected: None,
                next: file.begun_at.timestamp_millis(),
            },
        ];
        if file.lake.append(&rejected::TABLE, &[], &steps).await? == Outcome::Committed {
            return Ok(Admitted { source, generation: wanted });
        }
        // Somebody else recorded a way at the same moment: what it says is looked at anew.
    }
}

/// Why a reading may not begin, as the way out of it; `None` where it may.
async fn refusal(
    file: &FileIngestor,
    known: Option<&Known>,
    wanted: i64,
    survey: &Survey,
) -> Result<Option<String>, IngestError> {
    let Some(known) = known else {
        return Ok((wanted != 1).then(|| "give it without --generation".to_owned()));
    };
    let at = known.place.as_ref().map_or(0, |(_, _, next)| *next);
    if known.place.is_none() || at < survey.lines_total {
        return Ok(Some(format!(
            "that reading stands at line {at} of {}; end it first, with the words that it was begun with",
            survey.lines_total
        )));
    }
    if known.counts(&file.lake).await?.accepted > 0 {
        let told = "what was accepted is not read again, it would count twice; how it is put right tells \
                    docs/operations.md, Files";
        return Ok(Some(told.to_owned()));
    }
    let next = known.generation + 1;
    Ok((wanted != next)
        .then(|| format!("nothing of it was accepted, so it may be read anew; add --generation {next} to these words")))
}

fn named(file: &FileIngestor, sha256: &str, generation: i64) -> Result<Source, IngestError> {
    let path = file.path.to_string_lossy();
    Source::parse(format!("file:{path}{}", suffix_of(sha256, generation)))
        .map_err(|source| IngestError::FileName { path: path.into_owned(), source })
}

impl Known {
    async fn of(lake: &Lake, sha256: &str) -> Result<Option<Self>, IngestError> {
        let txns = lake.txns(&rejected::TABLE).await?;
        let recorded = txns.get(&generation_app_id(sha256)).copied();
        let generation = recorded.unwrap_or(1);
        let begin = way_app_id(sha256, generation);
        let way = txns.range(begin.clone()..).next().and_then(|(app_id, at_ms)| {
            Some((app_id.strip_prefix(&begin)?.to_owned(), DateTime::from_timestamp_millis(*at_ms)?))
        });
        let suffix = suffix_of(sha256, generation);
        let mut place = None;
        for table in [&access_log::TABLE, &partner_event::TABLE] {
            let pin = lake.pin(table).await?;
            let of_file = |source: &Source| source.as_str().starts_with("file:") && source.as_str().ends_with(&suffix);
            if let Some((source, _, next)) = pin.iter().find(|(source, ..)| of_file(source)) {
                place = Some((source.clone(), table, next));
            }
        }
        let is_known = recorded.is_some() || place.is_some();
        Ok(is_known.then_some(Self { generation, recorded, way, place }))
    }

    /// Whether it was begun in this way. What was read before ways were recorded is told by its table alone.
    fn is_read_as(&self, asked: &str, table: &'static Table) -> bool {
        match (&self.way, &self.place) {
            (Some((way, _)), _) => way == asked,
            (None, Some((_, of, _))) => of.name == table.name,
            (None, None) => false,
        }
    }

    async fn counts(&self, lake: &Lake) -> Result<Counts, IngestError> {
        match &self.place {
            Some((source, table, next)) => counts(lake, source, table, *next).await,
            None => Ok(Counts { accepted: 0, rejected: 0 }),
        }
    }

    async fn told(&self, lake: &Lake) -> Result<String, IngestError> {
        let Counts { accepted, rejected } = self.counts(lake).await?;
        let way = match &self.way {
            Some((way, at)) => format!("was read at {} with {way}", print_instant(*at)),
            None => "was read by a version that did not record how".to_owned(),
        };
        let generation =
            if self.generation == 1 { String::new() } else { format!(" --generation {}", self.generation) };
        Ok(format!("{way}{generation} ({accepted} accepted, {rejected} rejected)"))
    }
}

/// Counts what is accepted and rejected of a source below its next line.
pub(super) async fn counts(
    lake: &Lake,
    source: &Source,
    table: &'static Table,
    next: i64,
) -> Result<Counts, IngestError> {
    let of_source = format!("source = {} and kafka_offset < {next}", as_text(source.as_str()));
    let number = async |table: &'static Table| -> Result<i64, IngestError> {
        let answer = asked(lake, table, &format!("select count(*) from {} where {of_source}", table.name)).await?;
        Ok(answer.first().map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0)))
    };
    Ok(Counts { accepted: number(table).await?, rejected: number(&rejected::TABLE).await? })
}

/// The most frequent reason of rejection, with an example.
pub(super) async fn most_frequent(lake: &Lake, source: &Source) -> Result<String, IngestError> {
    let query = format!(
        "select reason, max(detail) from rejected where source = {} group by reason order by count(*) desc, reason limit 1",
        as_text(source.as_str())
    );
    let answer = asked(lake, &rejected::TABLE, &query).await?;
    let text = |batch: &RecordBatch, column: usize| batch.column(column).as_string::<i32>().value(0).to_owned();
    let first = answer.iter().find(|batch| batch.num_rows() > 0);
    Ok(first.map(|batch| format!("{} ({})", text(batch, 0), text(batch, 1))).unwrap_or_default())
}

async fn asked(lake: &Lake, table: &'static Table, query: &str) -> Result<Vec<RecordBatch>, IngestError> {
    let session = lake.empty_session()?;
    lake.register(&session, table, None).await?;
    Ok(lake.query(&session, query).await?)
}
