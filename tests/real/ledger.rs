//! Records to produce, and what must become of each: the test's own ledger, kept while they are made.

use std::collections::BTreeMap;

/// Partition, offset, index of the record in its message.
pub type Place = (i32, i64, i32);

/// Numbers from a seed (SplitMix64): the same on every machine.
pub struct Dice(u64);

impl Dice {
    /// Starts a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// Makes messages for the partitions of one topic whose only producer it is: it knows each message's offset.
pub struct Ledger {
    dice: Dice,
    next: BTreeMap<i32, i64>,
    /// Event id of each record that must be accepted; `None` where it must be rejected.
    pub records: BTreeMap<Place, Option<String>>,
}

/// A message: its partition and its value.
pub type Message = (i32, Option<Vec<u8>>);

impl Ledger {
    /// An empty ledger of a topic.
    pub fn new(seed: u64, partitions: i32) -> Self {
        Self { dice: Dice::new(seed), next: (0..partitions).map(|p| (p, 0)).collect(), records: BTreeMap::new() }
    }

    /// Next offset of each partition, once everything is delivered.
    pub fn next_offsets(&self) -> &BTreeMap<i32, i64> {
        &self.next
    }

    /// Makes the next message, and notes what must become of it.
    pub fn message(&mut self) -> Message {
        let partitions = u64::try_from(self.next.len()).unwrap();
        let partition = i32::try_from(self.dice.below(partitions)).unwrap();
        self.message_to(partition)
    }

    /// The same for a given partition.
    pub fn message_to(&mut self, partition: i32) -> Message {
        let offset = *self.next.get(&partition).unwrap();
        self.next.insert(partition, offset + 1);
        let payload = match self.dice.below(100) {
            0..80 => Some(self.good((partition, offset, 0)).into_bytes()),
            80..88 => {
                let count = 2 + i32::try_from(self.dice.below(3)).unwrap();
                let elements: Vec<String> = (0..count)
                    .map(|index| match self.dice.below(4) {
                        0 => self.bad((partition, offset, index)),
                        _ => self.good((partition, offset, index)),
                    })
                    .collect();
                Some(format!("[{}]", elements.join(",")).into_bytes())
            }
            _ => self.garbage((partition, offset, 0)),
        };
        (partition, payload)
    }

    /// Skips an offset that the broker uses for itself (a transaction marker).
    pub fn skip(&mut self, partition: i32) {
        *self.next.get_mut(&partition).unwrap() += 1;
    }

    fn good(&mut self, place: Place) -> String {
        let (partition, offset, index) = place;
        let id = format!("e-{partition}-{offset}-{index}");
        let (day, second) = (1 + self.dice.below(3), self.dice.below(60));
        let text = format!(
            r#"{{"event_id":"{id}","occurred_at":"2026-06-{day:02}T10:00:{second:02}Z","host":"api.example.com","route":"orders","method":"GET","path":"/v1/orders/{offset}","status":200,"request_bytes":{},"response_bytes":{},"latency_us":{},"consumer":"partner-{}","credential":"key-{}"}}"#,
            self.dice.below(900),
            self.dice.below(90_000),
            self.dice.below(200_000),
            self.dice.below(40),
            self.dice.below(40),
        );
        self.records.insert(place, Some(id));
        text
    }

    /// A record that is JSON and must be rejected.
    fn bad(&mut self, place: Place) -> String {
        self.records.insert(place, None);
        let text = match self.dice.below(6) {
            0 => "7",
            1 => r#"{"occurred_at":"2026-06-01T10:00:00Z"}"#,
            2 => r#"{"event_id":"x","occurred_at":"1969-06-01T10:00:00Z"}"#,
            3 => r#"{"event_id":"x","occurred_at":"2026-06-01T10:00:00Z","request_bytes":-1}"#,
            4 => r#"{"event_id":"x","occurred_at":"2026-06-01T10:00:00Z","status":"200"}"#,
            _ => r#"{"event_id":"x","occurred_at":"2026-06-01T10:00:00Z","kind":"retraction"}"#,
        };
        text.to_owned()
    }

    /// A message that must be one rejected record.
    fn garbage(&mut self, place: Place) -> Option<Vec<u8>> {
        self.records.insert(place, None);
        match self.dice.below(6) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(b"[]".to_vec()),
            3 => Some(b"{\"event_id\": \"broken".to_vec()),
            4 => Some(vec![0xff, 0xfe, b'{', b'}']),
            _ => Some(self.bad(place).into_bytes()),
        }
    }
}
