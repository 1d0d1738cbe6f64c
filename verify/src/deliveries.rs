//! Which delivery of a request counts (I2), naively: all deliveries of all ids in one map, with no window, no hours and
//! no hashes.
//!
//! - Without a correction the delivery at the lowest (source, partition, offset, index) counts.
//! - Of several corrections the last one holds, by its time in Kafka, then by its place; delivered again, a correction
//!   is still the one that came first. A retraction: nothing counts. An amendment: its own record counts.
//! - A correction of nothing that was delivered counts as nothing.

use std::collections::{BTreeMap, HashMap};

use crate::meter::Place;
use crate::raw::{Delivery, Request, RequestId};

/// What a delivery is to the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It counts.
    Counted,
    /// It came again: the slice that it lies in tells so, and counts nothing for it.
    Repeated,
    /// It is not there: a correction, or a request in whose place one stands.
    Absent,
}

/// The verdict about each id.
pub(crate) struct Verdicts<'a>(HashMap<&'a RequestId, Verdict<'a>>);

#[derive(Debug, PartialEq, Eq)]
struct Verdict<'a> {
    counted: Option<&'a Place>,
    is_corrected: bool,
    /// How many there are of the id.
    deliveries: usize,
}

impl<'a> Verdicts<'a> {
    /// Decides about every id among the deliveries.
    pub(crate) fn over(deliveries: &'a [Delivery]) -> Self {
        let mut by_id: HashMap<&RequestId, Vec<&Delivery>> = HashMap::new();
        for delivery in deliveries {
            by_id.entry(&delivery.id).or_default().push(delivery);
        }
        Self(by_id.into_iter().map(|(id, deliveries)| (id, decide(&deliveries))).collect())
    }

    /// What a delivery is.
    pub(crate) fn standing(&self, request: &Request) -> Standing {
        match self.0.get(&request.id) {
            Some(verdict) if verdict.counted == Some(&request.place) => Standing::Counted,
            Some(verdict) if &*request.kind == "request" && !verdict.is_corrected => Standing::Repeated,
            _ => Standing::Absent,
        }
    }

    /// How many deliveries there are of an id.
    pub(crate) fn delivery_count(&self, id: &RequestId) -> usize {
        self.0.get(id).map_or(0, |verdict| verdict.deliveries)
    }
}

fn decide<'a>(deliveries: &[&'a Delivery]) -> Verdict<'a> {
    let (requests, corrections): (Vec<&Delivery>, Vec<&Delivery>) =
        deliveries.iter().copied().partition(|delivery| &*delivery.kind == "request");
    let first = requests.into_iter().map(|request| &request.place).min();
    // A correction by its first delivery, by its own id.
    let mut own: BTreeMap<&str, &Delivery> = BTreeMap::new();
    for correction in corrections {
        let known = own.entry(&correction.event_id).or_insert(correction);
        if order_of(correction) < order_of(known) {
            *known = correction;
        }
    }
    let last = own.into_values().max_by(|one, other| order_of(one).cmp(&order_of(other)));
    let (counted, is_corrected) = match (first, last) {
        (first, None) => (first, false),
        (None, Some(_)) => (None, false),
        (Some(_), Some(correction)) => ((&*correction.kind == "amendment").then_some(&correction.place), true),
    };
    Verdict { counted, is_corrected, deliveries: deliveries.len() }
}

fn order_of(correction: &Delivery) -> impl Ord + use<'_> {
    (correction.received_at, &correction.place)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    /// `offset kind event_id received_at`, all of the request `r`.
    fn delivery(text: &str) -> Delivery {
        let [offset, kind, event_id, received] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        Delivery {
            id: ("gw".into(), "r".into()),
            place: ("s".into(), 0, offset.parse().unwrap(), 0),
            kind: kind.into(),
            event_id: event_id.into(),
            received_at: DateTime::UNIX_EPOCH + TimeDelta::seconds(received.parse().unwrap()),
        }
    }

    #[test]
    fn one_delivery_counts_and_the_last_correction_holds() {
        for (deliveries, counted) in [
            (&["5 request r 1", "3 request r 2", "9 request r 0"][..], Some(3)),
            (&["1 request r 1", "2 retraction c 2"], None),
            (&["1 request r 1", "2 retraction c 2", "3 amendment d 3"], Some(3)),
            (&["1 request r 1", "3 amendment d 3", "2 retraction c 4"], None),
            // Of one instant the later place; delivered again it does not overtake.
            (&["1 request r 1", "2 retraction c 3", "3 amendment d 3"], Some(3)),
            (&["1 request r 1", "2 amendment d 2", "3 retraction c 3", "4 amendment d 4"], None),
            (&["2 amendment d 2"], None),
            (&["2 amendment d 2", "7 request r 9"], Some(2)),
        ] {
            let deliveries: Vec<Delivery> = deliveries.iter().map(|text| delivery(text)).collect();
            let verdicts = Verdicts::over(&deliveries);
            let standings = deliveries.iter().map(|delivery| {
                let request = Request { id: delivery.id.clone(), place: delivery.place.clone(), ..Request::default() };
                (delivery.place.2, verdicts.standing(&Request { kind: delivery.kind.clone(), ..request }))
            });
            let found: Vec<i64> = standings.clone().filter(|one| one.1 == Standing::Counted).map(|one| one.0).collect();
            assert_eq!(found, counted.into_iter().collect::<Vec<_>>(), "{deliveries:?}");
            let is_corrected = deliveries.len() > 1 && deliveries.iter().any(|delivery| &*delivery.kind != "request");
            let again = standings.filter(|one| one.1 == Standing::Repeated).count();
            assert_eq!(again, if is_corrected || counted.is_none() { 0 } else { deliveries.len() - 1 });
        }
    }
}
