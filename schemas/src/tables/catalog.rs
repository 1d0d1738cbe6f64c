//! `catalog_file`: every catalog that something was computed with, text by text, so that the prices and meters of any
//! issued invoice can be read again. Its hash is the key and is computed anew by whoever reads it, never trusted.

use super::{Kind, Table, must};

/// The table.
pub const CATALOG_FILE: Table = Table {
    name: "catalog_file",
    doc: "One file of a catalog that usage or drafts were computed with, as it was then",
    written_by: "tollbook aggregate, tollbook bill draft",
    key: &["catalog_sha256", "path"],
    partition_by: None,
    append_only: true,
    columns: &[
        must("catalog_sha256", Kind::Text, "Hash over all files of the catalog, as invoices and job_run name it"),
        must("path", Kind::Text, "Path of the file within the catalog's folder"),
        must("text", Kind::Text, "The whole file, TOML"),
        must("kept_at", Kind::Instant, "When the first job that used this catalog kept it"),
    ],
};
