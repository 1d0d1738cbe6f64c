//! The ledger: what the pipeline must find, counted while the traffic is made.
//!
//! Takes each request once, with whose it is, gives counts, usage, invoices and the funnel. It never reads a table
//! and never parses a message: it knows because the simulator wrote them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use crate::calendar::as_utc;
use crate::metering::{Facts, Quantity, Tally};
use crate::pricing::{self, ExpectedLine};
use crate::world::{Environment, Partner, RETRACTING, Span, World};

/// Records of one topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Messages produced.
    pub messages: u64,
    /// Records that must be read, deliveries of the same one included.
    pub accepted: u64,
    /// Records that must be refused. A message that cannot be read is one.
    pub rejected: u64,
    /// Accepted records that are a further delivery of one that counts already.
    pub duplicates: u64,
    /// Accepted records without duplicates.
    pub distinct: u64,
}

/// Whose usage, of what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UsageKey {
    /// Partner.
    pub partner: String,
    /// Meter.
    pub meter: String,
    /// `production` or `sandbox`.
    pub environment: String,
    /// Product; `unmapped` where no route leads to one.
    pub product: String,
}

/// An invoice that must be issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExpectedInvoice {
    /// Subscription that it bills.
    pub subscription_id: String,
    /// Plan that prices it.
    pub plan_id: String,
    /// Currency.
    pub currency: String,
    /// First instant that is billed.
    pub billed_from: DateTime<Utc>,
    /// First instant after it.
    pub billed_to: DateTime<Utc>,
    /// Sum of the lines, in minor units.
    pub total_minor: i128,
    /// Lines, in the plan's order.
    pub lines: Vec<ExpectedLine>,
}

/// One step of the funnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FunnelStep {
    /// Partners that reached it and every step before, each at or after the one before.
    pub reached: u64,
    /// Partners that did what the step asks without having reached the step before.
    pub skipped: u64,
}

/// The funnel over all partners but internal ones; offboarded ones are included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Funnel {
    /// Registered.
    pub registered: FunnelStep,
    /// First success in the sandbox.
    pub sandbox: FunnelStep,
    /// First success in production.
    pub production: FunnelStep,
    /// First invoice above zero.
    pub revenue: FunnelStep,
}

/// What the funnel is made of, for one partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Milestones {
    /// Registration.
    pub registered_at: DateTime<Utc>,
    /// First 2xx in the sandbox.
    pub first_sandbox_success_at: Option<DateTime<Utc>>,
    /// First 2xx in production.
    pub first_production_success_at: Option<DateTime<Utc>>,
    /// Whether its invoice is above zero.
    pub has_revenue: bool,
    /// One of our own.
    pub is_internal: bool,
    /// Offboarding.
    pub offboarded_at: Option<DateTime<Utc>>,
}

/// What must come out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Records of the access topic.
    pub access: Counts,
    /// Records of the lifecycle topic.
    pub lifecycle: Counts,
    /// Distinct requests that belong to nobody, of any status, by reason.
    pub unattributed: BTreeMap<String, u64>,
    /// Usage of the whole traffic, by partner, meter, environment and product.
    #[serde(serialize_with = "as_rows")]
    pub usage: BTreeMap<UsageKey, Quantity>,
    /// Usage that belongs to nobody, by meter.
    pub unattributed_usage: BTreeMap<String, Quantity>,
    /// Invoices for June, by partner.
    pub invoices: BTreeMap<String, ExpectedInvoice>,
    /// Partners that get none, and why.
    pub without_invoice: BTreeMap<String, String>,
    /// The funnel.
    pub funnel: Funnel,
    /// What the funnel is made of, by partner.
    pub milestones: BTreeMap<String, Milestones>,
    /// How often each kind of trouble was made, for people.
    pub troubles: BTreeMap<String, u64>,
}

/// JSON has no keys but text, so usage is a list of rows.
fn as_rows<S: Serializer>(usage: &BTreeMap<UsageKey, Quantity>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Row<'a> {
        #[serde(flatten)]
        key: &'a UsageKey,
        quantity: &'a Quantity,
    }
    serializer.collect_seq(usage.iter().map(|(key, quantity)| Row { key, quantity }))
}

/// Why a request belongs to nobody: the words of the table `usage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    UnknownConsumer,
    LinkConflict,
    EnvironmentUnknown,
    EnvironmentConflict,
}

impl Reason {
    fn word(self) -> &'static str {
        match self {
            Self::UnknownConsumer => "unknown_consumer",
            Self::LinkConflict => "link_conflict",
            Self::EnvironmentUnknown => "environment_unknown",
            Self::EnvironmentConflict => "environment_conflict",
        }
    }
}

/// Whose a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Partner(usize, Environment),
    Nobody(Reason),
}

/// One request that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Made {
    pub id: u64,
    pub facts: Facts,
}

/// Requests that are kept to be taken back later.
const RETRACTED: usize = 25;

/// Running figures of one partner.
#[derive(Debug, Clone, Default)]
struct Account {
    billed_span: Option<Span>,
    july_span: Option<Span>,
    sandbox: Tally,
    production: Tally,
    billed: Tally,
    july: Tally,
    first_sandbox: Option<i64>,
    first_production: Option<i64>,
}

/// The ledger while it grows.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    accounts: Vec<Account>,
    nobody: Tally,
    unattributed: BTreeMap<&'static str, u64>,
    pub access: Counts,
    troubles: BTreeMap<&'static str, u64>,
    /// Billed requests of the partner that takes some back.
    retractable: Vec<Made>,
}

impl Book {
    pub(crate) fn new(world: &World) -> Self {
        let account = |partner: &Partner| {
            let subscription = partner.subscription.as_ref();
            let billed_span = subscription.and_then(|subscription| subscription.billed());
            let july_span = subscription.and_then(|subscription| subscription.billed_in_july());
            Account { billed_span, july_span, ..Account::default() }
        };
        Self {
            retractable: Vec::new(),
            accounts: world.partners.iter().map(account).collect(),
            nobody: Tally::default(),
            unattributed: BTreeMap::new(),
            access: Counts::default(),
            troubles: BTreeMap::new(),
        }
    }

    /// Enters a request when it is made: once, however often it will be delivered.
    pub(crate) fn enter(&mut self, whose: Whose, instant: i64, made: &Made) {
        let facts = &made.facts;
        self.access.accepted += 1;
        self.access.distinct += 1;
        let first = |seen: &mut Option<i64>| {
            if facts.succeeded() {
                *seen = Some(seen.map_or(instant, |seen| seen.min(instant)));
            }
        };
        match whose {
            Whose::Nobody(reason) => {
                *self.unattributed.entry(reason.word()).or_default() += 1;
                self.nobody.count(facts);
            }
            Whose::Partner(partner, Environment::Sandbox) => {
                let account = &mut self.accounts[partner];
                account.sandbox.count(facts);
                first(&mut account.first_sandbox);
            }
            Whose::Partner(partner, Environment::Production) => {
                let account = &mut self.accounts[partner];
                account.production.count(facts);
                first(&mut account.first_production);
                if account.billed_span.is_some_and(|span| span.holds(instant)) {
                    account.billed.count(facts);
                    let is_kept = partner == RETRACTING && facts.succeeded() && facts.user.is_none();
                    if is_kept && self.retractable.len() < RETRACTED {
                        self.retractable.push(*made);
                    }
                }
                if account.july_span.is_some_and(|span| span.holds(instant)) {
                    account.july.count(facts);
                }
            }
        }
    }

    /// A further delivery of a request that was entered.
    pub(crate) fn enter_duplicate(&mut self) {
        self.access.accepted += 1;
        self.access.duplicates += 1;
    }

    /// Makes a note of trouble.
    pub(crate) fn note(&mut self, trouble: &'static str) {
        *self.troubles.entry(trouble).or_default() += 1;
    }

    /// What June is billed for now, by partner; none where nothing of June is billed.
    pub(crate) fn june(&self) -> Vec<Option<Tally>> {
        let june = |account: &Account| account.billed_span.map(|_| account.billed.clone());
        self.accounts.iter().map(june).collect()
    }

    /// What a partner's July is billed for; none where nothing of July is.
    pub(crate) fn july(&self, partner: usize) -> Option<&Tally> {
        let account = &self.accounts[partner];
        account.july_span.map(|_| &account.july)
    }

    /// Takes back the requests that were kept for it.
    pub(crate) fn retract(&mut self, partner: usize) -> Vec<Made> {
        let made = std::mem::take(&mut self.retractable);
        for made in &made {
            self.accounts[partner].billed.take_back(&made.facts);
            self.accounts[partner].production.take_back(&made.facts);
        }
        made
    }

    /// Closes the book.
    pub(crate) fn close(self, world: &World, lifecycle: Counts) -> Ledger {
        let mut ledger = Ledger {
            access: self.access,
            lifecycle,
            unattributed: owned(self.unattributed),
            troubles: owned(self.troubles),
            ..Ledger::default()
        };
        for ((meter, _), quantity) in self.nobody.quantities() {
            ledger.unattributed_usage.entry(meter.id().to_owned()).or_default().millionths += quantity.millionths;
        }
        for (partner, account) in world.partners.iter().zip(&self.accounts) {
            for (environment, tally) in
                [(Environment::Sandbox, &account.sandbox), (Environment::Production, &account.production)]
            {
                for ((meter, product), quantity) in tally.quantities() {
                    let key = UsageKey {
                        partner: partner.id.clone(),
                        meter: meter.id().to_owned(),
                        environment: environment.word().to_owned(),
                        product: product.id().to_owned(),
                    };
                    ledger.usage.insert(key, quantity);
                }
            }
            let has_revenue = match invoice(partner, account) {
                Ok(invoice) => {
                    let has_revenue = invoice.total_minor > 0;
                    ledger.invoices.insert(partner.id.clone(), invoice);
                    has_revenue
                }
                Err(why) => {
                    ledger.without_invoice.insert(partner.id.clone(), why.to_owned());
                    false
                }
            };
            if !partner.is_internal {
                ledger.funnel.enter(
                    partner.registered_at,
                    account.first_sandbox,
                    account.first_production,
                    has_revenue,
                );
            }
            let milestones = Milestones {
                registered_at: as_utc(partner.registered_at),
                first_sandbox_success_at: account.first_sandbox.map(as_utc),
                first_production_success_at: account.first_production.map(as_utc),
                has_revenue,
                is_internal: partner.is_internal,
                offboarded_at: partner.offboarded_at.map(as_utc),
            };
            ledger.milestones.insert(partner.id.clone(), milestones);
        }
        ledger
    }
}

fn owned(counts: BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

fn invoice(partner: &Partner, account: &Account) -> Result<ExpectedInvoice, &'static str> {
    let subscription = partner.subscription.as_ref().ok_or("no subscription")?;
    let billed = account.billed_span.ok_or("the subscription does not touch the month")?;
    let lines = pricing::lines(subscription.plan, |meter| account.billed.total(meter));
    Ok(ExpectedInvoice {
        subscription_id: subscription.id.clone(),
        plan_id: subscription.plan.id.to_owned(),
        currency: subscription.plan.currency.to_owned(),
        billed_from: as_utc(billed.from),
        billed_to: as_utc(billed.to),
        total_minor: lines.iter().map(|line| line.amount_minor).sum(),
        lines,
    })
}

impl Funnel {
    /// Enters one partner. Invoices are issued after all traffic, so revenue is never too early.
    fn enter(&mut self, registered: i64, sandbox: Option<i64>, production: Option<i64>, has_revenue: bool) {
        let mut reached = Some(registered);
        self.registered.reached += 1;
        for (step, at) in [
            (&mut self.sandbox, sandbox),
            (&mut self.production, production),
            (&mut self.revenue, has_revenue.then_some(i64::MAX)),
        ] {
            reached = reached.and_then(|before| at.filter(|at| *at >= before));
            match (reached, at) {
                (Some(_), _) => step.reached += 1,
                (None, Some(_)) => step.skipped += 1,
                (None, None) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: sandbox, production, revenue of a partner that registered at 10; reached and skipped of each step.
    #[test]
    fn the_funnel_counts_steps_in_order() {
        for (sandbox, production, revenue, reached, skipped) in [
            (None, None, false, [0, 0, 0], [0, 0, 0]),
            (Some(10), None, false, [1, 0, 0], [0, 0, 0]),
            (Some(9), None, false, [0, 0, 0], [1, 0, 0]),
            (Some(11), Some(11), false, [1, 1, 0], [0, 0, 0]),
            (Some(12), Some(11), true, [1, 0, 0], [0, 1, 1]),
            (Some(11), Some(12), true, [1, 1, 1], [0, 0, 0]),
            (None, Some(12), true, [0, 0, 0], [0, 1, 1]),
            (Some(11), None, true, [1, 0, 0], [0, 0, 1]),
        ] {
            let mut funnel = Funnel::default();
            funnel.enter(10, sandbox, production, revenue);
            let steps = [funnel.sandbox, funnel.production, funnel.revenue];
            assert_eq!(steps.map(|step| step.reached), reached, "{sandbox:?} {production:?} {revenue}");
            assert_eq!(steps.map(|step| step.skipped), skipped, "{sandbox:?} {production:?} {revenue}");
            assert_eq!(funnel.registered, FunnelStep { reached: 1, skipped: 0 });
        }
    }
}
