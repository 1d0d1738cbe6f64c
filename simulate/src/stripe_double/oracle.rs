//! What the account holds, seen from outside the API: copies of invoices for assertions, and the check that a client
//! billed everything at most once.

use std::collections::BTreeMap;
use std::fmt;

use super::state::{Invoice, InvoiceStatus, State};

/// Metadata key under which tollbook puts its own invoice id.
pub const INVOICE_ID_KEY: &str = "tollbook_invoice_id";
/// Metadata key under which tollbook puts its own line id.
pub const LINE_ID_KEY: &str = "tollbook_line_id";

/// A line, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineView {
    /// Stripe's id.
    pub id: String,
    /// Tollbook's id, from metadata.
    pub tollbook_line_id: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// Text.
    pub description: Option<String>,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
}

/// An invoice, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceView {
    /// Stripe's id.
    pub id: String,
    /// Status.
    pub status: InvoiceStatus,
    /// Lower-case currency.
    pub currency: String,
    /// The sum of the lines; of a finalised invoice, what it was then.
    pub total: i64,
    /// What the customer is asked for; 0 for a draft.
    pub amount_due: i64,
    /// What was paid.
    pub amount_paid: i64,
    /// Payments tried.
    pub attempt_count: u64,
    /// Stripe's customer id.
    pub customer: String,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// The number, once finalised.
    pub number: Option<String>,
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds, once finalised.
    pub finalised_at: Option<i64>,
    /// Lines, in the order they were added.
    pub lines: Vec<LineView>,
}

impl InvoiceView {
    pub(super) fn new(invoice: &Invoice) -> Self {
        let line = |line: &super::state::Line| LineView {
            id: line.id.clone(),
            tollbook_line_id: line.metadata.get(LINE_ID_KEY).cloned(),
            amount: line.amount,
            description: line.description.clone(),
            metadata: line.metadata.clone(),
        };
        let then = invoice.finalised.as_ref();
        Self {
            id: invoice.id.clone(),
            status: invoice.status,
            currency: invoice.currency.clone(),
            total: then.map_or_else(|| invoice.total(), |then| then.total),
            amount_due: then.map_or(0, |then| then.amount_due),
            amount_paid: invoice.amount_paid,
            attempt_count: invoice.attempt_count,
            customer: invoice.customer.clone(),
            metadata: invoice.metadata.clone(),
            number: invoice.number.clone(),
            created: invoice.created,
            finalised_at: then.map(|then| then.at),
            lines: invoice.lines.iter().map(line).collect(),
        }
    }

    /// Tollbook's line ids with their amounts, sorted; a line without one is under Stripe's id.
    #[must_use]
    pub fn line_amounts(&self) -> Vec<(String, i64)> {
        let name = |line: &LineView| line.tollbook_line_id.clone().unwrap_or_else(|| line.id.clone());
        let mut amounts: Vec<_> = self.lines.iter().map(|line| (name(line), line.amount)).collect();
        amounts.sort();
        amounts
    }
}

/// Something that must not be, whatever the client went through (I7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breach {
    /// One tollbook invoice, several finalised Stripe invoices that are not void.
    FinalisedTwice {
        /// Tollbook's id.
        tollbook_invoice_id: String,
        /// Stripe's ids.
        invoices: Vec<String>,
    },
    /// A finalised invoice that is not void has a line more than once.
    LineTwice {
        /// Stripe's id.
        invoice: String,
        /// Tollbook's id of the line.
        tollbook_line_id: String,
    },
    /// A finalised invoice that is not void, or one of its lines, does not say what it is for.
    Unnamed {
        /// Stripe's id of the invoice.
        invoice: String,
    },
    /// A total is not the sum of its lines.
    TotalDiffers {
        /// Stripe's id.
        invoice: String,
        /// The total.
        total: i64,
        /// The sum.
        sum: i64,
    },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FinalisedTwice { tollbook_invoice_id, invoices } => {
                write!(f, "{tollbook_invoice_id} is finalised more than once: {}", invoices.join(", "))
            }
            Self::LineTwice { invoice, tollbook_line_id } => {
                write!(f, "{invoice} has line {tollbook_line_id} more than once")
            }
            Self::Unnamed { invoice } => {
                write!(f, "{invoice} or one of its lines has no {INVOICE_ID_KEY} or {LINE_ID_KEY} in its metadata")
            }
            Self::TotalDiffers { invoice, total, sum } => {
                write!(f, "{invoice} has total {total}, and lines that sum to {sum}")
            }
        }
    }
}

/// Looks for breaches. Drafts are not looked at: an orphan draft bills nobody.
pub(super) fn breaches(state: &State) -> Vec<Breach> {
    let billing =
        state.invoices.iter().filter(|invoice| !matches!(invoice.status, InvoiceStatus::Draft | InvoiceStatus::Void));
    let mut found = Vec::new();
    let mut by_own_id: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for invoice in billing {
        let mut is_named = true;
        match invoice.metadata.get(INVOICE_ID_KEY) {
            Some(own_id) => by_own_id.entry(own_id).or_default().push(invoice.id.clone()),
            None => is_named = false,
        }
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for line in &invoice.lines {
            match line.metadata.get(LINE_ID_KEY) {
                Some(line_id) => *times.entry(line_id).or_default() += 1,
                None => is_named = false,
            }
        }
        for (line_id, _) in times.into_iter().filter(|(_, times)| *times > 1) {
            let (invoice, tollbook_line_id) = (invoice.id.clone(), line_id.to_owned());
            found.push(Breach::LineTwice { invoice, tollbook_line_id });
        }
        if !is_named {
            found.push(Breach::Unnamed { invoice: invoice.id.clone() });
        }
        let (total, sum) = (invoice.finalised.as_ref().map_or(0, |then| then.total), invoice.total());
        if total != sum {
            found.push(Breach::TotalDiffers { invoice: invoice.id.clone(), total, sum });
        }
    }
    let twice = by_own_id.into_iter().filter(|(_, invoices)| invoices.len() > 1);
    found.extend(
        twice.map(|(own_id, invoices)| Breach::FinalisedTwice { tollbook_invoice_id: own_id.to_owned(), invoices }),
    );
    found
}
