//! Production usage, found by partner and meter: it is asked for once for every price of every span.

use std::collections::{BTreeMap, HashMap};

use tollbook_schemas::id::{MeterId, PartnerId};
use tollbook_schemas::registry::Environment;

use crate::usage::UsageSlice;

/// The slices of one partner, by meter.
type OfPartner<'a> = BTreeMap<&'a MeterId, Vec<&'a UsageSlice>>;

/// Production usage (I8) by partner and meter.
#[derive(Default)]
pub(super) struct UsageIndex<'a>(HashMap<&'a PartnerId, OfPartner<'a>>);

impl<'a> UsageIndex<'a> {
    /// Of rows of any partner, month and environment.
    pub(super) fn of_slices(slices: &'a [UsageSlice]) -> Self {
        let mut usage = Self::default();
        for slice in slices {
            if let (Some(partner_id), Some(Environment::Production)) = (&slice.partner_id, slice.environment) {
                usage.0.entry(partner_id).or_default().entry(&slice.meter_id).or_default().push(slice);
            }
        }
        usage
    }

    /// The slices of one meter of one partner.
    pub(super) fn of(&self, partner_id: &PartnerId, meter_id: &MeterId) -> &[&'a UsageSlice] {
        self.0.get(partner_id).and_then(|meters| meters.get(meter_id)).map_or(&[], Vec::as_slice)
    }

    /// All meters that a partner has usage of.
    pub(super) fn meters_of(&self, partner_id: &PartnerId) -> impl Iterator<Item = (&'a MeterId, &[&'a UsageSlice])> {
        let meters = self.0.get(partner_id).into_iter().flatten();
        meters.map(|(meter_id, slices)| (*meter_id, slices.as_slice()))
    }

    /// Takes one partner's out.
    pub(super) fn take(&mut self, partner_id: &PartnerId) -> Option<(&'a PartnerId, OfPartner<'a>)> {
        self.0.remove_entry(partner_id)
    }

    /// Puts one partner's in.
    pub(super) fn put(&mut self, (partner_id, meters): (&'a PartnerId, OfPartner<'a>)) {
        self.0.insert(partner_id, meters);
    }
}
