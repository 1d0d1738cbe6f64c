//! The views that analysts ask first, declared once: what one row is, each column with its meaning, the SQL.
//!
//! Only text: whoever opens a lake for SQL registers them after the tables, in this order, since one may read another.
//! Amounts are whole minor units (`_minor`) beside their currency; no sum of them can wrap.

/// One column of a view. Its type follows from the SQL.
#[derive(Debug, Clone, Copy)]
pub struct ViewColumn {
    /// Name; units come last.
    pub name: &'static str,
    /// What it means, with its unit.
    pub doc: &'static str,
}

/// One view.
#[derive(Debug)]
pub struct View {
    /// Name.
    pub name: &'static str,
    /// What one row is, and what is not in it.
    pub doc: &'static str,
    /// The query, over tables and the views before it.
    pub sql: &'static str,
    /// The columns, in order.
    pub columns: &'static [ViewColumn],
}

const fn column(name: &'static str, doc: &'static str) -> ViewColumn {
    ViewColumn { name, doc }
}

/// All views, each after those that it reads.
pub const VIEWS: &[View] = &[
    View {
        name: "invoice_status",
        doc: "One issued invoice and where it stands; drafts are not in it",
        sql: include_str!("views/invoice_status.sql"),
        columns: &[
            column("invoice_id", "Document"),
            column("number", "Invoice number"),
            column("kind", "invoice, or credit_note, which gives back a part of one and is not sent to Stripe"),
            column("issuer_id", "Issuer of the catalog"),
            column("partner_id", "Partner that is billed"),
            column("period", "Month of the billing period, such as 2026-06"),
            column("period_start", "First instant of the billing period"),
            column("period_end", "First instant after it"),
            column("issued_at", "When it got its number"),
            column("currency", "Currency of all amounts"),
            column("total_minor", "Total, in minor units"),
            column(
                "status",
                "The furthest step of its life, as in bill register: issued, sent, finalised, payment_failed, paid, \
                 nothing_due, uncollectible or voided",
            ),
            column("last_event_at", "When the last event of its life was recorded"),
            column("stripe_id", "Invoice at Stripe; null before Stripe has it, and where nothing is due"),
            column(
                "paid_minor",
                "What Stripe collected, in minor units, as far as bill sync has seen; 0 until it is paid",
            ),
        ],
    },
    View {
        name: "issued_line",
        doc: "One printed line of an issued invoice or credit note, with the document's number: what ledgers take in",
        sql: include_str!("views/issued_line.sql"),
        columns: &[
            column("number", "Number of the document"),
            column("document_kind", "invoice or credit_note"),
            column("issuer_id", "Issuer of the catalog"),
            column("partner_id", "Partner that is billed"),
            column("issued_at", "When the document got its number"),
            column("status", "Where the document stands, as in invoice_status: lines of voided ones are here too"),
            column("period", "Month of the document; what a line adjusts may be earlier, see period_start"),
            column("line_number", "Place on the document, from 1"),
            column("description", "What the customer reads"),
            column("subscription_id", "Subscription that it bills"),
            column("plan_id", "Plan of the catalog"),
            column("plan_version", "Version of the plan whose prices applied"),
            column("price_id", "Price of the plan"),
            column("price_model", "Model of the price, such as graduated"),
            column("meter_id", "Meter; null for a flat price"),
            column("period_start", "First instant that the line bills"),
            column("period_end", "First instant after it"),
            column("quantity", "Quantity that was priced; of an adjustment, the difference"),
            column("amount_minor", "Amount, rounded once, in minor units of the currency"),
            column("currency", "Currency of the amount"),
            column("working", "How the amount came about, JSON"),
            column("line_id", "The line, for bill explain"),
            column("invoice_id", "The document"),
        ],
    },
    View {
        name: "revenue_monthly",
        doc: "Issued invoices of one billing month in one currency: what was invoiced, and what of it was collected",
        sql: include_str!("views/revenue_monthly.sql"),
        columns: &[
            column("period", "Month of the billing period, such as 2026-06"),
            column("currency", "Currency of both amounts; currencies are never added"),
            column("invoice_count", "Issued invoices, those of 0 included and those voided at Stripe not"),
            column("issued_minor", "Sum of their totals less what credit notes of the month give back, in minor units"),
            column("paid_invoice_count", "Of these, paid as far as bill sync has seen"),
            column("paid_minor", "What Stripe collected, in minor units"),
            column(
                "uncollectible_minor",
                "Of issued_minor, what was marked uncollectible at Stripe and not paid since",
            ),
            column("voided_invoice_count", "Issued invoices that were voided at Stripe, as far as bill sync has seen"),
            column("voided_minor", "Sum of their totals, in minor units; no part of issued_minor"),
        ],
    },
    View {
        name: "usage_daily",
        doc: "Usage of one meter, partner, environment and UTC day, over products, dimensions and slices. Only meters whose \
              quantities add up are in it: count, sum, sum_by_event. Of the others (unique, avg, min, max, latest, time_weighted, \
              percentile) merge usage.state over the period instead",
        sql: include_str!("views/usage_daily.sql"),
        columns: &[
            column("meter_id", "Meter of the catalog: a count or a sum"),
            column("partner_id", "Partner; usage of nobody is in unattributed_daily"),
            column("environment", "production or sandbox; only production is billed"),
            column("day", "UTC day; a billing month is that of its own time zone, so its edges cut days"),
            column("quantity", "Exact quantity in the meter's unit"),
            column("event_count", "Requests that counted"),
        ],
    },
    View {
        name: "active_partner",
        doc: "One partner that is active at the newest instant that was aggregated: at least one production 2xx in the \
              30 days before; never an internal or test partner",
        sql: include_str!("views/active_partner.sql"),
        columns: &[
            column("as_of", "Instant up to which events and traffic count: the newest in partner_360"),
            column("partner_id", "Id of the partner"),
            column("display_name", "Name, as it is registered now"),
            column("segment", "Segment, as it is registered now"),
            column("stage", "registered, sandbox, production, revenue or offboarded"),
            column("last_activity_at", "Last request of any status and environment"),
            column("calls_30d_total", "Production requests of the last 30 days, duplicates dropped"),
            column("successful_calls_30d_total", "Production 2xx of the last 30 days"),
            column("trend", "growing, steady, declining, dormant or new: last 14 days against the 14 before"),
        ],
    },
    View {
        name: "run_history",
        doc: "One run of one job, with its place in the order in which runs ended, by no clock",
        sql: include_str!("views/run_history.sql"),
        columns: &[
            column(
                "sequence",
                "Place in that order: a later run has more, with gaps; runs that ended at once may share it",
            ),
            column("run_id", "Run, as --as-of-run takes it"),
            column("job", "Command, such as aggregate or bill issue"),
            column("started_at", "Start by the wall clock; in a demo by its clock, which stands still"),
            column("duration_ms", "Duration in milliseconds"),
            column("result", "ok, or the kind of the error"),
            column("counts", "What it made, JSON"),
        ],
    },
    View {
        name: "alert",
        doc: "One configured level of usage or spend that one partner has come to in one month",
        sql: include_str!("views/alert.sql"),
        columns: &[
            column("partner_id", "Partner that has come to it"),
            column("alert", "Name of the alert in tollbook.toml"),
            column("period", "Month of the billing period, such as 2026-06"),
            column("measured_of", "Meter, or the currency of a spend"),
            column("level", "The level, in the meter's unit or in major units"),
            column("measured", "What the month had come to when it was found, likewise"),
            column("found_at", "When it was found"),
        ],
    },
    View {
        name: "unattributed_daily",
        doc: "Requests of one UTC day that one meter counts and nobody is charged for, by reason. A request that two \
              meters count is in the rows of both: do not add over meters",
        sql: include_str!("views/unattributed_daily.sql"),
        columns: &[
            column("day", "UTC day of the requests"),
            column("meter_id", "Meter that counts them"),
            column("reason", "unknown_consumer, link_conflict, environment_unknown or environment_conflict"),
            column("event_count", "Requests"),
            column("duplicate_count", "Further deliveries of them that were dropped"),
        ],
    },
    View {
        name: "reject_daily",
        doc: "Records that could not be read, by UTC day of their arrival, table and reason",
        sql: include_str!("views/reject_daily.sql"),
        columns: &[
            column("day", "UTC day on which the records were received"),
            column("target", "Table that they were meant for: access_log or partner_event"),
            column("reason", "Short name of what is wrong"),
            column("record_count", "Records"),
            column("example", "What is wrong with one of them, in words"),
        ],
    },
];

/// A view by name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static View> {
    VIEWS.iter().find(|view| view.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    #[test]
    fn no_view_hides_a_table_and_amounts_have_a_currency() {
        for view in VIEWS {
            assert!(tables::by_name(view.name).is_none(), "{}", view.name);
            assert_eq!(by_name(view.name).unwrap().sql, view.sql, "{} twice", view.name);
            let mut names: Vec<_> = view.columns.iter().map(|column| column.name).collect();
            let has_money = names.iter().any(|name| name.ends_with("_minor"));
            assert!(!has_money || names.contains(&"currency"), "{}", view.name);
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), view.columns.len(), "{}: a column twice", view.name);
            let docs = view.columns.iter().map(|column| column.doc).chain([view.doc]);
            assert!(docs.into_iter().all(|doc| doc.len() > 6 && !doc.ends_with('.')), "{}: docs", view.name);
        }
    }
}
