//! What an earlier month comes to more or less and a document does not bill: for a reason of the product, which is told
//! beside the document, or for none, which is a difference. Pure. From `docs/money.md`, "Not adjusted, and told", and
//! not from `billing`.
//!
//! A reason is looked for only where the document lacks a line: what it bills is compared, whatever would have allowed
//! it to leave it out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::{PartnerId, ProductId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Month, parse_instant, print_instant};

use crate::adjust::{Before, Key, key_of, lines_of_month, other_version, text};
use crate::ground::Ground;
use crate::month::Rated;
use crate::payer::payer_of;
use crate::retaxed::{is_retaxed, listed_prices};
use crate::spans::spans_of;
use crate::stored::{Object, Stored};
use crate::tax::Taxing;

/// The most lines that an invoice at Stripe takes.
const LINES_MAX: usize = 250;

/// What no document bills of an earlier month, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unadjusted {
    /// Month that was billed.
    pub month: String,
    /// Currency.
    pub currency: String,
    /// What it comes to more than was billed, in minor units; below 0 where that is less. None where it cannot be
    /// derived.
    pub amount_minor: Option<i64>,
    /// Why no document bills it.
    pub reason: String,
}

impl fmt::Display for Unadjusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { month, currency, amount_minor, reason } = self;
        let Some(minor) = amount_minor else {
            return write!(f, "what {month} comes to at this pin is not known: {reason}");
        };
        let size = i64::try_from(minor.unsigned_abs()).unwrap_or(i64::MAX);
        let amount = match Currency::parse(currency) {
            Ok(currency) => Money { minor: size, currency }.to_string(),
            Err(_) => format!("{size} {currency}"),
        };
        let (more, bills) = if *minor < 0 { ("less", "gives it back") } else { ("more", "bills it") };
        write!(f, "{month} comes to {amount} {more} at this pin and no document {bills}: {reason}")
    }
}

/// An earlier month of a document, as far as it was billed.
pub(crate) struct Slot<'a> {
    pub(crate) ground: &'a Ground,
    /// What taxes the month now, with the profiles of those who billed it.
    pub(crate) taxing: &'a Taxing<'a>,
    /// The document that would adjust it.
    pub(crate) stored: &'a Stored,
    pub(crate) month: Month,
    /// The invoice that billed it.
    pub(crate) invoice: &'a Stored,
    /// It, and what adjusted it.
    pub(crate) billed_by: &'a [&'a Before<'a>],
    /// The catalog that it was billed with.
    pub(crate) then: Option<&'a Catalog>,
    /// Whatever else was issued to its partner, and to those who may bear lines of it.
    pub(crate) others: &'a [&'a Stored],
    pub(crate) voided: &'a HashMap<String, DateTime<Utc>>,
    /// The credit note of its invoice that was issued in the document's month: what it gives back is not left out.
    pub(crate) credit_note: Option<&'a Stored>,
}

/// The differences of a month.
pub(crate) struct Sifted {
    /// What a document must bill.
    pub(crate) due: Vec<Object>,
    /// What is left out, by reason.
    pub(crate) left_out: BTreeMap<String, Vec<Object>>,
}

/// What lines come to together, in minor units; none where that does not fit.
pub(crate) fn sum_of(lines: &[Object]) -> Option<i64> {
    lines.iter().try_fold(0_i64, |sum, line| sum.checked_add(line.get("amount_minor")?.as_i64()?))
}

impl Slot<'_> {
    /// Tells what must be billed from what may be left out.
    pub(crate) fn sift(&self, differences: Vec<Object>, now: &Rated, own_lines: usize) -> Sifted {
        let mut sifted = Sifted { due: Vec::new(), left_out: BTreeMap::new() };
        let there: BTreeSet<Key> = self.lines_there().map(key_of).collect();
        let lacks = |line: &Object| !there.contains(&key_of(line));
        if !differences.iter().any(lacks) {
            return Sifted { due: differences, ..sifted };
        }
        let too_many = || {
            (own_lines + differences.len() > LINES_MAX)
                .then(|| format!("the invoice would have more than {LINES_MAX} lines, which Stripe does not take"))
        };
        let whole = self.whole(&now.lines).or_else(too_many);
        let is_apart = differences.iter().all(|line| self.is_of_price(line));
        // A reason that is about some lines is about all, where one of all is made of other lines.
        let whole = whole.or_else(|| {
            let mut reasons = differences.iter().filter_map(|line| self.of_line(line, now));
            reasons.next().filter(|_| !is_apart)
        });
        for line in differences {
            let reason = lacks(&line).then(|| whole.clone().or_else(|| self.of_line(&line, now))).flatten();
            match reason {
                None => sifted.due.push(line),
                Some(reason) => sifted.left_out.entry(reason).or_default().push(line),
            }
        }
        sifted
    }

    /// The lines of the document, and of the credit note beside it, that adjust the month. Of a credit note that was
    /// issued before the document the differences know, and it bills nothing of them.
    fn lines_there(&self) -> impl Iterator<Item = &Object> {
        let month = self.month.to_string();
        let of = |line: &Object| Some(line.get("adjusts")?.get("month")?.as_str()?.to_owned());
        let is_billed = |note: &&Stored| self.billed_by.iter().any(|one| one.invoice_id == note.invoice_id);
        let documents = [self.stored].into_iter().chain(self.credit_note.filter(|note| !is_billed(note)));
        documents.flat_map(Stored::lines).filter(move |line| of(line).is_some_and(|of| of == month))
    }

    /// Whether a line is made by a price of its plan alone.
    fn is_of_price(&self, line: &Object) -> bool {
        let meter = line.get("meter_id").and_then(Value::as_str);
        listed_prices(self.ground.catalog(), line).any(|price| {
            price.price_id.as_str() == text(line, "price_id") && price.meter.as_ref().map(|id| id.as_str()) == meter
        })
    }

    /// Why nothing of the month is billed.
    fn whole(&self, now: &[Object]) -> Option<String> {
        let number = self.invoice.number();
        if let Some(too_late) = &self.ground.earlier.too_late {
            return Some(too_late.clone());
        }
        if self.stored.came_after_voiding(self.voided, &self.invoice.invoice_id) {
            return Some(format!("invoice {number} was voided at Stripe; bill what its month comes to by hand"));
        }
        if self.billed_by.iter().any(|one| one.is_voided) {
            return Some("a document that adjusted it was voided at Stripe; bill the rest by hand".to_owned());
        }
        if self.then.is_none() {
            return Some(format!("the catalog that invoice {number} was drafted with is not there, or cannot be read"));
        }
        other_version(&self.month.to_string(), self.billed_by, now).map(|(plan_id, was, is)| {
            format!("version {is} of plan {plan_id} would price it now, and version {was} did")
        })
    }

    /// Why one line is not billed.
    fn of_line(&self, line: &Object, now: &Rated) -> Option<String> {
        let for_partner = line.get("for_partner").and_then(Value::as_str);
        if let Some((child, why)) = for_partner.and_then(|child| now.blocked.get_key_value(child)) {
            return Some(format!("of {child}, for whom it pays, it is not known: {why}"));
        }
        self.is_too_old(line).or_else(|| self.of_catalog(line, &now.lines)).or_else(|| self.moved(line))
    }

    /// What the issuer does not adjust any more: what is billed in advance ages from the end of what it bills.
    fn is_too_old(&self, line: &Object) -> Option<String> {
        let (issuer_id, issuer) = self.ground.catalog().issuers.get_key_value(&self.ground.issuer_id)?;
        let months_max = issuer.adjust_months_max?;
        let end = parse_instant(text(line, "span_end")).ok().filter(|_| line.contains_key("due"));
        let last = end.map(|end| Month::of(end - TimeDelta::microseconds(1), issuer.time_zone));
        let last = last.map_or(self.month, |last| last.max(self.month));
        let oldest = (0..months_max).fold(self.ground.month, |month, _| month.previous());
        (last < oldest).then(|| {
            format!("issuer {issuer_id} adjusts invoices of the last {months_max} months only (adjust_months_max)")
        })
    }

    /// What a change of the catalog alone makes of a past month.
    fn of_catalog(&self, line: &Object, lines_now: &[Object]) -> Option<String> {
        let (then, now, issuer_id) = (self.then?, self.ground.catalog(), &self.ground.issuer_id);
        let number = self.invoice.number();
        let told = |what: String| format!("{what} since invoice {number} was drafted, and that bills no past month");
        if let Some(meter_id) = line.get("meter_id").and_then(Value::as_str) {
            let (rules_then, rules_now) = (then.product_rules(), now.product_rules());
            let products: BTreeSet<ProductId> = rules_then.changed_products(&rules_now);
            let with_hints = !rules_then.changed_hints(&rules_now).is_empty();
            let meter = now.meters.iter().find(|(id, _)| id.as_str() == meter_id).map(|(_, meter)| meter);
            let counts_others = meter.is_none_or(|meter| {
                meter.product.as_ref().is_some_and(|product| with_hints || products.contains(product))
            });
            if counts_others {
                return Some(told(format!("the product of meter {meter_id} takes, or may take, other requests")));
            }
        }
        let zone = |catalog: &Catalog| catalog.issuers.get(issuer_id).map(|issuer| issuer.time_zone);
        if zone(then) != zone(now) {
            return Some(told(format!("the time zone of issuer {issuer_id} changed")));
        }
        let end = parse_instant(self.invoice.text_of("period_end")).ok()?;
        let from = now.tax_differs_from(then, issuer_id).filter(|from| *from < end)?;
        if !is_retaxed(self.taxing, then, self.invoice.lines().chain(lines_now)) {
            return None;
        }
        Some(told(format!("the tax rates of issuer {issuer_id} from {} on changed", print_instant(from))))
    }

    /// A subscription of which the month is billed elsewhere now, or was before.
    fn moved(&self, line: &Object) -> Option<String> {
        let ground = self.ground;
        let subscription_id = text(line, "subscription_id");
        let owner = match line.get("for_partner").and_then(Value::as_str) {
            Some(other) => PartnerId::parse(other).ok()?,
            None => ground.partner_id.clone(),
        };
        let spans = spans_of(&ground.registry, ground.catalog(), &owner, self.month).unwrap_or_default();
        let is_elsewhere_now = spans.iter().any(|span| {
            let payer = payer_of(&ground.registry, &owner, span.starts).unwrap_or(&owner);
            let here = *payer == ground.partner_id
                && span.version.issuer == ground.issuer_id
                && span.version.currency == ground.currency;
            span.subscription.subscription_id.as_str() == subscription_id && !here
        });
        let month = self.month.to_string();
        let is_own = |one: &Stored| self.billed_by.iter().any(|own| own.invoice_id == one.invoice_id);
        let mut others = self.others.iter().filter(|one| !is_own(one));
        let billed = |one: &&&Stored| {
            lines_of_month(&one.body, &month).any(|line| text(line, "subscription_id") == subscription_id)
        };
        // What billed the same in the same slot adjusted it.
        let is_other_slot = |one: &&&Stored| {
            one.issuer_id() != ground.issuer_id.as_str()
                || one.text_of("currency") != ground.currency.code()
                || one.text_of("partner_id") != ground.partner_id.as_str()
        };
        let was_elsewhere = others.any(|one| is_other_slot(&one) && billed(&one));
        (is_elsewhere_now || was_elsewhere).then(|| {
            format!(
                "subscription {subscription_id} moved to another issuer, currency or payer after invoice {} billed it; credit \
                 the invoice and bill the rest by hand",
                self.invoice.number()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_tells_the_amount_and_the_reason() {
        for (amount_minor, told) in [
            (Some(400), "2026-01 comes to 4.00 EUR more at this pin and no document bills it: why"),
            (Some(-1_800), "2026-01 comes to 18.00 EUR less at this pin and no document gives it back: why"),
            (None, "what 2026-01 comes to at this pin is not known: why"),
        ] {
            let (month, currency, reason) = ("2026-01".to_owned(), "EUR".to_owned(), "why".to_owned());
            assert_eq!(Unadjusted { month, currency, amount_minor, reason }.to_string(), told);
        }
    }
}
