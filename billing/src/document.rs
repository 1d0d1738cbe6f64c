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
mod line;
mod read;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tollbook_schemas::catalog::Issuer;
use tollbook_schemas::id::{InvoiceId, IssuerId, LineId, PartnerId, PlanId, ProfileVersionId, SlotId};
use tollbook_schemas::invariant::Invariant;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::INVOICE;

pub use columns::{billed_usage_batch, invoice_batch, line_batch};
pub(crate) use line::LineOf;
pub use line::{
    Adjusts, BilledDay, ByHand, CarriedOver, Line, LineContract, LineCoupon, LineCredit, LineOpening, LineTax, Rollover,
};
pub use read::read_documents;
pub(crate) use read::read_documents_of;

use crate::error::BillingError;
use crate::stored::Stored;

/// The form of the document; a later form gets a later number.
pub const FORMAT: u32 = 1;

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
