//! Whose a delivery is, in which environment, and for which product: from links and catalog, row by row.
//!
//! A link by credential and one by consumer must name one partner; links and the record must name one environment. What
//! is ambiguous is nobody's (I9).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use tollbook_schemas::catalog::route::Host;
use tollbook_schemas::catalog::{Catalog, Rule};
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::registry::{Environment, IdentityLink, LinkSystem};

use crate::raw::Request;

/// Links, by what they link.
pub(crate) struct Links<'a>(BTreeMap<(LinkSystem, &'a str), Vec<&'a IdentityLink>>);

impl<'a> Links<'a> {
    pub(crate) fn of(all: &'a [IdentityLink]) -> Self {
        let mut links: BTreeMap<(LinkSystem, &str), Vec<&IdentityLink>> = BTreeMap::new();
        for link in all {
            links.entry((link.system, &link.external_id)).or_default().push(link);
        }
        Self(links)
    }

    fn at(&self, system: LinkSystem, name: &str, at: DateTime<Utc>) -> Option<&'a IdentityLink> {
        let holds = |link: &&&IdentityLink| link.valid_from <= at && link.valid_to.is_none_or(|end| at < end);
        self.0.get(&(system, name))?.iter().find(holds).copied()
    }

    /// Partner and environment of a delivery; none where it is nobody's.
    pub(crate) fn owner(&self, request: &Request) -> Option<(&'a PartnerId, Environment)> {
        let [key, hash] =
            [&request.credential_key_id, &request.credential_hash].map(|part| part.as_deref().unwrap_or(""));
        let by_credential = self.at(LinkSystem::Credential, &format!("{key}:{hash}"), request.at);
        let consumer = request.consumer.as_deref();
        let by_consumer = consumer.and_then(|name| self.at(LinkSystem::Consumer, name, request.at));
        let links: Vec<&IdentityLink> = by_credential.into_iter().chain(by_consumer).collect();
        let partner_id = links.first()?.partner_id.as_ref()?;
        if links.iter().any(|link| link.partner_id.as_ref() != Some(partner_id)) {
            return None;
        }
        let said = links.iter().filter_map(|link| link.environment).map(Environment::as_str);
        let said: Vec<&str> = said.collect();
        let hint = request.environment_hint.as_deref();
        let environment = match said.first() {
            Some(first) if said.iter().chain(&hint).any(|other| other != first) => return None,
            Some(first) => Some(*first),
            None => hint.or(request.environment_default.as_deref()),
        };
        Some((partner_id, Environment::parse(environment?)?))
    }
}

/// The attributes that rules of products ask for, each once.
pub(crate) fn tags_of(catalog: &Catalog) -> BTreeSet<String> {
    let rules = catalog.products.values().flat_map(|product| product.all_rules());
    rules.flat_map(|rule| rule.tags.into_keys()).collect()
}

/// How specific a rule is: host before route before method before tags, and an exact host before a longer ending.
fn precedence(rule: &Rule) -> impl Ord + use<> {
    let host = match &rule.host {
        None => (0, 0),
        Some(Host::Ending(end)) => (1, end.len()),
        Some(Host::Exact(_)) => (2, 0),
    };
    (host, rule.route.as_ref().map_or(0, String::len), !rule.methods.is_empty(), rule.tags.len())
}

fn fits(rule: &Rule, request: &Request, host: Option<&str>, method: Option<&str>) -> bool {
    let host_fits = match &rule.host {
        None => true,
        Some(Host::Exact(name)) => host == Some(name.as_str()),
        Some(Host::Ending(end)) => host.is_some_and(|host| host.ends_with(end.as_str())),
    };
    let path_fits = |route: &String| request.path.as_ref().is_some_and(|path| path.starts_with(route.as_str()));
    host_fits
        && rule.route.as_ref().is_none_or(path_fits)
        && (rule.methods.is_empty() || method.is_some_and(|method| rule.methods.contains(method)))
        && rule.tags.iter().all(|(key, value)| request.tags.get(key) == Some(value))
}

/// The products of a catalog and the rules by which they take requests.
pub(crate) struct Products<'a> {
    ids: BTreeSet<&'a str>,
    rules: Vec<(&'a str, Rule)>,
}

impl<'a> Products<'a> {
    pub(crate) fn of(catalog: &'a Catalog) -> Self {
        let ids = catalog.products.keys().map(|id| id.as_str()).collect();
        let rules = catalog.products.iter();
        let rules = rules.flat_map(|(id, product)| product.all_rules().map(move |rule| (id.as_str(), rule)));
        Self { ids, rules: rules.collect() }
    }

    /// The product of a delivery: the gateway's word where the catalog has it, else the most specific rule that fits,
    /// else `unmapped`.
    pub(crate) fn product_of(&self, request: &Request) -> &'a str {
        if let Some(hinted) = request.product_hint.as_deref().and_then(|hint| self.ids.get(hint)) {
            return hinted;
        }
        let host = request.host.as_deref().map(|host| host.split(':').next().unwrap_or_default().to_lowercase());
        let method = request.method.as_deref().map(str::to_uppercase);
        let fitting = self.rules.iter().filter(|(_, rule)| fits(rule, request, host.as_deref(), method.as_deref()));
        let best = fitting.max_by(|(_, one), (_, other)| precedence(one).cmp(&precedence(other)));
        best.map_or("unmapped", |(id, _)| id)
    }

    /// The columns of `access_log` that its rules ask for, beside tags.
    pub(crate) fn columns(&self) -> BTreeSet<&'static str> {
        let mut columns = BTreeSet::new();
        for (_, rule) in &self.rules {
            columns.extend(rule.host.as_ref().map(|_| "host"));
            columns.extend(rule.route.as_ref().map(|_| "path"));
            columns.extend((!rule.methods.is_empty()).then_some("method"));
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::catalog::CatalogFile;
    use tollbook_schemas::period::parse_instant;

    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        parse_instant(text).unwrap()
    }

    /// `system name partner environment`, a dash where there is none; from 2026-06-01 to 2026-06-10.
    fn link(text: &str) -> IdentityLink {
        let [system, name, partner, environment] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        IdentityLink {
            system: if system == "consumer" { LinkSystem::Consumer } else { LinkSystem::Credential },
            external_id: name.to_owned(),
            partner_id: (partner != "-").then(|| PartnerId::parse(partner).unwrap()),
            environment: Environment::parse(environment),
            valid_from: instant("2026-06-01T00:00:00Z"),
            valid_to: Some(instant("2026-06-10T00:00:00Z")),
        }
    }

    #[test]
    fn what_is_ambiguous_is_nobodys() {
        let links: Vec<IdentityLink> = [
            "consumer shop acme -",
            "consumer live acme production",
            "consumer fought - -",
            "credential k1:aa acme -",
            "credential k1:bb zeta -",
            "credential k1:cc acme sandbox",
        ]
        .map(link)
        .to_vec();
        let links = Links::of(&links);
        for (consumer, hash, hint, default, at, owner) in [
            ("shop", "", "", "production", "2026-06-01T00:00:00Z", "acme production"),
            ("shop", "", "sandbox", "production", "2026-06-02T00:00:00Z", "acme sandbox"),
            ("shop", "", "", "", "2026-06-02T00:00:00Z", "-"),
            ("shop", "", "", "elsewhere", "2026-06-02T00:00:00Z", "-"),
            ("shop", "", "", "production", "2026-06-10T00:00:00Z", "-"),
            ("shop", "", "", "production", "2026-05-31T23:59:59.999999Z", "-"),
            ("nobody", "", "", "production", "2026-06-02T00:00:00Z", "-"),
            ("fought", "", "", "production", "2026-06-02T00:00:00Z", "-"),
            ("fought", "aa", "", "production", "2026-06-02T00:00:00Z", "-"),
            ("nobody", "aa", "", "production", "2026-06-02T00:00:00Z", "acme production"),
            ("shop", "aa", "", "production", "2026-06-02T00:00:00Z", "acme production"),
            ("shop", "bb", "", "production", "2026-06-02T00:00:00Z", "-"),
            ("live", "", "sandbox", "", "2026-06-02T00:00:00Z", "-"),
            ("live", "", "production", "sandbox", "2026-06-02T00:00:00Z", "acme production"),
            ("live", "cc", "", "", "2026-06-02T00:00:00Z", "-"),
            ("shop", "cc", "", "production", "2026-06-02T00:00:00Z", "acme sandbox"),
        ] {
            let text = |text: &str| -> Option<std::sync::Arc<str>> { (!text.is_empty()).then(|| text.into()) };
            let request = Request {
                consumer: text(consumer),
                credential_key_id: text(hash).map(|_| "k1".into()),
                credential_hash: text(hash),
                environment_hint: text(hint),
                environment_default: text(default),
                at: instant(at),
                ..Request::default()
            };
            let found =
                links.owner(&request).map(|(partner, environment)| format!("{partner} {}", environment.as_str()));
            assert_eq!(found.as_deref().unwrap_or("-"), owner, "{consumer} {hash} {hint} {default} {at}");
        }
    }

    #[test]
    fn the_most_specific_rule_decides_where_the_gateway_says_nothing() {
        let text = "[[product]]\nid = \"maps\"\nname = \"M\"\nroutes = [\"/maps/\"]\n\
                    [[product]]\nid = \"tiles\"\nname = \"T\"\nroutes = [\"/maps/tile\"]\n\
                    [[product.rule]]\nhost = \"*.eu.example.com\"\nmethod = [\"POST\"]\ntag = { tier = \"gold\" }\n";
        let catalog = Catalog::parse(&[CatalogFile { path: "c.toml".into(), text: text.into() }]).unwrap();
        for (hint, path, product) in [
            (None, Some("/maps/x"), "maps"),
            (None, Some("/maps/tile/1"), "tiles"),
            (None, Some("/other"), "unmapped"),
            (None, None, "unmapped"),
            (Some("maps"), Some("/maps/tile/1"), "maps"),
            (Some("unknown"), Some("/maps/tile/1"), "tiles"),
        ] {
            let request =
                Request { product_hint: hint.map(Into::into), path: path.map(Into::into), ..Request::default() };
            assert_eq!(Products::of(&catalog).product_of(&request), product, "{hint:?} {path:?}");
        }
        for (host, method, tier, product) in [
            ("API.eu.example.com:443", "post", "gold", "tiles"),
            ("eu.example.com", "post", "gold", "maps"),
            ("api.eu.example.com", "GET", "gold", "maps"),
            ("api.eu.example.com", "POST", "silver", "maps"),
        ] {
            let request = Request {
                host: Some(host.into()),
                method: Some(method.into()),
                path: Some("/maps/x".into()),
                tags: BTreeMap::from([("tier".to_owned(), tier.to_owned())]),
                ..Request::default()
            };
            assert_eq!(Products::of(&catalog).product_of(&request), product, "{host} {method} {tier}");
        }
        assert_eq!(tags_of(&catalog), BTreeSet::from(["tier".to_owned()]));
        assert_eq!(Products::of(&catalog).columns(), BTreeSet::from(["host", "method", "path"]));
    }
}
