//! Commitments: what the whole term of a contract costs at least. A line for what is missing, at the end of the term.
//!
//! The document of the month in which the last period that begins in the term ends, never before the term does, has the
//! line: what was committed less what the lines of the contract come to in all months of the term, before coupons and
//! tax, never below 0. They are computed from what is known now, so late usage of an earlier month makes the line
//! smaller by what it is billed: the two adjustments are the difference of what the term comes to. Usage is drawn from
//! the commitment without a rule of its own.
//!
//! A commitment is asked for once, whatever spans its contract prices. Whose term ends while no subscription is billed
//! by the contract is told and blocked: a person decides what is owed.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use tollbook_schemas::catalog::contract::{COMMITMENT_PRICE, ContractMinimum};
use tollbook_schemas::catalog::{ContractVersion, Price};
use tollbook_schemas::exact::Exact;
use tollbook_schemas::id::{ContractId, IssuerId, PartnerId, PriceId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Month, Period};
use tollbook_schemas::price::setting::{Charged, Due};
use tollbook_schemas::registry::contract_in_force;
use tollbook_schemas::schedule;

use super::span::{Span, spans_of, zone_of};
use super::{DraftInput, UsageIndex, issuer_named, priced_lines};
use crate::document::{Line, LineContract, LineOf};
use crate::rating::Working;
use crate::rating::commitment::true_up;
use crate::rating::prorate::Share;
use crate::rating::working::ComponentWorking;

/// The word of the model of a line by which a commitment is billed.
pub(crate) const COMMITMENT: &str = "commitment";

/// A commitment that is asked for in the month: the one in which its term ends, or, where a period that begins in the
/// term ends behind it, the last such period. The contract prices what begins in its term, and all of that counts.
struct AskedFor<'a> {
    contract_id: &'a ContractId,
    version: &'a ContractVersion,
    commitment: &'a ContractMinimum,
    issuer_id: &'a IssuerId,
    /// The periods that the contract prices.
    periods: Vec<Period>,
}

/// Those of a partner.
fn due<'a>(input: &DraftInput<'a>, partner_id: &PartnerId) -> Result<Vec<AskedFor<'a>>, String> {
    let mut found: Vec<AskedFor<'a>> = Vec::new();
    for signed in input.registry.contracts.iter().filter(|signed| signed.partner_id == *partner_id) {
        let Some((contract_id, versions)) = input.catalog.contracts.get_key_value(&signed.contract_id) else {
            continue;
        };
        for version in versions {
            let (Some(commitment), Some(ends)) = (&version.commitment, version.ends) else { continue };
            let Some(plan) = input.catalog.plan_at(&version.plan, version.starts) else { continue };
            let Some(issuer) = input.catalog.issuers.get(&plan.issuer) else { continue };
            let is_signed = signed.signed_at < ends && signed.ended_at.is_none_or(|ended| ends <= ended);
            let ends_in = Month::of(ends - TimeDelta::microseconds(1), issuer.time_zone);
            if !is_signed || input.month < ends_in || found.iter().any(|other| other.contract_id == contract_id) {
                continue;
            }
            let priced = priced_periods(input, partner_id, (contract_id, version, ends))?;
            let (months, periods): (Vec<Month>, Vec<Period>) = priced.into_iter().unzip();
            if months.into_iter().fold(ends_in, Month::max) == input.month {
                found.push(AskedFor { contract_id, version, commitment, issuer_id: &plan.issuer, periods });
            }
        }
    }
    Ok(found)
}

/// The periods of a partner that a contract prices, to the end of its term, each with the month whose run bills its
/// usage.
fn priced_periods(
    input: &DraftInput<'_>,
    partner_id: &PartnerId,
    (contract_id, version, ends): (&ContractId, &ContractVersion, DateTime<Utc>),
) -> Result<Vec<(Month, Period)>, String> {
    let mut found = Vec::new();
    let own = input.registry.subscriptions_of(partner_id);
    for subscription in own.filter(|one| one.plan_id == version.plan) {
        let zone = zone_of(input, subscription)?;
        let periods = schedule::periods(input.catalog, subscription, zone, ends);
        for period in periods.map_err(|error| error.to_string())? {
            let contract =
                contract_in_force(&input.registry.contracts, input.catalog, subscription, period.billed.start);
            let is_priced = contract
                .map_err(|error| error.to_string())?
                .is_some_and(|own| own.contract_id == contract_id && own.version.version == version.version);
            if is_priced {
                found.push((period.month(zone), period.billed));
            }
        }
    }
    Ok(found)
}

/// Refuses a month in which a commitment is asked for and nothing of its contract is billed, and one whose term began
/// while another system billed.
pub(super) fn check_billed(input: &DraftInput<'_>, partner_id: &PartnerId, spans: &[Span<'_>]) -> Result<(), String> {
    for due in due(input, partner_id)? {
        let is_billed = |span: &Span<'_>| span.contract.is_some_and(|own| own.contract_id == due.contract_id);
        if !spans.iter().any(is_billed) {
            return Err(format!(
                "the term of contract {} ends in {}, and no subscription is billed by it then: what is missing to its \
                 commitment is of no line; record contract.ended of it at the instant at which it was ended, and bill what is owed \
                 with `tollbook bill adjust`",
                due.contract_id, input.month
            ));
        }
        let live = input.registry.going_live.get(partner_id).map(|live| live.billing_starts_at);
        // A period that goes on here has openings, which count.
        if due.periods.iter().any(|billed| live.is_some_and(|live| billed.end <= live)) {
            return Err(format!(
                "another system billed periods of the term of contract {}, before billing_starts_at: what they came to is not known \
                 here, so what is missing to its commitment is not either; record contract.ended of it at the instant at which it \
                 was ended, and bill what is owed with `tollbook bill adjust`",
                due.contract_id
            ));
        }
    }
    Ok(())
}

/// The lines of a document, without numbers, each with its tax code: those of its partner, and of the ones that it pays
/// for.
pub(super) fn lines_of<'a>(
    input: &DraftInput<'a>,
    usage: &UsageIndex<'_>,
    (issuer_id, currency): (&IssuerId, Currency),
    spans: &[&Span<'a>],
) -> Result<Vec<(Line, Option<&'a str>)>, String> {
    let partners: BTreeSet<&PartnerId> = spans.iter().map(|span| &span.subscription.partner_id).collect();
    let mut missing = Vec::new();
    for partner_id in partners {
        for due in due(input, partner_id)? {
            if (due.issuer_id, due.version.currency) != (issuer_id, currency) {
                continue;
            }
            let is_meant = |span: &&&Span<'a>| {
                span.subscription.partner_id == *partner_id
                    && span.contract.is_some_and(|own| own.contract_id == due.contract_id)
            };
            // Told where there is none.
            let Some(first) = spans.iter().find(is_meant) else { continue };
            missing.push((line_of(input, usage, partner_id, &due, first)?, due.commitment.tax_code.as_deref()));
        }
    }
    Ok(missing)
}

fn line_of(
    input: &DraftInput<'_>,
    usage: &UsageIndex<'_>,
    partner_id: &PartnerId,
    due: &AskedFor<'_>,
    first: &Span<'_>,
) -> Result<Line, String> {
    let place = || format!("the commitment of contract {}", due.contract_id);
    let currency = due.version.currency;
    let zone = issuer_named(input, due.issuer_id)?.time_zone;
    let begins = Month::of(due.version.starts, zone);
    // What is due in advance of the first period, or once with it, may be billed in the month before it.
    let is_early = |price: &Price| {
        let settings = &price.tariff.settings;
        settings.due != Due::InArrears || settings.charged == Charged::Once
    };
    let mut month = if first.prices.iter().any(is_early) { begins.previous() } else { begins };
    let mut billed = 0_i64;
    let mut components = Vec::new();
    while month <= input.month {
        let of_month = DraftInput { month, ..*input };
        let lines = lines_of_month(&of_month, usage, partner_id, due);
        let too_big = || format!("{}: its lines do not fit 63 bits", place());
        let minor = sum_of(due, &lines.map_err(|what| format!("{}: {month}: {what}", place()))?).ok_or_else(too_big)?;
        billed = billed.checked_add(minor).ok_or_else(too_big)?;
        if month >= begins || minor != 0 {
            let exact = Exact::scaled(minor.checked_neg().ok_or_else(too_big)?, currency.exponent());
            let name = format!("billed in {month}");
            components.push(ComponentWorking { exact: exact.to_string(), name, quantity: None });
        }
        month = month.next();
    }
    let amount = true_up(due.commitment.amount, Share::WHOLE, Money { minor: billed, currency }, currency)
        .map_err(|error| format!("{}: {error}", place()))?;
    let committed =
        ComponentWorking { exact: due.commitment.amount.to_string(), name: "committed".to_owned(), quantity: None };
    components.insert(0, committed);
    let term = Period { start: due.version.starts, end: due.version.ends.unwrap_or(first.billed.end) };
    let of = LineOf {
        subscription_id: first.subscription.subscription_id.clone(),
        plan_id: first.subscription.plan_id.clone(),
        plan_version: first.version.version,
        price_id: PriceId::parse(COMMITMENT_PRICE).map_err(|error| error.to_string())?,
        price_model: COMMITMENT,
    };
    Ok(Line {
        contract: Some(LineContract { contract_id: due.contract_id.clone(), version: due.version.version }),
        description: first.described(&due.commitment.description),
        for_partner: first.for_partner(),
        working: Working {
            exact: Exact::scaled(amount.minor, currency.exponent()).to_string(),
            components,
            ..Working::default()
        },
        ..Line::beside(of, term, amount)
    })
}

/// What the lines that count come to, in minor units: those that a version priced which has this commitment.
fn sum_of(due: &AskedFor<'_>, lines: &[Line]) -> Option<i64> {
    let counts = |line: &&Line| {
        let own = line.contract.as_ref();
        own.is_some_and(|own| own.contract_id == *due.contract_id && own.version == due.version.version)
    };
    // What another system billed of a period counts too.
    let before = |line: &Line| line.opening.as_ref().map_or(0, |opening| opening.amount_minor);
    let mut own = lines.iter().filter(counts);
    own.try_fold(0_i64, |sum, line| sum.checked_add(line.amount_minor)?.checked_add(before(line)))
}

/// The lines that the contract prices in an earlier month, as they come to now.
fn lines_of_month(
    input: &DraftInput<'_>,
    usage: &UsageIndex<'_>,
    partner_id: &PartnerId,
    due: &AskedFor<'_>,
) -> Result<Vec<Line>, String> {
    let mut spans = Vec::new();
    for subscription in input.registry.subscriptions_of(partner_id) {
        spans.extend(spans_of(input, subscription)?);
    }
    let of_contract = |span: &&Span<'_>| span.contract.is_some_and(|own| own.contract_id == due.contract_id);
    let spans: Vec<&Span<'_>> = spans.iter().filter(of_contract).collect();
    Ok(priced_lines(input, usage, &spans, due.version.currency)?.into_iter().map(|(line, _)| line).collect())
}

#[cfg(test)]
mod tests;
