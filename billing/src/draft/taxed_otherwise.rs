//! Whether the tax rates of the catalog tax a month that was billed otherwise than those of the catalog that billed it.
//! Takes the rates of then and the month's lines; compares the rate that each of them gets for its customer, so that a
//! rate of another country, another tax code or another time changes nothing.

use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::catalog::contract::{COMMITMENT_PRICE, MINIMUM_PRICE};
use tollbook_schemas::catalog::tax::{Customer, TaxRates, rate_before};
use tollbook_schemas::id::{IssuerId, PartnerId};

use super::{DraftInput, tax};
use crate::document::Line;

/// Whether some line of a month, of those that are taxed, is taxed otherwise now than by the rates of then. Of a line
/// whose tax code or customer nobody can say any more, nobody can say it either.
pub(super) fn is_taxed_otherwise<'a>(
    input: &DraftInput<'_>,
    then: &TaxRates,
    (issuer_id, partner_id): (&IssuerId, &PartnerId),
    mut lines: impl Iterator<Item = &'a Line>,
) -> bool {
    lines.any(|line| {
        if line.adjusts.is_some() || line.tax.is_some() || line.coupon.is_some() || line.credit.is_some() {
            return false;
        }
        let Some(tax_code) = tax_code_of(input.catalog, line) else { return true };
        let Ok(Some(profile)) = tax::taxed_profile(input, partner_id, line.span_end) else { return true };
        let customer = Customer { country: &profile.country, has_tax_id: tax::has_tax_id(profile) };
        let rate = |rates| rate_before(rates, issuer_id, tax_code, customer, line.span_end).ok();
        rate(then) != rate(&input.catalog.tax_rates)
    })
}

/// The tax code of the price that made a line, none of one without a code; `None` where the catalog has no such price.
fn tax_code_of<'a>(catalog: &'a Catalog, line: &Line) -> Option<Option<&'a str>> {
    if line.by_hand.is_some() {
        return Some(None);
    }
    let contract = match &line.contract {
        Some(named) => {
            let mut versions = catalog.contracts.get(&named.contract_id).into_iter().flatten();
            Some(versions.find(|contract| contract.version == named.version)?)
        }
        None => None,
    };
    let beside = contract.and_then(|contract| match line.price_id.as_str() {
        MINIMUM_PRICE => contract.minimum.as_ref(),
        COMMITMENT_PRICE => contract.commitment.as_ref(),
        _ => None,
    });
    if let Some(beside) = beside {
        return Some(beside.tax_code.as_deref());
    }
    let own = contract.into_iter().flat_map(|contract| &contract.prices);
    let versions = catalog.plans.get(&line.plan_id).into_iter().flatten();
    let listed = versions.filter(|plan| plan.version == line.plan_version).flat_map(|plan| &plan.prices);
    let mut prices = own.chain(listed);
    prices.find(|price| price.price_id == line.price_id).map(|price| price.tax_code.as_deref())
}
