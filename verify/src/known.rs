//! Partners, links and subscriptions at a pin: whole, and what of it is of each partner, so that a document costs what
//! its partners have and not what everybody has. Pure.

use std::collections::{BTreeMap, HashMap};

use tollbook_schemas::id::PartnerId;
use tollbook_schemas::registry::{IdentityLink, LinkSystem, Registry};

use crate::needs::{Names, Times};

/// What was known of partners at a pin.
#[derive(Default)]
pub(crate) struct Known {
    /// Links, which say whose a request is: a name may be of one partner after another.
    pub(crate) links: Vec<IdentityLink>,
    /// The places of the links of a name.
    linked: HashMap<(LinkSystem, String), Vec<usize>>,
    /// What is of one partner, without links.
    of: BTreeMap<PartnerId, Registry>,
    /// The names that a link gives to a partner at some time.
    names: BTreeMap<PartnerId, Names>,
    /// What is of a partner that nobody named.
    nothing: Registry,
}

impl Known {
    pub(crate) fn of(mut all: Registry) -> Self {
        let links = std::mem::take(&mut all.links);
        let mut names: BTreeMap<PartnerId, Names> = BTreeMap::new();
        let mut linked: HashMap<(LinkSystem, String), Vec<usize>> = HashMap::new();
        for (at, link) in links.iter().enumerate() {
            linked.entry((link.system, link.external_id.clone())).or_default().push(at);
            let Some(partner_id) = &link.partner_id else { continue };
            let own = names.entry(partner_id.clone()).or_default();
            match link.system {
                LinkSystem::Consumer => own.consumers.insert(link.external_id.clone()),
                LinkSystem::Credential => own.credentials.insert(link.external_id.clone()),
            };
        }
        let of = all.by_partner();
        Self { links, linked, of, names, nothing: Registry::default() }
    }

    /// What is of some partners together: of one that pays for others, theirs too.
    pub(crate) fn of_partner(&self, partner_id: &PartnerId) -> Registry {
        let mut own = self.of_one(partner_id).clone();
        let paid_for = own.pays_for.get(partner_id).cloned().unwrap_or_default();
        for other in paid_for.iter().filter(|other| *other != partner_id).filter_map(|other| self.of.get(other)) {
            let other = other.clone();
            own.partners.extend(other.partners);
            own.subscriptions.extend(other.subscriptions);
            own.adjustments.extend(other.adjustments);
            own.contracts.extend(other.contracts);
            own.going_live.extend(other.going_live);
            own.coupons.extend(other.coupons);
            own.credits.extend(other.credits);
            own.payers.extend(other.payers);
            own.pays_for.extend(other.pays_for);
            own.findings.extend(other.findings);
        }
        own
    }

    /// What a name was linked to in some time.
    fn links_of(&self, system: LinkSystem, name: &str, times: &Times) -> Vec<IdentityLink> {
        let places = self.linked.get(&(system, name.to_owned())).into_iter().flatten();
        places.filter_map(|at| times.of_link(self.links.get(*at)?)).collect()
    }

    /// What is of one partner alone.
    pub(crate) fn of_one(&self, partner_id: &PartnerId) -> &Registry {
        self.of.get(partner_id).unwrap_or(&self.nothing)
    }

    /// The names by which deliveries may be those of some partners.
    pub(crate) fn names<'p>(&self, partners: impl IntoIterator<Item = &'p PartnerId>) -> Names {
        let mut names = Names::default();
        partners.into_iter().filter_map(|own| self.names.get(own)).for_each(|own| names.add(own));
        names
    }
}

/// Whether some names were linked alike in some time by what was known at two pins.
pub(crate) fn linked_alike(one: &Known, other: &Known, names: &Names, times: &Times) -> bool {
    let consumers = names.consumers.iter().map(|name| (LinkSystem::Consumer, name));
    let mut all = consumers.chain(names.credentials.iter().map(|name| (LinkSystem::Credential, name)));
    all.all(|(system, name)| one.links_of(system, name, times) == other.links_of(system, name, times))
}

/// Whether all that makes the lines of some partners, beside links, was the same at two pins.
pub(crate) fn subscribed_alike(one: &Registry, other: &Registry) -> bool {
    let flags = |registry: &Registry| -> Vec<(PartnerId, bool, bool)> {
        registry.partners.iter().map(|(id, own)| (id.clone(), own.is_internal, own.is_test)).collect()
    };
    let blocked = |registry: &Registry| registry.findings.iter().any(|finding| finding.blocks_billing());
    flags(one) == flags(other)
        && one.subscriptions == other.subscriptions
        && one.contracts == other.contracts
        && one.going_live == other.going_live
        && one.coupons == other.coupons
        && one.payers == other.payers
        && one.pays_for == other.pays_for
        && blocked(one) == blocked(other)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use tollbook_schemas::period::{Period, parse_instant};

    use super::*;

    fn at(day: &str) -> DateTime<Utc> {
        parse_instant(&format!("{day}T00:00:00Z")).unwrap()
    }

    /// `name partner from to`, a dash where there is none.
    fn known(links: &[&str]) -> Known {
        let link = |text: &&str| {
            let [name, partner, from, to] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
            IdentityLink {
                system: LinkSystem::Consumer,
                external_id: name.to_owned(),
                partner_id: (partner != "-").then(|| PartnerId::parse(partner).unwrap()),
                environment: None,
                valid_from: at(from),
                valid_to: (to != "-").then(|| at(to)),
            }
        };
        Known::of(Registry { links: links.iter().map(link).collect(), ..Registry::default() })
    }

    #[test]
    fn a_link_matters_in_the_time_that_is_asked_for() {
        let acme = PartnerId::parse("acme").unwrap();
        let then = known(&["shop acme 2026-05-01 -", "other zeta 2026-05-01 -"]);
        let june = Times::of(Period { start: at("2026-06-01"), end: at("2026-07-01") }, false);
        for (now, is_alike) in [
            (&["shop acme 2026-05-01 -", "other zeta 2026-05-01 -"][..], true),
            // A name of another partner, one that is new in July, a link that ends in July.
            (&["shop acme 2026-05-01 -", "other zeta 2026-06-10 -"], true),
            (&["shop acme 2026-05-01 -", "more acme 2026-07-02 -"], true),
            (&["shop acme 2026-05-01 2026-07-02", "shop zeta 2026-07-02 -"], true),
            (&["shop acme 2026-05-10 -"], true),
            (&["shop acme 2026-06-02 -"], false),
            (&["shop acme 2026-05-01 2026-06-20"], false),
            (&["shop acme 2026-05-01 2026-06-20", "shop - 2026-06-20 -"], false),
            (&["shop acme 2026-05-01 -", "more acme 2026-06-02 -"], false),
            (&[], false),
        ] {
            let now = known(now);
            let mut names = now.names([&acme]);
            names.add(&then.names([&acme]));
            assert_eq!(linked_alike(&then, &now, &names, &june), is_alike, "{:?}", now.links);
        }
        assert_eq!(then.names([&acme]).consumers.iter().collect::<Vec<_>>(), ["shop"]);
    }
}
