//! Meters as SQL: checked when the catalog is loaded, so that a wrong expression is told before a night's run.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{Expr, ExprSchemable as _, Operator};
use tollbook_schemas::catalog::{Aggregation, Catalog, Meter};
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
    let value = meter.value.as_deref().and_then(|sql| plan("value", sql));
    let groups: Vec<(String, Option<Expr>)> = meter
        .group_by
        .iter()
        .map(|(name, sql)| (format!("group_by.{name}"), plan(&format!("group_by.{name}"), sql)))
        .collect();
    let mut refuse = |field: &str, reason: &str| {
        let (field, reason) = (field.to_owned(), reason.to_owned());
        problems.push(AggregateError::Meter { meter: id.clone(), field, reason });
    };
    let all = [("filter".to_owned(), filter.clone()), ("value".to_owned(), value.clone())];
    for (field, expression) in all.into_iter().chain(groups) {
        if expression.as_ref().is_some_and(fails_on_bad_text) {
            refuse(
                &field,
                "a cast fails on the first text that is no number, and stops everybody's usage: use try_cast",
            );
        }
    }
    if let (Some(value), Aggregation::Sum) = (&value, meter.aggregation) {
        match value.get_type(schema) {
            Ok(kind) if kind.is_floating() => refuse(
                "value",
                "it is a floating-point number, which is not exact: write try_cast(… as decimal(38, 12)), and a division \
                 as a multiplication",
            ),
            Ok(kind) if kind.is_integer() && has_arithmetic(value) => refuse(
                "value",
                "arithmetic on integers wraps in silence: write try_cast(… as decimal(38, 12)) around each of them",
            ),
            Ok(_) => {}
            Err(error) => refuse("value", &error.strip_backtrace()),
        }
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

/// A cast ends the whole query at the first value that does not fit.
fn fails_on_bad_text(expression: &Expr) -> bool {
    expression.exists(|part| Ok(matches!(part, Expr::Cast(_)))).unwrap_or(true)
}

fn has_arithmetic(expression: &Expr) -> bool {
    let is_arithmetic = |part: &Expr| match part {
        Expr::BinaryExpr(binary) => matches!(binary.op, Operator::Plus | Operator::Minus | Operator::Multiply),
        _ => false,
    };
    expression.exists(|part| Ok(is_arithmetic(part))).unwrap_or(true)
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
        for value in ["attributes['tokens']", "response_bytes", "try_cast(attributes['n'] as decimal(38, 12)) * 2"] {
            let problems = check_meters(&catalog(value, "status between 200 and 299"));
            assert!(problems.is_empty(), "{value}: {problems:?}");
        }
        for (value, filter, words) in [
            ("response_byte", "true", "response_byte"),
            ("response_bytes", "status", "must be true or false"),
            ("response_bytes", "status = 200; drop table usage", "m"),
            ("response_bytes +", "true", "value"),
            ("response_bytes / 1073741824.0", "true", "not exact"),
            ("request_bytes + response_bytes", "true", "wraps in silence"),
            ("cast(attributes['n'] as bigint)", "true", "use try_cast"),
            ("response_bytes", "cast(attributes['n'] as bigint) > 3", "use try_cast"),
        ] {
            let problems = check_meters(&catalog(value, filter));
            assert!(problems.iter().any(|p| p.to_string().contains(words)), "{value} {filter}: {problems:?}");
        }
    }
}
