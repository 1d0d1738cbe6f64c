//! Pushing a month's invoices to Stripe, as one resumable batch.
//!
//! Steps are taken for the whole batch: customers, their profiles, drafts, lines by the hundred, the gate, finalise.
//! The requests of a step are frozen in one commit, then sent, then their answers are written in one commit. A run that
//! died anywhere is resumed by the next: what was frozen and not answered is sent again with the same bytes and key,
//! or, when the key is too old to be remembered, looked for at Stripe first. Running twice sends no write and adds no
//! row.
//!
//! An invoice whose total is 0 is not pushed; that nothing is due is recorded instead. A credit note is not pushed, and
//! told: nobody has given the money back yet.

mod phase;
mod profiles;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures::StreamExt;
use tollbook_lake::Lake;
use tollbook_schemas::id::{InvoiceId, PartnerId};
use tollbook_schemas::invariant::Invariant;
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::{BILLING_PROFILE, INVOICE_EVENT};

use super::answers::Object;
use super::ledger::{Ledger, Plan, Step};
use super::observe::Observer;
use super::requests::{LINES_A_CALL, LINES_MAX};
use super::send::ReadFailure;
use super::transport::Transport;
use crate::document::Document;
use crate::document::read_documents;
use crate::error::BillingError;
use crate::event::{EventKind, InvoiceEvent, events_of};
use crate::profile::Profiles;

use phase::{Unit, UnitResult};

pub use report::{PushReport, PushSettings, Unpushed};

/// One invoice of the batch.
struct Job {
    document: Document,
    number: String,
    failure: Option<String>,
    unfinished: Option<String>,
}

impl Job {
    fn is_live(&self) -> bool {
        self.failure.is_none() && self.unfinished.is_none()
    }

    fn take(&mut self, failure: &ReadFailure) {
        match failure {
            ReadFailure::Refused(told) => self.failure = Some(told.clone()),
            ReadFailure::Unavailable(told) => self.unfinished = Some(told.clone()),
            ReadFailure::Stop(error) => self.unfinished = Some(error.to_string()),
        }
    }
}

/// A running batch.
struct Batch<'a> {
    lake: &'a Lake,
    transport: &'a Transport,
    settings: &'a PushSettings,
    month: Month,
    clock: &'a dyn Fn() -> DateTime<Utc>,
    jobs: Vec<Job>,
    profiles: Profiles,
    ledgers: BTreeMap<InvoiceId, Ledger>,
    /// For each partner with customer steps at this account: the invoice whose step it is.
    customer_owners: BTreeMap<PartnerId, InvoiceId>,
    report: PushReport,
}

/// Pushes every issued invoice of a month that is not final at Stripe yet.
///
/// # Errors
/// [`BillingError::Configuration`] when Stripe refuses the key (401, 403); the lake's errors. What concerns one
/// invoice is in the report.
pub async fn push(
    lake: &Lake,
    transport: &Transport,
    settings: &PushSettings,
    month: Month,
    clock: &dyn Fn() -> DateTime<Utc>,
) -> Result<PushReport, BillingError> {
    settings.check()?;
    let mut batch = Batch {
        lake,
        transport,
        settings,
        month,
        clock,
        jobs: Vec::new(),
        profiles: Profiles::default(),
        ledgers: BTreeMap::new(),
        customer_owners: BTreeMap::new(),
        report: PushReport::default(),
    };
    batch.load().await?;
    batch.customers().await?;
    batch.customer_profiles().await?;
    batch.each(&Step::Create).await?;
    let calls_max = batch.jobs.iter().map(|job| job.document.body.lines.len().div_ceil(LINES_A_CALL)).max();
    for call in 0..u32::try_from(calls_max.unwrap_or(0)).unwrap_or(u32::MAX) {
        batch.each(&Step::Lines(call)).await?;
    }
    batch.gate().await?;
    batch.each(&Step::Finalise).await?;
    batch.confirm().await?;
    Ok(batch.finish())
}

impl Batch<'_> {
    fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    fn observer(&self) -> Observer<'_> {
        Observer { transport: self.transport, retry: &self.settings.retry, namespace: &self.settings.namespace }
    }

    async fn read_events(&mut self) -> Result<(), BillingError> {
        // Calls are made after the month began; customers may have been made for any month before.
        let condition = format!("event_month >= '{}' OR step LIKE 'customer%'", self.month);
        let events = events_of(&self.lake.rows(&INVOICE_EVENT, Some(&condition)).await?)?;
        let account = self.transport.account_key();
        let mut owners: BTreeMap<&PartnerId, &InvoiceEvent> = BTreeMap::new();
        for event in &events {
            let ours = event.stripe_account_key.as_deref() == Some(account);
            if ours && Step::parse(&event.step) == Some(Step::Customer) {
                let owner = owners.entry(&event.partner_id).or_insert(event);
                // Whoever began first owns the step, so that two runs agree; a customer that exists wins.
                let rank = |e: &InvoiceEvent| {
                    (e.kind != EventKind::Answered || e.stripe_id.is_none(), e.at, e.invoice_id.clone())
                };
                if rank(event) < rank(owner) {
                    *owner = event;
                }
            }
        }
        self.customer_owners =
            owners.into_iter().map(|(partner_id, event)| (partner_id.clone(), event.invoice_id.clone())).collect();
        self.ledgers = Ledger::fold(&events);
        Ok(())
    }

    async fn load(&mut self) -> Result<(), BillingError> {
        self.read_events().await?;
        let documents = read_documents(self.lake, self.month).await?;
        let mut zero = Vec::new();
        for document in documents.into_values() {
            let Some(ledger) = self.ledgers.get(&document.invoice_id) else { continue };
            let Some(issued) = &ledger.issued else { continue };
            let elsewhere = ledger.account_keys().any(|key| key != self.transport.account_key());
            if !document.body.kind.is_invoice() {
                self.report.credit_notes.push(document.invoice_id.clone());
            } else if ledger.finalised.is_some() && !elsewhere {
                self.report.already_finalised += 1;
            } else if document.body.total_minor == 0 {
                if !ledger.nothing_due {
                    zero.push(InvoiceEvent::of(&document, EventKind::NothingDue, "push", 0, self.now()));
                }
            } else {
                let number = issued.number.clone().unwrap_or_default();
                let failure = if elsewhere && ledger.finalised.is_some() {
                    Some("it is final at another Stripe account, and may be collected there".to_owned())
                } else if elsewhere {
                    Some(
                        "it was begun at another Stripe account; use that account's key, or name the account in \
                          stripe.account if only the key was rolled"
                            .to_owned(),
                    )
                } else if document.body.total_minor < 0 {
                    Some("its total is below zero, which Stripe does not take".to_owned())
                } else if document.body.lines.len() > LINES_MAX {
                    Some(format!("it has more than {LINES_MAX} lines, which Stripe does not take"))
                } else {
                    None
                };
                self.jobs.push(Job { document, number, failure, unfinished: None });
            }
        }
        self.jobs.sort_by(|a, b| (a.number.len(), &a.number).cmp(&(b.number.len(), &b.number)));
        self.report.nothing_due = zero.iter().map(|event| event.invoice_id.clone()).collect();
        self.write(&zero).await?;
        if self.jobs.is_empty() {
            return Ok(());
        }
        self.profiles = Profiles::read(&self.lake.rows(&BILLING_PROFILE, None).await?)?;
        Ok(())
    }

    /// Adds events in one commit, and to the ledgers. Where somebody else wrote one of them first, everything is read
    /// again: what is stored is what counts.
    async fn write(&mut self, events: &[InvoiceEvent]) -> Result<(), BillingError> {
        if events.is_empty() {
            return Ok(());
        }
        let rows: Vec<Row> = events.iter().map(InvoiceEvent::to_row).collect();
        let added = self.lake.append_missing(&INVOICE_EVENT, &rows).await?;
        if added < rows.len() {
            return self.read_events().await;
        }
        for event in events {
            self.ledgers.entry(event.invoice_id.clone()).or_default().apply(event);
            if event.step == Step::Customer.to_string() {
                self.customer_owners.entry(event.partner_id.clone()).or_insert_with(|| event.invoice_id.clone());
            }
        }
        Ok(())
    }

    fn ledger(&self, invoice_id: &InvoiceId) -> Option<&Ledger> {
        self.ledgers.get(invoice_id)
    }

    /// The customer of a partner at this account.
    fn customer_of(&self, partner_id: &PartnerId) -> Option<&str> {
        let owner = self.customer_owners.get(partner_id)?;
        self.ledger(owner)?.done(&Step::Customer)?.stripe_id.as_deref()
    }

    fn live_jobs(&self) -> Vec<usize> {
        (0..self.jobs.len()).filter(|index| self.jobs[*index].is_live()).collect()
    }

    fn live_jobs_by_partner(&self) -> BTreeMap<PartnerId, Vec<usize>> {
        let mut by_partner: BTreeMap<PartnerId, Vec<usize>> = BTreeMap::new();
        for index in self.live_jobs() {
            by_partner.entry(self.jobs[index].document.body.partner_id.clone()).or_default().push(index);
        }
        by_partner
    }

    async fn customers(&mut self) -> Result<(), BillingError> {
        let mut by_partner = self.live_jobs_by_partner();
        by_partner.retain(|partner_id, _| self.customer_of(partner_id).is_none());
        let units = by_partner.into_iter().filter_map(|(partner_id, jobs)| {
            let first = self.jobs[*jobs.first()?].document.invoice_id.clone();
            let owner = self.customer_owners.get(&partner_id).cloned().unwrap_or(first);
            Some(Unit::new(owner, Step::Customer, partner_id.to_string(), jobs))
        });
        let units = units.collect();
        self.run(units).await
    }

    async fn each(&mut self, step: &Step) -> Result<(), BillingError> {
        let mut units = Vec::new();
        for index in self.live_jobs() {
            let document = &self.jobs[index].document;
            let lines = document.body.lines.len().div_ceil(LINES_A_CALL);
            if matches!(step, Step::Lines(call) if usize::try_from(*call).is_ok_and(|call| call >= lines)) {
                continue;
            }
            if self.ledger(&document.invoice_id).is_some_and(|ledger| ledger.done(step).is_some()) {
                continue;
            }
            let group = self.customer_of(&document.body.partner_id).unwrap_or_default().to_owned();
            units.push(Unit::new(document.invoice_id.clone(), step.clone(), group, vec![index]));
        }
        self.run(units).await
    }

    async fn run(&mut self, units: Vec<Unit>) -> Result<(), BillingError> {
        for (unit, result) in self.run_units(units).await? {
            for index in unit.jobs {
                match &result {
                    UnitResult::Done => {}
                    UnitResult::Failed(told) => self.jobs[index].failure = Some(format!("{}: {told}", unit.step)),
                    UnitResult::Unfinished(told) => {
                        self.jobs[index].unfinished = Some(format!("{}: {told}", unit.step))
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads something about each of some jobs, few at a time, in order.
    async fn look<T, F>(&self, indexes: Vec<usize>, what: impl Fn(usize) -> F) -> Vec<(usize, T)>
    where
        F: Future<Output = T>,
    {
        let looks = indexes.into_iter().map(|index| {
            let look = what(index);
            async move { (index, look.await) }
        });
        futures::stream::iter(looks).buffered(self.settings.concurrency.max(1)).collect().await
    }

    /// Lets only those through whose draft at Stripe is exactly our document. A finalise that was frozen and is about
    /// to be sent again passed here before.
    async fn gate(&mut self) -> Result<(), BillingError> {
        let (now, resend_for) = (self.now(), self.settings.resend_for());
        let mut indexes = self.live_jobs();
        indexes.retain(|index| {
            let plan =
                self.ledger(&self.jobs[*index].document.invoice_id).map(|l| l.plan(&Step::Finalise, now, resend_for));
            !matches!(plan, Some(Plan::Done | Plan::Resend(_)))
        });
        let observer = self.observer();
        let looks = self
            .look(indexes, |index| {
                let document = &self.jobs[index].document;
                let stripe_invoice = self.ledger(&document.invoice_id).and_then(Ledger::stripe_invoice);
                async move { observer.gate(stripe_invoice.unwrap_or_default(), document).await }
            })
            .await;
        for (index, look) in looks {
            match look {
                Ok(Ok(_)) => {}
                Ok(Err(differs)) => self.jobs[index].failure = Some(differs),
                Err(ReadFailure::Stop(error)) => return Err(error),
                Err(failure) => self.jobs[index].take(&failure),
            }
        }
        Ok(())
    }

    /// Records what is final, with Stripe's total equal to ours (I4). The invoice is read for it: a replayed answer
    /// would show it as it was.
    async fn confirm(&mut self) -> Result<(), BillingError> {
        let observer = self.observer();
        let looks = self
            .look(self.live_jobs(), |index| {
                let stripe_invoice =
                    self.ledger(&self.jobs[index].document.invoice_id).and_then(Ledger::stripe_invoice);
                async move { observer.invoice(stripe_invoice.unwrap_or_default()).await }
            })
            .await;
        let mut events = Vec::new();
        for (index, look) in looks {
            match look {
                Ok(invoice) => match self.confirmed(index, &invoice) {
                    Ok(event) => events.push(event),
                    Err(differs) => self.jobs[index].failure = Some(differs),
                },
                Err(ReadFailure::Stop(error)) => {
                    self.write(&events).await?;
                    return Err(error);
                }
                Err(failure) => self.jobs[index].take(&failure),
            }
        }
        self.report.finalised = events.iter().map(|event| event.invoice_id.clone()).collect();
        self.write(&events).await
    }

    fn confirmed(&self, index: usize, invoice: &Object) -> Result<InvoiceEvent, String> {
        let document = &self.jobs[index].document;
        if !invoice.is_past_draft() {
            return Err("Stripe says that it is a draft still, after it was finalised".to_owned());
        }
        if invoice.total != Some(document.body.total_minor) {
            return Err(format!(
                "{} does not hold: its total at Stripe is not that of our document; void it there",
                Invariant::I4
            ));
        }
        let generation = self
            .ledger(&document.invoice_id)
            .and_then(|ledger| ledger.done(&Step::Finalise))
            .map_or(0, |answered| answered.generation);
        let step = Step::Finalise.to_string();
        let mut event = InvoiceEvent::of(document, EventKind::Finalised, &step, generation, self.now());
        event.stripe_id.clone_from(&invoice.id);
        event.stripe_account_key = Some(self.transport.account_key().to_owned());
        event.amount_minor = invoice.total;
        Ok(event)
    }

    fn finish(mut self) -> PushReport {
        let final_now: BTreeSet<&InvoiceId> = self.report.finalised.iter().collect();
        let mut failed = Vec::new();
        let mut unfinished = Vec::new();
        for job in &self.jobs {
            if final_now.contains(&job.document.invoice_id) {
                continue;
            }
            let unpushed = |reason: String| Unpushed {
                partner_id: job.document.body.partner_id.clone(),
                invoice_id: job.document.invoice_id.clone(),
                reason,
            };
            match (&job.failure, &job.unfinished) {
                (Some(reason), _) => failed.push(unpushed(reason.clone())),
                (None, reason) => unfinished.push(unpushed(reason.clone().unwrap_or_else(|| "not reached".to_owned()))),
            }
        }
        self.report.failed = failed;
        self.report.unfinished = unfinished;
        self.report
    }
}
