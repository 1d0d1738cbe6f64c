//! Tests against real parts: Apache Kafka, NGINX, stripe-mock, DuckDB and Polars. One file a part, one file a claim.
//!
//! Without `TOLLBOOK_REAL` they are left out and say so. With it each part is installed by package name into
//! `${TOLLBOOK_PARTS:-~/.cache/tollbook}` by its script in `scripts/parts/`, started on free ports of 127.0.0.1, and
//! ended by its process id. `TOLLBOOK_REAL=required` makes a missing part a failure; any other value leaves the test
//! out where the part cannot be had.

mod catch;
mod duckdb;
mod duckdb_meters;
mod folder;
mod kafka;
mod kill;
mod ledger;
mod log;
mod month;
mod nginx;
mod parts;
mod service;
mod stripe_mock;
mod transactions;
mod wire;
