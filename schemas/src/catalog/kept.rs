//! A catalog as the lake keeps it: into rows of `catalog_file`, and back.
//!
//! Takes a catalog or rows, gives rows or a catalog. What comes back is parsed anew from the text, and its hash is
//! computed anew: a row that was changed, lost or added is an error, never another catalog.

use chrono::{DateTime, Utc};

use super::{Catalog, CatalogFile, Problem, problem};
use crate::error::{Classified, Kind};
use crate::tables::Row;

/// Why a kept catalog cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeptError {
    /// The lake has no row of it.
    #[error(
        "catalog {sha256} was not kept; `tollbook sql \"select distinct catalog_sha256 from catalog_file\"` lists those \
         that were: what was computed before catalogs were kept has none"
    )]
    Missing {
        /// Hash that was asked for.
        sha256: String,
    },
    /// Rows are not what was kept.
    #[error(
        "catalog_file does not hold catalog {sha256}: its rows have the hash {found}; restore the table from a copy of \
         the lake"
    )]
    Damaged {
        /// Hash that was asked for.
        sha256: String,
        /// Hash that the rows have.
        found: String,
    },
    /// Rules of today refuse it.
    #[error(
        "catalog {sha256} was kept and cannot be read by this version of tollbook; read it with the version that used \
         it\n\n{}",
        problem::shown_all(problems)
    )]
    Unreadable {
        /// Its hash.
        sha256: String,
        /// What is wrong with it today.
        problems: Vec<Problem>,
    },
}

impl Classified for KeptError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } | Self::Unreadable { .. } => Kind::Configuration,
            Self::Damaged { .. } => Kind::Data,
        }
    }
}

impl Catalog {
    /// The files it was read from, in name order.
    #[must_use]
    pub fn files(&self) -> &[CatalogFile] {
        &self.files
    }

    /// Its rows of `catalog_file`.
    #[must_use]
    pub fn to_rows(&self, kept_at: DateTime<Utc>) -> Vec<Row> {
        let row = |file: &CatalogFile| {
            Row::new()
                .with("catalog_sha256", self.sha256.as_str())
                .with("path", file.path.as_str())
                .with("text", file.text.as_str())
                .with("kept_at", kept_at)
        };
        self.files.iter().map(row).collect()
    }

    /// A kept catalog, from rows of `catalog_file`; those of others may be among them.
    ///
    /// # Errors
    /// [`KeptError`].
    pub fn of_rows(sha256: &str, rows: &[Row]) -> Result<Self, KeptError> {
        let (catalog, problems) = Self::of_rows_partly(sha256, rows)?;
        if problems.is_empty() {
            return Ok(catalog);
        }
        Err(KeptError::Unreadable { sha256: sha256.to_owned(), problems })
    }

    /// As [`Catalog::of_rows`], with what today's rules refuse left out and told: for comparing what can be compared.
    ///
    /// # Errors
    /// [`KeptError`], but not that it is unreadable.
    pub fn of_rows_partly(sha256: &str, rows: &[Row]) -> Result<(Self, Vec<Problem>), KeptError> {
        let own = rows.iter().filter(|row| row.text("catalog_sha256") == Some(sha256));
        let file = |row: &Row| {
            let (path, text) = (row.text("path").unwrap_or_default(), row.text("text").unwrap_or_default());
            CatalogFile { path: path.to_owned(), text: text.to_owned() }
        };
        let files: Vec<CatalogFile> = own.map(file).collect();
        if files.is_empty() {
            return Err(KeptError::Missing { sha256: sha256.to_owned() });
        }
        let (catalog, problems) = Self::parse_partly(&files);
        if catalog.sha256 != sha256 {
            return Err(KeptError::Damaged { sha256: sha256.to_owned(), found: catalog.sha256 });
        }
        Ok((catalog, problems))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> CatalogFile {
        CatalogFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_catalog_comes_back_from_its_rows_and_damage_does_not() {
        let sample = include_str!("../../../catalog/catalog.toml");
        let catalog = Catalog::parse(&[file("b.toml", "# nothing\n"), file("a.toml", sample)]).unwrap();
        let other = Catalog::parse(&[file("a.toml", sample)]).unwrap();
        let rows = catalog.to_rows(DateTime::UNIX_EPOCH);
        assert_eq!(rows.iter().map(|row| row.text("path").unwrap()).collect::<Vec<_>>(), ["a.toml", "b.toml"]);
        let sha256 = catalog.sha256.as_str();
        // In any order, among those of others.
        let mut kept: Vec<Row> = rows.iter().rev().cloned().collect();
        kept.extend(other.to_rows(DateTime::UNIX_EPOCH));
        assert_eq!(Catalog::of_rows(sha256, &kept).as_ref(), Ok(&catalog));
        assert_eq!(Catalog::of_rows(&other.sha256, &kept), Ok(other));
        let twice = [rows.clone(), rows[..1].to_vec()].concat();
        let changed = vec![rows[0].clone(), rows[1].clone().with("text", "# something\n")];
        let renamed = vec![rows[0].clone(), rows[1].clone().with("path", "c.toml")];
        for damaged in [rows[..1].to_vec(), twice, changed, renamed] {
            let error = Catalog::of_rows(sha256, &damaged).unwrap_err();
            assert!(matches!(&error, KeptError::Damaged { .. }) && error.kind() == Kind::Data, "{error}");
        }
        let missing = Catalog::of_rows("00", &rows).unwrap_err();
        assert_eq!((missing.kind(), missing), (Kind::Configuration, KeptError::Missing { sha256: "00".into() }));
        // What the rules of today refuse is told, and the rest can be compared.
        let (refused, _) = Catalog::parse_partly(&[file("a.toml", &sample.replacen("\"49\"", "\"-49\"", 1))]);
        let rows = refused.to_rows(DateTime::UNIX_EPOCH);
        let error = Catalog::of_rows(&refused.sha256, &rows).unwrap_err();
        assert!(error.to_string().contains("a price is negative") && error.kind() == Kind::Configuration, "{error}");
        let (partly, problems) = Catalog::of_rows_partly(&refused.sha256, &rows).unwrap();
        assert_eq!((partly.plans.len(), problems.len()), (2, 1));
    }
}
