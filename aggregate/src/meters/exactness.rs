//! What of an expression is not exact. Integers wrap in silence in this engine, whatever they are used for; a division
//! drops what is left, of integers at once and of decimals behind four more digits than they have, which a quantity
//! must not; a floating-point number is not what was written.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable as _, Operator};

/// What is wrong, after "meter m: value ", and how to mend it.
pub(super) struct Flaw {
    pub what: String,
    pub mend: &'static str,
}

/// Whether some part adds, subtracts or multiplies integers.
///
/// # Errors
/// The engine's, where a part has no type.
pub(super) fn wraps(expression: &Expr, schema: &DFSchema) -> Result<bool, DataFusionError> {
    some_part(expression, |part| match part {
        Expr::BinaryExpr(binary) if matches!(binary.op, Operator::Plus | Operator::Minus | Operator::Multiply) => {
            Ok(part.get_type(schema)?.is_integer() && written(part).is_none())
        }
        _ => Ok(false),
    })
}

/// The whole number that is written there, such as `1024 * 1024`; none where it is made of something else, or does not
/// fit.
fn written(part: &Expr) -> Option<i64> {
    match part {
        Expr::Literal(ScalarValue::Int64(number), _) => *number,
        Expr::BinaryExpr(binary) => {
            let (left, right) = (written(&binary.left)?, written(&binary.right)?);
            match binary.op {
                Operator::Plus => left.checked_add(right),
                Operator::Minus => left.checked_sub(right),
                Operator::Multiply => left.checked_mul(right),
                _ => None,
            }
        }
        _ => None,
    }
}

/// What keeps the value of a meter that takes numbers from being one, exactly.
///
/// # Errors
/// The engine's, where a part has no type.
pub(super) fn of_number(value: &Expr, schema: &DFSchema) -> Result<Option<Flaw>, DataFusionError> {
    let divides = |part: &Expr| match part {
        Expr::BinaryExpr(binary) if binary.op == Operator::Divide => Ok(!part.get_type(schema)?.is_floating()),
        _ => Ok(false),
    };
    let flaw = |what: &str, mend| Ok(Some(Flaw { what: what.to_owned(), mend }));
    if some_part(value, |part| Ok(part.get_type(schema)?.is_floating()))? {
        return flaw(
            "is made of a floating-point number, which is not exact",
            "write try_cast(… as decimal(18, 3)) around numbers, '0.1' among them, and a division as a multiplication",
        );
    }
    if some_part(value, divides)? {
        return flaw(
            "divides, which drops what is left",
            "meter the undivided number, and let the price convert it (`convert`, `package_size`); or multiply, as \
             * try_cast('0.001' as decimal(4, 3))",
        );
    }
    let kind = value.get_type(schema)?;
    let is_text = matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if !kind.is_numeric() && kind != DataType::Null && (!is_text || matches!(value, Expr::Column(_))) {
        let told = if is_text { "a text".to_owned() } else { kind.to_string() };
        return Ok(Some(Flaw {
            what: format!("is {told}, expected a number, or an attribute that has one"),
            mend: "`tollbook sql \"describe access_log\"` lists columns with their types",
        }));
    }
    Ok(None)
}

fn some_part(
    expression: &Expr,
    mut is_one: impl FnMut(&Expr) -> Result<bool, DataFusionError>,
) -> Result<bool, DataFusionError> {
    let mut found = false;
    expression.apply(|part| {
        found = is_one(part)?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
