//! The shape of a catalog file, as serde reads it: every key known, every value with its place in the text.

use serde::Deserialize;
use toml::Spanned;

use crate::price::node::Placed;

/// One file of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogFile {
    /// Path as shown to people; relative to the catalog folder, so that the hash does not depend on the machine.
    pub path: String,
    /// Its text.
    pub text: String,
}

type Text = Spanned<String>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    pub issuer: Vec<Spanned<IssuerEntry>>,
    #[serde(default)]
    pub product: Vec<Spanned<ProductEntry>>,
    #[serde(default)]
    pub meter: Vec<Spanned<MeterEntry>>,
    #[serde(default)]
    pub plan: Vec<Spanned<PlanEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuerEntry {
    pub id: Text,
    pub legal_name: Text,
    pub address: Vec<String>,
    pub tax_id: Option<String>,
    pub number_prefix: Text,
    pub time_zone: Text,
    pub payment_terms_days: Spanned<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductEntry {
    pub id: Text,
    pub name: Text,
    pub routes: Vec<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MeterEntry {
    pub id: Text,
    pub name: Text,
    pub unit: Text,
    pub product: Option<Text>,
    pub aggregation: Text,
    pub value: Option<Text>,
    pub filter: Option<Text>,
    #[serde(default)]
    pub group_by: std::collections::BTreeMap<String, Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanEntry {
    pub id: Text,
    pub version: Spanned<i64>,
    pub effective_from: Text,
    pub name: Text,
    pub issuer: Text,
    pub currency: Text,
    /// Read by [`crate::price::tariff`], which knows every model's keys.
    #[serde(default)]
    pub price: Vec<Placed>,
}
