//! Which product a request is for: the rules of the products in, for each request at most one product out. Pure.
//!
//! The gateway's word goes first: a `product_hint` that is the id of a product decides. Else the rules do. A rule gives
//! some of four parts, and fits a request where each part that it gives fits:
//!
//! - `route`: the path begins with it, letter for letter, as the client wrote it;
//! - `host`: the host, in small letters and without its port, is it; `*.example.com` is every host that ends with
//!   `.example.com`, not `example.com` itself;
//! - `method`: the method, in capitals, is one of them;
//! - `tag`: each of its keys is an attribute of the request with just its value.
//!
//! Of several rules that fit, the more specific one decides, by [`Precedence`]: host before route before method before
//! tags. The order is total but for rules that are equally specific. Two of these that belong to different products and
//! could fit the same request ([`Rule::meets`]) are refused when the catalog is read. So no request ever has two
//! products, and none is decided by the order of a file. The SQL that `aggregate` makes of the rules says the same; a
//! test there compares them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Catalog;
use crate::id::ProductId;

/// Hosts of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// Just this one.
    Exact(String),
    /// Every host that ends with this, which begins with a point.
    Ending(String),
}

impl Host {
    /// Reads `api.example.com` or `*.example.com`; none where the text is neither, in small letters and without a port.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_label = |label: &str| {
            !label.is_empty()
                && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        };
        let name = text.strip_prefix("*.").unwrap_or(text);
        if !name.split('.').all(is_label) {
            return None;
        }
        Some(if name == text { Self::Exact(text.to_owned()) } else { Self::Ending(format!(".{name}")) })
    }

    /// Whether some host could be of both.
    fn shares(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(name), Self::Exact(other)) => name == other,
            (Self::Exact(name), Self::Ending(end)) | (Self::Ending(end), Self::Exact(name)) => {
                name.ends_with(end.as_str())
            }
            (Self::Ending(end), Self::Ending(other)) => end.ends_with(other.as_str()) || other.ends_with(end.as_str()),
        }
    }

    fn fits(&self, host: &str) -> bool {
        let host = host.split(':').next().unwrap_or_default().to_lowercase();
        match self {
            Self::Exact(name) => host == *name,
            Self::Ending(end) => host.ends_with(end.as_str()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Ending(end) => write!(f, "*{end}"),
        }
    }
}

/// Which requests belong to a product; it gives one part at least.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Path prefix.
    pub route: Option<String>,
    /// Hosts.
    pub host: Option<Host>,
    /// Methods, in capitals; all of them where it is empty.
    pub methods: BTreeSet<String>,
    /// Attributes and their values.
    pub tags: BTreeMap<String, String>,
}

/// How specific a rule is: compared from the first field to the last, and what is greater decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence {
    host: HostRank,
    /// Length of the route in bytes; 0 without one.
    route: usize,
    has_methods: bool,
    tags: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HostRank {
    Any,
    /// By the length of the ending.
    Ending(usize),
    Exact,
}

impl Rule {
    /// The short form: a route alone.
    #[must_use]
    pub fn of_route(route: &str) -> Self {
        Self { route: Some(route.to_owned()), ..Self::default() }
    }

    /// How specific it is.
    #[must_use]
    pub fn precedence(&self) -> Precedence {
        let host = match &self.host {
            None => HostRank::Any,
            Some(Host::Ending(end)) => HostRank::Ending(end.len()),
            Some(Host::Exact(_)) => HostRank::Exact,
        };
        let route = self.route.as_ref().map_or(0, String::len);
        Precedence { host, route, has_methods: !self.methods.is_empty(), tags: self.tags.len() }
    }

    /// Whether it fits a request.
    #[must_use]
    pub fn fits(&self, request: &Request<'_>) -> bool {
        let route = |route: &String| request.path.is_some_and(|path| path.starts_with(route.as_str()));
        let tag = |(key, value): (&String, &String)| request.attributes.get(key.as_str()) == Some(&value.as_str());
        self.host.as_ref().is_none_or(|host| request.host.is_some_and(|name| host.fits(name)))
            && self.route.as_ref().is_none_or(route)
            && (self.methods.is_empty()
                || request.method.is_some_and(|method| self.methods.contains(&method.to_uppercase())))
            && self.tags.iter().all(tag)
    }

    /// Whether some request could fit both, of two rules that are equally specific. Their routes have one length and so
    /// have their endings: a request fits both only where these are the same.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.precedence() == other.precedence()
            && self.host == other.host
            && self.route == other.route
            && self.shares(other)
    }

    /// Whether some request could fit both, however specific they are.
    #[must_use]
    pub fn shares(&self, other: &Self) -> bool {
        let host = self.host.as_ref().zip(other.host.as_ref()).is_none_or(|(own, its)| own.shares(its));
        let route = self.route.as_ref().zip(other.route.as_ref());
        let route = route.is_none_or(|(own, its)| own.starts_with(its.as_str()) || its.starts_with(own.as_str()));
        let methods = self.methods.is_empty()
            || other.methods.is_empty()
            || self.methods.intersection(&other.methods).next().is_some();
        let tags = self.tags.iter().all(|(key, value)| other.tags.get(key).is_none_or(|its| its == value));
        host && route && methods && tags
    }
}

/// `GET, POST *.example.com/maps/ with tier = "gold"`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods = self.methods.iter().cloned().collect::<Vec<_>>().join(", ");
        let host = self.host.as_ref().map(Host::to_string).unwrap_or_default();
        let place = format!("{host}{}", self.route.as_deref().unwrap_or_default());
        let tags = self.tags.iter().map(|(key, value)| format!("{key} = {value:?}")).collect::<Vec<_>>().join(", ");
        let tags = if tags.is_empty() { tags } else { format!("with {tags}") };
        let parts: Vec<String> = [methods, place, tags].into_iter().filter(|part| !part.is_empty()).collect();
        f.write_str(&parts.join(" "))
    }
}

/// What of a request decides its product.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// Product as the gateway names it.
    pub product_hint: Option<&'a str>,
    /// Host, as logged.
    pub host: Option<&'a str>,
    /// Method, as logged.
    pub method: Option<&'a str>,
    /// Path, as logged.
    pub path: Option<&'a str>,
    /// Attributes.
    pub attributes: BTreeMap<&'a str, &'a str>,
}

/// All rules of a catalog. Two catalogs with equal rules give each request the same product, whatever else they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductRules {
    /// Products, which a hint may name.
    products: BTreeSet<ProductId>,
    /// The more specific one first; of equally specific ones, which no request fits both of, by product.
    rules: Vec<(ProductId, Rule)>,
}

impl ProductRules {
    /// The products that a hint may name.
    pub fn products(&self) -> impl Iterator<Item = &ProductId> {
        self.products.iter()
    }

    /// The rules in the order in which they are tried.
    pub fn rules(&self) -> impl Iterator<Item = (&ProductId, &Rule)> {
        self.rules.iter().map(|(product, rule)| (product, rule))
    }

    /// The products that a hint may name by one of the two only: requests with that hint may be of any product by the
    /// other.
    #[must_use]
    pub fn changed_hints(&self, other: &Self) -> BTreeSet<ProductId> {
        self.products.symmetric_difference(&other.products).cloned().collect()
    }

    /// The products that may have other requests by their rules in the other: those of a rule that only one of the two
    /// has, and those with a rule that shares requests with it. A request that fits no such rule fits the same rules in
    /// both, and the first of them decides. Hints are not looked at.
    #[must_use]
    pub fn changed_products(&self, other: &Self) -> BTreeSet<ProductId> {
        let only = |one: &Self, other: &Self| {
            let rules = one.rules.iter().filter(|rule| !other.rules.contains(rule));
            rules.cloned().collect::<Vec<_>>()
        };
        let changed = [only(self, other), only(other, self)].concat();
        let all = || self.rules.iter().chain(&other.rules);
        let touched = |(_, rule): &&(ProductId, Rule)| changed.iter().any(|(_, changed)| changed.shares(rule));
        all().filter(touched).map(|(product, _)| product.clone()).collect()
    }

    /// The product of a request; none where nothing says which.
    #[must_use]
    pub fn product_of(&self, request: &Request<'_>) -> Option<&ProductId> {
        let hinted = || self.products.iter().find(|product| request.product_hint == Some(product.as_str()));
        let ruled = || self.rules.iter().find(|(_, rule)| rule.fits(request)).map(|(product, _)| product);
        hinted().or_else(ruled)
    }
}

impl Catalog {
    /// What decides the product of a request.
    #[must_use]
    pub fn product_rules(&self) -> ProductRules {
        let of = |(id, product): (&ProductId, &super::Product)| {
            let rules: Vec<(ProductId, Rule)> = product.all_rules().map(|rule| (id.clone(), rule)).collect();
            rules
        };
        let mut rules: Vec<(ProductId, Rule)> = self.products.iter().flat_map(of).collect();
        rules.sort_by_cached_key(|(product, rule)| (Reverse(rule.precedence()), product.clone(), rule.clone()));
        rules.dedup();
        ProductRules { products: self.products.keys().cloned().collect(), rules }
    }
}

#[cfg(test)]
mod tests;
