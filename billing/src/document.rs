//! Invoice documents: the canonical JSON that is kept and re-derived, and the rows that tell it to SQL.
//!
//! A document is its text. The invoice id is the hash of exactly that text, so a changed document is another
//! document, and whoever holds the text can check the id. The text names neither clock, run, table version nor
//! number: the same pin, catalog and code give the same bytes (I6), and the number is given by the `issued` event.
//! Who is billed is named by the version of the billing profile, never copied.
//!
//! What a month comes to after its invoice was issued is billed by later documents: as lines that adjust it, or, where
//! the month comes to less in sum, as a credit note of its own. Amounts of both are differences, below 0 where they
//! give back, so that the sum over all documents of a month is what it comes to.

mod columns;
mod read;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use tollbook_schemas::catalog::Issuer;
use tollbook_schemas::decimal::{Decimal, Exact};
use tollbook_schemas::digest::ContentHash;
use tollbook_schemas::id::{
    AdjustmentId, ContractId, CouponId, CreditId, InvoiceId, IssuerId, LineId, MeterId, PartnerId, PlanId, PriceId,
    ProfileVersionId, SlotId, SubscriptionId, TaxRateId,
};
use tollbook_schemas::invariant::Invariant;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Month, Period, day};
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::INVOICE;

pub use columns::{billed_usage_batch, invoice_batch, line_batch};
pub use read::read_documents;
pub(crate) use read::read_documents_of;

use crate::error::BillingError;
use crate::rating::Working;
use crate::stored::Stored;

/// The form of the document; a later form gets a later number.
pub const FORMAT: u32 = 1;

/// What one line billed on one UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BilledDay {
    /// Requests of the day.
    pub event_count: i64,
    /// UTC day of the slices.
    #[serde(with = "day")]
    pub event_date: NaiveDate,
    /// Quantity of the day; of a `unique` meter the day's distinct values, which do not add up to the line's.
    pub quantity: Decimal,
    /// Usage rows of the day.
    pub slice_count: i64,
    /// SHA-256 over the rows, in key order.
    pub usage_sha256: ContentHash,
}

/// What a line that adjusts an earlier month is the difference of: amount and quantity of the line are now − billed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjusts {
    /// What was billed for it so far, in minor units.
    pub billed_amount_minor: i64,
    /// The quantity that was billed for it so far.
    pub billed_quantity: Decimal,
    /// The documents that billed that month so far, in order of id: its invoice, and what adjusted it since.
    pub invoice_ids: Vec<InvoiceId>,
    /// Month that is adjusted.
    pub month: Month,
    /// What it comes to by what is known now, in minor units: what the working of the line shows.
    pub now_amount_minor: i64,
    /// The quantity by what is known now.
    pub now_quantity: Decimal,
}

/// What another system billed of the line's period before billing started here: the amount of the line is what the whole
/// period comes to, which is what its working shows, less what that came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineOpening {
    /// What that came to by the same price, in minor units.
    pub amount_minor: i64,
    /// What the other system billed, in the line's unit.
    pub quantity: Decimal,
    /// What the whole period comes to, in minor units.
    pub whole_amount_minor: i64,
}

/// Included units that earlier periods left to the line's, which were taken off before any price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollover {
    /// Of which periods, oldest first.
    pub from: Vec<CarriedOver>,
    /// Their sum, in the unit that is priced.
    pub units: String,
}

/// What one period left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedOver {
    /// First instant of that period.
    pub span_start: DateTime<Utc>,
    /// What was left of it, in the unit that is priced.
    pub units: String,
}

/// The contract that priced a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LineContract {
    /// Contract of the catalog.
    pub contract_id: ContractId,
    /// Version of it.
    pub version: u32,
}

/// The coupon that a line takes off by; its plan is no catalog's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCoupon {
    /// Coupon of the catalog.
    pub coupon_id: CouponId,
    /// When the partner redeemed it.
    pub redeemed_at: DateTime<Utc>,
}

/// The prepaid credit that a line pays with: amounts in minor units. It is no part of what the month comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCredit {
    /// What is left of it after the line.
    pub after_minor: i64,
    /// What was left of it before: what was granted less what issued documents had used.
    pub before_minor: i64,
    /// The credit.
    pub credit_id: CreditId,
    /// The first month whose documents may have used it.
    pub first_month: Month,
    /// What was granted.
    pub granted_minor: i64,
}

/// What a tax line is computed by. Its quantity is what it is computed of, in major units; its plan is no catalog's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineTax {
    /// The tax that other lines contain, in minor units, where they do: the amount of the line is then 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contained_minor: Option<i64>,
    /// Per cent.
    pub percent: Decimal,
    /// The billing profile whose country and tax id chose the rate.
    pub profile_version_id: ProfileVersionId,
    /// Rate of the catalog.
    pub tax_rate_id: TaxRateId,
    /// Version of it.
    pub version: u32,
}

/// A line that somebody made: amount is what it comes to, nothing where it was taken back, less what was billed of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// Who made it.
    pub actor: String,
    /// The charge or credit.
    pub adjustment_id: AdjustmentId,
    /// What earlier documents billed of it, in minor units.
    pub billed_minor: i64,
    /// Number of the invoice that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_invoice: Option<String>,
    /// Whether it was taken back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_revoked: bool,
    /// Month that it belongs to.
    pub month: Month,
    /// Why: for staff.
    pub reason: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// One printed line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Month and figures, where the line adjusts what was billed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjusts: Option<Adjusts>,
    /// Amount, rounded once, in minor units.
    pub amount_minor: i64,
    /// Who made it and why, where it was made by hand: its plan, price and subscription are then no catalog's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<ByHand>,
    /// Contract that priced it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<LineContract>,
    /// Coupon that it takes off by, where it does: its subscription is then the one that the coupon is for, else the slot of its
    /// month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<LineCoupon>,
    /// Prepaid credit that it pays with, where it does: its subscription is then the credit's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit: Option<LineCredit>,
    /// What the customer reads.
    pub description: String,
    /// The setting by which the line is billed before its period is over, or once: `in_advance`, `once`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// The partner whose subscription it is, where the document's pays for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_partner: Option<PartnerId>,
    /// Place on the document, from 1.
    pub line_number: u32,
    /// Meter; none for a flat price.
    pub meter_id: Option<MeterId>,
    /// What another system billed of the period, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<LineOpening>,
    /// Plan.
    pub plan_id: PlanId,
    /// Version of the plan.
    pub plan_version: u32,
    /// Price of the plan.
    pub price_id: PriceId,
    /// The word of the price's model, such as `graduated`.
    pub price_model: String,
    /// Quantity that was priced.
    pub quantity: Decimal,
    /// What earlier periods left to it, of a price whose included units carry over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollover: Option<Rollover>,
    /// First instant after what is billed.
    pub span_end: DateTime<Utc>,
    /// First instant that is billed.
    pub span_start: DateTime<Utc>,
    /// Subscription.
    pub subscription_id: SubscriptionId,
    /// What it is computed by, where it is tax: its subscription is then the slot of its month, or that of the line that it
    /// taxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<LineTax>,
    /// Unit of the quantity; none for a flat price.
    pub unit: Option<String>,
    /// Evidence, by UTC day.
    pub usage: Vec<BilledDay>,
    /// How the amount came about.
    pub working: Working,
}

/// What a line is of; where no price of a catalog makes it, ids that stand for them.
pub(crate) struct LineOf {
    pub(crate) subscription_id: SubscriptionId,
    pub(crate) plan_id: PlanId,
    pub(crate) plan_version: u32,
    pub(crate) price_id: PriceId,
    pub(crate) price_model: &'static str,
}

impl Line {
    /// A line that no metered price makes (of a minimum, a tax, a coupon…), with only what every line has: one of it, not
    /// numbered yet, and without a description.
    pub(crate) fn beside(of: LineOf, span: Period, amount: Money) -> Self {
        Self {
            adjusts: None,
            amount_minor: amount.minor,
            by_hand: None,
            contract: None,
            coupon: None,
            credit: None,
            description: String::new(),
            due: None,
            for_partner: None,
            line_number: 0,
            meter_id: None,
            opening: None,
            plan_id: of.plan_id,
            plan_version: of.plan_version,
            price_id: of.price_id,
            price_model: of.price_model.to_owned(),
            quantity: Decimal::whole(1),
            rollover: None,
            span_end: span.end,
            span_start: span.start,
            subscription_id: of.subscription_id,
            tax: None,
            unit: None,
            usage: Vec::new(),
            working: Working {
                exact: Exact::scaled(amount.minor, amount.currency.exponent()).to_string(),
                ..Working::default()
            },
        }
    }

    /// What it brings in that is tax, in minor units: its amount, or what other lines contain.
    #[must_use]
    pub fn tax_minor(&self) -> i64 {
        self.tax.as_ref().map_or(0, |tax| tax.contained_minor.unwrap_or(self.amount_minor))
    }

    /// The description with the tax that is contained in other lines, which no amount tells.
    #[must_use]
    pub fn description_with_tax(&self, currency: Currency) -> String {
        match self.tax.as_ref().and_then(|tax| tax.contained_minor) {
            Some(minor) => format!("{} ({} contained)", self.description, Money { minor, currency }),
            None => self.description.clone(),
        }
    }
}

/// Who issues, as printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedBy {
    /// Address lines.
    pub address: Vec<String>,
    /// Issuer of the catalog.
    pub issuer_id: IssuerId,
    /// Legal name.
    pub legal_name: String,
    /// Tax id.
    pub tax_id: Option<String>,
}

/// What a document is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// An invoice.
    #[default]
    Invoice,
    /// What is given back of an invoice; its amounts are below 0 in sum.
    CreditNote,
}

impl DocumentKind {
    /// The word in registers and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::CreditNote => "credit_note",
        }
    }

    /// Whether it is an invoice: the kind that its JSON does not name.
    #[must_use]
    pub fn is_invoice(&self) -> bool {
        *self == Self::Invoice
    }
}

/// The invoice of which a credit note gives something back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credits {
    /// Invoice.
    pub invoice_id: InvoiceId,
    /// Its number, as printed.
    pub number: String,
}

impl IssuedBy {
    /// An issuer of the catalog as documents print it.
    pub(crate) fn of(issuer_id: &IssuerId, issuer: &Issuer) -> Self {
        Self {
            address: issuer.address.clone(),
            issuer_id: issuer_id.clone(),
            legal_name: issuer.legal_name.clone(),
            tax_id: issuer.tax_id.clone(),
        }
    }
}

/// What the usage of one subscription would have cost on another plan: told, and in no total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// Currency of its amounts: that of the other plan.
    pub currency: Currency,
    /// Lines, as the other plan would print them.
    pub lines: Vec<Line>,
    /// The other plan.
    pub plan_id: PlanId,
    /// Sum of its lines, in minor units.
    pub total_minor: i64,
}

/// The content of a document. Fields are in order of name, so that its JSON is canonical.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Hash of the catalog that priced it.
    pub catalog_sha256: String,
    /// The invoice that a credit note is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<Credits>,
    /// Currency of all amounts.
    pub currency: Currency,
    /// [`FORMAT`].
    pub format: u32,
    /// Who issues.
    pub issuer: IssuedBy,
    /// What it is.
    #[serde(default, skip_serializing_if = "DocumentKind::is_invoice")]
    pub kind: DocumentKind,
    /// Lines, in printed order.
    pub lines: Vec<Line>,
    /// Month that is billed.
    pub month: Month,
    /// Partner that is billed.
    pub partner_id: PartnerId,
    /// Days until it is due.
    pub payment_terms_days: u32,
    /// First instant after the billing period.
    pub period_end: DateTime<Utc>,
    /// First instant of the billing period.
    pub period_start: DateTime<Utc>,
    /// What was known, JSON.
    pub pin: String,
    /// Version of the billing profile.
    pub profile_version_id: ProfileVersionId,
    /// Shadow bills, of plans that name one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<Shadow>,
    /// Sum of the lines, in minor units.
    pub total_minor: i64,
}

impl Credits {
    /// The place of the credit note, of which there is one in a month for each invoice.
    #[must_use]
    pub fn slot_of(&self, issuer: &IssuerId, partner: &PartnerId, currency: Currency, month: Month) -> SlotId {
        SlotId::derive([
            issuer.as_str(),
            partner.as_str(),
            currency.code(),
            &month.to_string(),
            DocumentKind::CreditNote.as_str(),
            self.invoice_id.as_str(),
        ])
    }
}

impl Body {
    /// The place that it fills: one invoice for each issuer, partner, currency and month; one credit note in a month
    /// for each invoice.
    #[must_use]
    pub fn slot_id(&self) -> SlotId {
        let (issuer, partner) = (&self.issuer.issuer_id, &self.partner_id);
        match &self.credits {
            None => slot_of(issuer, partner, self.currency, self.month),
            Some(credits) => credits.slot_of(issuer, partner, self.currency, self.month),
        }
    }

    /// The slot of the invoice that billed a month first: what a line that adjusts this month belongs to.
    #[must_use]
    pub fn slot_of_month(&self, month: Month) -> SlotId {
        slot_of(&self.issuer.issuer_id, &self.partner_id, self.currency, month)
    }
}

/// An invoice document: a draft until an `issued` event names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Derived from `text`.
    pub invoice_id: InvoiceId,
    /// The place that it fills.
    pub slot_id: SlotId,
    /// Content.
    pub body: Body,
    /// The content as canonical JSON: the document itself.
    pub text: String,
}

impl Document {
    /// Closes a body: sums the lines (I4), writes the text, derives the ids.
    ///
    /// # Errors
    /// [`BillingError::Broken`] when the sum is not the body's total, [`BillingError::Bug`] when it has no JSON.
    pub fn close(body: Body) -> Result<Self, BillingError> {
        let total = sum_of(&body.lines).filter(|total| *total == body.total_minor);
        if total.is_none() {
            let what = format!("the lines of {}'s document for {} do not add up", body.partner_id, body.month);
            return Err(BillingError::broken(Invariant::I4, what));
        }
        let text = serde_json::to_string(&body).map_err(|error| no_json("a document", &error))?;
        let invoice_id = InvoiceId::derive([&text]);
        let slot_id = body.slot_id();
        Ok(Self { invoice_id, slot_id, body, text })
    }

    /// The total.
    #[must_use]
    pub fn total(&self) -> Money {
        Money { minor: self.body.total_minor, currency: self.body.currency }
    }

    /// What it comes to before prepaid credits pay it.
    #[must_use]
    pub fn total_before_credits(&self) -> Money {
        let paid = self.body.lines.iter().filter(|line| line.credit.is_some());
        // Credits are below 0, and what they pay fitted before they did.
        let minor = paid.fold(self.body.total_minor, |total, line| total.saturating_sub(line.amount_minor));
        Money { minor, currency: self.body.currency }
    }

    /// What it comes to before tax, and before prepaid credits pay it, in minor units; none where it does not fit.
    #[must_use]
    pub fn net_minor(&self) -> Option<i64> {
        let paid = self.body.lines.iter().filter(|line| line.credit.is_some()).map(|line| line.amount_minor);
        let mut neither = self.body.lines.iter().map(Line::tax_minor).chain(paid);
        neither.try_fold(self.body.total_minor, i64::checked_sub)
    }

    /// The id of a line.
    #[must_use]
    pub fn line_id(&self, line_number: u32) -> LineId {
        LineId::derive([self.invoice_id.as_str(), &line_number.to_string()])
    }

    /// Reads a row of `invoice`, and checks that its ids and its total are those of its text.
    ///
    /// # Errors
    /// [`BillingError::Stored`]; [`BillingError::Broken`] when the row and its text differ (I5).
    pub fn from_row(row: &Row) -> Result<Self, BillingError> {
        let stored = Stored { table: &INVOICE, row };
        let invoice_id = stored.id("invoice_id", InvoiceId::parse)?;
        let text = stored.text("document")?;
        let body: Body = serde_json::from_str(text)
            .map_err(|error| BillingError::stored(INVOICE.name, format!("the document of {invoice_id}: {error}")))?;
        // The id is that of the stored bytes, never of what today's program would write: a later form of the
        // document must not make an earlier one unreadable.
        let slot_id = body.slot_id();
        let document = Self { invoice_id: InvoiceId::derive([text]), slot_id, body, text: text.to_owned() };
        let same = document.invoice_id == invoice_id
            && sum_of(&document.body.lines) == Some(document.body.total_minor)
            && document.slot_id.as_str() == stored.text("slot_id")?
            && document.body.total_minor == stored.int("total_minor")?;
        if !same {
            let what = format!("invoice {invoice_id} is not the document that its id was derived from");
            return Err(BillingError::broken(Invariant::I5, what));
        }
        Ok(document)
    }
}

/// The place that an invoice fills.
#[must_use]
pub fn slot_of(issuer: &IssuerId, partner: &PartnerId, currency: Currency, month: Month) -> SlotId {
    SlotId::derive([issuer.as_str(), partner.as_str(), currency.code(), &month.to_string()])
}

/// The checked sum of lines, in minor units.
pub(crate) fn sum_of(lines: &[Line]) -> Option<i64> {
    lines.iter().try_fold(0_i64, |sum, line| sum.checked_add(line.amount_minor))
}

fn no_json(of: &str, error: &serde_json::Error) -> BillingError {
    BillingError::Bug { what: format!("{of} has no JSON: {error}") }
}

/// A length as a column; a document cannot hold more than 63 bits of lines.
pub(crate) fn count_of(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
