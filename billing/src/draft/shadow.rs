//! Shadow bills: what the usage of a subscription would have cost on the plan that its own names.
//!
//! The other plan's version that is in force when a span begins prices it as if the subscription were on it: the same
//! period, the same share of it, the same units. Nothing of it is in a total, a line of the document or a row of
//! `invoice_line`; a customer on a plan of 0 reads in it what the usage is worth.

use tollbook_schemas::id::PlanId;
use tollbook_schemas::price::setting::Charged;

use super::DraftInput;
use super::index::UsageIndex;
use super::line::line_of;
use super::span::Span;
use crate::document::{Line, Shadow, sum_of};

/// The shadow bills of a document: one for each other plan, in the order in which the spans name them.
pub(super) fn shadows_of(
    input: &DraftInput<'_>,
    usage: &UsageIndex<'_>,
    spans: &[&Span<'_>],
) -> Result<Vec<Shadow>, String> {
    let mut shadows: Vec<Shadow> = Vec::new();
    for span in spans {
        let Some(plan_id) = &span.version.shadow_of else { continue };
        let id = &span.subscription.subscription_id;
        let version = input.catalog.plan_at(plan_id, span.billed.start).ok_or_else(|| {
            format!(
                "plan {plan_id}, whose shadow bill subscription {id} gets, has no version in force at {}; give a version \
                 an earlier effective_from, or take shadow_of out",
                span.billed.start
            )
        })?;
        let at = shadows.iter().position(|shadow| shadow.plan_id == *plan_id && shadow.currency == version.currency);
        let mut lines = at.map_or_else(Vec::new, |at| std::mem::take(&mut shadows[at].lines));
        for price in version.prices.iter().filter(|price| price.tariff.settings.charged == Charged::EachPeriod) {
            let number = u32::try_from(lines.len() + 1).map_err(|_| "the shadow bill has too many lines".to_owned())?;
            let line = line_of(input.catalog, usage, &span.on(version), price)?;
            // What it would have cost, whenever it would have been due.
            lines.push(Line { line_number: number, plan_id: plan_id.clone(), due: None, rollover: None, ..line });
        }
        let total_minor = sum_of(&lines).ok_or_else(|| too_large(plan_id))?;
        let shadow = Shadow { currency: version.currency, lines, plan_id: plan_id.clone(), total_minor };
        match at {
            Some(at) => shadows[at] = shadow,
            None => shadows.push(shadow),
        }
    }
    Ok(shadows)
}

fn too_large(plan_id: &PlanId) -> String {
    format!("the shadow bill of plan {plan_id} does not fit 63 bits of minor units; look at the prices of the plan")
}
