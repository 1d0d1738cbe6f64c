//! The minimum of a contract: the lines of a document in, a line for what is missing to each minimum out.
//!
//! A minimum is of a contract and a billing period, not of a subscription: all lines of the document that the contract
//! prices count towards it, whatever spans they are of, so it is asked for once. The line is printed at 0 too, as every price is. It
//! stands for the first span that the contract prices.

use std::collections::BTreeMap;

use tollbook_schemas::catalog::contract::MINIMUM_PRICE;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::id::PriceId;
use tollbook_schemas::money::{Currency, Money};

use super::span::Span;
use crate::document::{Line, LineContract, sum_of};
use crate::rating::Working;
use crate::rating::commitment::true_up;
use crate::rating::prorate::Share;

/// The lines, numbered behind those that are there, each with its tax code.
pub(super) fn minimums<'a>(
    spans: &[&Span<'a>],
    lines: &[Line],
    currency: Currency,
) -> Result<Vec<(Line, Option<&'a str>)>, String> {
    let mut first: BTreeMap<LineContract, &Span<'a>> = BTreeMap::new();
    for span in spans {
        if let Some(contract) = span.line_contract() {
            first.entry(contract).or_insert(span);
        }
    }
    let mut missing = Vec::new();
    for (contract, span) in first {
        let Some(minimum) = span.contract.and_then(|contract| contract.version.minimum.as_ref()) else { continue };
        let place = || format!("the minimum of contract {}", contract.contract_id);
        let own: Vec<Line> = lines.iter().filter(|line| line.contract.as_ref() == Some(&contract)).cloned().collect();
        // What another system billed of the period counts too.
        let before = own.iter().filter_map(|line| line.opening.as_ref()).map(|opening| opening.amount_minor);
        let billed = sum_of(&own).and_then(|own| before.into_iter().try_fold(own, i64::checked_add));
        let billed = billed.ok_or_else(|| format!("{}: its lines do not fit 63 bits", place()))?;
        let amount = true_up(minimum.amount, Share::WHOLE, Money { minor: billed, currency }, currency)
            .map_err(|error| format!("{}: {error}", place()))?;
        let line = Line {
            adjusts: None,
            amount_minor: amount.minor,
            by_hand: None,
            contract: Some(contract.clone()),
            coupon: None,
            credit: None,
            description: minimum.description.clone(),
            line_number: u32::try_from(lines.len() + missing.len() + 1)
                .map_err(|_| "the document has too many lines".to_owned())?,
            meter_id: None,
            opening: None,
            plan_id: span.subscription.plan_id.clone(),
            plan_version: span.version.version,
            price_id: PriceId::parse(MINIMUM_PRICE).map_err(|error| error.to_string())?,
            price_model: "minimum".to_owned(),
            quantity: Decimal::whole(1),
            span_end: span.billed.end,
            span_start: span.billed.start,
            subscription_id: span.subscription.subscription_id.clone(),
            tax: None,
            unit: None,
            usage: Vec::new(),
            working: Working {
                exact: Exact::scaled(amount.minor, currency.exponent()).to_string(),
                ..Working::default()
            },
        };
        missing.push((line, minimum.tax_code.as_deref()));
    }
    Ok(missing)
}

#[cfg(test)]
mod tests;
