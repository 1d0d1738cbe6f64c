//! Choices of the catalog that are one word each, with a default: an enum, its words, and both ways between them.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $(#[$first_doc:meta])* $first:ident = $first_word:literal,
        $($(#[$other_doc:meta])* $other:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub enum $name {
            $(#[$first_doc])* #[default] $first,
            $($(#[$other_doc])* $other),+
        }

        impl $name {
            /// The words in the catalog, the default first.
            pub const WORDS: &'static [&'static str] = &[$first_word, $($word),+];

            /// Reads a word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $first_word => Some(Self::$first),
                    $($word => Some(Self::$other),)+
                    _ => None,
                }
            }

            /// The word in the catalog.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $(Self::$other => $word),+
                }
            }
        }
    };
}

pub(crate) use words;
