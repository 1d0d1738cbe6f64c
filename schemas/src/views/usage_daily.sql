-- Summed in 76 digits, so that nothing wraps; a sum of more than 38 digits is an error.
-- Only quantities that add up: counts and sums, by their states (schemas/src/meter/state.rs). An average, a level or a distinct value
-- of two slices is no sum of theirs.
select
    meter_id,
    partner_id,
    environment,
    event_date as day,
    cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as quantity,
    sum(event_count) as event_count
from usage
where partner_id is not null and (state = '{}' or state like '{"sum"%' or state like '{"events"%')
group by meter_id, partner_id, environment, event_date
