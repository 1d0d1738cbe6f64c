//! What each step of `bill` prints. `draft`, `issue`, `push` and `sync` print an object a month; what has more to show
//! has a file of its own beside this one.

pub(in crate::cli) mod adjustments;
pub(in crate::cli) mod compare;
pub(in crate::cli) mod credits;
pub(in crate::cli) mod due;
mod explain;
pub(in crate::cli) mod fit;
mod hold;
pub(in crate::cli) mod lines;
pub(in crate::cli) mod list;
pub(in crate::cli) mod preview;
pub(in crate::cli) mod quota;
mod register;
pub(in crate::cli) mod reprice;
mod show;

use std::io::BufRead as _;

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::past::PastRun;
use tollbook::jobs::{self, bill};
use tollbook::output::{data, is_lost, talk};
use tollbook_schemas::actor::Actor;
use tollbook_schemas::error::Kind;
use tollbook_schemas::period::Month;
use tollbook_verify::Tally;

use crate::cli::{Accept, BillStep, Period};

/// Runs a step; gives the exit code.
pub(in crate::cli) async fn run_bill(context: &JobContext, step: BillStep, json: bool) -> anyhow::Result<u8> {
    match step {
        BillStep::Draft { period, actor } => run_draft(context, &period, actor.as_ref()).await?,
        BillStep::Adjust(given) => {
            let result = Box::pin(bill::adjust::adjust(context, &given)).await?;
            data(&if json { result.json().to_string() } else { result.to_string() });
        }
        BillStep::Hold { of, by } => hold::print_acted(&bill::hold::hold(context, &of, &by).await?, json),
        BillStep::Release { of, by } => hold::print_acted(&bill::hold::release(context, &of, &by).await?, json),
        BillStep::Approve { drafts, by } => {
            hold::print_acted(&bill::hold::approve(context, &drafts, &by).await?, json);
        }
        BillStep::Issue { period, accept } => run_issue(context, &period, &accept).await?,
        BillStep::Push(period) => run_push(context, &period).await?,
        BillStep::Sync => run_sync(context).await?,
        // Needs no lake: `run` answers it before one is opened.
        BillStep::Estimate => return estimate(),
        BillStep::Explain { line } => {
            explain::print_explained(&jobs::explain::explain(context, &line).await?, json);
        }
        BillStep::Verify { wanted } => run_verify(context, &wanted, json).await?,
        BillStep::Due(given) => due::run(context, given, json).await?,
        BillStep::Register { period, as_of_close, csv } => {
            let past = close_of(context, as_of_close).await?;
            let as_of = match &past {
                Some(run) => run.as_of(),
                None => context.as_of(period.as_of.as_deref()).await?,
            };
            let mut rows = Vec::new();
            for month in bill::months(context, &period.period, as_of).await? {
                let of_month = match &past {
                    Some(run) => Box::pin(bill::register_at(context, run, month)).await?,
                    None => bill::register(context, month, as_of).await?,
                };
                rows.extend(of_month.into_iter().map(|row| (month, row)));
            }
            register::print_register(&rows, csv, json);
        }
        BillStep::List(given) => list::run(context, given, json).await?,
        BillStep::Lines(given) => Box::pin(lines::run(context, given, json)).await?,
        BillStep::Adjustments(given) => adjustments::run(context, given, json).await?,
        BillStep::Credits(given) => credits::run(context, given, json).await?,
        BillStep::Show { name } => show::run(context, &name, json).await?,
        BillStep::Preview(given) => preview::run(context, given, json).await?,
        BillStep::Reprice(given) => reprice::run(context, given, json).await?,
        BillStep::Fit(given) => fit::run(context, given, json).await?,
        BillStep::Quota(given) => quota::run(context, given, json).await?,
        BillStep::Compare(given) => return compare::run(context, given, json).await,
    }
    Ok(0)
}

async fn run_verify(context: &JobContext, wanted: &str, json: bool) -> anyhow::Result<()> {
    let verified = bill::verify_named(context, wanted).await?;
    for one in &verified {
        data(&if json { serde_json::to_string(one)? } else { one.to_string() });
    }
    if verified.is_empty() {
        talk(&format!("{wanted}: no invoice was issued"));
    } else {
        talk(&Tally::of(&verified).to_string());
    }
    bill::complain_of_different(&verified)
}

/// The run that issued a month, where one is named; said to whoever asked for it.
async fn close_of(context: &JobContext, month: Option<Month>) -> anyhow::Result<Option<PastRun>> {
    match month {
        None => Ok(None),
        Some(month) => Ok(Some(crate::cli::commands::close_of(context, month).await?)),
    }
}

/// A cell that may be empty.
fn dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

/// As much of a hash as tells two catalogs apart.
fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

async fn run_draft(context: &JobContext, period: &Period, actor: Option<&Actor>) -> anyhow::Result<()> {
    let as_of = context.as_of(period.as_of.as_deref()).await?;
    let mut told_unseen = None;
    let months = bill::months(context, &period.period, as_of).await?;
    for month in months.iter().copied() {
        let result = bill::draft_month_by(context, month, as_of, actor).await?;
        data(&result.to_json().to_string());
        result.told().iter().for_each(|line| talk(line));
        told_unseen = result.unseen.told();
    }
    // The same for every month: said once.
    told_unseen.iter().for_each(|line| talk(line));
    if period.period == "due" && period.as_of.is_none() {
        bill::overdue(context, &months, as_of).await?.iter().for_each(|line| talk(line));
    }
    Ok(())
}

async fn run_issue(context: &JobContext, period: &Period, accept: &Accept) -> anyhow::Result<()> {
    let reason = accept.reason.as_deref();
    let context = &accept.of(context);
    let as_of = bill::issue_as_of(context, period.as_of.as_deref(), reason).await?;
    let (mut missing, mut stale) = (Vec::new(), Vec::new());
    let mut told_unseen = None;
    for month in bill::months(context, &period.period, as_of).await? {
        let result = match bill::issue_accepting(context, month, as_of, reason).await {
            Ok(result) => result,
            // Told at the end.
            Err(error) => {
                let (left, result) = bill::Stale::take(error)?;
                stale.push(left);
                result
            }
        };
        data(&result.to_json(month).to_string());
        let bill::IssueResult { issued, reach, unseen, in_grace } = result;
        for one in &issued.not_ended {
            talk(&format!("{month} {}: left, because its period has not ended", one.partner_id));
        }
        in_grace.iter().for_each(|one| talk(&one.told(month)));
        for one in &issued.invoices {
            one.incomplete.iter().for_each(|told| talk(&format!("{month} {} {}: {told}", one.partner_id, one.number)));
        }
        for (partner_id, _) in &issued.billed_elsewhere {
            talk(&format!("{month} {partner_id}: left, because another invoice has billed its subscription"));
        }
        bill::hold::told(month, &issued.held).iter().for_each(|line| talk(line));
        missing.extend(bill::what_is_missing(context, month, &issued, reach).await?);
        told_unseen = unseen.told();
    }
    told_unseen.iter().for_each(|line| talk(line));
    let incomplete = bill::complain_of_incomplete(&missing);
    if let (Err(incomplete), false) = (&incomplete, stale.is_empty()) {
        talk(&incomplete.to_string());
    }
    bill::Stale::complain(&stale)?;
    incomplete
}

async fn run_push(context: &JobContext, period: &Period) -> anyhow::Result<()> {
    let as_of = context.as_of(period.as_of.as_deref()).await?;
    let mut reports = Vec::new();
    for month in bill::months(context, &period.period, as_of).await? {
        let report = bill::push_month(context, month).await?;
        data(
            &json!({ "month": month, "finalised": report.finalised.len(),
                "already_finalised": report.already_finalised, "nothing_due": report.nothing_due.len(),
                "credit_notes": report.credit_notes.len(), "failed": report.failed.len(), "unfinished": report.unfinished.len(),
                "write_requests": report.write_request_count })
            .to_string(),
        );
        reports.push(report);
    }
    bill::complain(&reports)
}

async fn run_sync(context: &JobContext) -> anyhow::Result<()> {
    let report = bill::sync(context).await?;
    data(&bill::payments(&report).to_string());
    bill::not_to_be_paid(&report).iter().for_each(|line| talk(line));
    bill::complain_of_sync(&report)
}

/// Answers each line of stdin; the exit code tells whether one was refused. A line that cannot be read is refused as
/// any other, and the ones behind it are answered.
pub(in crate::cli) fn estimate() -> anyhow::Result<u8> {
    let mut input = std::io::stdin().lock();
    let mut bytes = Vec::new();
    let mut refused = false;
    for number in 1_u64.. {
        bytes.clear();
        if input.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if let Some(answer) = tollbook_billing::rating::estimate::numbered(number, line) {
            refused |= answer.is_refused;
            data(&answer.text);
        }
        if is_lost() {
            break;
        }
    }
    Ok(if refused { Kind::Reject.exit_code() } else { 0 })
}
