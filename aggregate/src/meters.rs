//! Meters as SQL: checked when the catalog is loaded, so that a wrong expression is told before a night's run. Takes a
//! catalog, gives problems at their places in its files; which part of the SQL is meant is `meters/offender.rs`'s to find.

mod exactness;
mod failing;
mod offender;
mod one_request;

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable as _};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use tollbook_schemas::catalog::{Catalog, Meter};
use tollbook_schemas::id::MeterId;
use tollbook_schemas::tables::access_log;

use crate::error::AggregateError;
use offender::Offender;

/// Plans every expression of every meter against `access_log`; gives all problems.
#[must_use]
pub fn check_meters(catalog: &Catalog) -> Vec<AggregateError> {
    let context = SessionContext::new();
    let schema = match DFSchema::try_from(access_log::TABLE.arrow_schema().as_ref().clone()) {
        Ok(schema) => schema,
        Err(error) => return vec![error.into()],
    };
    let mut problems = Vec::new();
    for (id, meter) in &catalog.meters {
        let mut checking = Checking { catalog, context: &context, schema: &schema, id, problems: Vec::new() };
        checking.meter(meter);
        problems.extend(checking.problems);
    }
    problems
}

struct Checking<'a> {
    catalog: &'a Catalog,
    context: &'a SessionContext,
    schema: &'a DFSchema,
    id: &'a MeterId,
    problems: Vec<AggregateError>,
}

impl Checking<'_> {
    fn meter(&mut self, meter: &Meter) {
        if let Some(sql) = &meter.value
            && let Some(value) = self.expression("value", sql)
            && meter.aggregation.takes_number()
        {
            match exactness::of_number(&value, self.schema) {
                Ok(None) => {}
                Ok(Some(flaw)) => self.refuse("value", None, &flaw.what, flaw.mend),
                Err(error) => self.offends("value", sql, &error),
            }
        }
        if let Some(sql) = &meter.filter
            && let Some(filter) = self.expression("filter", sql)
        {
            match filter.get_type(self.schema) {
                Ok(DataType::Boolean) => {}
                Ok(other) => self.refuse(
                    "filter",
                    None,
                    &format!("is {other}, expected a condition, which is true or false"),
                    "write a condition, such as \"status between 200 and 299\"",
                ),
                Err(error) => self.offends("filter", sql, &error),
            }
        }
        for (name, sql) in &meter.group_by {
            self.expression(&format!("group_by.{name}"), sql);
        }
    }

    /// The expression, where it can be planned.
    fn expression(&mut self, field: &str, sql: &str) -> Option<Expr> {
        let expression = match self.context.parse_sql_expr(sql, self.schema) {
            Ok(expression) => expression,
            Err(error) => {
                self.offends(field, sql, &error);
                return None;
            }
        };
        if let Some(flaw) = one_request::flaw(&expression) {
            let at = flaw.function.as_ref().and_then(|name| offender::word(sql, name));
            self.refuse(field, at, &flaw.what, flaw.mend);
            return None;
        }
        match exactness::wraps(&expression, self.schema) {
            Ok(false) => {}
            Ok(true) => {
                let mend = "write try_cast(… as decimal(18, 0)) around each of them";
                self.refuse(field, None, "is arithmetic on integers, which wraps in silence", mend);
            }
            Err(error) => {
                self.offends(field, sql, &error);
                return None;
            }
        }
        if fails_on_bad_text(&expression) {
            let at = offender::word(sql, "cast");
            let what = "has a cast, which fails on the first text that is no number, and stops everybody's usage";
            self.refuse(field, at, what, "use try_cast");
            return Some(expression);
        }
        // With the casts that the engine puts in by itself, a text that is compared with a number, and what it makes of some
        // functions before it runs them.
        // What cannot be simplified, because something written in it is wrong, is told by running it.
        let simplified = self.simplified(&expression).unwrap_or_else(|_| expression.clone());
        let run = self.context.create_physical_expr(simplified, self.schema);
        match run.and_then(|run| failing::part(&run, self.schema.as_arrow())) {
            Ok(None) => {}
            Ok(Some(failing)) => self.refuse(field, None, &failing.what, failing.mend),
            Err(error) => self.offends(field, sql, &error),
        }
        Some(expression)
    }

    fn simplified(&self, expression: &Expr) -> Result<Expr, DataFusionError> {
        let context = SimplifyContext::builder().with_schema(Arc::new(self.schema.clone())).build();
        let simplifier = ExprSimplifier::new(context);
        simplifier.simplify(simplifier.coerce(expression.clone(), self.schema)?)
    }

    fn offends(&mut self, field: &str, sql: &str, error: &DataFusionError) {
        let Offender { at, what, mend } = offender::of(error, sql, self.schema);
        self.refuse(field, at, &what, &mend);
    }

    fn refuse(&mut self, field: &str, at: Option<Range<usize>>, what: &str, mend: &str) {
        let what = format!("meter {}: {field} {what}", self.id);
        let problem = self.catalog.problem_in_sql(self.id, field, at, what, mend);
        self.problems.push(AggregateError::Meter(Box::new(problem)));
    }
}

/// A cast ends the whole query at the first value that does not fit.
fn fails_on_bad_text(expression: &Expr) -> bool {
    expression.exists(|part| Ok(matches!(part, Expr::Cast(_)))).unwrap_or(true)
}

#[cfg(test)]
mod tests;
