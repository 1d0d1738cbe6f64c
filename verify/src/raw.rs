//! The raw rows behind the usage of some partners: every delivery that a link of one of them may claim, with the
//! answers of their meters' SQL; and every delivery of the same ids, wherever it lies.
//!
//! Rows are chosen in plain code, in two passes over `access_log` for all partners of a question together. The first
//! one takes what a link claims, by names, offsets and time; the second one what has the id of such a row, of all days.
//! The engine evaluates filter, value and dimensions of a meter, row by row, over what the first pass took. It selects,
//! joins, groups and counts nothing: what a row means is decided in plain code.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tollbook_lake::{Lake, Sift, as_part, as_text};
use tollbook_schemas::catalog::Meter;
use tollbook_schemas::meter::Exclusion;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::access_log::TABLE as ACCESS_LOG;

use crate::cells::{Cells, Texts};
use crate::error::VerifyError;
use crate::meter::Place;
use crate::needs::{Names, Times};
use crate::sieves::{IdHashes, about, claimed, gateway_hash, hash_of, known, text_at};

/// (gateway, event id): what counts once.
pub(crate) type RequestId = (Arc<str>, Box<str>);

/// One delivery, as far as it decides which one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The id that it is about: a correction's is the one of the request that it corrects.
    pub(crate) id: RequestId,
    pub(crate) place: Place,
    /// `request`, `retraction` or `amendment`.
    pub(crate) kind: Arc<str>,
    /// Its own id.
    pub(crate) event_id: Box<str>,
    pub(crate) received_at: DateTime<Utc>,
}

/// What a meter's SQL says of a delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metered {
    /// Whether its filter lets it pass.
    pub(crate) passes: bool,
    pub(crate) value: Option<Arc<str>>,
    /// In the order of the meter's names.
    pub(crate) dimensions: Vec<Option<Arc<str>>>,
}

/// One delivery, as far as it decides whose it is and what it counts. A text that many have is kept once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) place: Place,
    pub(crate) kind: Arc<str>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) consumer: Option<Arc<str>>,
    pub(crate) credential_key_id: Option<Arc<str>>,
    pub(crate) credential_hash: Option<Arc<str>>,
    pub(crate) environment_hint: Option<Arc<str>>,
    pub(crate) environment_default: Option<Arc<str>>,
    pub(crate) product_hint: Option<Arc<str>>,
    pub(crate) host: Option<Arc<str>>,
    pub(crate) method: Option<Arc<str>>,
    pub(crate) path: Option<Arc<str>>,
    /// Attributes that a rule of a product asks for.
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) client_tag: Option<Arc<str>>,
    pub(crate) cache_status: Option<Arc<str>>,
    pub(crate) idempotency_key_hash: Option<Arc<str>>,
    /// One for each meter that was asked for.
    pub(crate) metered: Vec<Metered>,
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawRows {
    pub(crate) requests: Vec<Request>,
    pub(crate) deliveries: Vec<Delivery>,
}

/// What to read.
pub(crate) struct Question<'a> {
    /// What was known.
    pub(crate) pin: &'a Pin,
    /// What may be the partners'.
    pub(crate) names: Names,
    pub(crate) times: Times,
    /// Attributes that rules of products ask for.
    pub(crate) tags: BTreeSet<String>,
    /// Further columns that rules of products ask for.
    pub(crate) rule_columns: BTreeSet<&'static str>,
    /// Meters that price it.
    pub(crate) meters: Vec<&'a Meter>,
}

/// Columns that are read in any case, in the order in which a row is taken apart.
const ALWAYS: [&str; 15] = [
    "gateway",
    "event_id",
    "source",
    "kafka_partition",
    "kafka_offset",
    "record_index",
    "kind",
    "occurred_at",
    "consumer",
    "credential_key_id",
    "credential_hash",
    "environment_hint",
    "environment_default",
    "product_hint",
    "corrects_event_id",
];
/// Columns that are read where a rule asks for them.
const AT_NEED: [&str; 6] = ["path", "client_tag", "cache_status", "idempotency_key_hash", "host", "method"];

impl Question<'_> {
    /// The SQL of its meters.
    fn expressions(&self) -> impl Iterator<Item = &str> {
        self.meters.iter().flat_map(|meter| {
            let parts = [meter.filter.as_deref(), meter.value.as_deref()];
            parts.into_iter().flatten().chain(meter.group_by.values().map(String::as_str))
        })
    }

    /// The columns that somebody asks for. Of SQL every column counts whose name is in its text: one too many costs
    /// time, and one too few cannot be, since a column cannot be meant without its name.
    fn columns(&self) -> Vec<&'static str> {
        let mut wanted: BTreeSet<&str> = ALWAYS.into_iter().chain(self.rule_columns.iter().copied()).collect();
        for rule in self.meters.iter().flat_map(|meter| &meter.exclude) {
            wanted.extend(match rule {
                Exclusion::HealthChecks => &["path", "client_tag"][..],
                Exclusion::CacheHits => &["cache_status"],
                Exclusion::TryIt => &["client_tag"],
                Exclusion::Retries => &["idempotency_key_hash"],
                Exclusion::InternalPartners | Exclusion::TestPartners => &[],
            });
        }
        let sql: Vec<String> = self.expressions().map(str::to_lowercase).collect();
        let is_named = |column: &str| sql.iter().any(|sql| sql.contains(column));
        let needs_tags = !self.tags.is_empty();
        let is_wanted = |name: &str| wanted.contains(name) || is_named(name) || (name == "attributes" && needs_tags);
        ACCESS_LOG.columns.iter().map(|column| column.name).filter(|name| is_wanted(name)).collect()
    }
}

/// How many rows bear one of some names, for each of them: what reading them together would keep.
///
/// # Errors
/// [`VerifyError::Lake`].
pub(crate) async fn counts(lake: &Lake, pin: &Pin, times: &Times, all: Vec<Names>) -> Result<Vec<usize>, VerifyError> {
    let mut together = Names::default();
    all.iter().for_each(|names| together.add(names));
    let sift = Sift {
        table: &ACCESS_LOG,
        days: times.days(),
        sieves: vec![claimed(together), known(pin, None, Some(times.clone()))],
        columns: vec!["consumer", "credential_key_id", "credential_hash"],
    };
    let length = all.len();
    let by_batch = lake.sift(sift, move |batch| {
        let mut by_names: HashMap<[Option<&str>; 3], usize> = HashMap::new();
        for row in 0..batch.num_rows() {
            let part = |column: usize| text_at(Some(batch.column(column)), row);
            *by_names.entry([part(0), part(1), part(2)]).or_default() += 1;
        }
        let mut counts = vec![0_usize; all.len()];
        for ([consumer, key_id, hash], rows) in by_names {
            let theirs = counts.iter_mut().zip(&all).filter(|(_, names)| names.are_on(consumer, key_id, hash));
            theirs.for_each(|(count, _)| *count += rows);
        }
        Ok::<_, VerifyError>(counts)
    });
    let mut counts = vec![0_usize; length];
    for of_batch in by_batch.await? {
        counts.iter_mut().zip(of_batch).for_each(|(count, more)| *count += more);
    }
    Ok(counts)
}

/// Reads what may be the partners', and every delivery of the same ids.
///
/// # Errors
/// [`VerifyError::Lake`], [`VerifyError::Stored`].
pub(crate) async fn read(lake: &Lake, question: &Question<'_>) -> Result<RawRows, VerifyError> {
    let requests = requests(lake, question).await?;
    let ids: IdHashes =
        requests.iter().map(|request| hash_of(gateway_hash(Some(&request.id.0)), &request.id.1)).collect();
    if ids.is_empty() {
        return Ok(RawRows::default());
    }
    // The earliest delivery may lie in any hour of any month, and be of anybody.
    let sift = Sift {
        table: &ACCESS_LOG,
        days: None,
        sieves: vec![about(ids), known(question.pin, None, None)],
        columns: vec![
            "gateway",
            "event_id",
            "source",
            "kafka_partition",
            "kafka_offset",
            "record_index",
            "kind",
            "received_at",
            "corrects_event_id",
        ],
    };
    let by_batch = lake.sift(sift, |batch| {
        let mut texts = Texts::default();
        let delivery = |row| {
            let cells = Cells { batch, row };
            let kind = texts.must(&cells, 6)?;
            Ok::<_, VerifyError>(Delivery {
                id: cells.id(&mut texts, &kind, [0, 1, 8])?,
                place: cells.place(&mut texts, 2)?,
                event_id: cells.must(1)?.into(),
                received_at: cells.instant(7)?,
                kind,
            })
        };
        (0..batch.num_rows()).map(delivery).collect::<Result<Vec<_>, _>>()
    });
    let deliveries = by_batch.await?.into_iter().flatten().collect();
    Ok(RawRows { requests, deliveries })
}

/// What may be the partners', with what their meters say of it.
async fn requests(lake: &Lake, question: &Question<'_>) -> Result<Vec<Request>, VerifyError> {
    let sift = Sift {
        table: &ACCESS_LOG,
        days: question.times.days(),
        sieves: vec![claimed(question.names.clone()), known(question.pin, None, Some(question.times.clone()))],
        columns: question.columns(),
    };
    let schema = sift.schema();
    let there: BTreeSet<&str> = sift.columns.iter().copied().collect();
    let batches = lake.sift(sift, |batch| Ok::<_, VerifyError>(batch.clone())).await?;
    let context = lake.empty_session()?;
    lake.register_batches(&context, &ACCESS_LOG, schema, batches)?;
    let mut columns = ALWAYS.join(", ");
    for name in AT_NEED {
        columns += if there.contains(name) { ", " } else { ", null as " };
        columns += name;
    }
    for key in &question.tags {
        columns += &format!(", attributes[{}]", as_text(key));
    }
    for (at, meter) in question.meters.iter().enumerate() {
        let filter = as_part(meter.filter.as_deref().unwrap_or("true"));
        let value = as_part(meter.value.as_deref().unwrap_or("null"));
        columns += &format!(", coalesce({filter}, false) as m{at}_passes, cast({value} as varchar) as m{at}_value");
        for (number, sql) in meter.group_by.values().enumerate() {
            columns += &format!(", cast({} as varchar) as m{at}_d{number}", as_part(sql));
        }
    }
    let (mut requests, mut texts) = (Vec::new(), Texts::default());
    for batch in lake.query(&context, &format!("select {columns} from access_log")).await? {
        for row in 0..batch.num_rows() {
            requests.push(request_of(&Cells { batch: &batch, row }, &mut texts, question)?);
        }
    }
    Ok(requests)
}

fn request_of(cells: &Cells<'_>, texts: &mut Texts, question: &Question<'_>) -> Result<Request, VerifyError> {
    let begin = ALWAYS.len() + AT_NEED.len();
    let tags = question.tags.iter().zip(begin..);
    let tags = tags.filter_map(|(key, column)| Some((key.clone(), cells.text(column)?.to_owned()))).collect();
    let mut metered = Vec::new();
    let mut column = begin + question.tags.len();
    for meter in &question.meters {
        let dimensions = (0..meter.group_by.len()).map(|number| texts.may(cells, column + 2 + number)).collect();
        metered.push(Metered { passes: cells.flag(column), value: texts.may(cells, column + 1), dimensions });
        column += 2 + meter.group_by.len();
    }
    let kind = texts.must(cells, 6)?;
    Ok(Request {
        id: cells.id(texts, &kind, [0, 1, 14])?,
        place: cells.place(texts, 2)?,
        kind,
        at: cells.instant(7)?,
        consumer: texts.may(cells, 8),
        credential_key_id: texts.may(cells, 9),
        credential_hash: texts.may(cells, 10),
        environment_hint: texts.may(cells, 11),
        environment_default: texts.may(cells, 12),
        product_hint: texts.may(cells, 13),
        path: texts.may(cells, 15),
        client_tag: texts.may(cells, 16),
        cache_status: texts.may(cells, 17),
        idempotency_key_hash: texts.may(cells, 18),
        host: texts.may(cells, 19),
        method: texts.may(cells, 20),
        tags,
        metered,
    })
}
