//! The ledger is counted by construction; `again` reads the bytes a second time and must come to the same figures.

mod again;

use std::collections::{BTreeMap, BTreeSet};

use crate::calendar::{NOW, as_ms};
use crate::ledger::{Ledger, UsageKey};
use crate::{Message, Settings, World, world};

use again::{elements, read_again};

fn small(seed: u64) -> World {
    world(&Settings { seed, events: 6000, partners: 14, partitions: 3 })
}

fn run(world: &World) -> (Vec<Message>, Ledger) {
    let mut traffic = world.traffic();
    let messages = traffic.by_ref().collect();
    (messages, traffic.into_ledger())
}

#[test]
fn reading_the_bytes_again_gives_the_ledger() {
    for seed in [1, 2, 3] {
        let world = small(seed);
        let (messages, ledger) = run(&world);
        let again = read_again(&world, &messages);
        assert_eq!((again.accepted, again.rejected), (ledger.access.accepted, ledger.access.rejected));
        assert_eq!(again.ids.len() as u64, ledger.access.distinct);
        assert_eq!(again.unattributed, ledger.unattributed);
        let text = |(key, quantity): (&UsageKey, String)| (key.clone(), quantity);
        let found: BTreeMap<_, _> = again.usage.iter().map(|(key, sum)| text((key, sum.to_string()))).collect();
        let expected: BTreeMap<_, _> = ledger.usage.iter().map(|(key, sum)| text((key, sum.to_string()))).collect();
        assert_eq!(found, expected, "seed {seed}");
        for (partner, milestones) in &ledger.milestones {
            let first = |environment: &str| again.first.get(&(partner.clone(), environment.to_owned())).copied();
            assert_eq!(milestones.first_sandbox_success_at, first("sandbox"), "{partner}");
            assert_eq!(milestones.first_production_success_at, first("production"), "{partner}");
        }
        let lines = |invoice: &crate::ExpectedInvoice| {
            let line =
                |line: &crate::ExpectedLine| (line.price_id.clone(), line.quantity.to_string(), line.amount_minor);
            invoice.lines.iter().map(line).collect::<Vec<_>>()
        };
        let invoices: BTreeMap<_, _> =
            ledger.invoices.iter().map(|(partner, invoice)| (partner.clone(), lines(invoice))).collect();
        assert_eq!(again.invoices, invoices, "seed {seed}");
    }
}

#[test]
fn the_seed_decides_every_byte() {
    let (messages, ledger) = run(&small(1));
    assert_eq!(run(&small(1)), (messages.clone(), ledger.clone()));
    let (other, other_ledger) = run(&small(2));
    assert!(other != messages && other_ledger != ledger);
    // A ledger that is asked for at once is the same.
    assert_eq!(small(1).traffic().into_ledger(), ledger);
}

#[test]
fn records_are_conserved_and_every_trouble_occurs() {
    for (seed, events, partners) in [(1, 0, 8), (2, 6000, 14), (3, 20_000, 40)] {
        let world = world(&Settings { seed, events, partners, partitions: 4 });
        let (messages, ledger) = run(&world);
        let access = ledger.access;
        let records: usize = messages.iter().map(|message| elements(message.payload.as_deref()).len()).sum();
        assert_eq!(records as u64, access.accepted + access.rejected);
        assert_eq!(access.accepted, access.distinct + access.duplicates);
        assert_eq!(messages.len() as u64, access.messages);
        assert!(access.distinct >= events, "{} of {events}", access.distinct);
        // Every garbage message, and one element of each torn array.
        assert_eq!(access.rejected, crate::oddity::garbage().len() as u64 + 3);
        assert!(access.duplicates > access.distinct / 250 && access.duplicates < access.distinct / 30);

        assert!(messages.is_sorted_by_key(|message| message.timestamp_ms), "in the order of arrival");
        assert!(messages.iter().all(|message| message.timestamp_ms < as_ms(NOW)));
        let partitions: BTreeSet<i32> = messages.iter().map(|message| message.partition).collect();
        assert_eq!(partitions, (0..4).collect());
        for trouble in ["array", "array_torn", "late", "late_over_midnight", "late_over_month_end", "out_of_order"] {
            assert!(ledger.troubles.get(trouble).is_some_and(|count| *count > 0), "{trouble} at {events} events");
        }
        let reasons: Vec<&str> = ledger.unattributed.keys().map(String::as_str).collect();
        assert_eq!(reasons, ["environment_conflict", "environment_unknown", "link_conflict", "unknown_consumer"]);
        assert_eq!(ledger.unattributed_usage.len(), 6);
    }
}

#[test]
fn every_stage_of_the_funnel_is_there() {
    for (seed, partners) in [(1, 8), (2, 40), (3, 40)] {
        let world = world(&Settings { seed, events: 2000, partners, partitions: 1 });
        let ledger = world.traffic().into_ledger();
        let funnel = ledger.funnel;
        let reached = [funnel.registered, funnel.sandbox, funnel.production, funnel.revenue].map(|step| step.reached);
        // In the smallest world the one that stays in production without revenue is our own, which no funnel counts.
        let loses = |before: &u64, after: &u64| if partners < 12 { before >= after } else { before > after };
        assert!(reached.is_sorted_by(loses), "each step loses someone: {reached:?}");
        assert!(reached[3] > 0);
        assert_eq!((funnel.registered.skipped, funnel.sandbox.skipped), (0, 0));
        assert_eq!((funnel.production.skipped, funnel.revenue.skipped), (if partners < 12 { 1 } else { 2 }, 1));
        assert_eq!(ledger.invoices.len() + ledger.without_invoice.len(), world.partners.len());
        for (partner, invoice) in &ledger.invoices {
            assert_eq!(invoice.total_minor > 0, invoice.plan_id != "starter", "{partner}");
            assert_eq!(invoice.total_minor, invoice.lines.iter().map(|line| line.amount_minor).sum::<i128>());
        }
        // A test that wants to see a pipeline fail falsifies one figure.
        let mut falsified = ledger.clone();
        falsified.invoices.values_mut().next().unwrap().total_minor += 1;
        assert_ne!(falsified, ledger);
        assert!(serde_json::to_string(&ledger).unwrap().contains("\"meter\":\"map-calls\""));
    }
}

/// What is billed is less than what was used: other months, before the start, after the end, the sandbox.
#[test]
fn only_june_inside_the_subscription_is_billed() {
    let world = small(5);
    let ledger = world.traffic().into_ledger();
    let cancelled =
        world.partners.iter().find(|p| p.subscription.as_ref().is_some_and(|s| s.ended_at.is_some())).unwrap();
    let line = &ledger.invoices[&cancelled.id].lines[0];
    let key = |environment: &str| UsageKey {
        partner: cancelled.id.clone(),
        meter: "map-calls".into(),
        environment: environment.into(),
        product: "maps".into(),
    };
    let billed = line.quantity.millionths;
    assert!(billed > 0 && billed < ledger.usage[&key("production")].millionths, "{}", line.quantity);
    assert!(ledger.usage.contains_key(&key("sandbox")));
}
