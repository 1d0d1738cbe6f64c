//! `exact_decimal(text)`: the SQL function by which a meter's value becomes a decimal without passing through a float
//! and without rounding. What is not a plain decimal of at most 12 digits after the point, or is 10^15 or more, becomes
//! null, and the refresh counts it (I9): one partner's garbage must not stop everybody's invoices. Below 10^15 a slice
//! would need 10^11 requests before its sum leaves the 26 digits that a quantity has.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Decimal128Builder};
use arrow::datatypes::DataType;
use datafusion::common::cast::as_string_array;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use tollbook_schemas::decimal::Decimal;

/// The function, to be registered with a session.
pub(crate) fn exact_decimal() -> ScalarUDF {
    let decimal = DataType::Decimal128(38, 12);
    let parse = |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let texts = as_string_array(&arrays[0])?;
        let mut builder = Decimal128Builder::with_capacity(texts.len()).with_data_type(DataType::Decimal128(38, 12));
        for text in texts {
            builder.append_option(
                text.and_then(|text| text.parse::<Decimal>().ok()).filter(is_plausible).map(Decimal::unscaled),
            );
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    };
    create_udf("exact_decimal", vec![DataType::Utf8], decimal, Volatility::Immutable, Arc::new(parse))
}

fn is_plausible(value: &Decimal) -> bool {
    // 10^15 with 12 digits after the point.
    value.unscaled().unsigned_abs() < 10_u128.pow(27)
}

/// Strings of a column, whichever Arrow layout it has.
pub(crate) fn text_at(array: &ArrayRef, row: usize) -> Option<&str> {
    if array.is_null(row) {
        return None;
    }
    match array.as_string_opt::<i32>() {
        Some(strings) => Some(strings.value(row)),
        None => array.as_string_view_opt().map(|strings| strings.value(row)),
    }
}
