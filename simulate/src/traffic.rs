//! The gateway's traffic: messages for the access topic in the order in which they arrive.
//!
//! Takes a world, gives an iterator. Requests are made hour by hour and wait until they arrive, so memory holds one
//! hour and what is late, however long the traffic is. Every request is entered in the ledger's book when it is
//! made, with whose it is: nothing is looked up again.

mod arrival;
mod stream;

use crate::Message;
use crate::calendar::{HOUR, TRAFFIC_END, TRAFFIC_START};
use crate::dice::{Dice, Purpose, scramble};
use crate::ledger::{Book, Ledger, Made, Reason, Whose};
use crate::lifecycle::{self, CLAIMED_TWICE};
use crate::oddity::{self, Oddity};
use crate::request::{self, Caller};
use crate::sequel::{self, Sequel};
use crate::world::{
    Access, Archetype, EARLY_CALLER, Environment, ONE_CONSUMER, PAYING_CONSUMER, PAYING_CREDENTIAL, Says, World,
};

use arrival::{Arrivals, Sender};
use stream::Stream;

/// Most records in one array.
const ARRAY_MAX: usize = 8;
const GHOSTS: [&str; 3] = ["ghost-gw", "old-portal", "acme-typo"];
const FORGED: [&str; 2] = ["demo-nobody-0000000000000001", "demo-nobody-0000000000000002"];

/// Messages of the access topic, in produce order.
#[derive(Debug)]
pub struct Traffic {
    world: World,
    making: Making,
    streams: Vec<Stream>,
    oddities: std::iter::Peekable<std::vec::IntoIter<(i64, Oddity)>>,
    hour: i64,
}

impl Iterator for Traffic {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        loop {
            // A request arrives after it started, so what is still to be made arrives no earlier than this hour.
            let all_made = self.hour >= TRAFFIC_END;
            let settled = if all_made { i64::MAX } else { self.hour };
            if let Some(message) = self.making.arrivals.take_before(settled) {
                return Some(message);
            }
            if all_made {
                return None;
            }
            self.make_hour();
        }
    }
}

impl Traffic {
    pub(crate) fn new(world: World) -> Self {
        let oddities = oddity::schedule(&world, &mut Dice::new(world.settings.seed, Purpose::Oddities));
        let making = Making {
            dice: Dice::new(world.settings.seed, Purpose::Traffic),
            book: Book::new(&world),
            arrivals: Arrivals::new(world.settings.partitions),
            garbage: oddity::garbage(),
            seed: world.settings.seed,
            requests: 0,
        };
        let streams = stream::streams(&world);
        Self { world, making, streams, oddities: oddities.into_iter().peekable(), hour: TRAFFIC_START }
    }

    /// The ledger of the whole traffic. What was not taken yet is made and counted all the same.
    #[must_use]
    pub fn into_ledger(self) -> Ledger {
        self.into_ledger_and_sequel().0
    }

    /// The ledger, and what the month after brings.
    #[must_use]
    pub fn into_ledger_and_sequel(mut self) -> (Ledger, Sequel) {
        self.by_ref().for_each(drop);
        let lifecycle = lifecycle::deliveries(&self.world).counts;
        let mut dice = Dice::new(self.world.settings.seed, Purpose::Sequel);
        let book = self.making.book.clone();
        let sequel = sequel::sequel(&self.world, book, &mut dice, &mut || self.making.next_id());
        (self.making.book.close(&self.world, lifecycle), sequel)
    }

    fn make_hour(&mut self) {
        for stream in &mut self.streams {
            let calls = stream.hour(self.hour, &mut self.making.dice);
            self.making.ordinary(&self.world, stream, &calls);
        }
        self.hour += HOUR;
        while let Some((instant, oddity)) = self.oddities.next_if(|(instant, _)| *instant < self.hour) {
            self.making.odd(&self.world, instant, oddity);
        }
    }
}

/// What making requests changes.
#[derive(Debug)]
struct Making {
    dice: Dice,
    book: Book,
    arrivals: Arrivals,
    garbage: Vec<Option<Vec<u8>>>,
    seed: u64,
    requests: u64,
}

impl Making {
    /// Requests of one partner and environment in one hour, in order of time.
    fn ordinary(&mut self, world: &World, stream: &Stream, calls: &[stream::Call]) {
        let partner = &world.partners[stream.partner];
        let Some(access) = partner.access(stream.environment) else { return };
        let sender = Sender::of(stream.partner, access);
        let mut array = Vec::new();
        for (at, call) in calls.iter().enumerate() {
            let says = access.says == Says::Always || self.dice.chance(1, 4);
            let caller = caller(world, stream.partner, access, call.instant, says);
            let whose = Whose::Partner(stream.partner, stream.environment);
            let text = self.request(&caller, whose, call.instant, call.forced.then_some(200));
            // What is forced arrives when it has to, alone.
            if !partner.sends_arrays || call.forced {
                self.arrivals.deliver(text, call.instant, &sender, call.arrives, &mut self.dice, &mut self.book);
            } else {
                array.push(text);
            }
            if array.len() == ARRAY_MAX || (at + 1 == calls.len() && !array.is_empty()) {
                let array = std::mem::take(&mut array);
                self.arrivals.deliver_array(&array, call.instant, &sender, &mut self.dice, &mut self.book);
            }
        }
    }

    /// Makes one request and enters it in the book.
    fn request(&mut self, caller: &Caller<'_>, whose: Whose, instant: i64, status: Option<u16>) -> String {
        let mut text = String::with_capacity(640);
        let id = self.next_id();
        let facts = request::write(&mut text, &mut self.dice, id, instant, caller, status);
        self.book.enter(whose, instant, &Made { id, facts });
        text
    }

    /// Ids look random and are each there once: the scramble is one-to-one.
    fn next_id(&mut self) -> u64 {
        self.requests += 1;
        scramble(self.requests.wrapping_add(self.seed << 40))
    }

    fn odd(&mut self, world: &World, instant: i64, oddity: Oddity) {
        self.book.note(oddity.name());
        let stranger = Caller {
            archetype: Archetype::Generalist,
            consumer: None,
            credential: None,
            environment: self.dice.chance(1, 2).then_some(Environment::Production.word()),
            sandbox_host: false,
            users: 40,
            offset_minutes: None,
        };
        let known = |partner: usize, environment: Environment| {
            let access = world.partners[partner].access(environment);
            access.map_or(stranger, |access| caller(world, partner, access, instant, false))
        };
        let (caller, reason) = match oddity {
            Oddity::Garbage(which) => return self.garbage(which, instant),
            Oddity::TornArray(torn) => return self.torn_array(world, instant, torn),
            Oddity::Minimal => {
                let (id, mut text) = (self.next_id(), String::new());
                let facts = request::write_minimal(&mut text, id, instant);
                self.book.enter(Whose::Nobody(Reason::UnknownConsumer), instant, &Made { id, facts });
                return self.send(text, instant);
            }
            Oddity::UnknownConsumer => {
                (Caller { consumer: Some(self.dice.pick(&GHOSTS)), ..stranger }, Reason::UnknownConsumer)
            }
            Oddity::UnknownCredential => {
                (Caller { credential: Some(self.dice.pick(&FORGED)), ..stranger }, Reason::UnknownConsumer)
            }
            Oddity::NoIdentity => (stranger, Reason::UnknownConsumer),
            Oddity::EnvironmentConflict => {
                let partner = self.dice.pick(&[PAYING_CONSUMER, PAYING_CREDENTIAL]);
                let environment = Some(Environment::Sandbox.word());
                (Caller { environment, ..known(partner, Environment::Production) }, Reason::EnvironmentConflict)
            }
            Oddity::EnvironmentUnknown => (known(ONE_CONSUMER, Environment::Production), Reason::EnvironmentUnknown),
            Oddity::LinkConflict => {
                let consumer = known(PAYING_CONSUMER, Environment::Production).consumer;
                (Caller { consumer, ..known(PAYING_CREDENTIAL, Environment::Production) }, Reason::LinkConflict)
            }
            Oddity::ClaimedTwice => (Caller { consumer: Some(CLAIMED_TWICE), ..stranger }, Reason::LinkConflict),
            Oddity::BeforeLink => (known(EARLY_CALLER, Environment::Sandbox), Reason::UnknownConsumer),
            Oddity::RevokedCredential => {
                let access = world.partners[PAYING_CREDENTIAL].access(Environment::Production);
                let revoked = access.and_then(|access| access.credential.as_ref());
                let credential = revoked.map(|credential| credential.0.as_str());
                (Caller { credential, ..known(PAYING_CREDENTIAL, Environment::Production) }, Reason::UnknownConsumer)
            }
        };
        let text = self.request(&caller, Whose::Nobody(reason), instant, None);
        self.send(text, instant);
    }

    fn send(&mut self, text: String, instant: i64) {
        self.arrivals.deliver(text, instant, &Sender::ANYONE, None, &mut self.dice, &mut self.book);
    }

    fn garbage(&mut self, which: usize, instant: i64) {
        let payload = self.garbage.get(which).cloned().flatten();
        self.book.access.rejected += 1;
        self.arrivals.put(payload, instant, &Sender::ANYONE, &mut self.dice, &mut self.book);
    }

    /// Good, torn, good: the good ones count.
    fn torn_array(&mut self, world: &World, instant: i64, torn: &str) {
        let Some(access) = world.partners[PAYING_CONSUMER].access(Environment::Production) else { return };
        let caller = caller(world, PAYING_CONSUMER, access, instant, false);
        let whose = Whose::Partner(PAYING_CONSUMER, Environment::Production);
        let (before, after) =
            (self.request(&caller, whose, instant, Some(200)), self.request(&caller, whose, instant, Some(200)));
        self.book.access.rejected += 1;
        let payload = format!("[{before},{torn},{after}]").into_bytes();
        let sender = Sender::of(PAYING_CONSUMER, access);
        self.arrivals.put(Some(payload), instant, &sender, &mut self.dice, &mut self.book);
    }
}

/// A partner as a caller at an instant.
fn caller<'a>(world: &'a World, partner: usize, access: &'a Access, instant: i64, says: bool) -> Caller<'a> {
    let partner = &world.partners[partner];
    Caller {
        archetype: partner.archetype,
        consumer: access.consumer.as_deref(),
        credential: access.credential_at(instant).map(|credential| credential.0.as_str()),
        environment: says.then_some(access.environment.word()),
        sandbox_host: access.environment == Environment::Sandbox,
        users: 3 + (partner.weight / 20).min(3000),
        offset_minutes: partner.writes_local_time.then_some(partner.zone.june_offset_minutes),
    }
}

#[cfg(test)]
mod tests;
