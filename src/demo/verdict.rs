//! Expected, found, equal: the ledger against the tables, pure. One row for each figure; classes are summed up for
//! people, and every figure that differs is shown by itself.

use serde::Serialize;
use tollbook_simulate::Ledger;

use crate::demo::found::Found;

/// One compared figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// counts, usage, invoices or funnel.
    pub class: &'static str,
    /// What is compared.
    pub figure: String,
    /// By the simulator's ledger.
    pub expected: String,
    /// By the tables.
    pub found: String,
}

impl Check {
    /// Whether both agree.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.expected == self.found
    }
}

/// Exit code where a figure differs from the ledger.
const DIFFERS: u8 = 10;

/// How the demo ends: 0 where every figure is equal, 10 where one is not.
#[must_use]
pub fn exit_code(checks: &[Check]) -> u8 {
    if checks.iter().all(Check::is_equal) { 0 } else { DIFFERS }
}

/// Where one side has nothing.
const NONE: &str = "none";

/// Compares everything.
#[must_use]
pub fn compare(ledger: &Ledger, found: &Found) -> Vec<Check> {
    let mut checks = Vec::new();
    counts(ledger, found, &mut checks);
    usage(ledger, found, &mut checks);
    invoices(ledger, found, &mut checks);
    funnel(ledger, found, &mut checks);
    checks
}

fn counts(ledger: &Ledger, found: &Found, checks: &mut Vec<Check>) {
    let mut check = |figure: &str, expected: u64, found: Option<&i64>| {
        let found = found.map_or(NONE.to_owned(), ToString::to_string);
        checks.push(Check { class: "counts", figure: figure.to_owned(), expected: expected.to_string(), found });
    };
    for (figure, expected, name) in [
        ("requests accepted", ledger.access.accepted, "access_accepted"),
        ("requests rejected", ledger.access.rejected, "access_rejected"),
        ("requests delivered again", ledger.access.duplicates, "access_duplicates"),
        ("partner events accepted", ledger.lifecycle.accepted, "lifecycle_accepted"),
        ("partner events rejected", ledger.lifecycle.rejected, "lifecycle_rejected"),
        ("partner events delivered again", ledger.lifecycle.duplicates, "lifecycle_duplicates"),
    ] {
        check(figure, expected, found.counts.get(name));
    }
    let reasons: std::collections::BTreeSet<&String> =
        ledger.unattributed.keys().chain(found.unattributed.keys()).collect();
    for reason in reasons {
        let expected = ledger.unattributed.get(reason).copied().unwrap_or_default();
        let zero = 0;
        check(&format!("unattributed: {reason}"), expected, Some(found.unattributed.get(reason).unwrap_or(&zero)));
    }
}

fn usage(ledger: &Ledger, found: &Found, checks: &mut Vec<Check>) {
    // A quantity of zero and no row at all say the same: nothing was used.
    let shown = |quantity: Option<String>| quantity.filter(|quantity| quantity != "0").unwrap_or(NONE.to_owned());
    let keys: std::collections::BTreeSet<_> = ledger.usage.keys().chain(found.usage.keys()).collect();
    for key in keys {
        let expected = shown(ledger.usage.get(key).map(ToString::to_string));
        let found = shown(found.usage.get(key).cloned());
        let figure = format!("{} {} {} {}", key.partner, key.meter, key.environment, key.product);
        checks.push(Check { class: "usage", figure, expected, found });
    }
    let meters: std::collections::BTreeSet<_> =
        ledger.unattributed_usage.keys().chain(found.unattributed_usage.keys()).collect();
    for meter in meters {
        let expected = shown(ledger.unattributed_usage.get(meter).map(ToString::to_string));
        let found = shown(found.unattributed_usage.get(meter).cloned());
        checks.push(Check { class: "usage", figure: format!("unattributed {meter}"), expected, found });
    }
}

fn invoices(ledger: &Ledger, found: &Found, checks: &mut Vec<Check>) {
    let partners: std::collections::BTreeSet<&String> = ledger.invoices.keys().chain(found.invoices.keys()).collect();
    for partner in partners {
        let (expected, got) = (ledger.invoices.get(partner), found.invoices.get(partner));
        let total = |minor: String, currency: &str| format!("{minor} {currency} minor");
        checks.push(Check {
            class: "invoices",
            figure: format!("{partner} total"),
            expected: expected.map_or(NONE.to_owned(), |e| total(e.total_minor.to_string(), &e.currency)),
            found: got.map_or(NONE.to_owned(), |g| total(g.total_minor.to_string(), &g.currency)),
        });
        let (Some(expected), Some(got)) = (expected, got) else { continue };
        let lines = |lines: Vec<String>| lines.join("; ");
        checks.push(Check {
            class: "invoices",
            figure: format!("{partner} lines"),
            expected: lines(
                expected.lines.iter().map(|l| format!("{} {} = {}", l.price_id, l.quantity, l.amount_minor)).collect(),
            ),
            found: lines(got.lines.iter().map(|(price, q, amount)| format!("{price} {q} = {amount}")).collect()),
        });
        // What is above zero is at Stripe with the same total, and what is not is not there (I4, I7).
        let at_stripe = if expected.total_minor > 0 { expected.total_minor.to_string() } else { NONE.to_owned() };
        checks.push(Check {
            class: "invoices",
            figure: format!("{partner} at Stripe"),
            expected: at_stripe,
            found: got.stripe_total_minor.map_or(NONE.to_owned(), |minor| minor.to_string()),
        });
    }
    checks.push(Check {
        class: "invoices",
        figure: "breaches seen by the Stripe double".to_owned(),
        expected: "0".to_owned(),
        found: match found.stripe_breaches.as_slice() {
            [] => "0".to_owned(),
            breaches => breaches.join("; "),
        },
    });
}

fn funnel(ledger: &Ledger, found: &Found, checks: &mut Vec<Check>) {
    for (step, expected) in [
        ("registered", ledger.funnel.registered),
        ("sandbox", ledger.funnel.sandbox),
        ("production", ledger.funnel.production),
        ("revenue", ledger.funnel.revenue),
    ] {
        let shown = |reached: String, skipped: String| format!("{reached} reached, {skipped} skipped");
        checks.push(Check {
            class: "funnel",
            figure: step.to_owned(),
            expected: shown(expected.reached.to_string(), expected.skipped.to_string()),
            found: found.funnel.get(step).map_or(NONE.to_owned(), |(r, s)| shown(r.to_string(), s.to_string())),
        });
    }
}
