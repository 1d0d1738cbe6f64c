//! One document once more. Of the stored one it takes only what says which document it is and what it stands on: issuer,
//! partner, currency, month, pin, catalog, billing profile. Everything else comes from the raw rows, the registry at the
//! pin and the kept catalog.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tollbook_schemas::catalog::{Catalog, Meter, PlanVersion, Price};
use tollbook_schemas::id::{IssuerId, MeterId, PartnerId, PlanId};
use tollbook_schemas::meter::Aggregation;
use tollbook_schemas::money::Currency;
use tollbook_schemas::period::{Month, Period, print_instant};
use tollbook_schemas::registry::{LinkSystem, Registry};
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::access_log::TABLE as ACCESS_LOG;
use tollbook_schemas::tables::partner_event::TABLE as PARTNER_EVENT;

use crate::adjust::{Before, differences, that_billed};
use crate::compare::Difference;
use crate::document::{Body, Credits, IssuedBy, Line, Shadow};
use crate::error::VerifyError;
use crate::evidence::{Evidence, Kept, Pins};
use crate::number::Ratio;
use crate::owner::{Links, tags_of};
use crate::rating::{Used, price};
use crate::raw::{self, Question};
use crate::spans::{Span, spans_of};
use crate::stored::{Object, Stored, check_number, of_partner};
use crate::usage::{Origin, Usage};

/// The form of a document that this program writes.
const FORMAT: u32 = 1;
/// The kind of a document that gives something back.
const CREDIT_NOTE: &str = "credit_note";

/// A document as re-derived.
pub(crate) struct Rederived {
    pub(crate) body: Body,
    /// What was found on the way: a kept catalog that is not what it was, a number that the issuer does not give.
    pub(crate) found: Vec<Difference>,
    /// Rows of `access_log` that it was made from.
    pub(crate) rows_read: usize,
}

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

/// Which document it is.
struct Place {
    partner_id: PartnerId,
    currency: Currency,
    month: Month,
}

impl Place {
    fn of(stored: &Stored) -> Result<Self, Box<Difference>> {
        let wrong = |key: &str| Box::new(Difference::told(key, "it cannot be read"));
        Ok(Self {
            partner_id: PartnerId::parse(stored.text_of("partner_id")).map_err(|_| wrong("partner_id"))?,
            currency: Currency::parse(stored.text_of("currency")).map_err(|_| wrong("currency"))?,
            month: stored.text_of("month").parse().map_err(|_| wrong("month"))?,
        })
    }
}

/// What of billing this program does not compute: it says so, and calls nothing a difference that it cannot judge.
fn not_known_yet(
    stored: &Stored,
    catalog: &Catalog,
    registry: &Registry,
    partner_id: &PartnerId,
) -> Option<&'static str> {
    let has = |key: &str| stored.lines().any(|line| line.contains_key(key));
    let subscriptions = || registry.subscriptions.values().filter(|one| one.partner_id == *partner_id);
    let versions = || subscriptions().filter_map(|one| catalog.plans.get(&one.plan_id)).flatten();
    let taxes = || catalog.tax_rates.values().flatten().any(|rate| rate.issuer.as_str() == stored.issuer_id());
    if has("tax") || taxes() {
        Some("tax")
    } else if has("contract") {
        Some("a contract")
    } else if has("opening") {
        Some("a period of which another system billed a part")
    } else if has("by_hand") {
        Some("a line made by hand")
    } else if versions().any(|version| !version.cadence.is_month()) {
        Some("billing periods that are no calendar months")
    } else if subscriptions().any(|one| !one.course.pauses.is_empty()) {
        Some("a pause")
    } else if subscriptions().any(|one| !one.course.quantities.is_empty()) {
        Some("units of a subscription")
    } else if subscriptions().any(|one| one.course.term.is_some() || !one.course.endings.is_empty()) {
        Some("a term, or an end that waits")
    } else {
        None
    }
}

/// Re-derives a document. `events` are those of everything that was issued.
///
/// # Errors
/// [`Stopped`].
pub(crate) async fn rederive(
    evidence: &mut Evidence<'_>,
    stored: &Stored,
    events: &[Row],
) -> Result<Rederived, Stopped> {
    let place = Place::of(stored)?;
    let pins = Pins::read(stored.text_of("pin"))?;
    for (table, pin) in [(&ACCESS_LOG, &pins.access), (&PARTNER_EVENT, &pins.events)] {
        if let Some(beyond) = evidence.beyond(table, pin).await? {
            return Err(beyond.into());
        }
    }
    let kept = evidence.catalog(stored.text_of("catalog_sha256")).await??;
    let Kept { catalog, damage } = kept.as_ref();
    let registry = evidence.registry(&pins.events).await?;
    if let Some(what) = not_known_yet(stored, catalog, &registry, &place.partner_id) {
        let told = format!("not re-derived: the document stands on {what}, which this program does not compute yet");
        return Err(Difference::told("document", told).into());
    }
    let issuer = catalog.issuers.iter().find(|(id, _)| id.as_str() == stored.issuer_id());
    let (issuer_id, issuer) =
        issuer.ok_or_else(|| Difference::told("issuer", format!("the catalog has none {}", stored.issuer_id())))?;
    let mut found: Vec<Difference> =
        damage.iter().cloned().chain(check_number(stored, &issuer.number_prefix)).collect();
    let evidence = &*evidence;
    let months = Months { evidence, catalog, registry: &registry, pins: &pins, place: &place, issuer_id };

    let is_credit_note = stored.text_of("kind") == CREDIT_NOTE;
    let adjusted = adjusted_months(stored)?;
    let mut own = if is_credit_note { Rated::default() } else { months.rate(place.month).await? };
    // A document that is nothing but adjustments has the month of its issuer.
    let whole = match own.whole {
        Some(whole) => whole,
        None if adjusted.is_empty() => {
            return Err(wrong("no subscription of the partner is billed in the month"));
        }
        None => place.month.period(issuer.time_zone).map_err(|error| wrong(error.to_string()))?,
    };
    let mut credits = None;
    if !adjusted.is_empty() {
        let all = of_partner(months.evidence.lake, place.partner_id.as_str(), events).await?;
        let before = issued_before(stored, &all);
        for month in adjusted {
            let now = months.rate(month).await?;
            own.rows_read += now.rows_read;
            let billed_by = that_billed(&month.to_string(), &before);
            let invoice = billed_by.iter().find(|one| !one.body.contains_key("kind") && month_is(one.body, month));
            let invoice =
                invoice.ok_or_else(|| wrong(format!("it adjusts {month}, which no invoice before it billed")))?;
            let lines = differences(&month.to_string(), &billed_by, &now.lines).map_err(wrong)?;
            let net: i128 = lines.iter().filter_map(|line| line.get("amount_minor")?.as_i64()).map(i128::from).sum();
            if (net < 0) != is_credit_note {
                let what = format!("{month} comes to {net} minor units more, which is no {}", stored.text_of("kind"));
                found.push(Difference::told("kind", what));
            }
            let number = all.iter().find(|one| one.invoice_id == invoice.invoice_id).map(Stored::number);
            if is_credit_note {
                let number = number.unwrap_or_default().to_owned();
                credits = Some(Credits { invoice_id: invoice.invoice_id.to_owned(), number });
            }
            own.lines.extend(lines);
        }
    }
    let mut total_minor = 0_i64;
    for (number, line) in (1_u64..).zip(&mut own.lines) {
        line.insert("line_number".to_owned(), number.into());
        let amount = line.get("amount_minor").and_then(Value::as_i64);
        let sum = amount.and_then(|amount| total_minor.checked_add(amount));
        total_minor = sum.ok_or_else(|| wrong("the lines do not add up in 63 bits"))?;
    }
    let profile_version_id = stored.text_of("profile_version_id");
    let profile = evidence.profile(profile_version_id).await?;
    let profile = profile.filter(|row| row.text("partner_id") == Some(place.partner_id.as_str()));
    let Some(profile) = profile else {
        let what = format!("the partner has no billing profile {profile_version_id}; import it again");
        return Err(Difference::told("profile_version_id", what).into());
    };
    if profile.instant("effective_from") > stored.event.instant("at") {
        found.push(Difference::told("profile_version_id", "the profile was not in force when the invoice was issued"));
    }
    // As the issuer is at the last instant of the period.
    let versions = catalog.issuer_versions.get(issuer_id).into_iter().flatten();
    let in_force = versions.filter(|version| version.effective_from.is_none_or(|from| from < whole.end));
    let printed = in_force.max_by_key(|version| version.effective_from);
    let printed = printed.ok_or_else(|| wrong("no version of the issuer is in force at the end of the period"))?;
    let body = Body {
        catalog_sha256: catalog.sha256.clone(),
        credits,
        currency: place.currency.code().to_owned(),
        format: FORMAT,
        issuer: IssuedBy {
            address: printed.address.clone(),
            issuer_id: issuer_id.to_string(),
            legal_name: printed.legal_name.clone(),
            tax_id: printed.tax_id.clone(),
        },
        kind: is_credit_note.then_some(CREDIT_NOTE),
        lines: own.lines,
        month: place.month.to_string(),
        partner_id: place.partner_id.to_string(),
        payment_terms_days: profile.int("payment_terms_days").unwrap_or_default(),
        period_end: print_instant(whole.end),
        period_start: print_instant(whole.start),
        pin: stored.text_of("pin").to_owned(),
        profile_version_id: profile_version_id.to_owned(),
        shadows: own.shadows,
        total_minor,
    };
    Ok(Rederived { body, found, rows_read: own.rows_read })
}

fn wrong(what: impl Into<String>) -> Stopped {
    Difference::told("document", what).into()
}

/// The earlier months that a document says it adjusts, in order. That it adjusts them, and no others, was decided when it
/// was drafted; by how much is derived.
fn adjusted_months(stored: &Stored) -> Result<BTreeSet<Month>, Box<Difference>> {
    let adjusts = stored.lines().filter_map(|line| line.get("adjusts")?.get("month"));
    let unreadable = || Box::new(Difference::told("adjusts", "a month cannot be read"));
    let month = |month: &Value| month.as_str().and_then(|month| month.parse().ok());
    let months = adjusts.map(|one| month(one).ok_or_else(unreadable));
    months.collect()
}

fn month_is(body: &Object, month: Month) -> bool {
    body.get("month").and_then(Value::as_str) == Some(month.to_string().as_str())
}

/// What was issued to the same partner in the same currency, by the same issuer, under a lower number.
fn issued_before<'a>(stored: &Stored, all: &'a [Stored]) -> Vec<Before<'a>> {
    let sequence = |one: &Stored| one.event.int("number_sequence");
    let is_before = |one: &&Stored| {
        let same = one.issuer_id() == stored.issuer_id() && one.text_of("currency") == stored.text_of("currency");
        same && sequence(one) < sequence(stored)
    };
    let before = all.iter().filter(is_before);
    before.map(|one| Before { invoice_id: &one.invoice_id, body: &one.body }).collect()
}

/// What a month bills of itself: lines of one issuer and currency, without numbers.
#[derive(Default)]
struct Rated {
    lines: Vec<Object>,
    /// What the same spans would have cost on other plans, numbered.
    shadows: Vec<Shadow>,
    /// The months of all subscriptions together; none where none is billed.
    whole: Option<Period>,
    rows_read: usize,
}

/// Rates months of one partner at one pin.
struct Months<'a, 'lake> {
    evidence: &'a Evidence<'lake>,
    catalog: &'a Catalog,
    registry: &'a Registry,
    pins: &'a Pins,
    place: &'a Place,
    issuer_id: &'a IssuerId,
}

impl Months<'_, '_> {
    async fn rate(&self, month: Month) -> Result<Rated, Stopped> {
        let Self { evidence, catalog, registry, pins, place, issuer_id } = self;
        let spans = spans_of(registry, catalog, &place.partner_id, month).map_err(wrong)?;
        let own = |span: &&Span<'_>| span.version.issuer == **issuer_id && span.version.currency == place.currency;
        let spans: Vec<&Span<'_>> = spans.iter().filter(own).collect();
        let start = spans.iter().map(|span| span.month.start).min();
        let end = spans.iter().map(|span| span.month.end).max();
        let metering = Metering::of(evidence, catalog, registry, &place.partner_id, pins, &spans).await?;
        let mut lines = Vec::new();
        for span in &spans {
            for price in &span.version.prices {
                let plan = (&span.subscription.plan_id, span.version);
                let line = line_of(catalog, &metering.usage, span, plan, price);
                let line = line.and_then(|line| match serde_json::to_value(line) {
                    Ok(Value::Object(line)) => Ok(line),
                    _ => Err("the line has no JSON".to_owned()),
                });
                let told =
                    |what| Difference::told("line", what).of_line(number_of(lines.len() + 1), &price.description);
                lines.push(line.map_err(told)?);
            }
        }
        let whole = start.zip(end).map(|(start, end)| Period { start, end });
        let shadows = shadows_of(catalog, &metering.usage, &spans).map_err(wrong)?;
        Ok(Rated { lines, shadows, whole, rows_read: metering.rows_read })
    }
}

/// The plan that a span's own names for its shadow bill, with the version in force when the span begins.
fn shadow_plan<'a>(catalog: &'a Catalog, span: &Span<'a>) -> Option<(&'a PlanId, &'a PlanVersion)> {
    let plan_id = span.version.shadow_of.as_ref()?;
    let versions = catalog.plans.get(plan_id)?;
    let in_force = versions.iter().filter(|version| version.effective_from <= span.billed.start);
    Some((plan_id, in_force.max_by_key(|version| version.effective_from)?))
}

/// The shadow bills of some spans, one for each other plan and currency.
fn shadows_of(
    catalog: &Catalog,
    usage: &BTreeMap<&MeterId, Usage<'_>>,
    spans: &[&Span<'_>],
) -> Result<Vec<Shadow>, String> {
    let mut shadows: Vec<Shadow> = Vec::new();
    for span in spans {
        let Some((plan_id, version)) = shadow_plan(catalog, span) else { continue };
        let (plan, currency) = (plan_id.to_string(), version.currency.code().to_owned());
        let known = shadows.iter().position(|shadow| shadow.plan_id == plan && shadow.currency == currency);
        let at = known.unwrap_or(shadows.len());
        if known.is_none() {
            shadows.push(Shadow { currency, lines: Vec::new(), plan_id: plan, total_minor: 0 });
        }
        for price in &version.prices {
            let line = line_of(catalog, usage, span, (plan_id, version), price)?;
            let shadow = &mut shadows[at];
            let sum = shadow.total_minor.checked_add(line.amount_minor);
            shadow.total_minor = sum.ok_or("the shadow bill does not add up in 63 bits")?;
            shadow.lines.push(Line { line_number: shadow.lines.len() + 1, ..line });
        }
    }
    Ok(shadows)
}

fn number_of(place: usize) -> u64 {
    u64::try_from(place).unwrap_or(u64::MAX)
}

/// The usage of every meter that some spans of one partner are billed by.
struct Metering<'a> {
    usage: BTreeMap<&'a MeterId, Usage<'a>>,
    rows_read: usize,
}

impl<'a> Metering<'a> {
    async fn of(
        evidence: &Evidence<'_>,
        catalog: &'a Catalog,
        registry: &'a Registry,
        partner_id: &'a PartnerId,
        pins: &Pins,
        spans: &[&Span<'a>],
    ) -> Result<Self, Stopped> {
        let mut meters: BTreeMap<&MeterId, &Meter> = BTreeMap::new();
        let versions = spans.iter().map(|span| span.version);
        let shadows = spans.iter().filter_map(|span| shadow_plan(catalog, span)).map(|(_, version)| version);
        for price in versions.chain(shadows).flat_map(|version| &version.prices) {
            let Some(id) = &price.meter else { continue };
            let known = catalog.meters.get_key_value(id);
            let (id, meter) =
                known.ok_or_else(|| Difference::told("meter_id", format!("the catalog has no meter {id}")))?;
            meters.insert(id, meter);
        }
        let start = spans.iter().map(|span| span.billed.start).min();
        let end = spans.iter().map(|span| span.billed.end).max();
        let (Some(start), Some(end), false) = (start, end, meters.is_empty()) else {
            return Ok(Self { usage: BTreeMap::new(), rows_read: 0 });
        };
        let links = Links::of(registry);
        let question = Question {
            pin: &pins.access,
            consumers: links.names(LinkSystem::Consumer, partner_id),
            credentials: links.names(LinkSystem::Credential, partner_id),
            span: Period { start, end },
            with_all_before: meters.values().any(|meter| meter.aggregation == Aggregation::TimeWeighted),
            tags: tags_of(catalog),
            meters: meters.values().copied().collect(),
        };
        let rows = raw::read(evidence.lake, &question).await?;
        let origin = Origin::of(catalog, registry, partner_id, &rows);
        let usage =
            meters.iter().enumerate().map(|(at, (id, meter))| (*id, Usage::of(&origin, partner_id, at, id, meter)));
        Ok(Self { usage: usage.collect(), rows_read: rows.deliveries.len() })
    }
}

fn line_of(
    catalog: &Catalog,
    usage: &BTreeMap<&MeterId, Usage<'_>>,
    span: &Span<'_>,
    (plan_id, version): (&PlanId, &PlanVersion),
    priced: &Price,
) -> Result<Line, String> {
    let (used, days, unit) = match &priced.meter {
        None => (Used::of(Ratio::whole(1)), Vec::new(), None),
        Some(id) => {
            let measured = usage.get(id).ok_or_else(|| format!("no usage of meter {id}"))?.measure(span.billed)?;
            (measured.used, measured.days, catalog.meters.get(id).map(|meter| meter.unit.clone()))
        }
    };
    let used = Used { served: Some(span.served()), ..used };
    let (amount_minor, working) = price(&priced.tariff, &used, version.currency)?;
    Ok(Line {
        amount_minor,
        description: priced.description.clone(),
        line_number: 0,
        meter_id: priced.meter.as_ref().map(ToString::to_string),
        plan_id: plan_id.to_string(),
        plan_version: version.version,
        price_id: priced.price_id.to_string(),
        price_model: priced.tariff.model.as_str().to_owned(),
        quantity: used.quantity.text(),
        span_end: print_instant(span.billed.end),
        span_start: print_instant(span.billed.start),
        subscription_id: span.subscription.subscription_id.to_string(),
        unit,
        usage: days,
        working,
    })
}
