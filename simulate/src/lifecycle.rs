//! The partners' lives as CloudEvents: what the lifecycle topic carries.
//!
//! Takes a world, gives messages in produce order, with how many are good. A few are malformed, one is delivered
//! twice, one arrives hours after younger ones. Most are structured (the event is the payload); those of the CRM are
//! binary (attributes in headers `ce_*`, the payload is the data).

use std::collections::BTreeSet;

use crate::Message;
use crate::calendar::{DAY, HOUR, SECOND, as_ms, july, june, may, push_instant};
use crate::dice::{Dice, Purpose};
use crate::ledger::Counts;
use crate::text::push_digits;
use crate::world::{Access, PAYING_CONSUMER, PAYING_CREDENTIAL, Partner, World};

/// A consumer that two partners claim from the first day, so that it belongs to nobody.
pub(crate) const CLAIMED_TWICE: &str = "reseller-gw";

/// All messages and what becomes of them.
pub(crate) struct Deliveries {
    pub messages: Vec<Message>,
    pub counts: Counts,
    /// For each message, whether it is a good event.
    #[cfg(test)]
    pub good: Vec<bool>,
}

/// Writes all messages.
pub(crate) fn deliveries(world: &World) -> Deliveries {
    let mut writing =
        Writing { dice: Dice::new(world.settings.seed, Purpose::Lifecycle), events: 0, arrivals: Vec::new() };
    for (index, partner) in world.partners.iter().enumerate() {
        writing.life(index, partner);
    }
    for claimant in [PAYING_CONSUMER, PAYING_CREDENTIAL] {
        let data = format!(
            r#"{{"system":"gateway","external_id":"{CLAIMED_TWICE}","environment":"production","valid_from":"{}"}}"#,
            instant(may(24, 0, 0))
        );
        writing.portal(&world.partners[claimant].id, "identity.linked", may(24, 0, 0), &data);
    }
    writing.costs(&world.partners[PAYING_CONSUMER].id);
    let accepted = writing.arrivals.len() as u64;
    writing.malformed();
    let rejected = writing.arrivals.len() as u64 - accepted;
    let duplicates = writing.deliver_one_again();

    let mut arrivals = writing.arrivals;
    // Stable: what arrives in the same millisecond stays as written.
    arrivals.sort_by_key(|arrival| arrival.message.timestamp_ms);
    let counts = Counts {
        messages: arrivals.len() as u64,
        accepted: accepted + duplicates,
        rejected,
        duplicates,
        distinct: accepted,
    };
    Deliveries {
        #[cfg(test)]
        good: arrivals.iter().map(|arrival| arrival.good).collect(),
        messages: arrivals.into_iter().map(|arrival| arrival.message).collect(),
        counts,
    }
}

#[derive(Clone)]
struct Arrival {
    message: Message,
    good: bool,
}

struct Writing {
    dice: Dice,
    events: i64,
    arrivals: Vec<Arrival>,
}

impl Writing {
    /// Everything that happens to one partner.
    fn life(&mut self, index: usize, partner: &Partner) {
        let id = &partner.id;
        let segment = partner.archetype.segment();
        let internal = if partner.is_internal { r#","is_internal":true"# } else { "" };
        let data = format!(
            r#"{{"display_name":"{}","segment":"{segment}","owner":"staff-{}","region":"{}"{internal}}}"#,
            partner.display_name,
            index % 3 + 1,
            partner.zone.name
        );
        self.portal(id, "registered", partner.registered_at, &data);
        let mut linked = BTreeSet::new();
        for access in partner.sandbox.iter().chain(&partner.production) {
            if let Some(consumer) = access.consumer.as_deref().filter(|_| access.consumer_linked)
                && linked.insert(consumer)
            {
                self.link(id, consumer, access);
            }
            self.credentials(id, access);
        }
        if let Some(subscription) = &partner.subscription {
            let zone = subscription.zone.map(|zone| format!(r#","time_zone":"{}""#, zone.name)).unwrap_or_default();
            let (subscription_id, plan) = (&subscription.id, subscription.plan.id);
            let data = format!(r#"{{"subscription_id":"{subscription_id}","plan_id":"{plan}"{zone}}}"#);
            self.portal(id, "subscription.started", subscription.started_at, &data);
            if let Some(ended_at) = subscription.ended_at {
                let data = format!(r#"{{"subscription_id":"{subscription_id}","reason":"moved in house"}}"#);
                self.portal(id, "subscription.cancelled", ended_at, &data);
            }
        }
        if let Some(at) = partner.offboarded_at {
            self.portal(id, "offboarded", at, r#"{"reason":"never went live"}"#);
        }
        // The CRM knows every third partner. Its link attributes no traffic, and calls are a type no job needs yet.
        if index.is_multiple_of(3) {
            let at = partner.registered_at + self.dice.between(HOUR, DAY);
            let external_id = format!("CRM-{:05}", self.dice.below(100_000));
            self.crm(id, "identity.linked", at, &format!(r#"{{"system":"crm","external_id":"{external_id}"}}"#));
            self.crm(id, "touch.logged", at + 2 * HOUR, r#"{"channel":"call","topic":"onboarding","minutes":30}"#);
        }
    }

    fn link(&mut self, partner: &str, consumer: &str, access: &Access) {
        let mut data = format!(r#"{{"system":"gateway","external_id":"{consumer}""#);
        if access.link_names_environment {
            data.push_str(&format!(r#","environment":"{}""#, access.environment.word()));
        }
        if access.recorded_at != access.linked_at {
            data.push_str(&format!(r#","valid_from":"{}""#, instant(access.linked_at)));
        }
        data.push('}');
        self.portal(partner, "identity.linked", access.recorded_at, &data);
    }

    fn credentials(&mut self, partner: &str, access: &Access) {
        let Some(first) = &access.credential else { return };
        let data = |credential: &str| {
            format!(r#"{{"credential":"{credential}","environment":"{}"}}"#, access.environment.word())
        };
        self.portal(partner, "credential.issued", access.linked_at, &data(&first.0));
        if let Some(rotation) = &access.rotation {
            self.portal(partner, "credential.issued", rotation.issued_at, &data(&rotation.credential.0));
            self.portal(partner, "credential.revoked", rotation.revoked_at, &data(&first.0));
        }
    }

    /// Structured mode.
    fn portal(&mut self, partner: &str, event_type: &str, occurred_at: i64, data: &str) {
        let id = self.next_id();
        let payload = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/portal","type":"org.example.partner.{event_type}.v1","subject":"partner/{partner}","time":"{}","actor":"partner:{partner}","datacontenttype":"application/json","data":{data}}}"#,
            instant(occurred_at)
        );
        let headers = vec![("content-type".to_owned(), b"application/cloudevents+json".to_vec())];
        self.arrive(partner, occurred_at, payload.into_bytes(), headers, true);
    }

    /// Binary mode.
    fn crm(&mut self, partner: &str, event_type: &str, occurred_at: i64, data: &str) {
        let id = self.next_id();
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", id),
            ("ce_source", "/crm".to_owned()),
            ("ce_type", format!("org.example.partner.{event_type}.v1")),
            ("ce_subject", format!("partner/{partner}")),
            ("ce_time", instant(occurred_at)),
            ("ce_actor", "system:crm-sync".to_owned()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.into_bytes())).to_vec();
        self.arrive(partner, occurred_at, data.as_bytes().to_vec(), headers, true);
    }

    /// What the program cost in June: of pools, and once of a partner. Nobody records yen, so that one side is missing.
    fn costs(&mut self, partner: &str) {
        let costs = [
            (None, "gateway", "412.37", "EUR"),
            (None, "partner-team", "950.00", "EUR"),
            (Some(partner), "", "84.50", "EUR"),
            // A share of a larger bill has more digits than a cent.
            (None, "gateway", "128.405", "USD"),
            (None, "tools", "39", "USD"),
        ];
        for (hour, (partner, pool, amount, currency)) in (0..).zip(costs) {
            let pool = if pool.is_empty() { String::new() } else { format!(r#""cost_pool":"{pool}","#) };
            let data = format!(r#"{{{pool}"period":"2026-06","amount":"{amount}","currency":"{currency}"}}"#);
            self.finance(partner, july(1, 9 + hour, 0), &data);
        }
    }

    /// Structured mode, of a partner or of none.
    fn finance(&mut self, partner: Option<&str>, occurred_at: i64, data: &str) {
        let id = self.next_id();
        let subject = partner.map(|partner| format!(r#""subject":"partner/{partner}","#)).unwrap_or_default();
        let payload = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/finance","type":"org.example.partner.cost.recorded.v1",{subject}"time":"{}","actor":"system:month-end","datacontenttype":"application/json","data":{data}}}"#,
            instant(occurred_at)
        );
        let headers = vec![("content-type".to_owned(), b"application/cloudevents+json".to_vec())];
        self.arrive(partner.unwrap_or("finance"), occurred_at, payload.into_bytes(), headers, true);
    }

    /// Events that must be refused. None of them may leave a trace in the registry.
    fn malformed(&mut self) {
        let envelope = |number: i64, rest: &str| format!(r#"{{"id":"bad-{number}","source":"/portal",{rest}}}"#);
        let registered = r#""type":"org.example.partner.registered.v1""#;
        let subject = r#""specversion":"1.0","subject":"partner/nobody""#;
        let time = r#""time":"2026-06-03T09:00:00Z""#;
        let texts = [
            r#"{"specversion":"1.0","id":"bad-0","source":"/portal","type":"org.exa"#.to_owned(),
            r#""not an event""#.to_owned(),
            envelope(2, &format!(r#"{registered},{time},"specversion":"0.3","subject":"partner/nobody""#)),
            envelope(3, &format!(r#"{registered},{subject}"#)),
            envelope(4, &format!(r#"{registered},{subject},"time":"1969-07-20T20:17:40Z""#)),
            envelope(5, &format!(r#"{registered},{time},"specversion":"1.0""#)),
            // Contact data belongs to the billing profile alone.
            envelope(6, &format!(r#"{registered},{subject},{time},"data":{{"billing_email":"nobody@example.org"}}"#)),
            envelope(
                7,
                &format!(
                    r#"{subject},{time},"type":"org.example.partner.subscription.started.v1","data":{{"subscription_id":"sub-x"}}"#
                ),
            ),
        ];
        for (day, text) in (3..).zip(texts) {
            self.arrive("nobody", june(day, 9, 0), text.into_bytes(), Vec::new(), false);
        }
    }

    /// One event comes again an hour later, byte for byte.
    fn deliver_one_again(&mut self) -> u64 {
        let again = self.arrivals.iter().find(|arrival| arrival.good).cloned();
        let again = again.map(|mut arrival| {
            arrival.message.timestamp_ms += 3_600_000;
            arrival
        });
        let count = again.iter().len() as u64;
        self.arrivals.extend(again);
        count
    }

    fn next_id(&mut self) -> String {
        self.events += 1;
        let mut id = "evt-".to_owned();
        push_digits(&mut id, self.events, 6);
        id
    }

    fn arrive(&mut self, partner: &str, at: i64, payload: Vec<u8>, headers: Vec<(String, Vec<u8>)>, good: bool) {
        let delay = match self.dice.chance(1, 20) {
            true => self.dice.between(HOUR, 6 * HOUR),
            false => self.dice.between(SECOND / 10, 2 * SECOND),
        };
        let message = Message {
            partition: 0,
            key: Some(partner.as_bytes().to_vec()),
            payload: Some(payload),
            headers,
            timestamp_ms: as_ms(at + delay),
        };
        self.arrivals.push(Arrival { message, good });
    }
}

fn instant(at: i64) -> String {
    let mut text = String::new();
    push_instant(&mut text, at, None);
    text
}

#[cfg(test)]
pub(crate) mod tests;
