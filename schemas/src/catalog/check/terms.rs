//! What a product and a plan promise beside the price: a sandbox to try in, limits of the gateway, quotas. From tables
//! to checked values. Nothing here changes an amount: whoever configures gateway and portal reads it.

use super::Checking;
use crate::catalog::{Quota, RateLimit, RateWindow, Sandbox};
use crate::id::{MeterId, ProductId};
use crate::price::node::{Node, Value};
use crate::price::read::{Reading, Table};

impl Checking {
    /// `sandbox = { product = "maps-sandbox", required_endpoints = ["GET /maps/tiles/"] }`.
    pub(super) fn sandbox(
        &self,
        table: &mut Table<'_>,
        product: Option<&ProductId>,
        reading: &mut Reading,
    ) -> Option<Option<Sandbox>> {
        let Some(node) = table.take("sandbox") else { return Some(None) };
        let mut sandbox = Table::of(node, "product.sandbox", reading)?;
        let at = sandbox.place_or_table("product");
        let counterpart = sandbox.required(reading, "product", "a sandbox", Table::text);
        let path = ("product", "product.sandbox.product");
        let counterpart =
            counterpart.and_then(|text| self.reference(text, at.clone(), path, ProductId::parse, reading));
        let required_endpoints = sandbox.optional(reading, "required_endpoints", endpoints);
        sandbox.finish(reading);
        let counterpart = counterpart?;
        if product == Some(&counterpart) {
            let mend = "name the product whose requests are those of the sandbox, or leave it out";
            reading.flaw(at, path.1, "a product is not its own sandbox", mend);
            return None;
        }
        Some(Some(Sandbox { product: counterpart, required_endpoints: required_endpoints?.unwrap_or_default() }))
    }

    /// `[[plan.quota]]`: one for a meter.
    pub(super) fn quotas(&self, table: &mut Table<'_>, reading: &mut Reading) -> Option<Vec<Quota>> {
        let nodes = match table.take("quota").map(|node| (node, &node.value)) {
            None => return Some(Vec::new()),
            Some((_, Value::List(nodes))) => nodes,
            Some((node, _)) => {
                let what = format!("quota is {}, expected [[plan.quota]]", node.value.name());
                reading.flaw(node.at.clone(), "plan.quota", what, "write [[plan.quota]], with two brackets");
                return None;
            }
        };
        let mut quotas: Vec<Quota> = Vec::new();
        for node in nodes {
            let whose = "a quota";
            let mut quota = Table::of(node, "plan.quota", reading)?;
            let at = quota.place_or_table("meter");
            let meter = quota.required(reading, "meter", whose, Table::text);
            let meter = meter.and_then(|text| {
                self.reference(text, at.clone(), ("meter", "plan.quota.meter"), MeterId::parse, reading)
            });
            let per_month = quota.required(reading, "per_month", whose, Table::above_zero);
            quota.finish(reading);
            let (meter, per_month) = (meter?, per_month?);
            if quotas.iter().any(|other| other.meter == meter) {
                let what = format!("meter {meter} has a quota already");
                reading.flaw(at, "plan.quota.meter", what, "keep one quota for each meter");
                return None;
            }
            quotas.push(Quota { meter, per_month });
        }
        Some(quotas)
    }
}

/// `["GET /maps/tiles/", "/maps/routes/"]`.
fn endpoints(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<String>> {
    let endpoints = Table::texts(node, path, reading)?;
    let is_endpoint = |text: &String| {
        let (method, route) = text.split_once(' ').unwrap_or(("GET", text));
        let is_method = !method.is_empty() && method.chars().all(|c| c.is_ascii_uppercase() || c == '-');
        is_method && route.starts_with('/') && !route.contains(' ')
    };
    if let Some(wrong) = endpoints.iter().find(|text| !is_endpoint(text)) {
        let what = format!("{wrong:?} is no endpoint, expected a path, with a method in capitals before it or not");
        reading.flaw(node.at.clone(), path, what, "write such as \"GET /maps/tiles/\"");
        return None;
    }
    Some(endpoints)
}

/// `{ requests = "100", per = "s" }`.
pub(super) fn rate_limit(node: &Node, path: &str, reading: &mut Reading) -> Option<RateLimit> {
    let whose = "a rate limit";
    let mut table = Table::of(node, path, reading)?;
    let at = table.place_or_table("requests");
    let requests = table.required(reading, "requests", whose, Table::count);
    let per = table.required(reading, "per", whose, |node, path, reading| {
        let word = Table::text(node, path, reading)?;
        let window = RateWindow::parse(&word);
        if window.is_none() {
            let what = format!("per {word:?} is not known, expected one of {}", RateWindow::WORDS.join(", "));
            reading.flaw(node.at.clone(), path, what, "use one of these");
        }
        window
    });
    table.finish(reading);
    let (requests, per) = (requests?, per?);
    if requests == 0 {
        reading.flaw(at, path, "a rate limit of 0 lets nothing through", "write 1 or more, or leave it out");
        return None;
    }
    Some(RateLimit { requests, per })
}
