//! A product: from a table to a checked entry of the catalog, and whether its rules leave open whose a request is.
//!
//! Two rules of different products that are equally specific and could fit the same request are refused, with the
//! places of both: what decides such a request would be the order of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Checking;
use crate::catalog::route::{Host, Rule};
use crate::catalog::{CatalogFile, Problem, Product};
use crate::id::ProductId;
use crate::price::node::{Node, Value};
use crate::price::read::{Reading, Table};

/// A rule that was read, and where it stands: file and line.
pub(super) struct PlacedRule {
    product: ProductId,
    rule: Rule,
    place: String,
}

impl Checking {
    pub(super) fn product(&mut self, file: &CatalogFile, mut table: Table<'_>, reading: &mut Reading) -> Option<()> {
        let whose = "a product";
        let (id, id_at) = Self::own_id(&mut table, whose, ProductId::parse, reading);
        let name = table.required(reading, "name", whose, Table::printed);
        let has_rules = table.place("rule").is_some();
        let nodes = table.list("routes");
        let needs = "a product needs routes";
        let routes = match has_rules {
            false if !table.has("routes") && table.tell_meant(reading, &["routes", "rule"], needs) => None,
            false => table.required(reading, "routes", whose, Table::texts),
            true => table.optional(reading, "routes", Table::texts).map(Option::unwrap_or_default),
        };
        let rule_nodes = rule_nodes(&mut table, reading);
        let description = table.optional(reading, "description", Table::text);
        let terms_version = table.optional(reading, "terms_version", Table::text);
        let sandbox = self.sandbox(&mut table, id.as_ref(), reading);
        table.finish(reading);
        let mut placed: Vec<(Rule, Range<usize>)> = Vec::new();
        for (node, route) in nodes.iter().zip(routes.iter().flatten()) {
            if begins_path(node, route, "product.routes", reading) {
                placed.push((Rule::of_route(route), node.at.clone()));
            }
        }
        let mut rules = Vec::new();
        for node in rule_nodes {
            let rule = rule(node, reading)?;
            placed.push((rule.clone(), node.at.clone()));
            rules.push(rule);
        }
        let id = id?;
        if id.as_str() == "unmapped" {
            let what = "unmapped is the word for requests of no product";
            reading.flaw(id_at.clone(), "product.id", what, "choose another id");
        }
        for (rule, at) in placed {
            self.take_rule(&id, rule, file, at, reading);
        }
        let (description, terms_version, sandbox) = (description?, terms_version?, sandbox?);
        let product = Product { name: name?, routes: routes?, rules, description, terms_version, sandbox };
        if self.catalog.products.insert(id.clone(), product).is_some() {
            reading.flaw(
                id_at,
                "product.id",
                self.declared_twice("product", id.as_str(), None),
                "remove one, or rename it",
            );
        }
        Some(())
    }

    /// Keeps a rule, unless another product's leaves open which of the two a request is for.
    fn take_rule(
        &mut self,
        product: &ProductId,
        rule: Rule,
        file: &CatalogFile,
        at: Range<usize>,
        reading: &mut Reading,
    ) {
        let open = self.rules.iter().find(|other| other.product != *product && other.rule.meets(&rule));
        if let Some(PlacedRule { product: other, rule: its, place }) = open {
            let (what, mend) = match &rule.route {
                Some(route) if *its == rule && rule == Rule::of_route(route) => (
                    format!("route {route:?} is that of product {other} too, at {place}"),
                    "give the route to one product",
                ),
                _ => (
                    format!(
                        "a request can fit rule `{rule}` of product {product} and rule `{its}` of product {other} at \
                         {place}, and neither is more specific"
                    ),
                    "give one of them a host, a longer route, a method or a tag more, or what they share to one product",
                ),
            };
            reading.flaw(at, "product.rule", what, mend);
            return;
        }
        let Problem { path, line, .. } = Problem::at(&file.path, &file.text, at, "", "");
        self.rules.push(PlacedRule { product: product.clone(), rule, place: format!("{path}:{line}") });
    }
}

fn rule_nodes<'a>(table: &mut Table<'a>, reading: &mut Reading) -> &'a [Node] {
    match table.take("rule").map(|node| (node, &node.value)) {
        Some((_, Value::List(nodes))) => nodes,
        Some((node, _)) => {
            let what = format!("rule is {}, expected [[product.rule]]", node.value.name());
            reading.flaw(node.at.clone(), "product.rule", what, "write [[product.rule]], with two brackets");
            &[]
        }
        None => &[],
    }
}

fn begins_path(node: &Node, route: &str, path: &str, reading: &mut Reading) -> bool {
    let is_path = route.starts_with('/');
    if !is_path {
        let mend = "write the path prefix, such as \"/maps/\"";
        reading.flaw(node.at.clone(), path, "a route must start with '/'", mend);
    }
    is_path
}

fn rule(node: &Node, reading: &mut Reading) -> Option<Rule> {
    let mut table = Table::of(node, "product.rule", reading)?;
    if matches!(&node.value, Value::Table(entries) if entries.is_empty()) {
        let mend = "give it route, host, method or tag; route = \"/\" is every path";
        reading.flaw(node.at.clone(), "product.rule", "a rule that says nothing would fit every request", mend);
        return None;
    }
    let route = table.optional(reading, "route", |node, path, reading| {
        let route = Table::text(node, path, reading)?;
        begins_path(node, &route, path, reading).then_some(route)
    });
    let host = table.optional(reading, "host", |node, path, reading| {
        let host = Host::parse(&Table::text(node, path, reading)?);
        if host.is_none() {
            let what = "host is neither a host name nor one behind \"*.\", in small letters and without a port";
            let mend = "write such as \"api.example.com\" or \"*.example.com\"";
            reading.flaw(node.at.clone(), path, what, mend);
        }
        host
    });
    let methods = table.optional(reading, "method", methods);
    let tags = table.optional(reading, "tag", tags);
    table.finish(reading);
    let (methods, tags) = (methods?.unwrap_or_default(), tags?.unwrap_or_default());
    // One whose only key is unknown was told just now.
    Some(Rule { route: route?, host: host?, methods, tags }).filter(|rule| *rule != Rule::default())
}

fn methods(node: &Node, path: &str, reading: &mut Reading) -> Option<BTreeSet<String>> {
    let methods = Table::texts(node, path, reading)?;
    let is_method = |method: &String| !method.is_empty() && method.chars().all(|c| c.is_ascii_uppercase() || c == '-');
    if methods.is_empty() || !methods.iter().all(is_method) {
        let what = "method must list methods in capitals";
        reading.flaw(node.at.clone(), path, what, "write such as [\"GET\", \"POST\"], or leave it out for all of them");
        return None;
    }
    Some(methods.into_iter().collect())
}

fn tags(node: &Node, path: &str, reading: &mut Reading) -> Option<BTreeMap<String, String>> {
    let Value::Table(entries) = &node.value else {
        reading.wrong_type(node, path, "a table such as { tier = \"gold\" }");
        return None;
    };
    if entries.is_empty() {
        let mend = "write such as { tier = \"gold\" }, or leave it out";
        reading.flaw(node.at.clone(), path, "tag names no attribute", mend);
        return None;
    }
    let tag = |(key, node): &(crate::price::node::Key, Node)| {
        Some((key.name.clone(), Table::text(node, &format!("{path}.{}", key.name), reading)?))
    };
    entries.iter().map(tag).collect()
}
