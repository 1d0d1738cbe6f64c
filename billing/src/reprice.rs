//! History under another price book: what each partner would have been billed by it. Pure.
//!
//! Takes months drafted twice from the same usage, by the present catalog and by another; gives each partner's totals
//! in both, by currency, and who cannot be compared. A partner that one of the two cannot rate in a month is left out
//! of both sums for that month, with the reason: counted in one alone, it would look like revenue lost or won.
//! Currencies are never added.
//!
//! Usage was metered by the present catalog. So another price book may price it only where it means the same by each
//! meter: [`changed_meters`] tells where it does not.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tollbook_schemas::catalog::diff::{Change, EntryChange, Section, diff};
use tollbook_schemas::catalog::{Catalog, PlanVersion};
use tollbook_schemas::id::{PartnerId, PlanId};
use tollbook_schemas::money::{Currency, Money, MoneyError};
use tollbook_schemas::period::{Month, Period, print_instant};

use crate::draft::Drafted;

/// One of the two catalogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Book {
    /// The one that usage was metered by.
    Present,
    /// The one that is tried.
    New,
}

impl Book {
    /// The word in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::New => "new",
        }
    }
}

/// A month by both catalogs.
#[derive(Debug, Clone, Copy)]
pub struct Twice<'a> {
    /// By the present catalog.
    pub present: &'a Drafted,
    /// By the other one, from the same usage.
    pub new: &'a Drafted,
}

/// One partner in one currency, over all months.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepricedPartner {
    /// Partner.
    pub partner_id: PartnerId,
    /// Billed by the present catalog.
    pub old: Money,
    /// Billed by the new one.
    pub new: Money,
    /// New less old, in minor units.
    pub delta_minor: i64,
}

/// A partner that one of the catalogs cannot rate in a month, left out of both sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Month.
    pub month: Month,
    /// Partner.
    pub partner_id: PartnerId,
    /// Whose prices cannot rate it.
    pub book: Book,
    /// Why, and how to mend it.
    pub reason: String,
    /// What the other catalog bills it for the month, by currency: in no sum.
    pub other: Vec<Money>,
}

/// All partners of one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Billed by the present catalog.
    pub old: Money,
    /// Billed by the new one.
    pub new: Money,
    /// New less old, in minor units.
    pub delta_minor: i64,
    /// Partners that would have paid less.
    pub winners: usize,
    /// Partners that would have paid more.
    pub losers: usize,
    /// Partners that would have paid the same.
    pub unchanged: usize,
}

/// What another price book makes of history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repriced {
    /// By currency, then who would have paid most more first, then by partner.
    pub partners: Vec<RepricedPartner>,
    /// Who is in no sum, by month and partner.
    pub left_out: Vec<LeftOut>,
    /// By currency.
    pub summaries: Vec<Summary>,
}

/// Totals of one partner by currency.
type Totals = BTreeMap<Currency, Money>;

/// Compares months.
///
/// # Errors
/// [`MoneyError::Overflow`] where a sum does not fit.
pub fn reprice(months: &[Twice<'_>]) -> Result<Repriced, MoneyError> {
    let mut sums: BTreeMap<(Currency, PartnerId), (Money, Money)> = BTreeMap::new();
    let mut left_out = Vec::new();
    for month in months {
        let (mut present, mut new) = (totals_of(month.present)?, totals_of(month.new)?);
        left_out.extend(leave_out(Book::Present, month.present, &mut present, &mut new));
        left_out.extend(leave_out(Book::New, month.new, &mut new, &mut present));
        for (totals, is_new) in [(present, false), (new, true)] {
            for (partner_id, by_currency) in totals {
                for (currency, total) in by_currency {
                    let zero = Money::zero(currency);
                    let sum = sums.entry((currency, partner_id.clone())).or_insert((zero, zero));
                    let side = if is_new { &mut sum.1 } else { &mut sum.0 };
                    *side = side.checked_add(total)?;
                }
            }
        }
    }
    let mut partners = Vec::new();
    for ((_, partner_id), (old, new)) in sums {
        let delta_minor = new.minor.checked_sub(old.minor).ok_or(MoneyError::Overflow)?;
        partners.push(RepricedPartner { partner_id, old, new, delta_minor });
    }
    partners.sort_by_key(|one| (one.old.currency, std::cmp::Reverse(one.delta_minor), one.partner_id.clone()));
    left_out.sort_by(|a, b| (a.month, &a.partner_id, a.book).cmp(&(b.month, &b.partner_id, b.book)));
    let summaries = summaries(&partners)?;
    Ok(Repriced { partners, left_out, summaries })
}

/// Takes those that a book cannot rate out of both books' totals.
fn leave_out(
    book: Book,
    drafted: &Drafted,
    own: &mut BTreeMap<PartnerId, Totals>,
    other: &mut BTreeMap<PartnerId, Totals>,
) -> Vec<LeftOut> {
    let mut left_out = Vec::new();
    for blocked in &drafted.blocked {
        own.remove(&blocked.partner_id);
        left_out.push(LeftOut {
            month: drafted.month,
            partner_id: blocked.partner_id.clone(),
            book,
            reason: blocked.reason.clone(),
            other: other.remove(&blocked.partner_id).into_iter().flat_map(Totals::into_values).collect(),
        });
    }
    left_out
}

/// What a book brings in, before tax, which is nobody's revenue.
fn totals_of(drafted: &Drafted) -> Result<BTreeMap<PartnerId, Totals>, MoneyError> {
    let mut totals: BTreeMap<PartnerId, Totals> = BTreeMap::new();
    for document in &drafted.documents {
        let minor = document.net_minor().ok_or(MoneyError::Overflow)?;
        let total = Money { minor, currency: document.body.currency };
        let of_partner = totals.entry(document.body.partner_id.clone()).or_default();
        let sum = of_partner.entry(total.currency).or_insert(Money::zero(total.currency));
        *sum = sum.checked_add(total)?;
    }
    Ok(totals)
}

fn summaries(partners: &[RepricedPartner]) -> Result<Vec<Summary>, MoneyError> {
    let mut by_currency: BTreeMap<Currency, Summary> = BTreeMap::new();
    for partner in partners {
        let zero = Money::zero(partner.old.currency);
        let empty = Summary { old: zero, new: zero, delta_minor: 0, winners: 0, losers: 0, unchanged: 0 };
        let sum = by_currency.entry(partner.old.currency).or_insert(empty);
        sum.old = sum.old.checked_add(partner.old)?;
        sum.new = sum.new.checked_add(partner.new)?;
        match partner.delta_minor {
            ..0 => sum.winners += 1,
            0 => sum.unchanged += 1,
            1.. => sum.losers += 1,
        }
    }
    for sum in by_currency.values_mut() {
        sum.delta_minor = sum.new.minor.checked_sub(sum.old.minor).ok_or(MoneyError::Overflow)?;
    }
    Ok(by_currency.into_values().collect())
}

/// What the new catalog counts otherwise than the present one, in words that name each meter; empty where usage may be
/// priced by it. A meter's words (`name`, `unit`) change nothing that was counted.
///
/// Products decide whose path a request is, so other products or routes are another definition of each meter that
/// counts a product. A meter that the present catalog does not have was never counted, which matters once a plan
/// prices it.
#[must_use]
pub fn changed_meters(present: &Catalog, new: &Catalog) -> Vec<String> {
    let changes = diff(present, new);
    let mut told: BTreeMap<&str, String> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.section == Section::Meter) {
        match change.change {
            // What no plan prices is in no figure.
            Change::Removed => {}
            Change::Added if !is_priced(new, &change.id) => {}
            Change::Added => {
                told.insert(&change.id, "is not in the present catalog, so its usage was never counted".to_owned());
            }
            Change::Changed => {
                let words = counting(change, &["name", "unit"]);
                if !words.is_empty() {
                    told.insert(&change.id, format!("counts something else: {words}"));
                }
            }
        }
    }
    let products: Vec<String> = changes
        .iter()
        .filter(|change| change.section == Section::Product)
        .filter_map(|change| match change.change {
            Change::Added => Some(format!("product {} is new", change.id)),
            Change::Removed => Some(format!("product {} is not in the new catalog", change.id)),
            Change::Changed => {
                let words = counting(change, &["name"]);
                (!words.is_empty()).then(|| format!("product {}: {words}", change.id))
            }
        })
        .collect();
    if !products.is_empty() {
        for (id, _) in new.meters.iter().filter(|(_, meter)| meter.product.is_some()) {
            let because = || format!("counts requests of a product, and {}", products.join("; "));
            if is_priced(new, id.as_str()) {
                told.entry(id.as_str()).or_insert_with(because);
            }
        }
    }
    told.into_iter().map(|(id, what)| format!("meter {id} {what}")).collect()
}

/// The keys of an entry that changed, but those that only name it.
fn counting(change: &EntryChange, words: &[&str]) -> String {
    let fields = change.fields.iter().filter(|field| !words.contains(&field.name().as_str()));
    fields.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn is_priced(catalog: &Catalog, meter_id: &str) -> bool {
    let mut prices = catalog.plans.values().flatten().flat_map(|version| &version.prices);
    prices.any(|price| price.meter.as_ref().is_some_and(|id| id.as_str() == meter_id))
}

/// The catalog as if the newest version of each plan had been in force all along.
#[must_use]
pub fn newest_versions(catalog: &Catalog) -> Catalog {
    let mut catalog = catalog.clone();
    for versions in catalog.plans.values_mut() {
        if let Some(newest) = versions.pop() {
            let effective_from = DateTime::<Utc>::MIN_UTC;
            *versions = vec![PlanVersion { effective_from, ..newest }];
        }
    }
    catalog
}

/// Versions that begin at an instant or later, in words: they price nothing of what was before.
#[must_use]
pub fn versions_from(catalog: &Catalog, instant: DateTime<Utc>) -> Vec<String> {
    let all = catalog.plans.iter().flat_map(|(plan_id, versions)| versions.iter().map(move |one| (plan_id, one)));
    let later = all.filter(|(_, version)| version.effective_from >= instant);
    later.map(told).collect()
}

/// Versions that begin within a time, in words, of those that the present catalog does not have like that: of the
/// periods that began before them they price nothing.
#[must_use]
pub fn versions_within(catalog: &Catalog, present: &Catalog, time: Period) -> Vec<String> {
    let all = catalog.plans.iter().flat_map(|(plan_id, versions)| versions.iter().map(move |one| (plan_id, one)));
    let begins_inside =
        |version: &PlanVersion| time.start < version.effective_from && version.effective_from < time.end;
    let is_new = |plan_id: &PlanId, version: &PlanVersion| {
        let mut known = present.plans.get(plan_id).into_iter().flatten();
        !known.any(|known| (known.version, known.effective_from) == (version.version, version.effective_from))
    };
    let inside = all.filter(|(plan_id, version)| begins_inside(version) && is_new(plan_id, version));
    inside.map(told).collect()
}

fn told((plan_id, version): (&PlanId, &PlanVersion)) -> String {
    format!("{plan_id} version {} (from {})", version.version, print_instant(version.effective_from))
}

#[cfg(test)]
mod tests;
