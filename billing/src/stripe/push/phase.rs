//! One step of the batch: plan each unit, look where that is needed, freeze, send, write the answers.
//!
//! Generations: the next one begins only after Stripe was seen not to hold what the last one would have made, and
//! only when the last one has a definite answer or is too old to be still under way.

use chrono::{DateTime, Utc};
use tollbook_schemas::id::{InvoiceId, LineId};

use super::super::answers::{Object, Refusal};
use super::super::ledger::{Ledger, Plan, Step};
use super::super::observe::Observer;
use super::super::outcome::Outcome;
use super::super::requests::{self, Frozen, LINES_A_CALL};
use super::super::send::{Call, ReadFailure, Sent, refused_key, send_all};
use super::{Batch, Job};
use crate::document::Line;
use crate::error::BillingError;
use crate::event::{EventKind, InvoiceEvent};

/// Rounds of look, freeze and send within one run: a replayed failure costs one each.
const ROUNDS: usize = 3;

/// One call to be made.
#[derive(Debug)]
pub(super) struct Unit {
    /// The invoice in whose events the step is kept.
    owner: InvoiceId,
    pub(super) step: Step,
    /// One call at a time within a group.
    group: String,
    /// The jobs that wait for it.
    pub(super) jobs: Vec<usize>,
    /// Whether the last answer said that sending again is of no use.
    must_observe: bool,
}

impl Unit {
    pub(super) fn new(owner: InvoiceId, step: Step, group: String, jobs: Vec<usize>) -> Self {
        Self { owner, step, group, jobs, must_observe: false }
    }

    /// Whether its requests, and so what Stripe says of them, hold contact data.
    fn is_about_a_customer(&self) -> bool {
        matches!(self.step, Step::Customer | Step::CustomerProfile(_))
    }
}

/// What became of a unit.
#[derive(Debug)]
pub(super) enum UnitResult {
    Done,
    Failed(String),
    Unfinished(String),
}

/// What Stripe was seen to hold.
enum Seen {
    /// The result, with its id and what is worth a word.
    Held(String, Option<String>),
    /// Nothing of it, or only a part: this request makes the rest.
    Missing(Frozen),
}

/// What is done for one unit in one round.
enum Turn {
    Done,
    Send(u32),
    Freeze(u32, Frozen),
    Adopt(u32, String, Option<String>),
    Settle(UnitResult),
}

impl Batch<'_> {
    /// Carries units out, as far as it goes.
    pub(super) async fn run_units(&mut self, units: Vec<Unit>) -> Result<Vec<(Unit, UnitResult)>, BillingError> {
        let mut settled = Vec::new();
        let mut open = units;
        for _ in 0..ROUNDS {
            if open.is_empty() {
                return Ok(settled);
            }
            open = self.round(open, &mut settled).await?;
        }
        settled.extend(open.into_iter().map(|unit| {
            let told = format!("Stripe repeated a failure {ROUNDS} times; run the command again later");
            (unit, UnitResult::Unfinished(told))
        }));
        Ok(settled)
    }

    /// One round; gives the units that need another.
    async fn round(
        &mut self,
        units: Vec<Unit>,
        settled: &mut Vec<(Unit, UnitResult)>,
    ) -> Result<Vec<Unit>, BillingError> {
        let mut turns = Vec::new();
        for unit in units {
            let turn = self.turn(&unit).await?;
            turns.push((unit, turn));
        }
        let now = self.now();
        let mut events = Vec::new();
        let mut to_send = Vec::new();
        for (unit, turn) in turns {
            match turn {
                Turn::Done => settled.push((unit, UnitResult::Done)),
                Turn::Settle(result) => settled.push((unit, result)),
                Turn::Adopt(generation, stripe_id, detail) => {
                    let mut event = self.event(&unit, EventKind::Answered, generation, now);
                    event.stripe_id = Some(stripe_id);
                    event.detail = Some(detail.unwrap_or_else(|| "seen at Stripe by LIST".to_owned()));
                    events.push(event);
                    settled.push((unit, UnitResult::Done));
                }
                Turn::Send(generation) => to_send.push((unit, generation)),
                Turn::Freeze(generation, frozen) => {
                    let mut event = self.event(&unit, EventKind::Frozen, generation, now);
                    let namespace = &self.settings.namespace;
                    event.idempotency_key = Some(format!("{namespace}:{}:{}:g{generation}", unit.owner, unit.step));
                    event.request_path = Some(frozen.path);
                    event.request_body = Some(frozen.body);
                    events.push(event);
                    to_send.push((unit, generation));
                }
            }
        }
        self.write(&events).await?;
        self.send(to_send, settled).await
    }

    fn event(&self, unit: &Unit, kind: EventKind, generation: u32, at: DateTime<Utc>) -> InvoiceEvent {
        let step = unit.step.to_string();
        let job = unit.jobs.iter().map(|index| &self.jobs[*index].document).find(|d| d.invoice_id == unit.owner);
        let first =
            |ledger: &'_ Ledger| ledger.frozen(&unit.step, 0).or_else(|| ledger.frozen(&Step::Customer, 0)).cloned();
        let mut event = match (job, self.ledger(&unit.owner).and_then(first)) {
            (Some(document), _) => InvoiceEvent::of(document, kind, &step, generation, at),
            // The customer of a partner may be a step of an earlier month's invoice, and with it its profile.
            (None, Some(first)) => first.next(kind, &step, generation, at),
            (None, None) => InvoiceEvent::of(&self.jobs[unit.jobs[0]].document, kind, &step, generation, at),
        };
        event.stripe_id = None;
        event.stripe_account_key = Some(self.transport.account_key().to_owned());
        event
    }

    async fn turn(&self, unit: &Unit) -> Result<Turn, BillingError> {
        let ledger = self.ledger(&unit.owner);
        let next_generation = ledger.map_or(0, |ledger| ledger.next_generation(&unit.step));
        let plan = ledger.map_or(Plan::Freeze, |l| l.plan(&unit.step, self.now(), self.settings.resend_for()));
        let frozen = match plan {
            Plan::Done => return Ok(Turn::Done),
            Plan::Freeze => {
                return Ok(match self.request(unit, None) {
                    Ok(frozen) => Turn::Freeze(0, frozen),
                    Err(told) => Turn::Settle(UnitResult::Failed(told)),
                });
            }
            Plan::Resend(frozen) if !unit.must_observe => return Ok(Turn::Send(frozen.generation)),
            Plan::Resend(frozen) => Some(frozen),
            Plan::Observe(frozen) => frozen,
        };
        match self.look_for(unit, frozen.as_deref()).await {
            // What is found belongs to the last generation, unless that one has a refusal on record already.
            Ok(Ok(Seen::Held(stripe_id, detail))) => {
                let last = next_generation.saturating_sub(1);
                let answered = ledger.is_some_and(|ledger| ledger.refusal_at(&unit.step, last));
                Ok(Turn::Adopt(if answered { next_generation } else { last }, stripe_id, detail))
            }
            Ok(Ok(Seen::Missing(frozen))) => Ok(Turn::Freeze(next_generation, frozen)),
            // Stripe's words on a list by address may repeat the address.
            Err(ReadFailure::Refused(_)) if unit.is_about_a_customer() => {
                Ok(Turn::Settle(UnitResult::Failed("Stripe refused to show the customer".to_owned())))
            }
            Ok(Err(told)) | Err(ReadFailure::Refused(told)) => Ok(Turn::Settle(UnitResult::Failed(told))),
            Err(ReadFailure::Unavailable(told)) => Ok(Turn::Settle(UnitResult::Unfinished(told))),
            Err(ReadFailure::Stop(error)) => Err(error),
        }
    }

    /// The request of a unit; of its lines only `missing`, where that is known.
    fn request(&self, unit: &Unit, missing: Option<&[LineId]>) -> Result<Frozen, String> {
        let job = &self.jobs[unit.jobs[0]];
        let document = &job.document;
        let namespace = &self.settings.namespace;
        match &unit.step {
            Step::Customer => Ok(requests::create_customer(namespace, self.profile_wanted(&unit.jobs)?)),
            Step::CustomerProfile(version) => {
                let customer = self.customer_of(&document.body.partner_id).ok_or("there is no customer yet")?;
                Ok(requests::update_customer(namespace, self.profiles.version(version)?, customer))
            }
            Step::Create => {
                let customer = self.customer_of(&document.body.partner_id).ok_or("there is no customer yet")?;
                Ok(requests::create_invoice(namespace, document, &job.number, customer))
            }
            Step::Lines(call) => {
                let mut lines = lines_of(job, *call);
                if let Some(missing) = missing {
                    lines.retain(|line| missing.contains(&document.line_id(line.line_number)));
                }
                Ok(requests::add_lines(document, self.stripe_invoice(job)?, &lines))
            }
            Step::Finalise => Ok(requests::finalise(self.stripe_invoice(job)?)),
        }
    }

    fn stripe_invoice(&self, job: &Job) -> Result<&str, String> {
        let found = self.ledger(&job.document.invoice_id).and_then(Ledger::stripe_invoice);
        found.ok_or_else(|| "there is no draft at Stripe yet".to_owned())
    }

    async fn look_for(&self, unit: &Unit, frozen: Option<&InvoiceEvent>) -> Result<Result<Seen, String>, ReadFailure> {
        let observer: Observer<'_> = self.observer();
        let job = &self.jobs[unit.jobs[0]];
        let document = &job.document;
        let body = frozen.and_then(|event| event.request_body.as_deref()).unwrap_or_default();
        let held = match &unit.step {
            Step::CustomerProfile(version) => {
                let Some(customer) = self.customer_of(&document.body.partner_id) else {
                    return Ok(Err("there is no customer yet".to_owned()));
                };
                let seen = observer.one_customer(customer).await?;
                if seen.deleted {
                    return Ok(Err(format!("its customer {customer} was deleted at Stripe")));
                }
                let is_held = seen.profile_version_id.as_deref() == Some(version.as_str());
                is_held.then(|| (customer.to_owned(), Some("seen at Stripe".to_owned())))
            }
            Step::Customer => {
                let email = requests::field_of(body, "email").unwrap_or_default();
                let found = observer.customer(&email, document.body.partner_id.as_str()).await?;
                found.map(|id| (id, None))
            }
            Step::Create => {
                let Some(customer) = self.customer_of(&document.body.partner_id) else {
                    return Ok(Err("there is no customer yet".to_owned()));
                };
                let found = observer.created(customer, document).await?;
                found.map(|(id, others)| {
                    let word = format!("seen at Stripe by LIST; {others} other drafts carry the same id, delete them");
                    (id, (others > 0).then_some(word))
                })
            }
            Step::Lines(call) => {
                let stripe_invoice = match self.stripe_invoice(job) {
                    Ok(id) => id.to_owned(),
                    Err(told) => return Ok(Err(told)),
                };
                let there: Vec<String> =
                    observer.lines(&stripe_invoice).await?.into_iter().filter_map(|line| line.line_id).collect();
                let wanted: Vec<LineId> =
                    lines_of(job, *call).iter().map(|line| document.line_id(line.line_number)).collect();
                let missing: Vec<LineId> =
                    wanted.into_iter().filter(|id| !there.iter().any(|line| line == id.as_str())).collect();
                if !missing.is_empty() {
                    return Ok(self.request(unit, Some(&missing)).map(Seen::Missing));
                }
                Some((stripe_invoice, None))
            }
            Step::Finalise => {
                let stripe_invoice = match self.stripe_invoice(job) {
                    Ok(id) => id.to_owned(),
                    Err(told) => return Ok(Err(told)),
                };
                observer.invoice(&stripe_invoice).await?.is_past_draft().then_some((stripe_invoice, None))
            }
        };
        Ok(match held {
            Some((id, word)) => Ok(Seen::Held(id, word)),
            None => self.request(unit, None).map(Seen::Missing),
        })
    }

    /// Sends what is frozen, as it is stored, and writes the answers in one commit.
    async fn send(
        &mut self,
        to_send: Vec<(Unit, u32)>,
        settled: &mut Vec<(Unit, UnitResult)>,
    ) -> Result<Vec<Unit>, BillingError> {
        let mut units = Vec::new();
        let mut calls = Vec::new();
        for (unit, generation) in to_send {
            let stored = self.ledger(&unit.owner).and_then(|ledger| ledger.frozen(&unit.step, generation));
            let call = stored.and_then(|event| {
                let path = event.request_path.clone()?;
                let body = event.request_body.clone()?;
                let key = event.idempotency_key.clone()?;
                Some(Call { group: unit.group.clone(), frozen: Frozen { path, body }, key })
            });
            match call {
                Some(call) => {
                    calls.push(call);
                    units.push((unit, generation));
                }
                None => settled.push((unit, UnitResult::Failed("its frozen request is not stored whole".to_owned()))),
            }
        }
        let answers = send_all(self.transport, &self.settings.retry, self.settings.concurrency, &calls).await;
        let now = self.now();
        let mut events = Vec::new();
        let mut open = Vec::new();
        let mut stop = None;
        for ((mut unit, generation), sent) in units.into_iter().zip(answers) {
            let Some(sent) = sent else {
                settled.push((unit, UnitResult::Unfinished("the run was stopped before".to_owned())));
                continue;
            };
            self.report.write_request_count += sent.send_count;
            let outcome = if unit.is_about_a_customer() { without_contact_data(&sent) } else { sent.outcome.clone() };
            match &outcome {
                Outcome::Done => match self.result_id(&unit, &sent) {
                    Some(stripe_id) => {
                        let mut event = self.answer_event(&unit, generation, &sent, now);
                        event.stripe_id = Some(stripe_id);
                        events.push(event);
                        settled.push((unit, UnitResult::Done));
                    }
                    // Carried out, but the answer does not say what was made.
                    None => {
                        unit.must_observe = true;
                        open.push(unit);
                    }
                },
                Outcome::Observe(_) => {
                    unit.must_observe = true;
                    open.push(unit);
                }
                Outcome::Again(told) => settled.push((unit, UnitResult::Unfinished(told.clone()))),
                Outcome::Stop(told) => {
                    stop = Some(refused_key(told));
                    settled.push((unit, UnitResult::Unfinished(told.clone())));
                }
                Outcome::Refused(told) | Outcome::Changed(told) => {
                    // Stripe refuses a second finalise without a code of its own: the invoice itself tells.
                    if unit.step == Step::Finalise
                        && let Some(id) = self.is_final_already(&unit).await?
                    {
                        let mut event = self.event(&unit, EventKind::Answered, generation, now);
                        event.stripe_id = Some(id);
                        event.detail = Some(format!("seen to be final after {told}"));
                        events.push(event);
                        settled.push((unit, UnitResult::Done));
                        continue;
                    }
                    let mut event = self.answer_event(&unit, generation, &sent, now);
                    event.detail = Some(told.clone());
                    events.push(event);
                    settled.push((unit, UnitResult::Failed(told.clone())));
                }
            }
        }
        self.write(&events).await?;
        stop.map_or(Ok(open), Err)
    }

    fn answer_event(&self, unit: &Unit, generation: u32, sent: &Sent, now: DateTime<Utc>) -> InvoiceEvent {
        let mut event = self.event(unit, EventKind::Answered, generation, now);
        if let Ok(answer) = &sent.answer {
            event.http_status = Some(answer.status);
            event.stripe_request_id.clone_from(&answer.request_id);
            event.detail = Refusal::read(&answer.body).map(|refusal| match unit.is_about_a_customer() {
                true => refusal.told_without_contact_data(),
                false => refusal.told(),
            });
        }
        event
    }

    /// The id of what a call made: of lines and finalise the invoice, which is known already.
    fn result_id(&self, unit: &Unit, sent: &Sent) -> Option<String> {
        match unit.step {
            Step::Customer | Step::CustomerProfile(_) | Step::Create => {
                Object::read(&sent.answer.as_ref().ok()?.body)?.id
            }
            Step::Lines(_) | Step::Finalise => self.stripe_invoice(&self.jobs[unit.jobs[0]]).ok().map(str::to_owned),
        }
    }

    async fn is_final_already(&self, unit: &Unit) -> Result<Option<String>, BillingError> {
        let Ok(stripe_invoice) = self.stripe_invoice(&self.jobs[unit.jobs[0]]) else { return Ok(None) };
        match self.observer().invoice(stripe_invoice).await {
            Ok(invoice) if invoice.is_past_draft() => Ok(Some(stripe_invoice.to_owned())),
            Err(ReadFailure::Stop(error)) => Err(error),
            _ => Ok(None),
        }
    }
}

/// What an answer means, in words that repeat nothing of the request.
fn without_contact_data(sent: &Sent) -> Outcome {
    let refusal = sent.answer.as_ref().ok().and_then(|answer| Some((answer.status, Refusal::read(&answer.body)?)));
    let Some((status, refusal)) = refusal else { return sent.outcome.clone() };
    let told = format!("{status} {}", refusal.told_without_contact_data());
    match sent.outcome {
        Outcome::Done => Outcome::Done,
        Outcome::Again(_) => Outcome::Again(told),
        Outcome::Observe(_) => Outcome::Observe(told),
        Outcome::Refused(_) => Outcome::Refused(told),
        Outcome::Changed(_) => Outcome::Changed(told),
        // About the key, not about what was sent.
        Outcome::Stop(_) => sent.outcome.clone(),
    }
}

/// The lines of one call.
fn lines_of(job: &Job, call: u32) -> Vec<&Line> {
    let skip = usize::try_from(call).unwrap_or(usize::MAX).saturating_mul(LINES_A_CALL);
    job.document.body.lines.iter().skip(skip).take(LINES_A_CALL).collect()
}
