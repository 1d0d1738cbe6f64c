//! Prints what the demo found beside what the simulator counted.

use serde_json::json;
use tollbook::demo::{self, DemoSettings, verdict};
use tollbook::output::{data, table, talk};

/// "How many active partners do we have?"
const ACTIVE_PARTNERS: &str = "select count(*) as active_partners from active_partner";

pub(in crate::cli) async fn run_demo(settings: &DemoSettings, json: bool) -> anyhow::Result<u8> {
    Ok(print_demo(&demo::run(settings).await?, json))
}

/// Prints the comparison; gives the exit code.
pub(in crate::cli) fn print_demo(result: &demo::DemoResult, json: bool) -> u8 {
    let mut checks = verdict::compare(&result.ledger, &result.found);
    checks.extend(result.month_after.iter().cloned());
    let wrong: Vec<_> = checks.iter().filter(|check| !check.is_equal()).collect();
    let code = verdict::exit_code(&checks);
    if json {
        let documents: Vec<_> = result
            .found
            .invoices
            .iter()
            .map(|(partner, invoice)| json!({ "partner": partner, "document_sha256": invoice.document_sha256 }))
            .collect();
        data(
            &json!({ "equal": wrong.is_empty(), "checks": checks, "documents": documents,
            "stripe_calls": result.stripe.counts(), "config": demo::shown(&result.config) })
            .to_string(),
        );
        return code;
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    for check in &checks {
        // Counts and funnel are few and shown one by one; usage and invoices are summed up unless they differ.
        if matches!(check.class, "counts" | "funnel") || !check.is_equal() {
            let equal = if check.is_equal() { "yes" } else { "NO" };
            rows.push(vec![
                check.class.into(),
                check.figure.clone(),
                check.expected.clone(),
                check.found.clone(),
                equal.into(),
            ]);
        }
    }
    for class in ["usage", "invoices", "month after"] {
        let (all, equal) = checks
            .iter()
            .filter(|c| c.class == class)
            .fold((0, 0), |(all, equal), check| (all + 1, equal + usize::from(check.is_equal())));
        let word = if all == equal { "yes" } else { "NO" };
        rows.push(vec![class.into(), "all figures".into(), all.to_string(), equal.to_string(), word.into()]);
    }
    data(&table(&["class", "figure", "expected", "found", "equal"], &rows));
    let times: Vec<String> = result.seconds.iter().map(|(name, seconds)| format!("{name} {seconds:.1} s")).collect();
    talk(&format!("\n{}", times.join(" · ")));
    let config = demo::shown(&result.config);
    if !wrong.is_empty() {
        talk(&format!(
            "{} of {} figures differ: the lake is left at {config} for you to look",
            wrong.len(),
            checks.len()
        ));
        return code;
    }
    data(&format!(
        "\nall {} figures equal the simulator's ledger. The lake and its configuration: {config}",
        checks.len()
    ));
    let program = std::env::args().next().unwrap_or_else(|| "tollbook".to_owned());
    data("try next:");
    data(&format!("  open {}", demo::shown(&result.reports.join("funnel.html"))));
    data(&format!("  {program} --config {config} bill explain {}", result.line));
    data(&format!("  {program} --config {config} sql \"{ACTIVE_PARTNERS}\""));
    code
}
