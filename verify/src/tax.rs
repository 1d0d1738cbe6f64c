//! Tax once more: the rates of the kept catalog, by issuer, tax code, customer and time, over the printed amounts of a
//! month. Pure. From `docs/money.md`, not from `billing`; with the fractions of this crate.
//!
//! Which versions of the billing profile were known was decided when the document was drafted: those that it names are
//! looked at. Which of them, and so which rate, a line is taxed by is derived.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::catalog::tax::{TaxMode, TaxPerLine, TaxRateVersion};
use tollbook_schemas::id::{SlotId, TaxRateId};
use tollbook_schemas::money::Currency;
use tollbook_schemas::period::{Month, Period, Tz, parse_instant, print_instant};
use tollbook_schemas::tables::Row;

use crate::by_hand::Billed;
use crate::document::{ByHand, Line, LineTax};
use crate::number::Ratio;
use crate::rating::Working;
use crate::terms::Terms;

/// What is taxed, by whom and for whom.
#[derive(Clone)]
pub(crate) struct Taxing<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) issuer_id: &'a str,
    pub(crate) zone: Tz,
    pub(crate) partner_id: &'a str,
    pub(crate) currency: Currency,
    /// The versions of the partner's billing profile that the document names.
    pub(crate) profiles: Vec<&'a Row>,
}

/// A line that is taxed, with the amount that is.
struct Taxed<'a> {
    line: &'a Line,
    amount_minor: i64,
}

/// A rate that holds for a line, and the profile that chose it.
pub(crate) type Rate<'a> = (&'a TaxRateId, &'a TaxRateVersion, &'a Row);

/// Minor units as an amount in major ones.
pub(crate) fn major(minor: i64, currency: Currency) -> Ratio {
    (0..currency.exponent()).fold(Ratio::whole(minor), |amount, _| amount.part_of(10))
}

impl<'a> Taxing<'a> {
    /// The tax lines of lines with their tax codes, and with what each is worth after coupons; without numbers: by
    /// rate, in the order of the lines.
    ///
    /// # Errors
    /// Why nobody can say what the tax is, in words.
    pub(crate) fn lines_of(
        &self,
        lines: &[(Line, Option<String>)],
        left_minor: &[i64],
        month: Month,
    ) -> Result<Vec<Line>, String> {
        let mut by_rate: BTreeMap<(&TaxRateId, u32), Vec<(Rate<'a>, Taxed<'_>)>> = BTreeMap::new();
        for ((line, tax_code), amount_minor) in lines.iter().zip(left_minor.iter().copied()) {
            let before = parse_instant(&line.span_end).map_err(|error| error.to_string())?;
            let Some(rate) = self.rate_of(tax_code.as_deref(), before)? else { continue };
            by_rate.entry((rate.0, rate.1.version)).or_default().push((rate, Taxed { line, amount_minor }));
        }
        let mut found = Vec::new();
        for of_rate in by_rate.into_values() {
            let Some((first, _)) = of_rate.first() else { continue };
            let first = *first;
            match first.1.lines {
                TaxPerLine::PerRate => {
                    let taxed: Vec<Taxed<'_>> = of_rate.into_iter().map(|(_, taxed)| taxed).collect();
                    found.push(self.line_of(first, &taxed, month)?);
                }
                // Lines of one rate may end under different versions of the profile.
                TaxPerLine::PerLine => {
                    for (rate, one) in of_rate {
                        found.push(self.line_of(rate, &[one], month)?);
                    }
                }
            }
        }
        Ok(found)
    }

    /// The rate for a tax code just before an instant; none where the issuer taxes nothing by then.
    pub(crate) fn rate_of(&self, tax_code: Option<&str>, before: DateTime<Utc>) -> Result<Option<Rate<'a>>, String> {
        let mut in_force: Vec<(&TaxRateId, &TaxRateVersion)> = Vec::new();
        for (id, versions) in &self.catalog.tax_rates {
            let begun = versions.iter().filter(|version| version.effective_from < before);
            let newest = begun.max_by_key(|version| (version.effective_from, version.version));
            in_force
                .extend(newest.filter(|version| version.issuer.as_str() == self.issuer_id).map(|found| (id, found)));
        }
        if in_force.is_empty() {
            return Ok(None);
        }
        // Of two of one instant the one that was imported later.
        let rank = |row: &&&Row| {
            (
                row.instant("effective_from"),
                row.instant("recorded_at"),
                row.text("profile_version_id").map(str::to_owned),
            )
        };
        let known = self.profiles.iter().filter(|row| row.instant("effective_from").is_some_and(|from| from < before));
        let first = self.profiles.iter().filter_map(|row| row.instant("effective_from")).min();
        let of_first = || self.profiles.iter().filter(|row| row.instant("effective_from") == first).max_by_key(rank);
        let profile = known.max_by_key(rank).or_else(of_first);
        let profile = *profile.ok_or("no billing profile says where the partner is taxed")?;
        let country = profile.text("country").unwrap_or_default();
        let has_tax_id = profile.text("tax_id").is_some_and(|tax_id| !tax_id.trim().is_empty());
        let fits = |(_, version): &(&TaxRateId, &TaxRateVersion)| {
            let of_code = match tax_code {
                Some(code) => version.tax_codes.contains(code),
                None => version.tax_codes.is_empty(),
            };
            let of_country = version.countries.is_empty() || version.countries.contains(country);
            of_code && of_country && (has_tax_id || !version.customer_tax_id)
        };
        in_force.retain(fits);
        // That for a country goes first, then that for customers with a tax id.
        let best = in_force.into_iter().max_by_key(|(_, rate)| (!rate.countries.is_empty(), rate.customer_tax_id));
        let (id, version) = best.ok_or_else(|| format!("no tax rate of issuer {} is for a line", self.issuer_id))?;
        Ok(Some((id, version, profile)))
    }

    /// The tax of a line by hand: of what it comes to now, less what was billed of it; none where it is not taxed.
    ///
    /// # Errors
    /// Why nobody can say what the tax is, in words.
    pub(crate) fn line_by_hand(
        &self,
        line: &Line,
        wanted_minor: i64,
        billed: Billed,
        month: Month,
    ) -> Result<Option<Line>, String> {
        let before = parse_instant(&line.span_end).map_err(|error| error.to_string())?;
        let Some(rate) = self.rate_of(None, before)? else { return Ok(None) };
        let now = self.line_of(rate, &[Taxed { line, amount_minor: wanted_minor }], month)?;
        let tax = now.tax.ok_or("a tax line without tax")?;
        let too_big = || "the tax of a line by hand does not fit".to_owned();
        let amount_minor = now.amount_minor.checked_sub(billed.tax_minor).ok_or_else(too_big)?;
        // What was contained when it was billed is given back as such, also where the rate is exclusive since.
        let contained = tax.contained_minor.unwrap_or(0).checked_sub(billed.contained_minor).ok_or_else(too_big)?;
        let is_contained = rate.1.mode == TaxMode::Inclusive || contained != 0;
        let billed_minor = billed.tax_minor.checked_add(billed.contained_minor).ok_or_else(too_big)?;
        Ok(Some(Line {
            amount_minor,
            by_hand: line.by_hand.clone().map(|made| ByHand { billed_minor, ..made }),
            description: format!("{}: {}", rate.1.description, line.description),
            plan_id: line.plan_id.clone(),
            price_id: line.price_id.clone(),
            quantity: major(line.amount_minor, self.currency).text(),
            subscription_id: line.subscription_id.clone(),
            tax: Some(LineTax { contained_minor: is_contained.then_some(contained), ..tax }),
            ..now
        }))
    }

    fn line_of(&self, (id, version, profile): Rate<'_>, taxed: &[Taxed<'_>], month: Month) -> Result<Line, String> {
        let (mut base, mut exact) = (Ratio::whole(0), Ratio::whole(0));
        let mut parts = Vec::new();
        let percent = Ratio::decimal(version.percent);
        let whole = match version.mode {
            TaxMode::Exclusive => Ratio::whole(100),
            TaxMode::Inclusive => &Ratio::whole(100) + &percent,
        };
        for Taxed { line, amount_minor } in taxed {
            let amount = major(*amount_minor, self.currency);
            let tax = (&amount * &percent).over(&whole).ok_or("a tax of nothing")?;
            (base, exact) = (&base + &amount, &exact + &tax);
            parts.push((format!("{}: percentage", line.description), amount, tax));
        }
        let tax_minor = exact.to_minor(self.currency.exponent(), self.currency.step_minor());
        let tax_minor = tax_minor.ok_or("a tax does not fit 63 bits")?;
        let is_inclusive = version.mode == TaxMode::Inclusive;
        let month_name = month.to_string();
        let month = month.period(self.zone).map_err(|error| error.to_string())?;
        let of_one = match (version.lines, taxed) {
            (TaxPerLine::PerLine, [one]) => Some(one.line),
            _ => None,
        };
        let slot = [self.issuer_id, self.partner_id, self.currency.code(), &month_name];
        let span = span_of(version, month);
        Ok(Line {
            amount_minor: if is_inclusive { 0 } else { tax_minor },
            by_hand: None,
            contract: None,
            description: match of_one {
                Some(line) => format!("{}: {}", version.description, line.description),
                None => version.description.clone(),
            },
            line_number: 0,
            meter_id: None,
            plan_id: "tax".to_owned(),
            plan_version: version.version,
            price_id: of_one.map_or_else(|| id.to_string(), |line| line.price_id.clone()),
            price_model: "tax".to_owned(),
            quantity: base.text(),
            span_end: of_one.map_or_else(|| print_instant(span.end), |line| line.span_end.clone()),
            span_start: of_one.map_or_else(|| print_instant(span.start), |line| line.span_start.clone()),
            subscription_id: match of_one {
                Some(line) => line.subscription_id.clone(),
                None => SlotId::derive(slot).to_string(),
            },
            tax: Some(LineTax {
                contained_minor: is_inclusive.then_some(tax_minor),
                percent: percent.text(),
                profile_version_id: profile.text("profile_version_id").unwrap_or_default().to_owned(),
                tax_rate_id: id.to_string(),
                version: version.version,
            }),
            terms: Terms::default(),
            unit: Some(self.currency.code().to_owned()),
            usage: Vec::new(),
            working: Working::of_parts(&exact, parts),
            ..Line::default()
        })
    }
}

/// The time of the one line of a rate: its month, from where the version holds, so that two versions make two lines.
fn span_of(version: &TaxRateVersion, month: Period) -> Period {
    let is_inside = month.start < version.effective_from && version.effective_from < month.end;
    Period { start: if is_inside { version.effective_from } else { month.start }, end: month.end }
}
