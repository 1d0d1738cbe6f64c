//! report
//!
//! Takes figures as plain values, gives pages: one self-contained HTML text each. A page needs no network and no
//! script, prints well, and says of every figure what it means, up to when it looks and what could still change it.
//! Reading the lake and writing files is the caller's.
//!
//! Printed money and quantities are exact texts; floating point exists only as coordinates inside charts.

mod amount;
mod chart;
mod completeness;
mod error;
mod funnel;
mod invoice;
mod local;
mod page;
mod ratio;
mod roi;

pub use completeness::{Completeness, RejectedCount, UnattributedCount};
pub use error::ReportError;
pub use funnel::{FunnelReport, FunnelStep, WeekCount, funnel_html, weeks_of};
pub use invoice::{
    AdjustedPart, BilledDay, ComponentPart, InvoiceDocument, InvoiceLine, Party, ShadowBill, TierPart, invoice_html,
};
pub use ratio::{Roi, roi_of};
pub use roi::{
    Compared, CostLine, CurrencySide, IssuedAmount, MonthSide, RecordedCost, RoiReport, TopCalls, TopRevenue, UsageDay,
    UsageSeries, cost_lines, currency_sides, roi_html, top_revenue,
};
