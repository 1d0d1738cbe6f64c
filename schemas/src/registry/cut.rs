//! Shares of a registry: what it knows of some partners each, so that many are billed one share after the other.

use super::Registry;
use crate::id::PartnerId;

impl Registry {
    /// Cuts it into so many shares: each partner's in the one that is said, or in none. Links and what is nobody's are left
    /// out: neither says what a partner is billed.
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
