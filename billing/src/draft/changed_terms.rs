//! What of the present catalog would make another past of months that were billed with an earlier one. Pure.
//!
//! Takes two catalogs; gives, by issuer, what changed and for which lines it matters. Such a month is not adjusted by
//! it: nobody owes more, or less, because the catalog was written anew (`adjust`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use tollbook_schemas::catalog::tax::TaxRates;
use tollbook_schemas::catalog::{Catalog, Issuer};
use tollbook_schemas::id::{IssuerId, ProductId};

use crate::document::Line;

/// By catalog hash and issuer: products that take other requests, another time zone, other tax rates.
pub type TermsChanges = BTreeMap<(String, IssuerId), Vec<ChangedTerms>>;

/// What of a catalog makes another month of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedTerms {
    /// What changed, in words.
    pub what: String,
    /// The first instant for which it matters; `None` where it matters for all time.
    pub from: Option<DateTime<Utc>>,
    /// The products whose meters it matters for; `None` where it matters for every line.
    pub products: Option<BTreeSet<ProductId>>,
    /// The issuer's tax rates of then: it matters only where they tax the month otherwise than those of now.
    pub taxed_by: Option<TaxRates>,
}

impl ChangedTerms {
    /// What matters for every line, for all time.
    #[must_use]
    pub fn of_everything(what: impl Into<String>) -> Self {
        Self { what: what.into(), from: None, products: None, taxed_by: None }
    }

    /// Whether it makes something else of a line of a month that ends at an instant.
    pub(super) fn concerns(&self, catalog: &Catalog, line: &Line, period_end: DateTime<Utc>) -> bool {
        let counts_others = |products: &BTreeSet<ProductId>| match &line.meter_id {
            // No usage made it.
            None => false,
            // A meter of no product counts whatever the product is.
            Some(meter_id) => catalog
                .meters
                .get(meter_id)
                .is_none_or(|meter| meter.product.as_ref().is_some_and(|product| products.contains(product))),
        };
        self.from.is_none_or(|from| from < period_end) && self.products.as_ref().is_none_or(counts_others)
    }
}

/// What of a catalog would make another month of the past than an earlier one made. Versions of plans and meters are
/// not looked at: those that were billed cannot change. `hints` are the products that requests were ever hinted to be
/// of, of those that only one of the catalogs has.
#[must_use]
pub fn changed_terms(then: &Catalog, now: &Catalog, hints: &BTreeSet<ProductId>) -> TermsChanges {
    let (rules_then, rules_now) = (then.product_rules(), now.product_rules());
    let is_hinted = !rules_then.changed_hints(&rules_now).is_disjoint(hints);
    let mapped = |named: &str, products| {
        let what = format!("the products{named} of the catalog take other requests");
        ChangedTerms { products: Some(products), ..ChangedTerms::of_everything(what) }
    };
    let mapped = match rules_then.changed_products(&rules_now) {
        // Whatever product lost or got what a request was named for: a line that no usage made, and a meter of no
        // product, are what they were.
        _ if is_hinted => Some(mapped("", then.products.keys().chain(now.products.keys()).cloned().collect())),
        products if products.is_empty() => None,
        products => {
            let named = format!(" {}", products.iter().map(ProductId::as_str).collect::<Vec<_>>().join(", "));
            Some(mapped(&named, products))
        }
    };
    let changed = |(issuer_id, issuer): (&IssuerId, &Issuer)| {
        let zone = now.issuers.get(issuer_id).filter(|now| now.time_zone != issuer.time_zone);
        let zone = zone.map(|_| ChangedTerms::of_everything(format!("the time zone of issuer {issuer_id} changed")));
        let tax = now.tax_differs_from(then, issuer_id).map(|from| ChangedTerms {
            from: Some(from),
            taxed_by: Some(then.tax_rates.clone()),
            ..ChangedTerms::of_everything(format!("the tax rates of issuer {issuer_id} from {from} on changed"))
        });
        let changed: Vec<ChangedTerms> = mapped.iter().cloned().chain(zone).chain(tax).collect();
        (!changed.is_empty()).then(|| ((then.sha256.clone(), issuer_id.clone()), changed))
    };
    then.issuers.iter().filter_map(changed).collect()
}
