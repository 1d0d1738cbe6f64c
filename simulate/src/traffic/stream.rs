//! When one partner calls in one environment: a fixed number of requests, spread over its time by hour of the day,
//! weekday and noise, and a few at the exact instants at which a period could be cut wrongly.

use crate::calendar::{HOUR, MINUTE, july, june, weekday};
use crate::dice::{Dice, scramble};
use crate::world::{Access, Environment, Partner, Span, World};

/// One request to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub instant: i64,
    /// Must succeed: the funnel or a period's edge depends on it.
    pub forced: bool,
    /// When it arrives, if that matters.
    pub arrives: Option<i64>,
}

/// Requests of one partner in one environment.
#[derive(Debug)]
pub(super) struct Stream {
    pub partner: usize,
    pub environment: Environment,
    span: Span,
    /// Requests beside the forced ones.
    total: u64,
    forced: Vec<Call>,
    offset_minutes: i64,
    noise: u64,
    weight_total: u64,
    weight_done: u64,
    made: u64,
}

/// Local hours of a working day: how much is called when.
const DAY_SHAPE: [u64; 24] =
    [18, 14, 11, 10, 11, 16, 28, 48, 74, 92, 100, 98, 88, 92, 99, 97, 90, 78, 64, 54, 46, 38, 30, 23];
/// Monday to Sunday, in percent.
const WEEK_SHAPE: [u64; 7] = [100, 104, 106, 103, 92, 47, 40];

/// All streams of a world.
pub(super) fn streams(world: &World) -> Vec<Stream> {
    let share = |partner: &Partner| {
        let hours = partner.production.as_ref().map_or(0, |access| hours(access.traffic));
        u128::from(partner.weight) * u128::from(hours)
    };
    let all: u128 = world.partners.iter().map(share).sum::<u128>().max(1);
    let mut streams = Vec::new();
    for (index, partner) in world.partners.iter().enumerate() {
        let production = (u128::from(world.settings.events) * share(partner)).div_ceil(all);
        let production = u64::try_from(production).unwrap_or(u64::MAX).max(60);
        if let Some(access) = &partner.sandbox {
            // A few for those who moved on, and what their size suggests for those who still try.
            let total = if partner.production.is_some() { production / 30 } else { (partner.weight / 50).min(400) };
            streams.push(stream(world, index, access, 20 + total));
        }
        if let Some(access) = &partner.production {
            streams.push(stream(world, index, access, production));
        }
    }
    streams
}

fn hours(span: Span) -> u64 {
    u64::try_from((span.to - span.from) / HOUR).unwrap_or(0)
}

fn stream(world: &World, index: usize, access: &Access, total: u64) -> Stream {
    let partner = &world.partners[index];
    let mut stream = Stream {
        partner: index,
        environment: access.environment,
        span: access.traffic,
        total,
        forced: forced(partner, access),
        offset_minutes: partner.zone.june_offset_minutes,
        noise: scramble(world.settings.seed ^ scramble(index as u64 * 2 + access.environment as u64)),
        weight_total: 0,
        weight_done: 0,
        made: 0,
    };
    let mut hour = access.traffic.from.div_euclid(HOUR) * HOUR;
    while hour < access.traffic.to {
        stream.weight_total += stream.weight(hour);
        hour += HOUR;
    }
    stream
}

/// The first request of the environment, and the last microsecond before and the first of every edge of what is
/// billed. The last one of June arrives in July.
fn forced(partner: &Partner, access: &Access) -> Vec<Call> {
    let mut calls = vec![Call { instant: access.traffic.from, forced: true, arrives: None }];
    let subscription = partner.subscription.as_ref().filter(|_| access.environment == Environment::Production);
    if let Some(subscription) = subscription {
        let (start, end) = subscription.billing_zone().june();
        let edges = [Some(start), Some(end), Some(subscription.started_at), subscription.ended_at];
        for edge in edges.into_iter().flatten() {
            let arrives = (edge == end).then_some(july(1, 21, 30));
            calls.push(Call { instant: edge - 1, forced: true, arrives });
            calls.push(Call { instant: edge, forced: true, arrives: None });
        }
    }
    calls.retain(|call| access.traffic.holds(call.instant));
    calls.sort_by_key(|call| call.instant);
    calls.dedup_by_key(|call| call.instant);
    calls
}

impl Stream {
    /// Requests of an hour, in order of time. Hours must be asked for one after the other.
    pub(super) fn hour(&mut self, hour: i64, dice: &mut Dice) -> Vec<Call> {
        let (from, to) = (hour.max(self.span.from), (hour + HOUR).min(self.span.to));
        if from >= to {
            return Vec::new();
        }
        self.weight_done += self.weight(hour);
        // Rounded on the running sum, so that the whole is the total and no hour's rest is lost.
        let due = u128::from(self.total) * u128::from(self.weight_done) / u128::from(self.weight_total.max(1));
        let due = u64::try_from(due).unwrap_or(self.total);
        let mut calls: Vec<Call> =
            (self.made..due).map(|_| Call { instant: dice.between(from, to), forced: false, arrives: None }).collect();
        self.made = due;
        calls.extend(self.forced.iter().filter(|call| (from..to).contains(&call.instant)));
        calls.sort_by_key(|call| call.instant);
        calls
    }

    /// Weight of the part of an hour that belongs to the stream; the same whenever it is asked.
    fn weight(&self, hour: i64) -> u64 {
        let minutes = ((hour + HOUR).min(self.span.to) - hour.max(self.span.from)) / MINUTE + 1;
        let local = hour + self.offset_minutes * MINUTE;
        let of_day = usize::try_from((local - june(1, 0, 0)).div_euclid(HOUR).rem_euclid(24)).unwrap_or(0);
        let of_week = usize::try_from(weekday(local)).unwrap_or(0);
        let noise = 60 + scramble(self.noise ^ hour.unsigned_abs()) % 81;
        DAY_SHAPE[of_day] * WEEK_SHAPE[of_week] * noise * u64::try_from(minutes).unwrap_or(0)
    }
}
