//! The door through which the command line appends events: each command has one source, and its transaction is the
//! next offset.
//!
//! An event that says what is there already is not appended, whoever said it. What would contradict the registry is
//! refused before it is written, because nothing that is written is ever edited. All commands move one transaction
//! more, [`COMMANDS`], which is read before the events that they are checked against: of two commands at once, whichever
//! they are, one finds that it has moved, reads again, checks again and goes on behind the other. A commit that did not
//! land is never taken for one that did.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tollbook_lake::{Lake, LakeError, Outcome, TxnStep};
use tollbook_schemas::digest::sha256_parts;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::lifecycle::LifecycleEvent;
use tollbook_schemas::period::print_instant;
use tollbook_schemas::registry::{IdentityLink, Position, Registry, fold, is_said};
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::partner_event::TABLE as PARTNER_EVENT;

use crate::configuration::ConfigurationError;

/// Source of what `partner import` appends, and the CloudEvents source of its events.
pub(super) const IMPORT: &str = "/tollbook/import";
/// Source of what `partner record` appends.
pub(super) const RECORD: &str = tollbook_schemas::registry::RECORD;
/// App id of the number of commits by which commands added events. Without '#', so that it is never taken for an offset.
const COMMANDS: &str = "commands";

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
            _ => {
                let is_there = known.iter().map(|(_, event)| event).chain(&new).any(|other| says_the_same(&other));
                // A person may take back what was said, and say it again; the lines of a file cannot.
                is_there && (door != RECORD || is_said(known, event).unwrap_or(true))
            }
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
    for link in after.links.iter().filter(|link| link.partner_id.is_none() && !is_nobodys(&before, link)) {
        problems.push(format!(
            "{} {} would belong to nobody from {}: another partner has it, or it is linked for both environments",
            link.system.as_str(),
            link.external_id,
            print_instant(link.valid_from)
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

/// Whether all the time of a link that is nobody's was nobody's in this registry too.
fn is_nobodys(registry: &Registry, link: &IdentityLink) -> bool {
    let end = |link: &IdentityLink| link.valid_to.unwrap_or(DateTime::<Utc>::MAX_UTC);
    registry.links.iter().any(|known| {
        let is_same = (known.system, &known.external_id, &known.partner_id) == (link.system, &link.external_id, &None);
        is_same && known.valid_from <= link.valid_from && end(link) <= end(known)
    })
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
        // Before the rows: whatever command lands in between moves one of them, and the commit below is refused.
        let txns = lake.txns(&PARTNER_EVENT).await?;
        let (expected, commands) = (txns.get(&app_id).copied(), txns.get(COMMANDS).copied());
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
        let offsets = TxnStep { app_id: app_id.clone(), expected, next: first + i64::try_from(rows.len())? };
        let turn =
            TxnStep { app_id: COMMANDS.to_owned(), expected: commands, next: commands.unwrap_or(0).saturating_add(1) };
        match lake.append(&PARTNER_EVENT, &rows, &[offsets, turn]).await? {
            Outcome::Committed => return Ok(rows.len()),
            // `Already` says that the offsets are taken, not by whom: these rows are not there.
            Outcome::Already | Outcome::Fenced { .. } => {}
        }
    }
    Err(LakeError::Contention { table: PARTNER_EVENT.name, app_id: COMMANDS.to_owned() }.into())
}
