//! The least and the most that several lines come to together: a commitment of a plan, a cap of a month.
//!
//! Limits hold one after the other, each over what its lines come to behind the coupons and the limits before it. What
//! a minimum or an overage adds is a line of its own behind the others, there at 0 too, so that places do not depend on
//! amounts; what a maximum takes off is taken off the lines, by what they are worth.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::Currency;
use tollbook_schemas::price::node::Node;
use tollbook_schemas::price::read::{Reading, Table};

use super::super::input::list;
use super::super::rules::{overage, part};
use super::made::{exact, places};
use super::{DocumentSettings, LineAmounts, LineInput, taxes_of};
use crate::coupon::{Split, split_off};
use crate::prorate::Share;
use crate::replay::Overage;
use crate::tax::TaxMode;
use crate::{RatingError, rounded};

pub(super) struct LimitInput {
    overage: Option<Overage>,
    minimum: Option<Decimal>,
    maximum: Option<Decimal>,
    part: Share,
    lines: Option<Vec<u32>>,
    /// Of the line that it adds; none for those of its lines.
    pub(super) tax_percents: Option<Vec<Decimal>>,
    mode: Option<TaxMode>,
}

pub(super) fn limit_input(node: &Node, path: &str, reading: &mut Reading) -> Option<LimitInput> {
    let mut table = Table::of(node, path, reading)?;
    let overage = table.optional(reading, "overage", overage)?;
    let minimum = table.optional(reading, "minimum", Table::amount)?;
    let maximum = table.optional(reading, "maximum", Table::amount)?;
    let part = table.optional(reading, "part", part)?.unwrap_or(Share::WHOLE);
    let lines = table.optional(reading, "lines", |node, path, reading| list(node, path, reading, Table::count))?;
    let (tax_percents, mode) = taxes_of(&mut table, reading)?;
    let mut flaw = |key: &str, what: String, mend: &str| {
        reading.flaw(table.at(), &table.path_of(key), what, mend);
        None
    };
    let adds = minimum.is_some() || overage.is_some();
    if !adds && maximum.is_none() {
        return flaw("minimum", "a limit needs minimum, maximum or overage".to_owned(), "add one of them");
    }
    if let (Some(least), Some(most)) = (minimum, maximum)
        && least > most
    {
        return flaw("maximum", format!("maximum {most} is below minimum {least}"), "exchange them");
    }
    if !adds && (tax_percents.is_some() || mode.is_some()) {
        let what = "a tax says nothing of a maximum, which adds no line".to_owned();
        return flaw("maximum", what, "remove it");
    }
    table.finish(reading);
    Some(LimitInput { overage, minimum, maximum, part, lines, tax_percents, mode })
}

/// Holds what is left of the lines, to which the lines of the limits are added; gives what each limit adds.
pub(super) fn hold(
    limits: &[LimitInput],
    lines: &mut Vec<LineInput>,
    left: &mut Vec<Exact>,
    settings: DocumentSettings,
    currency: Currency,
) -> Result<Vec<Exact>, RatingError> {
    let given = lines.len();
    let mut added = Vec::new();
    for (at, limit) in limits.iter().enumerate() {
        let mut mine: Vec<usize> = match &limit.lines {
            None => (0..lines.len()).collect(),
            Some(own) => places(own, given, || format!("limits[{at}] is of"))?,
        };
        let sum = mine.iter().try_fold(Exact::ZERO, |sum, line| sum.checked_add(left[*line]))?;
        let change = limit.due(sum, currency)?.checked_sub(sum)?;
        let own = match limit.minimum.is_some() || limit.overage.is_some() {
            false => None,
            true => {
                Some(LineInput { amount: change.most(Exact::ZERO)?, ..limit.line(at, &mine, lines, settings.mode)? })
            }
        };
        if change.is_negative() {
            // A line below zero is a credit already; nothing is taken off it.
            mine.retain(|line| !left[*line].is_negative());
            let weights: Vec<Exact> = mine.iter().map(|line| left[*line]).collect();
            let split = if settings.line_amounts == LineAmounts::Keep { Split::Exact } else { settings.split };
            let parts = split_off(Exact::ZERO.checked_sub(change)?, &weights, split, currency)?;
            for (line, part) in mine.into_iter().zip(parts) {
                left[line] = left[line].checked_sub(part)?;
            }
        }
        left.extend(own.iter().map(|line| line.amount));
        lines.extend(own);
        added.push(change);
    }
    Ok(added)
}

impl LimitInput {
    /// What its lines come to in all, each amount of its own rounded once.
    fn due(&self, sum: Exact, currency: Currency) -> Result<Exact, RatingError> {
        let mut due = sum;
        if let Some(Overage { above, factor }) = self.overage {
            let over = sum.checked_sub(self.part.of(above.into())?)?.most(Exact::ZERO)?;
            let more = over.checked_mul(Exact::from(factor).checked_sub(Exact::whole(1))?)?;
            due = due.checked_add(exact(rounded(more, currency)?))?;
        }
        if let Some(least) = self.minimum {
            due = due.most(exact(rounded(self.part.of(least.into())?, currency)?))?;
        }
        if let Some(most) = self.maximum {
            due = due.least(exact(rounded(self.part.of(most.into())?, currency)?))?;
        }
        Ok(due)
    }

    /// Its own line: taxed as it says, or as all of its lines are.
    fn line(
        &self,
        at: usize,
        mine: &[usize],
        lines: &[LineInput],
        of_document: TaxMode,
    ) -> Result<LineInput, RatingError> {
        let first = mine.first().map(|line| &lines[*line]);
        let taxed = |line: &LineInput| (line.tax_percents.clone(), line.mode.unwrap_or(of_document));
        let is_alike = mine.iter().all(|line| first.map(taxed) == Some(taxed(&lines[*line])));
        let tax_percents = match (&self.tax_percents, first) {
            (Some(own), _) => own.clone(),
            (None, None) => Vec::new(),
            (None, Some(first)) if is_alike => first.tax_percents.clone(),
            (None, Some(_)) => {
                let what = format!("limits[{at}] adds a line, and the lines that it is of are not taxed alike");
                let mend = "say the tax of the line by tax_percent or tax_percents, [] for none";
                return Err(RatingError::Input { what, mend });
            }
        };
        let mode = self.mode.or(first.and_then(|first| first.mode));
        Ok(LineInput { amount: Exact::ZERO, told: Vec::new(), tax_percents, mode })
    }
}
