//! Meters as SQL: checked when the catalog is loaded, so that a wrong expression is told before a night's run.

use datafusion::common::DFSchema;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{Expr, ExprSchemable as _};
use tollbook_schemas::catalog::{Catalog, Meter};
use tollbook_schemas::id::MeterId;
use tollbook_schemas::tables::access_log;

use crate::error::AggregateError;

/// Plans every expression of every meter against `access_log`; gives all problems.
#[must_use]
pub fn check_meters(catalog: &Catalog) -> Vec<AggregateError> {
    let context = SessionContext::new();
    let schema = match DFSchema::try_from(access_log::TABLE.arrow_schema().as_ref().clone()) {
        Ok(schema) => schema,
        Err(error) => return vec![error.into()],
    };
    catalog.meters.iter().flat_map(|(id, meter)| check(&context, &schema, id, meter)).collect()
}

fn check(context: &SessionContext, schema: &DFSchema, id: &MeterId, meter: &Meter) -> Vec<AggregateError> {
    let mut problems = Vec::new();
    let mut plan = |field: &str, sql: &str| -> Option<Expr> {
        match context.parse_sql_expr(sql, schema) {
            Ok(expression) => Some(expression),
            Err(error) => {
                let reason = error.strip_backtrace();
                problems.push(AggregateError::Meter { meter: id.clone(), field: field.to_owned(), reason });
                None
            }
        }
    };
    let filter = meter.filter.as_deref().and_then(|sql| plan("filter", sql));
    if let Some(sql) = meter.value.as_deref() {
        plan("value", sql);
    }
    for (name, sql) in &meter.group_by {
        plan(&format!("group_by.{name}"), sql);
    }
    if let Some(filter) = filter {
        let reason = match filter.get_type(schema) {
            Ok(arrow::datatypes::DataType::Boolean) => None,
            Ok(other) => Some(format!("it is {other}, and a condition must be true or false")),
            Err(error) => Some(error.strip_backtrace()),
        };
        if let Some(reason) = reason {
            problems.push(AggregateError::Meter { meter: id.clone(), field: "filter".to_owned(), reason });
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::catalog::CatalogFile;

    use super::*;

    #[test]
    fn wrong_expressions_name_the_meter_and_the_column() {
        let catalog = |value: &str, filter: &str| {
            let text = format!(
                "[[meter]]\nid = \"m\"\nname = \"M\"\nunit = \"u\"\naggregation = \"sum\"\nvalue = {value:?}\nfilter = {filter:?}\n"
            );
            Catalog::parse(&[CatalogFile { path: "m.toml".into(), text }]).unwrap()
        };
        assert!(check_meters(&catalog("attributes['tokens']", "status between 200 and 299")).is_empty());
        for (value, filter, words) in [
            ("response_byte", "true", "response_byte"),
            ("response_bytes", "status", "must be true or false"),
            ("response_bytes", "status = 200; drop table usage", "m"),
            ("response_bytes +", "true", "value"),
        ] {
            let problems = check_meters(&catalog(value, filter));
            assert!(problems.iter().any(|p| p.to_string().contains(words)), "{value} {filter}: {problems:?}");
        }
    }
}
