//! `flat`: the same amount for each period, whatever was used; for each unit, and for its part of the period, where the
//! price says so.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::price::Settings;
use tollbook_schemas::price::setting::{Charged, Due, Per};

use super::RatingError;
use super::served::{By, Part, Stretch};
use super::usage::Usage;
use super::working::{Component, Priced};

/// Whether nothing is due before the period ends: of a price in arrears of each period, where splits say nothing of
/// what was served in each (units are served, too). A setup fee is due as the subscription begins.
pub(super) fn is_held(usage: &Usage, settings: Settings) -> bool {
    usage.served.is_none() && settings.due == Due::InArrears && settings.charged == Charged::EachPeriod
}

pub(super) fn price(
    amount: Decimal,
    quantity: Exact,
    usage: &Usage,
    settings: Settings,
) -> Result<Priced, RatingError> {
    let once = || Ok(Priced::of(quantity, vec![Component::new("amount", None, amount.into())]));
    let Some(served) = &usage.served else { return once() };
    let is_per_unit = settings.per == Per::Unit;
    let units_of = |stretch: &Stretch| if is_per_unit { stretch.units } else { Decimal::whole(1) };
    let mut priced = Priced { is_part: true, ..Priced::nothing(Exact::ZERO) };
    let mut charge = |units: Decimal, part: Option<Part>| -> Result<(), RatingError> {
        let charged = part.as_ref().map_or(Ok(Exact::from(units)), |part| part.of(units))?;
        let name = match (is_per_unit, part) {
            (true, Some(part)) => format!("{units} units, {}", part.label),
            (true, None) => "units".to_owned(),
            (false, Some(part)) => part.label,
            (false, None) => "amount".to_owned(),
        };
        priced.billable = priced.billable.checked_add(charged)?;
        priced.components.push(Component::new(name, Some(charged), charged.checked_mul(amount.into())?));
        Ok(())
    };
    match By::of_amount(settings.proration) {
        None => match served.stretches.iter().map(units_of).max() {
            Some(_) if !is_per_unit => return once(),
            Some(units) => charge(units, None)?,
            // Paused throughout: nothing was served.
            None => {}
        },
        Some(by) => {
            let all = served.stretches.iter().map(|stretch| Stretch { units: units_of(stretch), ..*stretch });
            let joined = super::served::Served { whole: served.whole, stretches: all.collect() }.by_units();
            for stretch in joined {
                let part = served.part(stretch.length, by);
                if part.is_none() && !is_per_unit {
                    return once();
                }
                charge(stretch.units, part)?;
            }
        }
    }
    Ok(priced)
}
