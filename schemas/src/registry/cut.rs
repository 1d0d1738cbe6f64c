//! Shares of a registry: what it knows of some partners each, so that many are billed one share after the other.

use std::collections::{BTreeMap, BTreeSet};

use super::Registry;
use crate::id::PartnerId;

impl Registry {
    /// What is of each partner of which something is known, cut as [`Registry::cut`] does.
    #[must_use]
    pub fn by_partner(&self) -> BTreeMap<PartnerId, Self> {
        let ids = self.partners.keys();
        let ids = ids.chain(self.subscriptions.values().map(|one| &one.partner_id));
        let ids = ids.chain(self.adjustments.values().map(|one| &one.partner_id));
        let ids = ids.chain(self.contracts.iter().map(|one| &one.partner_id));
        let ids = ids.chain(self.going_live.keys());
        let ids = ids.chain(self.coupons.iter().map(|one| &one.partner_id));
        let ids = ids.chain(self.credits.values().map(|one| &one.partner_id));
        let ids = ids.chain(self.payers.keys()).chain(self.pays_for.keys());
        let ids: BTreeSet<&PartnerId> =
            ids.chain(self.findings.iter().filter_map(|finding| finding.partner_id.as_ref())).collect();
        let places: BTreeMap<&PartnerId, usize> = ids.into_iter().zip(0..).collect();
        let shares = self.cut(|partner_id| places.get(partner_id).copied(), places.len());
        places.into_keys().cloned().zip(shares).collect()
    }

    /// Cuts it into so many shares: each partner's in the one that is said, or in none. Links and what is nobody's are
    /// left out: neither says what a partner is billed.
    #[must_use]
    pub fn cut(&self, share_of: impl Fn(&PartnerId) -> Option<usize>, count: usize) -> Vec<Self> {
        // Named, so that what is added to the registry must be cut too.
        let Self {
            partners,
            links: _,
            subscriptions,
            adjustments,
            contracts,
            going_live,
            coupons,
            credits,
            payers,
            pays_for,
            findings,
            duplicate_count: _,
        } = self;
        let mut shares = vec![Self::default(); count];
        let share = |shares: &mut Vec<Self>, partner_id: &PartnerId, give: &dyn Fn(&mut Self)| {
            if let Some(share) = share_of(partner_id).and_then(|at| shares.get_mut(at)) {
                give(share);
            }
        };
        for (id, partner) in partners {
            share(&mut shares, id, &|own| drop(own.partners.insert(id.clone(), partner.clone())));
        }
        for (key, one) in subscriptions {
            share(&mut shares, &one.partner_id, &|own| drop(own.subscriptions.insert(key.clone(), one.clone())));
        }
        for (id, made) in adjustments {
            share(&mut shares, &made.partner_id, &|own| drop(own.adjustments.insert(id.clone(), made.clone())));
        }
        for contract in contracts {
            share(&mut shares, &contract.partner_id, &|own| own.contracts.push(contract.clone()));
        }
        for (id, live) in going_live {
            share(&mut shares, id, &|own| drop(own.going_live.insert(id.clone(), live.clone())));
        }
        for coupon in coupons {
            share(&mut shares, &coupon.partner_id, &|own| own.coupons.push(coupon.clone()));
        }
        for (id, grant) in credits {
            share(&mut shares, &grant.partner_id, &|own| drop(own.credits.insert(id.clone(), grant.clone())));
        }
        // Who pays must be in the share of whom it pays for: whoever cuts sees to that.
        for (id, of_partner) in payers {
            share(&mut shares, id, &|own| drop(own.payers.insert(id.clone(), of_partner.clone())));
        }
        for (id, children) in pays_for {
            share(&mut shares, id, &|own| drop(own.pays_for.insert(id.clone(), children.clone())));
        }
        for finding in findings {
            if let Some(id) = &finding.partner_id {
                share(&mut shares, id, &|own| own.findings.push(finding.clone()));
            }
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Partner, Payers};

    /// Whoever is named anywhere has a part, and all parts together are what was cut, but for what is nobody's.
    #[test]
    fn each_partner_has_its_part() {
        let id = |text: &str| PartnerId::parse(text).unwrap();
        let mut all = Registry::default();
        all.partners.insert(id("acme"), Partner::default());
        all.pays_for.insert(id("acme"), BTreeSet::from([id("bela")]));
        all.payers.insert(id("bela"), Payers::default());
        let parts = all.by_partner();
        assert_eq!(parts.keys().map(PartnerId::as_str).collect::<Vec<_>>(), ["acme", "bela"]);
        assert_eq!((parts[&id("acme")].partners.len(), parts[&id("acme")].pays_for.len()), (1, 1));
        assert_eq!((parts[&id("bela")].payers.len(), parts[&id("bela")].partners.len()), (1, 0));
    }
}
