//! The door through which the command line appends events: each command has one source, and its transaction is the
//! next offset.
//!
//! An event that says what is there already is not appended, whoever said it. Of two commands at once one finds that
//! the transaction has moved, reads again and goes on behind the other: a commit that did not land is never taken
//! for one that did. What would contradict the registry is refused before it is written, because nothing that is
//! written is ever edited.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tollbook_lake::{Lake, LakeError, Outcome, TxnStep};
use tollbook_schemas::digest::sha256_parts;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::lifecycle::LifecycleEvent;
use tollbook_schemas::period::print_instant;
use tollbook_schemas::registry::{Position, Registry, fold};
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::partner_event::TABLE as PARTNER_EVENT;

use crate::configuration::ConfigurationError;

/// Source of what `partner import` appends, and the CloudEvents source of its events.
pub(super) const IMPORT: &str = "/tollbook/import";
/// Source of what `partner record` appends. Sorted behind the import: what a person records corrects it.
pub(super) const RECORD: &str = "/tollbook/record";

/// Commands at once that one command goes on behind.
const ATTEMPTS_MAX: u32 = 100;

/// The id of an event: what it says. `again` tells apart what was said, taken back and said again.
pub(super) fn content_id(event: &LifecycleEvent, again: usize) -> String {
    let partner = event.partner_id.as_ref().map_or("", PartnerId::as_str);
    let (at, data) = (print_instant(event.occurred_at), event.data_json());
    let again = if again == 0 { String::new() } else { again.to_string() };
    let parts = [event.event_type.as_str(), partner, &at, &data, &again];
    sha256_parts(parts).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Every event that is known, with its place.
pub(super) async fn known(lake: &Lake) -> anyhow::Result<Vec<(Position, LifecycleEvent)>> {
    let damaged = |column: &str| {
        anyhow::anyhow!("a row of {} has no usable {column}; look at it with `tollbook sql`", PARTNER_EVENT.name)
    };
    let rows = lake.rows(&PARTNER_EVENT, None).await?;
    let event =
        |row: &Row| Ok((Position::from_row(row).map_err(damaged)?, LifecycleEvent::from_row(row).map_err(damaged)?));
    rows.iter().map(event).collect()
}

/// Those of the events that say something new, with their ids, in order.
pub(super) fn missing(
    known: &[(Position, LifecycleEvent)],
    door: &str,
    events: &[LifecycleEvent],
) -> Vec<LifecycleEvent> {
    let mut own: Vec<_> = known.iter().filter(|(position, _)| position.source.as_str() == door).collect();
    own.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut new: Vec<LifecycleEvent> = Vec::new();
    for event in events {
        let is_of_its_instant = |other: &&LifecycleEvent| {
            (&other.event_type, &other.partner_id, other.occurred_at)
                == (&event.event_type, &event.partner_id, event.occurred_at)
        };
        let says_the_same = |other: &&LifecycleEvent| is_of_its_instant(other) && other.data == event.data;
        let through_here = || own.iter().map(|(_, event)| event).chain(&new);
        let is_known = match through_here().rfind(is_of_its_instant) {
            // Of registrations the last one counts: a name that goes back to what it was is news.
            Some(last) if event.event_type == "registered" => last.data == event.data,
            _ => known.iter().map(|(_, event)| event).chain(&new).any(|other| says_the_same(&other)),
        };
        if !is_known {
            let again = through_here().filter(says_the_same).count();
            new.push(LifecycleEvent { id: content_id(event, again), ..event.clone() });
        }
    }
    new
}

/// Refuses events that would contradict the registry.
///
/// # Errors
/// [`ConfigurationError`] with one line for each contradiction.
pub(super) fn refuse(
    known: &[(Position, LifecycleEvent)],
    source: &Source,
    first: i64,
    new: &[LifecycleEvent],
) -> Result<(), ConfigurationError> {
    let place = |offset| Position { source: source.clone(), partition: 0, offset, index: 0 };
    let added = new.iter().zip(first..).map(|(event, offset)| (place(offset), event.clone()));
    let before = fold(known.to_vec(), None);
    let after = fold(known.iter().cloned().chain(added).collect(), None);
    let told: BTreeSet<(&Position, &str)> = before.findings.iter().map(|f| (&f.position, f.what.as_str())).collect();
    let mut problems: Vec<String> = after
        .findings
        .iter()
        .filter(|finding| !told.contains(&(&finding.position, finding.what.as_str())))
        .map(|finding| format!("{}: {}", finding.partner_id.as_ref().map_or("-", PartnerId::as_str), finding.what))
        .collect();
    let nobodys = |registry: &Registry| -> BTreeSet<String> {
        let nobodys = registry.links.iter().filter(|link| link.partner_id.is_none());
        nobodys.map(|link| format!("{} {}", link.system.as_str(), link.external_id)).collect()
    };
    for link in nobodys(&after).difference(&nobodys(&before)) {
        problems.push(format!(
            "{link} would belong to nobody: another partner has it, or it is linked for both environments"
        ));
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(ConfigurationError(format!(
        "what is known already contradicts this, and nothing was written; see \"Correcting partners\" in \
         docs/operations.md:\n{}",
        problems.join("\n")
    )))
}

/// Appends those of the events that say something new; gives how many.
///
/// # Errors
/// [`ConfigurationError`] where they contradict the registry; [`LakeError::Contention`] where other commands kept
/// winning; the lake's.
pub(super) async fn append_new(
    lake: &Lake,
    door: &str,
    events: &[LifecycleEvent],
    now: DateTime<Utc>,
) -> anyhow::Result<usize> {
    let source = Source::parse(door)?;
    let app_id = source.app_id(0);
    for attempt in 0..ATTEMPTS_MAX {
        tokio::time::sleep(Duration::from_millis(u64::from(10 * attempt.min(20)))).await;
        // Before the rows: what lands in between moves it, and the commit below is refused.
        let expected = lake.txn(&PARTNER_EVENT, &app_id).await?;
        let known = known(lake).await?;
        let new = missing(&known, door, events);
        if new.is_empty() {
            return Ok(0);
        }
        let first = expected.unwrap_or(0);
        refuse(&known, &source, first, &new)?;
        let row = |(event, offset): (&LifecycleEvent, i64)| {
            let row = event.row().with("source", source.as_str()).with("kafka_partition", 0_i32);
            row.with("kafka_offset", offset).with("record_index", 0_i32).with("received_at", now)
        };
        let rows: Vec<Row> = new.iter().zip(first..).map(row).collect();
        let step = TxnStep { app_id: app_id.clone(), expected, next: first + i64::try_from(rows.len())? };
        match lake.append(&PARTNER_EVENT, &rows, &[step]).await? {
            Outcome::Committed => return Ok(rows.len()),
            // `Already` says that the offsets are taken, not by whom: these rows are not there.
            Outcome::Already | Outcome::Fenced { .. } => {}
        }
    }
    Err(LakeError::Contention { table: PARTNER_EVENT.name, app_id }.into())
}
