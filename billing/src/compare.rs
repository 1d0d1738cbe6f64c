//! A parallel run: what another system billed against what tollbook bills, line by line. Pure.
//!
//! Takes the lines of both; gives those that differ, those that only one has, and totals by partner. Lines are matched
//! by partner, month, currency and price: by the id of the price where the other system knows it, else by the printed
//! description. Several lines of one side that match are one: their amounts and quantities add up, since the other
//! system may print a plan's change as two lines, or as one.
//!
//! A line of 0 that only one side prints is no difference of money: it is counted, and is none. A quantity is compared
//! where the other system gives one. Currencies are never added, and never converted: a line in another currency is a
//! line that the other side does not have.

use std::collections::BTreeMap;

use tollbook_schemas::decimal::{Decimal, DecimalError, SCALE};
use tollbook_schemas::id::{InvoiceId, PartnerId, PriceId};
use tollbook_schemas::money::{Currency, Money, MoneyError};
use tollbook_schemas::period::Month;

use crate::document::{Document, Line};
use crate::draft::Drafted;
use crate::issue::{Slots, billed_before, billed_subscriptions};

/// What tells a line of the other system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineName {
    /// Id of the price in tollbook's catalog, or of the tax rate.
    Price(PriceId),
    /// What is printed.
    Description(String),
}

/// One line that the other system billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyLine {
    /// Where it stands in the file, from 1.
    pub file_line: u64,
    /// Partner.
    pub partner_id: PartnerId,
    /// Month that it bills.
    pub month: Month,
    /// What it bills.
    pub name: LineName,
    /// Quantity, where the other system tells it.
    pub quantity: Option<Decimal>,
    /// Amount.
    pub amount: Money,
}

/// One line that tollbook bills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLine {
    /// Partner.
    pub partner_id: PartnerId,
    /// Month that it bills.
    pub month: Month,
    /// Id of the price; of a tax line that of the rate, though it may stand on the document with the id of the price
    /// that it taxes: it is no part of that price's amount.
    pub named: String,
    /// What is printed.
    pub description: String,
    /// Quantity.
    pub quantity: Decimal,
    /// Amount.
    pub amount: Money,
}

/// What tollbook bills for a month: issued invoices as they are; for the rest what it would draft today. What another
/// invoice has billed already is no line, as it is never drafted.
#[must_use]
pub fn own_lines(drafted: &Drafted, stored: &BTreeMap<InvoiceId, Document>, slots: &Slots) -> Vec<OwnLine> {
    let is_issued =
        |one: &&Document| slots.issued_in(&one.slot_id).is_some_and(|event| event.invoice_id == one.invoice_id);
    let billed = billed_subscriptions(stored.values(), slots);
    let is_open = |one: &&Document| slots.issued_in(&one.slot_id).is_none() && billed_before(one, &billed).is_none();
    let issued = stored.values().filter(is_issued);
    issued.chain(drafted.documents.iter().filter(is_open)).flat_map(lines_of).collect()
}

fn lines_of(document: &Document) -> Vec<OwnLine> {
    let body = &document.body;
    let line = |line: &Line| OwnLine {
        // The other system knows who used it.
        partner_id: line.for_partner.as_ref().unwrap_or(&body.partner_id).clone(),
        month: body.month,
        named: line.tax.as_ref().map_or(line.price_id.as_str(), |tax| tax.tax_rate_id.as_str()).to_owned(),
        description: line.description.clone(),
        quantity: line.quantity,
        amount: Money { minor: line.amount_minor, currency: body.currency },
    };
    body.lines.iter().map(line).collect()
}

/// An amount of major units as minor ones; none where it has more digits than the currency, or does not fit: an amount
/// that was billed is whole minor units, and rounding it would hide a difference.
#[must_use]
pub fn minor_of(amount: Decimal, currency: Currency) -> Option<i64> {
    let unit = 10_i128.checked_pow(SCALE.checked_sub(currency.exponent())?)?;
    (amount.unscaled() % unit == 0).then(|| i64::try_from(amount.unscaled() / unit).ok()).flatten()
}

/// What one side bills for a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Quantity; none where a line of it tells none.
    pub quantity: Option<Decimal>,
    /// Amount, in minor units.
    pub amount_minor: i64,
}

/// A line that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Partner.
    pub partner_id: PartnerId,
    /// Month.
    pub month: Month,
    /// The id of the price, or the description.
    pub line: String,
    /// Currency of both amounts.
    pub currency: Currency,
    /// What the other system billed; none where it has no such line.
    pub legacy: Option<Side>,
    /// What tollbook bills; none where it has no such line.
    pub tollbook: Option<Side>,
    /// Tollbook's amount less the other one, in minor units.
    pub difference_minor: i64,
    /// Lines of the file that it is made of.
    pub file_lines: Vec<u64>,
}

impl Difference {
    /// What is different, as a word.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match (&self.legacy, &self.tollbook) {
            (Some(_), None) => "only_in_legacy",
            (None, _) => "only_in_tollbook",
            (Some(_), Some(_)) if self.difference_minor != 0 => "amount",
            (Some(_), Some(_)) => "quantity",
        }
    }
}

/// One partner in one currency, over all months.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerTotal {
    /// Partner.
    pub partner_id: PartnerId,
    /// What the other system billed.
    pub legacy: Money,
    /// What tollbook bills.
    pub tollbook: Money,
    /// Tollbook's less the other one, in minor units.
    pub difference_minor: i64,
    /// Lines that are not the same.
    pub different_lines: usize,
}

/// Two systems, compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Lines that are not the same, by partner, month and line.
    pub differences: Vec<Difference>,
    /// All partners of either side, by partner and currency.
    pub totals: Vec<PartnerTotal>,
    /// Lines that are the same.
    pub equal: usize,
    /// Lines of 0 that one side alone prints.
    pub zero_alone: usize,
}

/// Why two sides cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// A sum of amounts does not fit.
    #[error("the amounts cannot be added")]
    Amount(#[from] MoneyError),
    /// A sum of quantities does not fit.
    #[error("the quantities cannot be added")]
    Quantity(#[from] DecimalError),
}

/// Where lines are matched; the order of the answer.
type Place<'a> = (&'a PartnerId, Month, Currency);

/// Compares two sides.
///
/// # Errors
/// [`CompareError`] where a sum does not fit.
pub fn compare(legacy: &[LegacyLine], own: &[OwnLine]) -> Result<Compared, CompareError> {
    let mut left: BTreeMap<Place<'_>, Vec<&OwnLine>> = BTreeMap::new();
    for line in own {
        left.entry((&line.partner_id, line.month, line.amount.currency)).or_default().push(line);
    }
    // Names in order: ids of prices before descriptions, so that a description takes only what no id has taken.
    let mut named: BTreeMap<(&LineName, Place<'_>), Vec<&LegacyLine>> = BTreeMap::new();
    for line in legacy {
        let place = (&line.partner_id, line.month, line.amount.currency);
        named.entry((&line.name, place)).or_default().push(line);
    }
    let mut compared = Compared::default();
    for ((name, place), legacy) in named {
        let lines = left.entry(place).or_default();
        let (matching, others): (Vec<&OwnLine>, Vec<&OwnLine>) = lines.drain(..).partition(|line| is_named(line, name));
        *lines = others;
        compared.take(place, &name_of(name), &legacy, &matching)?;
    }
    for (place, lines) in left {
        let mut by_name: BTreeMap<&str, Vec<&OwnLine>> = BTreeMap::new();
        for line in lines {
            by_name.entry(&line.named).or_default().push(line);
        }
        for (name, lines) in by_name {
            compared.take(place, name, &[], &lines)?;
        }
    }
    compared.differences.sort_by(|a, b| {
        (&a.partner_id, a.month, &a.line, a.currency).cmp(&(&b.partner_id, b.month, &b.line, b.currency))
    });
    compared.totals = totals(legacy, own, &compared.differences)?;
    Ok(compared)
}

fn is_named(line: &OwnLine, name: &LineName) -> bool {
    match name {
        LineName::Price(price_id) => line.named == price_id.as_str(),
        LineName::Description(description) => line.description == *description,
    }
}

fn name_of(name: &LineName) -> String {
    match name {
        LineName::Price(price_id) => price_id.to_string(),
        LineName::Description(description) => description.clone(),
    }
}

impl Compared {
    /// Takes one line, as both sides have it.
    fn take(
        &mut self,
        (partner_id, month, currency): Place<'_>,
        line: &str,
        legacy: &[&LegacyLine],
        own: &[&OwnLine],
    ) -> Result<(), CompareError> {
        let file_lines = legacy.iter().map(|line| line.file_line).collect();
        let legacy = side(legacy.iter().map(|line| (line.quantity, line.amount)), currency)?;
        let own = side(own.iter().map(|line| (Some(line.quantity), line.amount)), currency)?;
        let amount = |side: &Option<Side>| side.as_ref().map_or(0, |side| side.amount_minor);
        let difference_minor = amount(&own).checked_sub(amount(&legacy)).ok_or(MoneyError::Overflow)?;
        let quantity = |side: &Option<Side>| side.as_ref().and_then(|side| side.quantity);
        let is_alone = legacy.is_none() || own.is_none();
        let same_quantity = quantity(&legacy).is_none_or(|given| quantity(&own) == Some(given));
        if is_alone && difference_minor == 0 {
            self.zero_alone += 1;
        } else if difference_minor == 0 && same_quantity {
            self.equal += 1;
        } else {
            self.differences.push(Difference {
                partner_id: partner_id.clone(),
                month,
                line: line.to_owned(),
                currency,
                legacy,
                tollbook: own,
                difference_minor,
                file_lines,
            });
        }
        Ok(())
    }
}

/// Lines of one side as one; none of none.
fn side(
    lines: impl Iterator<Item = (Option<Decimal>, Money)>,
    currency: Currency,
) -> Result<Option<Side>, CompareError> {
    let mut sum: Option<(Option<Decimal>, Money)> = None;
    for (quantity, amount) in lines {
        let (before, total) = sum.unwrap_or((Some(Decimal::ZERO), Money::zero(currency)));
        // A line that tells no quantity leaves that of all of them unknown.
        let quantity = match before.zip(quantity) {
            Some((before, quantity)) => Some(before.checked_add(quantity)?),
            None => None,
        };
        sum = Some((quantity, total.checked_add(amount)?));
    }
    Ok(sum.map(|(quantity, amount)| Side { quantity, amount_minor: amount.minor }))
}

fn totals(
    legacy: &[LegacyLine],
    own: &[OwnLine],
    differences: &[Difference],
) -> Result<Vec<PartnerTotal>, CompareError> {
    let mut totals: BTreeMap<(PartnerId, Currency), (Money, Money)> = BTreeMap::new();
    let legacy = legacy.iter().map(|line| (&line.partner_id, line.amount, false));
    for (partner_id, amount, is_own) in legacy.chain(own.iter().map(|line| (&line.partner_id, line.amount, true))) {
        let zero = Money::zero(amount.currency);
        let sums = totals.entry((partner_id.clone(), amount.currency)).or_insert((zero, zero));
        let sum = if is_own { &mut sums.1 } else { &mut sums.0 };
        *sum = sum.checked_add(amount)?;
    }
    let total = |((partner_id, currency), (legacy, tollbook)): ((PartnerId, Currency), (Money, Money))| -> Result<_, CompareError> {
        let difference_minor = tollbook.minor.checked_sub(legacy.minor).ok_or(MoneyError::Overflow)?;
        let of_partner = differences.iter().filter(|one| one.partner_id == partner_id && one.currency == currency);
        Ok(PartnerTotal { different_lines: of_partner.count(), partner_id, legacy, tollbook, difference_minor })
    };
    totals.into_iter().map(total).collect()
}

#[cfg(test)]
mod tests;
