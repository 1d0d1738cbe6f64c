//! How complete the figures of a page are: whether the data have reached its instant, and what was not counted and
//! could change it (I9).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tollbook_schemas::period::print_instant;

use crate::page::{Column, Page};

/// Records that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectedCount {
    /// Table that they were meant for.
    pub target: String,
    /// Short name of what is wrong.
    pub reason: String,
    /// How many.
    pub count: i64,
}

/// Requests that belong to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnattributedCount {
    /// Meter that counts them.
    pub meter_id: String,
    /// Why nobody is charged.
    pub reason: String,
    /// Requests that the meter counts.
    pub count: i64,
}

/// How complete the data are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Completeness {
    /// Instant that every partition of the traffic has passed; none where nothing was ingested.
    pub watermark: Option<DateTime<Utc>>,
    /// Records that could not be read.
    pub rejected: Vec<RejectedCount>,
    /// Requests that belong to nobody.
    pub unattributed: Vec<UnattributedCount>,
    /// What was known, JSON: offsets of both ingested tables.
    pub pin: String,
}

impl Completeness {
    /// Whether the data have reached an instant.
    #[must_use]
    pub fn has_reached(&self, as_of: DateTime<Utc>) -> bool {
        self.watermark.is_some_and(|watermark| watermark >= as_of)
    }

    /// The line under the title.
    pub(crate) fn headline(&self, page: &mut Page, as_of: DateTime<Utc>) {
        page.element("p", "as-of", &format!("As of {} (UTC).", print_instant(as_of)));
        let watermark = self.watermark.map_or("nothing was ingested yet".to_owned(), |at| {
            format!("every partition of the traffic has been read up to {}", print_instant(at))
        });
        if self.has_reached(as_of) {
            page.element("p", "complete", &format!("The data have reached this instant: {watermark}."));
        } else {
            let text = format!("The data have not reached this instant: {watermark}. The figures can still grow.");
            page.element("p", "incomplete", &text);
        }
    }

    /// The section at the end.
    pub(crate) fn section(&self, page: &mut Page) {
        page.heading("What was not counted and could change these figures");
        page.definition(
            "Nothing is dropped in silence: a record that could not be read is kept in the table rejected, a request \
             that belongs to no partner is counted as unattributed with its reason. A lifecycle event or link that \
             arrives later takes its traffic from then on, also for the past.",
        );
        page.element("h3", "", "Rejected records");
        if self.rejected.is_empty() {
            page.element("p", "", "None.");
        } else {
            let rows: Vec<Vec<String>> =
                self.rejected.iter().map(|r| vec![r.target.clone(), r.reason.clone(), r.count.to_string()]).collect();
            page.table(&[Column::Words("meant for"), Column::Words("reason"), Column::Figure("records")], &rows);
            let total: i64 = self.rejected.iter().map(|r| r.count).sum();
            page.definition(&format!("{total} in all, over the whole log known at the pin below."));
        }
        page.element("h3", "", "Unattributed requests");
        if self.unattributed.is_empty() {
            page.element("p", "", "None that a meter counts.");
        } else {
            self.unattributed_table(page);
        }
        page.element("h3", "", "What was known");
        page.definition("The first offset of each partition that was not known; the same pin gives the same figures.");
        page.element("p", "foot", &self.pin);
    }

    fn unattributed_table(&self, page: &mut Page) {
        let reasons: BTreeSet<&str> = self.unattributed.iter().map(|u| u.reason.as_str()).collect();
        let mut meters: BTreeMap<&str, BTreeMap<&str, i64>> = BTreeMap::new();
        for one in &self.unattributed {
            *meters.entry(&one.meter_id).or_default().entry(&one.reason).or_default() += one.count;
        }
        let columns: Vec<Column<'_>> =
            std::iter::once(Column::Words("meter")).chain(reasons.iter().map(|r| Column::Figure(r))).collect();
        let rows: Vec<Vec<String>> = meters
            .iter()
            .map(|(meter, counts)| {
                let cells = reasons.iter().map(|reason| counts.get(reason).copied().unwrap_or(0).to_string());
                std::iter::once((*meter).to_owned()).chain(cells).collect()
            })
            .collect();
        page.table(&columns, &rows);
        page.definition("One request may count for several meters, so rows do not add up.");
    }
}
