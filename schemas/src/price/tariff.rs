//! From a table to a checked price: its model, its steps, its settings. Every flaw is collected with its place; nothing
//! is repaired.

use std::ops::Range;

use super::foreign::meaning_of_model;
use super::node::{Node, Value};
use super::read::{Reading, Table};
use super::setting::{
    Charged, Due, FixedFeeAtZeroTotal, Limits, LimitsInPart, NegativeTotal, PackageRemainder, Per, Proration,
    QuantityBasis, Settings, SplitRounding, TierEdge, VolumeBeforeEnd, ZeroUsageFirstTierFlat,
};
use super::{Cell, Convert, Percentage, PriceModel, RoundQuantity, Steps, Tariff, named_conversions, tiers};
use crate::decimal::Decimal;
use crate::exact::Direction;
use crate::nearest::nearest;

/// The words of the models.
pub(crate) const MODELS: &[&str] =
    &["flat", "per_unit", "graduated", "volume", "package", "percentage", "graduated_percentage", "matrix", "dynamic"];

/// Periods for which included units carry over, at most: ten years of months.
const ROLLOVER_PERIODS_MAX: u32 = 120;

/// Reads a price from a table whose other keys (id, description, meter) are taken already.
pub fn tariff(table: &mut Table<'_>, reading: &mut Reading) -> Option<Tariff> {
    let flaws_before = reading.flaws.len();
    let model_at = table.place_or_table("model");
    let Some(word) = table.required(reading, "model", "a price", Table::text) else {
        // Which keys it may have, its model says.
        table.take_all();
        return None;
    };
    // What misses a key is the model's word, so its place is shown.
    let table_at = std::mem::replace(&mut table.at, model_at.clone());
    let model = model(&word, table, reading);
    table.at = table_at;
    let steps_at = ["convert", "round_quantity", "included"].map(|name| table.place(name));
    let steps = steps(table, reading);
    let said = table.node("settings");
    let settings = settings(table, reading);
    let (model, steps, settings) = (model?, steps?, settings?);
    steps_of_model(&model, table, steps_at, reading);
    if let Some(said) = said {
        settings_of_model(&model, &steps, (settings, said), &table.path_of("settings"), reading);
    }
    (reading.flaws.len() == flaws_before).then_some(Tariff { model, steps, settings })
}

fn model(word: &str, table: &mut Table<'_>, reading: &mut Reading) -> Option<PriceModel> {
    let whose = format!("a {word} price");
    // All keys of the model, so that a flaw in one does not make the others unknown.
    match word {
        "package" => table.know(&["package_size", "package_price", "free_units"]),
        "percentage" => {
            table.know(&["percent", "fixed_fee", "event_minimum", "event_maximum", "free_events", "free_total"])
        }
        "matrix" => table.know(&["dimensions", "default_unit_price", "cells"]),
        word if !MODELS.contains(&word) => table.take_all(),
        _ => {}
    }
    let model = match word {
        "flat" => PriceModel::Flat { amount: table.required(reading, "amount", &whose, Table::amount)? },
        "per_unit" => PriceModel::PerUnit { unit_price: table.required(reading, "unit_price", &whose, Table::amount)? },
        "graduated" => PriceModel::Graduated { tiers: table.required(reading, "tiers", &whose, tiers::unit_tiers)? },
        "volume" => PriceModel::Volume { tiers: table.required(reading, "tiers", &whose, tiers::unit_tiers)? },
        "graduated_percentage" => {
            PriceModel::GraduatedPercentage { tiers: table.required(reading, "tiers", &whose, tiers::percent_tiers)? }
        }
        "package" => {
            let package_size = table.required(reading, "package_size", &whose, Table::above_zero);
            let package_price = table.required(reading, "package_price", &whose, Table::amount);
            let free_units = table.optional(reading, "free_units", Table::amount)?.unwrap_or(Decimal::ZERO);
            PriceModel::Package { package_size: package_size?, package_price: package_price?, free_units }
        }
        "percentage" => {
            let percent = table.required(reading, "percent", &whose, Table::amount);
            let at = table.place_or_table("event_maximum");
            let percentage = Percentage {
                fixed_fee: table.optional(reading, "fixed_fee", Table::amount)?.unwrap_or(Decimal::ZERO),
                event_minimum: table.optional(reading, "event_minimum", Table::amount)?,
                event_maximum: table.optional(reading, "event_maximum", Table::amount)?,
                free_events: table.optional(reading, "free_events", Table::count)?,
                free_total: table.optional(reading, "free_total", Table::amount)?,
                percent: percent?,
            };
            if let (Some(least), Some(most)) = (percentage.event_minimum, percentage.event_maximum)
                && least > most
            {
                let path = table.path_of("event_maximum");
                reading.flaw(at, &path, format!("maximum {most} is below minimum {least}"), "exchange them");
            }
            PriceModel::Percentage(percentage)
        }
        "matrix" => matrix(table, reading, &whose)?,
        "dynamic" => {
            let multiplier = table.optional(reading, "multiplier", Table::amount)?.unwrap_or(Decimal::whole(1));
            PriceModel::Dynamic { multiplier }
        }
        _ => {
            let what = format!("price model {word:?} is not known, expected one of {}", MODELS.join(", "));
            let path = table.path_of("model");
            let mend = match (meaning_of_model(word), nearest(word, MODELS.iter().copied())) {
                (Some(mend), _) => mend.to_owned(),
                (None, Some(known)) => format!("did you mean {known}?"),
                (None, None) => "use one of these".to_owned(),
            };
            reading.flaw(table.at(), &path, what, mend);
            return None;
        }
    };
    Some(model)
}

fn matrix(table: &mut Table<'_>, reading: &mut Reading, whose: &str) -> Option<PriceModel> {
    let dimensions = table.required(reading, "dimensions", whose, Table::texts)?;
    let default_unit_price = table.optional(reading, "default_unit_price", Table::amount)?;
    let path = table.path_of("cells");
    let at = table.place_or_table("cells");
    let mut cells: Vec<Cell> = Vec::new();
    let entries = match table.take("cells").map(|node| (node, &node.value)) {
        Some((_, Value::List(entries))) => entries.as_slice(),
        Some((node, _)) => {
            reading.wrong_type(node, &path, "a list of cells");
            return None;
        }
        None => &[],
    };
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let mut cell = Table::of(entry, &path, reading)?;
        let values = cell.required(reading, "values", "a cell", Table::texts)?;
        if cell.has("price") {
            let what = "a cell has a unit_price; only an estimate takes a price in its place";
            let mend = "write unit_price, or a price of its own, of a meter whose filter is this combination";
            reading.flaw(entry.at.clone(), &format!("{path}.price"), what, mend);
            return None;
        }
        let unit_price = cell.required(reading, "unit_price", "a cell", Table::amount)?;
        cell.finish(reading);
        if values.len() != dimensions.len() {
            let what = format!("the cell has {} values for {} dimensions", values.len(), dimensions.len());
            reading.flaw(
                entry.at.clone(),
                &path,
                what,
                format!("write one value for each of {}", dimensions.join(", ")),
            );
        }
        if cells.iter().any(|other| other.values == values) {
            let what = format!("the cell {} is there twice", values.join(", "));
            reading.flaw(entry.at.clone(), &path, what, "remove one");
        }
        cells.push(Cell { values, unit_price });
    }
    if dimensions.is_empty() || (cells.is_empty() && default_unit_price.is_none()) {
        let what = "the matrix has no price";
        if !dimensions.is_empty() && table.tell_meant(reading, &["cells", "default_unit_price"], what) {
            return None;
        }
        reading.flaw(at, &path, what, "name dimensions, and write cells or default_unit_price");
        return None;
    }
    Some(PriceModel::Matrix { dimensions, cells, default_unit_price })
}

fn steps(table: &mut Table<'_>, reading: &mut Reading) -> Option<Steps> {
    let convert = table.optional(reading, "convert", convert);
    let round_quantity = table.optional(reading, "round_quantity", round_quantity);
    let included = table.optional(reading, "included", Table::amount);
    let rollover_at = table.place_or_table("rollover_periods");
    let rollover_periods = table.optional(reading, "rollover_periods", Table::count);
    if let Some(Some(periods)) = rollover_periods {
        let path = table.path_of("rollover_periods");
        if !(1..=ROLLOVER_PERIODS_MAX).contains(&periods) {
            let what = format!("rollover_periods must be 1 to {ROLLOVER_PERIODS_MAX}");
            reading.flaw(
                rollover_at.clone(),
                &path,
                what,
                "write for how many periods unused units hold, or leave it out",
            );
        }
        if included == Some(None) && table.meant_for("included").is_none() {
            let what = "rollover_periods says nothing without included";
            reading.flaw(rollover_at, &path, what, "add included: the units of each period");
        }
    }
    let maximum_at = table.place_or_table("maximum");
    let minimum = table.optional(reading, "minimum", Table::amount);
    let maximum = table.optional(reading, "maximum", Table::amount);
    let discount_at = table.place_or_table("discount_percent");
    let discount_percent = table.optional(reading, "discount_percent", Table::amount);
    if let (Some(Some(least)), Some(Some(most))) = (minimum, maximum)
        && least > most
    {
        let what = format!("maximum {most} is below minimum {least}");
        reading.flaw(maximum_at, &table.path_of("maximum"), what, "exchange them");
    }
    if let Some(Some(percent)) = discount_percent
        && percent > Decimal::whole(100)
    {
        let what = format!("a discount of {percent} per cent is more than everything");
        reading.flaw(discount_at, &table.path_of("discount_percent"), what, "use 0 to 100");
    }
    Some(Steps {
        convert: convert?,
        round_quantity: round_quantity?,
        included: included?,
        rollover_periods: rollover_periods?,
        minimum: minimum?,
        maximum: maximum?,
        discount_percent: discount_percent?,
    })
}

fn convert(node: &Node, path: &str, reading: &mut Reading) -> Option<Convert> {
    if let Value::Text(name) = &node.value {
        let Some(factor) = named_conversions().get(name.as_str()).copied() else {
            let names: Vec<&str> = named_conversions().into_keys().collect();
            let what = format!("conversion {name:?} is not known, expected one of {}", names.join(", "));
            let mend = match nearest(name, names.iter().copied()) {
                Some(known) => format!("did you mean {known}?"),
                None => "use one of these, or such as { divide_by = \"1000\" }".to_owned(),
            };
            reading.flaw(node.at.clone(), path, what, mend);
            return None;
        };
        return Some(Convert { divide_by: Decimal::whole(factor), multiply_by: Decimal::whole(1) });
    }
    let mut table = Table::of(node, path, reading)?;
    let divide_by = table.optional(reading, "divide_by", Table::above_zero)?;
    let multiply_by = table.optional(reading, "multiply_by", Table::above_zero)?;
    let has_only_known = table.finish(reading);
    if divide_by.is_none() && multiply_by.is_none() {
        if !has_only_known {
            return None;
        }
        reading.flaw(node.at.clone(), path, "the conversion has no factor", "add divide_by or multiply_by");
        return None;
    }
    let one = Decimal::whole(1);
    Some(Convert { divide_by: divide_by.unwrap_or(one), multiply_by: multiply_by.unwrap_or(one) })
}

fn round_quantity(node: &Node, path: &str, reading: &mut Reading) -> Option<RoundQuantity> {
    let mut table = Table::of(node, path, reading)?;
    let direction = table.required(reading, "direction", "round_quantity", |node, path, reading| {
        let direction = match Table::text(node, path, reading)?.as_str() {
            "up" => Direction::Up,
            "down" => Direction::Down,
            "half_up" => Direction::HalfUp,
            other => {
                let what = format!("direction {other:?} is not known");
                reading.flaw(node.at.clone(), path, what, "use up, down or half_up");
                return None;
            }
        };
        Some(direction)
    });
    let multiple = table.optional(reading, "to_multiple_of", Table::above_zero)?;
    let digits = table.optional(reading, "digits", |node, path, reading| {
        let digits = match &node.value {
            Value::Whole(digits) => i32::try_from(*digits).ok(),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        let step = digits.and_then(|digits| 10_i128.checked_pow(u32::try_from(12_i32.checked_sub(digits)?).ok()?));
        let step = step.and_then(|step| Decimal::from_unscaled(step).ok());
        if step.is_none() {
            let what = "digits are not a whole number from -25 to 12";
            reading.flaw(node.at.clone(), path, what, "write 2 for hundredths, -2 for hundreds");
        }
        step
    })?;
    table.finish(reading);
    if multiple.is_some() && digits.is_some() {
        let what = "to_multiple_of and digits say two things";
        reading.flaw(node.at.clone(), path, what, "remove one");
        return None;
    }
    let to_multiple_of = multiple.or(digits).unwrap_or(Decimal::whole(1));
    Some(RoundQuantity { direction: direction?, to_multiple_of })
}

/// Reads `settings`: its own table of words.
fn settings(table: &mut Table<'_>, reading: &mut Reading) -> Option<Settings> {
    let Some(settings) = table.optional(reading, "settings", settings_node)? else {
        return Some(Settings::default());
    };
    Some(settings)
}

/// Reads the settings of a price from a table of their own.
pub fn settings_node(node: &Node, path: &str, reading: &mut Reading) -> Option<Settings> {
    let mut table = Table::of(node, path, reading)?;
    let flaws_before = reading.flaws.len();
    macro_rules! word {
        ($key:literal, $setting:ident) => {
            table
                .optional(reading, $key, |node, path, reading| {
                    let word = Table::text(node, path, reading)?;
                    let setting = $setting::parse(&word);
                    if setting.is_none() {
                        let words = $setting::WORDS;
                        let what = format!("{word:?} is no value of {}, expected {}", $key, words.join(" or "));
                        let mend = match nearest(&word, words.iter().copied()) {
                            Some(known) => format!("did you mean {known}?"),
                            None => format!("use {} (the default first)", words.join(" or ")),
                        };
                        reading.flaw(node.at.clone(), path, what, mend);
                    }
                    setting
                })
                .flatten()
                .unwrap_or_default()
        };
    }
    let settings = Settings {
        zero_usage_first_tier_flat: word!("zero_usage_first_tier_flat", ZeroUsageFirstTierFlat),
        tier_edge: word!("tier_edge", TierEdge),
        package_remainder: word!("package_remainder", PackageRemainder),
        volume_before_end: word!("volume_before_end", VolumeBeforeEnd),
        limits: word!("limits", Limits),
        split_rounding: word!("split_rounding", SplitRounding),
        quantity_basis: word!("quantity_basis", QuantityBasis),
        negative_total: word!("negative_total", NegativeTotal),
        fixed_fee_at_zero_total: word!("fixed_fee_at_zero_total", FixedFeeAtZeroTotal),
        proration: word!("proration", Proration),
        per: word!("per", Per),
        limits_in_part: word!("limits_in_part", LimitsInPart),
        due: word!("due", Due),
        charged: word!("charged", Charged),
    };
    table.finish(reading);
    (reading.flaws.len() == flaws_before).then_some(settings)
}

/// Steps before the price that a model has no place for: `convert`, `round_quantity` and `included`, each where it
/// stands.
fn steps_of_model(model: &PriceModel, table: &Table<'_>, steps_at: [Option<Range<usize>>; 3], reading: &mut Reading) {
    let word = model.as_str();
    let takes_quantity = takes_quantity_steps(model);
    let takes_included = takes_quantity && !matches!(model, PriceModel::Matrix { .. });
    let steps = [("convert", takes_quantity), ("round_quantity", takes_quantity), ("included", takes_included)];
    for ((name, fits), at) in steps.into_iter().zip(steps_at) {
        if let (Some(at), false) = (at, fits) {
            let what = format!("a {word} price has no {name}");
            reading.flaw(at, &table.path_of(name), what, format!("remove {name}, or use another model"));
        }
    }
}

/// Whether the quantity is converted and rounded before the model prices it.
fn takes_quantity_steps(model: &PriceModel) -> bool {
    match model {
        PriceModel::PerUnit { .. }
        | PriceModel::Graduated { .. }
        | PriceModel::Volume { .. }
        | PriceModel::Package { .. }
        | PriceModel::GraduatedPercentage { .. }
        | PriceModel::Matrix { .. } => true,
        PriceModel::Flat { .. } | PriceModel::Percentage(_) | PriceModel::Dynamic { .. } => false,
    }
}

/// Whether some tier sells packages.
fn has_packages(model: &PriceModel) -> bool {
    match model {
        PriceModel::Graduated { tiers } | PriceModel::Volume { tiers } => {
            tiers.iter().any(|tier| tier.package_size.is_some())
        }
        _ => false,
    }
}

/// Settings that a model has no place for: they would change nothing, and whoever wrote them believes that they do.
/// `said` is where they are written, and `path` its path.
pub fn settings_of_model(
    model: &PriceModel,
    steps: &Steps,
    (settings, said): (Settings, &Node),
    path: &str,
    reading: &mut Reading,
) {
    let word = model.as_str();
    let is_flat = matches!(model, PriceModel::Flat { .. });
    for (name, is_said) in
        [("due", settings.due != Due::InArrears), ("charged", settings.charged != Charged::EachPeriod)]
    {
        if is_said && !is_flat {
            let what = format!("a {word} price has no {name}: what was used is known when its period is over");
            reading.flaw(said.place_of(&[name]), path, what, format!("remove {name}, or write a flat price"));
        }
    }
    if settings.charged == Charged::Once && settings.proration != Proration::None {
        let what = "a price that is charged once has no proration: it is of no period";
        reading.flaw(said.place_of(&["proration"]), path, what, "remove proration");
    }
    for (name, is_said) in
        [("proration", settings.proration != Proration::None), ("per", settings.per != Per::Subscription)]
    {
        if is_said && !is_flat {
            let what = format!("a {word} price has no {name}: its usage is that of the part already");
            let mend = format!("remove {name}; for included units, minimum and maximum there is limits_in_part");
            reading.flaw(said.place_of(&[name]), path, what, mend);
        }
    }
    let is_volume = matches!(model, PriceModel::Volume { .. });
    let has_tiers = is_volume || matches!(model, PriceModel::Graduated { .. } | PriceModel::GraduatedPercentage { .. });
    // A matrix rounds each of its combinations, in whatever splits it came.
    let is_rounded = takes_quantity_steps(model) && !matches!(model, PriceModel::Matrix { .. });
    for (name, is_said, fits, models) in [
        (
            "zero_usage_first_tier_flat",
            settings.zero_usage_first_tier_flat != ZeroUsageFirstTierFlat::Charged,
            has_tiers,
            "graduated, volume and graduated_percentage",
        ),
        ("tier_edge", settings.tier_edge != TierEdge::HalfOpen, is_volume, "volume"),
        (
            "package_remainder",
            settings.package_remainder != PackageRemainder::Full,
            matches!(model, PriceModel::Package { .. }) || has_packages(model),
            "package, and tiers with a package_size",
        ),
        ("volume_before_end", settings.volume_before_end != VolumeBeforeEnd::Held, is_volume, "volume"),
        (
            "split_rounding",
            settings.split_rounding != SplitRounding::Cumulative,
            is_rounded,
            "per_unit, graduated, volume, package and graduated_percentage",
        ),
        (
            "fixed_fee_at_zero_total",
            settings.fixed_fee_at_zero_total != FixedFeeAtZeroTotal::NotCharged,
            matches!(model, PriceModel::Percentage(_)),
            "percentage",
        ),
    ] {
        if is_said && !fits {
            let what = format!("a {word} price has no {name}: it changes nothing there");
            reading.flaw(said.place_of(&[name]), path, what, format!("remove {name}; it goes with {models}"));
        }
    }
    if settings.quantity_basis == QuantityBasis::Prorated {
        let fits =
            matches!(model, PriceModel::PerUnit { .. } | PriceModel::Graduated { .. } | PriceModel::Volume { .. });
        let fits = fits && !has_packages(model);
        let alone = steps.convert.is_none() && steps.round_quantity.is_none() && steps.included.is_none();
        if !fits || !alone {
            let what = format!("a {word} price with these steps has no prorated units");
            let mend = "prorated units go with per_unit, graduated or volume, without convert, round_quantity, included \
                        and package_size";
            reading.flaw(said.place_of(&["quantity_basis"]), path, what, mend);
        }
    }
}
