use tollbook_schemas::catalog::{CatalogFile, Problem};

use super::*;

fn meter(value: &str, filter: &str) -> String {
    format!(
        "[[meter]]\nid = \"m\"\nname = \"M\"\nunit = \"u\"\naggregation = \"sum\"\nvalue = {value:?}\nfilter = {filter:?}\n"
    )
}

fn problems(value: &str, filter: &str) -> Vec<Problem> {
    problems_of(&meter(value, filter))
}

fn problems_of(text: &str) -> Vec<Problem> {
    let catalog = Catalog::parse(&[CatalogFile { path: "m.toml".into(), text: text.into() }]).unwrap();
    let problem = |error| match error {
        AggregateError::Meter(problem) => *problem,
        other => panic!("{other}"),
    };
    check_meters(&catalog).into_iter().map(problem).collect()
}

/// Where nothing is wrong with the meters, their queries can be planned.
fn assert_planned(text: &str) {
    assert_eq!(problems_of(text), [], "{text}");
    let catalog = Catalog::parse(&[CatalogFile { path: "m.toml".into(), text: text.into() }]).unwrap();
    assert!(check_queries(&catalog).is_empty(), "{:?}", check_queries(&catalog));
}

fn underlined(problem: &Problem) -> String {
    problem.text.chars().skip(problem.column - 1).take(problem.end - problem.column).collect()
}

#[test]
fn right_expressions_are_taken() {
    for value in [
        "attributes['tokens']",
        "response_bytes",
        "try_cast(attributes['n'] as decimal(30, 6)) * 2",
        "try_cast(latency_us as decimal(18, 0)) * try_cast(response_bytes as decimal(18, 0))",
        "try_cast(request_bytes as decimal(18, 0)) + try_cast(response_bytes as decimal(18, 0))",
        "coalesce(try_cast(attributes['n'] as decimal(38, 12)), 0)",
        "case when status = 200 then try_cast(attributes['n'] as decimal(18, 3)) * 2 else 0 end",
    ] {
        assert_eq!(problems(value, "status between 200 and 299"), [], "{value}");
    }
    for filter in [
        "response_bytes / nullif(request_bytes, 0) < 100",
        "response_bytes / 1024 > 2",
        "status / 100 = 2 and status % 100 <> 4",
        "response_bytes > 1.5",
        "status in (200, '201') and path ~ '^/maps'",
        "date_part('hour', occurred_at) < 8",
        "substr(path, 1, 3) = '/v1'",
        "try_cast(attributes['n'] as decimal(38, 12)) > 3",
        "occurred_at >= '2026-06-01T00:00:00Z'",
        "path like '/maps/%' and lower(method) = 'get'",
        "regexp_like(path, '^/v[0-9]+/') and split_part(path, '/', 3) <> 'x'",
        "starts_with(path, attributes['prefix']) or contains(path, attributes['part'])",
        "length(path) < 100 and left(path, 3) = '/v1' and coalesce(attributes['tier'], 'none') <> 'free'",
        "date_trunc('hour', occurred_at) <> '2026-06-01T00:00:00Z'",
        "floor(latency_us / 1000.0) > 3",
        "response_bytes > 1024 * 1024 - 1",
        "cast(status as varchar) like '2%'",
        "occurred_at >= timestamp '2026-06-01 00:00:00' and occurred_at < cast('2026-07-01' as date)",
        "try_cast(attributes['n'] as decimal(18, 3)) / 1000 > 2 and try_cast(attributes['n'] as decimal(18, 3)) % 7 = 0",
        "try_cast(attributes['n'] as decimal(18, 3)) > response_bytes and status < response_bytes",
        "try_cast(attributes['n'] as decimal(18, 3)) > try_cast(attributes['m'] as decimal(30, 0))",
        "status <> -1 and status & 1 = 0",
    ] {
        assert_eq!(problems("response_bytes", filter), [], "{filter}");
    }
}

/// Every aggregation that takes a number takes exact ones alone; a distinct one may be anything.
#[test]
fn what_wraps_or_is_not_exact_is_refused_whatever_is_made_of_it() {
    let of = |aggregation: &str, value: &str| {
        problems_of(&format!(
            "[[meter]]\nid = \"m\"\nname = \"M\"\nunit = \"u\"\naggregation = \"{aggregation}\"\nvalue = {value:?}\n"
        ))
    };
    for aggregation in ["sum", "sum_by_event", "min", "max", "avg", "latest", "time_weighted"] {
        for (value, words) in [
            ("response_bytes * 184467440737095517", "wraps in silence"),
            ("latency_us / 1000.0", "not exact"),
            ("latency_us / 1000", "drops what is left"),
            ("try_cast(latency_us as decimal(18, 0)) / 1000000000", "drops what is left"),
        ] {
            let found = of(aggregation, value);
            assert!(found.len() == 1 && found[0].what.contains(words), "{aggregation} {value}: {found:?}");
        }
    }
    assert_eq!(of("unique", "path"), []);
    assert_eq!(of("sum", "length(path)"), []);
    assert_eq!(of("unique", "latency_us / 1000"), []);
    assert_eq!(of("unique", "random()").len(), 1);
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
        ("response_bytes / 1000", "true", 6, "response_bytes / 1000", "divides, which drops what is left"),
        (
            "try_cast(response_bytes * 0.1 as decimal(38, 12))",
            "true",
            6,
            "try_cast(response_bytes * 0.1 as decimal(38, 12))",
            "not exact",
        ),
        ("path", "true", 6, "path", "is a text, expected a number"),
        ("status = 200", "true", 6, "status = 200", "is Boolean, expected a number"),
        (
            "try_cast(random() * 10 as decimal(38, 12))",
            "true",
            6,
            "random",
            "calls random, whose answer is another one each time",
        ),
        ("response_bytes", "random() < 0.5", 7, "random", "no invoice could be derived again"),
        ("response_bytes", "occurred_at > now()", 7, "now", "calls now, whose answer"),
        ("response_bytes", "count(*) > 1", 7, "count", "calls count, which is about many requests"),
        (
            "response_bytes",
            "row_number() over () = 1",
            7,
            "row_number",
            "calls row_number, which is about many requests",
        ),
        ("response_bytes", "status in (select status from access_log)", 7, "select", "asks a table"),
        (
            "response_bytes",
            "status = 200 as is_ok",
            7,
            "is_ok",
            "gives itself the name is_ok, expected an expression alone",
        ),
        ("attributes", "true", 6, "attributes", "is a map, expected one value"),
        ("response_bytes", "method = \"GET\"", 7, "GET", "did you mean the text 'GET'? texts stand in single quotes"),
        (
            "response_bytes",
            "response_bytes * 9223372036854775807 > 0",
            7,
            "response_bytes * 9223372036854775807 > 0",
            "wraps in silence",
        ),
        ("response_bytes", "status = 'abc'", 7, "status = 'abc'", "abc"),
        ("response_bytes", "status in (200, 'ok')", 7, "status in (200, 'ok')", "ok"),
        (
            "response_bytes",
            "status between '200' and 'x'",
            7,
            "status between '200' and 'x'",
            "stops everybody's usage",
        ),
        ("response_bytes", "occurred_at > 'yesterday'", 7, "occurred_at > 'yesterday'", "yesterday"),
        ("response_bytes", "path ~ '(['", 7, "path ~ '(['", "stops everybody's usage"),
        ("response_bytes", "path ~ '('", 7, "path ~ '('", "stops everybody's usage"),
        ("response_bytes", "date_part('hourz', occurred_at) = 1", 7, "date_part('hourz', occurred_at) = 1", "hourz"),
        ("response_bytes", "factorial(status) > 1", 7, "factorial(status) > 1", "not known to answer every request"),
        // What one caller can send, and what it does to everybody.
        (
            "try_cast(latency_us as decimal(38, 12)) * try_cast(response_bytes as decimal(38, 12))",
            "true",
            6,
            "try_cast(latency_us as decimal(38, 12)) * try_cast(response_bytes as decimal(38, 12))",
            "may come to 76 digits, of which 38 fit",
        ),
        (
            "try_cast(attributes['n'] as decimal(38, 12)) * 2",
            "true",
            6,
            "try_cast(attributes['n'] as decimal(38, 12)) * 2",
            "may come to 39 digits",
        ),
        // What the engine makes of a side on the way may not fit where the result does.
        (
            "response_bytes",
            "try_cast(attributes['n'] as decimal(36, 12)) / 2 > 1",
            7,
            "try_cast(attributes['n'] as decimal(36, 12)) / 2 > 1",
            "may come to 40 digits, of which 38 fit",
        ),
        (
            "response_bytes",
            "try_cast(attributes['a'] as decimal(38, 1)) % try_cast('0.75' as decimal(3, 2)) > 1",
            7,
            "try_cast(attributes['a'] as decimal(38, 1)) % try_cast('0.75' as decimal(3, 2)) > 1",
            "may come to 39 digits, of which 38 fit",
        ),
        (
            "response_bytes",
            "try_cast(attributes['a'] as decimal(38, 0)) > try_cast(attributes['b'] as decimal(18, 3))",
            7,
            "try_cast(attributes['a'] as decimal(38, 0)) > try_cast(attributes['b'] as decimal(18, 3))",
            "makes decimal(38, 3) of decimal(38, 0), which fails on the first number that is too large",
        ),
        (
            "coalesce(try_cast(attributes['a'] as decimal(38, 0)), try_cast(attributes['b'] as decimal(18, 3)))",
            "true",
            6,
            "coalesce(try_cast(attributes['a'] as decimal(38, 0)), try_cast(attributes['b'] as decimal(18, 3)))",
            "makes decimal(38, 3) of decimal(38, 0)",
        ),
        (
            "try_cast(attributes['n'] as decimal(38, 12)) - 1",
            "true",
            6,
            "try_cast(attributes['n'] as decimal(38, 12)) - 1",
            "may come to 39 digits",
        ),
        (
            "response_bytes",
            "round(try_cast(latency_us as decimal(18, 3)), 2) > 3",
            7,
            "round(try_cast(latency_us as decimal(18, 3)), 2) > 3",
            "calls round of a number that is not floating-point",
        ),
        ("response_bytes", "chr(latency_us) = 'y'", 7, "chr(latency_us) = 'y'", "calls chr"),
        ("response_bytes", "lpad(path, latency_us, 'x') = 'y'", 7, "lpad(path, latency_us, 'x') = 'y'", "calls lpad"),
        ("response_bytes", "repeat(path, status) = 'y'", 7, "repeat(path, status) = 'y'", "calls repeat"),
        ("response_bytes", "lcm(latency_us, 7) = 7", 7, "lcm(latency_us, 7) = 7", "calls lcm"),
        (
            "response_bytes",
            "substr(path, 1, try_cast(attributes['n'] as bigint)) = 'x'",
            7,
            "substr(path, 1, try_cast(attributes['n'] as bigint)) = 'x'",
            "calls substr with what a caller sent",
        ),
        ("response_bytes", "path ~ attributes['re']", 7, "path ~ attributes['re']", "takes a pattern from the request"),
        (
            "response_bytes",
            "regexp_like(path, attributes['re'])",
            7,
            "regexp_like(path, attributes['re'])",
            "takes a pattern from the request",
        ),
        ("response_bytes", "substr(path, 1, -1) = 'a'", 7, "substr(path, 1, -1) = 'a'", "stops everybody's usage"),
        (
            "response_bytes",
            "response_bytes > 9223372036854775807 * 2",
            7,
            "response_bytes > 9223372036854775807 * 2",
            "wraps in silence",
        ),
        ("response_bytes", "occurred_at >= cast('June' as date)", 7, "occurred_at >= cast('June' as date)", "June"),
        ("cast(latency_us as int)", "true", 6, "cast", "use try_cast"),
        ("request_bytes + response_bytes", "true", 6, "request_bytes + response_bytes", "wraps in silence"),
        ("cast(attributes['n'] as bigint)", "true", 6, "cast", "use try_cast"),
        ("response_bytes", "1 < CAST(attributes['cast'] as bigint)", 7, "CAST", "use try_cast"),
    ] {
        let found = problems(value, filter);
        let [problem] = found.as_slice() else { panic!("{value} {filter}: {found:#?}") };
        assert!(problem.to_string().contains(words), "{value} {filter}: {problem}");
        assert!(!problem.to_string().contains("DataFusion"), "whose engine it is, is no matter: {problem}");
        assert_eq!((problem.line, underlined(problem).as_str()), (line, part), "{}", problem.shown());
        let before = problem.text.chars().nth(problem.column - 2);
        assert_ne!(before, Some('\''), "not the text: {}", problem.shown());
        assert!(problem.what.starts_with("meter m: "), "{problem}");
    }
}

/// Each row is a condition with more than one fault: all of them are told at once.
#[test]
fn all_faults_of_an_expression_are_told() {
    for (filter, words) in [
        ("status + 1", vec!["wraps in silence", "is Int64, expected a condition"]),
        ("response_bytes / request_bytes", vec!["may be 0", "is Int64, expected a condition"]),
        ("cast(path as bigint) + 1", vec!["wraps in silence", "use try_cast", "is Int64, expected a condition"]),
    ] {
        let found: Vec<String> = problems("response_bytes", filter).iter().map(ToString::to_string).collect();
        let is_told = |(problem, words): (&String, &&str)| problem.contains(words);
        assert!(found.len() == words.len() && found.iter().zip(&words).all(is_told), "{filter}: {found:#?}");
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

/// What ends in a comment, or is as large as may be, is a part of our queries as anything else.
#[test]
fn what_is_taken_can_be_asked() {
    let many = |count: usize| vec!["consumer = 'a'"; count].join(" or ");
    let listed = format!("consumer in ({})", vec!["'a'"; 300].join(", "));
    let nested = |levels: usize| format!("{}status = 200{}", "(".repeat(levels), ")".repeat(levels));
    for filter in ["status = 200 -- only these", "status = 200 /* these */", &many(129), &listed, &nested(30)] {
        assert_planned(&meter("response_bytes -- all of them", filter));
    }
    for (filter, words) in [
        (many(130), "joins more than 128 parts"),
        (many(5_000), "joins more than 128 parts"),
        (format!("case {} end", vec!["when status = 1 then true"; 1_000].join(" ")), "joins more than 128 parts"),
        (nested(46), "nested too deeply"),
        (format!("{}status = 200", "not ".repeat(44)), "nested too deeply"),
        (nested(60), "nested too deeply"),
    ] {
        let found = problems("response_bytes", &filter);
        assert!(found.len() == 1 && found[0].what.contains(words), "{filter:.60}: {found:?}");
    }
    // A dimension and a distinct value are texts.
    let of = |aggregation: &str, value: &str, region: &str| {
        format!(
            "[[meter]]\nid = \"m\"\nname = \"M\"\nunit = \"u\"\naggregation = \"{aggregation}\"\nvalue = {value:?}\n\
             group_by = {{ region = {region:?} }}\n"
        )
    };
    assert_planned(&of("unique", "path -- whole", "attributes['region'] -- its own"));
    let found = problems_of(&of("unique", "attributes", "attributes"));
    assert_eq!(found.iter().map(|problem| problem.line).collect::<Vec<_>>(), [6, 7], "{found:?}");
}

/// Each kind of meter and rule is asked over the very columns that a refresh has.
#[test]
fn what_the_queries_ask_for_is_there() {
    let mut text = String::new();
    for (at, (aggregation, value)) in [
        ("count", ""),
        ("sum", "value = \"response_bytes\""),
        ("avg", "value = \"response_bytes\""),
        ("min", "value = \"response_bytes\""),
        ("latest", "value = \"response_bytes\""),
        ("time_weighted", "value = \"response_bytes\""),
        ("sum_by_event", "value = \"response_bytes\""),
        ("unique", "value = \"path\""),
        ("percentile", "value = \"latency_us\"\npercentile = \"95\"\nmethod = \"nearest_rank\""),
    ]
    .iter()
    .enumerate()
    {
        text += &format!(
            "[[meter]]\nid = \"m{at}\"\nname = \"M\"\nunit = \"u\"\naggregation = \"{aggregation}\"\n{value}\nfilter = \"status = 200\"\n\
             group_by = {{ region = \"attributes['region']\" }}\nexclude = [\"health_checks\", \"cache_hits\", \"retries\", \"try_it\", \
             \"internal_partners\", \"test_partners\"]\n"
        );
    }
    assert_planned(&text);
}

/// What the queries alone refuse is told at its place.
#[test]
fn what_no_query_can_ask_is_told_with_its_place() {
    let text =
        format!("{}group_by = {{ all = \"attributes\", one = \"path\" }}\n", meter("response_bytes", "status = 200"));
    let catalog = Catalog::parse(&[CatalogFile { path: "m.toml".into(), text }]).unwrap();
    let found = check_queries(&catalog);
    let [AggregateError::Meter(problem)] = &found[..] else { panic!("{found:?}") };
    assert!(problem.what.contains("group_by.all cannot be used in a query"), "{}", problem.what);
    assert_eq!((problem.line, underlined(problem).as_str()), (8, "attributes"));
}
