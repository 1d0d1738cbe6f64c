//! Commitments once more: what the lines of a contract come to in all months of its term, and the line for what is
//! missing. Pure. From `docs/money.md`, "Commitments".
//!
//! It is derived from the raw rows of the whole term, as they are known at the pin: no document of an earlier month is
//! looked at.

use chrono::{DateTime, TimeDelta, Utc};
use tollbook_schemas::catalog::contract::{COMMITMENT_PRICE, ContractMinimum};
use tollbook_schemas::catalog::{Catalog, ContractVersion, Price};
use tollbook_schemas::id::{ContractId, IssuerId, PartnerId};
use tollbook_schemas::period::{Month, Period, Tz};
use tollbook_schemas::price::setting::{Charged, Due as When};
use tollbook_schemas::registry::Registry;

use crate::document::{Line, LineContract};
use crate::ground::{Ground, Stopped, wrong};
use crate::month::{Coded, Metering, priced};
use crate::number::Ratio;
use crate::payer::{Borne, named, or_blocked};
use crate::rating::Working;
use crate::spans::{Span, contract_of, spans_of, zone_of};
use crate::tax::major;
use crate::walk::{Walked, in_force, walk};

/// A commitment that is asked for in a month.
struct Due<'a> {
    contract_id: &'a ContractId,
    version: &'a ContractVersion,
    least: &'a ContractMinimum,
    term: Period,
    issuer_id: &'a IssuerId,
    zone: Tz,
}

/// The commitments of a partner that are asked for in a month: of contracts that it signed before the term ended, and
/// that were not ended before.
fn due<'a>(
    registry: &Registry,
    catalog: &'a Catalog,
    partner_id: &PartnerId,
    month: Month,
) -> Result<Vec<Due<'a>>, String> {
    let mut found: Vec<Due<'a>> = Vec::new();
    for signed in registry.contracts.iter().filter(|signed| signed.partner_id == *partner_id) {
        let Some((contract_id, versions)) = catalog.contracts.get_key_value(&signed.contract_id) else { continue };
        for version in versions {
            let (Some(least), Some(end)) = (&version.commitment, version.ends) else { continue };
            let plan = in_force(catalog, &version.plan, version.starts);
            let Some((issuer_id, issuer)) = plan.and_then(|plan| catalog.issuers.get_key_value(&plan.issuer)) else {
                continue;
            };
            let zone = issuer.time_zone;
            let holds = signed.signed_at < end && signed.ended_at.is_none_or(|ended| end <= ended);
            if !holds || found.iter().any(|other| other.contract_id == contract_id) {
                continue;
            }
            let term = Period { start: version.starts, end };
            let due = Due { contract_id, version, least, term, issuer_id, zone };
            // The run that bills the last period which begins in the term; not before the last instant of the term.
            let mut asked_in = last_month(end, zone);
            if asked_in <= month {
                for (billed, zone) in due.priced_periods(registry, catalog, partner_id)? {
                    asked_in = asked_in.max(last_month(billed.end, zone));
                }
            }
            if asked_in == month {
                found.push(due);
            }
        }
    }
    Ok(found)
}

/// The month that holds the last instant before another.
fn last_month(end: DateTime<Utc>, zone: Tz) -> Month {
    Month::of(end - TimeDelta::microseconds(1), zone)
}

impl Due<'_> {
    /// The periods of its partner's subscriptions that the contract prices, each with its zone: those that begin in the
    /// term.
    fn priced_periods(
        &self,
        registry: &Registry,
        catalog: &Catalog,
        partner_id: &PartnerId,
    ) -> Result<Vec<(Period, Tz)>, String> {
        let mut found = Vec::new();
        let all = registry.subscriptions.values().filter(|one| one.partner_id == *partner_id);
        for subscription in all.filter(|one| one.plan_id == self.version.plan) {
            let zone = zone_of(catalog, subscription)?;
            for Walked { billed, .. } in walk(catalog, subscription, zone, self.term.end)? {
                let contract = contract_of(registry, catalog, subscription, billed.start)?;
                if contract.is_some_and(|(id, own)| id == self.contract_id && own.version == self.version.version) {
                    found.push((billed, zone));
                }
            }
        }
        Ok(found)
    }

    fn prices(&self, span: &Span<'_>) -> bool {
        span.contract.is_some_and(|(id, _)| id == self.contract_id)
    }

    /// The span that the line stands for: the first one that is over, on a document of its issuer and currency.
    fn first<'s, 'a>(&self, ground: &Ground, spans: &'s [Span<'a>]) -> Option<&'s Span<'a>> {
        let is_of = *self.issuer_id == ground.issuer_id && self.version.currency == ground.currency;
        spans.iter().find(|span| is_of && span.bills.over && self.prices(span))
    }

    /// The first and the further months whose runs bill something of the term, up to the one in which it ends. What is
    /// due before its period is in the month before.
    fn months(&self, first: &Span<'_>, last: Month) -> impl Iterator<Item = Month> + use<> {
        let begin = self.begin();
        let is_early = |price: &Price| {
            price.tariff.settings.due != When::InArrears || price.tariff.settings.charged == Charged::Once
        };
        let is_early = first.prices.iter().any(is_early);
        let first = if is_early { begin.previous() } else { begin };
        std::iter::successors(Some(first), |month| Some(month.next())).take_while(move |month| *month <= last)
    }

    fn begin(&self) -> Month {
        Month::of(self.term.start, self.zone)
    }

    /// The spans that its contract prices in a month, whoever pays.
    fn spans_in<'a>(&self, ground: &'a Ground, partner_id: &PartnerId, month: Month) -> Result<Vec<Span<'a>>, Stopped> {
        let mut spans = spans_of(&ground.registry, ground.catalog(), partner_id, month).map_err(wrong)?;
        spans.retain(|span| self.prices(span));
        Ok(spans)
    }
}

/// Whether something is billed by every contract whose term ends in a month: else nobody can say who owes what is
/// missing.
///
/// # Errors
/// The contract of which nothing is, in words.
pub(crate) fn is_asked_for(
    registry: &Registry,
    catalog: &Catalog,
    partner_id: &PartnerId,
    month: Month,
    spans: &[Span<'_>],
) -> Result<(), String> {
    let live = registry.going_live.get(partner_id).map(|live| live.billing_starts_at);
    for due in due(registry, catalog, partner_id, month)? {
        let id = due.contract_id;
        if !spans.iter().any(|span| due.prices(span)) {
            return Err(format!("the term of contract {id} ends in {month}, and nothing is billed by it then"));
        }
        // What another system billed whole is known nowhere here.
        let periods = due.priced_periods(registry, catalog, partner_id)?;
        if periods.iter().any(|(billed, _)| live.is_some_and(|live| billed.end <= live)) {
            return Err(format!("another system billed periods of the term of contract {id}"));
        }
    }
    Ok(())
}

/// The spans of earlier months that count towards what a document asks for at the end of terms.
///
/// # Errors
/// [`Stopped`].
pub(crate) fn spans_of_terms<'a>(
    ground: &'a Ground,
    month: Month,
    borne: &[Borne<'a>],
) -> Result<Vec<Span<'a>>, Stopped> {
    let mut all = Vec::new();
    for Borne { partner_id, spans, .. } in borne {
        for due in due(&ground.registry, ground.catalog(), partner_id, month).map_err(wrong)? {
            let Some(first) = due.first(ground, spans) else { continue };
            for earlier in due.months(first, month).filter(|earlier| *earlier < month) {
                match due.spans_in(ground, partner_id, earlier) {
                    Ok(spans) => all.extend(spans),
                    Err(stopped) if **partner_id == ground.partner_id => return Err(stopped),
                    Err(stopped) => drop(or_blocked(ground, (*partner_id, month), stopped)?),
                }
            }
        }
    }
    Ok(all)
}

/// The lines of what is missing to commitments of one partner, each with its tax code.
///
/// # Errors
/// [`Stopped`].
pub(crate) fn lines_of(
    ground: &Ground,
    metering: &Metering<'_>,
    Borne { partner_id, spans, .. }: &Borne<'_>,
    month: Month,
) -> Result<Vec<Coded>, Stopped> {
    let currency = ground.currency;
    let mut lines = Vec::new();
    for due in due(&ground.registry, ground.catalog(), partner_id, month).map_err(wrong)? {
        let Some(first) = due.first(ground, spans) else { continue };
        let least = Ratio::decimal(due.least.amount);
        let mut parts = vec![("committed".to_owned(), least.clone())];
        let mut billed = 0_i128;
        for at in due.months(first, month) {
            let of_month = priced(ground.catalog(), ground.currency, metering, &due.spans_in(ground, partner_id, at)?)?;
            let minor = sum_of(&due, of_month.prices.iter().chain(&of_month.minimums)).ok_or_else(too_big)?;
            billed += i128::from(minor);
            // The month before the term is told where something of the term was billed in it.
            if at >= due.begin() || minor != 0 {
                parts.push((format!("billed in {at}"), -&major(minor, currency)));
            }
        }
        let least = least.to_minor(currency.exponent(), currency.step_minor()).ok_or_else(too_big)?;
        let missing = i64::try_from((i128::from(least) - billed).max(0)).map_err(|_| too_big())?;
        let line = Line {
            contract: Some(LineContract { contract_id: due.contract_id.to_string(), version: due.version.version }),
            description: due.least.description.clone(),
            plan_id: first.subscription.plan_id.to_string(),
            plan_version: first.version.version,
            price_id: COMMITMENT_PRICE.to_owned(),
            price_model: "commitment".to_owned(),
            subscription_id: first.subscription.subscription_id.to_string(),
            working: Working::of_sum(&major(missing, currency), parts),
            ..Line::over(due.term, missing, currency)
        };
        lines.push((named(ground, partner_id, line), due.least.tax_code.clone()));
    }
    Ok(lines)
}

fn too_big() -> Stopped {
    wrong("what is missing to a commitment does not fit 63 bits")
}

/// What the lines come to that the version with the commitment priced, with what another system billed of their
/// periods; in minor units.
fn sum_of<'a>(due: &Due<'_>, lines: impl Iterator<Item = &'a Coded>) -> Option<i64> {
    let counts = |line: &&Line| {
        let version = due.version.version;
        line.contract.as_ref().is_some_and(|own| own.contract_id == due.contract_id.as_str() && own.version == version)
    };
    let before = |line: &Line| line.terms.opening.as_ref().map_or(0, |opening| opening.amount_minor);
    let mut lines = lines.map(|(line, _)| line).filter(counts);
    lines.try_fold(0_i64, |sum, line| sum.checked_add(line.amount_minor)?.checked_add(before(line)))
}

#[cfg(test)]
mod tests;
