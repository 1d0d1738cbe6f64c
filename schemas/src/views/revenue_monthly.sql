-- Summed as decimals: sum(bigint) wraps without a word.
select
    period,
    currency,
    count(*) as invoice_count,
    sum(cast(total_minor as decimal(38, 0))) as issued_minor,
    count(*) filter (where status = 'paid') as paid_invoice_count,
    sum(cast(paid_minor as decimal(38, 0))) as paid_minor
from invoice_status
group by period, currency
