//! What a month bills of one partner before coupons and tax: the lines of its prices, what is missing to minimums of
//! its contracts, and what the same spans would have cost on other plans. Pure. What of it is on which document is
//! `bill`'s.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tollbook_schemas::catalog::{Catalog, PlanVersion, Price};
use tollbook_schemas::id::{MeterId, PlanId};
use tollbook_schemas::money::Currency;
use tollbook_schemas::period::{Period, print_instant};

use crate::compare::Difference;
use crate::document::{Line, LineContract, Shadow};
use crate::early::When;
use crate::ground::{Ground, Stopped, wrong};
use crate::harvest::Harvest;
use crate::number::Ratio;
use crate::rating::{Used, Working, price};
use crate::spans::Span;
use crate::stored::Object;
use crate::terms::Terms;
use crate::usage::{Origin, Usage};
use crate::{opening, rollover};

/// The word in the place of a model on a line of what was used while paused.
pub(crate) const PAUSED: &str = "paused";

/// What a month bills of itself: lines of one issuer and currency, without numbers.
#[derive(Default)]
pub(crate) struct Rated {
    pub(crate) lines: Vec<Object>,
    /// What the same spans would have cost on other plans, numbered.
    pub(crate) shadows: Vec<Shadow>,
    /// The months of all subscriptions together; none where none is billed.
    pub(crate) whole: Option<Period>,
    /// Partners that are paid for and of which nothing can be derived, each with why.
    pub(crate) blocked: BTreeMap<String, String>,
}

/// The plan that a span's own names for its shadow bill, with the version in force when the span begins.
pub(crate) fn shadow_plan<'a>(catalog: &'a Catalog, span: &Span<'a>) -> Option<(&'a PlanId, &'a PlanVersion)> {
    let plan_id = span.version.shadow_of.as_ref()?;
    let versions = catalog.plans.get(plan_id)?;
    let in_force = versions.iter().filter(|version| version.effective_from <= span.billed.start);
    Some((plan_id, in_force.max_by_key(|version| version.effective_from)?))
}

/// The usage of one partner, of every meter that was asked for, each computed once.
pub(crate) struct Metering<'a> {
    usage: BTreeMap<&'a MeterId, Usage<'a>>,
}

impl<'a> Metering<'a> {
    /// Counts what a document needs of a harvest, of the partner of an origin.
    pub(crate) fn of(
        ground: &'a Ground,
        meters: &BTreeSet<MeterId>,
        harvest: &Harvest<'a>,
        origin: &Origin<'a>,
    ) -> Self {
        let wanted = ground.catalog().meters.iter().filter(|(id, _)| meters.contains(*id));
        let usage = wanted.filter_map(|(id, meter)| {
            let at = harvest.place_of(id)?;
            Some((id, Usage::of(origin, at, id, meter)))
        });
        Self { usage: usage.collect() }
    }
}

/// A line with its tax code.
pub(crate) type Coded = (Line, Option<String>);

/// What spans come to: lines of prices, and of what is missing to minimums, which stand behind those of all partners.
pub(crate) struct Priced {
    pub(crate) prices: Vec<Coded>,
    pub(crate) minimums: Vec<Coded>,
}

/// Prices spans of one partner.
///
/// # Errors
/// [`Stopped`].
pub(crate) fn priced(
    catalog: &Catalog,
    currency: Currency,
    metering: &Metering<'_>,
    spans: &[Span<'_>],
) -> Result<Priced, Stopped> {
    // Each with its tax code.
    let mut lines: Vec<Coded> = Vec::new();
    for span in spans {
        for price in span.due() {
            let number = number_of(lines.len() + 1);
            let told = |what| Difference::told("line", what).of_line(number, &price.description);
            let line = line_of(catalog, &metering.usage, span, plan_of(span), price).map_err(told)?;
            lines.push((Line { contract: contract_of(span), ..line }, price.tax_code.clone()));
            let paused = paused_line(catalog, &metering.usage, span, price).map_err(told)?;
            let paused = paused.map(|line| Line { contract: contract_of(span), ..line });
            lines.extend(paused.map(|line| (line, price.tax_code.clone())));
        }
    }
    let over = over(spans);
    let in_advance = in_advance(catalog, &metering.usage, &over).map_err(wrong)?;
    let minimums = minimums(&over, (&lines, &in_advance), currency).map_err(wrong)?;
    Ok(Priced { prices: lines, minimums })
}

/// A line as the object of its JSON.
pub(crate) fn as_object(line: &Line) -> Result<Object, String> {
    match serde_json::to_value(line) {
        Ok(Value::Object(line)) => Ok(line),
        _ => Err("the line has no JSON".to_owned()),
    }
}

fn contract_of(span: &Span<'_>) -> Option<LineContract> {
    let (id, terms) = span.contract?;
    Some(LineContract { contract_id: id.to_string(), version: terms.version })
}

/// Those that are over, of which usage is billed.
fn over<'s, 'a>(spans: &'s [Span<'a>]) -> Vec<&'s Span<'a>> {
    spans.iter().filter(|span| span.bills.over).collect()
}

fn plan_of<'a>(span: &Span<'a>) -> (&'a PlanId, &'a PlanVersion) {
    (&span.subscription.plan_id, span.version)
}

/// What periods that are over come to in advance, whichever invoice bore it.
fn in_advance(
    catalog: &Catalog,
    usage: &BTreeMap<&MeterId, Usage<'_>>,
    over: &[&Span<'_>],
) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for span in over {
        for price in span.prices.iter().filter(|price| When::of(price) == When::Before) {
            let line = line_of(catalog, usage, span, plan_of(span), price)?;
            lines.push(Line { contract: contract_of(span), ..line });
        }
    }
    Ok(lines)
}

/// What is missing to the minimum of each contract: one line for all that the contract priced, at 0 too. It asks what
/// the periods that are over come to: what is due early of others does not count, and what is charged once does not.
fn minimums(
    spans: &[&Span<'_>],
    (lines, in_advance): (&[Coded], &[Line]),
    currency: Currency,
) -> Result<Vec<Coded>, String> {
    let mut of_contracts: BTreeMap<LineContract, &Span<'_>> = BTreeMap::new();
    for span in spans.iter().copied() {
        if let Some(contract) = contract_of(span) {
            of_contracts.entry(contract).or_insert(span);
        }
    }
    let mut missing = Vec::new();
    for (contract, span) in of_contracts {
        let Some(minimum) = span.contract.and_then(|(_, terms)| terms.minimum.as_ref()) else { continue };
        let over = lines.iter().map(|(line, _)| line).filter(|line| line.terms.due.is_none());
        let priced = over.chain(in_advance).filter(|line| line.contract.as_ref() == Some(&contract));
        // What another system billed of a period counts too.
        let elsewhere = |line: &Line| line.terms.opening.as_ref().map_or(0, |opening| opening.amount_minor);
        let priced: i128 = priced.map(|line| i128::from(line.amount_minor) + i128::from(elsewhere(line))).sum();
        let least = Ratio::decimal(minimum.amount).to_minor(currency.exponent(), currency.step_minor());
        let least = least.ok_or("the minimum of a contract does not fit 63 bits")?;
        let amount = (i128::from(least) - priced).max(0);
        let amount = i64::try_from(amount).map_err(|_| "what is missing to a minimum does not fit 63 bits")?;
        let mut exact = Ratio::whole(amount);
        for _ in 0..currency.exponent() {
            exact = exact.part_of(10);
        }
        let line = Line {
            amount_minor: amount,
            by_hand: None,
            contract: Some(contract),
            description: minimum.description.clone(),
            line_number: 0,
            meter_id: None,
            plan_id: span.subscription.plan_id.to_string(),
            plan_version: span.version.version,
            price_id: "contract-minimum".to_owned(),
            price_model: "minimum".to_owned(),
            quantity: "1".to_owned(),
            span_end: print_instant(span.billed.end),
            span_start: print_instant(span.billed.start),
            subscription_id: span.subscription.subscription_id.to_string(),
            tax: None,
            terms: Terms::default(),
            unit: None,
            usage: Vec::new(),
            working: Working::of_exact(&exact),
            ..Line::default()
        };
        missing.push((line, minimum.tax_code.clone()));
    }
    Ok(missing)
}

/// What was used while the subscription was paused: a line of 0 for each meter of the plan of which something was,
/// behind the first of its prices.
fn paused_line(
    catalog: &Catalog,
    usage: &BTreeMap<&MeterId, Usage<'_>>,
    span: &Span<'_>,
    price: &Price,
) -> Result<Option<Line>, String> {
    let paused = span.paused();
    let (Some(id), Some(first), Some(last)) = (&price.meter, paused.first(), paused.last()) else { return Ok(None) };
    let of_plan = span.version.prices.iter().find(|other| other.meter.as_ref() == Some(id));
    if of_plan.is_none_or(|of_plan| of_plan.price_id != price.price_id) {
        return Ok(None);
    }
    let measured = usage.get(id).ok_or_else(|| format!("no usage of meter {id}"))?.measure(&paused)?;
    if measured.days.is_empty() {
        return Ok(None);
    }
    Ok(Some(Line {
        amount_minor: 0,
        by_hand: None,
        contract: None,
        description: format!("{}: used while paused, not charged", price.description),
        line_number: 0,
        meter_id: Some(id.to_string()),
        plan_id: span.subscription.plan_id.to_string(),
        plan_version: span.version.version,
        price_id: price.price_id.to_string(),
        price_model: PAUSED.to_owned(),
        quantity: measured.used.quantity.text(),
        span_end: print_instant(last.end),
        span_start: print_instant(first.start),
        subscription_id: span.subscription.subscription_id.to_string(),
        tax: None,
        terms: Terms::default(),
        unit: catalog.meters.get(id).map(|meter| meter.unit.clone()),
        usage: measured.days,
        working: Working::of_exact(&Ratio::whole(0)),
        ..Line::default()
    }))
}

/// The shadow bills of some spans of one partner, one for each other plan and currency.
pub(crate) fn shadows_of(
    catalog: &Catalog,
    Metering { usage }: &Metering<'_>,
    spans: &[Span<'_>],
) -> Result<Vec<Shadow>, String> {
    let mut shadows: Vec<Shadow> = Vec::new();
    for span in over(spans) {
        let Some((plan_id, version)) = shadow_plan(catalog, span) else { continue };
        let (plan, currency) = (plan_id.to_string(), version.currency.code().to_owned());
        let known = shadows.iter().position(|shadow| shadow.plan_id == plan && shadow.currency == currency);
        let at = known.unwrap_or(shadows.len());
        if known.is_none() {
            shadows.push(Shadow { currency, lines: Vec::new(), plan_id: plan, total_minor: 0 });
        }
        // What it would have cost, whenever it would have been due; nobody would have paid a setup fee each time.
        for price in version.prices.iter().filter(|price| When::of(price) != When::Once) {
            let line = line_of(catalog, usage, &span.on_another_plan(), (plan_id, version), price)?;
            let line = Line { terms: Terms::default(), ..line };
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

fn line_of(
    catalog: &Catalog,
    usage: &BTreeMap<&MeterId, Usage<'_>>,
    span: &Span<'_>,
    (plan_id, version): (&PlanId, &PlanVersion),
    priced: &Price,
) -> Result<Line, String> {
    let meter = priced.meter.as_ref().and_then(|id| catalog.meters.get(id));
    let (used, days) = match &priced.meter {
        None => (Used::of(span.units(priced.tariff.settings.per)), Vec::new()),
        Some(id) => {
            let measured = usage.get(id).ok_or_else(|| format!("no usage of meter {id}"))?.measure(&span.running())?;
            (measured.used, measured.days)
        }
    };
    let (carried, rollover) = rollover::carried_to(catalog, usage, span, priced)?.unzip();
    let used = Used { served: Some(span.served(priced)), carried, ..used };
    let (amount_minor, working, opening) = match &span.openings {
        None => {
            let (amount_minor, working) = price(&priced.tariff, &used, version.currency)?;
            (amount_minor, working, None)
        }
        Some(openings) => {
            let before = opening::used_before(openings, priced, meter)?;
            let rest = opening::price_after(&priced.tariff, &before, &used, version.currency)?;
            (rest.amount_minor, rest.working, Some(rest.opening))
        }
    };
    Ok(Line {
        amount_minor,
        by_hand: None,
        contract: None,
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
        tax: None,
        terms: Terms { due: When::of(priced).word(), opening, rollover },
        unit: meter.map(|meter| meter.unit.clone()),
        usage: days,
        working,
        ..Line::default()
    })
}
