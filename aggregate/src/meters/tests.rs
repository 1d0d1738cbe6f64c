use tollbook_schemas::catalog::{CatalogFile, Problem};

use super::*;

fn problems(value: &str, filter: &str) -> Vec<Problem> {
    let text = format!(
        "[[meter]]\nid = \"m\"\nname = \"M\"\nunit = \"u\"\naggregation = \"sum\"\nvalue = {value:?}\nfilter = {filter:?}\n"
    );
    problems_of(&text)
}

fn problems_of(text: &str) -> Vec<Problem> {
    let catalog = Catalog::parse(&[CatalogFile { path: "m.toml".into(), text: text.into() }]).unwrap();
    let problem = |error| match error {
        AggregateError::Meter(problem) => *problem,
        other => panic!("{other}"),
    };
    check_meters(&catalog).into_iter().map(problem).collect()
}

fn underlined(problem: &Problem) -> String {
    problem.text.chars().skip(problem.column - 1).take(problem.end - problem.column).collect()
}

#[test]
fn right_expressions_are_taken() {
    for value in ["attributes['tokens']", "response_bytes", "try_cast(attributes['n'] as decimal(38, 12)) * 2"] {
        assert_eq!(problems(value, "status between 200 and 299"), [], "{value}");
    }
    for filter in [
        "response_bytes / nullif(request_bytes, 0) < 100",
        "response_bytes / 1024 > 2",
        "try_cast(attributes['n'] as decimal(38, 12)) > 3",
        "occurred_at >= '2026-06-01T00:00:00Z'",
        "path like '/maps/%' and lower(method) = 'get'",
    ] {
        assert_eq!(problems("response_bytes", filter), [], "{filter}");
    }
}

/// Each row: a value, a filter, the line of the problem, what is underlined, and words of it.
#[test]
fn wrong_expressions_are_told_with_their_place() {
    for (value, filter, line, part, words) in [
        (
            "response_byte",
            "true",
            6,
            "response_byte",
            "value names response_byte, expected a column of access_log; did you mean response_bytes?",
        ),
        ("response_bytes", "status = 200 and stauts = 1", 7, "stauts", "did you mean status?"),
        ("response_bytes", "path = 'stauts' and stauts = 1", 7, "stauts", "did you mean status?"),
        ("response_bytes", "access_log.status = 200", 7, "status", "write status alone"),
        ("response_bytes", "quux = 200", 7, "quux", "describe access_log"),
        ("response_bytes", "status", 7, "status", "filter is Int32, expected a condition, which is true or false"),
        ("response_bytes", "status = 200; drop table usage", 7, ";", "found ;, expected end of expression"),
        ("response_bytes", "status betwixt 200", 7, "betwixt", "found betwixt, expected end of expression"),
        ("response_bytes", "path = 'a\\", 7, "'", "Unterminated string"),
        (
            "response_bytes +",
            "true",
            6,
            "response_bytes +",
            "value is no SQL expression: found EOF, expected an expression",
        ),
        ("response_bytes", "lenght(path) = 1", 7, "lenght", "Invalid function 'lenght'"),
        ("response_bytes", "attributes['n'] > 3", 7, "attributes['n'] > 3", "makes a number of a text"),
        (
            "response_bytes",
            "response_bytes / request_bytes < 100",
            7,
            "response_bytes / request_bytes < 100",
            "may be 0",
        ),
        ("response_bytes", "response_bytes % 0 = 1", 7, "response_bytes % 0 = 1", "may be 0"),
        (
            "response_bytes",
            "to_timestamp(attributes['exp']) > occurred_at",
            7,
            "to_timestamp(attributes['exp']) > occurred_at",
            "calls to_timestamp",
        ),
        ("response_bytes / 1073741824.0", "true", 6, "response_bytes / 1073741824.0", "not exact"),
        ("request_bytes + response_bytes", "true", 6, "request_bytes + response_bytes", "wraps in silence"),
        ("cast(attributes['n'] as bigint)", "true", 6, "cast", "use try_cast"),
        ("response_bytes", "1 < CAST(attributes['cast'] as bigint)", 7, "CAST", "use try_cast"),
    ] {
        let found = problems(value, filter);
        let [problem] = found.as_slice() else { panic!("{value} {filter}: {found:#?}") };
        assert!(problem.to_string().contains(words), "{value} {filter}: {problem}");
        assert_eq!((problem.line, underlined(problem).as_str()), (line, part), "{}", problem.shown());
        let before = problem.text.chars().nth(problem.column - 2);
        assert_ne!(before, Some('\''), "not the text: {}", problem.shown());
        assert!(problem.what.starts_with("meter m: "), "{problem}");
    }
}

#[test]
fn all_problems_of_all_meters_are_told() {
    let found = problems("response_byte", "stauts = 200");
    assert_eq!(found.iter().map(underlined).collect::<Vec<_>>(), ["response_byte", "stauts"]);
    let text = "[[meter]]\nid = \"m\"\nname = \"M\"\nunit = \"u\"\naggregation = \"count\"\n\
        filter = \"\"\"\nstatus = 200\n  and metod = 'GET'\"\"\"\ngroup_by = { region = \"regoin\" }\n";
    let found = problems_of(text);
    let told: Vec<_> = found.iter().map(|p| (p.line, underlined(p))).collect();
    assert_eq!(told, [(8, "metod".to_owned()), (9, "regoin".to_owned())]);
    assert!(found[0].mend.contains("did you mean method?"), "{}", found[0]);
}
