//! What is wrong with a question that a person asked in SQL.
//!
//! Takes what DataFusion said, while it planned or while it ran, gives one sentence: the last cause, once, without the
//! columns of every table. What the store or a table of ours said stays an error of the lake: nobody can mend that by
//! asking otherwise.

use arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use tollbook_schemas::nearest::nearest;

use crate::error::LakeError;

/// Names that are suggested at most.
const SUGGESTED_MAX: usize = 3;

/// The error of a person's query.
pub(crate) fn refused(error: DataFusionError) -> LakeError {
    let root = error.find_root();
    if is_of_the_store(root) || matches!(root, DataFusionError::ResourcesExhausted(_)) {
        return LakeError::from(error);
    }
    LakeError::Sql { what: told(root) }
}

/// Whether what was read failed, and not what was asked.
fn is_of_the_store(root: &DataFusionError) -> bool {
    match root {
        DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ParquetError(_)
        | DataFusionError::ExecutionJoin(_)
        | DataFusionError::External(_) => true,
        DataFusionError::ArrowError(arrow, _) => matches!(
            **arrow,
            ArrowError::IoError(..)
                | ArrowError::ParquetError(_)
                | ArrowError::IpcError(_)
                | ArrowError::ExternalError(_)
        ),
        _ => false,
    }
}

fn told(root: &DataFusionError) -> String {
    let told = match root {
        DataFusionError::SchemaError(error, _) => match &**error {
            SchemaError::FieldNotFound { field, valid_fields } => return no_column(field, valid_fields),
            other => other.to_string(),
        },
        DataFusionError::SQL(error, _) => error.to_string(),
        DataFusionError::ArrowError(error, _) => error.to_string(),
        other => other.message().into_owned(),
    };
    // One catalog and one schema: nobody wrote their names.
    let told = told.replace("datafusion.public.", "");
    let told = told.trim_end_matches(['.', '\n']);
    // What `planned` forbids.
    match ["DDL not supported", "DML not supported", "Statement not supported"].iter().any(|no| told.starts_with(no)) {
        true => format!("{told}; only queries that read are answered"),
        false => told.to_owned(),
    }
}

/// A column that is not there, and the names that come nearest.
fn no_column(field: &Column, known: &[Column]) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut left: Vec<&Column> = known.iter().collect();
    while let Some(near) = nearest(&field.name, left.iter().map(|column| column.name.as_str())).map(str::to_owned) {
        names.extend(left.iter().filter(|column| column.name == near).map(|column| column.quoted_flat_name()));
        left.retain(|column| column.name != near);
    }
    // Who asks for the total means the total in minor units.
    let longer = left.iter().filter(|column| field.name.len() > 2 && column.name.contains(&field.name));
    names.extend(longer.map(|column| column.quoted_flat_name()));
    names.truncate(SUGGESTED_MAX);
    let missing = format!("there is no column {}", field.quoted_flat_name());
    match names.as_slice() {
        [] => missing,
        names => format!("{missing}; did you mean {}?", names.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::error::{Classified as _, Kind};

    use super::*;
    use crate::open::Lake;

    async fn ask(lake: &Lake, sql: &str) -> LakeError {
        let session = lake.session().await.unwrap();
        lake.answer(&session, sql).await.unwrap_err()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_wrong_question_is_told_once_and_is_no_fault_of_the_lake() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
        for (sql, what) in [
            // While it is planned.
            ("select invoice_ids from invoice", "there is no column invoice_ids; did you mean invoice.invoice_id? ("),
            ("select i.totl_minor from invoice i", "there is no column i.totl_minor; did you mean i.total_minor?"),
            ("select total from invoice", "there is no column total; did you mean invoice.total_minor?"),
            ("select zebra from invoice", "there is no column zebra (`show tables`"),
            ("select * from invoic", "table 'invoic' not found"),
            ("drop table invoice", "DDL not supported: DropTable; only queries that read are answered"),
            ("set x.y = 1", "only queries that read are answered"),
            // While it runs.
            ("select 1/0", "Divide by zero error"),
            ("select cast('a' as int)", "Cannot cast string 'a' to value of Int32 type"),
            ("select cast(map {'a': 1} as int)", "Unsupported CAST from Map"),
        ] {
            let error = ask(&lake, sql).await;
            let shown = error.to_string();
            assert_eq!(error.kind(), Kind::Configuration, "{sql}: {shown}");
            assert!(shown.contains(what) && shown.matches(what).count() == 1, "{sql}: {shown}");
            assert!(shown.lines().count() == 1 && shown.len() < 300, "{sql}: {shown}");
            // All is said in one sentence: a cause below it would say it again.
            assert!(std::error::Error::source(&error).is_none(), "{sql}");
        }
    }

    #[test]
    fn what_the_store_said_stays_an_error_of_the_lake() {
        let io = || std::io::Error::other("the disk did not answer");
        let past = LakeError::Log { table: "usage", what: "torn".to_owned() };
        let shared = DataFusionError::Shared(std::sync::Arc::new(DataFusionError::IoError(io())));
        for error in [
            DataFusionError::IoError(io()),
            DataFusionError::IoError(io()).context("reading"),
            shared,
            DataFusionError::ArrowError(Box::new(ArrowError::from_external_error(Box::new(io()))), None),
            DataFusionError::External(Box::new(past)),
        ] {
            let shown = error.to_string();
            assert_eq!(refused(error).kind(), Kind::Data, "{shown}");
        }
    }
}
