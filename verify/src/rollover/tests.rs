//! The account of units by hand, and over random periods as units that are taken one by one.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

fn day(place: usize) -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(i64::try_from(place).unwrap())
}

/// `HOLDS:INCLUDED:USED` of each period, `-` for one whose price carries nothing over.
fn account(text: &str) -> Vec<Entry> {
    let number = |text: &str| Ratio::decimal(text.parse().unwrap());
    let entry = |(place, word): (usize, &str)| {
        let told = match word.split(':').collect::<Vec<_>>()[..] {
            [periods, included, used] => Some((periods.parse().unwrap(), number(included), number(used))),
            _ => None,
        };
        Entry { of: day(place), told }
    };
    text.split(' ').enumerate().map(entry).collect()
}

/// `PLACE:UNITS` of what is left.
fn told(bags: &[Bag]) -> String {
    let one = |bag: &Bag| format!("{}:{}", (bag.of - day(0)).num_days(), bag.units.text());
    bags.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_closes_first_is_taken_first_and_own_units_last() {
    for (periods, left) in [
        // The rows of docs/money.md: January leaves 6 of its 10.
        ("2:10:4", "0:6"),
        ("2:10:4 2:10:4", "0:2 1:10"),
        ("2:10:4 2:10:4 2:10:4", "1:8 2:10"),
        ("2:10:4 2:10:14", "1:2"),
        // All of it, one more, and nothing.
        ("2:10:10", ""),
        ("2:10:11 2:10:0", "1:10"),
        ("2:10:4 2:10:16", ""),
        ("2:10:4 2:10:17", ""),
        ("1:10:0 1:10:0", "1:10"),
        ("1:10:0 1:10:0 1:10:21", ""),
        // Fractions.
        ("1:3.5:0.25", "0:3.25"),
        // A period that carries nothing over takes nothing, and lets time go on.
        ("2:10:4 -", "0:6"),
        ("1:10:4 -", ""),
        ("2:10:4 - -", ""),
        // A later version whose units close sooner: they go first, and the older ones stay.
        ("3:10:6 1:10:0 1:10:5", "0:4 2:10"),
    ] {
        assert_eq!(told(&left_by(account(periods))), left, "{periods}");
    }
}

proptest! {
    /// Whole units, one by one: each has a period behind which it is lost, and each request takes the unit that is lost
    /// first.
    #[test]
    fn bags_are_units_that_are_lost_one_by_one(
        periods in prop::collection::vec(prop::option::of((1_u32..4, 0_u32..12, 0_u32..30)), 0..9),
    ) {
        let mut units: Vec<(usize, usize)> = Vec::new();
        for (place, period) in periods.iter().enumerate() {
            units.retain(|(last, _)| place <= *last);
            let Some((holds, included, used)) = *period else { continue };
            units.sort_unstable();
            let taken = units.len().min(usize::try_from(used).unwrap());
            units.drain(..taken);
            let own = usize::try_from(included).unwrap().saturating_sub(usize::try_from(used).unwrap() - taken);
            units.extend((0..own).map(|_| (place + usize::try_from(holds).unwrap(), place)));
        }
        units.retain(|(last, _)| periods.len() <= *last);
        let account = periods.iter().enumerate().map(|(place, period)| {
            let whole = |number: u32| Ratio::whole(i64::from(number));
            Entry { of: day(place), told: period.map(|(holds, included, used)| (holds, whole(included), whole(used))) }
        });
        let mut of_places: BTreeMap<usize, i64> = BTreeMap::new();
        for (_, place) in units {
            *of_places.entry(place).or_default() += 1;
        }
        let expected: Vec<String> = of_places.into_iter().map(|(place, count)| format!("{place}:{count}")).collect();
        prop_assert_eq!(told(&left_by(account.collect())), expected.join(" "));
    }
}
