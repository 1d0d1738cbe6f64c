//! When a partner does what: registration, links, sandbox, production, subscription, in an order that the funnel
//! counts. Instants are odd on purpose, down to the microsecond, so that periods cut hours.

use super::cast::{Identity, Part, Stage};
use super::names::Name;
use super::{Access, Credential, Environment, Partner, Rotation, Says, Span, Subscription};
use crate::calendar::{DAY, HOUR, MINUTE, SECOND, TRAFFIC_END, TRAFFIC_START, june, may};
use crate::dice::Dice;
use crate::text::push_hex;

/// Writes a partner's calendar.
pub(super) fn partner(index: u32, part: Part, name: Name, dice: &mut Dice) -> Partner {
    let weight = dice.lognormal();
    let registered_at = match (part.early, part.subscribed_early) {
        (true, true) => dice.between(may(18, 6, 0), may(20, 18, 0)),
        (true, false) => dice.between(may(18, 6, 0), may(23, 0, 0)),
        (false, _) => dice.between(may(24, 6, 0), june(20, 18, 0)),
    };
    // Nothing is called before the traffic starts, so those who came early begin together.
    let sandbox_from =
        (registered_at + dice.between(4 * HOUR, 2 * DAY)).max(TRAFFIC_START + dice.between(6 * HOUR, 30 * HOUR));
    let wait = if part.early { 3 * DAY } else { 6 * DAY };
    let production_from = sandbox_from + dice.between(20 * HOUR, wait);

    let mut links = Links { index, part, id: &name.id, dice };
    let sandbox_to = if part.leaves { june(24, 12, 0) } else { TRAFFIC_END };
    let sandbox = (part.stage != Stage::Registered && !part.skips_sandbox)
        .then(|| links.access(Environment::Sandbox, Span { from: sandbox_from, to: sandbox_to }));
    let cancelled_at = part.cancels.then(|| june(17, 13, 37) + 21 * SECOND + 500_003);
    let (mut production, mut subscription) = (None, None);
    if let Stage::Subscribed(plan) = part.stage {
        // Some go on calling after they cancelled: that is seen, and not billed.
        let to = cancelled_at.map_or(TRAFFIC_END, |at| at + 2 * DAY);
        production = Some(links.access(Environment::Production, Span { from: production_from, to }));
        // Some call before they subscribe: that is not billed either.
        let agreed_at = match part.subscribed_early && part.early {
            true => registered_at + links.dice.between(20 * HOUR, 40 * HOUR),
            false => production_from + links.dice.pick(&[0, 0, 3 * HOUR + 7 * MINUTE]),
        };
        let zone = part.names_zone.then_some(part.zone);
        // What was agreed in May begins with the first instant of June where it is billed: no earlier month is due.
        let started_at = agreed_at.max(zone.unwrap_or(plan.issuer_zone).june().0);
        let id = format!("sub-{}", name.id);
        subscription = Some(Subscription { id, plan, zone, started_at, ended_at: cancelled_at });
    }
    Partner {
        id: name.id,
        display_name: name.display,
        archetype: part.archetype,
        zone: part.zone,
        weight,
        registered_at,
        sandbox,
        production,
        subscription,
        offboarded_at: part.leaves.then(|| june(25, 9, 0)),
        is_internal: part.is_internal,
        sends_arrays: part.sends_arrays,
        writes_local_time: part.writes_local_time,
    }
}

struct Links<'a> {
    index: u32,
    part: Part,
    id: &'a str,
    dice: &'a mut Dice,
}

impl Links<'_> {
    fn access(&mut self, environment: Environment, traffic: Span) -> Access {
        let own_consumer = format!("{}-{}", self.id, environment.word());
        let (consumer, consumer_linked, has_credential) = match self.part.identity {
            Identity::ConsumerEach => (Some(own_consumer), true, false),
            Identity::ConsumerShared => (Some(format!("{}-gw", self.id)), true, false),
            Identity::Credential => (self.dice.chance(1, 2).then(|| format!("edge-{}", self.index)), false, true),
            Identity::Both => (Some(format!("{}-gw", self.id)), true, true),
        };
        // Every other link begins with the very instant of the first request: the first instant belongs to it.
        let before = if self.index.is_multiple_of(2) { self.dice.between(20 * MINUTE, 2 * HOUR) } else { 0 };
        let linked_at = traffic.from - before;
        let recorded_at = if self.part.linked_late { june(12, 10, 15) } else { linked_at };
        let rotates = self.part.rotates && environment == Environment::Production;
        let rotation = rotates.then(|| Rotation {
            credential: self.credential(environment),
            issued_at: june(10, 8, 30),
            used_from: june(10, 21, 4) + 3,
            revoked_at: june(11, 16, 45) + 7,
        });
        Access {
            environment,
            traffic,
            linked_at,
            recorded_at,
            consumer,
            consumer_linked,
            link_names_environment: self.part.identity == Identity::ConsumerEach,
            credential: has_credential.then(|| self.credential(environment)),
            rotation,
            says: if self.part.identity == Identity::ConsumerShared { Says::Always } else { Says::Sometimes },
        }
    }

    fn credential(&mut self, environment: Environment) -> Credential {
        let mut text = format!("demo-{}-{}-", self.id, environment.word());
        push_hex(&mut text, self.dice.below(u64::MAX));
        Credential(text)
    }
}
