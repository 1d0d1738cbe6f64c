//! What of an expression ends the whole query on some row: one request of one unknown consumer would stop everybody's
//! usage. Takes an expression as the engine would run it, with the casts that it puts in by itself; gives what is wrong.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, new_null_array};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

/// Functions that fail on a text or number that they cannot read.
const FAILING: [&str; 4] = ["to_", "make_", "decode", "arrow_cast"];

/// What is wrong, after "meter m: filter ", and how to mend it.
pub(super) struct Failing {
    pub what: String,
    pub mend: &'static str,
}

/// The first part that can fail; none where every row gives a value or null.
///
/// # Errors
/// The engine's.
pub(super) fn part(expression: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Option<Failing>, DataFusionError> {
    let mut found = None;
    expression.apply(|part| {
        found = failing(part.as_ref(), schema)?;
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(match found {
        None => probed(expression, schema)?,
        found => found,
    })
}

/// Runs it over a few requests: what is wrong with what is written there (a text for a number, a pattern, the name of a
/// part of an instant) fails on any of them.
fn probed(expression: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Option<Failing>, DataFusionError> {
    let column = |field: &Arc<Field>| -> Result<ArrayRef, DataFusionError> {
        let kind = field.data_type();
        let nothing = new_null_array(kind, 1);
        let texts = StringArray::from(vec!["", "a"]);
        let numbers = Int32Array::from(vec![0, 200]);
        let known: ArrayRef = match kind {
            DataType::Utf8 => Arc::new(texts),
            DataType::Map(..) => new_null_array(kind, 2),
            _ => cast(&numbers, kind).unwrap_or_else(|_| new_null_array(kind, 2)),
        };
        Ok(concat(&[&known, &nothing])?)
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    // Null as any column may be here: it is about the expression, not about the table.
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let requests = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    Ok(expression.evaluate(&requests).err().map(|error| {
        let told = error.strip_backtrace();
        let told = told.split_once(": ").map_or(told.as_str(), |(_, told)| told).trim_end();
        Failing {
            what: format!("fails on every request, or on some, and stops everybody's usage: {told}"),
            mend: "write a value of the kind that is expected there",
        }
    }))
}

fn failing(part: &dyn PhysicalExpr, schema: &Schema) -> Result<Option<Failing>, DataFusionError> {
    if let Some(cast) = part.downcast_ref::<CastExpr>() {
        let (from, to) = (cast.expr().data_type(schema)?, cast.cast_type());
        let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let is_literal = cast.expr().downcast_ref::<Literal>().is_some();
        if is_text(&from) && !is_text(to) && !is_literal {
            return Ok(Some(Failing {
                what:
                    "makes a number of a text, which fails on the first text that is none, and stops everybody's usage"
                        .to_owned(),
                mend: "write try_cast(… as decimal(38, 12)) around the text",
            }));
        }
    }
    if let Some(binary) = part.downcast_ref::<BinaryExpr>()
        && matches!(binary.op(), Operator::Divide | Operator::Modulo)
        && !is_never_zero(binary.right().as_ref())?
    {
        return Ok(Some(Failing {
            what: "divides by what may be 0, which fails on the first such request, and stops everybody's usage"
                .to_owned(),
            mend: "write nullif(…, 0) around what it divides by",
        }));
    }
    if let Some(function) = part.downcast_ref::<ScalarFunctionExpr>()
        && FAILING.iter().any(|name| function.name().starts_with(name))
    {
        let what = format!(
            "calls {}, which fails on the first value that it cannot read, and stops everybody's usage",
            function.name()
        );
        return Ok(Some(Failing { what, mend: "use try_cast, which gives null there" }));
    }
    Ok(None)
}

/// A number that is written there and is not 0, or `nullif(…, 0)`; through the casts of numbers.
fn is_never_zero(part: &dyn PhysicalExpr) -> Result<bool, DataFusionError> {
    if let Some(cast) = part.downcast_ref::<CastExpr>() {
        return is_never_zero(cast.expr().as_ref());
    }
    let is_zero = |value: &ScalarValue| -> Result<bool, DataFusionError> {
        Ok(*value == ScalarValue::new_zero(&value.data_type())?)
    };
    if let Some(literal) = part.downcast_ref::<Literal>() {
        let value = literal.value();
        return Ok(value.is_null() || !is_zero(value)?);
    }
    let Some(function) = part.downcast_ref::<ScalarFunctionExpr>() else { return Ok(false) };
    let unless = function.args().get(1).and_then(|argument| {
        let inner = argument.downcast_ref::<CastExpr>().map_or(argument, CastExpr::expr);
        inner.downcast_ref::<Literal>()
    });
    match unless {
        Some(literal) if function.name() == "nullif" => is_zero(literal.value()),
        _ => Ok(false),
    }
}
