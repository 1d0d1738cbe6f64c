//! A contract: from a table to a checked version of it. What it says of a plan's prices must hold for every version of
//! the plan that is in force in its term, so that a draft never meets a custom price that replaces nothing.

use chrono::{DateTime, Months, Utc};

use super::instant::instant;
use super::plan::tax_code;
use super::{Checking, listing};
use crate::catalog::contract::{COMMITMENT_PRICE, ContractMinimum, ContractVersion, MINIMUM_PRICE};
use crate::catalog::{PlanVersion, Price};
use crate::decimal::Decimal;
use crate::exact::Exact;
use crate::id::{ContractId, PlanId};
use crate::money::{Currency, Money};
use crate::nearest::nearest;
use crate::period::first_instant_of;
use crate::price::node::{Node, Value};
use crate::price::read::{Reading, Table};

/// Months of a term.
const TERM_MONTHS_MAX: u32 = 1_200;

impl Checking {
    pub(super) fn contract(&mut self, mut table: Table<'_>, reading: &mut Reading) -> Option<()> {
        let whose = "a contract";
        let flaws_before = reading.flaws.len();
        let table_at = table.at();
        let (id, id_at) = Self::own_id(&mut table, whose, ContractId::parse, reading);
        let version_at = table.place_or_table("version");
        let version = table.required(reading, "version", whose, |node, path, reading| {
            let version = Table::count(node, path, reading)?;
            if version == 0 {
                reading.flaw(node.at.clone(), path, "version must be 1 or more", "count versions from 1");
            }
            (version > 0).then_some(version)
        });
        let name = table.required(reading, "name", whose, Table::text);
        let plan_at = table.place_or_table("plan");
        let plan = table.required(reading, "plan", whose, Table::text);
        let path = ("plan", "contract.plan");
        let plan = plan.and_then(|text| self.reference(text, plan_at.clone(), path, PlanId::parse, reading));
        let starts_at = table.place_or_table("starts");
        let starts = table.required(reading, "starts", whose, instant);
        let ends_at = table.place_or_table("ends");
        let ends = table.optional(reading, "ends", instant);
        let term_at = table.place_or_table("term_months");
        let term_months = table.optional(reading, "term_months", Table::count);
        let currency_at = table.place_or_table("currency");
        let currency = table.required(reading, "currency", whose, |node, path, reading| {
            let currency = Currency::parse(&Table::text(node, path, reading)?);
            let mend = "use the currency of the plan";
            currency.map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), mend)).ok()
        });
        let discount_at = table.place_or_table("discount_percent");
        let discount_percent = table.optional(reading, "discount_percent", percent);
        let minimum_at = table.place_or_table("minimum");
        let minimum = table.optional(reading, "minimum", minimum);
        let commitment_at = table.place_or_table("commitment");
        let commitment = table.optional(reading, "commitment", self::minimum);
        let nodes = match table.take("price").map(|node| (node, &node.value)) {
            Some((_, Value::List(nodes))) => nodes.as_slice(),
            Some((node, _)) => {
                let what = format!("price is {}, expected [[contract.price]]", node.value.name());
                reading.flaw(node.at.clone(), "contract.price", what, "write [[contract.price]], with two brackets");
                &[]
            }
            None => &[],
        };
        let mut prices: Vec<Price> = Vec::new();
        for node in nodes {
            let price = self.price(node, &prices, reading);
            prices.extend(price);
        }
        let has_only_known = table.finish(reading);
        let (id, version, name, plan, starts) = (id?, version?, name?, plan?, starts?);
        let (mut ends, term_months, currency) = (ends?, term_months?, currency?);
        let (discount_percent, minimum, commitment) = (discount_percent?, minimum?, commitment?);
        let changes = !nodes.is_empty() || discount_percent.is_some() || minimum.is_some() || commitment.is_some();
        if !changes && has_only_known {
            let mend = "add [[contract.price]], discount_percent, minimum or commitment";
            reading.flaw(table_at, "contract", "a contract that changes nothing of its plan", mend);
        }
        // A plan that is wrong itself was told; one in a file that cannot be read may have the version that is missing.
        if !self.is_whole || self.told.covers("plan", plan.as_str()) {
            return None;
        }
        let versions = self.catalog.plans.get(&plan)?.clone();
        if let Some(months) = term_months {
            if ends.is_some() {
                let mend = "remove one of the two";
                reading.flaw(term_at, "contract.term_months", "ends and term_months both say when it ends", mend);
                return None;
            }
            let zone = self.catalog.issuers.get(&versions.first()?.issuer)?.time_zone;
            match end_of(starts, months, zone) {
                Ok(end) => ends = Some(end),
                Err((what, mend)) => {
                    reading.flaw(term_at, "contract.term_months", what, mend);
                    return None;
                }
            }
        }
        if ends.is_some_and(|ends| ends <= starts) {
            reading.flaw(ends_at, "contract.ends", "it ends before it starts", "write a later instant");
            return None;
        }
        if commitment.is_some() && ends.is_none() {
            let mend = "write ends or term_months: what is missing is billed at the end of the term";
            reading.flaw(commitment_at.clone(), "contract.commitment", "a commitment needs an end of the term", mend);
        }
        let new = ContractVersion {
            version,
            name,
            starts,
            ends,
            plan,
            currency,
            prices,
            discount_percent,
            minimum,
            commitment,
        };
        let mut fits = Fits { contract: &new, nodes, reading: &mut *reading };
        fits.with(&versions, [plan_at, currency_at, discount_at, minimum_at, commitment_at]);
        if reading.flaws.len() > flaws_before {
            return None;
        }
        let twice = self.declared_twice("contract", id.as_str(), Some(version));
        let own = self.catalog.contracts.entry(id.clone()).or_default();
        // What was committed for a term would be asked for in part of it by nobody.
        let cuts = |one: &ContractVersion, later: &ContractVersion| {
            one.commitment.is_some() && one.starts < later.starts && one.ends.is_none_or(|ends| later.starts < ends)
        };
        if let Some(old) = own.iter().find(|old| cuts(old, &new) || cuts(&new, old)) {
            let what = format!("version {} begins within a term that has a commitment", version.max(old.version));
            reading.flaw(starts_at, "contract.starts", what, "let it begin where that term ends");
            return None;
        }
        let clash = own.iter().find(|old| old.version == version || (old.version < version) != (old.starts < starts));
        if let Some(old) = clash {
            let what = match old.version == version {
                true => twice,
                false => format!("contract {id} version {version} does not follow version {}", old.version),
            };
            let mend = "give each version its own number, and a later one a later starts";
            let at = if old.version == version { version_at } else { starts_at };
            reading.flaw(if at.is_empty() { id_at } else { at }, "contract.version", what, mend);
            return None;
        }
        own.push(new);
        own.sort_by_key(|contract| contract.version);
        Some(())
    }
}

type Place = std::ops::Range<usize>;

/// A contract against the versions of its plan.
struct Fits<'a, 'r> {
    contract: &'a ContractVersion,
    nodes: &'a [Node],
    reading: &'r mut Reading,
}

impl Fits<'_, '_> {
    fn with(
        &mut self,
        versions: &[PlanVersion],
        [plan_at, currency_at, discount_at, minimum_at, commitment_at]: [Place; 5],
    ) {
        let ContractVersion { starts, ends, plan, currency, minimum, commitment, discount_percent, .. } = self.contract;
        // Each version holds until the next one begins.
        let until = versions.iter().skip(1).map(|next| Some(next.effective_from)).chain([None]);
        let in_term: Vec<&PlanVersion> = versions
            .iter()
            .zip(until)
            .filter(|(version, until)| {
                ends.is_none_or(|ends| version.effective_from < ends) && until.is_none_or(|until| *starts < until)
            })
            .map(|(version, _)| version)
            .collect();
        if in_term.first().is_none_or(|first| first.effective_from > *starts) {
            let what = format!("plan {plan} has no version in force when the contract starts");
            let mend = "write a later starts, or give the plan a version with an earlier effective_from";
            self.reading.flaw(plan_at, "contract.plan", what, mend);
            return;
        }
        if let Some(other) = in_term.iter().find(|version| version.currency != *currency) {
            let what = format!("plan {plan} version {} is in {}, not in {currency}", other.version, other.currency);
            self.reading.flaw(currency_at, "contract.currency", what, "use the currency of the plan");
        }
        for (key, least, at) in [("minimum", minimum, &minimum_at), ("commitment", commitment, &commitment_at)] {
            let Some(ContractMinimum { amount, .. }) = least else { continue };
            let path = format!("contract.{key}");
            if in_term.iter().any(|version| version.issuer != in_term[0].issuer) {
                let what =
                    format!("versions of plan {plan} in its term have different issuers: the {key} is of no one");
                let mend = "end the term where the issuer changes, and begin another version of the contract there";
                self.reading.flaw(at.clone(), &path, what, mend);
            }
            if !is_printable(*amount, *currency) {
                let what = format!("a {key} of {amount} has parts of the smallest unit of {currency}");
                self.reading.flaw(at.clone(), &path, what, "write it as it can be paid");
            }
        }
        for (node, price) in self.nodes.iter().zip(&self.contract.prices) {
            let due = |price: &Price| (price.tariff.settings.due, price.tariff.settings.charged);
            let replaced =
                in_term.iter().flat_map(|version| &version.prices).filter(|own| own.price_id == price.price_id);
            if replaced.clone().any(|own| due(own) != due(price)) {
                let what = format!("price {} of plan {plan} is due otherwise", price.price_id);
                let mend = "give both the same due and charged: nobody could say what was billed in advance already";
                self.reading.flaw(node.at.clone(), "contract.price.settings", what, mend);
            }
            let ids = |version: &PlanVersion| version.prices.iter().any(|other| other.price_id == price.price_id);
            if let Some(without) = in_term.iter().find(|version| !ids(version)) {
                let known: Vec<&str> = without.prices.iter().map(|other| other.price_id.as_str()).collect();
                let what = format!("plan {plan} version {} has no price {}", without.version, price.price_id);
                let mend = match nearest(price.price_id.as_str(), known.iter().copied()) {
                    Some(known) => format!("did you mean {known}?"),
                    None => format!("name one that every version in the term has; there are {}", listing(&known)),
                };
                self.reading.flaw(node.at.clone(), "contract.price.id", what, mend);
            }
        }
        for version in &in_term {
            for price in &version.prices {
                let taken = [("minimum", minimum, MINIMUM_PRICE), ("commitment", commitment, COMMITMENT_PRICE)];
                for (key, _, id) in
                    taken.iter().filter(|(_, least, id)| least.is_some() && price.price_id.as_str() == *id)
                {
                    let what = format!("plan {plan} version {} has a price {id} itself", version.version);
                    let mend = format!(
                        "a contract's {key} is printed under this id; give the price of a next version another"
                    );
                    self.reading.flaw(plan_at.clone(), &format!("contract.{key}"), what, mend);
                }
                let is_replaced = self.contract.prices.iter().any(|own| own.price_id == price.price_id);
                if discount_percent.is_some() && !is_replaced && price.tariff.steps.discount_percent.is_some() {
                    let what = format!(
                        "price {} of plan {plan} version {} has a discount_percent of its own",
                        price.price_id, version.version
                    );
                    let mend = "replace it by a [[contract.price]] with the discount that was agreed";
                    self.reading.flaw(discount_at.clone(), "contract.discount_percent", what, mend);
                }
            }
        }
    }
}

fn is_printable(amount: Decimal, currency: Currency) -> bool {
    let Ok(Money { minor, .. }) = Money::round(Exact::from(amount), currency) else { return false };
    let unit = 10_i128.checked_pow(12_u32.saturating_sub(currency.exponent()));
    unit.and_then(|unit| unit.checked_mul(i128::from(minor))) == Some(amount.unscaled())
}

fn percent(node: &Node, path: &str, reading: &mut Reading) -> Option<Decimal> {
    let percent = Table::above_zero(node, path, reading)?;
    if percent > Decimal::whole(100) {
        let what = format!("a discount of {percent} per cent is more than everything");
        reading.flaw(node.at.clone(), path, what, "use 0 to 100");
        return None;
    }
    Some(percent)
}

fn minimum(node: &Node, path: &str, reading: &mut Reading) -> Option<ContractMinimum> {
    let whose = "a minimum";
    let mut table = Table::of(node, path, reading)?;
    let description = table.required(reading, "description", whose, Table::printed);
    let amount = table.required(reading, "amount", whose, Table::above_zero);
    let tax_code = table.optional(reading, "tax_code", tax_code);
    table.finish(reading);
    Some(ContractMinimum { description: description?, amount: amount?, tax_code: tax_code? })
}

/// The end of a term in calendar months of a zone: the begin of the same day of a later month, or of its last day where
/// it has no such day.
fn end_of(starts: DateTime<Utc>, months: u32, zone: chrono_tz::Tz) -> Result<DateTime<Utc>, (String, &'static str)> {
    if !(1..=TERM_MONTHS_MAX).contains(&months) {
        return Err((format!("term_months must be 1 to {TERM_MONTHS_MAX}"), "write such as 12"));
    }
    let day = starts.with_timezone(&zone).date_naive();
    if first_instant_of(day, zone) != Ok(starts) {
        let what = format!("term_months counts from the begin of a day in {zone}, and starts is none");
        return Err((what, "let it start where a day begins there, or write ends"));
    }
    let end = day.checked_add_months(Months::new(months)).and_then(|day| first_instant_of(day, zone).ok());
    end.ok_or_else(|| ("the term ends outside the calendar".to_owned(), "write fewer months"))
}
