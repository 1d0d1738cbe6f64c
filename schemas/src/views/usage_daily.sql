-- Summed in 76 digits, so that nothing wraps; a sum of more than 38 digits is an error.
-- Distinct values of two slices may be the same ones, so `unique` has no quantity that may be summed.
select
    meter_id,
    partner_id,
    environment,
    event_date as day,
    cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as quantity,
    sum(event_count) as event_count
from usage
where partner_id is not null and state not like '{"values"%'
group by meter_id, partner_id, environment, event_date
