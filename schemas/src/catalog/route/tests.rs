use super::*;
use crate::catalog::{CatalogFile, Problem};

fn parse(text: &str) -> Result<Catalog, Vec<Problem>> {
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text: text.into() }])
}

/// Products `p0`, `p1`… each with the keys of one rule, or with `routes`.
fn products(rules: &[&str]) -> String {
    let product = |(at, keys): (usize, &&str)| {
        let keys = if keys.starts_with("routes") { (*keys).to_owned() } else { format!("[[product.rule]]\n{keys}") };
        format!("[[product]]\nid = \"p{at}\"\nname = \"P\"\n{keys}\n")
    };
    rules.iter().enumerate().map(product).collect()
}

/// Reads `METHOD host path key=value… hint:ID`; a dash is what is not there.
fn request(text: &str) -> Request<'_> {
    let mut words = text.split(' ');
    let mut part = || words.next().filter(|word| *word != "-");
    let mut request = Request { method: part(), host: part(), path: part(), ..Request::default() };
    for word in words {
        match (word.split_once('='), word.strip_prefix("hint:")) {
            (Some((key, value)), _) => drop(request.attributes.insert(key, value)),
            (None, hint) => request.product_hint = hint,
        }
    }
    request
}

const ROUTE: &str = "route = \"/maps/\"";
const LONGER: &str = "route = \"/maps/tiles/\"";
const HOST: &str = "host = \"api.example.com\"";
const ENDING: &str = "host = \"*.example.com\"";

/// Each row: rules, one for each product; a request; the product.
#[test]
fn the_more_specific_rule_decides() {
    for (rules, text, wanted) in [
        (&[ROUTE][..], "GET h /maps/1", Some("p0")),
        (&[ROUTE], "GET h /Maps/1", None),
        (&[ROUTE], "GET h /maps", None),
        (&[ROUTE], "GET h -", None),
        (&["routes = [\"/maps/\", \"/m/\"]"], "GET h /m/1", Some("p0")),
        (&[ROUTE, LONGER], "GET h /maps/tiles/1", Some("p1")),
        (&[LONGER, ROUTE], "GET h /maps/tiles/1", Some("p0")),
        (&[LONGER, ROUTE], "GET h /maps/1", Some("p1")),
        // Hosts: as written, in capitals, with a port; an ending needs something before it.
        (&[HOST], "- api.example.com -", Some("p0")),
        (&[HOST], "- API.Example.com:8443 /x", Some("p0")),
        (&[HOST], "- api.example.org /x", None),
        (&[HOST], "- - /x", None),
        (&[ENDING], "- a.b.example.com /x", Some("p0")),
        (&[ENDING], "- example.com /x", None),
        (&[ENDING], "- myexample.com /x", None),
        // A host goes before a route, an exact one before an ending, a longer ending before a shorter one.
        (&[ENDING, HOST], "- api.example.com /x", Some("p1")),
        (&[ENDING, HOST], "- eu.example.com /x", Some("p0")),
        (&[ENDING, "host = \"*.eu.example.com\""], "- a.eu.example.com /x", Some("p1")),
        (&[ENDING, LONGER], "- a.example.com /maps/tiles/1", Some("p0")),
        (&[HOST, "host = \"*.example.com\"\nroute = \"/maps/\""], "- api.example.com /maps/1", Some("p0")),
        (&[HOST, "host = \"api.example.com\"\nroute = \"/m\""], "- api.example.com /maps/1", Some("p1")),
        // A method, in any letters, before tags; both behind the route.
        (&[ROUTE, "route = \"/maps/\"\nmethod = [\"GET\", \"HEAD\"]"], "get h /maps/1", Some("p1")),
        (&[ROUTE, "route = \"/maps/\"\nmethod = [\"GET\", \"HEAD\"]"], "POST h /maps/1", Some("p0")),
        (&[ROUTE, "route = \"/maps/\"\nmethod = [\"GET\"]"], "- h /maps/1", Some("p0")),
        (&[LONGER, "route = \"/maps/\"\nmethod = [\"GET\"]"], "GET h /maps/tiles/1", Some("p0")),
        (&["tag = { tier = \"gold\" }", "method = [\"GET\"]"], "GET h / tier=gold", Some("p1")),
        (&["tag = { tier = \"gold\" }", "method = [\"GET\"]"], "PUT h / tier=gold", Some("p0")),
        (&["tag = { tier = \"gold\" }"], "PUT h / tier=Gold", None),
        (&["tag = { tier = \"gold\" }"], "PUT h /", None),
        (
            &["tag = { tier = \"gold\" }", "tag = { tier = \"gold\", zone = \"eu\" }"],
            "- h / tier=gold zone=eu",
            Some("p1"),
        ),
        (&["tag = { tier = \"gold\" }", "tag = { tier = \"gold\", zone = \"eu\" }"], "- h / tier=gold", Some("p0")),
        // The gateway's word, where it names a product.
        (&[ROUTE, HOST], "GET api.example.com /maps/1 hint:p0", Some("p0")),
        (&[ROUTE, HOST], "GET api.example.com /maps/1 hint:px", Some("p1")),
        (&["routes = []"], "GET h /x hint:p0", Some("p0")),
        (&["routes = []"], "GET h /x", None),
    ] {
        let catalog = parse(&products(rules)).unwrap_or_else(|problems| panic!("{rules:?}: {problems:#?}"));
        let product_rules = catalog.product_rules();
        let found = product_rules.product_of(&request(text));
        assert_eq!(found.map(ProductId::as_str), wanted, "{rules:?}: {text}");
    }
}

/// Each row: two rules of two products; whether some request fits both and neither is more specific.
#[test]
fn what_leaves_the_product_open_is_refused_with_both_places() {
    for (one, other, is_open) in [
        (ROUTE, ROUTE, true),
        ("routes = [\"/maps/\"]", ROUTE, true),
        (ROUTE, "route = \"/mapx/\"", false),
        (ROUTE, LONGER, false),
        (HOST, HOST, true),
        (HOST, "host = \"eu.example.com\"", false),
        (ENDING, ENDING, true),
        (ENDING, "host = \"*.example.org\"", false),
        ("method = [\"GET\"]", "method = [\"GET\", \"POST\"]", true),
        ("method = [\"GET\"]", "method = [\"POST\"]", false),
        ("tag = { tier = \"gold\" }", "tag = { tier = \"gold\" }", true),
        ("tag = { tier = \"gold\" }", "tag = { tier = \"silver\" }", false),
        // A request can have both attributes.
        ("tag = { tier = \"gold\" }", "tag = { zone = \"eu\" }", true),
        ("tag = { tier = \"gold\" }", "tag = { tier = \"gold\", zone = \"eu\" }", false),
        ("route = \"/m\"\nmethod = [\"GET\"]", "route = \"/m\"\nmethod = [\"GET\"]\ntag = { a = \"b\" }", false),
        ("host = \"a.b\"\nroute = \"/m\"", "host = \"a.b\"\nroute = \"/n\"", false),
    ] {
        let text = products(&[one, other]);
        match parse(&text) {
            Ok(_) => assert!(!is_open, "{one} and {other}"),
            Err(problems) => {
                let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
                assert!(is_open, "{one} and {other}: {problem}");
                let second = text.matches('\n').count() - other.matches('\n').count() - 1;
                assert!(problem.line >= second && problem.what.contains("product p0"), "{problem}");
                let names_first = (3..=4).any(|line| problem.what.contains(&format!("at c.toml:{line}")));
                assert!(names_first, "{problem}");
            }
        }
        // Rules of one product may say the same.
        let (one, other) = (one.replace("routes = [\"/maps/\"]", ROUTE), other);
        let text =
            format!("[[product]]\nid = \"p\"\nname = \"P\"\n[[product.rule]]\n{one}\n[[product.rule]]\n{other}\n");
        parse(&text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    }
}

/// Each row: the keys of a product, and the words of what is wrong with them.
#[test]
fn every_mistake_of_a_rule_is_told() {
    for (keys, words) in [
        (
            "routes = []\n[[product]]\nid = \"unmapped\"\nname = \"U\"\nroutes = []",
            "the word for requests of no product",
        ),
        ("", "a product needs routes"),
        ("rule = 1", "expected [[product.rule]]"),
        ("[product.rule]\nroute = \"/\"", "expected [[product.rule]]"),
        ("[[product.rule]]", "says nothing"),
        ("[[product.rule]]\nroute = \"maps\"", "must start with '/'"),
        ("[[product.rule]]\nrout = \"/maps\"", "unknown field `rout`"),
        ("[[product.rule]]\nhost = \"API.example.com\"", "in small letters"),
        ("[[product.rule]]\nhost = \"api.example.com:80\"", "without a port"),
        ("[[product.rule]]\nhost = \"*\"", "neither a host name"),
        ("[[product.rule]]\nhost = \"a.*.com\"", "neither a host name"),
        ("[[product.rule]]\nhost = \"a..com\"", "neither a host name"),
        ("[[product.rule]]\nmethod = []", "methods in capitals"),
        ("[[product.rule]]\nmethod = [\"get\"]", "methods in capitals"),
        ("[[product.rule]]\nmethod = \"GET\"", "a list of texts"),
        ("[[product.rule]]\ntag = {}", "names no attribute"),
        ("[[product.rule]]\ntag = { tier = 1 }", "text in quotes"),
    ] {
        let problems = parse(&format!("[[product]]\nid = \"p\"\nname = \"P\"\n{keys}\n")).unwrap_err();
        let told = problems.iter().any(|p| format!("{p}").contains(words));
        assert!(told && problems.len() == 1, "{keys}: {problems:#?}");
    }
}

#[test]
fn a_rule_is_told_in_one_line() {
    let text = products(&["host = \"*.a.b\"\nroute = \"/m\"\nmethod = [\"POST\", \"GET\"]\ntag = { t = \"1\" }"]);
    let rule = parse(&text).unwrap().products.into_values().next().unwrap().rules.remove(0);
    assert_eq!(rule.to_string(), "GET, POST *.a.b/m with t = \"1\"");
}

/// Over all pairs of catalogs with two of these rules, and all requests that are any different to them: a request whose
/// product is another one by the second is of a changed product by both.
#[test]
fn a_request_of_another_product_is_of_a_changed_one() {
    const EU: &str = "host = \"*.eu.example.com\"";
    const GET: &str = "route = \"/maps/\"\nmethod = [\"GET\"]";
    const GOLD: &str = "tag = { tier = \"gold\" }";
    const POOL: [&str; 8] = [ROUTE, LONGER, HOST, ENDING, EU, GET, GOLD, "route = \"/m/\""];
    let catalogs: Vec<Catalog> = POOL
        .iter()
        .flat_map(|first| POOL.iter().map(|second| [*first, *second]))
        .filter_map(|rules| parse(&products(&rules)).ok())
        .collect();
    assert!(catalogs.len() > 40, "{}", catalogs.len());
    let hosts = ["api.example.com", "eu.example.com", "a.eu.example.com", "h"];
    let rest = ["/maps/1", "/maps/tiles/1", "/m/1", "/maps/1 tier=gold", "/x tier=gold", "/x"];
    let mut requests = Vec::new();
    for method in ["GET", "PUT"] {
        for host in hosts {
            requests.extend(rest.map(|rest| format!("{method} {host} {rest}")));
        }
    }
    let (mut moved, mut unmoved) = (0, 0);
    for then in &catalogs {
        for now in &catalogs {
            let (then, now) = (then.product_rules(), now.product_rules());
            let changed = then.changed_products(&now);
            assert_eq!(changed, now.changed_products(&then));
            for text in &requests {
                let request = request(text);
                let products = [then.product_of(&request), now.product_of(&request)];
                if products[0] != products[1] {
                    moved += 1;
                    assert!(products.into_iter().flatten().all(|product| changed.contains(product)), "{text}");
                } else {
                    unmoved += usize::from(products[0].is_some_and(|product| !changed.contains(product)));
                }
            }
        }
    }
    assert!(moved > 1000 && unmoved > 1000, "{moved} {unmoved}");
}
