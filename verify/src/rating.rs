//! A price once more: what a quantity costs, from `docs/money.md` and not from `billing/rating`. Takes a price of the
//! catalog and what was used, gives minor units and the working that is printed beside them. Exact to the one rounding.
//!
//! What the catalog keeps out of plans (prices of single events, prorated units) is an error here.

mod percentage;

use std::collections::BTreeMap;

use serde::Serialize;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Direction;
use tollbook_schemas::money::Currency;
use tollbook_schemas::price::setting::{
    FixedFeeAtZeroTotal, Limits, LimitsInPart, NegativeTotal, PackageRemainder, Per, Proration, QuantityBasis,
    SplitRounding, TierEdge, ZeroUsageFirstTierFlat,
};
use tollbook_schemas::price::{Cell, PriceModel, Settings, Steps, Tariff, Tier};

use crate::number::Ratio;
use percentage::of_percentage;

/// Values of dimensions.
pub type Dimensions = BTreeMap<String, String>;

/// What one price is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The meter's quantity; 1 of a flat price.
    pub quantity: Ratio,
    /// Requests that have a value.
    pub event_count: Option<i64>,
    /// The amount of each request in the order of time, of a meter that keeps them.
    pub amounts: Option<Vec<Ratio>>,
    /// The quantity by dimensions, of a meter that counts or sums.
    pub groups: Option<BTreeMap<Dimensions, Ratio>>,
    /// How much of its period a line bills; none for all of it, with one unit.
    pub served: Option<Served>,
    /// Where another system billed the begin of the period: what was used before and what was since. Else empty.
    pub pieces: Vec<Ratio>,
    /// Included units that earlier periods left.
    pub carried: Option<Ratio>,
}

impl Used {
    /// A quantity alone.
    #[must_use]
    pub fn of(quantity: Ratio) -> Self {
        Self {
            quantity,
            event_count: None,
            amounts: None,
            groups: None,
            served: None,
            pieces: Vec::new(),
            carried: None,
        }
    }
}

/// How long something lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Microseconds.
    pub micros: i64,
    /// Local days.
    pub days: i64,
}

/// A stretch of a period with so many units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// How long.
    pub length: Length,
    /// Units, such as seats; one where nobody counts them.
    pub units: Ratio,
}

/// What is billed of a period: the stretches in which something was served, in order, and the whole period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The whole period.
    pub whole: Length,
    /// Stretches; none of what was paused throughout.
    pub stretches: Vec<Stretch>,
}

/// A part of a period that is not all of it.
struct Share {
    exact: Ratio,
    label: String,
}

/// By what a part is measured.
#[derive(Clone, Copy)]
enum Measure {
    Time,
    Days,
}

impl Measure {
    fn of_amount(proration: Proration) -> Option<Self> {
        match proration {
            Proration::None => None,
            Proration::ByTime => Some(Self::Time),
            Proration::ByDay => Some(Self::Days),
        }
    }

    fn of_limits(limits: LimitsInPart) -> Option<Self> {
        match limits {
            LimitsInPart::Whole => None,
            LimitsInPart::ByTime => Some(Self::Time),
            LimitsInPart::ByDay => Some(Self::Days),
        }
    }

    fn of(self, length: Length) -> i64 {
        match self {
            Self::Time => length.micros,
            Self::Days => length.days,
        }
    }
}

impl Served {
    /// So much of the period; none where it is all of it.
    fn share(&self, part: i64, measure: Measure) -> Option<Share> {
        let whole = measure.of(self.whole);
        let exact = Ratio::whole(part).over(&Ratio::whole(whole)).filter(|share| *share < Ratio::whole(1))?;
        let label = match measure {
            Measure::Days => format!("{part} of {whole} days"),
            Measure::Time => {
                let units = [(3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1, "\u{b5}s")];
                let (unit, name) = units.into_iter().find(|(unit, _)| part % unit == 0 && whole % unit == 0)?;
                format!("{} of {} {name}", part / unit, whole / unit)
            }
        };
        Some(Share { exact, label })
    }

    /// All that was served.
    fn all(&self, measure: Measure) -> Option<Share> {
        self.share(self.stretches.iter().map(|stretch| measure.of(stretch.length)).sum(), measure)
    }
}

/// One tier of a graduated price, as printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TierWorking {
    exact: String,
    flat_price: String,
    from: String,
    quantity: String,
    unit_price: String,
    up_to: Option<String>,
}

/// One part of a sum, as printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartWorking {
    exact: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<String>,
}

/// How an amount came about, as printed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Working {
    #[serde(skip_serializing_if = "Option::is_none")]
    billable: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<PartWorking>,
    exact: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tiers: Vec<TierWorking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_price: Option<String>,
}

impl Working {
    /// Of what no price makes: the sum alone.
    pub(crate) fn of_exact(exact: &Ratio) -> Self {
        Self { exact: exact.text(), ..Self::default() }
    }

    /// Of a sum that is told by its parts.
    pub(crate) fn of_sum(exact: &Ratio, parts: Vec<(String, Ratio)>) -> Self {
        let part = |(name, exact): (String, Ratio)| PartWorking { exact: exact.text(), name, quantity: None };
        Self { components: parts.into_iter().map(part).collect(), ..Self::of_exact(exact) }
    }

    /// Of parts with their quantities.
    pub(crate) fn of_parts(exact: &Ratio, parts: Vec<(String, Ratio, Ratio)>) -> Self {
        let part = |(name, quantity, exact): (String, Ratio, Ratio)| PartWorking {
            exact: exact.text(),
            name,
            quantity: Some(quantity.text()),
        };
        Self { components: parts.into_iter().map(part).collect(), ..Self::of_exact(exact) }
    }
}

/// One part of a sum.
struct Part {
    name: String,
    quantity: Option<Ratio>,
    exact: Ratio,
}

fn part(name: impl Into<String>, quantity: Option<Ratio>, exact: Ratio) -> Part {
    Part { name: name.into(), quantity, exact }
}

/// What is done to a price behind its model.
type Step<'a> = &'a dyn Fn(&Steps, &mut Priced);

/// What a model makes of a quantity.
struct Priced {
    billable: Ratio,
    parts: Vec<Part>,
    tiers: Vec<TierWorking>,
    /// Whether a part of the month, or a number of units, is told.
    is_part: bool,
}

impl Priced {
    fn of(billable: &Ratio, parts: Vec<Part>) -> Self {
        Self { billable: billable.clone(), parts, tiers: Vec::new(), is_part: false }
    }

    fn sum(&self) -> Ratio {
        self.parts.iter().map(|part| part.exact.clone()).sum()
    }
}

/// What is due, in minor units, and how it came about.
///
/// # Errors
/// Why there is no amount, in words.
pub fn price(tariff: &Tariff, used: &Used, currency: Currency) -> Result<(i64, Working), String> {
    if tariff.settings.quantity_basis == QuantityBasis::Prorated {
        return Err("a plan has no prorated units".to_owned());
    }
    let mut priced = if used.quantity.is_negative() {
        if tariff.settings.negative_total == NegativeTotal::Refused {
            return Err(format!("the quantity {} is below zero", used.quantity.text()));
        }
        Priced::of(&Ratio::whole(0), Vec::new())
    } else {
        let mut priced = of_model(tariff, used)?;
        let limits = Limited::of(tariff, used);
        if let (Some(included), Some(label)) = (&limits.included, &limits.label) {
            priced
                .parts
                .insert(0, part(format!("included units for {label}"), Some(included.clone()), Ratio::whole(0)));
        }
        if let Some(carried) = used.carried.as_ref().filter(|carried| !carried.is_zero()) {
            priced.parts.insert(0, part("units carried over", Some(carried.clone()), Ratio::whole(0)));
        }
        let hold_in_limits = |_: &Steps, priced: &mut Priced| limits.hold(priced);
        let in_order: [Step<'_>; 2] = match tariff.settings.limits {
            Limits::BeforeDiscount => [&hold_in_limits, &take_discount],
            Limits::AfterDiscount => [&take_discount, &hold_in_limits],
        };
        in_order.iter().for_each(|step| step(&tariff.steps, &mut priced));
        priced
    };
    let exact = priced.sum();
    let minor = exact.to_minor(currency.exponent(), currency.step_minor());
    let minor = minor.ok_or_else(|| format!("{} {currency} does not fit 63 bits of minor units", exact.text()))?;
    let is_bare = tariff.steps == Steps::default() && !priced.is_part;
    let working = match &tariff.model {
        PriceModel::Flat { .. } if is_bare => Working::default(),
        PriceModel::PerUnit { unit_price } if is_bare => {
            Working { unit_price: Some(Ratio::decimal(*unit_price).text()), ..Working::default() }
        }
        PriceModel::Graduated { tiers } if is_bare && tiers.iter().all(|tier| tier.package_size.is_none()) => {
            Working { tiers: std::mem::take(&mut priced.tiers), ..Working::default() }
        }
        _ => Working {
            billable: Some(priced.billable.text()),
            components: priced
                .parts
                .into_iter()
                .map(|part| PartWorking {
                    exact: part.exact.text(),
                    name: part.name,
                    quantity: part.quantity.as_ref().map(Ratio::text),
                })
                .collect(),
            ..Working::default()
        },
    };
    Ok((minor, Working { exact: exact.text(), ..working }))
}

/// Conversion, rounding of the quantity.
fn converted(steps: &Steps, quantity: &Ratio) -> Result<Ratio, String> {
    let mut quantity = quantity.clone();
    if let Some(convert) = steps.convert {
        let by = Ratio::decimal(convert.multiply_by).over(&Ratio::decimal(convert.divide_by));
        quantity = &quantity * &by.ok_or("a conversion divides by 0")?;
    }
    if let Some(round) = steps.round_quantity {
        let step = Ratio::decimal(round.to_multiple_of);
        quantity = quantity.to_multiple(&step, round.direction).ok_or("a quantity is rounded to multiples of 0")?;
    }
    Ok(quantity)
}

/// What a price includes of the part of a period, and what of it was used, both in the unit that is priced.
///
/// # Errors
/// What cannot be converted, in words.
pub(crate) fn allowance(tariff: &Tariff, used: &Used) -> Result<(Ratio, Ratio), String> {
    let included = Limited::of(tariff, used).included.unwrap_or(Ratio::whole(0));
    Ok((included, above_zero(converted(&tariff.steps, &used.quantity)?)))
}

fn above_zero(number: Ratio) -> Ratio {
    number.max(Ratio::whole(0))
}

fn per_cent(percent: Decimal, of: &Ratio) -> Ratio {
    (&Ratio::decimal(percent) * of).part_of(100)
}

fn of_model(tariff: &Tariff, used: &Used) -> Result<Priced, String> {
    let is_each = tariff.settings.split_rounding == SplitRounding::Each && !used.pieces.is_empty();
    let mut units = match is_each {
        true => used.pieces.iter().map(|piece| converted(&tariff.steps, piece)).sum::<Result<Ratio, String>>()?,
        false => converted(&tariff.steps, &used.quantity)?,
    };
    if let Some(included) = Limited::of(tariff, used).included {
        let free = &included + &used.carried.clone().unwrap_or(Ratio::whole(0));
        units = above_zero(&units - &free);
    }
    let pays_at_zero = tariff.settings.zero_usage_first_tier_flat == ZeroUsageFirstTierFlat::Charged;
    Ok(match &tariff.model {
        PriceModel::Flat { amount } => flat(&Ratio::decimal(*amount), &units, used.served.as_ref(), tariff.settings),
        PriceModel::PerUnit { unit_price } => {
            let exact = &units * &Ratio::decimal(*unit_price);
            Priced::of(&units, vec![part("units", Some(units.clone()), exact)])
        }
        PriceModel::Graduated { tiers } => graduated(tiers, &units, tariff.settings)?,
        PriceModel::Volume { tiers } => {
            let place = match tariff.settings.tier_edge {
                TierEdge::HalfOpen => units.clone(),
                TierEdge::Ceil => units.to_multiple(&Ratio::whole(1), Direction::Up).ok_or("no whole unit")?,
            };
            let holds = |tier: &Tier| tier.up_to.is_none_or(|up_to| place <= Ratio::decimal(up_to));
            let at = tiers.iter().position(holds).ok_or("a volume price has no tier for the quantity")?;
            let (unit_price, flat) = (Ratio::decimal(tiers[at].unit_price), Ratio::decimal(tiers[at].flat_price));
            let (sold, name) = sold(&tiers[at], &units, tariff.settings)?;
            let mut parts = Vec::new();
            if !unit_price.is_zero() {
                parts.push(part(format!("tier {} {name}", at + 1), Some(sold.clone()), &sold * &unit_price));
            }
            if !flat.is_zero() && (pays_at_zero || !units.is_zero()) {
                parts.push(part(format!("tier {} flat", at + 1), None, flat));
            }
            Priced::of(&units, parts)
        }
        PriceModel::Package { package_size, package_price, free_units } => {
            let sold = above_zero(&units - &Ratio::decimal(*free_units));
            let size = Ratio::decimal(*package_size);
            let direction = match tariff.settings.package_remainder {
                PackageRemainder::Full => Direction::Up,
                PackageRemainder::Down => Direction::Down,
            };
            let covered = sold.to_multiple(&size, direction).ok_or("a package of 0 units")?;
            let packages = covered.over(&size).ok_or("a package of 0 units")?;
            let exact = &packages * &Ratio::decimal(*package_price);
            Priced::of(&units, vec![part("packages", Some(packages), exact)])
        }
        PriceModel::Percentage(percentage) => {
            let fee_at_zero = tariff.settings.fixed_fee_at_zero_total == FixedFeeAtZeroTotal::Charged;
            of_percentage(percentage, used, fee_at_zero)?
        }
        PriceModel::GraduatedPercentage { tiers } => {
            let mut parts = Vec::new();
            let mut from = Ratio::whole(0);
            for (at, tier) in tiers.iter().enumerate() {
                let is_entered = units > from;
                if is_entered || at == 0 {
                    let up_to = tier.up_to.map_or(units.clone(), |up_to| units.clone().min(Ratio::decimal(up_to)));
                    let inside = &up_to - &from;
                    if !Ratio::decimal(tier.percent).is_zero() {
                        let exact = per_cent(tier.percent, &inside);
                        parts.push(part(format!("tier {} percentage", at + 1), Some(inside), exact));
                    }
                    let flat = Ratio::decimal(tier.flat_price);
                    if !flat.is_zero() && (is_entered || pays_at_zero) {
                        parts.push(part(format!("tier {} flat", at + 1), None, flat));
                    }
                }
                from = tier.up_to.map_or(units.clone(), Ratio::decimal);
            }
            Priced::of(&units, parts)
        }
        PriceModel::Matrix { dimensions, cells, default_unit_price } => {
            let default = default_unit_price.map(Ratio::decimal);
            matrix(dimensions, cells, default.as_ref(), &tariff.steps, used)?
        }
        PriceModel::Dynamic { multiplier } => {
            if used.amounts.iter().flatten().any(Ratio::is_negative) {
                return Err("an event has an amount below zero".to_owned());
            }
            let exact = &used.quantity * &Ratio::decimal(*multiplier);
            Priced::of(&used.quantity, vec![part("amount", Some(used.quantity.clone()), exact)])
        }
    })
}

/// Each unit at the price of its own tier; a tier that is entered may cost a flat price. The first is always entered.
fn graduated(tiers: &[Tier], units: &Ratio, settings: Settings) -> Result<Priced, String> {
    let pays_at_zero = settings.zero_usage_first_tier_flat == ZeroUsageFirstTierFlat::Charged;
    let mut priced = Priced::of(units, Vec::new());
    let mut from = Ratio::whole(0);
    for (at, tier) in tiers.iter().enumerate() {
        if at == 0 || *units > from {
            let top = tier.up_to.map_or(units.clone(), |up_to| units.clone().min(Ratio::decimal(up_to)));
            let inside = &top - &from;
            let (unit_price, flat) = (Ratio::decimal(tier.unit_price), Ratio::decimal(tier.flat_price));
            let (sold, name) = sold(tier, &inside, settings)?;
            let cost = &sold * &unit_price;
            let flat_due = if pays_at_zero || !units.is_zero() { flat.clone() } else { Ratio::whole(0) };
            if !unit_price.is_zero() {
                priced.parts.push(part(format!("tier {} {name}", at + 1), Some(sold), cost.clone()));
            }
            if !flat_due.is_zero() {
                priced.parts.push(part(format!("tier {} flat", at + 1), None, flat_due.clone()));
            }
            priced.tiers.push(TierWorking {
                exact: (&cost + &flat_due).text(),
                flat_price: flat.text(),
                from: from.text(),
                quantity: inside.text(),
                unit_price: unit_price.text(),
                up_to: tier.up_to.map(|up_to| Ratio::decimal(up_to).text()),
            });
        }
        from = tier.up_to.map_or(units.clone(), Ratio::decimal);
    }
    Ok(priced)
}

/// What a tier sells of the units in it, and how it is called: units, or packages of them.
fn sold(tier: &Tier, units: &Ratio, settings: Settings) -> Result<(Ratio, &'static str), String> {
    let Some(size) = tier.package_size else { return Ok((units.clone(), "units")) };
    let direction = match settings.package_remainder {
        PackageRemainder::Full => Direction::Up,
        PackageRemainder::Down => Direction::Down,
    };
    let size = Ratio::decimal(size);
    let packages = units.to_multiple(&size, direction).and_then(|covered| covered.over(&size));
    Ok((packages.ok_or("a package of 0 units")?, "packages"))
}

fn matrix(
    dimensions: &[String],
    cells: &[Cell],
    default: Option<&Ratio>,
    steps: &Steps,
    used: &Used,
) -> Result<Priced, String> {
    let mut priced = Priced::of(&Ratio::whole(0), Vec::new());
    let Some(groups) = &used.groups else {
        return if used.quantity.is_zero() { Ok(priced) } else { Err("the usage is not split".to_owned()) };
    };
    let mut by_values: BTreeMap<Vec<&str>, Ratio> = BTreeMap::new();
    for (values, quantity) in groups {
        if quantity.is_negative() {
            return Err(format!("the quantity {} is below zero", quantity.text()));
        }
        let value = |name: &String| values.get(name).map(String::as_str).ok_or(format!("usage without {name}"));
        let values = dimensions.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let sum = by_values.entry(values).or_insert(Ratio::whole(0));
        *sum = &*sum + quantity;
    }
    for (values, quantity) in by_values {
        let named = values.join(", ");
        let cell = cells.iter().find(|cell| cell.values == values).map(|cell| Ratio::decimal(cell.unit_price));
        let unit_price = cell.or(default.cloned()).ok_or(format!("the matrix has no cell {named}"))?;
        let quantity = converted(steps, &quantity)?;
        priced.billable = &priced.billable + &quantity;
        priced.parts.push(part(format!("cell {named}"), Some(quantity.clone()), &quantity * &unit_price));
    }
    Ok(priced)
}

/// Included units and limits, as much of them as a part of the month is worth.
struct Limited {
    included: Option<Ratio>,
    minimum: Option<Ratio>,
    maximum: Option<Ratio>,
    /// Which part, where it is one.
    label: Option<String>,
}

impl Limited {
    fn of(tariff: &Tariff, used: &Used) -> Self {
        let measure = Measure::of_limits(tariff.settings.limits_in_part);
        let share = used.served.as_ref().zip(measure).and_then(|(served, measure)| served.all(measure));
        let exact = share.as_ref().map_or(Ratio::whole(1), |share| share.exact.clone());
        let of = |limit: Option<Decimal>| limit.map(|limit| &Ratio::decimal(limit) * &exact);
        let Steps { included, minimum, maximum, .. } = tariff.steps;
        let label = share.map(|share| share.label);
        Self { included: of(included), minimum: of(minimum), maximum: of(maximum), label }
    }

    fn hold(&self, priced: &mut Priced) {
        let sum = priced.sum();
        let least = self.minimum.as_ref().filter(|least| **least > sum);
        let most = self.maximum.as_ref().filter(|most| **most < sum);
        for (name, limit) in [("minimum", least), ("maximum", most)] {
            let name = self.label.as_ref().map_or(name.to_owned(), |label| format!("{name} for {label}"));
            priced.parts.extend(limit.map(|limit| part(name, None, limit - &sum)));
        }
    }
}

/// The same for each period; for each of its parts, and for each unit, where the price says so.
fn flat(amount: &Ratio, quantity: &Ratio, served: Option<&Served>, settings: Settings) -> Priced {
    let once = || Priced::of(quantity, vec![part("amount", None, amount.clone())]);
    let Some(served) = served else { return once() };
    let is_per_unit = settings.per == Per::Unit;
    let units_of = |stretch: &Stretch| if is_per_unit { stretch.units.clone() } else { Ratio::whole(1) };
    // What is charged: units, and for which part of the period.
    let mut charges: Vec<(Ratio, Option<Share>)> = Vec::new();
    match Measure::of_amount(settings.proration) {
        None => charges.extend(served.stretches.iter().map(units_of).max().map(|units| (units, None))),
        Some(measure) => {
            // Stretches that follow each other with the same units are told as one.
            let mut joined: Vec<(Ratio, i64)> = Vec::new();
            for stretch in &served.stretches {
                let (units, length) = (units_of(stretch), measure.of(stretch.length));
                match joined.last_mut() {
                    Some((last, sum)) if *last == units => *sum += length,
                    _ => joined.push((units, length)),
                }
            }
            charges.extend(joined.into_iter().map(|(units, length)| (units, served.share(length, measure))));
        }
    }
    if !is_per_unit && charges.iter().any(|(_, share)| share.is_none()) {
        return once();
    }
    let mut priced = Priced { is_part: true, ..Priced::of(&Ratio::whole(0), Vec::new()) };
    for (units, share) in charges {
        let charged = share.as_ref().map_or(units.clone(), |share| &share.exact * &units);
        let name = match (is_per_unit, share) {
            (true, None) => "units".to_owned(),
            (true, Some(share)) => format!("{} units, {}", units.text(), share.label),
            (false, share) => share.map(|share| share.label).unwrap_or_default(),
        };
        priced.billable = &priced.billable + &charged;
        priced.parts.push(part(name, Some(charged.clone()), &charged * amount));
    }
    priced
}

fn take_discount(steps: &Steps, priced: &mut Priced) {
    if let Some(percent) = steps.discount_percent {
        let off = -&per_cent(percent, &priced.sum());
        if !off.is_zero() {
            priced.parts.push(part("discount", None, off));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
