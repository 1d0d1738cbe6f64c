#![doc = include_str!("../README.md")]
// A wrong cast or a panic here is a proof that proves nothing. Tests may.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::as_conversions))]

mod absent;
mod adjust;
mod adjusted;
mod bill;
mod by_hand;
mod cells;
mod commitment;
mod compare;
mod coupon;
mod credit;
mod deliveries;
mod document;
mod earlier;
mod early;
mod error;
mod evidence;
mod ground;
mod harvest;
mod known;
mod meter;
mod month;
mod needs;
pub mod number;
mod opening;
mod owner;
mod payer;
mod profile;
pub mod rating;
mod raw;
mod rederive;
mod retaxed;
mod rollover;
mod sieves;
mod since;
mod slices;
mod spans;
mod stored;
mod tax;
mod terms;
mod unadjusted;
mod usage;
mod verdict;
mod walk;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use tollbook_lake::{Lake, LakeError};
use tollbook_schemas::id::{InvoiceId, MeterId, PartnerId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::access_log::TABLE as ACCESS_LOG;
use tollbook_schemas::tables::billing::{BILLED_USAGE, BILLING_PROFILE, INVOICE, INVOICE_EVENT, INVOICE_LINE};
use tollbook_schemas::tables::catalog::CATALOG_FILE;
use tollbook_schemas::tables::partner_event::TABLE as PARTNER_EVENT;
use tollbook_schemas::tables::{Row, Table};

/// What is read of the lake.
const TABLES: [&Table; 8] = [
    &ACCESS_LOG,
    &INVOICE_EVENT,
    &INVOICE,
    &INVOICE_LINE,
    &BILLED_USAGE,
    &PARTNER_EVENT,
    &BILLING_PROFILE,
    &CATALOG_FILE,
];

pub use compare::{DayDifference, Difference};
pub use error::VerifyError;
pub use unadjusted::Unadjusted;
pub use verdict::{Tally, Verdict};

use evidence::{Evidence, Pins};
use ground::{Ground, Stopped};
use harvest::{Harvest, Wanting};
use needs::Needs;
use rederive::{Beside, Derivation, Rederived, rederive};
use stored::{Issued, Stored};

/// What to verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// One invoice, by its id or its number.
    Invoice(String),
    /// Every issued invoice of a month.
    Month(Month),
}

impl From<&str> for Wanted {
    /// A month such as `2026-06`; anything else is an id or a number.
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Invoice(text.to_owned()), Self::Month)
    }
}

/// An invoice that was verified. It holds where nothing differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Invoice.
    pub invoice_id: String,
    /// Number.
    pub number: String,
    /// Partner.
    pub partner_id: String,
    /// Month; empty, as its currency is, where its document is gone.
    pub month: String,
    /// Currency.
    pub currency: String,
    /// Total of its document, in minor units.
    pub total_minor: i64,
    /// Its printed lines.
    pub line_count: usize,
    /// Rows of `access_log` that it was re-derived from: the deliveries of every request that may be its partner's.
    pub rows_read: usize,
    /// Whether it holds, differs, or has what this version does not know.
    pub verdict: Verdict,
    /// What differs, the first thing first; none where it holds.
    pub differences: Vec<Difference>,
    /// What earlier months come to at its pin and no document bills, for a reason of the product: a person decides
    /// about it.
    pub unadjusted: Vec<Unadjusted>,
}

impl Verified {
    /// Whether the invoice holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.verdict == Verdict::Holds
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, partner_id, line_count, rows_read, .. } = self;
        let total = match Currency::parse(&self.currency) {
            Ok(currency) => Money { minor: self.total_minor, currency }.to_string(),
            Err(_) if self.currency.is_empty() => "of unknown total".to_owned(),
            Err(_) => format!("{} {}", self.total_minor, self.currency),
        };
        let word = self.verdict.word();
        match self.differences.split_first() {
            None => write!(f, "{word} {number} {partner_id} {total} {line_count} lines {rows_read} rows")?,
            Some((first, others)) => {
                write!(f, "{word} {number} {partner_id} {total}: {first}")?;
                others.iter().try_for_each(|other| write!(f, "\n  also: {other}"))?;
            }
        }
        self.unadjusted.iter().try_for_each(|one| write!(f, "\n  note: {one}"))
    }
}

/// Verifies what is wanted, by issuer and number; before all, what was issued and has no document any more, of whatever
/// month it was. What is wrong with one invoice is a difference of it.
///
/// # Errors
/// [`VerifyError`] where the lake cannot be read, or one invoice was asked for that nobody issued.
pub async fn verify(lake: &Lake, wanted: &Wanted) -> Result<Vec<Verified>, VerifyError> {
    lake.open_beside(&TABLES).await?;
    let issued = Issued::read(lake).await?;
    let mut evidence = Evidence::over(lake);
    let stored::Read { found: mut all, lost } = stored::read(lake, wanted, &issued).await?;
    let (mut outcomes, mut wanting) = (Vec::new(), Vec::new());
    let partner_ids = all.iter().map(|stored| stored.text_of("partner_id")).collect();
    // Of a month everybody who was ever billed is looked at: whoever has no document in it, too.
    let heads = match wanted {
        Wanted::Month(_) if !all.is_empty() => earlier::heads(lake, None, &issued).await?,
        _ => earlier::heads(lake, Some(&partner_ids), &issued).await?,
    };
    if let Wanted::Month(month) = wanted {
        let absent = absent::of_month(*month, &all, &heads);
        all.extend(absent);
    }
    for (at, stored) in all.iter().enumerate() {
        let ground = match Ground::of(&mut evidence, stored).await {
            Ok(ground) => {
                asked(&mut evidence, ground, stored, &heads).await.map(|(ground, needs)| Wanting { at, ground, needs })
            }
            Err(stopped) => Err(stopped),
        };
        match ground {
            Ok(one) => wanting.push(one),
            Err(Stopped::Lake(error)) => return Err(error),
            Err(Stopped::Here(difference)) => outcomes.push((at, Err(difference))),
        }
    }
    for batch in harvest::batches(lake, wanting).await? {
        // On the heap: the steps of a batch together are more than a small stack holds.
        outcomes.extend(Box::pin(derive(&evidence, batch, &all, &issued)).await?);
    }
    outcomes.sort_by_key(|(at, _)| *at);
    let mut verified: Vec<Verified> = lost.into_iter().map(lost_document).collect();
    for outcomes in outcomes.chunk_by(|(one, _), (other, _)| one / CHECKED_AT_ONCE == other / CHECKED_AT_ONCE) {
        let ids = outcomes.iter().filter_map(|(at, _)| Some(all.get(*at)?.invoice_id.as_str())).collect();
        let mut beside = stored::Beside::read(lake, &ids).await?;
        for (at, outcome) in outcomes {
            let Some(stored) = all.get(*at) else { continue };
            let one = one(&evidence, stored, &mut beside, &issued, outcome).await?;
            // Of a document that is not there only what it would have to bill is told.
            if !absent::is_absent(stored) || !one.differences.is_empty() || !one.unadjusted.is_empty() {
                verified.push(one);
            }
        }
    }
    Ok(verified)
}

/// An invoice exists by its event: without its document nothing of it can be derived, not even its month.
fn lost_document(event: &Row) -> Verified {
    let gone = Difference::told("document", "it was issued, and is gone; put the lake back from a copy");
    of_event(event, vec![gone])
}

/// What is told of an invoice where its event is all that is known of it.
fn of_event(event: &Row, differences: Vec<Difference>) -> Verified {
    let text = |column: &str| event.text(column).unwrap_or_default().to_owned();
    Verified {
        invoice_id: text("invoice_id"),
        number: text("number"),
        partner_id: text("partner_id"),
        month: String::new(),
        currency: String::new(),
        total_minor: 0,
        line_count: 0,
        rows_read: 0,
        verdict: Verdict::of(&differences),
        differences,
        unadjusted: Vec::new(),
    }
}

/// A document with the earlier months that it is asked for, and the raw rows that it needs.
async fn asked(
    evidence: &mut Evidence<'_>,
    ground: Ground,
    stored: &Stored,
    heads: &earlier::Heads,
) -> Result<(Ground, Needs), Stopped> {
    let earlier = earlier::asked(evidence, &ground, stored, heads).await?;
    let ground = Ground { earlier, ..ground };
    let needs = ground.needs_of_all()?;
    Ok((ground, needs))
}

/// Documents whose rows of lines and days are read together.
const CHECKED_AT_ONCE: usize = 1_000;

/// What became of deriving a document: how it compares, or why there is nothing to compare.
type Outcome = Result<Derived, Box<Difference>>;

struct Derived {
    /// The first difference of the stored text and the derived one.
    first: Option<Difference>,
    found: Vec<Difference>,
    unadjusted: Vec<Unadjusted>,
    rows_read: usize,
}

/// Derives the documents of a batch, each with its place among all.
async fn derive(
    evidence: &Evidence<'_>,
    mut batch: Vec<Wanting>,
    all: &[Stored],
    issued: &Issued,
) -> Result<Vec<(usize, Outcome)>, VerifyError> {
    let stored_of = |one: &Wanting| all.get(one.at);
    harvest::ask_for_changed(evidence.lake, &mut batch).await?;
    let looks_back = |one: &&Wanting| {
        let ground = &one.ground;
        !ground.earlier.months.is_empty() || by_hand::is_made_for(ground) || credit::is_granted(ground)
    };
    let looking = || batch.iter().filter(looks_back).map(|one| &one.ground);
    let partner_ids: BTreeSet<&str> = looking().flat_map(payer::bearers).map(PartnerId::as_str).collect();
    let before = stored::of_partners(evidence.lake, &partner_ids, issued).await?;
    let own = looking().filter_map(|ground| before.get(ground.partner_id.as_str())).flatten();
    let profile_ids = batch.iter().filter_map(stored_of).chain(own).flat_map(Stored::profile_ids).collect();
    // No document says which versions were known of a partner that has none.
    let absent = batch.iter().map(|one| &one.ground).filter(|ground| ground.is_absent);
    let absent = absent.map(|ground| ground.partner_id.as_str()).collect();
    let profiles = evidence.profiles(&profile_ids, &absent).await?;
    let mut outcomes = Vec::new();
    for (part, rows, meters) in harvested(evidence.lake, &batch).await? {
        let Some(harvest) = Harvest::of(part, &rows, &meters) else { continue };
        let derived = |place: usize, one| -> Result<Outcome, VerifyError> {
            let Some(stored) = stored_of(one) else { return Ok(Err(Box::default())) };
            let of = |partner_id: &PartnerId| before.get(partner_id.as_str()).map_or(&[][..], Vec::as_slice);
            let beside = Beside {
                of_partner: of(&one.ground.partner_id),
                of_bearers: payer::bearers(&one.ground).into_iter().flat_map(of).collect(),
                profiles: &profiles,
                voided: &issued.voided,
            };
            let derivation = match Derivation::of(one, place, &harvest, stored, &beside) {
                Err(Stopped::Lake(error)) => return Err(error),
                Err(Stopped::Here(difference)) => return Ok(Err(difference)),
                Ok(derivation) => derivation,
            };
            if absent::is_absent(stored) {
                let (found, unadjusted) = absent::found(&derivation).or_else(|stopped| match stopped {
                    Stopped::Lake(error) => Err(error),
                    Stopped::Here(difference) => Ok((vec![*difference], Vec::new())),
                })?;
                return Ok(Ok(Derived { first: None, found, unadjusted, rows_read: derivation.rows_read }));
            }
            match rederive(&derivation) {
                Err(Stopped::Lake(error)) => Err(error),
                Err(Stopped::Here(difference)) => Ok(Err(difference)),
                Ok(Rederived { body, found, unadjusted, rows_read }) => {
                    let text = serde_json::to_string(&body).map_err(|error| VerifyError::Stored {
                        table: "invoice",
                        what: format!("the re-derived document has no JSON: {error}"),
                    })?;
                    let first = compare::first_difference(&stored.text, &text);
                    Ok(Ok(Derived { first, found, unadjusted, rows_read }))
                }
            }
        };
        outcomes.extend(on_all_cores(part, derived)?.into_iter().zip(part).map(|(outcome, one)| (one.at, outcome)));
    }
    Ok(outcomes)
}

/// What a function makes of each thing, in their order, on as many threads as there are cores.
fn on_all_cores<'a, T: Sync, R: Send, E: Send>(
    things: &'a [T],
    make: impl Fn(usize, &'a T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, R)>, E> {
        let mut made = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            match things.get(at) {
                Some(thing) => made.push((at, make(at, thing)?)),
                None => return Ok(made),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(things.len());
    let mut made = Vec::new();
    std::thread::scope(|scope| -> Result<(), E> {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            made.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(())
    })?;
    made.sort_by_key(|(at, _)| *at);
    Ok(made.into_iter().map(|(_, one)| one).collect())
}

/// Reads a batch; each partner alone where SQL of a meter cannot be evaluated over the rows of all of them.
async fn harvested<'a>(
    lake: &Lake,
    batch: &'a [Wanting],
) -> Result<Vec<(&'a [Wanting], raw::RawRows, Vec<MeterId>)>, VerifyError> {
    let whole = harvest::read(lake, batch).await;
    let mut by_partner = batch.chunk_by(|one, other| one.ground.partner_id == other.ground.partner_id);
    match whole {
        Ok((rows, meters)) => Ok(vec![(batch, rows, meters)]),
        Err(VerifyError::Lake(LakeError::Query(_))) if by_partner.clone().count() > 1 => {
            let mut parts = Vec::new();
            for part in by_partner.by_ref() {
                let (rows, meters) = harvest::read(lake, part).await?;
                parts.push((part, rows, meters));
            }
            Ok(parts)
        }
        Err(error) => Err(error),
    }
}

/// Compares a document with what was derived, and with all that is kept beside it.
async fn one(
    evidence: &Evidence<'_>,
    stored: &Stored,
    beside: &mut stored::Beside,
    issued: &Issued,
    outcome: &Outcome,
) -> Result<Verified, VerifyError> {
    let (mut differences, mut unadjusted) = (Vec::new(), Vec::new());
    let mut rows_read = 0;
    match outcome {
        Err(difference) => differences.push(difference.as_ref().clone()),
        Ok(Derived { first, found, unadjusted: told, rows_read: rows }) => {
            rows_read = *rows;
            unadjusted.clone_from(told);
            if let (Some(first), Ok(pins)) = (first, Pins::read(stored.text_of("pin"))) {
                differences.push(first.clone());
                differences.extend(evidence.holes(&pins.access).await?);
            }
            differences.extend(found.iter().cloned());
        }
    }
    if !absent::is_absent(stored) {
        differences.extend(stored::check(stored, beside, issued));
        let derived = InvoiceId::derive([&stored.text]);
        if derived.as_str() != stored.invoice_id {
            let what = format!("it is {}, and the document has the hash {derived}", stored.invoice_id);
            differences.push(Difference::told("invoice_id", what));
        }
    }
    if stored.body.is_empty() {
        return Ok(of_event(&stored.event, differences));
    }
    Ok(Verified {
        invoice_id: stored.invoice_id.clone(),
        number: stored.number().to_owned(),
        partner_id: stored.text_of("partner_id").to_owned(),
        month: stored.text_of("month").to_owned(),
        currency: stored.text_of("currency").to_owned(),
        total_minor: stored.body.get("total_minor").and_then(serde_json::Value::as_i64).unwrap_or_default(),
        line_count: stored.lines().count(),
        rows_read,
        verdict: Verdict::of(&differences),
        differences,
        unadjusted,
    })
}
