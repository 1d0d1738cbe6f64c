//! Functions that give a value or null for every request, and never more text than a few times what they are given: a
//! list, because what fails on some value is known only to those who read the engine's source.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::DataFusionError;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use super::{Failing, is_written};

/// What they take does not matter.
const ANY: [&str; 25] = [
    "ascii",
    "bit_length",
    "btrim",
    "character_length",
    "coalesce",
    "concat",
    "concat_ws",
    "contains",
    "ends_with",
    "get_field",
    "greatest",
    "initcap",
    "least",
    "lower",
    "ltrim",
    "nullif",
    "nvl",
    "nvl2",
    "octet_length",
    "reverse",
    "rtrim",
    "starts_with",
    "strpos",
    "translate",
    "upper",
];

/// What they take behind the first must be written there: the part of an instant, a place, a pattern. It is tried.
const WITH_WRITTEN: [&str; 10] = [
    "left",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "replace",
    "right",
    "split_part",
    "substr",
];

/// What they take before the last must be written there.
const OF_INSTANT: [&str; 3] = ["date_part", "date_trunc", "date_bin"];

/// Their answers are floating-point numbers where what they take is, and those do not fail.
const OF_FLOAT: [&str; 6] = ["abs", "ceil", "floor", "round", "signum", "trunc"];

/// What is wrong with a call; none where it gives a value or null whatever comes.
pub(super) fn failing(function: &ScalarFunctionExpr, schema: &Schema) -> Result<Option<Failing>, DataFusionError> {
    let (name, arguments) = (function.name(), function.args());
    let behind = arguments.get(1..).unwrap_or_default();
    // What must be written there.
    let constants = match name {
        _ if ANY.contains(&name) => &[],
        _ if WITH_WRITTEN.contains(&name) => behind,
        _ if OF_INSTANT.contains(&name) => arguments.get(..1).unwrap_or_default(),
        _ if OF_FLOAT.contains(&name) => {
            let kind = arguments.first().map(|argument| argument.data_type(schema)).transpose()?;
            if !kind.is_none_or(|kind| kind.is_floating()) || !are_written(behind) {
                let what = format!(
                    "calls {name} of a number that is not floating-point, which fails on some of them, and stops \
                     everybody's usage"
                );
                return Ok(Some(Failing {
                    what,
                    mend: "compare the number as it is, or write `case when … then … end`",
                }));
            }
            &[]
        }
        _ => return Ok(Some(unknown(name))),
    };
    Ok((!are_written(constants)).then(|| Failing {
        what: format!("calls {name} with what a caller sent, which fails on some of it, and stops everybody's usage"),
        mend: "write what it takes beside the column as a constant",
    }))
}

fn are_written(arguments: &[Arc<dyn PhysicalExpr>]) -> bool {
    arguments.iter().all(|argument| is_written(argument.as_ref()))
}

fn unknown(name: &str) -> Failing {
    if name.starts_with("to_") || name.starts_with("make_") || name == "arrow_cast" || name == "decode" {
        return Failing {
            what: format!(
                "calls {name}, which fails on the first value that it cannot read, and stops everybody's usage"
            ),
            mend: "use try_cast, which gives null there",
        };
    }
    Failing {
        what: format!(
            "calls {name}, which is not known to answer every request: one that it fails on stops everybody's usage"
        ),
        mend: "docs/metering.md lists the functions that a meter may call",
    }
}
