//! A meter: from a table to a checked entry of the catalog. A preset fills in what a gateway business usually counts.
//! What each preset counts and leaves out is in `docs/metering.md`, "Presets".
//!
//! Only `exclude` and `product` may stand beside a preset; `exclude` then replaces the preset's list.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Checking;
use crate::catalog::{CatalogFile, Meter};
use crate::id::{MeterId, ProductId};
use crate::meter::{Aggregation, Exclusion, Percentile, PercentileMethod};
use crate::nearest::nearest;
use crate::price::node::{Node, Value};
use crate::price::read::{Reading, Table};

struct Preset {
    word: &'static str,
    aggregation: Aggregation,
    value: Option<&'static str>,
    filter: Option<&'static str>,
    group_by: Option<(&'static str, &'static str)>,
    exclude: &'static [Exclusion],
}

const NOT_TRAFFIC: &[Exclusion] = &[Exclusion::HealthChecks, Exclusion::InternalPartners, Exclusion::TestPartners];

const PRESETS: [Preset; 5] = [
    Preset {
        word: "billable_success",
        aggregation: Aggregation::Count,
        value: None,
        filter: Some("status between 200 and 299"),
        group_by: None,
        exclude: &[
            Exclusion::HealthChecks,
            Exclusion::TryIt,
            Exclusion::InternalPartners,
            Exclusion::TestPartners,
            Exclusion::Retries,
        ],
    },
    Preset {
        word: "all_attempts",
        aggregation: Aggregation::Count,
        value: None,
        filter: None,
        group_by: None,
        exclude: NOT_TRAFFIC,
    },
    Preset {
        word: "error_free",
        aggregation: Aggregation::Count,
        value: None,
        filter: Some("status < 400"),
        group_by: None,
        exclude: &[Exclusion::HealthChecks, Exclusion::TryIt, Exclusion::InternalPartners, Exclusion::TestPartners],
    },
    Preset {
        word: "bytes_out",
        aggregation: Aggregation::Sum,
        value: Some("response_bytes"),
        filter: None,
        group_by: None,
        exclude: NOT_TRAFFIC,
    },
    Preset {
        word: "latency_class",
        aggregation: Aggregation::Count,
        value: None,
        filter: None,
        group_by: Some((
            "latency_class",
            "case when latency_us < 100000 then 'fast' when latency_us < 1000000 then 'medium' \
             when latency_us is null then 'unknown' else 'slow' end",
        )),
        exclude: NOT_TRAFFIC,
    },
];

impl Checking {
    pub(super) fn meter(&mut self, file: &CatalogFile, mut table: Table<'_>, reading: &mut Reading) -> Option<()> {
        let whose = "a meter";
        let (id, id_at) = Self::own_id(&mut table, whose, MeterId::parse, reading);
        let name = table.required(reading, "name", whose, Table::printed);
        let unit = table.required(reading, "unit", whose, Table::printed);
        let product_at = table.place_or_table("product");
        let product = table.optional(reading, "product", Table::text);
        let product = product.and_then(|product| match product {
            None => Some(None),
            Some(text) => {
                let key = ("product", "meter.product");
                self.reference(text, product_at, key, ProductId::parse, reading).map(Some)
            }
        });
        let preset = table.optional(reading, "preset", preset);
        let exclude = table.optional(reading, "exclude", exclusions);
        let places = places_of(&table);
        let counts = match preset {
            None => {
                table.take_all();
                None
            }
            Some(None) => counts(&mut table, whose, reading),
            Some(Some(preset)) => {
                beside_preset(&mut table, preset, reading);
                Some(Counts {
                    aggregation: preset.aggregation,
                    value: preset.value.map(str::to_owned),
                    filter: preset.filter.map(str::to_owned),
                    group_by: preset
                        .group_by
                        .iter()
                        .map(|(name, sql)| ((*name).to_owned(), (*sql).to_owned()))
                        .collect(),
                    allow_negative: false,
                })
            }
        };
        table.finish(reading);
        let id = id?;
        self.catalog.places.keep(file, &id, places);
        let of_preset = || preset.flatten().map(|preset| preset.exclude.to_vec()).unwrap_or_default();
        let counts = counts?;
        let meter = Meter {
            name: name?,
            unit: unit?,
            product: product?,
            aggregation: counts.aggregation,
            value: counts.value,
            filter: counts.filter,
            exclude: exclude?.unwrap_or_else(of_preset),
            allow_negative: counts.allow_negative,
            group_by: counts.group_by,
        };
        if self.catalog.meters.insert(id.clone(), meter).is_some() {
            reading.flaw(
                id_at,
                "meter.id",
                self.declared_twice("meter", id.as_str(), None),
                "remove one, or rename it",
            );
        }
        Some(())
    }
}

/// What a meter counts, from a preset or from its own keys.
struct Counts {
    aggregation: Aggregation,
    value: Option<String>,
    filter: Option<String>,
    group_by: BTreeMap<String, String>,
    allow_negative: bool,
}

fn counts(table: &mut Table<'_>, whose: &str, reading: &mut Reading) -> Option<Counts> {
    let aggregation_at = table.place_or_table("aggregation");
    let value_at = table.place("value");
    let negative_at = table.place("allow_negative");
    let word = table.required(reading, "aggregation", whose, aggregation);
    let percentile_at = table.place("percentile");
    let method_at = table.place("method");
    let percentile = table.optional(reading, "percentile", thousandths);
    let method = table.optional(reading, "method", method);
    let value = table.optional(reading, "value", Table::text);
    let filter = table.optional(reading, "filter", Table::text);
    let group_by = table.optional(reading, "group_by", dimensions);
    let allow_negative = table.optional(reading, "allow_negative", flag);
    let (word, percentile, method) = (word?, percentile?, method?);
    let aggregation = match (word, percentile) {
        ("percentile", Some(thousandths)) => {
            let method = method.unwrap_or(PercentileMethod::NearestRank);
            Aggregation::Percentile(Percentile { thousandths, method })
        }
        ("percentile", None) => {
            let mend = "add percentile = \"95\", or another above 0 and at most 100";
            let what = "a percentile needs to be told which";
            if !table.tell_meant(reading, &["percentile"], what) {
                reading.flaw(aggregation_at, "meter.percentile", what, mend);
            }
            return None;
        }
        (word, _) => {
            for (at, key) in [(percentile_at, "percentile"), (method_at, "method")] {
                if let Some(at) = at {
                    let what = format!("{key} is for aggregation = \"percentile\" alone");
                    reading.flaw(at, &format!("meter.{key}"), what, "remove it");
                }
            }
            simple(word)?
        }
    };
    match (&value, aggregation) {
        (Some(Some(_)), Aggregation::Count) => {
            let at = value_at.unwrap_or(aggregation_at);
            reading.flaw(at, "meter.value", "a count has no value", "remove value, or use sum or unique");
        }
        (Some(None), aggregation) if aggregation != Aggregation::Count => {
            let what = format!("a meter with aggregation {aggregation} needs a value");
            if !table.tell_meant(reading, &["value"], &what) {
                reading.flaw(aggregation_at, "meter.value", what, "add value, such as \"response_bytes\"");
            }
        }
        _ => {}
    }
    if let (Some(at), false) = (negative_at, aggregation.takes_number()) {
        let what = format!("allow_negative says nothing of aggregation {aggregation}, which takes no number");
        reading.flaw(at, "meter.allow_negative", what, "remove it");
    }
    Some(Counts {
        aggregation,
        value: value?,
        filter: filter?,
        group_by: group_by?.unwrap_or_default(),
        allow_negative: allow_negative?.unwrap_or(false),
    })
}

/// Keys that say what a preset says already.
fn beside_preset(table: &mut Table<'_>, preset: &Preset, reading: &mut Reading) {
    for key in ["aggregation", "value", "filter", "group_by", "percentile", "method", "allow_negative"] {
        if let Some(at) = table.place(key) {
            let what = format!("{key} cannot stand beside preset = {:?}, which says it", preset.word);
            reading.flaw(at, &format!("meter.{key}"), what, "remove it, or write the meter out without a preset");
        }
        table.take(key);
    }
}

/// A word of several; the nearest one is suggested.
fn one_of<T>(
    (node, path, what): (&Node, &str, &str),
    known: &[&'static str],
    pick: impl Fn(&'static str) -> Option<T>,
    reading: &mut Reading,
) -> Option<T> {
    let word = Table::text(node, path, reading)?;
    let found = known.iter().find(|known| **known == word);
    if found.is_none() {
        let told = format!("{what} {word:?} is not known, expected one of {}", known.join(", "));
        let mend = match nearest(&word, known.iter().copied()) {
            Some(known) => format!("did you mean {known}?"),
            None => "use one of these".to_owned(),
        };
        reading.flaw(node.at.clone(), path, told, mend);
    }
    found.and_then(|word| pick(word))
}

fn preset(node: &Node, path: &str, reading: &mut Reading) -> Option<&'static Preset> {
    let words = PRESETS.each_ref().map(|preset| preset.word);
    let pick = |word| PRESETS.iter().find(|preset| preset.word == word);
    one_of((node, path, "preset"), &words, pick, reading)
}

fn aggregation(node: &Node, path: &str, reading: &mut Reading) -> Option<&'static str> {
    one_of((node, path, "aggregation"), Aggregation::WORDS, Some, reading)
}

fn simple(word: &str) -> Option<Aggregation> {
    [
        Aggregation::Count,
        Aggregation::Sum,
        Aggregation::SumByEvent,
        Aggregation::Min,
        Aggregation::Max,
        Aggregation::Avg,
        Aggregation::Latest,
        Aggregation::Unique,
        Aggregation::TimeWeighted,
    ]
    .into_iter()
    .find(|aggregation| aggregation.as_str() == word)
}

fn method(node: &Node, path: &str, reading: &mut Reading) -> Option<PercentileMethod> {
    let words = [PercentileMethod::NearestRank, PercentileMethod::Linear].map(PercentileMethod::as_str);
    one_of((node, path, "method"), &words, PercentileMethod::parse, reading)
}

fn exclusions(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<Exclusion>> {
    let Value::List(nodes) = &node.value else {
        reading.wrong_type(node, path, "a list such as [\"health_checks\"]");
        return None;
    };
    let words: Vec<&'static str> = Exclusion::ALL.iter().map(|rule| rule.as_str()).collect();
    let mut rules = Vec::new();
    for node in nodes {
        let rule = one_of((node, path, "rule"), &words, Exclusion::parse, reading)?;
        if rules.contains(&rule) {
            reading.flaw(node.at.clone(), path, format!("rule {rule} stands here twice"), "remove one");
        } else {
            rules.push(rule);
        }
    }
    Some(rules)
}

pub(super) fn flag(node: &Node, path: &str, reading: &mut Reading) -> Option<bool> {
    match &node.value {
        Value::Flag(flag) => Some(*flag),
        Value::Text(text) if text == "true" || text == "false" => {
            let what = format!("{text} stands in quotes, expected true or false");
            reading.flaw(node.at.clone(), path, what, format!("write {text}, without quotes"));
            None
        }
        _ => {
            reading.wrong_type(node, path, "true or false");
            None
        }
    }
}

/// A percentile in thousandths of a percent: `"99.9"` is 99,900.
fn thousandths(node: &Node, path: &str, reading: &mut Reading) -> Option<u32> {
    let percent = Table::decimal(node, path, reading)?;
    // A decimal has 12 digits after the point.
    let (whole, rest) = (percent.unscaled() / 1_000_000_000, percent.unscaled() % 1_000_000_000);
    let found = u32::try_from(whole).ok().filter(|found| rest == 0 && (1..=100_000).contains(found));
    if found.is_none() {
        let what =
            format!("percentile {percent} must be above 0 and at most 100, with at most three digits after the point");
        reading.flaw(node.at.clone(), path, what, "write it such as \"95\" or \"99.9\"");
    }
    found
}

/// Where each SQL of a meter stands.
fn places_of(table: &Table<'_>) -> BTreeMap<String, Range<usize>> {
    let own = ["value", "filter"].into_iter().filter_map(|name| Some((name.to_owned(), table.place(name)?)));
    let groups = table.entries_of("group_by").iter();
    own.chain(groups.map(|(key, node)| (format!("group_by.{}", key.name), node.at.clone()))).collect()
}

/// `group_by`: names and their SQL.
fn dimensions(node: &Node, path: &str, reading: &mut Reading) -> Option<BTreeMap<String, String>> {
    let Value::Table(entries) = &node.value else {
        reading.wrong_type(node, path, "a table such as { region = \"attributes['region']\" }");
        return None;
    };
    let mut dimensions = BTreeMap::new();
    for (key, node) in entries {
        let path = format!("{path}.{}", key.name);
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if key.name.is_empty() || !key.name.chars().all(is_name) {
            let what = format!("dimension {:?} must be lower-case letters, digits or '_'", key.name);
            reading.flaw(key.at.clone(), &path, what, "rename it");
        }
        dimensions.insert(key.name.clone(), Table::text(node, &path, reading)?);
    }
    Some(dimensions)
}

#[cfg(test)]
mod tests;
