//! `catalog/catalog.schema.json`, which editors read, and the reader that this program has: neither may know a key or a
//! word that the other does not.

mod validator;

use std::collections::BTreeSet;

use serde_json::Value;

use validator::valid;

use super::{Aggregation, Catalog, CatalogFile, Exclusion, Problem};
use crate::period::cadence::{Anchor, Length};
use crate::price::named_conversions;
use crate::price::setting as words;
use crate::price::tariff::MODELS;

const SCHEMA: &str = include_str!("../../../catalog/catalog.schema.json");
const SAMPLE: &str = include_str!("../../../catalog/catalog.toml");

/// Everything before the prices of a plan.
const BASE: &str = r#"
[[issuer]]
id = "acme"
legal_name = "Acme"
address = []
number_prefix = "A-"
time_zone = "UTC"
payment_terms_days = 14
[[meter]]
id = "calls"
name = "Calls"
unit = "byte"
aggregation = "count"
group_by = { region = "attributes['region']" }
[[meter]]
id = "sales"
name = "Sales"
unit = "EUR"
aggregation = "sum_by_event"
value = "attributes['amount']"
[[plan]]
id = "pro"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Pro"
issuer = "acme"
currency = "EUR"
"#;

/// The least that a price of each model says beside its id, description and model.
const MODEL_ROWS: [(&str, &[&str]); 9] = [
    ("flat", &["amount"]),
    ("per_unit", &["meter", "unit_price"]),
    ("graduated", &["meter", "tiers"]),
    ("volume", &["meter", "tiers"]),
    ("package", &["meter", "package_size", "package_price"]),
    ("percentage", &["meter", "percent"]),
    ("graduated_percentage", &["meter", "tiers"]),
    ("matrix", &["meter", "dimensions", "cells"]),
    ("dynamic", &["meter"]),
];

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn definition(name: &str) -> Value {
    schema()["definitions"][name].clone()
}

fn read(text: &str) -> Result<Catalog, Vec<Problem>> {
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text: text.into() }])
}

/// What is wrong with a catalog by the schema.
fn judged(text: &str) -> Result<(), String> {
    let tree: toml::Value = toml::from_str(text).map_err(|error| error.to_string())?;
    let root = schema();
    valid(&root, &root, &serde_json::to_value(tree).unwrap(), "")
}

fn keys(properties: &Value) -> BTreeSet<String> {
    properties.as_object().unwrap().keys().cloned().collect()
}

fn enumerated(schema: &Value) -> BTreeSet<String> {
    schema["enum"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What the reader expects in the place of what it does not know.
fn expected(text: &str, what: &str) -> BTreeSet<String> {
    let problems = read(text).unwrap_err();
    let problem =
        problems.iter().find(|problem| problem.what.contains(what)).unwrap_or_else(|| panic!("{problems:#?}"));
    let list = problem.expected.as_deref().unwrap().trim_start_matches("one of ");
    list.split(", ").map(str::to_owned).collect()
}

/// A value of each key of a price that is right wherever the key is.
fn sample_of(model: &str, key: &str) -> &'static str {
    match key {
        // What looks at single events needs a meter that keeps them, which the schema cannot see.
        "meter" if model == "percentage" => r#""sales""#,
        "meter" => r#""calls""#,
        "tiers" if model == "graduated_percentage" => r#"[{ percent = "1" }]"#,
        "tiers" => r#"[{ up_to = "5", unit_price = "1" }, { flat_price = 2 }]"#,
        "dimensions" => r#"["region"]"#,
        "cells" => r#"[{ values = ["eu"], unit_price = "1" }]"#,
        "convert" => r#""bytes_to_gb""#,
        "round_quantity" => r#"{ direction = "up", digits = 2 }"#,
        "settings" => r#"{ limits = "after_discount" }"#,
        _ => r#""3.5""#,
    }
}

/// A catalog with one price: what its model needs, and further keys.
fn priced(model: &str, more: &[String]) -> String {
    let (_, needed) = MODEL_ROWS.iter().find(|(word, _)| *word == model).unwrap();
    let needed: Vec<String> = needed.iter().map(|key| format!("{key} = {}\n", sample_of(model, key))).collect();
    let head = format!("[[plan.price]]\nid = \"p\"\ndescription = \"P\"\nmodel = \"{model}\"\n");
    format!("{BASE}{head}{}{}\n", needed.concat(), more.join("\n"))
}

#[test]
fn every_sample_is_valid_and_names_the_schema() {
    for sample in [
        SAMPLE,
        include_str!("../../../simulate/src/catalog/issuers.toml"),
        include_str!("../../../simulate/src/catalog/products.toml"),
        include_str!("../../../simulate/src/catalog/meters.toml"),
        include_str!("../../../simulate/src/catalog/plans.toml"),
        include_str!("../../../tests/real/nginx/catalog.toml"),
    ] {
        assert_eq!(judged(sample), Ok(()));
    }
    assert!(SAMPLE.starts_with("#:schema ./catalog.schema.json\n"));
    read(SAMPLE).unwrap();
}

/// Each row is a table of the catalog with a key that nobody knows, `zz`, and where the schema has the table's keys.
#[test]
fn every_key_of_a_table_is_known_to_both() {
    let price =
        |rest: &str| format!("{BASE}[[plan.price]]\nid = \"p\"\ndescription = \"P\"\nmeter = \"calls\"\n{rest}");
    let entry = |section: &str| BASE.replacen(&format!("[[{section}]]"), &format!("[[{section}]]\nzz = 1"), 1);
    for (name, text, wanted) in [
        ("the file", format!("zz = 1\n{BASE}"), schema()),
        ("issuer", entry("issuer"), definition("issuer")),
        ("product", format!("{BASE}[[product]]\nid = \"p\"\nname = \"P\"\nroutes = []\nzz = 1"), definition("product")),
        (
            "rule",
            format!("{BASE}[[product]]\nid = \"p\"\nname = \"P\"\n[[product.rule]]\nroute = \"/\"\nzz = 1"),
            definition("rule"),
        ),
        (
            "sandbox",
            format!(
                "{BASE}[[product]]\nid = \"p\"\nname = \"P\"\nroutes = []\nsandbox = {{ product = \"p\", zz = 1 }}"
            ),
            definition("product")["properties"]["sandbox"].clone(),
        ),
        (
            "rate_limit",
            entry("plan").replace("zz = 1", "rate_limit = { requests = 1, per = \"s\", zz = 1 }"),
            definition("plan")["properties"]["rate_limit"].clone(),
        ),
        (
            "quota",
            entry("plan").replace("zz = 1", "quota = [{ meter = \"calls\", per_month = 1, zz = 1 }]"),
            definition("quota"),
        ),
        ("contract", format!("{BASE}price = []\n[[contract]]\nid = \"c\"\nzz = 1"), definition("contract")),
        (
            "minimum of a contract",
            format!("{BASE}price = []\n[[contract]]\nid = \"c\"\nminimum = {{ zz = 1 }}"),
            definition("contract")["properties"]["minimum"].clone(),
        ),
        (
            "commitment of a contract",
            format!("{BASE}price = []\n[[contract]]\nid = \"c\"\ncommitment = {{ zz = 1 }}"),
            definition("contract")["properties"]["commitment"].clone(),
        ),
        ("coupon", format!("{BASE}price = []\n[[coupon]]\nid = \"c\"\nzz = 1"), definition("coupon")),
        ("tax rate", format!("{BASE}price = []\n[[tax_rate]]\nid = \"vat\"\nzz = 1"), definition("tax_rate")),
        ("meter", entry("meter"), definition("meter")),
        (
            "meter with a preset",
            format!("{BASE}[[meter]]\nid = \"m\"\nname = \"M\"\nunit = \"u\"\npreset = \"bytes_out\"\nzz = 1"),
            definition("meter"),
        ),
        ("plan", entry("plan"), definition("plan")),
        ("tier", price("model = \"volume\"\ntiers = [{ unit_price = \"1\", zz = 1 }]"), definition("unit_tier")),
        (
            "percent tier",
            price("model = \"graduated_percentage\"\ntiers = [{ percent = \"1\", zz = 1 }]"),
            definition("percent_tier"),
        ),
        (
            "cell",
            price(
                "model = \"matrix\"\ndimensions = [\"region\"]\ncells = [{ values = [\"eu\"], unit_price = 1, zz = 1 }]",
            ),
            definition("cell"),
        ),
        (
            "convert",
            price("model = \"per_unit\"\nunit_price = 1\nconvert = { divide_by = 2, zz = 1 }"),
            definition("convert")["anyOf"][1].clone(),
        ),
        (
            "round_quantity",
            price("model = \"per_unit\"\nunit_price = 1\nround_quantity = { direction = \"up\", zz = 1 }"),
            definition("round_quantity"),
        ),
        ("settings", price("model = \"per_unit\"\nunit_price = 1\nsettings = { zz = 1 }"), definition("settings")),
    ] {
        assert_eq!(expected(&text, "unknown field `zz`"), keys(&wanted["properties"]), "{name}");
        assert_eq!(wanted["additionalProperties"], Value::Bool(false), "{name}");
        judged(&text).unwrap_err();
    }
}

/// Each model with each key that any model has: both take it, or both refuse it.
#[test]
fn every_key_of_a_price_is_taken_by_both_or_by_none() {
    assert_eq!(set(MODELS), set(&MODEL_ROWS.map(|(word, _)| word)));
    let known = |model: &str| expected(&priced(model, &["zz = 1".to_owned()]), "unknown field `zz`");
    let all: BTreeSet<String> = MODELS.iter().flat_map(|model| known(model)).collect();
    let fixed = ["id", "description", "model"];
    assert!(keys(&definition("price")["properties"]).is_subset(&all));
    let mut taken = 0;
    for (model, needed) in MODEL_ROWS {
        assert_eq!(judged(&priced(model, &[])), Ok(()), "{model}");
        for key in all.iter().filter(|key| !fixed.contains(&key.as_str()) && !needed.contains(&key.as_str())) {
            let value = if key == "free_events" { "3" } else { sample_of(model, key) };
            let text = priced(model, &[format!("{key} = {value}")]);
            assert_eq!(
                read(&text).is_ok(),
                judged(&text).is_ok(),
                "{model} with {key}: {:?} {:?}",
                read(&text),
                judged(&text)
            );
            taken += usize::from(read(&text).is_ok());
        }
        // Without one that it needs.
        for key in needed {
            let line = format!("{key} = {}\n", sample_of(model, key));
            let text = priced(model, &[]).replacen(&line, "", 1);
            assert!(read(&text).is_err() && judged(&text).is_err(), "{model} without {key}");
        }
    }
    assert!(taken > 50, "{taken}");
}

/// Each key of a plan and of a price stands in the section of `docs/catalog.md` that tells how to write one.
#[test]
fn every_key_of_a_plan_is_documented() {
    let page = include_str!("../../../docs/catalog.md");
    let (_, section) = page.split_once("\n## Plans and prices\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    for table in [
        definition("plan"),
        definition("price"),
        definition("unit_tier"),
        definition("percent_tier"),
        definition("cell"),
        definition("convert")["anyOf"][1].clone(),
        definition("round_quantity"),
        definition("settings"),
    ] {
        for key in keys(&table["properties"]) {
            assert!(section.contains(&format!("`{key}`")) || section.contains(&format!("{{ {key} = ")), "{key}");
        }
    }
}

#[test]
fn every_word_is_known_to_both() {
    let meter = definition("meter")["properties"].clone();
    assert_eq!(enumerated(&meter["aggregation"]), set(Aggregation::WORDS));
    let rules: Vec<&str> = Exclusion::ALL.iter().map(|rule| rule.as_str()).collect();
    assert_eq!(enumerated(&meter["exclude"]["items"]), set(&rules));
    let wrong = |line: &str| BASE.replacen("aggregation = \"count\"", line, 1);
    assert_eq!(enumerated(&meter["preset"]), expected(&wrong("preset = \"zz\""), "preset \"zz\" is not known"));
    let method = "aggregation = \"percentile\"\npercentile = \"95\"\nvalue = \"latency_us\"\nmethod = \"zz\"";
    assert_eq!(enumerated(&meter["method"]), expected(&wrong(method), "method \"zz\" is not known"));
    assert_eq!(enumerated(&definition("price")["properties"]["model"]), set(MODELS));
    let conversions: Vec<&str> = named_conversions().into_keys().collect();
    assert_eq!(enumerated(&definition("convert")["anyOf"][0]), set(&conversions));
    for direction in ["up", "down", "half_up", "half_even"] {
        let text = priced("per_unit", &[format!("round_quantity = {{ direction = \"{direction}\" }}")]);
        assert_eq!(read(&text).is_ok(), judged(&text).is_ok(), "{direction}");
    }
    for (key, words) in [("billing_period", Length::WORDS), ("anchor", Anchor::WORDS)] {
        assert_eq!(enumerated(&definition("plan")["properties"][key]), set(words));
        for word in words.iter().chain(&["zz"]) {
            let text =
                priced("flat", &[]).replacen("name = \"Pro\"", &format!("name = \"Pro\"\n{key} = \"{word}\""), 1);
            assert_eq!((read(&text).is_ok(), judged(&text).is_ok()), (*word != "zz", *word != "zz"), "{key} = {word}");
        }
    }
    for (key, words) in [
        ("zero_usage_first_tier_flat", words::ZeroUsageFirstTierFlat::WORDS),
        ("tier_edge", words::TierEdge::WORDS),
        ("package_remainder", words::PackageRemainder::WORDS),
        ("volume_before_end", words::VolumeBeforeEnd::WORDS),
        ("limits", words::Limits::WORDS),
        ("split_rounding", words::SplitRounding::WORDS),
        ("quantity_basis", words::QuantityBasis::WORDS),
        ("negative_total", words::NegativeTotal::WORDS),
        ("fixed_fee_at_zero_total", words::FixedFeeAtZeroTotal::WORDS),
        ("proration", words::Proration::WORDS),
        ("per", words::Per::WORDS),
        ("limits_in_part", words::LimitsInPart::WORDS),
        ("due", words::Due::WORDS),
        ("charged", words::Charged::WORDS),
    ] {
        let listed = enumerated(&definition("settings")["properties"][key]);
        assert!(listed.is_subset(&set(words)), "{key}: {listed:?}");
        for word in words {
            for model in MODELS {
                let text = priced(model, &[format!("settings = {{ {key} = \"{word}\" }}")]);
                assert_eq!(read(&text).is_ok(), judged(&text).is_ok(), "{key} = {word} of {model}");
            }
        }
    }
}

/// Each row is the rest of a contract: both refuse it, or both take it.
#[test]
fn contracts_are_taken_by_both_or_by_none() {
    let price = "price = [{ id = \"base\", description = \"B\", model = \"flat\", amount = 1 }]";
    for (rest, is_taken) in [
        (price.to_owned(), true),
        ("discount_percent = \"12.5\"".to_owned(), true),
        ("discount_percent = 0".to_owned(), false),
        ("minimum = { description = \"M\", amount = 500 }".to_owned(), true),
        ("commitment = { description = \"M\", amount = 500 }\nterm_months = 12".to_owned(), true),
        ("commitment = { description = \"M\", amount = 500 }".to_owned(), false),
        ("commitment = { amount = 500 }\nterm_months = 12".to_owned(), false),
        ("minimum = { description = \"M\" }".to_owned(), false),
        ("minimum = { description = \"M\", amount = 0 }".to_owned(), false),
        (String::new(), false),
        ("price = []".to_owned(), false),
        (format!("{price}\nends = \"2026-07-01T00:00:00Z\""), true),
        (format!("{price}\nterm_months = 12"), true),
        (format!("{price}\nterm_months = \"12\""), true),
        (format!("{price}\nterm_months = 0"), false),
        (format!("{price}\nterm_months = 1201"), false),
        (format!("{price}\nends = \"2026-07-01T00:00:00Z\"\nterm_months = 12"), false),
        (format!("{price}\ncolour = 1"), false),
    ] {
        let head = "[[contract]]\nid = \"c\"\nversion = 1\nname = \"C\"\nplan = \"maps-free\"\ncurrency = \"EUR\"\n\
                    starts = \"2026-05-31T22:00:00Z\"\n";
        let text = format!("{SAMPLE}\n{head}{rest}\n");
        let (read, judged) = (read(&text), judged(&text));
        assert_eq!((read.is_ok(), judged.is_ok()), (is_taken, is_taken), "{rest}: {read:?} {judged:?}");
    }
}

/// Each row is the rest of a coupon: both refuse it, or both take it.
#[test]
fn coupons_are_taken_by_both_or_by_none() {
    for (rest, is_taken) in [
        ("percent = \"12.5\"", true),
        ("percent = 0", false),
        ("amount = 10\ncurrency = \"EUR\"", true),
        ("amount = 10", false),
        ("currency = \"EUR\"", false),
        ("amount = 10\ncurrency = \"EUR\"\npercent = 5", false),
        ("percent = 5\ncurrency = \"EUR\"", false),
        ("", false),
        ("percent = 5\nmonths = 1", true),
        ("percent = 5\nmonths = \"12\"", true),
        ("percent = 5\nmonths = 0", false),
        ("percent = 5\nmonths = 1201", false),
        ("percent = 5\nuntil = \"2027-01-01T00:00:00Z\"", true),
        ("percent = 5\nuntil = 2027", false),
        ("percent = 5\nplans = [\"maps-pro\"]\nprices = [\"base\"]\nproducts = [\"maps\"]", true),
        ("percent = 5\nplans = []", false),
        ("percent = 5\nprices = [\"base\", \"base\"]", false),
        ("percent = 5\nprices = [\"a b\"]", false),
        ("percent = 5\ncolour = 1", false),
    ] {
        let head = "[[coupon]]\nid = \"c\"\nissuer = \"acme-eu\"\ndescription = \"C\"\n";
        let text = format!("{SAMPLE}\n{head}{rest}\n");
        let (read, judged) = (read(&text), judged(&text));
        assert_eq!((read.is_ok(), judged.is_ok()), (is_taken, is_taken), "{rest}: {read:?} {judged:?}");
    }
}

/// Each row is the rest of a tax rate: both refuse it, or both take it.
#[test]
fn tax_rates_are_taken_by_both_or_by_none() {
    for (rest, is_taken) in [
        ("percent = \"19\"", true),
        ("percent = 0", true),
        ("percent = \"-1\"", false),
        ("", false),
        ("percent = 19\nmode = \"inclusive\"\nlines = \"per_line\"", true),
        ("percent = 19\nmode = \"exclusive\"\nlines = \"per_rate\"", true),
        ("percent = 19\nmode = \"inside\"", false),
        ("percent = 19\nlines = \"total\"", false),
        ("percent = 19\ntax_codes = [\"txcd_10103001\", \"b\"]", true),
        ("percent = 19\ntax_codes = []", false),
        ("percent = 19\ntax_codes = [\"a\", \"a\"]", false),
        ("percent = 19\ntax_codes = [\"a b\"]", false),
        ("percent = 19\ncountries = [\"DE\", \"FR\"]\ncustomer_tax_id = true", true),
        ("percent = 19\ncountries = [\"de\"]", false),
        ("percent = 19\ncountries = [\"DEU\"]", false),
        ("percent = 19\ncountries = []", false),
        ("percent = 19\ncustomer_tax_id = \"yes\"", false),
        ("percent = 19\ncolour = 1", false),
    ] {
        let head = "[[tax_rate]]\nid = \"vat\"\nversion = 1\nissuer = \"acme-eu\"\ndescription = \"VAT\"\n\
                    effective_from = \"2026-01-01T00:00:00Z\"\n";
        let text = format!("{SAMPLE}\n{head}{rest}\n");
        let (read, judged) = (read(&text), judged(&text));
        assert_eq!((read.is_ok(), judged.is_ok()), (is_taken, is_taken), "{rest}: {read:?} {judged:?}");
    }
}

/// Each row replaces a piece of the sample: both refuse what comes of it, or both take it.
#[test]
fn what_one_refuses_the_other_does() {
    for (from, to, is_taken) in [
        ("[[product]]", "[product]", false),
        ("[[product]]", "[[prodcut]]", false),
        ("payment_terms_days = 14", "payment_terms_days = 14\neffective_from = \"2026-01-01T00:00:00Z\"", true),
        ("payment_terms_days = 14", "payment_terms_days = 14\neffective_from = 2026", false),
        ("payment_terms_days = 14", "payment_terms_days = 900", false),
        ("payment_terms_days = 14", "payment_terms_days = \"14\"", false),
        ("number_prefix = \"AC-\"", "number_prefix = \"A C\"", false),
        ("tax_id = \"DE000000000\"\n", "", true),
        ("routes = [\"/maps/\"]", "routes = [\"maps\"]", false),
        ("routes = [\"/maps/\"]", "routes = []", true),
        ("routes = [\"/maps/\"]\n", "", false),
        ("routes = [\"/maps/\"]", "rule = [{ route = \"/maps/\" }]", true),
        ("routes = [\"/maps/\"]", "rule = [{}]", false),
        ("routes = [\"/maps/\"]", "rule = [{ route = \"maps\" }]", false),
        ("routes = [\"/maps/\"]", "rule = [{ host = \"*.a-b.com\", method = [\"GET\"], tag = { a = \"b\" } }]", true),
        ("routes = [\"/maps/\"]", "rule = [{ host = \"A.com\" }]", false),
        ("routes = [\"/maps/\"]", "rule = [{ host = \"a.com:80\" }]", false),
        ("routes = [\"/maps/\"]", "rule = [{ method = [] }]", false),
        ("routes = [\"/maps/\"]", "rule = [{ method = [\"get\"] }]", false),
        ("routes = [\"/maps/\"]", "rule = [{ tag = {} }]", false),
        ("routes = [\"/maps/\"]", "rule = [{ tag = { a = 1 } }]", false),
        ("id = \"maps\"", "id = \"unmapped\"", false),
        ("routes = [", "description = \"Tiles\"\nterms_version = \"2026-01\"\nroutes = [", true),
        ("routes = [", "description = 1\nroutes = [", false),
        ("routes = [", "sandbox = {}\nroutes = [", false),
        ("routes = [", "sandbox = { product = \"a b\" }\nroutes = [", false),
        ("currency = \"EUR\"", "currency = \"EUR\"\nrate_limit = { requests = \"100\", per = \"s\" }", true),
        ("currency = \"EUR\"", "currency = \"EUR\"\nrate_limit = { requests = 100, per = \"day\" }", true),
        ("currency = \"EUR\"", "currency = \"EUR\"\nrate_limit = { requests = 0, per = \"s\" }", false),
        ("currency = \"EUR\"", "currency = \"EUR\"\nrate_limit = { requests = 1, per = \"week\" }", false),
        ("currency = \"EUR\"", "currency = \"EUR\"\nrate_limit = { requests = 1 }", false),
        ("currency = \"EUR\"", "currency = \"EUR\"\nquota = [{ meter = \"map-calls\", per_month = \"1000\" }]", true),
        ("currency = \"EUR\"", "currency = \"EUR\"\nquota = [{ meter = \"map-calls\", per_month = 0 }]", false),
        ("currency = \"EUR\"", "currency = \"EUR\"\nquota = { meter = \"map-calls\", per_month = 1 }", false),
        ("amount = \"49\"", "amount = \"49\"\ntax_code = \"txcd_10103001\"", true),
        ("amount = \"49\"", "amount = \"49\"\ntax_code = \"a b\"", false),
        ("unit = \"call\"\n", "", false),
        ("aggregation = \"count\"", "aggregation = \"median\"", false),
        ("aggregation = \"count\"", "aggregation = \"sum\"", false),
        ("aggregation = \"count\"", "aggregation = \"unique\"\nvalue = \"path\"", true),
        ("aggregation = \"count\"", "aggregation = \"unique\"\nvalue = \"path\"\nallow_negative = true", false),
        ("aggregation = \"count\"", "aggregation = \"sum\"\nvalue = \"response_bytes\"\nallow_negative = true", true),
        ("aggregation = \"count\"", "aggregation = \"count\"\nvalue = \"path\"", false),
        ("aggregation = \"count\"", "aggregation = \"percentile\"\nvalue = \"latency_us\"", false),
        (
            "aggregation = \"count\"",
            "aggregation = \"percentile\"\nvalue = \"latency_us\"\npercentile = \"99.9\"",
            true,
        ),
        ("aggregation = \"count\"", "aggregation = \"sum\"\nvalue = \"latency_us\"\npercentile = \"99\"", false),
        ("aggregation = \"count\"", "aggregation = \"sum\"\nvalue = \"latency_us\"\nmethod = \"linear\"", false),
        ("aggregation = \"count\"\n", "", false),
        ("aggregation = \"count\"\n", "preset = \"bytes_out\"\n", false),
        ("aggregation = \"count\"", "aggregation = \"count\"\nexclude = [\"retries\", \"retries\"]", false),
        ("aggregation = \"count\"", "aggregation = \"count\"\nexclude = [\"health_checks\"]", true),
        ("aggregation = \"count\"", "aggregation = \"count\"\ngroup_by = { Region = \"path\" }", false),
        ("aggregation = \"count\"", "aggregation = \"count\"\ngroup_by = { region = \"path\" }", true),
        ("version = 1", "version = 1\nshadow_of = \"maps pro\"", false),
        ("version = 1", "version = 1\nshadow_of = 5", false),
        ("version = 1", "version = 0", false),
        ("version = 1", "version = \"1\"", false),
        ("currency = \"EUR\"", "currency = \"euro\"", false),
        ("id = \"maps-free\"", "id = \"maps free\"", false),
        ("amount = \"49\"", "amount = 49", true),
        ("amount = \"49\"", "amount = 49.5", false),
        ("amount = \"49\"", "amount = \"-1\"", false),
        ("amount = \"49\"", "amount = -1", false),
        ("amount = \"49\"", "amount = \"1e3\"", false),
        ("amount = \"49\"", "amount = \"0.0000000000001\"", false),
        ("model = \"flat\"", "model = \"flta\"", false),
        ("{ unit_price = \"0.001\" }", "{ percent = \"0.001\" }", false),
        ("{ unit_price = \"0.001\" }", "{}", false),
        ("{ unit_price = \"0.001\" }", "{ flat_price = \"0.001\" }", true),
        ("tiers = [", "round_quantity = { direction = \"up\", digits = 2, to_multiple_of = 1 }\ntiers = [", false),
        ("tiers = [", "convert = {}\ntiers = [", false),
        ("tiers = [", "convert = { divide_by = \"1000\" }\ntiers = [", true),
    ] {
        assert!(SAMPLE.contains(from), "{from}");
        let text = SAMPLE.replacen(from, to, 1);
        let (read, judged) = (read(&text), judged(&text));
        assert_eq!((read.is_ok(), judged.is_ok()), (is_taken, is_taken), "{to}: {read:?} {judged:?}");
    }
}
