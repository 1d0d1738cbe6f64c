//! Texts that customers read: each is printed on one line. Takes a text, gives the first character that would tear what
//! is printed around it apart, or turn it around.

/// The first character of a text that no printed line may have: a line break, a tab or another control character, and
/// the marks that turn the direction of writing around.
#[must_use]
pub fn unprintable(text: &str) -> Option<char> {
    let is_unprintable = |letter: &char| {
        letter.is_control()
            || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().find(is_unprintable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tears_a_line_apart_is_found() {
        for (text, found) in [
            ("Torstraße 1, Łódź, 東京 “x” 🙂", None),
            ("", None),
            ("a\u{200b}b\u{a0}c\u{ad}", None),
            ("Ba\nse", Some('\n')),
            ("a\tb\r", Some('\t')),
            ("\u{1b}[31mred", Some('\u{1b}')),
            ("a\u{85}", Some('\u{85}')),
            ("100\u{202e}001", Some('\u{202e}')),
            ("a\u{2028}b", Some('\u{2028}')),
        ] {
            assert_eq!(unprintable(text), found, "{text:?}");
        }
    }
}
