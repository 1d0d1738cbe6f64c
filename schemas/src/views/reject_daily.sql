select
    ingest_date as day,
    target,
    reason,
    count(*) as record_count,
    max(detail) as example
from rejected
group by ingest_date, target, reason
