//! Tax rates: from a table to a checked version of one. No two rates may both be the one for a line, so that a draft
//! never has to choose.

use super::Checking;
use super::instant::instant;
use super::meter::flag;
use super::plan::word;
use crate::catalog::tax::{TAX_PLAN, TaxMode, TaxPerLine, TaxRateVersion};
use crate::decimal::Decimal;
use crate::id::{IssuerId, TaxRateId};
use crate::price::node::Node;
use crate::price::read::{Reading, Table};

impl Checking {
    pub(super) fn tax_rate(&mut self, mut table: Table<'_>, reading: &mut Reading) -> Option<()> {
        let whose = "a tax rate";
        let flaws_before = reading.flaws.len();
        let (id, id_at) = Self::own_id(&mut table, whose, TaxRateId::parse, reading);
        let version_at = table.place_or_table("version");
        let version = table.required(reading, "version", whose, |node, path, reading| {
            let version = Table::count(node, path, reading)?;
            if version == 0 {
                reading.flaw(node.at.clone(), path, "version must be 1 or more", "count versions from 1");
            }
            (version > 0).then_some(version)
        });
        let effective_from = table.required(reading, "effective_from", whose, instant);
        let issuer_at = table.place_or_table("issuer");
        let issuer = table.required(reading, "issuer", whose, Table::text);
        let path = ("issuer", "tax_rate.issuer");
        let issuer = issuer.and_then(|text| self.reference(text, issuer_at.clone(), path, IssuerId::parse, reading));
        let description = table.required(reading, "description", whose, Table::printed);
        let percent = table.required(reading, "percent", whose, percent);
        let mode = word(&mut table, "mode", TaxMode::parse, TaxMode::WORDS, reading);
        let lines = word(&mut table, "lines", TaxPerLine::parse, TaxPerLine::WORDS, reading);
        let tax_codes = table.optional(reading, "tax_codes", |node, path, reading| {
            let is_code = |code: &String| {
                (1..=64).contains(&code.len()) && code.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
            };
            some_of(node, path, is_code, ("a tax code", "write codes of prices, such as \"txcd_10103001\""), reading)
        });
        let countries = table.optional(reading, "countries", |node, path, reading| {
            let is_country = |code: &String| code.len() == 2 && code.chars().all(|c| c.is_ascii_uppercase());
            some_of(
                node,
                path,
                is_country,
                ("a country", "write codes of two capital letters, such as \"DE\""),
                reading,
            )
        });
        let customer_tax_id = table.optional(reading, "customer_tax_id", flag);
        table.finish(reading);
        let (id, version, effective_from, issuer) = (id?, version?, effective_from?, issuer?);
        let new = TaxRateVersion {
            version,
            effective_from,
            issuer,
            description: description?,
            percent: percent?,
            mode,
            lines,
            tax_codes: tax_codes?.unwrap_or_default().into_iter().collect(),
            countries: countries?.unwrap_or_default().into_iter().collect(),
            customer_tax_id: customer_tax_id?.unwrap_or(false),
        };
        if self.declared.get("plan").is_some_and(|plans| plans.contains(TAX_PLAN)) {
            let what = format!("there is a plan {TAX_PLAN}, and tax lines are printed under this id");
            reading.flaw(id_at.clone(), "tax_rate", what, "give the plan another id");
        }
        let all = self.catalog.tax_rates.iter();
        let others =
            all.filter(|(other, _)| **other != id).flat_map(|(other, all)| all.iter().map(move |one| (other, one)));
        if let Some((other, _)) = others.into_iter().find(|(_, other)| other.clashes_with(&new)) {
            let what = format!("tax rates {other} and {id} are both for some lines of issuer {}", new.issuer);
            let mend = "part them by tax_codes, countries or customer_tax_id; a rate that takes the place of another one is \
                        its next version";
            reading.flaw(id_at.clone(), "tax_rate.id", what, mend);
        }
        let twice = self.declared_twice("tax_rate", id.as_str(), Some(version));
        let own = self.catalog.tax_rates.entry(id.clone()).or_default();
        if let Some(old) = own.iter().find(|old| old.issuer != new.issuer) {
            let what = format!("tax rate {id} is of issuer {} in version {}", old.issuer, old.version);
            reading.flaw(issuer_at, "tax_rate.issuer", what, "give the rate of another issuer another id");
        }
        let is_out_of_order = |old: &&TaxRateVersion| {
            old.version == version || (old.version < version) != (old.effective_from < effective_from)
        };
        if let Some(old) = own.iter().find(is_out_of_order) {
            let what = match old.version == version {
                true => twice,
                false => format!("tax rate {id} version {version} does not follow version {}", old.version),
            };
            let mend = "give each version its own number, and a later one a later effective_from";
            reading.flaw(version_at, "tax_rate.version", what, mend);
        }
        if reading.flaws.len() > flaws_before {
            return None;
        }
        own.push(new);
        own.sort_by_key(|rate| rate.version);
        Some(())
    }
}

fn percent(node: &Node, path: &str, reading: &mut Reading) -> Option<Decimal> {
    let percent = Table::amount(node, path, reading)?;
    if percent > Decimal::whole(100) {
        let what = format!("a tax of {percent} per cent is more than the price");
        reading.flaw(node.at.clone(), path, what, "use 0 to 100");
        return None;
    }
    Some(percent)
}

/// A list that is not empty, of which each fits and none is there twice.
pub(super) fn some_of(
    node: &Node,
    path: &str,
    fits: impl Fn(&String) -> bool,
    (what, mend): (&str, &str),
    reading: &mut Reading,
) -> Option<Vec<String>> {
    let texts = Table::texts(node, path, reading)?;
    let wrong = texts.iter().enumerate().find(|(at, text)| !fits(text) || texts[..*at].contains(text));
    if let Some((_, wrong)) = wrong {
        reading.flaw(node.at.clone(), path, format!("{wrong:?} is not {what}, or is there twice"), mend);
        return None;
    }
    if texts.is_empty() {
        reading.flaw(node.at.clone(), path, "the list is empty", "leave it out, or name some");
        return None;
    }
    Some(texts)
}
