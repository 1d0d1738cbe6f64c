//! From catalog files to a checked catalog. Every problem is collected with its place; nothing is repaired.
//!
//! One mistake is told once. An entry that is wrong itself is still known to those that name it, so they say nothing
//! more of it. Where a file cannot be read, nothing is said about names that may stand in it.

mod contract;
mod coupon;
mod entry;
mod instant;
mod meter;
mod plan;
mod product;
mod tax;
mod terms;
mod told;
mod whole;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use super::file::CatalogFile;
use super::place::Places;
use super::{Catalog, Problem, problem};
use crate::id::IdError;
use crate::nearest::nearest;
use crate::price::node::{Node, Value};
use crate::price::read::{Reading, Table};

/// What entries there are: the word in the file.
pub(super) const SECTIONS: [&str; 7] = ["issuer", "product", "meter", "plan", "contract", "coupon", "tax_rate"];

pub(super) fn check(files: &[&CatalogFile], sha256: String) -> (Catalog, Vec<Problem>) {
    let mut checking = Checking::new(sha256);
    let mut trees = Vec::new();
    for file in files {
        match file.tree() {
            Ok(mut tree) => {
                checking.told.part(&mut tree);
                trees.push((*file, tree));
            }
            Err(problems) => {
                checking.is_whole = false;
                checking.problems.extend(problems);
            }
        }
    }
    // References may point into any file, so what is pointed to is read first.
    let mut entries: Vec<(&CatalogFile, &'static str, &Node)> = Vec::new();
    for (file, tree) in &trees {
        checking.reading(file, |checking, reading| {
            let Some(mut root) = Table::of(tree, "", reading) else { return };
            for section in SECTIONS {
                if root.node(section).is_some_and(|node| !matches!(node.value, Value::List(_))) {
                    checking.told.refuse_nameless(section);
                }
                entries.extend(listed(&mut root, section, reading).iter().map(|node| (*file, section, node)));
            }
            root.finish(reading);
        });
    }
    entries.iter().for_each(|(file, section, node)| checking.declare(file, section, node));
    for wanted in SECTIONS {
        for (file, _, node) in entries.iter().filter(|(_, section, _)| *section == wanted) {
            let problems_before = checking.problems.len();
            let mut is_taken = false;
            checking.reading(file, |checking, reading| {
                let Some(table) = Table::of(node, wanted, reading) else { return };
                let taken = match wanted {
                    "issuer" => checking.issuer(table, reading),
                    "product" => checking.product(file, table, reading),
                    "meter" => checking.meter(file, table, reading),
                    "plan" => checking.plan(table, reading),
                    "contract" => checking.contract(table, reading),
                    "coupon" => checking.coupon(table, reading),
                    _ => checking.tax_rate(table, reading),
                };
                is_taken = taken.is_some();
            });
            let was_silent = checking.told.was_silent();
            if !is_taken || was_silent || checking.problems.len() > problems_before {
                checking.told.refuse(wanted, node);
            }
        }
    }
    problem::sort(&mut checking.problems);
    (checking.catalog, checking.problems)
}

/// The entries of a section.
fn listed<'a>(root: &mut Table<'a>, section: &'static str, reading: &mut Reading) -> &'a [Node] {
    match root.take(section).map(|node| (node, &node.value)) {
        Some((_, Value::List(entries))) => entries,
        Some((node, _)) => {
            let what = format!("{section} is {}, expected [[{section}]]", node.value.name());
            reading.flaw(node.at.clone(), section, what, format!("write [[{section}]], with two brackets"));
            &[]
        }
        None => &[],
    }
}

struct Checking {
    catalog: Catalog,
    /// Ids by section, also of entries that are wrong.
    declared: BTreeMap<&'static str, BTreeSet<String>>,
    /// Where each entry, or version of one, stands first: its section, its id, its version where it says one.
    first_at: BTreeMap<(&'static str, String, Option<u32>), String>,
    /// What those that name an entry need not say again.
    told: told::Told,
    /// Whether every file could be read.
    is_whole: bool,
    /// Rules of the products so far.
    rules: Vec<product::PlacedRule>,
    problems: Vec<Problem>,
}

/// A `None` result always has its flaw recorded already, here or at an entry that it names.
impl Checking {
    fn new(sha256: String) -> Self {
        let catalog = Catalog {
            issuers: BTreeMap::new(),
            issuer_versions: BTreeMap::new(),
            products: BTreeMap::new(),
            meters: BTreeMap::new(),
            plans: BTreeMap::new(),
            contracts: BTreeMap::new(),
            coupons: BTreeMap::new(),
            tax_rates: BTreeMap::new(),
            sha256,
            files: Vec::new(),
            places: Places::default(),
        };
        Self {
            catalog,
            declared: BTreeMap::new(),
            first_at: BTreeMap::new(),
            told: told::Told::default(),
            is_whole: true,
            rules: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Reads something of a file; its flaws become problems.
    fn reading(&mut self, file: &CatalogFile, read: impl FnOnce(&mut Self, &mut Reading)) {
        let mut reading = Reading::default();
        read(self, &mut reading);
        for flaw in reading.flaws {
            self.problems.push(Problem::at(&file.path, &file.text, flaw.at, flaw.what, flaw.mend));
        }
    }

    fn declare(&mut self, file: &CatalogFile, section: &'static str, node: &Node) {
        let Some(Value::Text(id)) = node.under(&["id"]).map(|node| &node.value) else {
            self.told.refuse_nameless(section);
            return;
        };
        self.declared.entry(section).or_default().insert(id.clone());
        let version = match node.under(&["version"]).map(|node| &node.value) {
            Some(Value::Whole(version)) => u32::try_from(*version).ok(),
            Some(Value::Text(version)) => version.parse().ok(),
            _ => None,
        };
        // Versions of an issuer have no number: the one from the beginning is there once.
        if section == "issuer" && node.under(&["effective_from"]).is_some() {
            return;
        }
        let Problem { path, line, .. } = Problem::at(&file.path, &file.text, node.place_of(&["id"]), "", "");
        self.first_at.entry((section, id.clone(), version)).or_insert_with(|| format!("{path}:{line}"));
    }

    /// The words for an entry, or a version of one, that is there already.
    fn declared_twice(&self, section: &'static str, id: &str, version: Option<u32>) -> String {
        let of_version = version.map(|version| format!(" version {version}")).unwrap_or_default();
        let first = self.first_at.get(&(section, id.to_owned(), version));
        let first = first.map(|place| format!(", first at {place}")).unwrap_or_default();
        format!("{} {id}{of_version} is declared twice{first}", section.replace('_', " "))
    }

    /// The id of an entry, and where it stands.
    fn own_id<T>(
        table: &mut Table<'_>,
        whose: &str,
        parse: impl Fn(String) -> Result<T, IdError>,
        reading: &mut Reading,
    ) -> (Option<T>, Range<usize>) {
        let at = table.place_or_table("id");
        let path = table.path_of("id");
        let text = table.required(reading, "id", whose, Table::text);
        (text.and_then(|text| id(text, at.clone(), &path, &parse, reading)), at)
    }

    /// A name of another entry: `key` names one of `section`.
    fn reference<T: fmt::Display>(
        &self,
        text: String,
        at: Range<usize>,
        (section, path): (&'static str, &str),
        parse: impl Fn(String) -> Result<T, IdError>,
        reading: &mut Reading,
    ) -> Option<T> {
        let declared = self.declared.get(section);
        if declared.is_some_and(|declared| declared.contains(&text)) {
            // One that is no id is told where it is declared.
            let parsed = parse(text).ok();
            if parsed.is_none() {
                self.told.refuse_silently();
            }
            return parsed;
        }
        let id = id(text, at.clone(), path, &parse, reading)?;
        let name = id.to_string();
        if self.is_whole && !self.told.covers(section, &name) {
            let known: Vec<&str> = declared.into_iter().flatten().map(String::as_str).collect();
            let article = if section.starts_with('i') { "an" } else { "a" };
            let what = format!("no {section} {name}, expected the id of {article} [[{section}]]");
            let mend = match (nearest(&name, known.iter().copied()), known.as_slice()) {
                (Some(known), _) => format!("did you mean {known}?"),
                (None, []) => format!("declare it: there is no [[{section}]] yet"),
                (None, known) => format!("declare it, or name another; there are {}", listing(known)),
            };
            reading.flaw(at, path, what, mend);
        } else {
            self.told.refuse_silently();
        }
        None
    }
}

fn id<T>(
    text: String,
    at: Range<usize>,
    path: &str,
    parse: impl Fn(String) -> Result<T, IdError>,
    reading: &mut Reading,
) -> Option<T> {
    parse(text).map_err(|error| reading.flaw(at, path, error.to_string(), "choose another id")).ok()
}

/// The first of many names.
fn listing(names: &[&str]) -> String {
    const SHOWN_MAX: usize = 12;
    let shown = names.iter().take(SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN_MAX { format!("{shown} and {} more", names.len() - SHOWN_MAX) } else { shown }
}
