//! Trouble on purpose: messages that cannot be read, requests that belong to nobody, arrays with a torn element.
//!
//! Takes a world, gives what odd thing happens when. Each happens at any seed and size, so that a pipeline that
//! handles one of them wrongly always differs from the ledger.

use crate::calendar::{DAY, HOUR, TRAFFIC_END, TRAFFIC_START, june};
use crate::dice::Dice;
use crate::world::{EARLY_CALLER, ONE_CONSUMER, PAYING_CONSUMER, PAYING_CREDENTIAL, Span, World};

/// One odd thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// A message of [`garbage`] that cannot be read.
    Garbage(usize),
    /// An array whose middle element must be refused, and whose others must not.
    TornArray(&'static str),
    /// A consumer that no link knows.
    UnknownConsumer,
    /// A credential that nobody was issued.
    UnknownCredential,
    /// Neither consumer nor credential.
    NoIdentity,
    /// Nothing but id and time.
    Minimal,
    /// A production consumer or credential whose record says sandbox.
    EnvironmentConflict,
    /// A consumer linked without environment, and a record that tells none.
    EnvironmentUnknown,
    /// A credential of one partner with the consumer of another.
    LinkConflict,
    /// A consumer that two partners claim.
    ClaimedTwice,
    /// A consumer before its link begins.
    BeforeLink,
    /// A credential after it was revoked, at the very instant too.
    RevokedCredential,
}

impl Oddity {
    /// Its name in the ledger's list of troubles.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Garbage(_) => "message_unreadable",
            Self::TornArray(_) => "array_torn",
            Self::UnknownConsumer => "unknown_consumer",
            Self::UnknownCredential => "unknown_credential",
            Self::NoIdentity => "no_identity",
            Self::Minimal => "minimal_record",
            Self::EnvironmentConflict => "environment_conflict",
            Self::EnvironmentUnknown => "environment_unknown",
            Self::LinkConflict => "link_conflict",
            Self::ClaimedTwice => "consumer_claimed_twice",
            Self::BeforeLink => "before_link",
            Self::RevokedCredential => "revoked_credential",
        }
    }
}

/// Elements that must be refused on their own, in the middle of an array.
const TORN: [&str; 3] = [
    r#"{"occurred_at":"2026-06-05T10:00:00Z","consumer":"torn"}"#,
    r#"{"event_id":"torn-2","occurred_at":"yesterday"}"#,
    r#"{"event_id":"torn-3","occurred_at":"2026-06-05T10:00:00Z","status":1000}"#,
];

/// All oddities with their instants, in order of time.
pub(crate) fn schedule(world: &World, dice: &mut Dice) -> Vec<(i64, Oddity)> {
    let events = world.settings.events;
    let all = Span { from: TRAFFIC_START, to: TRAFFIC_END };
    let production = |partner: usize| {
        let access = world.partners[partner].production.as_ref();
        access.map_or(all, |access| Span { from: access.traffic.from.max(june(2, 0, 0)), to: access.traffic.to })
    };
    let rotation = world.partners[PAYING_CREDENTIAL].production.as_ref().and_then(|access| access.rotation.as_ref());
    let revoked_at = rotation.map_or(TRAFFIC_END, |rotation| rotation.revoked_at);
    let first_link = world.partners[EARLY_CALLER].sandbox.as_ref().map_or(TRAFFIC_END, |access| access.linked_at);

    let mut odd = vec![(revoked_at, Oddity::RevokedCredential), (first_link - 1, Oddity::BeforeLink)];
    let mut throw = |count: u64, span: Span, oddity: &dyn Fn(u64) -> Oddity| {
        odd.extend((0..count).map(|at| (dice.between(span.from, span.to), oddity(at))));
    };
    throw(garbage().len() as u64, all, &|at| Oddity::Garbage(usize::try_from(at).unwrap_or(0)));
    throw(3, production(PAYING_CONSUMER), &|at| Oddity::TornArray(TORN[usize::try_from(at).unwrap_or(0) % TORN.len()]));
    throw(3, all, &|_| Oddity::Minimal);
    throw((events / 250).max(12), all, &|_| Oddity::UnknownConsumer);
    throw((events / 1000).max(6), all, &|_| Oddity::UnknownCredential);
    throw((events / 2000).max(4), all, &|_| Oddity::NoIdentity);
    throw((events / 1000).max(6), production(PAYING_CONSUMER), &|_| Oddity::EnvironmentConflict);
    throw((events / 2000).max(5), production(ONE_CONSUMER), &|_| Oddity::EnvironmentUnknown);
    throw((events / 2000).max(5), production(PAYING_CREDENTIAL), &|_| Oddity::LinkConflict);
    throw((events / 2000).max(5), all, &|_| Oddity::ClaimedTwice);
    throw(11, Span { from: first_link - 3 * HOUR, to: first_link }, &|_| Oddity::BeforeLink);
    throw(5, Span { from: revoked_at, to: revoked_at + DAY }, &|_| Oddity::RevokedCredential);
    odd.sort_by_key(|(at, _)| *at);
    odd
}

/// Messages that must be refused whole, each one rejected record. `None` is a null payload.
pub(crate) fn garbage() -> Vec<Option<Vec<u8>>> {
    let with = |rest: &str| format!(r#"{{"event_id":"garbage","occurred_at":"2026-06-05T10:00:00Z",{rest}}}"#);
    let at = |time: &str| format!(r#"{{"event_id":"garbage","occurred_at":{time}}}"#);
    let texts = [
        // Not JSON, or not an object.
        r#"{"event_id":"garbage","occurred_at":"2026-06-05T10:0"#.to_owned(),
        "GET /maps/tiles/7 200".to_owned(),
        r#"{"event_id":"garbage" "occurred_at":"2026-06-05T10:00:00Z"}"#.to_owned(),
        "42".to_owned(),
        "null".to_owned(),
        r#""a text""#.to_owned(),
        "   ".to_owned(),
        // Ids.
        r#"{"occurred_at":"2026-06-05T10:00:00Z","status":200}"#.to_owned(),
        r#"{"event_id":"","occurred_at":"2026-06-05T10:00:00Z"}"#.to_owned(),
        r#"{"event_id":17,"occurred_at":"2026-06-05T10:00:00Z"}"#.to_owned(),
        format!(r#"{{"event_id":"{}","occurred_at":"2026-06-05T10:00:00Z"}}"#, "x".repeat(201)),
        // Times.
        r#"{"event_id":"garbage"}"#.to_owned(),
        at("1780653600"),
        at(r#""5 June 2026""#),
        at(r#""2026-06-05T10:00:00""#),
        at(r#""1969-07-20T20:17:40Z""#),
        at(r#""3000-01-01T00:00:00Z""#),
        at(r#""2026-02-30T00:00:00Z""#),
        // Numbers.
        with(r#""status":"200""#),
        with(r#""status":42"#),
        with(r#""status":1000"#),
        with(r#""status":200.5"#),
        with(r#""response_bytes":-1"#),
        with(r#""request_bytes":12.5"#),
        with(r#""response_bytes":9223372036854775808"#),
        with(r#""response_bytes":100000000000000000000000000000000000000000"#),
        with(r#""latency_us":-3"#),
        with(r#""upstream_latency_us":"fast""#),
        // Other types.
        with(r#""path":7"#),
        with(r#""consumer":{"name":"acme"}"#),
        with(r#""attributes":"tokens=3""#),
    ];
    let mut all: Vec<Option<Vec<u8>>> = texts.into_iter().map(|text| Some(text.into_bytes())).collect();
    let mut invalid = with(r#""path":"/maps/?""#).into_bytes();
    if let Some(mark) = invalid.iter_mut().find(|byte| **byte == b'?') {
        *mark = 0xff;
    }
    all.extend([Some(invalid), Some(vec![0xff, 0xfe, 0x00, 0x01]), Some(Vec::new()), None]);
    all
}
