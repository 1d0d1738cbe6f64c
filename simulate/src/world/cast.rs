//! The parts that partners play: the fixed cast first, then parts drawn by weight.

use crate::calendar::{BERLIN, KATHMANDU, KOLKATA, UTC, Zone};
use crate::dice::Dice;
use crate::pricing::{LLM, NIPPON, PRO, Plan, SCALE, STARTER};

/// Partners of the fixed cast.
pub(super) const SIZE: u32 = 8;

/// Pays, in the issuer's zone; a consumer for each environment. Its consumer is misused in conflicts.
pub(crate) const PAYING_CONSUMER: usize = 0;
/// Pays, with credentials, one of which is rotated. The other side of conflicts.
pub(crate) const PAYING_CREDENTIAL: usize = 2;
/// One consumer for both environments: only the record tells which.
pub(crate) const ONE_CONSUMER: usize = 3;
/// Calls before its consumer is linked.
pub(crate) const EARLY_CALLER: usize = 5;

/// Pays for routes; some of its requests turn out to be a test, and are taken back in July.
pub(crate) const RETRACTING: usize = 6;

/// What a partner builds: which products it calls how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Archetype {
    /// Shows maps.
    Cartographer,
    /// Plans routes.
    Fleet,
    /// Talks.
    Assistant,
    /// Everything.
    Generalist,
}

impl Archetype {
    pub(crate) fn segment(self) -> &'static str {
        match self {
            Self::Cartographer => "mapping",
            Self::Fleet => "logistics",
            Self::Assistant => "assistants",
            Self::Generalist => "platforms",
        }
    }
}

/// How a partner's traffic is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// A consumer for each environment, linked with it.
    ConsumerEach,
    /// One consumer for both, linked without environment.
    ConsumerShared,
    /// A credential for each environment. Records may name a consumer that no link knows.
    Credential,
    /// One consumer, linked without environment, and a credential for each environment.
    Both,
}

/// How far a partner gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stage {
    Registered,
    Sandbox,
    Subscribed(&'static Plan),
}

/// A part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub archetype: Archetype,
    pub stage: Stage,
    pub identity: Identity,
    pub zone: Zone,
    /// The subscription's event names the zone.
    pub names_zone: bool,
    /// Registered in May.
    pub early: bool,
    /// Subscribed in May, before its traffic; else with its production.
    pub subscribed_early: bool,
    pub skips_sandbox: bool,
    pub cancels: bool,
    pub leaves: bool,
    pub is_internal: bool,
    pub linked_late: bool,
    pub rotates: bool,
    pub sends_arrays: bool,
    pub writes_local_time: bool,
}

const PLAIN: Part = Part {
    archetype: Archetype::Generalist,
    stage: Stage::Registered,
    identity: Identity::ConsumerEach,
    zone: UTC,
    names_zone: true,
    early: true,
    subscribed_early: false,
    skips_sandbox: false,
    cancels: false,
    leaves: false,
    is_internal: false,
    linked_late: false,
    rotates: false,
    sends_arrays: false,
    writes_local_time: false,
};

/// The part of a partner. Zones beside UTC and Berlin belong to the cast alone.
pub(super) fn part(index: u32, partners: u32, dice: &mut Dice) -> Part {
    use Archetype::{Assistant, Cartographer, Fleet, Generalist};
    use Identity::{Both, ConsumerEach, ConsumerShared, Credential};
    let subscribed = |plan| Stage::Subscribed(plan);
    match index {
        0 => Part {
            archetype: Cartographer,
            stage: subscribed(&PRO),
            zone: BERLIN,
            names_zone: false,
            subscribed_early: true,
            ..PLAIN
        },
        1 => Part {
            stage: subscribed(&SCALE),
            identity: Both,
            zone: KOLKATA,
            subscribed_early: true,
            cancels: true,
            writes_local_time: true,
            ..PLAIN
        },
        // The issuer of this plan sits in New York, and so does the partner.
        2 => Part {
            archetype: Assistant,
            stage: subscribed(&LLM),
            identity: Credential,
            zone: LLM.issuer_zone,
            names_zone: false,
            subscribed_early: true,
            rotates: true,
            ..PLAIN
        },
        3 => Part { stage: subscribed(&STARTER), identity: ConsumerShared, is_internal: true, ..PLAIN },
        4 => Part { archetype: Fleet, ..PLAIN },
        5 => Part { archetype: Fleet, stage: Stage::Sandbox, leaves: true, ..PLAIN },
        6 => Part {
            archetype: Fleet,
            stage: subscribed(&PRO),
            zone: KATHMANDU,
            subscribed_early: true,
            skips_sandbox: true,
            ..PLAIN
        },
        7 => {
            Part { stage: subscribed(&NIPPON), subscribed_early: true, linked_late: true, sends_arrays: true, ..PLAIN }
        }
        // The second that skips the sandbox does not pay.
        8 if partners >= 12 => Part { stage: subscribed(&STARTER), skips_sandbox: true, ..PLAIN },
        _ => {
            let archetype = [Cartographer, Fleet, Assistant, Generalist][dice.weighted(&[35, 30, 20, 15])];
            let plans: &[&'static Plan] = match archetype {
                Cartographer => &[&SCALE, &PRO, &PRO],
                Fleet => &[&PRO, &SCALE],
                Assistant => &[&LLM],
                Generalist => &[&PRO, &SCALE, &LLM, &NIPPON],
            };
            let paying = subscribed(dice.pick(plans));
            let stages = [Stage::Registered, Stage::Sandbox, subscribed(&STARTER), paying];
            Part {
                archetype,
                stage: stages[dice.weighted(&[15, 20, 20, 45])],
                identity: [ConsumerEach, ConsumerShared, Credential, Both][dice.weighted(&[40, 20, 25, 15])],
                zone: dice.pick(&[UTC, BERLIN]),
                early: dice.chance(6, 10),
                subscribed_early: dice.chance(1, 3),
                sends_arrays: dice.chance(1, 6),
                ..PLAIN
            }
        }
    }
}
