//! What a document stands on, and what must be read for it. Of the stored document it takes only what says which
//! document it is and what it stands on: issuer, partner, currency, month, pin, catalog, billing profile.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tollbook_schemas::catalog::{Catalog, Issuer};
use tollbook_schemas::id::{IssuerId, MeterId, PartnerId};
use tollbook_schemas::meter::Aggregation;
use tollbook_schemas::money::Currency;
use tollbook_schemas::period::{Month, Period};
use tollbook_schemas::registry::Registry;
use tollbook_schemas::tables::access_log::TABLE as ACCESS_LOG;
use tollbook_schemas::tables::partner_event::TABLE as PARTNER_EVENT;

use crate::absent::is_absent;
use crate::adjust::month_of;
use crate::commitment::spans_of_terms;
use crate::compare::Difference;
use crate::document::{CREDIT_NOTE, KEYS, LINE_KEYS};
use crate::earlier::Asked;
use crate::error::VerifyError;
use crate::evidence::{Evidence, Kept, Pins};
use crate::known::Known;
use crate::month::shadow_plan;
use crate::needs::{Needs, Times};
use crate::payer::{borne, others, partners_of};
use crate::spans::Span;
use crate::stored::{Object, Stored};
use crate::terms::TERM_KEYS;

/// What a document cannot be re-derived for.
pub(crate) enum Stopped {
    /// The lake cannot be read.
    Lake(VerifyError),
    /// What is missing or wrong, in words.
    Here(Box<Difference>),
}

impl From<VerifyError> for Stopped {
    fn from(error: VerifyError) -> Self {
        Self::Lake(error)
    }
}

impl From<Difference> for Stopped {
    fn from(difference: Difference) -> Self {
        Self::Here(Box::new(difference))
    }
}

impl From<Box<Difference>> for Stopped {
    fn from(difference: Box<Difference>) -> Self {
        Self::Here(difference)
    }
}

/// A difference of the whole document, in words.
pub(crate) fn wrong(what: impl Into<String>) -> Stopped {
    Difference::told("document", what).into()
}

/// What a document stands on.
pub(crate) struct Ground {
    pub(crate) partner_id: PartnerId,
    pub(crate) currency: Currency,
    pub(crate) month: Month,
    pub(crate) issuer_id: IssuerId,
    pub(crate) is_credit_note: bool,
    /// Whether there is no document: what it would have to bill is asked.
    pub(crate) is_absent: bool,
    /// The months and partners of the lines that it says it bears for others: why one of them cannot be derived is
    /// told, and not taken for what blocked it.
    pub(crate) borne: BTreeSet<(String, String)>,
    /// The earlier months that it says it adjusts. That it adjusts them, and no others, was decided when it was
    /// drafted; by how much is derived.
    pub(crate) adjusted: BTreeSet<Month>,
    pub(crate) pins: Pins,
    pub(crate) kept: Arc<Kept>,
    /// What was known of everybody at the pin.
    pub(crate) known: Arc<Known>,
    /// What of it is of its partner, and of those that it pays for.
    pub(crate) registry: Arc<Registry>,
    /// The earlier months that it must bill the difference of; those that it says it adjusts are among them.
    pub(crate) earlier: Asked,
}

impl Ground {
    /// Reads what a document stands on.
    ///
    /// # Errors
    /// [`Stopped`].
    pub(crate) async fn of(evidence: &mut Evidence<'_>, stored: &Stored) -> Result<Self, Stopped> {
        let unreadable = |key: &str| Box::new(Difference::told(key, "it cannot be read"));
        if stored.body.is_empty() {
            return Err(wrong("the stored text is no JSON object, or an empty one; put the lake back from a copy"));
        }
        let pins = Pins::read(stored.text_of("pin"))?;
        let partner_id = PartnerId::parse(stored.text_of("partner_id")).map_err(|_| unreadable("partner_id"))?;
        let currency = Currency::parse(stored.text_of("currency")).map_err(|_| unreadable("currency"))?;
        let month: Month = stored.text_of("month").parse().map_err(|_| unreadable("month"))?;
        for (table, pin) in [(&ACCESS_LOG, &pins.access), (&PARTNER_EVENT, &pins.events)] {
            if let Some(beyond) = evidence.beyond(table, pin).await? {
                return Err(beyond.into());
            }
        }
        let kept = evidence.catalog(stored.text_of("catalog_sha256")).await??;
        let known = evidence.known(&pins.events).await?;
        let registry = Arc::new(known.of_partner(&partner_id));
        if let Some(what) = not_known_yet(stored) {
            let told = format!(
                "not re-derived: the document has {what}, which this program does not know and does not compute"
            );
            return Err(Difference::unknown("document", told).into());
        }
        let issuer_id = stored.issuer_id();
        let issuer_id = kept.catalog.issuers.keys().find(|id| id.as_str() == issuer_id).cloned();
        let none = || Difference::told("issuer", format!("the catalog has none {}", stored.issuer_id()));
        Ok(Self {
            partner_id,
            currency,
            month,
            issuer_id: issuer_id.ok_or_else(none)?,
            is_credit_note: stored.text_of("kind") == CREDIT_NOTE,
            is_absent: is_absent(stored),
            borne: stored.lines().filter_map(|line| borne_by(stored, line)).collect(),
            adjusted: adjusted_months(stored)?,
            pins,
            kept,
            known,
            registry,
            earlier: Asked::default(),
        })
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.kept.catalog
    }

    pub(crate) fn issuer(&self) -> Result<&Issuer, Stopped> {
        self.catalog().issuers.get(&self.issuer_id).ok_or_else(|| wrong("the catalog has no such issuer"))
    }

    /// The raw rows that it is derived from: those of its own month, unless it is a credit note, and of earlier ones
    /// that are derived in any case.
    ///
    /// # Errors
    /// [`Stopped`].
    pub(crate) fn needs_of_all(&self) -> Result<Needs, Stopped> {
        let own = (!self.is_credit_note).then_some(self.month);
        let mut needs = match self.needs(own.into_iter().chain(self.adjusted.iter().copied())) {
            // A partner that is blocked has no document.
            Err(Stopped::Here(_)) if self.is_absent => Needs::default(),
            needs => needs?,
        };
        for earlier in self.earlier.months.iter().filter(|earlier| earlier.since.is_none()) {
            if !self.adjusted.contains(&earlier.month) {
                // What stops a month that it does not adjust is told behind its lines.
                needs.add(self.needs([earlier.month]).unwrap_or_default());
            }
        }
        Ok(needs)
    }

    /// The raw rows that some months of it are derived from.
    ///
    /// # Errors
    /// [`Stopped`].
    pub(crate) fn needs(&self, months: impl IntoIterator<Item = Month>) -> Result<Needs, Stopped> {
        let catalog = self.catalog();
        let mut needs = Needs::default();
        for month in months {
            let borne = borne(self, month)?;
            let earlier = spans_of_terms(self, month, &borne)?;
            // Whether its partner is blocked is asked where a document lacks something.
            let others = if self.is_absent || month != self.month { others(self, month)? } else { Vec::new() };
            let spans = borne.into_iter().flat_map(|one| one.spans).chain(earlier).chain(others);
            let spans: Vec<Span<'_>> = spans.collect();
            // What is due before its period is over has no usage.
            let spans: Vec<&Span<'_>> = spans.iter().filter(|span| span.bills.over).collect();
            let meters = |span: &&Span<'_>| -> BTreeSet<MeterId> {
                let shadow = shadow_plan(catalog, span).map(|(_, version)| &version.prices);
                let prices = span.prices.iter().chain(shadow.into_iter().flatten());
                // What is left of earlier periods follows from what was used in each.
                let prices = prices.chain(span.earlier.iter().flat_map(|earlier| &earlier.prices));
                prices.filter_map(|price| price.meter.clone()).collect()
            };
            let meters: BTreeSet<MeterId> = spans.iter().flat_map(meters).collect();
            let start = spans.iter().map(|span| span.earlier.first().unwrap_or(span).billed.start).min();
            let end = spans.iter().map(|span| span.billed.end).max();
            let (Some(start), Some(end), false) = (start, end, meters.is_empty()) else { continue };
            let mut with_all_before = false;
            for id in &meters {
                let none = || Difference::told("meter_id", format!("the catalog has no meter {id}"));
                let meter = catalog.meters.get(id).ok_or_else(none)?;
                with_all_before |= meter.aggregation == Aggregation::TimeWeighted;
            }
            needs.times.add(&Times::of(Period { start, end }, with_all_before));
            needs.meters.extend(meters);
        }
        if !needs.times.is_empty() {
            needs.names = self.known.names(partners_of(self));
        }
        Ok(needs)
    }
}

/// What of a document this program has never heard of: it says so, and calls nothing right or wrong that it cannot
/// judge.
fn not_known_yet(stored: &Stored) -> Option<String> {
    let lines = || stored.lines().flat_map(|line| line.keys());
    let line = lines()
        .find(|key| !LINE_KEYS.contains(&key.as_str()) && !TERM_KEYS.contains(&key.as_str()))
        .map(|key| format!("lines with {key}"));
    let body = || stored.body.keys().find(|key| !KEYS.contains(&key.as_str())).map(|key| format!("a part {key}"));
    line.or_else(body)
}

/// The month and the partner of a line that is borne for another.
fn borne_by(stored: &Stored, line: &Object) -> Option<(String, String)> {
    let other = line.get("for_partner")?.as_str()?;
    Some((month_of(&stored.body, line).to_owned(), other.to_owned()))
}

fn adjusted_months(stored: &Stored) -> Result<BTreeSet<Month>, Box<Difference>> {
    let adjusts = stored.lines().filter_map(|line| line.get("adjusts")?.get("month"));
    let unreadable = || Box::new(Difference::told("adjusts", "a month cannot be read"));
    let month = |month: &Value| month.as_str().and_then(|month| month.parse().ok());
    let months = adjusts.map(|one| month(one).ok_or_else(unreadable));
    months.collect()
}
