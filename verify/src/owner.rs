//! Whose a delivery is, in which environment, and for which product: from links and catalog, row by row.
//!
//! A link by credential and one by consumer must name one partner; links and the record must name one environment. What is
//! ambiguous is nobody's (I9).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::registry::{Environment, IdentityLink, LinkSystem, Registry};

use crate::raw::Request;

/// The links of a registry, by what they link.
pub(crate) struct Links<'a>(BTreeMap<(LinkSystem, &'a str), Vec<&'a IdentityLink>>);

impl<'a> Links<'a> {
    pub(crate) fn of(registry: &'a Registry) -> Self {
        let mut links: BTreeMap<(LinkSystem, &str), Vec<&IdentityLink>> = BTreeMap::new();
        for link in &registry.links {
            links.entry((link.system, &link.external_id)).or_default().push(link);
        }
        Self(links)
    }

    /// What some link gives to a partner at some time.
    pub(crate) fn names(&self, system: LinkSystem, partner_id: &PartnerId) -> Vec<&'a str> {
        let is_theirs =
            |links: &&Vec<&IdentityLink>| links.iter().any(|link| link.partner_id.as_ref() == Some(partner_id));
        let of_system = self.0.iter().filter(|((of, _), _)| *of == system);
        of_system.filter(|(_, links)| is_theirs(links)).map(|((_, name), _)| *name).collect()
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

/// The product of a delivery: the gateway's word where the catalog has it, else the longest route that its path begins
/// with, else `unmapped`.
pub(crate) fn product_of<'a>(catalog: &'a Catalog, request: &'a Request) -> &'a str {
    let hinted = request.product_hint.as_deref().filter(|hint| catalog.products.keys().any(|id| id.as_str() == *hint));
    let path = request.path.as_deref();
    let routed = || {
        let routes =
            catalog.products.iter().flat_map(|(id, product)| product.routes.iter().map(move |route| (id, route)));
        let fitting = routes.filter(|(_, route)| path.is_some_and(|path| path.starts_with(route.as_str())));
        fitting.max_by_key(|(_, route)| route.len()).map(|(id, _)| id.as_str())
    };
    hinted.or_else(routed).unwrap_or("unmapped")
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
        let registry = Registry {
            links: [
                "consumer shop acme -",
                "consumer live acme production",
                "consumer fought - -",
                "credential k1:aa acme -",
                "credential k1:bb zeta -",
                "credential k1:cc acme sandbox",
            ]
            .map(link)
            .to_vec(),
            ..Registry::default()
        };
        let links = Links::of(&registry);
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
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let request = Request {
                consumer: text(consumer),
                credential_key_id: text(hash).map(|_| "k1".to_owned()),
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
        let acme = PartnerId::parse("acme").unwrap();
        assert_eq!(links.names(LinkSystem::Consumer, &acme), ["live", "shop"]);
    }

    #[test]
    fn the_longest_route_decides_where_the_gateway_says_nothing() {
        let text = "[[product]]\nid = \"maps\"\nname = \"M\"\nroutes = [\"/maps/\"]\n\
                    [[product]]\nid = \"tiles\"\nname = \"T\"\nroutes = [\"/maps/tile\"]\n";
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
                Request { product_hint: hint.map(str::to_owned), path: path.map(str::to_owned), ..Request::default() };
            assert_eq!(product_of(&catalog, &request), product, "{hint:?} {path:?}");
        }
    }
}
