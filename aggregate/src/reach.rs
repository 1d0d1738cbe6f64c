//! How far the data reach: the instant before which everything is in the lake, as far as its sources can know.
//!
//! Takes the sources that are configured, by the table that they feed; gives one instant, or none where some source
//! may still hold anything. A month that ends later is not complete, so no invoice is issued for it.
//!
//! - A configured topic holds everything back until it has once been read to its end, on every partition. Files that
//!   came in meanwhile change nothing about that: naming a topic says that there is traffic in it, what it holds would
//!   arrive after the invoice was issued, and late usage is not billed. Whoever feeds the lake by files alone takes the
//!   topics out of the configuration; `--accept-incomplete` issues without them, with a reason.
//! - Where no topic of requests is configured, the lake is fed by files: requests reach to the time of the newest file.
//!   Lifecycle events of files and imports hold nothing back; they come when somebody has them.

use chrono::{DateTime, Utc};
use tollbook_lake::Lake;
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::{access_log, partner_event};

use crate::error::AggregateError;

/// The topics that are read today, by the table that they feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feeds {
    /// Of requests.
    pub access_log: Vec<Source>,
    /// Of lifecycle events.
    pub partner_event: Vec<Source>,
}

/// How far the data of a lake reach; `None` where that is not known.
///
/// # Errors
/// [`AggregateError`].
pub async fn data_reach(lake: &Lake, feeds: &Feeds) -> Result<Option<DateTime<Utc>>, AggregateError> {
    // Without a topic of its own, requests come from files.
    let requests = lake.watermark(&access_log::TABLE, &feeds.access_log).await?;
    if feeds.partner_event.is_empty() {
        return Ok(requests);
    }
    let events = lake.watermark(&partner_event::TABLE, &feeds.partner_event).await?;
    Ok(requests.zip(events).map(|(requests, events)| requests.min(events)))
}

#[cfg(test)]
mod tests {
    use tollbook_lake::{FILE_WATERMARK, TxnStep, watermark_app_id};
    use tollbook_schemas::tables::Table;

    use super::*;

    fn source(name: &str) -> Source {
        Source::kafka("test", name, "1").unwrap()
    }

    /// Tables as ingest leaves them: `access_log: web=5 app=-` is a topic read to its end at 5 and one that is not;
    /// `file=9` is a file of that time.
    async fn lake_of(text: &str) -> (tempfile::TempDir, Lake) {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (table, entries) = part.split_once(':').unwrap();
            let table: &'static Table = if table == "requests" { &access_log::TABLE } else { &partner_event::TABLE };
            for entry in entries.split_whitespace() {
                let (name, passed) = entry.split_once('=').unwrap();
                let mut steps = Vec::new();
                let mut step = |app_id: String, next: i64| steps.push(TxnStep { app_id, expected: None, next });
                match name {
                    "file" => step(FILE_WATERMARK.to_owned(), passed.parse().unwrap()),
                    name => {
                        step(source(name).app_id(0), 1);
                        if passed != "-" {
                            step(watermark_app_id(&source(name), 0), passed.parse().unwrap());
                        }
                    }
                }
                lake.append(table, &[], &steps).await.unwrap();
            }
        }
        (folder, lake)
    }

    #[tokio::test]
    async fn nothing_reaches_further_than_every_configured_topic() {
        for (tables, requests, events, reaches) in [
            ("requests: web=7; events: portal=5", &["web"][..], &["portal"][..], Some(5)),
            ("requests: web=7 app=6; events: portal=8", &["web", "app"], &["portal"], Some(6)),
            // A second gateway whose topic was never read, or not yet to its end.
            ("requests: web=7; events: portal=8", &["web", "app"], &["portal"], None),
            ("requests: web=7 app=-; events: portal=8", &["web", "app"], &["portal"], None),
            ("requests: web=7", &["web"], &["portal"], None),
            // A topic that is read no more.
            ("requests: web=7 old=2; events: portal=8", &["web"], &["portal"], Some(7)),
            // Requests from files, with and without a topic of events; the time of a lifecycle file says nothing.
            ("requests: file=9; events: portal=8", &[], &["portal"], Some(8)),
            ("requests: file=9; events: file=2", &[], &[], Some(9)),
            // Topics that were never read, beside files: nobody knows what they hold.
            ("requests: file=9; events: file=2", &["web"], &["portal"], None),
            ("requests: file=9; events: file=2", &["web"], &[], None),
            ("requests: file=9; events: file=2", &[], &["portal"], None),
            ("requests: web=7 file=9; events: portal=8", &["web"], &["portal"], Some(7)),
            ("events: file=2", &[], &[], None),
            ("", &["web"], &["portal"], None),
        ] {
            let (_folder, lake) = lake_of(tables).await;
            let of = |names: &[&str]| names.iter().map(|name| source(name)).collect();
            let feeds = Feeds { access_log: of(requests), partner_event: of(events) };
            let found = data_reach(&lake, &feeds).await.unwrap();
            assert_eq!(found.map(|at| at.timestamp_millis()), reaches, "{tables} read by {requests:?} {events:?}");
        }
    }
}
