-- An invoice exists if and only if its `issued` event does. Events of one run may share an instant, so what decides is how
-- far its life got, and not their time: as `tollbook bill register` tells it.
with life as (
    select
        invoice_id,
        max(number) filter (where kind = 'issued') as number,
        max(issuer_id) filter (where kind = 'issued') as issuer_id,
        max(at) filter (where kind = 'issued') as issued_at,
        max(at) as last_event_at,
        bool_or(kind = 'issued') as is_issued,
        bool_or(kind = 'paid') as is_paid,
        bool_or(kind = 'voided') as is_voided,
        bool_or(kind = 'uncollectible') as is_uncollectible,
        bool_or(kind = 'payment_failed') as is_payment_failed,
        bool_or(kind = 'finalised') as is_finalised,
        bool_or(kind = 'nothing_due') as is_nothing_due,
        bool_or(kind in ('frozen', 'answered')) as is_sent,
        max(amount_minor) filter (where kind = 'paid') as stripe_paid_minor,
        max(stripe_id) filter (where kind = 'finalised') as finalised_stripe_id,
        -- An answer without a status is an observation: Stripe was seen to hold the invoice.
        max(stripe_id) filter (
            where kind = 'answered' and step = 'create' and coalesce(http_status between 200 and 299, true)
        ) as created_stripe_id
    from invoice_event
    group by invoice_id
)
select
    invoice.invoice_id,
    life.number,
    -- Canonical JSON: quotes inside of texts are escaped, so nothing else can look like this.
    case when strpos(invoice.document, '"kind":"credit_note"') > 0 then 'credit_note' else 'invoice' end as kind,
    life.issuer_id,
    invoice.partner_id,
    invoice.period,
    invoice.period_start,
    invoice.period_end,
    life.issued_at,
    invoice.currency,
    invoice.total_minor,
    case
        when life.is_paid then 'paid'
        when life.is_voided then 'voided'
        when life.is_uncollectible then 'uncollectible'
        when life.is_payment_failed then 'payment_failed'
        when life.is_finalised then 'finalised'
        when life.is_nothing_due then 'nothing_due'
        when life.is_sent then 'sent'
        else 'issued'
    end as status,
    life.last_event_at,
    coalesce(life.finalised_stripe_id, life.created_stripe_id) as stripe_id,
    case when life.is_paid then coalesce(life.stripe_paid_minor, invoice.total_minor) else 0 end as paid_minor
from life
join invoice on invoice.invoice_id = life.invoice_id
where life.is_issued
