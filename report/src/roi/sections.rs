//! The sections of the page, top to bottom.

use std::collections::BTreeSet;

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::money::Currency;
use tollbook_schemas::period::print_instant;

use super::{CurrencySide, RoiReport, UsageSeries};
use crate::amount::{coordinate, in_currency};
use crate::chart::{self, Bar, Line};
use crate::error::ReportError;
use crate::page::{Column, Page, escape};

/// Months that a chart shows; the table has all.
const MONTHS_SHOWN: usize = 12;
/// Lines that a chart shows.
const SERIES_SHOWN: usize = 4;

const NONE: &str = "not instrumented";

fn amount(amount: Option<Decimal>, currency: Currency) -> String {
    amount.map_or(NONE.to_owned(), |amount| in_currency(amount, currency))
}

fn named(partner_id: &str, display_name: Option<&String>) -> String {
    display_name.cloned().unwrap_or_else(|| partner_id.to_owned())
}

/// One box for each currency.
pub(super) fn headline(page: &mut Page, report: &RoiReport) {
    if report.currencies.is_empty() {
        page.element("p", "incomplete", "Not instrumented: no invoice was issued and no cost was recorded.");
        return;
    }
    page.raw("<div class=\"headline\">");
    for side in &report.currencies {
        let printed = side.roi.printed();
        // What has no figure is printed small: its reason below, where a figure has its span.
        let (figure, detail, class) = match (printed.split_once(": "), side.months_compared) {
            (Some((word, reason)), _) => (word, reason.to_owned(), " class=\"without\""),
            (None, 1) => (printed.as_str(), "over 1 month that has both sides".to_owned(), ""),
            (None, months) => (printed.as_str(), format!("over {months} months that have both sides"), ""),
        };
        page.raw(&format!(
            "<div><span>ROI in {}</span><b{class}>{}</b><span>{}</span></div>",
            side.currency,
            escape(figure),
            escape(&detail)
        ));
    }
    page.raw("</div>");
    page.definition(
        "ROI = (revenue − cost) / cost, exact and cut to two decimals, for each currency apart: nothing is converted \
         or added across currencies. Revenue counts in full: no margin is taken off it, so record what serving \
         partners costs as a cost. A side that nobody measured is not instrumented; it is never taken for zero. Months \
         with one side only are shown below and left out of the ratio.",
    );
}

/// Revenue against cost.
pub(super) fn currencies(page: &mut Page, report: &RoiReport) -> Result<(), ReportError> {
    page.heading("Revenue and cost by month");
    page.definition(&format!(
        "Revenue: totals of issued invoices whose billing period ended by the instant above, in the month that they \
         bill; it is what was invoiced, not what was recognised or collected. Paid: of that, paid as far as bill sync \
         has seen. Cost: cost.recorded events, in the month that they name. Invoices left out because their period \
         ends later: {}. Cost events left out because amount, currency or period cannot be used: {}.",
        report.later_invoice_count, report.unusable_cost_count
    ));
    for side in &report.currencies {
        page.element("h3", "", side.currency.code());
        currency(page, side)?;
    }
    Ok(())
}

fn currency(page: &mut Page, side: &CurrencySide) -> Result<(), ReportError> {
    let shown = &side.months[side.months.len().saturating_sub(MONTHS_SHOWN)..];
    let mut bars = Vec::new();
    for month in shown {
        for (word, value, colour) in [("revenue", month.revenue, 0), ("cost", month.cost, 1)] {
            bars.push(Bar {
                label: format!("{} {word}", month.month),
                length: value.map_or(0.0, coordinate).max(0.0),
                printed: amount(value, side.currency),
                colour,
            });
        }
    }
    let mut caption = format!("Revenue and cost in {}", side.currency);
    if side.months.len() > shown.len() {
        caption.push_str(&format!(", last {MONTHS_SHOWN} months"));
    }
    page.figure(&chart::bars("revenue and cost", &bars)?, &caption);
    let mut rows: Vec<Vec<String>> = side
        .months
        .iter()
        .map(|month| {
            vec![
                month.month.to_string(),
                month.invoice_count.to_string(),
                amount(month.revenue, side.currency),
                amount(month.paid, side.currency),
                amount(month.cost, side.currency),
                month.roi.printed(),
            ]
        })
        .collect();
    let invoices: i64 = side.months.iter().map(|month| month.invoice_count).sum();
    // A ratio stands only beside the amounts that give it.
    let compares_all = side.months.iter().all(|month| month.revenue.is_some() && month.cost.is_some());
    let compared = side.compared.filter(|_| !compares_all);
    rows.push(vec![
        "all".to_owned(),
        invoices.to_string(),
        amount(side.revenue, side.currency),
        amount(side.paid, side.currency),
        amount(side.cost, side.currency),
        compared.map_or_else(|| side.roi.printed(), |_| "see months compared".to_owned()),
    ]);
    if let Some(compared) = compared {
        rows.push(vec![
            "months compared".to_owned(),
            compared.invoice_count.to_string(),
            in_currency(compared.revenue, side.currency),
            in_currency(compared.paid, side.currency),
            in_currency(compared.cost, side.currency),
            side.roi.printed(),
        ]);
    }
    let columns = [
        Column::Words("month"),
        Column::Figure("invoices"),
        Column::Figure("revenue"),
        Column::Figure("of that, paid"),
        Column::Figure("cost"),
        Column::Words("ROI"),
    ];
    page.table(&columns, &rows);
    if compared.is_some() {
        page.definition(
            "All: every month. Months compared: only those that have revenue and cost; the ROI of the currency is \
             (revenue − cost) / cost of that row. A month with one side only is in all, and not in months compared.",
        );
    }
    Ok(())
}

/// Where costs come from.
pub(super) fn costs(page: &mut Page, report: &RoiReport) {
    page.heading("Costs by pool");
    if report.costs.is_empty() {
        page.element("p", "", "Not instrumented: no cost.recorded event is known.");
        return;
    }
    let rows: Vec<Vec<String>> = report
        .costs
        .iter()
        .map(|line| {
            let amount = in_currency(line.amount, line.currency);
            vec![line.month.to_string(), line.pool.clone(), line.event_count.to_string(), amount]
        })
        .collect();
    let columns = [Column::Words("month"), Column::Words("pool"), Column::Figure("events"), Column::Figure("amount")];
    page.table(&columns, &rows);
    page.definition(
        "An event counts once, however often it was delivered. An event without a pool counts under its partner.",
    );
}

/// Usage over time.
pub(super) fn usage(page: &mut Page, report: &RoiReport) -> Result<(), ReportError> {
    page.heading("Production usage per day");
    if report.usage.is_empty() {
        page.element("p", "", "No meter of the catalog counts requests, or none has counted any in production.");
        return Ok(());
    }
    let shown = &report.usage[..report.usage.len().min(SERIES_SHOWN)];
    let highest = shown.iter().flat_map(|series| series.days.iter().map(|day| day.quantity)).max();
    let highest = highest.unwrap_or(Decimal::ZERO);
    let lines: Vec<Line> = shown
        .iter()
        .map(|series| Line {
            name: series.name.clone(),
            points: series.days.iter().map(|day| (day.day, coordinate(day.quantity))).collect(),
        })
        .collect();
    let svg = chart::lines("usage", &lines, coordinate(highest), &highest.to_string())?;
    page.figure(&svg, &format!("Usage per UTC day; the upper line is {highest}, the busiest day of any meter shown"));
    let rows = report.usage.iter().map(usage_row).collect::<Result<Vec<_>, _>>()?;
    let columns = [
        Column::Words("meter"),
        Column::Figure("total"),
        Column::Words("unit"),
        Column::Words("first day"),
        Column::Words("last day"),
        Column::Figure("busiest day"),
    ];
    page.table(&columns, &rows);
    let mut text = String::from(
        "Meters that count requests, production only, duplicates dropped, traffic of partners only (unattributed \
         traffic is below). Meters may count the same request, so lines do not add up. The last day reaches no further \
         than the instant above.",
    );
    if report.usage.len() > shown.len() {
        text.push_str(&format!(" The {SERIES_SHOWN} largest meters are drawn."));
    }
    page.definition(&text);
    Ok(())
}

fn usage_row(series: &UsageSeries) -> Result<Vec<String>, ReportError> {
    let mut total = Decimal::ZERO;
    for day in &series.days {
        let sum = total.checked_add(day.quantity);
        total = sum.map_err(|source| ReportError::Decimal { what: "quantities of usage", source })?;
    }
    let day = |day: Option<&super::UsageDay>| day.map_or("–".to_owned(), |day| day.day.to_string());
    let busiest = series.days.iter().max_by_key(|day| day.quantity);
    Ok(vec![
        series.name.clone(),
        total.to_string(),
        series.unit.clone(),
        day(series.days.first()),
        day(series.days.last()),
        busiest.map_or("–".to_owned(), |busiest| format!("{} on {}", busiest.quantity, busiest.day)),
    ])
}

/// Who is large.
pub(super) fn top(page: &mut Page, report: &RoiReport) -> Result<(), ReportError> {
    page.heading("Top partners by revenue");
    let currencies: BTreeSet<Currency> = report.top_revenue.iter().map(|top| top.currency).collect();
    for currency in &currencies {
        let bars: Vec<Bar> = report
            .top_revenue
            .iter()
            .filter(|top| top.currency == *currency)
            .map(|top| Bar {
                label: named(&top.partner_id, top.display_name.as_ref()),
                length: coordinate(top.revenue),
                printed: in_currency(top.revenue, *currency),
                colour: 0,
            })
            .collect();
        page.figure(&chart::bars("top partners", &bars)?, &format!("Issued invoices in {currency}, largest first"));
    }
    if currencies.is_empty() {
        page.element("p", "", "No invoice above zero was issued.");
    }
    page.definition("Totals of issued invoices over all months shown above, each currency apart.");
    page.heading("Top partners by production calls");
    let Some(calls_as_of) = report.calls_as_of.filter(|_| !report.top_calls.is_empty()) else {
        page.element(
            "p",
            "",
            "No partner has a successful production call in the last 30 days; or run tollbook aggregate.",
        );
        return Ok(());
    };
    let bars: Vec<Bar> = report
        .top_calls
        .iter()
        .map(|top| Bar {
            label: named(&top.partner_id, top.display_name.as_ref()),
            length: chart::count_coordinate(top.successful_calls_30d_total),
            printed: format!("{}  {}", top.successful_calls_30d_total, top.trend),
            colour: 0,
        })
        .collect();
    page.figure(&chart::bars("top partners by calls", &bars)?, "Production 2xx of the last 30 days, and the trend");
    page.definition(&format!(
        "From partner_360 as of {}. Duplicates are dropped; internal and test partners are left out. Trend: the last 14 \
         days against the 14 before, in requests of any status.",
        print_instant(calls_as_of)
    ));
    Ok(())
}
