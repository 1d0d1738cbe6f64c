//! Issuers: from a table to a checked entry of the catalog.

use std::ops::Range;

use super::Checking;
use super::instant::instant;
use super::whole::whole;
use super::zone::zone;
use crate::catalog::Issuer;
use crate::id::IssuerId;
use crate::price::read::{Reading, Table};

impl Checking {
    pub(super) fn issuer(&mut self, mut table: Table<'_>, reading: &mut Reading) -> Option<()> {
        let whose = "an issuer";
        let (id, id_at) = Self::own_id(&mut table, whose, IssuerId::parse, reading);
        let effective_from = table.optional(reading, "effective_from", instant);
        let legal_name = table.required(reading, "legal_name", whose, Table::printed);
        let address = table.required(reading, "address", whose, Table::printed_texts);
        let tax_id = table.optional(reading, "tax_id", Table::printed);
        let prefix_at = table.place_or_table("number_prefix");
        let number_prefix = table.required(reading, "number_prefix", whose, Table::text);
        let number_prefix =
            number_prefix.and_then(|prefix| self.number_prefix(prefix, id.as_ref(), prefix_at, reading));
        let time_zone = table.required(reading, "time_zone", whose, zone);
        let payment_terms_days = table.required(reading, "payment_terms_days", whose, |node, path, reading| {
            let mend = "write the days until an invoice is due, such as 14";
            whole((node, path), 0..=365, ("payment_terms_days must be 0 to 365", mend), reading)
        });
        let adjust_months_max = table.optional(reading, "adjust_months_max", |node, path, reading| {
            let mend = "leave it out to adjust every month, however old";
            whole((node, path), 0..=1200, ("adjust_months_max must be 0 to 1200", mend), reading)
        });
        table.finish(reading);
        let (id, number_prefix) = (id?, number_prefix?);
        let issuer = Issuer {
            effective_from: effective_from?,
            legal_name: legal_name?,
            address: address?,
            tax_id: tax_id?,
            number_prefix,
            time_zone: time_zone?,
            payment_terms_days: payment_terms_days?,
            adjust_months_max: adjust_months_max?,
        };
        let twice = self.declared_twice("issuer", id.as_str(), None);
        self.catalog.add_issuer(id, issuer, (id_at, twice), reading);
        Some(())
    }

    fn number_prefix(
        &self,
        prefix: String,
        own: Option<&IssuerId>,
        at: Range<usize>,
        reading: &mut Reading,
    ) -> Option<String> {
        let path = "issuer.number_prefix";
        if prefix.is_empty() || prefix.len() > 16 || !prefix.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            reading.flaw(
                at,
                path,
                "number_prefix must be 1 to 16 letters, digits or '-'",
                "write such as \"AC-2026-\"",
            );
            return None;
        }
        if let Some((other, _)) =
            self.catalog.issuers.iter().find(|(id, other)| own != Some(*id) && other.number_prefix == prefix)
        {
            let what = format!("number_prefix {prefix:?} is that of issuer {other} too");
            reading.flaw(at, path, what, "give each issuer its own, or two invoices share a number");
            return None;
        }
        Some(prefix)
    }
}
