//! The funnel page: how many partners reached each step, where they stopped, how long it took, who came when.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, Utc};
use serde::Serialize;
use tollbook_schemas::decimal::Decimal;

use crate::amount::{days, padded};
use crate::chart::{self, Bar};
use crate::completeness::Completeness;
use crate::error::ReportError;
use crate::page::{Column, Page};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FunnelStep {
    /// Name.
    pub step: String,
    /// Partners that reached it in order.
    pub reached: i64,
    /// Partners that reached the step before and not this one.
    pub dropped: i64,
    /// Partners that did it out of order.
    pub skipped: i64,
    /// Reached of all registered, in percent.
    pub conversion_from_start_percent: Option<Decimal>,
    /// Reached of the step before, in percent.
    pub conversion_from_previous_percent: Option<Decimal>,
    /// Median seconds from the step before, of those who reached it.
    pub median_seconds_from_previous: Option<i64>,
}

/// Registrations of one week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WeekCount {
    /// Monday of the week, UTC.
    pub monday: NaiveDate,
    /// Partners that registered in it.
    pub registered: i64,
}

/// Everything on the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FunnelReport {
    /// Instant up to which it looks.
    pub as_of: DateTime<Utc>,
    /// Steps, in order.
    pub steps: Vec<FunnelStep>,
    /// Registrations, week by week without gap.
    pub weeks: Vec<WeekCount>,
    /// Internal and test partners, which are left out.
    pub left_out: i64,
    /// The rules, as the job that counted states them.
    pub semantics: String,
    /// How complete the data are.
    pub completeness: Completeness,
}

/// Monday of the week of an instant, UTC.
fn monday_of(at: DateTime<Utc>) -> NaiveDate {
    let day = at.date_naive();
    day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday()))).unwrap_or(day)
}

/// Counts registrations by week, from the first to the week of the report, weeks without any included. Nothing where
/// nobody registered.
#[must_use]
pub fn weeks_of(registered_at: &[DateTime<Utc>], as_of: DateTime<Utc>) -> Vec<WeekCount> {
    let mut counts: BTreeMap<NaiveDate, i64> = BTreeMap::new();
    for at in registered_at.iter().filter(|at| **at <= as_of) {
        *counts.entry(monday_of(*at)).or_default() += 1;
    }
    let mut weeks = Vec::new();
    let last = monday_of(as_of);
    let mut monday = counts.keys().next().copied();
    while let Some(at) = monday.filter(|at| *at <= last) {
        weeks.push(WeekCount { monday: at, registered: counts.get(&at).copied().unwrap_or(0) });
        monday = at.checked_add_days(Days::new(7));
    }
    weeks
}

/// Weeks that fit the chart; the table of figures is in `--json`.
const WEEKS_SHOWN: usize = 26;

fn percent(percent: Option<Decimal>) -> String {
    percent.map_or("–".to_owned(), |percent| format!("{} %", padded(percent, 2)))
}

/// The page.
///
/// # Errors
/// [`ReportError::Chart`].
pub fn funnel_html(report: &FunnelReport) -> Result<String, ReportError> {
    let mut page = Page::new("Partner funnel");
    page.element("h1", "", "Partner funnel");
    report.completeness.headline(&mut page, report.as_of);
    steps(&mut page, report)?;
    weeks(&mut page, report)?;
    report.completeness.section(&mut page);
    Ok(page.end())
}

fn steps(page: &mut Page, report: &FunnelReport) -> Result<(), ReportError> {
    page.heading("From registration to revenue");
    if report.steps.is_empty() {
        page.element("p", "incomplete", "The funnel was not counted at this instant; run tollbook aggregate.");
        return Ok(());
    }
    let bars: Vec<Bar> = report
        .steps
        .iter()
        .zip(0..)
        .map(|(step, at)| Bar {
            label: step.step.clone(),
            length: chart::count_coordinate(step.reached),
            printed: match at {
                0 => step.reached.to_string(),
                _ => {
                    format!("{}  ({} of the step before)", step.reached, percent(step.conversion_from_previous_percent))
                }
            },
            colour: 0,
        })
        .collect();
    page.figure(&chart::bars("funnel", &bars)?, "Partners that reached each step");
    let columns = [
        Column::Words("step"),
        Column::Figure("reached"),
        Column::Figure("of step before"),
        Column::Figure("of registered"),
        Column::Figure("dropped"),
        Column::Figure("skipped"),
        Column::Figure("median time from step before"),
    ];
    let rows: Vec<Vec<String>> = report
        .steps
        .iter()
        .zip(0..)
        .map(|(step, at)| {
            let of_previous = if at == 0 { None } else { step.conversion_from_previous_percent };
            vec![
                step.step.clone(),
                step.reached.to_string(),
                percent(of_previous),
                percent(step.conversion_from_start_percent),
                step.dropped.to_string(),
                step.skipped.to_string(),
                step.median_seconds_from_previous.map_or("–".to_owned(), days),
            ]
        })
        .collect();
    page.table(&columns, &rows);
    if let (Some(first), Some(last)) = (report.steps.first(), report.steps.last()) {
        let dropped: Vec<String> = report.steps.iter().skip(1).map(|step| step.dropped.to_string()).collect();
        page.element(
            "p",
            "",
            &format!(
                "Check: {} {} = {} {} + {} that stopped on the way.",
                first.reached,
                first.step,
                last.reached,
                last.step,
                dropped.join(" + ")
            ),
        );
    }
    page.definition(&report.semantics);
    page.definition(&format!(
        "Percentages and times are cut, not rounded. The median is the lower one: a time that some partner really took. \
         Left out here: {} internal or test partners.",
        report.left_out
    ));
    Ok(())
}

fn weeks(page: &mut Page, report: &FunnelReport) -> Result<(), ReportError> {
    page.heading("Registrations per week");
    if report.weeks.is_empty() {
        page.element("p", "", "No registration is known.");
        return Ok(());
    }
    let shown = &report.weeks[report.weeks.len().saturating_sub(WEEKS_SHOWN)..];
    let bars: Vec<Bar> = shown
        .iter()
        .map(|week| Bar {
            label: week.monday.format("%m-%d").to_string(),
            length: chart::count_coordinate(week.registered),
            printed: week.registered.to_string(),
            colour: 0,
        })
        .collect();
    let (first, last) = (shown[0].monday, shown[shown.len() - 1].monday);
    let caption = format!("Partners by week of registration, weeks beginning {first} to {last}");
    page.figure(&chart::columns("registrations", &bars)?, &caption);
    let total: i64 = report.weeks.iter().map(|week| week.registered).sum();
    let mut text = format!(
        "Weeks begin on Monday, UTC. {total} registrations in {} weeks; internal and test partners are left out.",
        report.weeks.len()
    );
    if report.weeks.len() > shown.len() {
        text.push_str(&format!(" The last {WEEKS_SHOWN} weeks are shown."));
    }
    if last.checked_add_days(Days::new(7)).is_some_and(|end| end > report.as_of.date_naive()) {
        text.push_str(" The last week is not over.");
    }
    page.definition(&text);
    Ok(())
}

#[cfg(test)]
mod tests;
