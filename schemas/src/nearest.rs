//! The nearest of known words: takes what somebody wrote, gives what they probably meant. Pure.
//!
//! It promises to stay silent rather than to guess: a third of the letters may differ, not more.

/// The known word that is nearest to `word`, where one is near.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().filter_map(|known| {
        let letters = word.chars().count().max(known.chars().count());
        let distance = distance(word, known);
        (distance <= letters.max(3) / 3).then_some((distance, known))
    });
    near.min().map(|(_, known)| known)
}

/// How many letters must be put in, taken out, changed, or exchanged with their neighbour; capitals do not count.
fn distance(one: &str, other: &str) -> usize {
    let letters = |word: &str| word.chars().flat_map(char::to_lowercase).take(64).collect::<Vec<char>>();
    let (one, other) = (letters(one), letters(other));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = last;
        last = row;
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found_and_nothing_else_is_guessed() {
        for (word, meant) in [
            ("stauts", Some("status")),
            ("Status", Some("status")),
            ("response_byte", Some("response_bytes")),
            ("clals", Some("calls")),
            ("sttaus", Some("status")),
            ("abc", None),
            ("bytes", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, ["status", "response_bytes", "calls"]), meant, "{word}");
        }
        assert_eq!((distance("ab", "ba"), distance("abc", "ca"), distance("", "ab")), (1, 3, 2));
    }
}
