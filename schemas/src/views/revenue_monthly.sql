-- Summed as decimals: sum(bigint) wraps without a word. What was voided is owed by nobody, and is no revenue.
select
    period,
    currency,
    count(*) filter (where status <> 'voided' and kind = 'invoice') as invoice_count,
    coalesce(sum(cast(total_minor as decimal(38, 0))) filter (where status <> 'voided'), 0) as issued_minor,
    count(*) filter (where status = 'paid') as paid_invoice_count,
    sum(cast(paid_minor as decimal(38, 0))) as paid_minor,
    coalesce(sum(cast(total_minor as decimal(38, 0))) filter (where status = 'uncollectible'), 0) as uncollectible_minor,
    count(*) filter (where status = 'voided') as voided_invoice_count,
    coalesce(sum(cast(total_minor as decimal(38, 0))) filter (where status = 'voided'), 0) as voided_minor
from invoice_status
group by period, currency
