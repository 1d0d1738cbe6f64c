//! Whether a catalog's tax rates tax what a month billed otherwise than those of the catalog that billed it. Pure. From
//! `docs/money.md`, "Not adjusted, and told", and not from `billing`: of each line the rate that its customer gets, so
//! that a rate of another country, another tax code or another time is no reason.

use serde_json::Value;
use tollbook_schemas::catalog::contract::{COMMITMENT_PRICE, MINIMUM_PRICE};
use tollbook_schemas::catalog::{Catalog, ContractVersion, Price};
use tollbook_schemas::period::parse_instant;

use crate::adjust::text;
use crate::stored::Object;
use crate::tax::Taxing;

/// Whether some of the lines is taxed otherwise than by the rates of then. Of a line whose tax code nobody can say,
/// nobody can say it either.
pub(crate) fn is_retaxed<'o>(taxing: &Taxing<'_>, then: &Catalog, mut lines: impl Iterator<Item = &'o Object>) -> bool {
    let of_then = Taxing { catalog: then, ..taxing.clone() };
    lines.any(|line| {
        if ["adjusts", "tax", "coupon", "credit"].iter().any(|key| line.contains_key(*key)) {
            return false;
        }
        let end = line.get("span_end").and_then(Value::as_str).and_then(|end| parse_instant(end).ok());
        let (Some(tax_code), Some(end)) = (tax_code_of(taxing.catalog, line), end) else { return true };
        let rate = |by: &Taxing<'_>| {
            let rate = by.rate_of(tax_code, end).ok();
            rate.map(|rate| rate.map(|(id, version, _)| (id.clone(), version.clone())))
        };
        rate(&of_then) != rate(taxing)
    })
}

/// The tax code of what makes a line: a price of its plan or contract, a contract's minimum or commitment; a line by
/// hand has none. `None` where the catalog has nothing that makes it.
fn tax_code_of<'a>(catalog: &'a Catalog, line: &Object) -> Option<Option<&'a str>> {
    if line.contains_key("by_hand") {
        return Some(None);
    }
    let contract: Option<&ContractVersion> = match line.get("contract").and_then(Value::as_object) {
        None => None,
        Some(named) => {
            let (id, version) = (named.get("contract_id")?.as_str()?, version_of(named, "version")?);
            let (_, versions) = catalog.contracts.iter().find(|(own, _)| own.as_str() == id)?;
            Some(versions.iter().find(|own| own.version == version)?)
        }
    };
    let least = contract.and_then(|contract| match text(line, "price_id") {
        MINIMUM_PRICE => contract.minimum.as_ref(),
        COMMITMENT_PRICE => contract.commitment.as_ref(),
        _ => None,
    });
    if let Some(least) = least {
        return Some(least.tax_code.as_deref());
    }
    let own = contract.into_iter().flat_map(|contract| &contract.prices);
    let mut prices = own.chain(listed_prices(catalog, line));
    prices.find(|price| price.price_id.as_str() == text(line, "price_id")).map(|price| price.tax_code.as_deref())
}

fn version_of(object: &Object, key: &str) -> Option<u32> {
    u32::try_from(object.get(key)?.as_u64()?).ok()
}

/// The prices of the version of a plan that a line names.
pub(crate) fn listed_prices<'a>(catalog: &'a Catalog, line: &Object) -> impl Iterator<Item = &'a Price> {
    let of_plan = catalog.plans.iter().find(|(id, _)| id.as_str() == text(line, "plan_id"));
    let version = version_of(line, "plan_version");
    let versions = of_plan.into_iter().flat_map(|(_, versions)| versions);
    versions.filter(move |own| Some(own.version) == version).flat_map(|own| &own.prices)
}
