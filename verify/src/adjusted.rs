//! What of earlier months a document bills: each month that it adjusts, and each that changed, once more as it comes to
//! now, less what was billed of it. What it does not bill is told, with the reason, or is a difference. Pure.

use tollbook_schemas::id::InvoiceId;
use tollbook_schemas::money::Money;
use tollbook_schemas::period::Month;

use crate::adjust::{Before, differences, that_billed};
use crate::bill::{Meterings, check_others, rate};
use crate::compare::Difference;
use crate::document::{CREDIT_NOTE, Credits};
use crate::earlier::{self, GivenBack};
use crate::ground::{Ground, Stopped, wrong};
use crate::rederive::{Beside, is_of, profiles_of};
use crate::stored::{Object, Stored};
use crate::tax::Taxing;
use crate::unadjusted::{Slot, Unadjusted, sum_of};

/// What earlier months of a document are derived from.
pub(crate) struct Earlier<'a> {
    pub(crate) stored: &'a Stored,
    pub(crate) ground: &'a Ground,
    pub(crate) metering: &'a Meterings<'a>,
    /// That of the document's own month.
    pub(crate) taxing: &'a Taxing<'a>,
    /// What was issued before it in its group.
    pub(crate) before: &'a [Before<'a>],
    pub(crate) beside: &'a Beside<'a>,
}

/// What a document bills of earlier months.
#[derive(Default)]
pub(crate) struct Adjusted {
    /// Lines, without numbers.
    pub(crate) lines: Vec<Object>,
    /// The invoice that it credits, of a credit note.
    pub(crate) credits: Option<Credits>,
    pub(crate) found: Vec<Difference>,
    pub(crate) unadjusted: Vec<Unadjusted>,
}

/// What lines come to together, in minor units.
fn net_of(lines: &[Object]) -> i128 {
    lines.iter().filter_map(|line| line.get("amount_minor")?.as_i64()).map(i128::from).sum()
}

/// Whether a document gives something of an invoice back in a month.
fn is_credit_note_of(one: &Stored, invoice: &Stored, month: &str) -> bool {
    let credited = one.body.get("credits").and_then(|credits| credits.get("invoice_id")?.as_str());
    one.text_of("kind") == CREDIT_NOTE && one.text_of("month") == month && credited == Some(invoice.invoice_id.as_str())
}

impl Earlier<'_> {
    /// Derives all of them; `own` are the lines of the document's own month.
    ///
    /// # Errors
    /// [`Stopped`].
    pub(crate) fn all(&self, own: &[Object]) -> Result<Adjusted, Stopped> {
        let Self { ground, .. } = self;
        let mut adjusted = Adjusted::default();
        let is_billed = |month: &&Month| ground.earlier.months.iter().any(|one| one.month == **month);
        if let Some(month) = ground.adjusted.iter().find(|month| !is_billed(month)) {
            return Err(wrong(format!("it adjusts {month}, which no invoice before it billed")));
        }
        for month in &ground.earlier.months {
            match self.month(month, own, &mut adjusted) {
                Err(Stopped::Here(what)) if !ground.adjusted.contains(&month.month) => {
                    let reason = format!("it cannot be derived: {what}");
                    adjusted.unadjusted.push(self.unadjusted(month, None, reason));
                }
                done => done?,
            }
        }
        Ok(adjusted)
    }

    fn month(&self, earlier: &earlier::Earlier, own: &[Object], adjusted: &mut Adjusted) -> Result<(), Stopped> {
        let Self { stored, ground, metering, taxing, before, beside } = self;
        let (month, name) = (earlier.month, earlier.month.to_string());
        let billed_by = that_billed(&name, before);
        let is_billing = |one: &&Stored| billed_by.iter().any(|own| own.invoice_id == one.invoice_id);
        let billed: Vec<&Stored> = beside.of_partner.iter().filter(is_billing).collect();
        let invoice = billed.iter().find(|one| !one.body.contains_key("kind") && one.text_of("month") == name);
        let invoice = invoice.ok_or_else(|| wrong(format!("it adjusts {month}, which no invoice before it billed")))?;
        if let Some(other) = billed.iter().find(|one| InvoiceId::derive([&one.text]).as_str() != one.invoice_id) {
            let what = format!("{}, which billed {month}, is not the text that its id is derived from", other.number());
            adjusted.found.push(Difference::told("adjusts", what));
        }
        // Those of the documents that billed it were known, too.
        let profiles = profiles_of(billed.iter().copied().chain([*stored]), beside, |row| is_of(ground, row));
        let taxing = Taxing { profiles, ..(*taxing).clone() };
        let now = rate(ground, metering, &taxing, month)?;
        let lines = differences(&name, &billed_by, &now.lines).map_err(wrong)?;
        let is_adjusted = ground.adjusted.contains(&month);
        if !is_adjusted && earlier.given_back == GivenBack::Drafted && net_of(&lines) < 0 {
            // Whether a rule leaves some of it out is asked when its credit note is issued.
            self.missing(earlier, (Vec::new(), net_of(&lines)), own, adjusted);
            return Ok(());
        }
        let slot = Slot {
            ground,
            taxing: &taxing,
            stored,
            month,
            invoice,
            billed_by: &billed_by,
            then: earlier.then.as_ref().map(|kept| &kept.catalog),
            others: &beside.of_bearers,
            voided: beside.voided,
            credit_note: beside
                .of_partner
                .iter()
                .find(|one| is_credit_note_of(one, invoice, &ground.month.to_string())),
        };
        let sifted = slot.sift(lines, &now, own.len() + adjusted.lines.len());
        for (reason, lines) in sifted.left_out {
            // What is not there of a partner that is blocked is not known. A quantity that costs nothing is nobody's
            // debt.
            let child = |line: &Object| line.get("for_partner")?.as_str().map(|child| now.blocked.contains_key(child));
            let is_unknown = lines.iter().any(|line| child(line) == Some(true));
            let amount = if is_unknown { None } else { sum_of(&lines) };
            if amount != Some(0) {
                adjusted.unadjusted.push(self.unadjusted(earlier, amount, reason));
            }
        }
        let net = net_of(&sifted.due);
        if !is_adjusted {
            if !sifted.due.is_empty() {
                check_others(ground, metering, &taxing, month)?;
            }
            self.missing(earlier, (sifted.due, net), own, adjusted);
            return Ok(());
        }
        if (net < 0) != ground.is_credit_note {
            let kind = if ground.is_credit_note { "credit note" } else { "invoice" };
            let what = format!("{month} comes to {net} minor units more, which is no {kind}");
            adjusted.found.push(Difference::told("kind", what));
        }
        if ground.is_credit_note {
            let number = invoice.number().to_owned();
            adjusted.credits = Some(Credits { invoice_id: invoice.invoice_id.clone(), number });
        }
        adjusted.lines.extend(sifted.due);
        Ok(())
    }

    /// What must be billed of a month that the document does not adjust: on it, or on a credit note beside it.
    fn missing(
        &self,
        earlier: &earlier::Earlier,
        (due, net): (Vec<Object>, i128),
        own: &[Object],
        adjusted: &mut Adjusted,
    ) {
        let (month, of) = (earlier.month, self.ground.month);
        if net >= 0 {
            // What costs nothing rides on a document that is there.
            if net > 0 || !own.is_empty() {
                adjusted.lines.extend(due);
            }
            return;
        }
        match earlier.given_back {
            GivenBack::Issued => {}
            GivenBack::Drafted => {
                let reason = format!("its credit note of {of} was drafted and is not issued");
                adjusted.unadjusted.push(self.unadjusted(earlier, i64::try_from(net).ok(), reason));
            }
            GivenBack::Nothing => {
                let less = i64::try_from(-net).map(|minor| Money { minor, currency: self.ground.currency }.to_string());
                let less = less.unwrap_or_else(|_| format!("{} minor units", -net));
                let what =
                    format!("{month} comes to {less} less at this pin, and no credit note of {of} gives it back");
                adjusted.found.push(Difference::told("adjusts", what));
            }
        }
    }

    fn unadjusted(&self, earlier: &earlier::Earlier, amount_minor: Option<i64>, reason: String) -> Unadjusted {
        let currency = self.ground.currency.code().to_owned();
        Unadjusted { month: earlier.month.to_string(), currency, amount_minor, reason }
    }
}
