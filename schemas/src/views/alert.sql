-- Written by tollbook alone, as canonical JSON with these fields as text.
select
    partner_id,
    regexp_match(data, '"alert":"([^"]*)"')[1] as alert,
    regexp_match(data, '"month":"([^"]*)"')[1] as period,
    regexp_match(data, '"of":"([^"]*)"')[1] as measured_of,
    cast(regexp_match(data, '"level":"([^"]*)"')[1] as decimal(38, 12)) as level,
    cast(regexp_match(data, '"measured":"([^"]*)"')[1] as decimal(38, 12)) as measured,
    received_at as found_at
from partner_event
where event_type = 'alert.reached' and source = '/tollbook/alert'
