select
    event_date as day,
    meter_id,
    unattributed_reason as reason,
    sum(event_count) as event_count,
    sum(duplicate_count) as duplicate_count
from usage
where unattributed_reason is not null
group by event_date, meter_id, unattributed_reason
