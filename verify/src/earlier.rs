//! Which earlier months a document must bill the difference of, asked of everything that was issued and never of the
//! document. From `docs/money.md`, "What comes late", and not from `billing`.
//!
//! An invoice adjusts each month that an invoice before it billed to the same partner, by the same issuer, in the same
//! currency. So does every invoice: what was known when the one before it was drafted is asked for where that one is
//! verified, and this one is asked for what became known since. Where a month's subscriptions, links, prices and
//! deliveries are what they were then, it comes to what it came to then, and is not derived.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tollbook_lake::Lake;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::{MeterId, SlotId};
use tollbook_schemas::period::Month;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::registry::Registry;
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT};

use crate::cells::Cells;
use crate::document::CREDIT_NOTE;
use crate::error::VerifyError;
use crate::evidence::{Evidence, Kept, Pins};
use crate::ground::{Ground, Stopped};
use crate::known::{linked_alike, subscribed_alike};
use crate::payer::partners_of;
use crate::stored::{Issued, Stored, one_of};

/// Partners that are asked for by name; of more, everything is read.
const NAMED_MAX: usize = 1_000;

/// A document as its row has it, without its text; issued or not.
pub(crate) struct Head {
    invoice_id: String,
    slot_id: String,
    issuer_id: String,
    currency: String,
    month: Month,
    pin: Arc<str>,
    catalog_sha256: Arc<str>,
    profile_version_id: String,
    /// When it was drafted, first.
    drafted_at: Option<DateTime<Utc>>,
    issued: Option<IssuedAs>,
}

#[derive(Clone, Copy)]
struct IssuedAs {
    sequence: i64,
    at: DateTime<Utc>,
}

/// What was drafted for each partner.
pub(crate) type Heads = HashMap<String, Vec<Head>>;

/// What gives something of a month back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivenBack {
    /// A credit note that was issued, and is verified by itself.
    Issued,
    /// One that was drafted, and waits for somebody or was withdrawn.
    Drafted,
    /// None.
    Nothing,
}

/// An earlier month of a document.
pub(crate) struct Earlier {
    pub(crate) month: Month,
    /// The catalog that the month was billed with; none where it is gone or cannot be read.
    pub(crate) then: Option<Arc<Kept>>,
    /// The pin since which a delivery would make another month of it; none where it is derived in any case.
    pub(crate) since: Option<Pin>,
    /// The credit note of this document's month that is of its invoice.
    pub(crate) given_back: GivenBack,
}

/// The earlier months of a document.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) months: Vec<Earlier>,
    /// Why what they come to may be on no document, where the draft was made too late to adjust anything.
    pub(crate) too_late: Option<String>,
    /// Whether an invoice of its month was drafted, where none was issued.
    pub(crate) is_drafted: bool,
}

/// Reads what was drafted for some partners, or for all.
///
/// # Errors
/// The lake's.
pub(crate) async fn heads(
    lake: &Lake,
    partner_ids: Option<&BTreeSet<&str>>,
    issued: &Issued,
) -> Result<Heads, VerifyError> {
    let is_theirs = match partner_ids {
        Some(ids) if ids.is_empty() => return Ok(Heads::new()),
        Some(ids) if ids.len() <= NAMED_MAX => one_of("partner_id", ids.iter().copied()),
        _ => "true".to_owned(),
    };
    let context = lake.empty_session()?;
    lake.register(&context, &INVOICE, None).await?;
    lake.register(&context, &INVOICE_EVENT, None).await?;
    let mut drafted_at: HashMap<String, DateTime<Utc>> = HashMap::new();
    let sql = format!("select invoice_id, \"at\" from invoice_event where kind = 'drafted' and {is_theirs}");
    for batch in lake.query(&context, &sql).await? {
        for row in 0..batch.num_rows() {
            let cells = Cells { batch: &batch, row };
            let at = cells.instant(1)?;
            let first = drafted_at.entry(cells.must(0)?.to_owned()).or_insert(at);
            *first = at.min(*first);
        }
    }
    let sql = format!(
        "select partner_id, invoice_id, slot_id, issuer_id, currency, cast(period as varchar), pin, catalog_sha256, profile_version_id \
         from invoice where {is_theirs}"
    );
    let (mut heads, mut texts) = (Heads::new(), crate::cells::Texts::default());
    for batch in lake.query(&context, &sql).await? {
        for row in 0..batch.num_rows() {
            let cells = Cells { batch: &batch, row };
            let text = |column| cells.must(column).map(str::to_owned);
            // A month that cannot be read is told where the document is verified.
            let Ok(month) = cells.must(5)?.parse() else { continue };
            let (partner_id, invoice_id) = (text(0)?, text(1)?);
            let event = issued.event_of(&invoice_id);
            heads.entry(partner_id).or_default().push(Head {
                slot_id: text(2)?,
                issuer_id: text(3)?,
                currency: text(4)?,
                month,
                pin: texts.must(&cells, 6)?,
                catalog_sha256: texts.must(&cells, 7)?,
                profile_version_id: text(8)?,
                drafted_at: drafted_at.get(&invoice_id).copied(),
                issued: event.and_then(|event| {
                    Some(IssuedAs { sequence: event.int("number_sequence")?, at: event.instant("at")? })
                }),
                invoice_id,
            });
        }
    }
    Ok(heads)
}

/// A partner and currency that an issuer billed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Missing {
    pub(crate) partner_id: String,
    pub(crate) currency: String,
    /// The version of the billing profile that was billed last.
    pub(crate) profile_version_id: String,
}

impl Head {
    /// When a document was drafted, if this is it.
    pub(crate) fn drafted_at_of(&self, invoice_id: &str) -> Option<DateTime<Utc>> {
        self.drafted_at.filter(|_| self.invoice_id == invoice_id)
    }
}

/// Whom an issuer billed by an invoice of an earlier month, under a number below one that is given, and by none of a
/// month.
pub(crate) fn without_invoice(heads: &Heads, issuer_id: &str, month: Month, sequence: i64) -> Vec<Missing> {
    let mut missing = Vec::new();
    for (partner_id, heads) in heads {
        let mut by_currency: BTreeMap<&str, Vec<&Head>> = BTreeMap::new();
        for head in heads.iter().filter(|head| head.issuer_id == issuer_id && head.issued.is_some()) {
            let (currency, of) = (head.currency.as_str(), head.month.to_string());
            if SlotId::derive([issuer_id, partner_id, currency, &of]).as_str() == head.slot_id {
                by_currency.entry(currency).or_default().push(head);
            }
        }
        for (currency, invoices) in by_currency {
            let before = invoices
                .iter()
                .filter(|head| head.month < month && head.issued.is_some_and(|issued| issued.sequence < sequence));
            let Some(last) = before.max_by_key(|head| head.month) else { continue };
            if invoices.iter().all(|head| head.month != month) {
                let (partner_id, currency) = (partner_id.clone(), currency.to_owned());
                missing.push(Missing { partner_id, currency, profile_version_id: last.profile_version_id.clone() });
            }
        }
    }
    missing.sort();
    missing
}

/// What a document and those before it are of.
struct Group<'a> {
    ground: &'a Ground,
    slot: [&'a str; 3],
    heads: Vec<&'a Head>,
}

impl<'a> Group<'a> {
    fn is_invoice(&self, head: &Head) -> bool {
        let month = head.month.to_string();
        SlotId::derive(self.slot.into_iter().chain([month.as_str()])).as_str() == head.slot_id
    }

    /// The credit note of an invoice in a month.
    fn given_back(&self, month: Month, invoice: &Head) -> GivenBack {
        let month = month.to_string();
        let slot = self.slot.into_iter().chain([month.as_str(), CREDIT_NOTE, invoice.invoice_id.as_str()]);
        let slot_id = SlotId::derive(slot);
        let mut of_slot = self.heads.iter().filter(|head| head.slot_id == slot_id.as_str());
        let Some(first) = of_slot.next() else { return GivenBack::Nothing };
        match first.issued.is_some() || of_slot.any(|head| head.issued.is_some()) {
            true => GivenBack::Issued,
            false => GivenBack::Drafted,
        }
    }

    /// The end of the time in which what is drafted for a month adjusts earlier ones: while it runs, and while it is
    /// the last one that has ended.
    fn adjusts_until(&self, month: Month) -> Option<DateTime<Utc>> {
        let zone = self.ground.issuer().ok()?.time_zone;
        month.next().period(zone).ok().map(|next| next.end)
    }

    /// Whether what was drafted then for a month adjusts earlier ones.
    fn adjusts(&self, head: &Head) -> bool {
        head.drafted_at.is_some_and(|at| self.adjusts_until(head.month).is_some_and(|end| at < end))
    }

    /// The last document before another that was asked for all that was known of an invoice's month: the invoice
    /// itself, else one behind it that left nothing of it to a credit note which nobody issued.
    fn last_asked(&self, invoice: &'a Head, before: i64) -> &'a Head {
        let Some(IssuedAs { sequence, at }) = invoice.issued else { return invoice };
        let since = self.heads.iter().copied().filter(|head| {
            head.issued.is_some_and(|own| sequence < own.sequence && own.sequence < before)
                && head.month > invoice.month
                && self.is_invoice(head)
                && self.adjusts(head)
                && head.drafted_at.is_some_and(|drafted| at <= drafted)
                && self.given_back(head.month, invoice) != GivenBack::Drafted
        });
        since.max_by_key(|head| head.issued.map(|own| own.sequence)).unwrap_or(invoice)
    }
}

/// The earlier months of a document: those that it says it adjusts, and of an invoice those that it is asked for.
///
/// # Errors
/// [`Stopped`].
pub(crate) async fn asked(
    evidence: &mut Evidence<'_>,
    ground: &Ground,
    stored: &Stored,
    heads: &Heads,
) -> Result<Asked, Stopped> {
    let slot = [ground.issuer_id.as_str(), ground.partner_id.as_str(), ground.currency.code()];
    let of_slot = |head: &&Head| head.issuer_id == slot[0] && head.currency == slot[2];
    let heads = heads.get(slot[1]).into_iter().flatten().filter(of_slot).collect();
    let group = Group { ground, slot, heads };
    let number = stored.event.int("number_sequence").unwrap_or_default();
    let own = group.heads.iter().find(|head| head.invoice_id == stored.invoice_id);
    let drafted_at = own.and_then(|own| own.drafted_at).or_else(|| stored.event.instant("at"));
    let invoices = group.heads.iter().copied().filter(|head| {
        head.month < ground.month && head.issued.is_some_and(|own| own.sequence < number) && group.is_invoice(head)
    });
    let mut found: BTreeMap<Month, Earlier> = BTreeMap::new();
    for invoice in invoices {
        let month = invoice.month;
        let is_adjusted = ground.adjusted.contains(&month);
        let was_issued = invoice.issued.is_some_and(|issued| drafted_at.is_none_or(|drafted| issued.at <= drafted));
        let since = match () {
            () if is_adjusted => None,
            () if ground.is_credit_note || !was_issued => continue,
            () => {
                let last = group.last_asked(invoice, number);
                match changed(evidence, ground, stored, last, month).await? {
                    Change::Nothing => continue,
                    Change::Deliveries(since) => Some(since),
                    Change::Something => None,
                }
            }
        };
        let then = evidence.catalog(&invoice.catalog_sha256).await?.ok();
        let given_back = group.given_back(ground.month, invoice);
        found.insert(month, Earlier { month, then, since, given_back });
    }
    // A document that adjusts something shows itself that it was drafted in time.
    let is_in_time = !ground.adjusted.is_empty()
        || drafted_at.is_some_and(|at| group.adjusts_until(ground.month).is_none_or(|end| at < end));
    let too_late = (!is_in_time).then(|| {
        format!(
            "the document was drafted when {} was no longer the last month that had ended, and adjusts none",
            ground.month
        )
    });
    let is_drafted = group.heads.iter().any(|head| head.month == ground.month && group.is_invoice(head));
    Ok(Asked { months: found.into_values().collect(), too_late, is_drafted })
}

/// What may make another month of an earlier one.
enum Change {
    Nothing,
    /// Deliveries that came since a pin, if there are some.
    Deliveries(Pin),
    Something,
}

/// What of a month changed between the last document that was asked for it and this one, beside deliveries.
async fn changed(
    evidence: &mut Evidence<'_>,
    ground: &Ground,
    stored: &Stored,
    last: &Head,
    month: Month,
) -> Result<Change, Stopped> {
    let is_same_catalog = *last.catalog_sha256 == *ground.catalog().sha256;
    let is_same_profile =
        ground.catalog().tax_rates.is_empty() || last.profile_version_id == stored.text_of("profile_version_id");
    if is_same_catalog && is_same_profile && *last.pin == *stored.text_of("pin") {
        return Ok(Change::Nothing);
    }
    // What stops it now stopped it then, or is told where it is derived.
    let (Ok(pins), Ok(needs)) = (Pins::read(&last.pin), ground.needs([month])) else { return Ok(Change::Something) };
    if !is_same_catalog {
        let Ok(then) = evidence.catalog(&last.catalog_sha256).await? else { return Ok(Change::Something) };
        if !priced_alike(ground, &then.catalog, ground.catalog(), &needs.meters) {
            return Ok(Change::Something);
        }
    }
    let then = evidence.known(&pins.events).await?;
    // A name that was the partner's then may be nobody's now.
    let mut names = needs.names;
    names.add(&then.names(partners_of(ground)));
    let is_same = is_same_profile
        && subscribed_alike(&then.of_partner(&ground.partner_id), &ground.registry)
        && linked_alike(&then, &ground.known, &names, &needs.times);
    match (is_same, needs.times.is_empty() || pins.access == ground.pins.access) {
        (false, _) => Ok(Change::Something),
        (true, true) => Ok(Change::Nothing),
        (true, false) => Ok(Change::Deliveries(pins.access)),
    }
}

/// Whether two catalogs have the same of what prices a document: its issuer, the plans, contracts and coupons of its
/// partners, meters, products and taxes.
fn priced_alike(ground: &Ground, then: &Catalog, now: &Catalog, meters: &BTreeSet<MeterId>) -> bool {
    let Registry { subscriptions, contracts, coupons, .. } = &*ground.registry;
    then.issuers.get(&ground.issuer_id) == now.issuers.get(&ground.issuer_id)
        && then.products == now.products
        && then.tax_rates == now.tax_rates
        && meters.iter().all(|id| then.meters.get(id) == now.meters.get(id))
        && subscriptions.values().all(|own| then.plans.get(&own.plan_id) == now.plans.get(&own.plan_id))
        && contracts.iter().all(|own| then.contracts.get(&own.contract_id) == now.contracts.get(&own.contract_id))
        && coupons.iter().all(|own| then.coupons.get(&own.coupon_id) == now.coupons.get(&own.coupon_id))
}
