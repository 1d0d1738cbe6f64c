//! What the account holds: customers, invoices, their lines, and the counters that make ids.
//!
//! Nothing here is random: the same requests in the same order give the same ids and numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Quirks;
use super::answers::Refusal;

/// Key and value pairs of the client.
pub(super) type Metadata = BTreeMap<String, String>;

/// An object that a [`Shelf`] keeps.
pub(super) trait Kept {
    /// Its id.
    fn id(&self) -> &str;
    /// When it was made.
    fn created(&self) -> i64;
    /// Whether it was deleted.
    fn is_deleted(&self) -> bool {
        false
    }
}

/// Objects of one kind, in the order they were made.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    items: Vec<T>,
    places: HashMap<String, usize>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { items: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Kept> Shelf<T> {
    /// Adds one.
    pub fn add(&mut self, item: T) {
        self.places.insert(item.id().to_owned(), self.items.len());
        self.items.push(item);
    }

    /// How many were ever made.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// One that is not deleted.
    pub fn get(&self, id: &str) -> Option<&T> {
        self.items.get(*self.places.get(id)?).filter(|item| !item.is_deleted())
    }

    /// One that is not deleted, to change.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.items.get_mut(*self.places.get(id)?).filter(|item| !item.is_deleted())
    }

    /// All that are not deleted, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().filter(|item| !item.is_deleted())
    }

    /// All that are not deleted, newest first, as lists give them.
    pub fn newest_first(&self) -> Vec<&T> {
        let mut items: Vec<&T> = self.iter().collect();
        items.sort_by_key(|item| item.created());
        items.reverse();
        items
    }
}

/// A customer.
#[derive(Debug, Clone, Default)]
pub(super) struct Customer {
    pub id: String,
    pub created: i64,
    pub name: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub description: Option<String>,
    pub business_name: Option<String>,
    pub individual_name: Option<String>,
    pub address: Option<BTreeMap<String, String>>,
    pub metadata: Metadata,
    /// Minor units; negative is money the customer has with us, and is used up by the next invoice.
    pub balance: i64,
    pub currency: Option<String>,
    pub invoice_prefix: String,
    pub next_invoice_sequence: i64,
    pub preferred_locales: Vec<String>,
    pub tax_exempt: &'static str,
    pub tax_ids: Vec<(String, String)>,
    pub footer: Option<String>,
    pub custom_fields: Vec<(String, String)>,
}

impl Kept for Customer {
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

/// Where an invoice is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InvoiceStatus {
    /// May be changed and deleted.
    Draft,
    /// Finalised, to be paid.
    Open,
    /// Paid, or finalised with nothing to pay.
    Paid,
    /// Taken back.
    Void,
    /// Given up.
    Uncollectible,
}

impl InvoiceStatus {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Void => "void",
            Self::Uncollectible => "uncollectible",
        }
    }
}

impl std::fmt::Display for InvoiceStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How an invoice is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Collection {
    ChargeAutomatically,
    SendInvoice,
}

impl Collection {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChargeAutomatically => "charge_automatically",
            Self::SendInvoice => "send_invoice",
        }
    }
}

/// A line of an invoice.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub id: String,
    /// The invoice item that Stripe makes for each line of an invoice without a subscription.
    pub item_id: String,
    pub amount: i64,
    pub description: Option<String>,
    pub discountable: bool,
    pub metadata: Metadata,
    pub period_start: i64,
    pub period_end: i64,
}

/// An invoice.
#[derive(Debug, Clone)]
pub(super) struct Invoice {
    pub id: String,
    pub customer: String,
    pub currency: String,
    pub status: InvoiceStatus,
    pub created: i64,
    pub deleted: bool,
    pub auto_advance: bool,
    pub collection: Collection,
    pub days_until_due: Option<i64>,
    pub due_date: Option<i64>,
    pub effective_at: Option<i64>,
    pub description: Option<String>,
    pub footer: Option<String>,
    pub statement_descriptor: Option<String>,
    pub custom_fields: Vec<(String, String)>,
    pub payment_method_types: Option<Vec<String>>,
    pub metadata: Metadata,
    pub number: Option<String>,
    /// Oldest first; lists give them the other way round.
    pub lines: Vec<Line>,
    /// Set when the invoice is finalised.
    pub finalised: Option<Finalised>,
    pub amount_paid: i64,
    pub paid_out_of_band: bool,
    pub attempt_count: u64,
    pub paid_at: Option<i64>,
    pub voided_at: Option<i64>,
    pub marked_uncollectible_at: Option<i64>,
}

/// What finalising fixes.
#[derive(Debug, Clone)]
pub(super) struct Finalised {
    pub at: i64,
    pub total: i64,
    pub amount_due: i64,
    pub starting_balance: i64,
    pub ending_balance: i64,
    /// The customer as it was then: later changes do not reach the invoice.
    pub customer: Customer,
}

impl Invoice {
    /// The sum of its lines. At most 250 lines of eight digits each, so it fits.
    pub fn total(&self) -> i64 {
        self.lines.iter().map(|line| line.amount).sum()
    }
}

impl Kept for Invoice {
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn is_deleted(&self) -> bool {
        self.deleted
    }
}

/// The account.
#[derive(Debug, Default)]
pub(super) struct State {
    pub quirks: Quirks,
    pub customers: Shelf<Customer>,
    pub invoices: Shelf<Invoice>,
    /// Invoice numbers in use.
    pub numbers: HashSet<String>,
    /// Drafts with `auto_advance`, by the time they finalise themselves.
    pub advances: BTreeSet<(i64, String)>,
    lines_made: u64,
}

impl State {
    /// An empty account.
    pub fn new(quirks: Quirks) -> Self {
        Self { quirks, ..Self::default() }
    }

    /// The id of a new line, and of its invoice item.
    pub fn next_line_ids(&mut self) -> (String, String) {
        self.lines_made += 1;
        (format!("il_{:012}", self.lines_made), format!("ii_{:012}", self.lines_made))
    }

    /// The customer named in a path.
    pub fn customer(&self, id: &str) -> Result<&Customer, Refusal> {
        self.customers.get(id).ok_or_else(|| Refusal::no_such("customer", id))
    }

    /// The invoice named in a path.
    pub fn invoice(&self, id: &str) -> Result<&Invoice, Refusal> {
        self.invoices.get(id).ok_or_else(|| Refusal::no_such("invoice", id))
    }

    /// The invoice named in a path, to change.
    pub fn invoice_mut(&mut self, id: &str) -> Result<&mut Invoice, Refusal> {
        self.invoices.get_mut(id).ok_or_else(|| Refusal::no_such("invoice", id))
    }

    /// The refusal of a step that the status forbids, with or without an error code.
    pub fn not_from_here(&self, message: impl Into<String>) -> Refusal {
        let refusal = Refusal::invalid(message);
        if self.quirks.transition_codes { refusal.code("invoice_not_editable") } else { refusal }
    }
}
