//! The jobs of the command line, one file each, and what their errors mean to an operator.

pub mod aggregate;
pub mod bill;
pub mod catalog;
pub mod check;
pub mod close;
pub mod explain;
pub mod ingest;
pub mod lake;
pub mod partner;
pub mod report;
pub mod sql;

use std::io::ErrorKind;

use tollbook_aggregate::AggregateError;
use tollbook_billing::error::BillingError;
use tollbook_ingest::IngestError;
use tollbook_lake::LakeError;
use tollbook_schemas::catalog::KeptError;
use tollbook_schemas::error::{Classified as _, Kind};
use tollbook_schemas::period::PeriodError;
use tollbook_verify::VerifyError;

use crate::configuration::{ConfigurationError, ConfigurationProblem};
use crate::context::{CatalogProblems, ReachUnknown};

/// What the operator should do about an error of a job, where the error knows.
#[must_use]
pub fn kind_of(error: &anyhow::Error) -> Option<Kind> {
    error.chain().find_map(|cause| {
        let kind = cause.downcast_ref::<LakeError>().map(|error| error.kind());
        kind.or_else(|| cause.downcast_ref::<IngestError>().map(|error| error.kind()))
            .or_else(|| cause.downcast_ref::<AggregateError>().map(|error| error.kind()))
            .or_else(|| cause.downcast_ref::<BillingError>().map(|error| error.kind()))
            .or_else(|| cause.downcast_ref::<VerifyError>().map(|error| error.kind()))
            .or_else(|| cause.downcast_ref::<bill::Different>().map(|_| Kind::Data))
            .or_else(|| cause.downcast_ref::<bill::Unavailable>().map(|_| Kind::Retry))
            .or_else(|| cause.downcast_ref::<bill::Stale>().map(|_| Kind::Conflict))
            .or_else(|| cause.downcast_ref::<ConfigurationError>().map(|_| Kind::Configuration))
            .or_else(|| cause.downcast_ref::<ConfigurationProblem>().map(|_| Kind::Configuration))
            .or_else(|| cause.downcast_ref::<ReachUnknown>().map(|_| Kind::Retry))
            .or_else(|| cause.downcast_ref::<CatalogProblems>().map(|_| Kind::Configuration))
            .or_else(|| cause.downcast_ref::<KeptError>().map(|error| error.kind()))
            .or_else(|| cause.downcast_ref::<check::SecretProblems>().map(|_| Kind::Configuration))
            // A month or an instant of the command line: one that is stored stands inside another error.
            .or_else(|| cause.downcast_ref::<PeriodError>().map(|_| Kind::Configuration))
            .or_else(|| cause.downcast_ref::<toml::de::Error>().map(|_| Kind::Configuration))
            .or_else(|| kind_of_file(cause.downcast_ref::<std::io::Error>()?))
    })
}

/// A file that a person named and that cannot be used; those of the lake stand inside another error.
fn kind_of_file(error: &std::io::Error) -> Option<Kind> {
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::AlreadyExists
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::ReadOnlyFilesystem => Some(Kind::Configuration),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(Kind::Retry),
        _ => None,
    }
}
