//! A partner's customer is brought to the version of its billing profile that is in force, before anything that waits
//! for it goes on: Stripe prints name, address and tax id as they are when an invoice is finalised, and sends it to the
//! address of that moment.
//!
//! A version is given once: its step has the version's name, so that its key has it too. A customer never goes back to
//! a version before the one that it has. What an earlier push sent and did not hear of is settled first: otherwise a
//! request that was slow on its way could undo a later one.

use tollbook_schemas::id::ProfileVersionId;

use super::super::ledger::{Plan, Step};
use super::Batch;
use super::phase::{Unit, UnitResult};
use crate::error::BillingError;
use crate::profile::Profile;

impl Batch<'_> {
    /// The version that the customer of some jobs' partner should have: the one in force now, or the one that a
    /// document names, whichever comes later.
    pub(super) fn profile_wanted(&self, jobs: &[usize]) -> Result<&Profile, String> {
        let mut wanted: Option<&Profile> = None;
        for index in jobs {
            let body = &self.jobs[*index].document.body;
            let named = self.profiles.version(&body.profile_version_id)?;
            let in_force = self.profiles.at(&body.partner_id, self.now())?;
            wanted = wanted.into_iter().chain([named]).chain(in_force).max_by_key(|profile| profile.rank());
        }
        wanted.ok_or_else(|| "nothing waits for this customer".to_owned())
    }

    /// Whether a customer that was given some versions has to be given this one.
    fn is_news(&self, wanted: &Profile, given: &[ProfileVersionId]) -> bool {
        let is_later =
            |given: &ProfileVersionId| self.profiles.version(given).is_ok_and(|given| given.rank() > wanted.rank());
        !given.contains(&wanted.profile_version_id) && !given.iter().any(is_later)
    }

    /// Gives each customer the version that it should have. A job whose customer could not be given it waits.
    pub(super) async fn customer_profiles(&mut self) -> Result<(), BillingError> {
        let (now, resend_for) = (self.now(), self.settings.resend_for());
        let mut earlier = Vec::new();
        let mut wanted_units = Vec::new();
        let mut failures = Vec::new();
        for (partner_id, jobs) in self.live_jobs_by_partner() {
            let Some(owner) = self.customer_owners.get(&partner_id).cloned() else { continue };
            let Some(ledger) = self.ledger(&owner) else { continue };
            let wanted = match self.profile_wanted(&jobs) {
                Ok(wanted) => wanted,
                Err(told) => {
                    failures.push((jobs, told));
                    continue;
                }
            };
            let given: Vec<ProfileVersionId> = ledger.profiles_given().collect();
            if !self.is_news(wanted, &given) {
                continue;
            }
            let unit = |step: Step| Unit::new(owner.clone(), step, partner_id.to_string(), jobs.clone());
            let under_way = ledger.profiles_under_way().filter(|version| *version != wanted.profile_version_id);
            earlier.extend(under_way.map(Step::CustomerProfile).filter_map(|step| {
                // Too old to be under way still: nothing is left to be settled.
                matches!(ledger.plan(&step, now, resend_for), Plan::Resend(_)).then(|| unit(step))
            }));
            wanted_units.push(unit(Step::CustomerProfile(wanted.profile_version_id.clone())));
        }
        for (jobs, told) in failures {
            jobs.into_iter().for_each(|index| self.jobs[index].failure = Some(told.clone()));
        }
        for (unit, result) in self.run_units(earlier).await? {
            // Refused or carried out, it is settled.
            if let UnitResult::Unfinished(told) = result {
                for index in &unit.jobs {
                    self.jobs[*index].unfinished = Some(format!("{}: {told}", unit.step));
                }
            }
        }
        wanted_units.retain(|unit| unit.jobs.iter().all(|index| self.jobs[*index].is_live()));
        self.run(wanted_units).await
    }
}
