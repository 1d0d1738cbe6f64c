-- Each run recorded the version that job_run had before its own row: an order that no clock makes.
select
    cast(regexp_match(table_versions, '"job_run":(-?[0-9]+)')[1] as bigint) as sequence,
    run_id,
    job,
    started_at,
    duration_ms,
    result,
    counts
from job_run
