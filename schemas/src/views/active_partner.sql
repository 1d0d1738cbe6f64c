select
    partner_360.as_of,
    partner_360.partner_id,
    partner.display_name,
    partner.segment,
    partner_360.stage,
    partner_360.last_activity_at,
    partner_360.calls_30d_total,
    partner_360.successful_calls_30d_total,
    partner_360.trend
from partner_360
left join partner on partner.partner_id = partner_360.partner_id
where partner_360.active and partner_360.as_of = (select max(as_of) from partner_360)
