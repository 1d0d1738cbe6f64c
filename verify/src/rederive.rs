//! One document once more, from what it stands on and what was harvested for it. Everything but what names it is
//! derived.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tollbook_schemas::period::print_instant;
use tollbook_schemas::tables::Row;

use crate::absent::is_absent;
use crate::adjust::Before;
use crate::adjusted::Earlier;
use crate::bill::{Meterings, rate};
use crate::by_hand::borne;
use crate::compare::Difference;
use crate::credit::{self, Use};
use crate::document::{Body, CREDIT_NOTE, Credits, FORMAT, IssuedBy};
use crate::ground::{Ground, Stopped, wrong};
use crate::harvest::{Harvest, Wanting};
use crate::month::{Metering, Rated};
use crate::profile;
use crate::stored::{Stored, check_number};
use crate::tax::Taxing;
use crate::unadjusted::Unadjusted;
use crate::usage::Origin;

/// A document as re-derived.
pub(crate) struct Rederived {
    pub(crate) body: Body,
    /// What was found on the way: a kept catalog that is not what it was, a number that the issuer does not give.
    pub(crate) found: Vec<Difference>,
    /// What earlier months come to and no document bills, for a reason.
    pub(crate) unadjusted: Vec<Unadjusted>,
    /// Rows of `access_log` that it was made from.
    pub(crate) rows_read: usize,
}

/// What is known of a document beside raw rows.
pub(crate) struct Beside<'a> {
    /// Everything that was issued to its partner, where it matters.
    pub(crate) of_partner: &'a [Stored],
    /// The same of whoever may bear lines of it.
    pub(crate) of_bearers: Vec<&'a Stored>,
    /// The rows of versions of billing profiles that documents name.
    pub(crate) profiles: &'a HashMap<String, Row>,
    /// When invoices were voided at Stripe, by their ids.
    pub(crate) voided: &'a HashMap<String, DateTime<Utc>>,
}

/// What a document is derived with.
pub(crate) struct Derivation<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) stored: &'a Stored,
    pub(crate) beside: &'a Beside<'a>,
    pub(crate) metering: Meterings<'a>,
    pub(crate) taxing: Taxing<'a>,
    /// What was issued before it in its group.
    before: Vec<Before<'a>>,
    /// Rows of `access_log` that it is made from.
    pub(crate) rows_read: usize,
}

impl<'a> Derivation<'a> {
    /// `place` is that of the document in the harvest.
    ///
    /// # Errors
    /// [`Stopped`].
    pub(crate) fn of(
        Wanting { ground, needs, .. }: &'a Wanting,
        place: usize,
        harvest: &Harvest<'a>,
        stored: &'a Stored,
        beside: &'a Beside<'a>,
    ) -> Result<Self, Stopped> {
        let (origins, rows_read) = harvest.origins(ground, place);
        let metering = |origin| (Origin::partner_id(origin), Metering::of(ground, &needs.meters, harvest, origin));
        let metering: Meterings<'a> = origins.iter().map(metering).collect();
        let taxing = Taxing {
            catalog: ground.catalog(),
            issuer_id: ground.issuer_id.as_str(),
            zone: ground.issuer()?.time_zone,
            partner_id: ground.partner_id.as_str(),
            currency: ground.currency,
            profiles: profiles_of([stored], beside, |row| is_of(ground, row)),
        };
        let before = issued_before(stored, beside);
        Ok(Self { ground, stored, beside, metering, taxing, before, rows_read })
    }

    /// The same for its earlier months.
    pub(crate) fn earlier(&self) -> Earlier<'_> {
        let Self { ground, stored, beside, metering, taxing, before, .. } = self;
        Earlier { stored, ground, metering, taxing, before, beside }
    }
}

/// Re-derives a document.
///
/// # Errors
/// [`Stopped`].
pub(crate) fn rederive(derivation: &Derivation<'_>) -> Result<Rederived, Stopped> {
    let Derivation { ground, stored, beside, metering, taxing, before, rows_read } = derivation;
    let (issuer, issuer_id, is_credit_note) = (ground.issuer()?, &ground.issuer_id, ground.is_credit_note);
    let damage = ground.kept.damage.iter().cloned();
    let mut found: Vec<Difference> = damage.chain(check_number(stored, &issuer.number_prefix)).collect();
    let mut own = if is_credit_note { Rated::default() } else { rate(ground, metering, taxing, ground.month)? };
    let by_hand = borne(ground, issuer, stored, before, taxing).map_err(wrong)?;
    // A document that is nothing but adjustments and lines by hand has the month of its issuer.
    let whole = match own.whole {
        Some(whole) => whole,
        None if ground.adjusted.is_empty() && by_hand.lines.is_empty() => {
            return Err(wrong("no subscription of the partner is billed in the month"));
        }
        None => ground.month.period(issuer.time_zone).map_err(|error| wrong(error.to_string()))?,
    };
    let mut adjusted = derivation.earlier().all(&own.lines)?;
    own.lines.append(&mut adjusted.lines);
    found.append(&mut adjusted.found);
    let mut credits = adjusted.credits;
    if let Some(number) = by_hand.credits {
        let is_meant = |one: &&Stored| one.number() == number && !one.body.contains_key("kind");
        let same = |one: &&Stored| {
            one.issuer_id() == stored.issuer_id() && one.text_of("currency") == stored.text_of("currency")
        };
        let invoice = beside.of_partner.iter().filter(same).find(is_meant);
        let invoice = invoice.ok_or_else(|| wrong(format!("it credits invoice {number}, which was not issued")))?;
        credits = Some(Credits { invoice_id: invoice.invoice_id.clone(), number });
    }
    own.lines.extend(by_hand.lines);
    // Last: they pay what everything else comes to.
    if !is_credit_note && credit::is_granted(ground) {
        let earlier = uses_before(stored, beside)?;
        found.extend(credit::broken(&earlier).map(|what| Difference::told("credit", what)));
        let used = credit::used(&earlier, &Use::of(stored, beside.voided).map_err(wrong)?);
        let paid = credit::paid(ground, whole, &own.lines, &used.map_err(wrong)?).map_err(wrong)?;
        own.lines.extend(paid);
    }
    let mut total_minor = 0_i64;
    for (number, line) in (1_u64..).zip(&mut own.lines) {
        line.insert("line_number".to_owned(), number.into());
        let amount = line.get("amount_minor").and_then(Value::as_i64);
        let sum = amount.and_then(|amount| total_minor.checked_add(amount));
        total_minor = sum.ok_or_else(|| wrong("the lines do not add up in 63 bits"))?;
    }
    let profile_version_id = stored.text_of("profile_version_id");
    let profile = beside.profiles.get(profile_version_id).filter(|row| is_of(ground, row));
    let Some(profile) = profile else {
        let what = format!("the partner has no billing profile {profile_version_id}; import it again");
        return Err(Difference::told("profile_version_id", what).into());
    };
    // Those that chose a tax rate, too.
    found.extend(taxing.profiles.iter().filter_map(|row| profile::check(row)));
    if profile.instant("effective_from") > stored.event.instant("at") {
        found.push(Difference::told("profile_version_id", "the profile was not in force when the invoice was issued"));
    }
    // As the issuer is at the last instant of the period.
    let versions = ground.catalog().issuer_versions.get(issuer_id).into_iter().flatten();
    let in_force = versions.filter(|version| version.effective_from.is_none_or(|from| from < whole.end));
    let printed = in_force.max_by_key(|version| version.effective_from);
    let printed = printed.ok_or_else(|| wrong("no version of the issuer is in force at the end of the period"))?;
    let body = Body {
        catalog_sha256: ground.catalog().sha256.clone(),
        credits,
        currency: ground.currency.code().to_owned(),
        format: FORMAT,
        issuer: IssuedBy {
            address: printed.address.clone(),
            issuer_id: issuer_id.to_string(),
            legal_name: printed.legal_name.clone(),
            tax_id: printed.tax_id.clone(),
        },
        kind: is_credit_note.then_some(CREDIT_NOTE),
        lines: own.lines,
        month: ground.month.to_string(),
        partner_id: ground.partner_id.to_string(),
        payment_terms_days: profile.int("payment_terms_days").unwrap_or_default(),
        period_end: print_instant(whole.end),
        period_start: print_instant(whole.start),
        pin: stored.text_of("pin").to_owned(),
        profile_version_id: profile_version_id.to_owned(),
        shadows: own.shadows,
        total_minor,
    };
    Ok(Rederived { body, found, unadjusted: adjusted.unadjusted, rows_read: *rows_read })
}

pub(crate) fn is_of(ground: &Ground, row: &Row) -> bool {
    row.text("partner_id") == Some(ground.partner_id.as_str())
}

/// The versions of the partner's billing profile that documents name; of one that is not there, those that were known
/// by then.
pub(crate) fn profiles_of<'a>(
    documents: impl IntoIterator<Item = &'a Stored>,
    beside: &Beside<'a>,
    is_theirs: impl Fn(&&Row) -> bool,
) -> Vec<&'a Row> {
    let documents: Vec<&Stored> = documents.into_iter().collect();
    if let Some(absent) = documents.iter().find(|one| is_absent(one)) {
        let by = absent.event.instant("at");
        let known = beside.profiles.values().filter(|row| row.instant("recorded_at") <= by);
        return known.filter(|row| is_theirs(row)).collect();
    }
    let ids: BTreeSet<&str> = documents.into_iter().flat_map(Stored::profile_ids).collect();
    ids.into_iter().filter_map(|id| beside.profiles.get(id)).filter(is_theirs).collect()
}

/// What was issued to the same partner in the same currency, by the same issuer, under a lower number.
fn lower<'a>(stored: &Stored, all: &'a [Stored]) -> impl Iterator<Item = &'a Stored> {
    let sequence = |one: &Stored| one.event.int("number_sequence");
    let is_before = move |one: &&Stored| {
        let same = one.issuer_id() == stored.issuer_id() && one.text_of("currency") == stored.text_of("currency");
        same && sequence(one) < sequence(stored)
    };
    all.iter().filter(is_before)
}

fn issued_before<'a>(stored: &Stored, beside: &Beside<'a>) -> Vec<Before<'a>> {
    let before = |one: &'a Stored| Before {
        invoice_id: &one.invoice_id,
        body: &one.body,
        is_voided: stored.came_after_voiding(beside.voided, &one.invoice_id),
    };
    lower(stored, beside.of_partner).map(before).collect()
}

/// What documents before it used of credits.
fn uses_before(stored: &Stored, beside: &Beside<'_>) -> Result<Vec<Use>, Stopped> {
    let uses = lower(stored, beside.of_partner).map(|one| Use::of(one, beside.voided));
    uses.collect::<Result<_, _>>().map_err(wrong)
}
