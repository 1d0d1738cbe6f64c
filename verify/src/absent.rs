//! What stands in the place of an invoice that is not there: of a partner that an invoice billed in an earlier month,
//! and none in the month that is verified. It is asked for the same earlier months as an invoice would be, at the pin
//! of the last document of its issuer in the month.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollbook_schemas::money::Money;
use tollbook_schemas::period::Month;

use crate::adjust::month_of;
use crate::adjusted::Adjusted;
use crate::bill::{check_others, rate};
use crate::by_hand::open_credit;
use crate::compare::Difference;
use crate::earlier::{Heads, without_invoice};
use crate::ground::{Stopped, wrong};
use crate::rederive::Derivation;
use crate::stored::{Object, Stored};
use crate::unadjusted::{Unadjusted, sum_of};

/// One for each partner, issuer and currency that were billed before, and are not in a month of which documents were
/// issued.
pub(crate) fn of_month(month: Month, issued: &[Stored], heads: &Heads) -> Vec<Stored> {
    let mut last: BTreeMap<&str, &Stored> = BTreeMap::new();
    for one in issued {
        let known = last.entry(one.issuer_id()).or_insert(one);
        if known.event.int("number_sequence") < one.event.int("number_sequence") {
            *known = one;
        }
    }
    let mut absent = Vec::new();
    for (issuer_id, model) in last {
        let sequence = model.event.int("number_sequence").unwrap_or_default();
        for missing in without_invoice(heads, issuer_id, month, sequence) {
            let body = json!({
                "partner_id": missing.partner_id, "currency": missing.currency, "month": month.to_string(),
                "pin": model.text_of("pin"), "catalog_sha256": model.text_of("catalog_sha256"),
                "profile_version_id": missing.profile_version_id, "issuer": { "issuer_id": issuer_id }, "lines": [],
            });
            let Value::Object(body) = body else { continue };
            let at = heads.get(model.text_of("partner_id")).into_iter().flatten();
            let at = at.filter_map(|head| head.drafted_at_of(&model.invoice_id)).min();
            let event = model.event.clone().with("invoice_id", "").with("number", "-");
            let event = event.with("at", at.or_else(|| model.event.instant("at")));
            absent.push(Stored { invoice_id: String::new(), text: String::new(), body, row: model.row.clone(), event });
        }
    }
    absent
}

/// What no document of the month bills: of earlier months, and of the month itself.
///
/// # Errors
/// The lake's.
pub(crate) fn found(derivation: &Derivation<'_>) -> Result<(Vec<Difference>, Vec<Unadjusted>), Stopped> {
    let ground = derivation.ground;
    let money = |minor| Money { minor, currency: ground.currency };
    // A partner that is blocked waits with all that it owes, and is told by the register.
    let own = rate(ground, &derivation.metering, &derivation.taxing, ground.month);
    let own = own.and_then(|own| {
        check_others(ground, &derivation.metering, &derivation.taxing, ground.month)?;
        Ok(own)
    });
    let own = match own {
        Ok(own) => own.lines,
        Err(Stopped::Here(_)) => return Ok((Vec::new(), Vec::new())),
        Err(lake) => return Err(lake),
    };
    let earlier = derivation.earlier();
    let open_credit = open_credit(ground, earlier.before).map_err(wrong)?;
    let Adjusted { lines, mut found, mut unadjusted, .. } = earlier.all(&[])?;
    if let Some(made) = open_credit {
        let reason = format!(
            "its credit by hand {} is on no document yet, and blocks it where it is more than is left of its invoice",
            made.adjustment_id
        );
        let (month, currency) = (ground.month.to_string(), ground.currency.code().to_owned());
        return Ok((Vec::new(), vec![Unadjusted { month, currency, amount_minor: None, reason }]));
    }
    unadjusted.retain(|one| one.amount_minor.is_some());
    let mut by_month: BTreeMap<String, Vec<Object>> = BTreeMap::new();
    for line in lines {
        by_month.entry(month_of(&derivation.stored.body, &line).to_owned()).or_default().push(line);
    }
    if !own.is_empty() {
        by_month.entry(ground.month.to_string()).or_default().extend(own);
    }
    for (month, lines) in by_month {
        let minor = sum_of(&lines).unwrap_or_default();
        if ground.earlier.is_drafted {
            let reason = format!("its document of {} was drafted and is not issued", ground.month);
            let currency = ground.currency.code().to_owned();
            unadjusted.push(Unadjusted { month, currency, amount_minor: Some(minor), reason });
        } else {
            let of = ground.month;
            let what = format!("{month} comes to {} more at this pin, and no document of {of} bills it", money(minor));
            found.push(Difference::told("document", what));
        }
    }
    Ok((found, unadjusted))
}

/// Whether a document is one that is not there.
pub(crate) fn is_absent(stored: &Stored) -> bool {
    stored.invoice_id.is_empty()
}
