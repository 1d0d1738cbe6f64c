//! The demo's catalog: the TOML files that `tollbook demo` writes into `catalog/` of its folder.
//!
//! The files lie beside this one, so that people read them as they will edit them. The ledger does not read them: it
//! has prices of its own in [`crate::pricing`], and a test holds the two together.

/// Files of the catalog, as name and text.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("issuers.toml", include_str!("catalog/issuers.toml")),
    ("products.toml", include_str!("catalog/products.toml")),
    ("meters.toml", include_str!("catalog/meters.toml")),
    ("plans.toml", include_str!("catalog/plans.toml")),
];

#[cfg(test)]
mod tests;
