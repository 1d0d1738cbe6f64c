use std::cmp::Ordering;

use super::*;
use crate::calendar::{DAY, TRAFFIC_START, june, may};

fn of(seed: u64, partners: u32) -> World {
    world(&Settings { seed, partners, ..Settings::default() })
}

#[test]
fn the_clock_and_the_month_are_fixed() {
    let world = of(1, 8);
    assert_eq!(tollbook_schemas::period::print_instant(world.now()), "2026-07-02T06:00:00Z");
    assert_eq!(world.month().to_string(), "2026-06");
}

#[test]
fn the_seed_decides_everything() {
    assert_eq!(of(1, 40), of(1, 40));
    assert_ne!(of(1, 40), of(2, 40));
    assert_eq!(of(1, 0).partners.len(), 8);
    assert_eq!(world(&Settings { partitions: 0, ..Settings::default() }).settings.partitions, 1);
}

#[test]
fn every_partner_lives_in_order() {
    for (seed, partners) in [(1, 8), (2, 12), (3, 40), (4, 600)] {
        let world = of(seed, partners);
        let ids: std::collections::BTreeSet<&str> = world.partners.iter().map(|partner| partner.id.as_str()).collect();
        assert_eq!(ids.len(), world.partners.len(), "ids are there once");
        for partner in &world.partners {
            assert!(tollbook_schemas::id::PartnerId::parse(partner.id.as_str()).is_ok());
            assert!((may(18, 0, 0)..june(21, 0, 0)).contains(&partner.registered_at), "{}", partner.id);
            for access in partner.sandbox.iter().chain(&partner.production) {
                assert!(partner.registered_at < access.linked_at && access.linked_at <= access.traffic.from);
                assert!(access.traffic.from >= TRAFFIC_START && access.traffic.to - access.traffic.from > DAY);
            }
            if let (Some(sandbox), Some(production)) = (&partner.sandbox, &partner.production) {
                assert!(sandbox.traffic.from < production.traffic.from, "{}", partner.id);
            }
            assert_eq!(partner.production.is_some(), partner.subscription.is_some());
            if let Some(subscription) = &partner.subscription {
                assert!(partner.registered_at < subscription.started_at);
                assert!(subscription.billed().is_some(), "{}", partner.id);
            }
        }
    }
}

#[test]
fn every_situation_occurs_at_any_size() {
    for (seed, partners) in [(1, 8), (9, 40)] {
        let world = of(seed, partners);
        let count = |what: &dyn Fn(&Partner) -> bool| world.partners.iter().filter(|partner| what(partner)).count();
        let billing_zone = |partner: &Partner| partner.subscription.as_ref().map(|s| s.billing_zone().name);
        for zone in ["Asia/Kolkata", "Asia/Kathmandu", "America/New_York"] {
            assert_eq!(count(&|partner| billing_zone(partner) == Some(zone)), 1, "{zone}");
        }
        for plan in ["starter", "pro", "scale", "llm", "nippon"] {
            assert!(count(&|p| p.subscription.as_ref().is_some_and(|s| s.plan.id == plan)) > 0, "{plan}");
        }
        assert!(count(&|partner| partner.sandbox.is_none() && partner.production.is_none()) > 0);
        assert!(count(&|partner| partner.sandbox.is_some() && partner.production.is_none()) > 0);
        let skipped = count(&|partner| partner.sandbox.is_none() && partner.production.is_some());
        assert_eq!(skipped, if partners < 12 { 1 } else { 2 });
        assert_eq!(count(&|partner| partner.subscription.as_ref().is_some_and(|s| s.ended_at.is_some())), 1);
        assert_eq!(count(&|partner| partner.offboarded_at.is_some()), 1);
        assert_eq!(count(&|partner| partner.is_internal), 1);
        let late = |access: &Access| access.recorded_at > access.traffic.from;
        assert_eq!(count(&|partner| partner.production.as_ref().is_some_and(late)), 1);
        // No month before June is billed. Some subscribe as June begins, and in a larger world some in its middle.
        let begins = |s: &Subscription| s.started_at.cmp(&s.billing_zone().june().0);
        let count_of = |order| count(&|partner| partner.subscription.as_ref().is_some_and(|s| begins(s) == order));
        assert_eq!(count_of(Ordering::Less), 0);
        assert!(count_of(Ordering::Equal) >= 4, "{}", count_of(Ordering::Equal));
        let in_june = |s: &Subscription| s.started_at > june(5, 0, 0);
        assert!(partners < 12 || count(&|partner| partner.subscription.as_ref().is_some_and(in_june)) > 0);
    }
}

#[test]
fn every_partner_has_a_profile_and_nothing_in_it_is_real() {
    let world = of(1, 40);
    let profiles = world.billing_profiles();
    assert_eq!(profiles.len(), 40);
    for profile in profiles {
        assert!(profile.billing_email.ends_with("@example.org"));
        assert!(profile.country.len() == 2 && profile.address.starts_with(&profile.legal_name));
        assert!(profile.effective_from < as_utc(TRAFFIC_START));
    }
}

#[test]
fn debug_output_shows_no_credential() {
    let world = of(1, 40);
    let access = world.partners[PAYING_CREDENTIAL].production.as_ref().unwrap();
    let shown = format!("{world:?} {:?}", world.lifecycle_messages());
    assert!(!shown.contains(&access.credential.as_ref().unwrap().0));
}
