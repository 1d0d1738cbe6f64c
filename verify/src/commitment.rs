//! Commitments once more: what the lines of a contract come to in all months of its term, and the line for what is missing.
//! Pure. From `docs/money.md`, "Commitments".
//!
//! It is derived from the raw rows of the whole term, as they are known at the pin: no document of an earlier month is looked
//! at.

use tollbook_schemas::catalog::contract::{COMMITMENT_PRICE, ContractMinimum};
use tollbook_schemas::catalog::{Catalog, ContractVersion};
use tollbook_schemas::id::{ContractId, IssuerId, PartnerId};
use tollbook_schemas::period::{Month, Period, Tz};
use tollbook_schemas::price::setting::Due as When;
use tollbook_schemas::registry::Registry;

use crate::document::{Line, LineContract};
use crate::ground::{Ground, Stopped, wrong};
use crate::month::{Coded, Metering, priced};
use crate::number::Ratio;
use crate::payer::{Borne, named, or_blocked};
use crate::rating::Working;
use crate::spans::{Span, spans_of};
use crate::tax::major;
use crate::walk::in_force;

/// A commitment whose term ends in a month.
struct Due<'a> {
    contract_id: &'a ContractId,
    version: &'a ContractVersion,
    least: &'a ContractMinimum,
    term: Period,
    issuer_id: &'a IssuerId,
    zone: Tz,
}

/// The commitments of a partner whose term ends in a month: of contracts that it signed before, and that were not ended before.
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
            // The last instant of the term is in the month.
            let in_month = month.period(zone).map_err(|error| error.to_string())?;
            let is_over = in_month.start < end && end <= in_month.end;
            let holds = signed.signed_at < end && signed.ended_at.is_none_or(|ended| end <= ended);
            if is_over && holds && found.iter().all(|other| other.contract_id != contract_id) {
                let term = Period { start: version.starts, end };
                found.push(Due { contract_id, version, least, term, issuer_id, zone });
            }
        }
    }
    Ok(found)
}

impl Due<'_> {
    fn prices(&self, span: &Span<'_>) -> bool {
        span.contract.is_some_and(|(id, _)| id == self.contract_id)
    }

    /// The span that the line stands for: the first one that is over, on a document of its issuer and currency.
    fn first<'s, 'a>(&self, ground: &Ground, spans: &'s [Span<'a>]) -> Option<&'s Span<'a>> {
        let is_of = *self.issuer_id == ground.issuer_id && self.version.currency == ground.currency;
        spans.iter().find(|span| is_of && span.bills.over && self.prices(span))
    }

    /// The first and the further months whose runs bill something of the term, up to the one in which it ends. What is due
    /// before its period is in the month before.
    fn months(&self, first: &Span<'_>, last: Month) -> impl Iterator<Item = Month> + use<> {
        let begin = self.begin();
        let is_early = first.prices.iter().any(|price| price.tariff.settings.due != When::InArrears);
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

/// Whether something is billed by every contract whose term ends in a month: else nobody can say who owes what is missing.
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
    let all = due(registry, catalog, partner_id, month)?;
    match all.into_iter().find(|due| !spans.iter().any(|span| due.prices(span))) {
        Some(due) => {
            Err(format!("the term of contract {} ends in {month}, and nothing is billed by it then", due.contract_id))
        }
        None => Ok(()),
    }
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

/// What the lines come to that the version with the commitment priced, with what another system billed of their periods; in
/// minor units.
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
