//! What may not change: a version of a plan, of a contract, or of a tax rate, or a coupon, that an issued invoice was
//! rated with.
//!
//! - Its prices (all of them, their words and order too, because an invoice prints them), `effective_from`, issuer and
//!   currency. Its name is printed nowhere and may change. Of a contract version it is the same: all but its name.
//! - All of a version of a tax rate, and of a coupon.
//! - The number prefix and the time zone of an issuer: numbers and periods hang on them.
//! - What its meters count: everything of a meter but its name. A meter has no versions, so a changed filter would be a
//!   changed price of every version that uses it, in the past too. Usage of old periods is computed anew with it, and
//!   late usage is billed as a difference to that. So it is an error, like a changed price.
//! - What belongs to the products of its meters is told, and is no error. Routes and rules grow with an API, most often
//!   by paths that nobody called before; a product under a new id would need new meters and plans for each of them. Old
//!   invoices are derived with the catalog that was kept.

use std::collections::BTreeSet;

use super::{Change, EntryChange, Section, entry, fields};
use crate::catalog::{Catalog, ContractVersion, Meter, PlanVersion, Price, TaxRateVersion};
use crate::id::{ContractId, CouponId, IssuerId, MeterId, PlanId, ProductId, TaxRateId};

/// What is different between a plan version as it was billed and as it is now: the version, its meters, the products of
/// these. Nothing where `then` does not have the version.
#[must_use]
pub fn broken(then: &Catalog, now: &Catalog, plan: &PlanId, version: u32) -> Vec<EntryChange> {
    let of = |catalog: &'_ Catalog| -> Option<PlanVersion> {
        catalog.plans.get(plan)?.iter().find(|other| other.version == version).cloned()
    };
    let Some(billed) = of(then) else { return Vec::new() };
    let changed = entry(Section::Plan, plan, (Some(&billed), of(now).as_ref()), fields::version);
    with_meters((then, now), changed, version, &billed.prices)
}

/// As [`broken`], of a version of a contract.
#[must_use]
pub fn broken_contract(then: &Catalog, now: &Catalog, contract: &ContractId, version: u32) -> Vec<EntryChange> {
    let of = |catalog: &'_ Catalog| -> Option<ContractVersion> {
        catalog.contracts.get(contract)?.iter().find(|other| other.version == version).cloned()
    };
    let Some(billed) = of(then) else { return Vec::new() };
    let changed = entry(Section::Contract, contract, (Some(&billed), of(now).as_ref()), fields::contract);
    with_meters((then, now), changed, version, &billed.prices)
}

/// As [`broken`], of a coupon, which has no versions.
#[must_use]
pub fn broken_coupon(then: &Catalog, now: &Catalog, coupon: &CouponId) -> Vec<EntryChange> {
    let Some(billed) = then.coupons.get(coupon) else { return Vec::new() };
    entry(Section::Coupon, coupon, (Some(billed), now.coupons.get(coupon)), fields::coupon).into_iter().collect()
}

/// As [`broken`], of what numbers and periods of an issuer hang on. Another name or address is another version of it,
/// and one that is gone is told by whoever needs it.
#[must_use]
pub fn broken_issuer(then: &Catalog, now: &Catalog, issuer: &IssuerId) -> Option<EntryChange> {
    let (billed, own) = (then.issuers.get(issuer)?, now.issuers.get(issuer)?);
    let mut changed = entry(Section::Issuer, issuer, (Some(billed), Some(own)), fields::issuer)?;
    changed.fields.retain(|field| field.path == ["number_prefix"] || field.path == ["time_zone"]);
    (!changed.fields.is_empty()).then_some(changed)
}

/// As [`broken`], of a version of a tax rate.
#[must_use]
pub fn broken_tax_rate(then: &Catalog, now: &Catalog, tax_rate: &TaxRateId, version: u32) -> Vec<EntryChange> {
    let of = |catalog: &'_ Catalog| -> Option<TaxRateVersion> {
        catalog.tax_rates.get(tax_rate)?.iter().find(|other| other.version == version).cloned()
    };
    let Some(billed) = of(then) else { return Vec::new() };
    let changed = entry(Section::TaxRate, tax_rate, (Some(&billed), of(now).as_ref()), fields::tax_rate);
    changed.map(|change| EntryChange { version: Some(version), ..change }).into_iter().collect()
}

/// What changed of a version, and of the meters of its prices and their products.
fn with_meters(
    (then, now): (&Catalog, &Catalog),
    changed: Option<EntryChange>,
    version: u32,
    prices: &[Price],
) -> Vec<EntryChange> {
    let changed = changed.map(|change| EntryChange { version: Some(version), ..change });
    let mut changes: Vec<EntryChange> = changed.into_iter().collect();
    let meters: BTreeSet<&MeterId> = prices.iter().filter_map(|price| price.meter.as_ref()).collect();
    let used: Vec<&Meter> = meters.iter().filter_map(|id| then.meters.get(id)).collect();
    for id in meters {
        changes.extend(entry(Section::Meter, id, (then.meters.get(id), now.meters.get(id)), fields::meter));
    }
    let products: BTreeSet<&ProductId> = if used.iter().any(|meter| meter.product.is_none()) {
        then.products.keys().collect()
    } else {
        used.iter().filter_map(|meter| meter.product.as_ref()).collect()
    };
    for id in products {
        let both = (then.products.get(id), now.products.get(id));
        changes.extend(entry(Section::Product, id, both, fields::product_rules));
    }
    for change in changes.iter_mut().filter(|change| change.change == Change::Changed) {
        change.fields.retain(|field| field.path != ["name"]);
    }
    changes.retain(|change| change.change != Change::Changed || !change.fields.is_empty());
    changes
}
