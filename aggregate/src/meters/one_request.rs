//! What of an expression is not about one request by itself: it asks the clock, the dice, other rows or another table.
//! The same rows must come to the same usage whenever and by whomever they are counted (I6); `bill verify` counts them
//! again.

use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, Volatility};

/// What is wrong, after "meter m: filter ", which function it is about, and how to mend it.
pub(super) struct Flaw {
    pub what: String,
    pub function: Option<String>,
    pub mend: &'static str,
}

/// The first such part.
pub(super) fn flaw(expression: &Expr) -> Option<Flaw> {
    let mut found = None;
    // The walk itself cannot fail.
    let _ = expression.apply(|part| {
        found = of_part(part);
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

fn of_part(part: &Expr) -> Option<Flaw> {
    let of_rows = |name: &str| Flaw {
        what: format!("calls {name}, which is about many requests, expected an expression over one"),
        function: Some(name.to_owned()),
        mend: "the meter's aggregation counts, sums and ranks; write here what one request counts for",
    };
    match part {
        Expr::ScalarFunction(function) if function.func.signature().volatility != Volatility::Immutable => {
            let name = function.func.name();
            Some(Flaw {
                what: format!("calls {name}, whose answer is another one each time: no invoice could be derived again"),
                function: Some(name.to_owned()),
                mend: "use the columns of the request alone, such as occurred_at or a constant instant",
            })
        }
        Expr::AggregateFunction(function) => Some(of_rows(function.func.name())),
        Expr::WindowFunction(function) => Some(of_rows(function.fun.name())),
        Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => Some(Flaw {
            what: "asks another table, expected an expression over one request".to_owned(),
            function: None,
            mend: "write it over the columns of access_log, without select",
        }),
        _ => None,
    }
}
