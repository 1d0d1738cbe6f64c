//! What an invoice stands on, as the lake keeps it: the catalog by its hash, the registry at the pin, the billing
//! profile. Hashes are computed anew; what is gone or damaged is told with how to mend it. Read once for all invoices
//! that share it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tollbook_lake::{Lake, as_text, pin_condition};
use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::lifecycle::LifecycleEvent;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::registry::{Position, fold};
use tollbook_schemas::tables::access_log::TABLE as ACCESS_LOG;
use tollbook_schemas::tables::billing::BILLING_PROFILE;
use tollbook_schemas::tables::catalog::CATALOG_FILE;
use tollbook_schemas::tables::partner_event::TABLE as PARTNER_EVENT;
use tollbook_schemas::tables::rejected::TABLE as REJECTED;
use tollbook_schemas::tables::{Row, Table};

use crate::compare::Difference;
use crate::error::VerifyError;
use crate::known::Known;
use crate::stored::one_of;

/// What was known when a document was drafted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pins {
    pub(crate) access: Pin,
    pub(crate) events: Pin,
}

impl Pins {
    /// Reads the pin of a document.
    pub(crate) fn read(text: &str) -> Result<Self, Box<Difference>> {
        let wrong = || Box::new(Difference::told("pin", "it cannot be read; put the lake back from a copy"));
        let pins: BTreeMap<String, Pin> = serde_json::from_str(text).map_err(|_| wrong())?;
        let pin = |table: &Table| pins.get(table.name).cloned().ok_or_else(wrong);
        Ok(Self { access: pin(&ACCESS_LOG)?, events: pin(&PARTNER_EVENT)? })
    }
}

/// A catalog that the lake keeps.
pub(crate) struct Kept {
    pub(crate) catalog: Catalog,
    /// Where its rows are not what was kept.
    pub(crate) damage: Option<Difference>,
}

/// Reads the lake, each thing once.
pub(crate) struct Evidence<'a> {
    pub(crate) lake: &'a Lake,
    catalogs: HashMap<String, Arc<Kept>>,
    registries: HashMap<String, Arc<Known>>,
    /// How far each ingested table was read.
    read: HashMap<&'static str, Pin>,
}

impl<'a> Evidence<'a> {
    pub(crate) fn over(lake: &'a Lake) -> Self {
        Self { lake, catalogs: HashMap::new(), registries: HashMap::new(), read: HashMap::new() }
    }

    /// The catalog of a hash, whole and with the hash that its text really has.
    pub(crate) async fn catalog(&mut self, sha256: &str) -> Result<Result<Arc<Kept>, Difference>, VerifyError> {
        if let Some(known) = self.catalogs.get(sha256) {
            return Ok(Ok(known.clone()));
        }
        let condition = format!("catalog_sha256 = {}", as_text(sha256));
        let file = |row: &Row| {
            let text = |column: &str| row.text(column).unwrap_or_default().to_owned();
            CatalogFile { path: text("path"), text: text("text") }
        };
        let files: Vec<CatalogFile> = self.lake.rows(&CATALOG_FILE, Some(&condition)).await?.iter().map(file).collect();
        if files.is_empty() {
            let what = format!("catalog {sha256} is not in the table; put the lake back from a copy that has it");
            return Ok(Err(Difference::told(CATALOG_FILE.name, what)));
        }
        let (catalog, problems) = Catalog::parse_partly(&files);
        if let Some(first) = problems.first() {
            let what = format!(
                "catalog {sha256} cannot be read: {first}; put the table back from a copy, or verify with the version of \
                 tollbook that used it"
            );
            // Where it is what was used then, only this version cannot read it.
            return Ok(Err(match catalog.sha256 == sha256 {
                true => Difference::unknown(CATALOG_FILE.name, what),
                false => Difference::told(CATALOG_FILE.name, what),
            }));
        }
        let damage = (catalog.sha256 != sha256).then(|| {
            let what = format!(
                "it does not hold catalog {sha256}: its rows have the hash {}; put the table back from a copy of the lake",
                catalog.sha256
            );
            Difference::told(CATALOG_FILE.name, what)
        });
        let kept = Arc::new(Kept { catalog, damage });
        self.catalogs.insert(sha256.to_owned(), kept.clone());
        Ok(Ok(kept))
    }

    /// Partners, links and subscriptions at a pin.
    pub(crate) async fn known(&mut self, pin: &Pin) -> Result<Arc<Known>, VerifyError> {
        let key = pin.to_json();
        if let Some(known) = self.registries.get(&key) {
            return Ok(known.clone());
        }
        let rows = self.lake.rows(&PARTNER_EVENT, Some(&pin_condition(pin))).await?;
        let events = rows.iter().map(event_of).collect::<Result<Vec<_>, _>>();
        let events = events.map_err(|column| VerifyError::Stored {
            table: PARTNER_EVENT.name,
            what: format!("column {column} cannot be read"),
        })?;
        let known = Arc::new(Known::of(fold(events, None)));
        self.registries.insert(key, known.clone());
        Ok(known)
    }

    /// The rows of some versions of billing profiles, and of all versions of some partners, by their ids.
    pub(crate) async fn profiles(
        &self,
        ids: &BTreeSet<&str>,
        partner_ids: &BTreeSet<&str>,
    ) -> Result<HashMap<String, Row>, VerifyError> {
        let wanted = [("profile_version_id", ids), ("partner_id", partner_ids)].into_iter();
        let wanted = wanted.filter(|(_, ids)| !ids.is_empty());
        let wanted: Vec<String> = wanted.map(|(column, ids)| one_of(column, ids.iter().copied())).collect();
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = self.lake.rows(&BILLING_PROFILE, Some(&wanted.join(" or "))).await?;
        let mut by_id = HashMap::new();
        for row in rows {
            by_id.entry(row.text("profile_version_id").unwrap_or_default().to_owned()).or_insert(row);
        }
        Ok(by_id)
    }

    /// What the lake cannot have of a pin: a partition that it has not read so far.
    pub(crate) async fn beyond(&mut self, table: &'static Table, pin: &Pin) -> Result<Option<Difference>, VerifyError> {
        let read = match self.read.entry(table.name) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(self.lake.pin(table).await?),
        };
        let beyond = pin.iter().find(|(source, partition, next)| read.next_offset(source, *partition) < Some(*next));
        Ok(beyond.map(|(source, partition, next)| {
            let to = read.next_offset(source, partition).map_or("never".to_owned(), |to| format!("to offset {to}"));
            let what = format!(
                "the invoice knows {source}, partition {partition}, to offset {next}, and {} was read {to}: the lake is \
                 older than the invoice; put it back from a later copy",
                table.name
            );
            Difference::told("pin", what)
        }))
    }

    /// Offsets below a pin that are in neither `access_log` nor `rejected`: lost rows, or control records of
    /// Kafka; of a file every line is in one of them. Asked only where something differs.
    pub(crate) async fn holes(&self, pin: &Pin) -> Result<Option<Difference>, VerifyError> {
        let mut there: BTreeMap<(String, i64), BTreeSet<i64>> = BTreeMap::new();
        for table in [&ACCESS_LOG, &REJECTED] {
            let context = self.lake.empty_session()?;
            self.lake.register(&context, table, None).await?;
            let sql = format!(
                "select source, cast(kafka_partition as bigint), kafka_offset from {} where {}",
                table.name,
                pin_condition(pin)
            );
            for batch in self.lake.query(&context, &sql).await? {
                crate::cells::offsets(&batch, &mut there);
            }
        }
        let holes = pin.iter().flat_map(|(source, partition, next)| {
            let offsets = there.get(&(source.to_string(), i64::from(partition))).cloned().unwrap_or_default();
            // A topic begins where its retention left it, a file with its first line.
            let first = if source.as_str().starts_with("file:") { Some(0) } else { offsets.first().copied() };
            let ends = offsets.into_iter().chain([next]);
            let mut expected = first.unwrap_or(0);
            let mut holes = Vec::new();
            for offset in ends {
                if offset > expected {
                    holes.push(format!("{expected} to {} of {source}, partition {partition}", offset - 1));
                }
                expected = offset.saturating_add(1);
            }
            holes
        });
        let holes: Vec<String> = holes.take(3).collect();
        let what = format!(
            "in neither access_log nor rejected are the offsets {}: control records of Kafka, or \
             rows that are lost; if they are lost, put the lake back from a copy",
            holes.join("; ")
        );
        Ok((!holes.is_empty()).then(|| Difference::told("pin", what)))
    }
}

/// A lifecycle event of a row, or the column that cannot be read.
fn event_of(row: &Row) -> Result<(Position, LifecycleEvent), &'static str> {
    let text = |column: &'static str| row.text(column).map(str::to_owned).ok_or(column);
    let partner_id = row.text("partner_id").map(PartnerId::parse).transpose().map_err(|_| "partner_id")?;
    let event = LifecycleEvent {
        source: text("event_source")?,
        id: text("event_id")?,
        event_type: text("event_type")?,
        event_type_full: text("event_type_full")?,
        partner_id,
        occurred_at: row.instant("occurred_at").ok_or("occurred_at")?,
        actor: row.text("actor").map(str::to_owned),
        correlation_id: row.text("correlation_id").map(str::to_owned),
        causation_id: row.text("causation_id").map(str::to_owned),
        data: serde_json::from_str(&text("data")?).map_err(|_| "data")?,
    };
    Ok((Position::from_row(row)?, event))
}
