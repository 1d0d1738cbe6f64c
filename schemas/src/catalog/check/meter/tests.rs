//! Meters as rows: what they become, and what is wrong with them.

use crate::catalog::{Catalog, CatalogFile, Meter};
use crate::id::MeterId;

fn parsed(keys: &str) -> Result<Meter, Vec<String>> {
    let text = format!("[[meter]]\nid = \"m\"\nname = \"M\"\nunit = \"u\"\n{}\n", keys.replace("; ", "\n"));
    let problems =
        |problems: Vec<crate::catalog::Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut catalog = Catalog::parse(&[CatalogFile { path: "m.toml".into(), text }]).map_err(problems)?;
    Ok(catalog.meters.remove(&MeterId::parse("m").unwrap()).unwrap())
}

#[test]
fn meters_are_read() {
    for (keys, wanted) in [
        ("aggregation = \"count\"", "count"),
        ("aggregation = \"max\"; value = \"response_bytes\"", "max of response_bytes"),
        (
            "aggregation = \"time_weighted\"; value = \"response_bytes\"; allow_negative = true",
            "time_weighted of response_bytes, below 0 too",
        ),
        (
            "aggregation = \"percentile\"; percentile = \"95\"; value = \"latency_us\"",
            "percentile 95000 nearest_rank of latency_us",
        ),
        (
            "aggregation = \"percentile\"; percentile = \"99.9\"; method = \"linear\"; value = \"latency_us\"",
            "percentile 99900 linear of latency_us",
        ),
        (
            "preset = \"billable_success\"",
            "count where status between 200 and 299, without health_checks try_it internal_partners test_partners retries",
        ),
        ("preset = \"bytes_out\"; exclude = [\"cache_hits\"]", "sum of response_bytes, without cache_hits"),
        ("preset = \"bytes_out\"; exclude = []", "sum of response_bytes"),
        ("aggregation = \"count\"; exclude = [\"retries\", \"try_it\"]", "count, without retries try_it"),
    ] {
        let meter = parsed(keys).unwrap();
        let mut told = meter.aggregation.to_string();
        if let crate::meter::Aggregation::Percentile(percentile) = meter.aggregation {
            told += &format!(" {} {}", percentile.thousandths, percentile.method.as_str());
        }
        told += &meter.value.map(|value| format!(" of {value}")).unwrap_or_default();
        told += &meter.filter.map(|filter| format!(" where {filter}")).unwrap_or_default();
        told += if meter.allow_negative { ", below 0 too" } else { "" };
        let rules: Vec<&str> = meter.exclude.iter().map(|rule| rule.as_str()).collect();
        told += &if rules.is_empty() { String::new() } else { format!(", without {}", rules.join(" ")) };
        assert_eq!(told, wanted, "{keys}");
    }
}

#[test]
fn what_is_wrong_with_a_meter_is_told_at_its_place() {
    for (keys, words) in [
        ("aggregation = \"median\"; value = \"status\"", "m.toml:5:15: aggregation \"median\" is not known"),
        ("aggregation = \"sun\"; value = \"status\"", "did you mean sum?"),
        ("aggregation = \"max\"", "m.toml:5:15: a meter with aggregation max needs a value"),
        ("aggregation = \"count\"; value = \"status\"", "m.toml:6:9: a count has no value"),
        ("aggregation = \"percentile\"; value = \"status\"", "m.toml:5:15: a percentile needs to be told which"),
        ("aggregation = \"percentile\"; percentile = \"0\"; value = \"status\"", "percentile 0 must be above 0"),
        (
            "aggregation = \"percentile\"; percentile = \"100.001\"; value = \"status\"",
            "must be above 0 and at most 100",
        ),
        ("aggregation = \"percentile\"; percentile = \"99.9999\"; value = \"status\"", "at most three digits"),
        (
            "aggregation = \"percentile\"; percentile = \"95\"; method = \"exact\"; value = \"status\"",
            "method \"exact\" is not known",
        ),
        (
            "aggregation = \"sum\"; percentile = \"95\"; value = \"status\"",
            "percentile is for aggregation = \"percentile\" alone",
        ),
        ("aggregation = \"count\"; allow_negative = true", "allow_negative says nothing of aggregation count"),
        ("aggregation = \"count\"; exclude = [\"retires\"]", "did you mean retries?"),
        ("aggregation = \"count\"; exclude = [\"retries\", \"retries\"]", "rule retries stands here twice"),
        ("aggregation = \"count\"; exclude = \"retries\"", "a list such as"),
        ("preset = \"billable\"", "preset \"billable\" is not known"),
        ("preset = \"bytes_out\"; filter = \"true\"", "m.toml:6:10: filter cannot stand beside preset = \"bytes_out\""),
        ("preset = \"bytes_out\"; colour = \"red\"", "colour"),
    ] {
        let problems = parsed(keys).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(words)), "{keys}: {problems:?}");
        assert_eq!(problems.len(), 1, "{keys}: one mistake is told once: {problems:?}");
    }
}
