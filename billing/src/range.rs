//! Shares of the partners: runs of their ids in order, so that a month of many partners is drafted and issued one share
//! after the other, in bounded memory.

use tollbook_lake::as_text;
use tollbook_schemas::id::PartnerId;

/// Partners whose ids lie in a range, by bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartnerRange {
    /// The first one; none where there is no lower end.
    pub from: Option<PartnerId>,
    /// The first one after it; none where there is no upper end.
    pub before: Option<PartnerId>,
}

impl PartnerRange {
    /// All partners.
    pub const ALL: Self = Self { from: None, before: None };

    /// One partner alone.
    #[must_use]
    pub fn of_one(partner_id: &PartnerId) -> Self {
        Self { from: Some(partner_id.clone()), before: behind(partner_id.as_str()) }
    }

    /// Cuts all partners into ranges. `weights` are partners with what each weighs, in order of id; a range ends before
    /// it would weigh more than `weight_max`, or hold more than `partners_max` of them. Together the ranges hold every
    /// partner there may be.
    #[must_use]
    pub fn cut(weights: &[(PartnerId, i64)], weight_max: i64, partners_max: usize) -> Vec<Self> {
        let mut starts: Vec<&PartnerId> = Vec::new();
        let (mut weight, mut partners) = (0_i64, 0);
        for (partner_id, own) in weights {
            if partners > 0 && (weight.saturating_add(*own) > weight_max || partners == partners_max) {
                starts.push(partner_id);
                (weight, partners) = (0, 0);
            }
            weight = weight.saturating_add(*own);
            partners += 1;
        }
        let from = std::iter::once(None).chain(starts.iter().copied().map(Some));
        let before = starts.iter().copied().map(Some).chain(std::iter::once(None));
        from.zip(before).map(|(from, before)| Self { from: from.cloned(), before: before.cloned() }).collect()
    }

    /// Which of the ranges that [`Self::cut`] gave holds a partner.
    #[must_use]
    pub fn place_of(ranges: &[Self], partner_id: &PartnerId) -> Option<usize> {
        let at = ranges.partition_point(|range| range.before.as_ref().is_some_and(|before| before <= partner_id));
        (at < ranges.len()).then_some(at)
    }

    /// Whether a partner is one of them.
    #[must_use]
    pub fn contains(&self, partner_id: &PartnerId) -> bool {
        self.contains_text(partner_id.as_str())
    }

    /// The same of an id as text.
    pub(crate) fn contains_text(&self, partner_id: &str) -> bool {
        self.from.as_ref().is_none_or(|from| from.as_str() <= partner_id)
            && self.before.as_ref().is_none_or(|before| partner_id < before.as_str())
    }

    /// The same of the column `partner_id`, as an SQL condition.
    #[must_use]
    pub fn condition(&self) -> String {
        let from = self.from.iter().map(|from| format!("partner_id >= {}", as_text(from.as_str())));
        let before = self.before.iter().map(|before| format!("partner_id < {}", as_text(before.as_str())));
        let both: Vec<String> = from.chain(before).collect();
        if both.is_empty() { "true".to_owned() } else { both.join(" and ") }
    }
}

/// The letters of ids, in the order of their bytes.
const LETTERS: &str = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// The first id after this one; none where it is the last there may be.
fn behind(id: &str) -> Option<PartnerId> {
    // With one letter more where that is an id; else, of as many letters, the next one.
    if let Ok(next) = PartnerId::parse(format!("{id}-")) {
        return Some(next);
    }
    let mut head = id.to_owned();
    while let Some(last) = head.pop() {
        if let Some(next) = LETTERS.chars().find(|letter| *letter > last) {
            head.push(next);
            return PartnerId::parse(head).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> PartnerId {
        PartnerId::parse(text).unwrap()
    }

    #[test]
    fn ranges_hold_every_partner_once() {
        let weights: Vec<(PartnerId, i64)> =
            [("B", 3), ("a", 1), ("a-1", 9), ("a.1", 1), ("b", 1), ("c", 1)].map(|(p, w)| (id(p), w)).into();
        for (weight_max, partners_max, ends) in [
            (100, 100, vec![]),
            (100, 2, vec!["a-1", "b"]),
            (4, 100, vec!["a-1", "a.1"]),
            (0, 100, vec!["a", "a-1", "a.1", "b", "c"]),
        ] {
            let ranges = PartnerRange::cut(&weights, weight_max, partners_max);
            let found: Vec<_> = ranges.iter().filter_map(|range| Some(range.before.as_ref()?.as_str())).collect();
            assert_eq!(found, ends);
            for partner in ["A", "B", "a", "a-1", "a-2", "a.1", "b", "bb", "c", "z"] {
                let holding = ranges.iter().filter(|range| range.contains(&id(partner))).count();
                assert_eq!(holding, 1, "{partner} in {ranges:?}");
                let place = PartnerRange::place_of(&ranges, &id(partner)).unwrap();
                assert!(ranges[place].contains(&id(partner)), "{partner} in {ranges:?}");
            }
        }
        assert_eq!(PartnerRange::cut(&[], 1, 1), [PartnerRange::ALL]);
        assert_eq!(PartnerRange::ALL.condition(), "true");
        let range = PartnerRange { from: Some(id("a")), before: Some(id("b")) };
        assert_eq!(range.condition(), "partner_id >= 'a' and partner_id < 'b'");
    }

    #[test]
    fn a_range_of_one_partner_holds_nobody_else() {
        let long = |tail: &str| format!("{}{tail}", "m".repeat(64 - tail.len()));
        for (one, before, after) in [
            ("b".to_owned(), vec!["a", "B", "a-", "azz"], vec!["b-", "b.", "b0", "bb", "c"]),
            (long("a"), vec!["m"], vec![]),
            (long("z"), vec!["m"], vec!["n"]),
            (long("-zz"), vec!["m"], vec!["n"]),
            ("z".repeat(64), vec!["zz"], vec![]),
        ] {
            let range = PartnerRange::of_one(&id(&one));
            assert!(range.contains(&id(&one)), "{range:?}");
            let next = [long("b"), long("y"), long(".")].into_iter().filter(|other| *other != one);
            let others = before.into_iter().chain(after).map(str::to_owned).chain(next);
            for other in others {
                assert!(!range.contains(&id(&other)), "{other} in {range:?}");
            }
        }
        let mut letters: Vec<char> = LETTERS.chars().collect();
        letters.sort_unstable();
        assert_eq!(letters.into_iter().collect::<String>(), LETTERS);
    }
}
