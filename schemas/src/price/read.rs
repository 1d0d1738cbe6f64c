//! From a tree to a checked price. Every flaw is collected with its place; nothing is repaired.

use std::fmt;
use std::ops::Range;

use super::node::{Key, Node, Value};
use super::setting::{
    FixedFeeAtZeroTotal, Limits, NegativeTotal, PackageRemainder, QuantityBasis, Settings, SplitRounding, TierEdge,
    VolumeBeforeEnd, ZeroUsageFirstTierFlat,
};
use super::{Cell, Convert, Percentage, PriceModel, RoundQuantity, Steps, Tariff, named_conversions, tiers};
use crate::decimal::Decimal;
use crate::exact::Direction;

/// Something wrong in a price: what, where and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Place in the text.
    pub at: Range<usize>,
    /// Place in the tree: `price.tiers[2].up_to`.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.what, self.mend)
    }
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub struct Reading {
    /// In the order found.
    pub flaws: Vec<Flaw>,
}

impl Reading {
    /// Records a flaw.
    pub fn flaw(&mut self, at: Range<usize>, path: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.flaws.push(Flaw { at, path: path.to_owned(), what: what.into(), mend: mend.into() });
    }

    /// Records that something else was expected.
    pub fn wrong_type(&mut self, node: &Node, path: &str, wanted: &str) {
        let what = format!("invalid type: {}, expected {wanted}", node.value.name());
        self.flaw(node.at.clone(), path, what, format!("write {wanted}"));
    }
}

/// A table whose keys are taken one by one; what is left at the end is unknown.
pub struct Table<'a> {
    at: Range<usize>,
    path: String,
    entries: Vec<(&'a Key, &'a Node)>,
    known: Vec<&'static str>,
}

/// What reads one value: the node, its path, the flaws.
pub type Reader<T> = fn(&Node, &str, &mut Reading) -> Option<T>;

impl<'a> Table<'a> {
    /// The table at a node.
    pub fn of(node: &'a Node, path: &str, reading: &mut Reading) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            reading.wrong_type(node, path, "a table");
            return None;
        };
        let entries = entries.iter().map(|(key, value)| (key, value)).collect();
        Some(Self { at: node.at.clone(), path: path.to_owned(), entries, known: Vec::new() })
    }

    /// Where the table stands.
    #[must_use]
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// Where the value of a key stands, if it is there and not taken.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<Range<usize>> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node.at.clone())
    }

    /// The text of a key that is not taken yet.
    #[must_use]
    pub fn peek(&self, name: &str) -> Option<&'a str> {
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        match &node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Path of a key.
    #[must_use]
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a key.
    pub fn take(&mut self, name: &'static str) -> Option<&'a Node> {
        self.known.push(name);
        let at = self.entries.iter().position(|(key, _)| key.name == name)?;
        Some(self.entries.remove(at).1)
    }

    /// Reads a key that may be missing; `None` when it is there and wrong.
    pub fn optional<T>(&mut self, reading: &mut Reading, name: &'static str, read: Reader<T>) -> Option<Option<T>> {
        let path = self.path_of(name);
        match self.take(name) {
            None => Some(None),
            Some(node) => read(node, &path, reading).map(Some),
        }
    }

    /// Reads a key that must be there; `whose` names what needs it.
    pub fn required<T>(
        &mut self,
        reading: &mut Reading,
        name: &'static str,
        whose: &str,
        read: Reader<T>,
    ) -> Option<T> {
        let at = self.at();
        let path = self.path_of(name);
        let Some(value) = self.optional(reading, name, read)? else {
            reading.flaw(at, &path, format!("{whose} needs {name}"), format!("add {name}"));
            return None;
        };
        Some(value)
    }

    /// Everything that is left is a flaw, with the nearest known key as a suggestion.
    pub fn finish(self, reading: &mut Reading) {
        for (key, _) in &self.entries {
            let nearest = self.known.iter().min_by_key(|known| distance(known, &key.name));
            let mend = match nearest {
                Some(known) if distance(known, &key.name) <= 3 => format!("did you mean {known}?"),
                _ => format!("remove it; known here: {}", self.known.join(", ")),
            };
            let what = format!("unknown field `{}`", key.name);
            reading.flaw(key.at.clone(), &self.path_of(&key.name), what, mend);
        }
    }

    /// Text.
    pub fn text(node: &Node, path: &str, reading: &mut Reading) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            _ => {
                reading.wrong_type(node, path, "text in quotes");
                None
            }
        }
    }

    /// A decimal, in quotes or whole.
    pub fn decimal(node: &Node, path: &str, reading: &mut Reading) -> Option<Decimal> {
        match &node.value {
            Value::Whole(number) => Some(Decimal::whole(*number)),
            Value::Text(text) => match text.parse() {
                Ok(decimal) => Some(decimal),
                Err(error) => {
                    let error: crate::decimal::DecimalError = error;
                    reading.flaw(node.at.clone(), path, error.to_string(), "write it in quotes, such as \"0.002\"");
                    None
                }
            },
            _ => {
                reading.wrong_type(node, path, "a number in quotes, such as \"0.002\"");
                None
            }
        }
    }

    /// A decimal that is not negative.
    pub fn amount(node: &Node, path: &str, reading: &mut Reading) -> Option<Decimal> {
        let amount = Self::decimal(node, path, reading)?;
        if amount.is_negative() {
            let mend = "use 0 or more; reductions are discounts or credits";
            reading.flaw(node.at.clone(), path, "a price is negative", mend);
            return None;
        }
        Some(amount)
    }

    /// A decimal above zero.
    pub fn above_zero(node: &Node, path: &str, reading: &mut Reading) -> Option<Decimal> {
        let number = Self::decimal(node, path, reading)?;
        if number.unscaled() <= 0 {
            reading.flaw(node.at.clone(), path, format!("{number} is not above 0"), "write a number above 0");
            return None;
        }
        Some(number)
    }

    /// A whole number, as such or in quotes.
    pub fn count(node: &Node, path: &str, reading: &mut Reading) -> Option<u32> {
        let count = match &node.value {
            Value::Whole(number) => u32::try_from(*number).ok(),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        if count.is_none() {
            let what = "it is not a count: a whole number from 0 on";
            reading.flaw(node.at.clone(), path, what, "write such as 3");
        }
        count
    }

    /// A list of texts.
    pub fn texts(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<String>> {
        let Value::List(items) = &node.value else {
            reading.wrong_type(node, path, "a list of texts");
            return None;
        };
        items.iter().enumerate().map(|(at, item)| Self::text(item, &format!("{path}[{at}]"), reading)).collect()
    }
}

/// How many letters must change to make one word the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().take(40).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

const MODELS: &[&str] =
    &["flat", "per_unit", "graduated", "volume", "package", "percentage", "graduated_percentage", "matrix", "dynamic"];

/// Reads a price from a table whose other keys (id, description, meter) are taken already.
pub fn tariff(table: &mut Table<'_>, reading: &mut Reading) -> Option<Tariff> {
    let flaws_before = reading.flaws.len();
    let model_at = table.place("model").unwrap_or_else(|| table.at());
    let word = table.required(reading, "model", "a price", Table::text)?;
    // What misses a key is the model's word, so its place is shown.
    let table_at = std::mem::replace(&mut table.at, model_at.clone());
    let model = model(&word, table, reading);
    table.at = table_at;
    let steps = steps(table, reading);
    let settings = settings(table, reading);
    let (model, steps, settings) = (model?, steps?, settings?);
    steps_of_model(&model, &steps, settings, table, model_at, reading);
    (reading.flaws.len() == flaws_before).then_some(Tariff { model, steps, settings })
}

fn model(word: &str, table: &mut Table<'_>, reading: &mut Reading) -> Option<PriceModel> {
    let whose = format!("a {word} price");
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
            let at = table.place("event_maximum").unwrap_or_else(|| table.at());
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
            let what = format!("price model {word:?} is not known");
            let path = table.path_of("model");
            let nearest = MODELS.iter().min_by_key(|known| distance(known, word)).filter(|k| distance(k, word) <= 3);
            let mend = match nearest {
                Some(known) => format!("did you mean {known}?"),
                None => format!("use one of {}", MODELS.join(", ")),
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
    let at = table.place("cells").unwrap_or_else(|| table.at());
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
        reading.flaw(at, &path, what, "name dimensions, and write cells or default_unit_price");
        return None;
    }
    Some(PriceModel::Matrix { dimensions, cells, default_unit_price })
}

fn steps(table: &mut Table<'_>, reading: &mut Reading) -> Option<Steps> {
    let convert = table.optional(reading, "convert", convert);
    let round_quantity = table.optional(reading, "round_quantity", round_quantity);
    let included = table.optional(reading, "included", Table::amount);
    let maximum_at = table.place("maximum").unwrap_or_else(|| table.at());
    let minimum = table.optional(reading, "minimum", Table::amount);
    let maximum = table.optional(reading, "maximum", Table::amount);
    let discount_at = table.place("discount_percent").unwrap_or_else(|| table.at());
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
        minimum: minimum?,
        maximum: maximum?,
        discount_percent: discount_percent?,
    })
}

fn convert(node: &Node, path: &str, reading: &mut Reading) -> Option<Convert> {
    if let Value::Text(name) = &node.value {
        let Some(factor) = named_conversions().get(name.as_str()).copied() else {
            let names: Vec<&str> = named_conversions().into_keys().collect();
            let mend = format!("use one of {}, or {{ divide_by = \"1000\" }}", names.join(", "));
            reading.flaw(node.at.clone(), path, format!("conversion {name:?} is not known"), mend);
            return None;
        };
        return Some(Convert { divide_by: Decimal::whole(factor), multiply_by: Decimal::whole(1) });
    }
    let mut table = Table::of(node, path, reading)?;
    let divide_by = table.optional(reading, "divide_by", Table::above_zero)?;
    let multiply_by = table.optional(reading, "multiply_by", Table::above_zero)?;
    table.finish(reading);
    if divide_by.is_none() && multiply_by.is_none() {
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
                        let what = format!("{word:?} is no value of {}", $key);
                        let mend = format!("use {} (the default first)", $setting::WORDS.join(" or "));
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
    };
    table.finish(reading);
    (reading.flaws.len() == flaws_before).then_some(settings)
}

/// Steps before the price, and prorated units, that a model has no place for.
fn steps_of_model(
    model: &PriceModel,
    steps: &Steps,
    settings: Settings,
    table: &Table<'_>,
    at: Range<usize>,
    reading: &mut Reading,
) {
    let word = model.as_str();
    let (takes_quantity_steps, takes_included) = match model {
        PriceModel::PerUnit { .. }
        | PriceModel::Graduated { .. }
        | PriceModel::Volume { .. }
        | PriceModel::Package { .. }
        | PriceModel::GraduatedPercentage { .. } => (true, true),
        PriceModel::Matrix { .. } => (true, false),
        PriceModel::Flat { .. } | PriceModel::Percentage(_) | PriceModel::Dynamic { .. } => (false, false),
    };
    for (name, is_there, fits) in [
        ("convert", steps.convert.is_some(), takes_quantity_steps),
        ("round_quantity", steps.round_quantity.is_some(), takes_quantity_steps),
        ("included", steps.included.is_some(), takes_included),
    ] {
        if is_there && !fits {
            let what = format!("a {word} price has no {name}");
            reading.flaw(at.clone(), &table.path_of(name), what, format!("remove {name}, or use another model"));
        }
    }
    if settings.quantity_basis == QuantityBasis::Prorated {
        let fits =
            matches!(model, PriceModel::PerUnit { .. } | PriceModel::Graduated { .. } | PriceModel::Volume { .. });
        let alone = steps.convert.is_none() && steps.round_quantity.is_none() && steps.included.is_none();
        if !fits || !alone {
            let what = format!("a {word} price with these steps has no prorated units");
            let mend =
                "prorated units go with per_unit, graduated or volume, without convert, round_quantity, included";
            reading.flaw(at, &table.path_of("settings"), what, mend);
        }
    }
}
