//! Whether a price asks for what its usage says. What it has no use for is refused, so that an amount is no other than
//! its writer believes: units of half a month that are priced in full, amounts of events that nobody adds up.

use tollbook_schemas::price::PriceModel;
use tollbook_schemas::price::setting::QuantityBasis;

use crate::{Book, Event, Usage};

/// What says nothing of a usage as it was written, and how to mend it; none where all of it is of use. How many events
/// there were may be told of any price: whoever writes it of all takes it for no amount.
pub(super) fn useless(Book { tariff, replay }: Book<'_>, usage: &Usage) -> Option<(String, &'static str)> {
    let says_nothing = |key: &str, why: &str, mend| Some((format!("{key} says nothing here: {why}"), mend));
    if usage.carried.is_some() && tariff.steps.rollover_periods.is_none() {
        let mend = "add included and rollover_periods to the price, or remove carried";
        return says_nothing("carried", "the price carries nothing over", mend);
    }
    let has = |is_said: fn(&Event) -> bool| usage.events.iter().flatten().any(is_said);
    let is_prorated = usage.prorated.is_some() || has(|event| event.prorated.is_some());
    if is_prorated && tariff.settings.quantity_basis != QuantityBasis::Prorated {
        let mend = "add quantity_basis: \"prorated\" to the settings of the price, or remove it";
        return says_nothing("prorated", "the price takes all units in full", mend);
    }
    if has(|event| event.amount.is_some()) && !matches!(tariff.model, PriceModel::Dynamic { .. }) {
        let mend = "write quantity for what is priced, or a dynamic price";
        return says_nothing("amount", "only a dynamic price takes what an event says that it costs", mend);
    }
    if usage.groups.is_some() && replay.capacity.is_none() && !matches!(tariff.model, PriceModel::Matrix { .. }) {
        // Whoever writes groups may mean that each has tiers, included units and packages of its own.
        let mend = match tariff.model {
            PriceModel::PerUnit { .. }
            | PriceModel::Graduated { .. }
            | PriceModel::Volume { .. }
            | PriceModel::Package { .. }
            | PriceModel::GraduatedPercentage { .. } => {
                "write each group as an event, with per_event: price or line where each is priced alone; or their sum as \
                 quantity; or a matrix price"
            }
            _ => "write their sum as quantity, or a matrix price",
        };
        let why = format!("a {} price takes the whole quantity", tariff.model.as_str());
        if usage.is_group_an_event {
            return says_nothing("values", &why, "remove values, or write a matrix price");
        }
        return says_nothing("groups", &why, mend);
    }
    None
}
