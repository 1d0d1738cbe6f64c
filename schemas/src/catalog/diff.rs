//! What is different between two catalogs, for whom, and what may not be: two checked catalogs in, plain data out.
//! Pure.
//!
//! [`diff`] compares them entry by entry and key by key. [`affected`] tells whose bill comes out otherwise, and from
//! which billing period on. [`broken`], [`broken_contract`], [`broken_coupon`] and [`broken_tax_rate`] compare what an
//! issued invoice was rated with. A version of a plan or contract that was used once is a promise, and so is what its
//! meters count.

mod fields;
mod frozen;
mod impact;
mod place;

use std::collections::BTreeMap;
use std::fmt;

use super::{Catalog, ContractVersion, PlanVersion, TaxRateVersion};
use fields::Fields;

pub use frozen::{broken, broken_contract, broken_coupon, broken_issuer, broken_tax_rate};
pub use impact::{Affected, Subscribers, affected};

/// A kind of entry, in the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Who issues invoices.
    Issuer,
    /// What is sold.
    Product,
    /// What is counted.
    Meter,
    /// What it costs: one version of a plan.
    Plan,
    /// What was agreed beside it: one version of a contract.
    Contract,
    /// What is taken off for a while.
    Coupon,
    /// What is taxed how: one version of a tax rate.
    TaxRate,
}

impl Section {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Product => "product",
            Self::Meter => "meter",
            Self::Plan => "plan",
            Self::Contract => "contract",
            Self::Coupon => "coupon",
            Self::TaxRate => "tax_rate",
        }
    }
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The new catalog alone has it.
    Added,
    /// The old catalog alone has it.
    Removed,
    /// Both have it, with different keys.
    Changed,
}

impl Change {
    /// The word in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// One key with another text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Keys from the entry down: `price`, the price's id, `tiers`, `2`, `unit_price`. Tiers and cells count from 1.
    pub path: Vec<String>,
    /// Text in the old catalog; none where it is not there.
    pub old: Option<String>,
    /// Text in the new catalog; none where it is not there.
    pub new: Option<String>,
}

impl FieldChange {
    /// The path as one word.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.join(".")
    }
}

/// `price.calls.tiers.2.unit_price was 0.002 and is 0.003`.
impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "not there".to_owned());
        write!(f, "{} was {} and is {}", self.name(), shown(&self.old), shown(&self.new))
    }
}

/// One entry that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryChange {
    /// What it is.
    pub section: Section,
    /// Its id.
    pub id: String,
    /// Version, of a plan or contract.
    pub version: Option<u32>,
    /// What became of it.
    pub change: Change,
    /// The version before it, which the keys of an added version are compared with, where there is one.
    pub compared_with: Option<u32>,
    /// The keys that differ; all of them for an entry that stands alone.
    pub fields: Vec<FieldChange>,
}

/// Everything that is different, by section, id and version.
#[must_use]
pub fn diff(old: &Catalog, new: &Catalog) -> Vec<EntryChange> {
    let mut changes = Vec::new();
    compare(&mut changes, Section::Issuer, &old.issuer_versions, &new.issuer_versions, |versions| {
        fields::issuers(versions)
    });
    compare(&mut changes, Section::Product, &old.products, &new.products, fields::product);
    compare(&mut changes, Section::Meter, &old.meters, &new.meters, fields::meter);
    let number = |plan: &PlanVersion| plan.version;
    let plans = (versions(&old.plans, number), versions(&new.plans, number));
    compare_versions(&mut changes, Section::Plan, plans, fields::version);
    let number = |contract: &ContractVersion| contract.version;
    let contracts = (versions(&old.contracts, number), versions(&new.contracts, number));
    compare_versions(&mut changes, Section::Contract, contracts, fields::contract);
    compare(&mut changes, Section::Coupon, &old.coupons, &new.coupons, fields::coupon);
    let number = |rate: &TaxRateVersion| rate.version;
    let tax_rates = (versions(&old.tax_rates, number), versions(&new.tax_rates, number));
    compare_versions(&mut changes, Section::TaxRate, tax_rates, fields::tax_rate);
    changes
}

/// Versions by id and number.
type Versions<'a, T> = BTreeMap<(String, u32), &'a T>;

fn versions<I: fmt::Display, T>(all: &BTreeMap<I, Vec<T>>, number: fn(&T) -> u32) -> Versions<'_, T> {
    all.iter().flat_map(|(id, own)| own.iter().map(move |one| ((id.to_string(), number(one)), one))).collect()
}

/// A version that is new is compared with the one before it.
fn compare_versions<T>(
    changes: &mut Vec<EntryChange>,
    section: Section,
    (old_versions, new_versions): (Versions<'_, T>, Versions<'_, T>),
    fields: fn(&T) -> Fields,
) {
    let keys = old_versions.keys().chain(new_versions.keys()).collect::<std::collections::BTreeSet<_>>();
    for key in keys {
        let (id, version) = key;
        let found = (old_versions.get(key).copied(), new_versions.get(key).copied());
        let before = new_versions.range((id.clone(), 0)..key.clone()).next_back();
        let before = before.map(|((_, number), before)| (*number, *before)).filter(|_| found.0.is_none());
        let compared = (found.0.or(before.map(|(_, before)| before)), found.1);
        let Some(mut change) = entry(section, id, compared, fields) else { continue };
        change.version = Some(*version);
        if let (None, Some((number, _))) = (found.0, before) {
            change.change = Change::Added;
            change.compared_with = Some(number);
        }
        changes.push(change);
    }
}

fn compare<I: Ord + fmt::Display, T>(
    changes: &mut Vec<EntryChange>,
    section: Section,
    old: &BTreeMap<I, T>,
    new: &BTreeMap<I, T>,
    fields: fn(&T) -> Fields,
) {
    let ids = old.keys().chain(new.keys()).collect::<std::collections::BTreeSet<_>>();
    changes.extend(ids.into_iter().filter_map(|id| entry(section, id, (old.get(id), new.get(id)), fields)));
}

/// One entry, where it differs.
fn entry<T>(
    section: Section,
    id: impl fmt::Display,
    (old, new): (Option<&T>, Option<&T>),
    fields: fn(&T) -> Fields,
) -> Option<EntryChange> {
    let change = match (old, new) {
        (None, None) => return None,
        (None, Some(_)) => Change::Added,
        (Some(_), None) => Change::Removed,
        (Some(_), Some(_)) => Change::Changed,
    };
    let of = |entry: Option<&T>| entry.map(fields).unwrap_or_default();
    let fields = changed(&of(old), &of(new));
    let is_different = !fields.is_empty() || change != Change::Changed;
    is_different.then(|| EntryChange {
        section,
        id: id.to_string(),
        version: None,
        change,
        compared_with: None,
        fields,
    })
}

/// Keys with another text, in the order of the old ones; those that are new alone follow.
fn changed(old: &Fields, new: &Fields) -> Vec<FieldChange> {
    let of = |(path, _): &(Vec<String>, String)| FieldChange {
        path: path.clone(),
        old: old.get(path).map(str::to_owned),
        new: new.get(path).map(str::to_owned),
    };
    let added = new.0.iter().filter(|(path, _)| old.get(path).is_none());
    old.0.iter().chain(added).map(of).filter(|field| field.old != field.new).collect()
}

#[cfg(test)]
mod tests;
