//! What of an expression ends the whole query on some row: one request of one unknown consumer would stop everybody's
//! usage. Takes an expression as the engine would run it, with the casts that it puts in by itself; gives what is
//! wrong.
//!
//! What is known to give a value or null for every request is taken, and nothing else: functions by name, arithmetic by
//! the digits that it may need. What is written there (a pattern, the name of a part of an instant) is tried on
//! requests whose columns are as odd as a caller can make them.

mod functions;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, concat};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, LikeExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use tollbook_schemas::tables::text_map_builder;

use super::offender::said_by;

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

/// Texts that a caller may send, as a path or as an attribute.
const ODD_TEXTS: [&str; 8] = ["", "a", "([", "-1", "0", "%\\", "9999999999999999999", "99999999999999999999999999.99"];
/// Numbers that a request may have; what a column cannot hold is null there.
const ODD_NUMBERS: [i64; 8] = [0, 200, -1, 1, 1_000_000_000_000_000, 2_147_483_647, i64::MAX, i64::MIN];

/// Runs it over some requests.
fn probed(expression: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Option<Failing>, DataFusionError> {
    let keys = texts_in(expression)?;
    let column = |field: &Arc<Field>| -> Result<ArrayRef, DataFusionError> {
        let kind = field.data_type();
        let nothing = new_null_array(kind, 1);
        let known: ArrayRef = match kind {
            DataType::Utf8 => Arc::new(StringArray::from(ODD_TEXTS.to_vec())),
            DataType::Map(..) => odd_attributes(&keys)?,
            // Years that any clock may tell: 1970 to 2040.
            DataType::Timestamp(..) => {
                numbers_as(&ODD_NUMBERS.map(|number| number.clamp(0, 2_222_222_222_000_000)), kind)?
            }
            _ => numbers_as(&ODD_NUMBERS, kind)?,
        };
        Ok(concat(&[&known, &nothing])?)
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    // Null as any column may be here: it is about the expression, not about the table.
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let requests = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    Ok(expression.evaluate(&requests).err().map(|error| {
        let told = said_by(&error);
        let told = told.split_once(": ").map_or(told.as_str(), |(_, told)| told);
        Failing {
            what: format!("fails on every request, or on some, and stops everybody's usage: {told}"),
            mend: "write a value of the kind that is expected there",
        }
    }))
}

/// Null where the column cannot hold the number.
fn numbers_as(numbers: &[i64], kind: &DataType) -> Result<ArrayRef, DataFusionError> {
    let numbers = Int64Array::from(numbers.to_vec());
    let or_null = CastOptions { safe: true, ..CastOptions::default() };
    Ok(cast_with_options(&numbers, kind, &or_null).unwrap_or_else(|_| new_null_array(kind, numbers.len())))
}

/// The texts that are written in an expression: the names of attributes are among them.
fn texts_in(expression: &Arc<dyn PhysicalExpr>) -> Result<Vec<String>, DataFusionError> {
    let mut texts = Vec::new();
    expression.apply(|part| {
        if let Some(literal) = part.downcast_ref::<Literal>()
            && let Some(Some(text)) = literal.value().try_as_str()
        {
            texts.push(text.to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    texts.sort();
    texts.dedup();
    Ok(texts)
}

/// Attributes of these names, each with each of the odd texts.
fn odd_attributes(names: &[String]) -> Result<ArrayRef, DataFusionError> {
    let mut attributes = text_map_builder();
    for text in ODD_TEXTS {
        for name in names {
            attributes.keys().append_value(name);
            attributes.values().append_value(text);
        }
        attributes.append(true)?;
    }
    Ok(Arc::new(attributes.finish()))
}

fn failing(part: &dyn PhysicalExpr, schema: &Schema) -> Result<Option<Failing>, DataFusionError> {
    if let Some(cast) = part.downcast_ref::<CastExpr>() {
        let (from, to) = (cast.expr().data_type(schema)?, cast.cast_type());
        let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        if is_text(&from) && !is_text(to) && !is_written(cast.expr().as_ref()) {
            return Ok(Some(Failing {
                what:
                    "makes a number of a text, which fails on the first text that is none, and stops everybody's usage"
                        .to_owned(),
                mend: "write try_cast(… as decimal(18, 3)) around the text",
            }));
        }
        if let (Some((most, _)), Some((_, fitting))) = (whole_digits(&from), whole_digits(to))
            && fitting < most
            && !is_written(cast.expr().as_ref())
        {
            let what = format!(
                "makes {} of {}, which fails on the first number that is too large, and stops everybody's usage",
                told(to),
                told(&from)
            );
            return Ok(Some(Failing { what, mend: "write try_cast(… as decimal(18, 3)) around each number" }));
        }
    }
    if let Some(binary) = part.downcast_ref::<BinaryExpr>() {
        return of_operator(binary, schema);
    }
    if let Some(like) = part.downcast_ref::<LikeExpr>()
        && !is_written(like.pattern().as_ref())
    {
        return Ok(Some(pattern_of_a_caller()));
    }
    match part.downcast_ref::<ScalarFunctionExpr>() {
        Some(function) => functions::failing(function, schema),
        None => Ok(None),
    }
}

/// The digits that a number of a kind may have before the point, and those that fit whatever they are; none of what has
/// no such limits.
fn whole_digits(kind: &DataType) -> Option<(u32, u32)> {
    let of_integer = |greatest: u64| greatest.checked_ilog10().map(|digits| (digits + 1, digits));
    match kind {
        DataType::Int8 => of_integer(i8::MAX.unsigned_abs().into()),
        DataType::Int16 => of_integer(i16::MAX.unsigned_abs().into()),
        DataType::Int32 => of_integer(i32::MAX.unsigned_abs().into()),
        DataType::Int64 => of_integer(i64::MAX.unsigned_abs()),
        DataType::UInt8 => of_integer(u8::MAX.into()),
        DataType::UInt16 => of_integer(u16::MAX.into()),
        DataType::UInt32 => of_integer(u32::MAX.into()),
        DataType::UInt64 => of_integer(u64::MAX),
        DataType::Decimal128(precision, scale) => {
            let whole = u32::try_from(i32::from(*precision) - i32::from(*scale)).unwrap_or(0);
            Some((whole, whole))
        }
        _ => None,
    }
}

/// A kind of number as SQL names it.
fn told(kind: &DataType) -> String {
    match kind {
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        other => other.to_string(),
    }
}

fn pattern_of_a_caller() -> Failing {
    Failing {
        what:
            "takes a pattern from the request, which fails on the first one that is none, and stops everybody's usage"
                .to_owned(),
        mend: "write the pattern as a text in single quotes, or use starts_with, ends_with or contains",
    }
}

fn of_operator(binary: &BinaryExpr, schema: &Schema) -> Result<Option<Failing>, DataFusionError> {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    let operator = *binary.op();
    let (left, right) = (binary.left().as_ref(), binary.right().as_ref());
    if matches!(operator, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch) && !is_written(right) {
        return Ok(Some(pattern_of_a_caller()));
    }
    if matches!(operator, Divide | Modulo) && !is_never_zero(right)? {
        return Ok(Some(Failing {
            what: "divides by what may be 0, which fails on the first such request, and stops everybody's usage"
                .to_owned(),
            mend: "write nullif(…, 0) around what it divides by",
        }));
    }
    let (Some((whole_left, scale_left)), Some((whole_right, scale_right))) =
        (digits(left, schema)?, digits(right, schema)?)
    else {
        return Ok(None);
    };
    // The digits before the point, and behind it, that the result may need, or what the engine makes of a side on the
    // way to it: it lifts both to one scale, and what it divides by the scale of the divisor and four digits.
    let needed = match operator {
        Plus | Minus => whole_left.max(whole_right) + 1 + scale_left.max(scale_right),
        Multiply => whole_left + whole_right + scale_left + scale_right,
        Divide => whole_left + scale_left + scale_right + 4,
        Modulo => whole_left.max(whole_right) + scale_left.max(scale_right),
        _ => return Ok(None),
    };
    Ok((needed > DIGITS_MAX).then(|| Failing {
        what: format!(
            "may come to {needed} digits, of which {DIGITS_MAX} fit: the first such request stops everybody's usage"
        ),
        mend: "write try_cast(… as decimal(18, 3)) around each number: what is larger is null then, and counts as nothing; \
               what has more digits behind the point is rounded to them, so name as many as are sent",
    }))
}

/// Digits of the engine's widest decimal.
const DIGITS_MAX: u32 = 38;

/// The digits of a decimal before and behind the point; of a number that is written there its own.
fn digits(part: &dyn PhysicalExpr, schema: &Schema) -> Result<Option<(u32, u32)>, DataFusionError> {
    let DataType::Decimal128(precision, scale) = part.data_type(schema)? else { return Ok(None) };
    let scale = u32::from(scale.unsigned_abs());
    let written = match part.downcast_ref::<CastExpr>() {
        Some(cast) => cast.expr().downcast_ref::<Literal>(),
        None => part.downcast_ref::<Literal>(),
    };
    let precision = match written.map(Literal::value) {
        Some(ScalarValue::Decimal128(Some(value), _, own_scale)) => {
            let own = u32::from(own_scale.unsigned_abs());
            value.unsigned_abs().checked_ilog10().map_or(1, |digits| digits + 1).max(own) + scale.saturating_sub(own)
        }
        Some(value) => match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(Some(value))) => {
                value.unsigned_abs().checked_ilog10().map_or(1, |digits| digits + 1) + scale
            }
            _ => u32::from(precision),
        },
        None => u32::from(precision),
    };
    Ok(Some((precision.saturating_sub(scale), scale)))
}

/// Whether a part is the same for every request: written there, through the casts of the engine.
fn is_written(part: &dyn PhysicalExpr) -> bool {
    match part.downcast_ref::<CastExpr>() {
        Some(cast) => is_written(cast.expr().as_ref()),
        None => part.downcast_ref::<Literal>().is_some(),
    }
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
