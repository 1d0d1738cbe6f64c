//! `job_run`: what every job did. It only reports: a derived table's truth is the txns of its own commit.

use super::{Kind, Table, may, must};

/// The table.
pub const JOB_RUN: Table = Table {
    name: "job_run",
    doc: "One run of one job: what it knew, what it made, how long it took",
    written_by: "every job",
    key: &["run_id"],
    partition_by: Some("run_month"),
    append_only: true,
    columns: &[
        must("run_id", Kind::Text, "Derived from job, start and pin"),
        must("job", Kind::Text, "Command, such as aggregate or bill issue"),
        must("started_at", Kind::Instant, "Start by the wall clock, or the demo's clock"),
        must("duration_ms", Kind::Int, "Duration in milliseconds"),
        must("result", Kind::Text, "ok, or the kind of the error"),
        must("pin", Kind::Text, "Offsets of every source that was read, JSON"),
        may("catalog_sha256", Kind::Text, "Hash of the catalog"),
        must("table_versions", Kind::Text, "Version of each table when the run ended, JSON"),
        must("counts", Kind::Text, "What it made, JSON"),
        must("run_month", Kind::Text, "UTC month of started_at"),
    ],
};
