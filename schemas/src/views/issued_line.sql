-- Drafts print lines too: only those of issued documents are here.
select
    document.number,
    document.kind as document_kind,
    document.issuer_id,
    line.partner_id,
    document.issued_at,
    document.status,
    line.period,
    line.line_number,
    line.description,
    line.subscription_id,
    line.plan_id,
    line.plan_version,
    line.price_id,
    line.price_model,
    line.meter_id,
    line.period_start,
    line.period_end,
    line.quantity,
    line.amount_minor,
    line.currency,
    line.working,
    line.line_id,
    line.invoice_id
from invoice_line as line
join invoice_status as document on document.invoice_id = line.invoice_id
