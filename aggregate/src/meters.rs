//! Meters as SQL: checked when the catalog is loaded, so that a wrong expression is told before a night's run. Takes a
//! catalog, gives problems at their places in its files; which part of the SQL is meant is `meters/offender.rs`'s to
//! find.

mod composed;
mod exactness;
mod extent;
mod failing;
mod offender;
mod one_request;

use std::ops::Range;
use std::sync::Arc;
use std::thread;

use arrow::compute::can_cast_types;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable as _};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use tollbook_lake::STACK_BYTES;
use tollbook_schemas::catalog::{Catalog, Meter};
use tollbook_schemas::id::MeterId;
use tollbook_schemas::tables::access_log;

use crate::error::AggregateError;
use offender::Offender;

/// Plans every expression of every meter against `access_log`; gives all problems.
///
/// # Panics
/// Where the engine does.
#[must_use]
pub fn check_meters(catalog: &Catalog) -> Vec<AggregateError> {
    deep(|| check(catalog))
}

/// Plans the queries that a refresh makes of all meters of a catalog that [`check_meters`] has nothing against: the
/// last check, which takes a tenth of a second, and finds what nobody foresaw.
///
/// # Panics
/// Where the engine does.
#[must_use]
pub fn check_queries(catalog: &Catalog) -> Vec<AggregateError> {
    deep(|| composed::problems(catalog))
}

/// Does something on a thread whose stack is large enough for any expression that is taken.
fn deep<T: Send>(work: impl Fn() -> T + Sync) -> T {
    thread::scope(|scope| {
        let working = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, &work);
        match working.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => work(),
        }
    })
}

fn check(catalog: &Catalog) -> Vec<AggregateError> {
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
            && let Some(value) = self.as_text("value", sql)
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
            self.as_text(&format!("group_by.{name}"), sql);
        }
    }

    /// The expression, where it can be planned, and what it gives be written as a text: each value and dimension is.
    fn as_text(&mut self, field: &str, sql: &str) -> Option<Expr> {
        let expression = self.expression(field, sql)?;
        match expression.get_type(self.schema) {
            Ok(kind) if can_cast_types(&kind, &DataType::Utf8) && !kind.is_nested() => return Some(expression),
            Ok(DataType::Map(..)) => self.refuse(
                field,
                None,
                "is a map, expected one value",
                "name the one that is meant, such as \"attributes['region']\"",
            ),
            Ok(kind) => self.refuse(field, None, &format!("is {kind}, expected one value"), "write one value of it"),
            Err(error) => self.offends(field, sql, &error),
        }
        None
    }

    /// The expression, where it can be planned.
    fn expression(&mut self, field: &str, sql: &str) -> Option<Expr> {
        if extent::has_too_many_parts(sql) {
            let most = extent::PARTS_MAX;
            let what =
                format!("joins more than {most} parts with and, or, when and arithmetic, too deep for the engine");
            self.refuse(field, None, &what, "a list is one part: write \"consumer in ('a', 'b')\"");
            return None;
        }
        let expression = match self.context.parse_sql_expr(sql, self.schema) {
            Ok(expression) => expression,
            Err(error) => {
                self.offends(field, sql, &error);
                return None;
            }
        };
        let expression = match expression {
            // The engine's own, of a function with another name too, such as length.
            Expr::Alias(named) if named.name.contains('(') => *named.expr,
            expression => expression,
        };
        if let Expr::Alias(named) = &expression {
            let at = offender::word(sql, &named.name);
            let what = format!("gives itself the name {}, expected an expression alone", named.name);
            self.refuse(field, at, &what, "leave out `as` and the name");
            return None;
        }
        if extent::is_too_deep(self.context, self.schema, sql) {
            let what = "is nested too deeply to be a part of a query";
            self.refuse(field, None, what, "leave out parentheses and repeated `not`");
            return None;
        }
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
        match has_failing_cast(&expression, self.schema) {
            Ok(false) => {}
            Ok(true) => {
                let at = offender::word(sql, "cast");
                let what = "has a cast, which fails on the first value that does not fit, and stops everybody's usage";
                self.refuse(field, at, what, "use try_cast");
                return Some(expression);
            }
            Err(error) => {
                self.offends(field, sql, &error);
                return None;
            }
        }
        // With the casts that the engine puts in by itself, a text that is compared with a number, and what it makes of
        // some functions before it runs them. What cannot be simplified, because something written in it is wrong, is
        // told by running it.
        let simplified = self.simplified(&expression).unwrap_or_else(|_| expression.clone());
        let run = self.context.create_physical_expr(simplified, self.schema);
        match run.and_then(|run| failing::part(&run, self.schema.as_arrow())) {
            Ok(None) => {}
            Ok(Some(failing)) => self.refuse(field, None, &failing.what, failing.mend),
            Err(error) => {
                self.offends(field, sql, &error);
                return None;
            }
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

/// Whether a cast is written that ends the whole query at the first value that does not fit. What is written there is
/// tried; and whatever is no text can be made one.
fn has_failing_cast(expression: &Expr, schema: &DFSchema) -> Result<bool, DataFusionError> {
    expression.exists(|part| {
        let Expr::Cast(cast) = part else { return Ok(false) };
        let is_text = matches!(part.get_type(schema)?, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        Ok(!is_text && !matches!(*cast.expr, Expr::Literal(..)))
    })
}

#[cfg(test)]
mod tests;
