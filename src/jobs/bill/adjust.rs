//! `tollbook bill adjust`: a charge or credit that a person makes beside what is metered, or takes back.
//!
//! It is a lifecycle event (`adjustment.made`, `adjustment.revoked`) under a source of its own. It is checked against
//! everything that is known, and against what is left of an invoice that it credits; it is written as `partner record`
//! does it. It says no clock: its time is the first instant of its month by UTC, and when it was said is `received_at`.
//! Its id is what it says, so that the same command run twice is one event. What becomes of it on invoices is in
//! `billing/src/draft/by_hand.rs`.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::bail;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tollbook_billing::adjustments::{accounts, creditable, pending_minor};
use tollbook_billing::billed::IssuedDocument;
use tollbook_billing::document::slot_of;
use tollbook_billing::event::events_of;
use tollbook_billing::issue::{Slots, read_issued};
use tollbook_schemas::actor::{Actor, reason};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{AdjustmentId, IssuerId, PartnerId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::Month;
use tollbook_schemas::registry::{HandMade, Registry, Revoked, fold};
use tollbook_schemas::tables::billing::INVOICE_EVENT;

use crate::configuration::ConfigurationError;
use crate::context::JobContext;
use crate::jobs::partner::{append_events, command_event, known_events};

/// How many months ahead a charge or credit may be made.
const MONTHS_AHEAD_MAX: usize = 12;
/// Source of what `bill adjust` appends.
const ADJUST: &str = "/tollbook/adjust";

/// What is charged or credited, or taken back.
#[derive(Debug, Clone, clap::Args)]
pub struct Adjustment {
    /// Partner.
    #[arg(long)]
    partner: PartnerId,
    /// Month that it belongs to, such as 2026-06, at most a year ahead. Where that is issued, the next documents bear
    /// it.
    #[arg(long, required_unless_present = "revoke")]
    period: Option<Month>,
    /// How much, in major units, without tax; below 0 for a credit: --amount=-12.34.
    #[arg(long, required_unless_present = "revoke", allow_hyphen_values = true)]
    amount: Option<Decimal>,
    /// Currency, such as EUR.
    #[arg(long, required_unless_present = "revoke", value_parser = Currency::parse)]
    currency: Option<Currency>,
    /// What the customer reads.
    #[arg(long, required_unless_present = "revoke", value_parser = reason)]
    description: Option<String>,
    /// Why, in one line: for staff; it is kept for good.
    #[arg(long, value_parser = reason)]
    reason: String,
    /// Who makes it: staff:NAME, or system:RULE.
    #[arg(long, value_parser = Actor::parse)]
    actor: Actor,
    /// Issuer; needed where the partner's plans do not say which.
    #[arg(long)]
    issuer: Option<IssuerId>,
    /// Number of an issued invoice of the partner that a credit is about: it is given by a credit note of that invoice,
    /// and is no more than is left of it.
    #[arg(long, value_name = "NUMBER")]
    for_invoice: Option<String>,
    /// Take back the adjustment of this id, for good.
    #[arg(long, value_name = "ID",
        conflicts_with_all = ["period", "amount", "currency", "description", "issuer", "for_invoice"])]
    revoke: Option<AdjustmentId>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdjustResult {
    made: HandMade,
    /// Whether it was added; else it was there already.
    pub is_new: bool,
    /// Number of the invoice that closed its month before; none where the month is open.
    pub closed_by: Option<String>,
}

impl AdjustResult {
    /// The same for machines.
    #[must_use]
    pub fn json(&self) -> Value {
        let made = &self.made;
        json!({ "adjustment_id": made.adjustment_id, "partner_id": made.partner_id, "month": made.month,
            "issuer_id": made.issuer_id, "amount_minor": made.amount.minor, "currency": made.amount.currency,
            "description": made.description, "reason": made.reason, "actor": made.actor.as_str(),
            "for_invoice": made.for_invoice, "is_revoked": made.is_revoked(), "is_new": self.is_new,
            "month_closed_by": self.closed_by })
    }
}

impl fmt::Display for AdjustResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HandMade { adjustment_id, partner_id, month, amount, .. } = &self.made;
        let (actor, _) = self.made.answered_by();
        let word = if self.made.is_revoked() { "taken back" } else { "made" };
        write!(f, "{partner_id}: {adjustment_id} of {amount} for {month} is {word} (by {actor})")?;
        if !self.is_new {
            return f.write_str("; it was there already, nothing was added");
        }
        match &self.closed_by {
            None => write!(f, "; run `tollbook aggregate` and `tollbook bill draft`, and {month} bears it"),
            Some(number) => write!(
                f,
                "; {month} was issued as {number} and stays as it is: the documents of the last month that has ended, or \
                 of the next one, bear it"
            ),
        }
    }
}

/// Makes or takes back an adjustment. The same twice is one.
///
/// # Errors
/// What is wrong with it, or contradicts what is known; nothing was written then.
pub async fn adjust(context: &JobContext, given: &Adjustment) -> anyhow::Result<AdjustResult> {
    let catalog = context.catalog()?;
    let work = async {
        let known = fold(known_events(context).await?, None);
        let events = events_of(&context.lake.rows(&INVOICE_EVENT, None).await?)?;
        let slots = Slots::fold(&events)?;
        let (event_type, at, data, made) = match &given.revoke {
            Some(id) => revoked(&known, given, id)?,
            None => {
                refuse_years_ahead(context, given)?;
                let issued = match &given.for_invoice {
                    Some(_) => read_issued(&context.lake, None).await?,
                    None => Vec::new(),
                };
                said(&catalog, &known, &issued, given)?
            }
        };
        let event = command_event(ADJUST, event_type, at, &given.partner, &given.actor, data)?;
        let added = append_events(context, ADJUST, std::slice::from_ref(&event)).await?;
        let slot_id = slot_of(&made.issuer_id, &made.partner_id, made.amount.currency, made.month);
        let closed_by = slots.issued_in(&slot_id).and_then(|issued| issued.number.clone());
        let result = AdjustResult { made, is_new: added > 0, closed_by };
        let counts = json!({ "events": added, "adjustment": result.json() });
        Ok((result, counts))
    };
    context.run("bill adjust", Some(catalog.sha256.clone()), work).await
}

/// Type, time and data of an event, and what it makes.
type Said = (&'static str, DateTime<Utc>, Map<String, Value>, HandMade);

/// A slip of the year would be billed by nobody for years.
fn refuse_years_ahead(context: &JobContext, given: &Adjustment) -> anyhow::Result<()> {
    let mut last = Month::of(context.clock.now(), chrono_tz::UTC);
    for _ in 0..MONTHS_AHEAD_MAX {
        last = last.next();
    }
    match given.period.filter(|month| *month > last) {
        Some(month) => bail!(ConfigurationError(format!(
            "--period {month} lies more than {MONTHS_AHEAD_MAX} months ahead; give a month up to {last}"
        ))),
        None => Ok(()),
    }
}

/// The invoice that a credit names: an issued one of the partner, in the currency, of the issuer where one is given.
fn credited<'a>(
    issued: &'a [IssuedDocument],
    given: &Adjustment,
    number: &str,
    currency: Currency,
) -> Result<&'a IssuedDocument, ConfigurationError> {
    let numbered = || issued.iter().filter(|one| one.number == number);
    let is_meant = |one: &&IssuedDocument| {
        let body = &one.document.body;
        body.kind.is_invoice()
            && body.partner_id == given.partner
            && body.currency == currency
            && given.issuer.as_ref().is_none_or(|issuer_id| *issuer_id == body.issuer.issuer_id)
    };
    let mut meant = numbered().filter(is_meant);
    if let (Some(invoice), None) = (meant.next(), meant.next()) {
        return Ok(invoice);
    }
    let partner_id = &given.partner;
    let why = match numbered().next().map(|one| &one.document.body) {
        None => "no invoice of this number was issued".to_owned(),
        Some(_) if numbered().any(|one| is_meant(&one)) => "several issuers have given it: give --issuer".to_owned(),
        Some(body) if body.partner_id != *partner_id => format!("it is an invoice of {}", body.partner_id),
        Some(body) if !body.kind.is_invoice() => "it is a credit note".to_owned(),
        Some(body) => format!("it is of issuer {} in {}", body.issuer.issuer_id, body.currency),
    };
    Err(ConfigurationError(format!(
        "--for-invoice {number} is no issued invoice of {partner_id} in {currency}: {why}; `tollbook bill list --partner \
         {partner_id}` lists them"
    )))
}

/// A credit is no more than what is left of its invoice, with what other credits will give back of it.
fn refuse_more_than_left(
    known: &Registry,
    issued: &[IssuedDocument],
    invoice: &IssuedDocument,
    amount: Money,
) -> anyhow::Result<()> {
    let number = &invoice.number;
    if invoice.is_voided {
        bail!(ConfigurationError(format!(
            "--for-invoice {number}: it was voided at Stripe, so nobody owes it and nothing is left to give back"
        )));
    }
    let left = creditable(invoice, issued).map_err(ConfigurationError)?.net_minor;
    let pending = pending_minor(&accounts(known, issued).map_err(ConfigurationError)?, invoice);
    let free = left.saturating_sub(pending).max(0);
    if amount.minor >= -free {
        return Ok(());
    }
    let money = |minor| Money { minor, currency: amount.currency };
    let pending = match pending {
        0 => String::new(),
        pending => format!(" ({} less {} of credits that are not issued yet)", money(left), money(pending)),
    };
    bail!(ConfigurationError(format!(
        "--amount {amount}: {} are left of invoice {number}{pending}, without tax; give back no more than that, or leave \
         --for-invoice out: then it is a line of the month's invoice",
        money(free)
    )))
}

fn said(catalog: &Catalog, known: &Registry, issued: &[IssuedDocument], given: &Adjustment) -> anyhow::Result<Said> {
    let (Some(month), Some(amount), Some(currency), Some(description)) =
        (given.period, given.amount, given.currency, &given.description)
    else {
        bail!(ConfigurationError("give --period, --amount, --currency and --description".to_owned()));
    };
    if !known.partners.contains_key(&given.partner) {
        bail!(ConfigurationError(format!("nobody knows partner {}; register it first", given.partner)));
    }
    let amount = Money::exact(amount, currency).map_err(|error| ConfigurationError(format!("--amount: {error}")))?;
    if amount.minor == 0 {
        bail!(ConfigurationError("--amount is 0, which changes nothing".to_owned()));
    }
    if given.for_invoice.is_some() && amount.minor > 0 {
        bail!(ConfigurationError(
            "--for-invoice is of credits: give an amount below 0, such as --amount=-12.34".to_owned()
        ));
    }
    let invoice = given.for_invoice.as_ref().map(|number| credited(issued, given, number, currency)).transpose()?;
    let issuer_id = match invoice {
        Some(invoice) => invoice.document.body.issuer.issuer_id.clone(),
        None => issuer_of(catalog, known, given, currency)?,
    };
    let shown = amount.to_string();
    let number = given.for_invoice.clone().unwrap_or_default();
    let month_text = month.to_string();
    let content =
        [given.partner.as_str(), &month_text, issuer_id.as_str(), &shown, description, &given.reason, &number];
    let adjustment_id = AdjustmentId::derive(content);
    if known.adjustments.get(&adjustment_id).is_some_and(|made| made.is_revoked()) {
        bail!(ConfigurationError(format!(
            "{adjustment_id} says just this and was taken back, for good; say it with another --reason"
        )));
    }
    // What is there already is said again, and gives nothing more.
    if let Some(invoice) = invoice.filter(|_| !known.adjustments.contains_key(&adjustment_id)) {
        refuse_more_than_left(known, issued, invoice, amount)?;
    }
    let mut data = json!({ "adjustment_id": adjustment_id, "month": month, "amount": amount.amount_text(),
        "currency": currency, "issuer_id": issuer_id, "description": description, "reason": given.reason });
    if let Some(number) = &given.for_invoice {
        data["for_invoice"] = json!(number);
    }
    let made = HandMade {
        adjustment_id,
        partner_id: given.partner.clone(),
        month,
        issuer_id,
        amount,
        description: description.clone(),
        reason: given.reason.clone(),
        actor: given.actor.clone(),
        for_invoice: given.for_invoice.clone(),
        revoked: None,
    };
    Ok(("adjustment.made", first_instant(month)?, object(data), made))
}

fn revoked(known: &Registry, given: &Adjustment, id: &AdjustmentId) -> anyhow::Result<Said> {
    let made = known.adjustments.get(id).filter(|made| made.partner_id == given.partner);
    let Some(made) = made else {
        bail!(ConfigurationError(format!(
            "{} has no adjustment {id}; `tollbook bill adjustments --partner {} --all` lists them",
            given.partner, given.partner
        )));
    };
    let data = object(json!({ "adjustment_id": id, "reason": given.reason }));
    let revoked = Revoked { actor: Some(given.actor.clone()), reason: Some(given.reason.clone()) };
    let made = HandMade { revoked: Some(revoked), ..made.clone() };
    Ok(("adjustment.revoked", first_instant(made.month)?, data, made))
}

/// The issuer: as given; else the one of the plans that the partner has or had in the currency; else the only one.
fn issuer_of(
    catalog: &Catalog,
    known: &Registry,
    given: &Adjustment,
    currency: Currency,
) -> Result<IssuerId, ConfigurationError> {
    let issuers: Vec<&str> = catalog.issuers.keys().map(IssuerId::as_str).collect();
    if let Some(issuer_id) = &given.issuer {
        let unknown =
            || ConfigurationError(format!("--issuer {issuer_id} is none; the catalog has {}", issuers.join(", ")));
        return catalog.issuers.get(issuer_id).map(|_| issuer_id.clone()).ok_or_else(unknown);
    }
    let own = known.subscriptions_of(&given.partner);
    let versions = own.filter_map(|subscription| catalog.plans.get(&subscription.plan_id)).flatten();
    let of_plans: BTreeSet<&IssuerId> =
        versions.filter(|version| version.currency == currency).map(|version| &version.issuer).collect();
    match (of_plans.len(), catalog.issuers.keys().next()) {
        (1, _) => of_plans.into_iter().next().cloned(),
        (0, Some(only)) if catalog.issuers.len() == 1 => Some(only.clone()),
        _ => None,
    }
    .ok_or_else(|| {
        ConfigurationError(format!("which issuer is meant is not known; give --issuer, one of {}", issuers.join(", ")))
    })
}

/// The time of the event: no clock, so that the same command is the same event.
fn first_instant(month: Month) -> anyhow::Result<DateTime<Utc>> {
    Ok(month.period(chrono_tz::UTC)?.start)
}

fn object(data: Value) -> Map<String, Value> {
    match data {
        Value::Object(data) => data,
        _ => Map::new(),
    }
}
