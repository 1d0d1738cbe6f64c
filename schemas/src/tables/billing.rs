//! Tables that `billing` writes: documents that never change, what they billed, and the events of their lives.
//! An invoice exists if and only if its `issued` event does; its status is a view over `invoice_event`.

use super::{Kind, Table, may, must};

/// Who is billed and where.
pub const BILLING_PROFILE: Table = Table {
    name: "billing_profile",
    doc: "One version of who is billed and where: the source of contact data; beside it, only frozen Stripe customer requests repeat it",
    written_by: "tollbook partner import",
    key: &["profile_version_id"],
    partition_by: None,
    append_only: true,
    columns: &[
        must("profile_version_id", Kind::Text, "Derived from the content"),
        must("partner_id", Kind::Text, "Partner that is billed"),
        must("effective_from", Kind::Instant, "First instant of this version"),
        must("legal_name", Kind::Text, "Legal name, as printed"),
        must("address", Kind::Text, "Address, lines separated by line feeds"),
        must("country", Kind::Text, "ISO 3166 code of two letters"),
        may("tax_id", Kind::Text, "Tax id, as printed"),
        must("billing_email", Kind::Text, "Where invoices go"),
        may("purchase_order", Kind::Text, "Purchase order to print"),
        must("payment_terms_days", Kind::Int32, "Days until an invoice is due"),
        must("recorded_at", Kind::Instant, "When it was imported"),
    ],
};

/// Invoice documents.
pub const INVOICE: Table = Table {
    name: "invoice",
    doc: "One invoice document; a draft until an issued event names it, and never changed",
    written_by: "tollbook bill draft",
    key: &["invoice_id"],
    partition_by: Some("period"),
    append_only: true,
    columns: &[
        must("invoice_id", Kind::Text, "Derived from the content"),
        must("slot_id", Kind::Text, "The place it fills: issuer, partner, currency, period; at most one is issued"),
        must("issuer_id", Kind::Text, "Issuer of the catalog"),
        must("partner_id", Kind::Text, "Partner that is billed"),
        must("profile_version_id", Kind::Text, "Version of the billing profile that is billed"),
        must("currency", Kind::Text, "Currency of all amounts"),
        must("period_start", Kind::Instant, "First instant of the billing period"),
        must("period_end", Kind::Instant, "First instant after it"),
        must("line_count", Kind::Int32, "Printed lines"),
        must("total_minor", Kind::Int, "Sum of the printed lines, in minor units"),
        must("pin", Kind::Text, "Offsets of access_log and partner_event, JSON: what was known"),
        must("catalog_sha256", Kind::Text, "Hash of the catalog that priced it"),
        must("document", Kind::Text, "The whole document as canonical JSON: what is re-derived byte for byte"),
        must("period", Kind::Text, "Month of the billing period, such as 2026-06"),
    ],
};

/// Printed lines.
pub const INVOICE_LINE: Table = Table {
    name: "invoice_line",
    doc: "One printed line of an invoice document",
    written_by: "tollbook bill draft",
    key: &["line_id"],
    partition_by: Some("period"),
    append_only: true,
    columns: &[
        must("line_id", Kind::Text, "Derived from the content"),
        must("invoice_id", Kind::Text, "Document that it is printed on"),
        must("line_number", Kind::Int32, "Place on the document, from 1"),
        must("partner_id", Kind::Text, "Partner that is billed"),
        must(
            "subscription_id",
            Kind::Text,
            "Subscription that it bills; of a tax line the slot of its month, or that of the line it taxes; of a coupon the slot, or the one it is for; of a credit its id",
        ),
        must(
            "plan_id",
            Kind::Text,
            "Plan of the catalog; tax for a tax line, coupon for a coupon, credit for a prepaid credit",
        ),
        must("plan_version", Kind::Int32, "Version of the plan whose prices applied"),
        must(
            "price_id",
            Kind::Text,
            "Price of the plan; of a tax line its tax rate, or the price that it taxes; of a coupon or prepaid credit its id",
        ),
        may("meter_id", Kind::Text, "Meter; null for a flat price"),
        must(
            "price_model",
            Kind::Text,
            "Model of the price, such as graduated; paused for what was used in a pause, tax for tax, coupon for a coupon, credit for a prepaid credit",
        ),
        must("description", Kind::Text, "What the customer reads"),
        must("quantity", Kind::Decimal, "Quantity that was priced"),
        must(
            "working",
            Kind::Text,
            "How the amount came about, JSON: unit price, tiers with their parts, or components",
        ),
        must("amount_minor", Kind::Int, "Amount, rounded once, in minor units"),
        must("currency", Kind::Text, "Currency of the amount"),
        must("period_start", Kind::Instant, "First instant that it bills"),
        must("period_end", Kind::Instant, "First instant after it"),
        must("period", Kind::Text, "Month of the billing period"),
    ],
};

/// Evidence.
pub const BILLED_USAGE: Table = Table {
    name: "billed_usage",
    doc: "What one line billed on one UTC day, with a hash of its usage rows; what adjusts an earlier month has no rows here",
    written_by: "tollbook bill draft",
    key: &["line_id", "event_date"],
    partition_by: Some("period"),
    append_only: true,
    columns: &[
        must("line_id", Kind::Text, "Line that billed it"),
        must("invoice_id", Kind::Text, "Document of the line"),
        must("event_date", Kind::Date, "UTC day of the slices"),
        must("quantity", Kind::Decimal, "Quantity of the day"),
        must("event_count", Kind::Int, "Requests of the day"),
        must("slice_count", Kind::Int, "Usage rows of the day"),
        must("usage_sha256", Kind::Text, "Hash of the usage rows, in key order"),
        must("period", Kind::Text, "Month of the billing period"),
    ],
};

/// Life of invoices.
pub const INVOICE_EVENT: Table = Table {
    name: "invoice_event",
    doc: "One step in an invoice's life; the issued event makes the invoice exist",
    written_by: "tollbook bill",
    key: &["invoice_id", "step", "generation", "kind"],
    partition_by: Some("event_month"),
    append_only: true,
    columns: &[
        must("invoice_id", Kind::Text, "Document whose life it is"),
        must("slot_id", Kind::Text, "Place that the document fills"),
        must("partner_id", Kind::Text, "Partner that is billed"),
        must(
            "kind",
            Kind::Text,
            "drafted, withdrawn, held, released, approved, issued, frozen, answered, finalised, paid, payment_failed, \
             nothing_due, uncollectible or voided",
        ),
        must(
            "step",
            Kind::Text,
            "customer, customer-VERSION, create, lines-N, finalise for a Stripe call; draft, hold (by hand), hold-RULE (by \
             policy), approve, issue or sync otherwise",
        ),
        must("generation", Kind::Int32, "How often the step was frozen anew; part of the idempotency key"),
        must("at", Kind::Instant, "When the step was taken"),
        may("issuer_id", Kind::Text, "Issuer, for issued"),
        may("number", Kind::Text, "Invoice number, for issued: gapless for each issuer"),
        may("number_sequence", Kind::Int, "The number's place in the issuer's sequence"),
        may("request_path", Kind::Text, "Path of the frozen Stripe request"),
        may("request_body", Kind::Bytes, "Bytes of the frozen Stripe request, as they are sent and sent again"),
        may("idempotency_key", Kind::Text, "Deterministic key of the request"),
        may("http_status", Kind::Int32, "Status that Stripe answered"),
        may("stripe_request_id", Kind::Text, "Request-Id that Stripe answered"),
        may("stripe_id", Kind::Text, "Customer or invoice at Stripe"),
        may("stripe_account_key", Kind::Text, "Short hash that tells which Stripe account was used"),
        may("amount_minor", Kind::Int, "Total at Stripe, in minor units"),
        may(
            "detail",
            Kind::Text,
            "What happened, in words; of drafted who drafted it; of held, released and approved who, a blank, and why",
        ),
        must("event_month", Kind::Text, "UTC month of at"),
    ],
};
