//! Tables that `aggregate` derives: the registry, usage, the funnel, the partner view. They can be dropped and made
//! again from `access_log` and `partner_event`; their frontier is a set of txns in their own commit.

use super::{Kind, Table, may, must};

/// The registry's partners.
pub const PARTNER: Table = Table {
    name: "partner",
    doc: "One partner of the program, as folded from partner_event",
    written_by: "tollbook aggregate",
    key: &["partner_id"],
    partition_by: None,
    append_only: false,
    columns: &[
        must("partner_id", Kind::Text, "Id of the partner"),
        may("display_name", Kind::Text, "Name for reports"),
        may("segment", Kind::Text, "Segment, as registered"),
        may("owner", Kind::Text, "Who looks after the partner, as a staff reference"),
        may("registered_at", Kind::Instant, "Registration; null where other events came but no registration"),
        may("offboarded_at", Kind::Instant, "Offboarding, if any"),
        must("is_internal", Kind::Flag, "Whether it is one of our own"),
        must("is_test", Kind::Flag, "Whether it exists for tests only"),
        must("event_count", Kind::Int, "Lifecycle events seen"),
    ],
};

/// Which consumer or credential belongs to whom, and when.
pub const IDENTITY_LINK: Table = Table {
    name: "identity_link",
    doc: "One span of time in which a consumer or credential belongs to one partner, or to nobody for a reason",
    written_by: "tollbook aggregate",
    key: &["system", "external_id", "valid_from"],
    partition_by: None,
    append_only: false,
    columns: &[
        must("system", Kind::Text, "consumer or credential"),
        must("external_id", Kind::Text, "Consumer name, or key id and keyed hash of the credential"),
        may("partner_id", Kind::Text, "Partner; null where links contradict each other"),
        may("environment", Kind::Text, "production or sandbox, where the link says so"),
        must("valid_from", Kind::Instant, "First instant"),
        may("valid_to", Kind::Instant, "First instant after it; null while it holds"),
    ],
};

/// Subscriptions.
pub const SUBSCRIPTION: Table = Table {
    name: "subscription",
    doc: "One subscription of a partner on one plan, as folded from partner_event; a change of plan begins another row",
    written_by: "tollbook aggregate",
    key: &["subscription_id", "started_at"],
    partition_by: None,
    append_only: false,
    columns: &[
        must("subscription_id", Kind::Text, "Id of the subscription"),
        must("partner_id", Kind::Text, "Subscriber"),
        must("plan_id", Kind::Text, "Plan of the catalog"),
        must("time_zone", Kind::Text, "IANA zone whose months are the billing periods"),
        must("started_at", Kind::Instant, "First instant on the plan"),
        may(
            "ended_at",
            Kind::Instant,
            "First instant after it, of the subscription or of its next plan; null while it runs",
        ),
    ],
};

/// Every delivery's id, small: where an id was seen before.
pub const ID_INDEX: Table = Table {
    name: "id_index",
    doc: "The id of one delivery of a request or correction as a hash, by day: where the same id was seen before",
    written_by: "tollbook aggregate",
    key: &["request_hash", "hour", "content_hash", "is_correction"],
    partition_by: Some("event_date"),
    append_only: false,
    columns: &[
        must("request_hash", Kind::Int, "64-bit hash of gateway and id; two ids can share one, so rows confirm it"),
        must("hour", Kind::Instant, "UTC hour of occurred_at"),
        must("content_hash", Kind::Int, "64-bit hash of what decides price, owner and time of the request"),
        must("is_correction", Kind::Flag, "Whether it is a retraction or amendment of that id, not the request"),
        must("event_date", Kind::Date, "UTC date of hour"),
    ],
};

/// Requests whose deliveries do not agree.
pub const CONTESTED_REQUEST: Table = Table {
    name: "contested_request",
    doc: "One UTC hour of a request id whose deliveries contradict each other or were corrected, and which one counts",
    written_by: "tollbook aggregate",
    key: &["gateway", "event_id", "hour"],
    partition_by: Some("event_date"),
    append_only: false,
    columns: &[
        must("gateway", Kind::Text, "Configured id of the gateway"),
        must("event_id", Kind::Text, "Id of the request"),
        must("hour", Kind::Instant, "UTC hour of some of its deliveries"),
        must(
            "reasons",
            Kind::Text,
            "Sorted: amended, content (deliveries differ), hour (in several hours), orphan (a correction of nothing), retracted",
        ),
        must("delivery_count", Kind::Int, "Deliveries of the id in all hours, corrections among them"),
        must("superseded", Kind::Flag, "Whether a correction took the place of the request"),
        may("counted_source", Kind::Text, "Source of the one delivery that counts; null where none does"),
        may("counted_partition", Kind::Int32, "Its partition"),
        may("counted_offset", Kind::Int, "Its offset"),
        may("counted_index", Kind::Int32, "Its place inside the message"),
        must("event_date", Kind::Date, "UTC date of hour"),
    ],
};

/// Usage by slice.
pub const USAGE: Table = Table {
    name: "usage",
    doc: "Usage of one meter, partner, environment, product, dimensions and slice of time",
    written_by: "tollbook aggregate",
    key: &["meter_id", "partner_id", "environment", "product_id", "dimensions", "slice_start"],
    partition_by: Some("event_date"),
    append_only: false,
    columns: &[
        must("meter_id", Kind::Text, "Meter of the catalog"),
        may("partner_id", Kind::Text, "Partner; null where the traffic is unattributed"),
        may("environment", Kind::Text, "production or sandbox; null where it is unattributed"),
        may(
            "unattributed_reason",
            Kind::Text,
            "Why nobody is charged: unknown_consumer, link_conflict, environment_unknown, environment_conflict",
        ),
        must("product_id", Kind::Text, "Product of the catalog; unmapped where no rule matched"),
        must("dimensions", Kind::TextMap, "Values of the meter's group_by expressions"),
        must(
            "slice_start",
            Kind::Instant,
            "First instant; a UTC hour, cut where a billing period or subscription changes",
        ),
        must("slice_end", Kind::Instant, "First instant after it"),
        must("quantity", Kind::Decimal, "Exact quantity in the meter's unit"),
        must("state", Kind::Text, "Mergeable form, JSON: {\"sum\"}, {\"values\"}… as schemas/src/meter/state.rs tells"),
        must("event_count", Kind::Int, "Requests that counted"),
        must("duplicate_count", Kind::Int, "Deliveries of the same (gateway, event_id) that were dropped"),
        must(
            "invalid_count",
            Kind::Int,
            "Requests that counted, but whose value is no exact decimal, or is negative where that is not allowed: it \
             is in no sum",
        ),
        must("excluded", Kind::TextMap, "Requests left out by each of the meter's rules, by the rule and its version"),
        must("event_date", Kind::Date, "UTC date of slice_start"),
    ],
};

/// The funnel.
pub const FUNNEL: Table = Table {
    name: "funnel",
    doc: "One step of the funnel registration, sandbox, production, revenue at one instant",
    written_by: "tollbook aggregate",
    key: &["as_of", "step_number"],
    partition_by: Some("as_of_date"),
    append_only: false,
    columns: &[
        must("as_of", Kind::Instant, "Instant up to which events and traffic count"),
        must("step_number", Kind::Int32, "Step, from 1"),
        must("step", Kind::Text, "registered, sandbox, production or revenue"),
        must("reached_count", Kind::Int, "Partners that reached this step, in order"),
        must("dropped_count", Kind::Int, "Partners that reached the step before and not this one"),
        may("conversion_from_start_percent", Kind::Decimal, "Reached of all registered, in percent; null for no one"),
        may(
            "conversion_from_previous_percent",
            Kind::Decimal,
            "Reached of the step before, in percent; null for no one",
        ),
        may(
            "median_seconds_from_previous",
            Kind::Int,
            "Median time from the step before, of those who reached it, in seconds",
        ),
        must("skipped_count", Kind::Int, "Partners that reached this step without one before it: not in reached_count"),
        must("as_of_date", Kind::Date, "UTC date of as_of"),
    ],
};

/// One view of a partner.
pub const PARTNER_360: Table = Table {
    name: "partner_360",
    doc: "One partner at one instant: stage, activity, trend",
    written_by: "tollbook aggregate",
    key: &["as_of", "partner_id"],
    partition_by: Some("as_of_date"),
    append_only: false,
    columns: &[
        must("as_of", Kind::Instant, "Instant up to which events and traffic count"),
        must("partner_id", Kind::Text, "Id of the partner"),
        must("stage", Kind::Text, "registered, sandbox, production, revenue or offboarded"),
        may("registered_at", Kind::Instant, "Registration"),
        may("first_sandbox_success_at", Kind::Instant, "First 2xx in the sandbox"),
        may("first_production_success_at", Kind::Instant, "First 2xx in production"),
        may("first_revenue_at", Kind::Instant, "Issue of the first invoice above zero"),
        may("last_activity_at", Kind::Instant, "Last request of any status and environment"),
        must("calls_30d_total", Kind::Int, "Production requests of the last 30 days, duplicates dropped"),
        must("successful_calls_30d_total", Kind::Int, "Production 2xx of the last 30 days"),
        must(
            "active",
            Kind::Flag,
            "At least one production 2xx in the last 30 days; never for internal and test partners",
        ),
        must("trend", Kind::Text, "growing, steady, declining, dormant or new: last 14 days against the 14 before"),
        must("as_of_date", Kind::Date, "UTC date of as_of"),
    ],
};
