use tollbook_schemas::period::parse_instant;

use super::*;
use crate::completeness::{RejectedCount, UnattributedCount};
use crate::page::tests::assert_self_contained;

fn step(name: &str, reached: i64, dropped: i64, percent: Option<&str>, seconds: Option<i64>) -> FunnelStep {
    FunnelStep {
        step: name.to_owned(),
        reached,
        dropped,
        skipped: 0,
        conversion_from_start_percent: percent.map(|p| p.parse().unwrap()),
        conversion_from_previous_percent: percent.map(|p| p.parse().unwrap()),
        median_seconds_from_previous: seconds,
    }
}

fn report() -> FunnelReport {
    FunnelReport {
        as_of: parse_instant("2026-07-02T06:00:00Z").unwrap(),
        steps: vec![step("registered", 39, 0, Some("100"), None), step("sandbox", 31, 8, Some("79.48"), Some(347_980))],
        weeks: weeks_of(
            &[parse_instant("2026-06-03T00:00:00Z").unwrap(), parse_instant("2026-06-29T00:00:00Z").unwrap()],
            parse_instant("2026-07-02T06:00:00Z").unwrap(),
        ),
        left_out: 1,
        semantics: "Strict order & no limit".to_owned(),
        completeness: Completeness {
            watermark: Some(parse_instant("2026-07-02T06:00:00Z").unwrap()),
            rejected: vec![RejectedCount { target: "access_log".into(), reason: "bad_json<script>".into(), count: 38 }],
            unattributed: vec![UnattributedCount { meter_id: "m".into(), reason: "link_conflict".into(), count: 77 }],
            pin: r#"{"demo/access/1":{"0":5}}"#.to_owned(),
        },
    }
}

#[test]
fn the_page_says_its_figures_and_what_could_change_them() {
    let html = funnel_html(&report()).unwrap();
    assert_self_contained(&html);
    for text in [
        ">39<",
        ">31<",
        ">8<",
        "79.48 %",
        "4.0 days",
        "39 registered = 31 sandbox + 8 that stopped",
        "Strict order &amp; no limit",
        "As of 2026-07-02T06:00:00Z",
        "have reached this instant",
        "bad_json&lt;script&gt;",
        ">38<",
        "link_conflict",
        ">77<",
        "{&quot;demo/access/1&quot;:{&quot;0&quot;:5}}",
        "1 internal or test",
        "The last week is not over",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert_eq!(html.matches("<svg").count(), 2);
}

#[test]
fn a_page_before_its_data_says_so() {
    for watermark in [None, Some(parse_instant("2026-07-02T05:59:59Z").unwrap())] {
        let mut report = report();
        report.completeness.watermark = watermark;
        report.steps.clear();
        report.weeks.clear();
        report.completeness.rejected.clear();
        report.completeness.unattributed.clear();
        let html = funnel_html(&report).unwrap();
        assert!(html.contains("have not reached this instant") && html.contains("run tollbook aggregate"));
    }
}

#[test]
fn weeks_begin_on_monday_and_have_no_gap() {
    for (instants, as_of, weeks) in [
        (vec![], "2026-06-07T23:59:59Z", vec![]),
        (vec!["2026-06-01T00:00:00Z", "2026-06-07T23:59:59Z"], "2026-06-07T23:59:59Z", vec!["2026-06-01 2"]),
        // Weeks after the last registration are there too, and nothing after the instant counts.
        (
            vec!["2026-06-16T00:00:00Z", "2026-06-07T12:00:00Z", "2026-06-23T00:00:00Z"],
            "2026-06-22T00:00:00Z",
            vec!["2026-06-01 1", "2026-06-08 0", "2026-06-15 1", "2026-06-22 0"],
        ),
        (vec!["2027-01-01T00:00:00Z"], "2027-01-01T00:00:00Z", vec!["2026-12-28 1"]),
    ] {
        let instants: Vec<_> = instants.iter().map(|text| parse_instant(text).unwrap()).collect();
        let found = weeks_of(&instants, parse_instant(as_of).unwrap());
        let found: Vec<String> = found.iter().map(|week| format!("{} {}", week.monday, week.registered)).collect();
        assert_eq!(found, weeks);
    }
}
