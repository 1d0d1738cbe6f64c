//! Which drafts are not issued before a person has looked at them. Pure.
//!
//! Takes the configured policy, a document, the profile that it bills and what was invoiced before in the same line of
//! slots (issuer, partner, currency); gives each rule that the document meets, with the figures that met it. A policy
//! changes no document: it says who must see one before it becomes an invoice, so it is configuration and no part of
//! the pin. All comparisons are of integers: no mean is rounded before it is compared.
//!
//! Without configuration only what can hardly be meant is held, and what gives money away that nobody has looked at: an
//! invoice below 0; one of more lines than Stripe takes; a credit note, unless a person asked for all of it by hand; a
//! name, an address or an e-mail address that is not there.

use std::collections::BTreeMap;

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::Month;

use crate::document::{Document, IssuedBy};
use crate::profile::Profile;
use crate::stripe::LINES_MAX;

/// Issued periods that the mean is taken over, at most.
const TRAILING: usize = 3;

/// A field of the issuer that an invoice must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IssuerField {
    /// Legal name.
    LegalName,
    /// Address lines.
    Address,
    /// Tax id.
    TaxId,
}

impl IssuerField {
    const WORDS: [(Self, &'static str); 3] =
        [(Self::LegalName, "legal_name"), (Self::Address, "address"), (Self::TaxId, "tax_id")];

    /// The words of the configuration.
    #[must_use]
    pub fn words() -> Vec<&'static str> {
        Self::WORDS.iter().map(|(_, word)| *word).collect()
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, word)| *word == text).map(|(field, _)| *field)
    }

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(field, _)| *field == self).map_or("", |(_, word)| word)
    }

    fn is_missing(self, issuer: &IssuedBy) -> bool {
        match self {
            Self::LegalName => is_blank(&issuer.legal_name),
            Self::Address => issuer.address.iter().all(|line| is_blank(line)),
            Self::TaxId => issuer.tax_id.as_deref().is_none_or(is_blank),
        }
    }
}

/// A field of the partner's billing profile that an invoice must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CustomerField {
    /// Legal name.
    LegalName,
    /// Address.
    Address,
    /// Country code.
    Country,
    /// Where invoices go.
    BillingEmail,
    /// Tax id.
    TaxId,
    /// Purchase order.
    PurchaseOrder,
}

impl CustomerField {
    const WORDS: [(Self, &'static str); 6] = [
        (Self::LegalName, "legal_name"),
        (Self::Address, "address"),
        (Self::Country, "country"),
        (Self::BillingEmail, "billing_email"),
        (Self::TaxId, "tax_id"),
        (Self::PurchaseOrder, "purchase_order"),
    ];

    /// The words of the configuration.
    #[must_use]
    pub fn words() -> Vec<&'static str> {
        Self::WORDS.iter().map(|(_, word)| *word).collect()
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, word)| *word == text).map(|(field, _)| *field)
    }

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(field, _)| *field == self).map_or("", |(_, word)| word)
    }

    fn is_missing(self, profile: &Profile) -> bool {
        match self {
            Self::LegalName => is_blank(&profile.legal_name),
            Self::Address => is_blank(&profile.address),
            Self::Country => is_blank(&profile.country),
            Self::BillingEmail => is_blank(&profile.billing_email),
            Self::TaxId => profile.tax_id.as_deref().is_none_or(is_blank),
            Self::PurchaseOrder => profile.purchase_order.as_deref().is_none_or(is_blank),
        }
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// How far a total may be from the mean of what was invoiced before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deviation {
    /// More than this part of the mean is held, in per cent.
    pub limit_percent: u32,
    /// Differences below this are never held, in major units of the document's currency.
    pub minimum: Decimal,
}

/// Which credit notes are held; their totals are below 0 by nature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldCreditNotes {
    /// None.
    Nothing,
    /// Those with a line that nobody made by hand: what came late, or was corrected, gives money back by itself.
    NotByHand,
    /// All.
    All,
}

/// What is held until somebody approves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldPolicy {
    /// Totals that are far from those of the trailing three issued periods.
    pub deviation: Option<Deviation>,
    /// The first invoice of an issuer, partner and currency.
    pub first_invoice: bool,
    /// Invoices of a total below 0.
    pub negative_total: bool,
    /// Invoices of more lines than an invoice at Stripe takes.
    pub too_many_lines: bool,
    /// Credit notes.
    pub credit_note: HeldCreditNotes,
    /// Documents with a line that somebody made by hand.
    pub by_hand: bool,
    /// Every document.
    pub every_invoice: bool,
    /// Fields that the issuer must have.
    pub issuer_fields: Vec<IssuerField>,
    /// Fields that the billing profile must have.
    pub customer_fields: Vec<CustomerField>,
    /// Whether an approval counts only where it is of somebody else than whoever drafted the document, or made one of
    /// its lines by hand.
    pub four_eyes: bool,
}

impl Default for HoldPolicy {
    /// What a program has that configures nothing. An invoice is held if it is below 0, or could never be sent. A
    /// credit note is held unless a person asked for all of it: such a one is of no more than is left of its invoice.
    /// The required fields are those that `partner import` and `check` require anyway.
    fn default() -> Self {
        Self {
            deviation: None,
            first_invoice: false,
            negative_total: true,
            too_many_lines: true,
            credit_note: HeldCreditNotes::NotByHand,
            by_hand: false,
            every_invoice: false,
            issuer_fields: vec![IssuerField::LegalName, IssuerField::Address],
            customer_fields: vec![
                CustomerField::LegalName,
                CustomerField::Address,
                CustomerField::Country,
                CustomerField::BillingEmail,
            ],
            four_eyes: false,
        }
    }
}

impl HoldPolicy {
    /// Holds nothing at all.
    pub const NOTHING: Self = Self {
        deviation: None,
        first_invoice: false,
        negative_total: false,
        too_many_lines: false,
        credit_note: HeldCreditNotes::Nothing,
        by_hand: false,
        every_invoice: false,
        issuer_fields: Vec::new(),
        customer_fields: Vec::new(),
        four_eyes: false,
    };

    /// Whether what was invoiced before matters.
    #[must_use]
    pub fn needs_past(&self) -> bool {
        self.deviation.is_some() || self.first_invoice
    }
}

/// A rule that a document meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// Its name: the actor of the hold is `system:` and this.
    pub rule: &'static str,
    /// With which figures.
    pub what: String,
}

/// Each rule that a document meets, in the order of the policy's fields. `past` has the totals that were issued for
/// earlier months in the same line of slots, before prepaid credits, in minor units; `profile` is the version that the
/// document names.
#[must_use]
pub fn rules_met(
    policy: &HoldPolicy,
    document: &Document,
    profile: Result<&Profile, String>,
    past: &BTreeMap<Month, i64>,
) -> Vec<Met> {
    let mut met = Vec::new();
    let mut hold = |rule, what: Option<String>| met.extend(what.map(|what| Met { rule, what }));
    let total = document.total();
    if !document.body.kind.is_invoice() {
        // It has no line of months to be compared with.
        hold("credit_note", held_credit_note(policy.credit_note, document));
        hold("by_hand", policy.by_hand.then(|| made_by_hand(document)).flatten());
        hold("every_invoice", policy.every_invoice.then(|| every(total)));
        hold("missing_field", missing(policy, document, profile));
        return met;
    }
    // The trailing periods: what lies behind the month itself says nothing of what is usual before it.
    let before: Vec<(Month, i64)> = past.range(..document.body.month).map(|(month, total)| (*month, *total)).collect();
    // How much of it is prepaid says nothing of what was used.
    let before_credits = document.total_before_credits();
    let deviates = policy.deviation.and_then(|limit| deviates(limit, before_credits, &before));
    let paid = |what: String| match before_credits == total {
        true => what,
        false => format!("before prepaid credits, {what}"),
    };
    hold("deviation", deviates.map(paid));
    let is_first = policy.first_invoice && before.is_empty();
    hold(
        "first_invoice",
        is_first.then(|| format!("the first invoice of this partner and issuer in {}", total.currency)),
    );
    hold("negative_total", (policy.negative_total && total.minor < 0).then(|| format!("total {total} is below 0")));
    let lines = document.body.lines.len();
    let too_many = || {
        format!(
            "{lines} lines, and an invoice at Stripe takes {LINES_MAX}: approve it where it is sent another way, else bill some of \
             its prices by a plan of another issuer or currency, or its partners apart"
        )
    };
    hold("too_many_lines", (policy.too_many_lines && lines > LINES_MAX).then(too_many));
    hold("by_hand", policy.by_hand.then(|| made_by_hand(document)).flatten());
    hold("every_invoice", policy.every_invoice.then(|| every(total)));
    hold("missing_field", missing(policy, document, profile));
    met
}

fn held_credit_note(which: HeldCreditNotes, document: &Document) -> Option<String> {
    let total = document.total();
    let is_by_hand = document.body.lines.iter().all(|line| line.by_hand.is_some());
    match which {
        HeldCreditNotes::All => Some(format!("a credit note of {total}")),
        HeldCreditNotes::NotByHand if !is_by_hand => {
            Some(format!("a credit note of {total}, of what came late or was corrected: nobody made it by hand"))
        }
        HeldCreditNotes::NotByHand | HeldCreditNotes::Nothing => None,
    }
}

/// What was made by hand, by whom.
fn made_by_hand(document: &Document) -> Option<String> {
    let currency = document.body.currency;
    let made = document.body.lines.iter().filter(|line| line.tax.is_none());
    let lines = made.filter_map(|line| Some((line, line.by_hand.as_ref()?)));
    let told: Vec<String> = lines
        .map(|(line, by_hand)| {
            let amount = Money { minor: line.amount_minor, currency };
            let word = if by_hand.is_revoked { "taken back" } else { "made" };
            format!("{amount} was {word} by {} ({})", by_hand.actor, by_hand.reason)
        })
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

fn every(total: Money) -> String {
    format!("every invoice is approved first; total {total}")
}

/// What is missing of the fields that an invoice must have, and where it is put right.
fn missing(policy: &HoldPolicy, document: &Document, profile: Result<&Profile, String>) -> Option<String> {
    let issuer = &document.body.issuer;
    let of_issuer: Vec<&str> =
        policy.issuer_fields.iter().filter(|field| field.is_missing(issuer)).map(|field| field.word()).collect();
    let mut told = Vec::new();
    if !of_issuer.is_empty() {
        told.push(format!("issuer {} has no {}: add it to the catalog", issuer.issuer_id, of_issuer.join(", no ")));
    }
    if !policy.customer_fields.is_empty() {
        match profile {
            Err(why) => told.push(why),
            Ok(profile) => {
                let fields = policy.customer_fields.iter().filter(|field| field.is_missing(profile));
                let of_customer: Vec<&str> = fields.map(|field| field.word()).collect();
                if !of_customer.is_empty() {
                    let no = of_customer.join(", no ");
                    let id = &profile.profile_version_id;
                    told.push(format!(
                        "billing profile {id} has no {no}: import it again with `tollbook partner import`"
                    ));
                }
            }
        }
    }
    (!told.is_empty()).then(|| told.join("; "))
}

/// How a total deviates from the mean of the last issued periods, where it is more than the limit; none where nothing
/// was issued before, and none where it does not.
fn deviates(limit: Deviation, total: Money, before: &[(Month, i64)]) -> Option<String> {
    let trailing = &before[before.len().saturating_sub(TRAILING)..];
    let count = i128::try_from(trailing.len()).ok().filter(|count| *count > 0)?;
    // Three totals of 63 bits, and their products below: nothing here comes near 127 bits but the floor, which is
    // checked.
    let sum: i128 = trailing.iter().map(|(_, minor)| i128::from(*minor)).sum();
    // count times the difference from the mean: exact.
    let difference = i128::from(total.minor) * count - sum;
    let size = difference.abs();
    if size * 100 <= i128::from(limit.limit_percent) * sum.abs() || is_below(limit.minimum, size, count, total.currency)
    {
        return None;
    }
    let (side, months) = (if difference < 0 { "below" } else { "above" }, months_of(trailing));
    // For people only: half away from zero.
    let mean = (2 * sum.abs() + count) / (2 * count) * sum.signum();
    let mean = Money { minor: i64::try_from(mean).unwrap_or(i64::MAX), currency: total.currency };
    let percent = limit.limit_percent;
    Some(match size.checked_mul(10_000).and_then(|parts| parts.checked_div(sum.abs())) {
        // A mean of 0 has no per cent.
        None => format!("total {total} is {side} the mean {mean} of {months}; limit {percent} %"),
        Some(hundredths) => {
            let more_than = if hundredths == i128::from(percent) * 100 { "more than " } else { "" };
            let shown = percent_of(hundredths);
            format!("total {total} is {more_than}{shown} % {side} the mean {mean} of {months}; limit {percent} %")
        }
    })
}

/// Whether `size / count` minor units are less than an amount in major units.
fn is_below(minimum: Decimal, size: i128, count: i128, currency: Currency) -> bool {
    let (one, unit) = (Decimal::whole(1).unscaled(), 10_i128.pow(currency.exponent()));
    let floor = minimum.unscaled().checked_mul(unit).and_then(|floor| floor.checked_mul(count));
    match (size.checked_mul(one), floor) {
        (Some(size), Some(floor)) => size < floor,
        // A floor of more digits than any total has.
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Hundredths of a per cent as `64`, `64.5` or `64.04`.
fn percent_of(hundredths: i128) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `2026-03..2026-05`; months with a gap between them one by one.
fn months_of(trailing: &[(Month, i64)]) -> String {
    let is_dense = trailing.windows(2).all(|pair| pair[0].0.next() == pair[1].0);
    match trailing {
        [(first, _), .., (last, _)] if is_dense => format!("{first}..{last}"),
        _ => trailing.iter().map(|(month, _)| month.to_string()).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests;
