//! The product of a request as SQL over the columns of `access_log`: what `schemas/src/catalog/route.rs` decides, said
//! again for the engine. The test below compares the two on random rules and requests.
//!
//! Whatever of a request is null fits no rule that asks for it: a comparison with null is null, and `case` takes that
//! for false. The path is what the client wrote (`/maps/../reports/1`); the hint is the gateway's word.

use std::fmt::Write as _;

use tollbook_lake::as_text;
use tollbook_schemas::catalog::route::{Host, ProductRules, Rule};

/// The product of a request that no rule fits.
pub(crate) const UNMAPPED: &str = "unmapped";

/// An expression: the id of the request's product, or `unmapped`.
pub(crate) fn product_case(rules: &ProductRules) -> String {
    let mut case = String::new();
    for product in rules.products() {
        // Writing to a String cannot fail.
        let _ = write!(case, " when product_hint = {0} then {0}", as_text(product.as_str()));
    }
    for (product, rule) in rules.rules() {
        let _ = write!(case, " when {} then {}", condition(rule), as_text(product.as_str()));
    }
    let unmapped = as_text(UNMAPPED);
    if case.is_empty() { unmapped } else { format!("case{case} else {unmapped} end") }
}

/// A condition: whether a rule fits a request.
pub(crate) fn condition(rule: &Rule) -> String {
    let Rule { route, host, methods, tags } = rule;
    let mut parts = Vec::new();
    if let Some(host) = host {
        let name = "lower(split_part(host, ':', 1))";
        parts.push(match host {
            Host::Exact(exact) => format!("{name} = {}", as_text(exact)),
            Host::Ending(end) => format!("ends_with({name}, {})", as_text(end)),
        });
    }
    parts.extend(route.as_ref().map(|route| format!("starts_with(path, {})", as_text(route))));
    if !methods.is_empty() {
        let words: Vec<String> = methods.iter().map(|method| as_text(method)).collect();
        parts.push(format!("upper(method) in ({})", words.join(", ")));
    }
    parts.extend(tags.iter().map(|(key, value)| format!("attributes[{}] = {}", as_text(key), as_text(value))));
    format!("({})", parts.join(" and "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::array::AsArray as _;
    use datafusion::datasource::MemTable;
    use datafusion::execution::context::SessionContext;
    use tollbook_schemas::catalog::route::Request;
    use tollbook_schemas::catalog::{Catalog, CatalogFile};
    use tollbook_schemas::tables::{Row, access_log, batch_of};

    use super::*;

    /// Numbers from a seed: the same ones on every machine.
    struct Dice(u64);

    impl Dice {
        fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            words[usize::try_from(self.0 >> 33).unwrap() % words.len()]
        }
    }

    const HOSTS: &[&str] =
        &["", "", "API.a.com", "api.a.com:443", "eu.api.a.com", "a.com", "b.org", "xa.com", "[::1]:80", "ÄPI.a.com"];
    const PATHS: &[&str] = &["", "/", "/m", "/m/1", "/m/t/2", "/M/1", "/it's", "/n"];
    const METHODS: &[&str] = &["", "GET", "get", "Post", "PUT", "M-SEARCH"];
    const VALUES: &[&str] = &["", "1", "2", "it's"];
    const HINTS: &[&str] = &["", "", "", "", "p0", "p1", "px"];

    /// Keys of one rule, in TOML; the empty text where all dice say no.
    fn rule(dice: &mut Dice) -> String {
        let parts = [
            ("host", dice.one_of(&["", "", "\"api.a.com\"", "\"*.a.com\"", "\"*.api.a.com\"", "\"b.org\""])),
            ("route", dice.one_of(&["", "\"/\"", "\"/m\"", "\"/m/\"", "\"/m/t/\"", "\"/it's\""])),
            ("method", dice.one_of(&["", "", "[\"GET\"]", "[\"GET\", \"POST\"]", "[\"M-SEARCH\"]"])),
            (
                "tag",
                dice.one_of(&["", "", "{ k = \"1\" }", "{ k = \"2\", \"it's\" = \"it's\" }", "{ \"it's\" = \"1\" }"]),
            ),
        ];
        let given = parts.into_iter().filter(|(_, value)| !value.is_empty());
        given.map(|(key, value)| format!("{key} = {value}\n")).collect()
    }

    /// A catalog of products whose rules leave nothing open; none where the dice made others.
    fn catalog(dice: &mut Dice) -> Option<Catalog> {
        let mut text = String::new();
        for product in 0..4 {
            text += &format!("[[product]]\nid = \"p{product}\"\nname = \"P\"\nroutes = []\n");
            for _ in 0..2 {
                let rule = rule(dice);
                text += &if rule.is_empty() { rule } else { format!("[[product.rule]]\n{rule}") };
            }
        }
        Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).ok()
    }

    /// What a request says: hint, host, method, path, two attributes. The empty text is what is not there.
    type Said<'a> = [&'a str; 6];

    fn request<'a>([hint, host, method, path, one, other]: Said<'a>) -> Request<'a> {
        let given = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        let attributes = [("k", one), ("it's", other)].into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Request { product_hint: given(hint), host: given(host), method: given(method), path: given(path), attributes }
    }

    fn row(at: i64, said: Said<'_>) -> Row {
        let request = request(said);
        let text = |text: Option<&str>| text.map(str::to_owned);
        let attributes: BTreeMap<String, String> =
            request.attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let instant = chrono::DateTime::UNIX_EPOCH;
        let row = Row::new()
            .with("source", "test/web/1")
            .with("kafka_partition", 0_i32)
            .with("kafka_offset", at)
            .with("record_index", 0_i32)
            .with("kind", "request")
            .with("occurred_at", instant)
            .with("received_at", instant)
            .with("gateway", "gw")
            .with("event_id", format!("e{at}"))
            .with("product_hint", text(request.product_hint))
            .with("host", text(request.host))
            .with("method", text(request.method))
            .with("path", text(request.path))
            .with("id_basis", "gateway")
            .with("bytes_basis", "body")
            .with("time_basis", "start")
            .with("event_date", instant.date_naive());
        // A request without attributes has null, and not an empty map.
        if attributes.is_empty() { row } else { row.with("attributes", attributes) }
    }

    /// What the pure function says of a request is what the SQL says of its row.
    #[tokio::test]
    async fn the_sql_decides_as_the_rules_do() {
        let mut dice = Dice(7);
        let lists = [HINTS, HOSTS, METHODS, PATHS, VALUES, VALUES];
        let (mut catalogs, mut by_rule, mut unmapped) = (0, 0, 0);
        while catalogs < 60 {
            let Some(catalog) = catalog(&mut dice) else { continue };
            catalogs += 1;
            let rules = catalog.product_rules();
            let requests: Vec<Said<'_>> = (0..300).map(|_| lists.map(|words| dice.one_of(words))).collect();
            let rows: Vec<Row> = (0..).zip(&requests).map(|(at, said)| row(at, *said)).collect();
            let batch = batch_of(&access_log::TABLE, &rows).unwrap();
            let context = SessionContext::new();
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
            context.register_table("access_log", Arc::new(table)).unwrap();
            let sql = format!("select {} as product_id from access_log order by kafka_offset", product_case(&rules));
            let answer = context.sql(&sql).await.unwrap().collect().await.unwrap();
            let found: Vec<String> = answer
                .iter()
                .flat_map(|batch| {
                    let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
                    column.as_string::<i32>().iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>()
                })
                .collect();
            assert_eq!(found.len(), requests.len());
            for (said, found) in requests.iter().zip(&found) {
                let request = request(*said);
                let wanted = rules.product_of(&request).map_or(UNMAPPED, |product| product.as_str());
                assert_eq!(found, wanted, "{said:?} with {:#?}", rules.rules().collect::<Vec<_>>());
                unmapped += usize::from(wanted == UNMAPPED);
                by_rule += usize::from(wanted != UNMAPPED && request.product_hint.is_none());
            }
        }
        assert!(by_rule > 1_000 && unmapped > 1_000, "{by_rule} {unmapped}");
    }
}
