//! The page on return: revenue and cost by currency and month, what the ratio is, usage over time, top partners.
//!
//! Currencies are never converted or added. Revenue is what was invoiced, cost is what `cost.recorded` events say; a
//! side that nobody measured is "not instrumented", never zero.

mod fold;
mod sections;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::Month;

use crate::completeness::Completeness;
use crate::error::ReportError;
use crate::page::Page;
use crate::ratio::Roi;

pub use fold::{cost_lines, currency_sides, top_revenue};

/// One issued invoice, as far as this page needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedAmount {
    /// Partner.
    pub partner_id: String,
    /// Name, where the registry has one.
    pub display_name: Option<String>,
    /// Month that is billed.
    pub month: Month,
    /// Total.
    pub total: Money,
    /// Whether it was paid.
    pub is_paid: bool,
}

/// One recorded cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCost {
    /// Month that it belongs to.
    pub month: Month,
    /// Currency.
    pub currency: Currency,
    /// Amount in major units.
    pub amount: Decimal,
    /// Pool, or the partner that it was spent on.
    pub pool: String,
}

/// Revenue and cost of one month in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonthSide {
    /// Month.
    pub month: Month,
    /// Issued invoices.
    pub invoice_count: i64,
    /// Their totals, in major units; none where none was issued.
    pub revenue: Option<Decimal>,
    /// Of that, paid.
    pub paid: Option<Decimal>,
    /// Recorded costs; none where none was recorded.
    pub cost: Option<Decimal>,
    /// Of this month.
    pub roi: Roi,
}

/// What the ratio of a currency is made from: the months that have both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Issued invoices.
    pub invoice_count: i64,
    /// Their totals, in major units.
    pub revenue: Decimal,
    /// Of that, paid.
    pub paid: Decimal,
    /// Recorded costs.
    pub cost: Decimal,
}

/// One currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CurrencySide {
    /// Currency.
    pub currency: Currency,
    /// Months, in order.
    pub months: Vec<MonthSide>,
    /// Revenue of all months.
    pub revenue: Option<Decimal>,
    /// Of that, paid.
    pub paid: Option<Decimal>,
    /// Costs of all months.
    pub cost: Option<Decimal>,
    /// Months that have both sides: only these are in `compared` and `roi`.
    pub months_compared: i64,
    /// Sums over the months that have both sides; none where no month has.
    pub compared: Option<Compared>,
    /// Over the months that have both sides.
    pub roi: Roi,
}

/// Costs of one pool in one month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CostLine {
    /// Month.
    pub month: Month,
    /// Currency.
    pub currency: Currency,
    /// Pool, or partner.
    pub pool: String,
    /// Sum, in major units.
    pub amount: Decimal,
    /// Events.
    pub event_count: i64,
}

/// One day of a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UsageDay {
    /// UTC day.
    pub day: NaiveDate,
    /// Quantity.
    pub quantity: Decimal,
}

/// Usage of one counting meter in production.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageSeries {
    /// Meter.
    pub meter_id: String,
    /// Name.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// Days that have usage, in order.
    pub days: Vec<UsageDay>,
}

/// A partner by revenue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopRevenue {
    /// Partner.
    pub partner_id: String,
    /// Name.
    pub display_name: Option<String>,
    /// Currency.
    pub currency: Currency,
    /// Sum of the totals of its invoices, in major units.
    pub revenue: Decimal,
}

/// A partner by calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopCalls {
    /// Partner.
    pub partner_id: String,
    /// Name.
    pub display_name: Option<String>,
    /// Production 2xx of the last 30 days.
    pub successful_calls_30d_total: i64,
    /// growing, steady, declining, dormant or new.
    pub trend: String,
}

/// Everything on the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoiReport {
    /// Instant up to which it looks.
    pub as_of: DateTime<Utc>,
    /// By currency.
    pub currencies: Vec<CurrencySide>,
    /// Costs by month and pool.
    pub costs: Vec<CostLine>,
    /// Cost events whose amount, currency or period cannot be used; they are in no figure.
    pub unusable_cost_count: i64,
    /// Issued invoices whose billing period ends after `as_of`; they are in no figure.
    pub later_invoice_count: i64,
    /// Usage of counting meters by day.
    pub usage: Vec<UsageSeries>,
    /// Partners by revenue, each currency apart, largest first.
    pub top_revenue: Vec<TopRevenue>,
    /// Partners by calls, largest first.
    pub top_calls: Vec<TopCalls>,
    /// Instant of the view that `top_calls` comes from.
    pub calls_as_of: Option<DateTime<Utc>>,
    /// How complete the data are.
    pub completeness: Completeness,
}

/// The page.
///
/// # Errors
/// [`ReportError::Chart`].
pub fn roi_html(report: &RoiReport) -> Result<String, ReportError> {
    let mut page = Page::new("Return on the partner program");
    page.element("h1", "", "Return on the partner program");
    report.completeness.headline(&mut page, report.as_of);
    sections::headline(&mut page, report);
    sections::currencies(&mut page, report)?;
    sections::costs(&mut page, report);
    sections::usage(&mut page, report)?;
    sections::top(&mut page, report)?;
    report.completeness.section(&mut page);
    Ok(page.end())
}

#[cfg(test)]
mod tests;
