//! The minimum of a contract: the lines of a document in, a line for what is missing to each minimum out.
//!
//! A minimum is of a contract and a billing period, not of a subscription: all lines of the document that the contract
//! prices count towards it, whatever spans they are of, so it is asked for once. The line is printed at 0 too, as every
//! price is. It stands for the first span that the contract prices.

use std::collections::BTreeMap;

use tollbook_schemas::catalog::Price;
use tollbook_schemas::catalog::contract::MINIMUM_PRICE;
use tollbook_schemas::id::{PartnerId, PriceId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::price::setting::{Charged, Due};

use super::DraftInput;
use super::index::UsageIndex;
use super::line::line_of;
use super::span::Span;
use crate::document::{Line, LineContract, LineOf, sum_of};
use crate::rating::commitment::true_up;
use crate::rating::prorate::Share;

/// The lines, without numbers, each with its tax code.
///
/// What counts towards a minimum is what the period comes to: of what is billed in advance its own, though an earlier
/// invoice bore it, and nothing of what is charged once.
pub(super) fn minimums<'a>(
    input: &DraftInput<'_>,
    usage: &UsageIndex<'_>,
    spans: &[&Span<'a>],
    lines: &[Line],
    currency: Currency,
) -> Result<Vec<(Line, Option<&'a str>)>, String> {
    // Of each partner its own: two may have signed the same.
    let mut first: BTreeMap<(&PartnerId, LineContract), &Span<'a>> = BTreeMap::new();
    for span in spans {
        if let Some(contract) = span.line_contract() {
            first.entry((&span.subscription.partner_id, contract)).or_insert(span);
        }
    }
    let mut missing = Vec::new();
    for ((partner_id, contract), span) in first {
        let Some(minimum) = span.contract.and_then(|contract| contract.version.minimum.as_ref()) else { continue };
        let place = || format!("the minimum of contract {}", contract.contract_id);
        let of_partner = span.for_partner();
        let is_own = |line: &&Line| {
            line.contract.as_ref() == Some(&contract) && line.for_partner == of_partner && line.due.is_none()
        };
        let mut own: Vec<Line> = lines.iter().filter(is_own).cloned().collect();
        let is_own_span = |span: &&&Span<'_>| {
            span.subscription.partner_id == *partner_id && span.line_contract().as_ref() == Some(&contract)
        };
        for span in spans.iter().filter(is_own_span) {
            for price in span.prices.iter().filter(|price| is_of_period_in_advance(price)) {
                own.push(line_of(input.catalog, usage, span, price)?);
            }
        }
        // What another system billed of the period counts too.
        let mut before = own.iter().filter_map(|line| line.opening.as_ref()).map(|opening| opening.amount_minor);
        let billed = sum_of(&own).and_then(|own| before.try_fold(own, i64::checked_add));
        let billed = billed.ok_or_else(|| format!("{}: its lines do not fit 63 bits", place()))?;
        let amount = true_up(minimum.amount, Share::WHOLE, Money { minor: billed, currency }, currency)
            .map_err(|error| format!("{}: {error}", place()))?;
        let of = LineOf {
            subscription_id: span.subscription.subscription_id.clone(),
            plan_id: span.subscription.plan_id.clone(),
            plan_version: span.version.version,
            price_id: PriceId::parse(MINIMUM_PRICE).map_err(|error| error.to_string())?,
            price_model: "minimum",
        };
        let line = Line {
            contract: Some(contract.clone()),
            description: span.described(&minimum.description),
            for_partner: span.for_partner(),
            ..Line::beside(of, span.billed, amount)
        };
        missing.push((line, minimum.tax_code.as_deref()));
    }
    Ok(missing)
}

fn is_of_period_in_advance(price: &Price) -> bool {
    let settings = price.tariff.settings;
    settings.due == Due::InAdvance && settings.charged == Charged::EachPeriod
}

#[cfg(test)]
mod tests;
