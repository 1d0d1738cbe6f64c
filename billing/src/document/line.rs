//! One printed line of a document: its figures, the evidence of what it bills, and what made it.
//!
//! Plain data in the form of the document's JSON, with fields in order of name. What only some lines have is left out
//! of the JSON of the others.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use tollbook_schemas::decimal::{Decimal, Exact};
use tollbook_schemas::digest::ContentHash;
use tollbook_schemas::id::{
    AdjustmentId, ContractId, CouponId, CreditId, InvoiceId, MeterId, PartnerId, PlanId, PriceId, ProfileVersionId,
    SubscriptionId, TaxRateId,
};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Month, Period, day};

use crate::rating::Working;

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

/// What another system billed of the line's period before billing started here: the amount of the line is what the
/// whole period comes to, which is what its working shows, less what that came to.
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
    /// The tax that other lines contain, in minor units, where they do: the amount of the line is then 0, unless it is
    /// of a line whose rate became inclusive or exclusive since it was billed.
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
    /// Who made it; who took it back, where somebody did.
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
    /// Why it was made, or taken back: for staff.
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
    /// Coupon that it takes off by, where it does: its subscription is then the one that the coupon is for, else the
    /// slot of its month.
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
    /// What it is computed by, where it is tax: its subscription is then the slot of its month, or that of the line
    /// that it taxes.
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
    /// A line that no metered price makes (of a minimum, a tax, a coupon…), with only what every line has: one of it,
    /// not numbered yet, and without a description.
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

    /// What it brings in that is tax, in minor units: its amount, and what other lines contain.
    #[must_use]
    pub fn tax_minor(&self) -> i64 {
        let contained = |tax: &LineTax| tax.contained_minor.unwrap_or(0);
        self.tax.as_ref().map_or(0, |tax| self.amount_minor.saturating_add(contained(tax)))
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
