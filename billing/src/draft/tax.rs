//! The tax of a document's own month: its lines and their tax codes in, tax lines out.
//!
//! Each line is taxed by the rate of the issuer for its tax code and its customer that holds at the last instant of
//! what the line bills; the customer's country and tax id are those of then. So a month that is computed again is taxed
//! as it was, and what is adjusted of it is tax now − tax billed, as for any line. A line without a rate blocks the
//! partner, unless its issuer taxes nothing by then.
//!
//! Tax is computed of printed amounts, once rounded for each rate, or for each line where the rate says so. Where
//! amounts contain their tax, its line comes to 0 and tells what is contained.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use tollbook_schemas::catalog::Issuer;
use tollbook_schemas::catalog::tax::{Customer, TAX_PLAN, TaxInForce, TaxMode, TaxPerLine};
use tollbook_schemas::exact::Exact;
use tollbook_schemas::id::{IdError, IssuerId, PartnerId, PlanId, PriceId, SubscriptionId, TaxRateId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::Period;

use super::DraftInput;
use crate::document::{ByHand, Line, LineOf, LineTax, slot_of};
use crate::profile::Profile;
use crate::rating::Working;
use crate::rating::tax::{TaxLines, Taxable, exact_tax, tax_lines};
use crate::rating::working::ComponentWorking;

/// The word of a tax line's model.
pub(super) const MODEL: &str = "tax";

/// What is taxed, by whom and for whom.
#[derive(Clone, Copy)]
pub(super) struct Taxing<'a> {
    pub(super) input: &'a DraftInput<'a>,
    pub(super) issuer_id: &'a IssuerId,
    pub(super) issuer: &'a Issuer,
    pub(super) partner_id: &'a PartnerId,
    pub(super) currency: Currency,
}

/// A line with the rate that taxes it.
struct Taxed<'a> {
    line: &'a Line,
    /// What it is taxed of, in minor units.
    amount_minor: i64,
    profile: &'a Profile,
}

/// What of a line by hand is taxed, in minor units.
pub(super) struct TaxedByHand {
    /// What it comes to.
    pub(super) wanted_minor: i64,
    /// What earlier documents billed of it.
    pub(super) billed: TaxByHand,
}

/// What tax lines of one line by hand come to, in minor units. A rate may have become inclusive, or exclusive, between
/// two of them: what was charged and what was contained are given back each as it was billed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TaxByHand {
    /// Charged beside the line.
    pub(super) amount_minor: i64,
    /// Contained in its amount.
    pub(super) contained_minor: i64,
}

impl TaxByHand {
    /// All that is tax; none where it does not fit.
    pub(super) fn all_minor(self) -> Option<i64> {
        self.amount_minor.checked_add(self.contained_minor)
    }
}

/// The profile that says where what is billed to an instant is taxed: the one in force at its last instant.
pub(super) fn taxed_profile<'a>(
    input: &DraftInput<'a>,
    partner_id: &PartnerId,
    before: DateTime<Utc>,
) -> Result<Option<&'a Profile>, String> {
    input.profiles.at_or_first(partner_id, before - TimeDelta::microseconds(1), input.as_of)
}

/// Whether a profile has a tax id.
pub(super) fn has_tax_id(profile: &Profile) -> bool {
    profile.tax_id.as_deref().is_some_and(|tax_id| !tax_id.trim().is_empty())
}

impl<'a> Taxing<'a> {
    /// The tax lines of lines, their tax codes and what each is worth after coupons; without numbers.
    pub(super) fn lines_of(
        &self,
        lines: &[Line],
        tax_codes: &[Option<&str>],
        left_minor: &[i64],
    ) -> Result<Vec<Line>, String> {
        let mut by_rate: BTreeMap<(&TaxRateId, u32), (TaxInForce<'_>, Vec<Taxed<'_>>)> = BTreeMap::new();
        for ((line, tax_code), left_minor) in lines.iter().zip(tax_codes).zip(left_minor) {
            let place = || format!("price {} of subscription {}", line.price_id, line.subscription_id);
            let found = self.rate_of(*tax_code, line.span_end).map_err(|error| format!("{}: {error}", place()))?;
            let Some((rate, profile)) = found else { continue };
            let (_, taxed) =
                by_rate.entry((rate.tax_rate_id, rate.version.version)).or_insert_with(|| (rate, Vec::new()));
            taxed.push(Taxed { line, amount_minor: *left_minor, profile });
        }
        if by_rate.is_empty() {
            return Ok(Vec::new());
        }
        let month = self.input.month.period(self.issuer.time_zone).map_err(|error| error.to_string())?;
        let mut found: Vec<Line> = Vec::new();
        for (rate, taxed) in by_rate.into_values() {
            match rate.version.lines {
                TaxPerLine::PerRate => found.push(self.line_of(rate, &taxed, month)?),
                TaxPerLine::PerLine => {
                    for one in taxed {
                        found.push(self.line_of(rate, &[one], month)?);
                    }
                }
            }
        }
        Ok(found)
    }

    /// The rate for a tax code at the last instant before another, and the profile that chose it; none where the issuer
    /// taxes nothing yet.
    pub(super) fn rate_of(
        &self,
        tax_code: Option<&str>,
        before: DateTime<Utc>,
    ) -> Result<Option<(TaxInForce<'a>, &'a Profile)>, String> {
        let Self { input, issuer_id, partner_id, .. } = self;
        if input.catalog.tax_rates_before(issuer_id, before).next().is_none() {
            return Ok(None);
        }
        let profile = taxed_profile(input, partner_id, before)?;
        let profile = profile.ok_or_else(|| format!("no billing profile says where {partner_id} is taxed"))?;
        let customer = Customer { country: &profile.country, has_tax_id: has_tax_id(profile) };
        let rate = input.catalog.tax_rate_before(issuer_id, tax_code, customer, before);
        Ok(rate.map_err(|error| error.to_string())?.map(|rate| (rate, profile)))
    }

    /// The tax of a line that was made by hand: on what it comes to now, less what was billed of it. None where it is
    /// not taxed.
    pub(super) fn line_by_hand(&self, line: &Line, by_hand: TaxedByHand) -> Result<Option<Line>, String> {
        let Some((rate, profile)) = self.rate_of(None, line.span_end)? else { return Ok(None) };
        let month = Period { start: line.span_start, end: line.span_end };
        let now = self.line_of(rate, &[Taxed { line, amount_minor: by_hand.wanted_minor, profile }], month)?;
        let too_big = || format!("{}: its tax does not fit", line.description);
        let billed = by_hand.billed;
        let contained_now = now.tax.as_ref().and_then(|tax| tax.contained_minor);
        let amount_minor = now.amount_minor.checked_sub(billed.amount_minor).ok_or_else(too_big)?;
        let contained = contained_now.unwrap_or(0).checked_sub(billed.contained_minor).ok_or_else(too_big)?;
        // Of a rate that is exclusive nothing is contained, unless it was inclusive when the line was billed.
        let contained_minor = (contained_now.is_some() || contained != 0).then_some(contained);
        let billed_minor = billed.all_minor().ok_or_else(too_big)?;
        let quantity = Exact::scaled(line.amount_minor, self.currency.exponent()).to_decimal().ok_or_else(too_big)?;
        Ok(Some(Line {
            amount_minor,
            by_hand: line.by_hand.clone().map(|made| ByHand { billed_minor, ..made }),
            description: format!("{}: {}", rate.version.description, line.description),
            plan_id: line.plan_id.clone(),
            price_id: line.price_id.clone(),
            quantity,
            subscription_id: line.subscription_id.clone(),
            tax: now.tax.map(|tax| LineTax { contained_minor, ..tax }),
            ..now
        }))
    }

    /// One printed tax line, without its number.
    fn line_of(&self, rate: TaxInForce<'_>, taxed: &[Taxed<'_>], month: Period) -> Result<Line, String> {
        let TaxInForce { tax_rate_id, version } = rate;
        let place = || format!("tax rate {tax_rate_id}");
        let bad = |error: IdError| format!("{}: {error}", place());
        let digits = self.currency.exponent();
        let amounts: Vec<Taxable> = taxed
            .iter()
            .map(|one| Taxable { amount: Exact::scaled(one.amount_minor, digits), percent: version.percent })
            .collect();
        let tax = tax_lines(&amounts, version.mode, TaxLines::PerRate, self.currency);
        let tax = tax.map_err(|error| format!("{}: {error}", place()))?;
        let [tax] = tax.as_slice() else { return Err(format!("{}: nothing is taxed by it", place())) };
        let too_big = || format!("{}: what it taxes does not fit", place());
        let quantity = tax.base.to_decimal().ok_or_else(too_big)?;
        let (subscription_id, price_id, span) = match (version.lines, taxed) {
            (TaxPerLine::PerLine, [Taxed { line, .. }]) => {
                let span = Period { start: line.span_start, end: line.span_end };
                (line.subscription_id.clone(), line.price_id.clone(), span)
            }
            _ => {
                let slot = slot_of(self.issuer_id, self.partner_id, self.currency, self.input.month);
                let price_id = PriceId::parse(tax_rate_id.as_str()).map_err(bad)?;
                // Two versions in one month are two lines, which begin at different instants.
                let begins_inside = month.start < version.effective_from && version.effective_from < month.end;
                let start = if begins_inside { version.effective_from } else { month.start };
                (SubscriptionId::parse(slot.as_str()).map_err(bad)?, price_id, Period { start, end: month.end })
            }
        };
        let profile = taxed.first().ok_or_else(too_big)?.profile;
        let is_inclusive = version.mode == TaxMode::Inclusive;
        let of = LineOf {
            subscription_id,
            plan_id: PlanId::parse(TAX_PLAN).map_err(bad)?,
            plan_version: version.version,
            price_id,
            price_model: MODEL,
        };
        let minor = if is_inclusive { 0 } else { tax.tax.minor };
        Ok(Line {
            description: match (version.lines, taxed) {
                (TaxPerLine::PerLine, [Taxed { line, .. }]) => format!("{}: {}", version.description, line.description),
                _ => version.description.clone(),
            },
            quantity,
            tax: Some(LineTax {
                contained_minor: is_inclusive.then_some(tax.tax.minor),
                percent: version.percent,
                profile_version_id: profile.profile_version_id.clone(),
                tax_rate_id: tax_rate_id.clone(),
                version: version.version,
            }),
            unit: Some(self.currency.code().to_owned()),
            working: self.working(rate, taxed).map_err(|what| format!("{}: {what}", place()))?,
            ..Line::beside(of, span, Money { minor, currency: self.currency })
        })
    }

    /// The exact tax of each line that it is of.
    fn working(&self, rate: TaxInForce<'_>, taxed: &[Taxed<'_>]) -> Result<Working, String> {
        let digits = self.currency.exponent();
        let mut whole = Exact::ZERO;
        let mut components = Vec::new();
        for one in taxed {
            let amount = Exact::scaled(one.amount_minor, digits);
            let taxable = Taxable { amount, percent: rate.version.percent };
            let exact = exact_tax(taxable, rate.version.mode).map_err(|error| error.to_string())?;
            whole = whole.checked_add(exact).map_err(|error| error.to_string())?;
            components.push(ComponentWorking {
                name: format!("{}: percentage", one.line.description),
                quantity: Some(amount.to_string()),
                exact: exact.to_string(),
            });
        }
        Ok(Working { exact: whole.to_string(), components, ..Working::default() })
    }
}

#[cfg(test)]
pub(crate) mod tests;
