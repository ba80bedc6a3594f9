//! What a search finds, and in which order: the words of `q` as prefixes of the words of a name or a description.

use std::{borrow::Cow, error::Error, fmt};

use events::limits;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation;

/// What is searched for: the normalised words of a `q`. Without a word it finds nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    words: Vec<String>,
}

/// Why a `q` is no search: a sentence part, "must …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchError {
    /// It has too many words.
    TooManyWords,
    /// One of its words is too long.
    WordTooLong,
}

/// How well a text is found; the smaller comes first.
///
/// A name comes before a description, whatever else: of two texts, that comes first which needs the description for
/// fewer words of the search. Of equals, that in which fewer words are only the beginning of what was found. For one
/// word these are the four steps name, beginning in the name, description, beginning in the description. A sum of such
/// steps would put a name that lacks a word, but has three others whole, before one in which all four begin a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    // Compared in this order.
    in_description: usize,
    by_prefix: usize,
}

impl Search {
    /// Takes the words of a `q`. They are counted, each as often as it stands there, and measured as they are compared:
    /// normalised, so that accents and the way they are encoded make no difference.
    ///
    /// # Errors
    /// When there are more than [`limits::SEARCH_WORDS_MAX`], or one has more than [`limits::SEARCH_WORD_CHARS_MAX`]
    /// characters.
    pub(crate) fn parse(q: &str) -> Result<Self, SearchError> {
        let text = normalise(q);
        let words: Vec<String> = words(&text).map(str::to_owned).collect();
        if words.len() > limits::SEARCH_WORDS_MAX {
            return Err(SearchError::TooManyWords);
        }
        if words.iter().any(|word| word.chars().count() > limits::SEARCH_WORD_CHARS_MAX) {
            return Err(SearchError::WordTooLong);
        }
        Ok(Self { words })
    }

    /// How well this name and description are found, or `None` if some word begins none of theirs.
    pub(crate) fn rank(&self, name: &str, description: Option<&str>) -> Option<Rank> {
        if self.words.is_empty() {
            return None;
        }
        let mut rank = Rank { in_description: 0, by_prefix: 0 };
        let name = normalise(name);
        let name: Vec<&str> = words(&name).collect();
        let mut missing = Vec::new();
        for word in &self.words {
            match hit(word, &name) {
                Some(hit) => rank.by_prefix += hit.by_prefix(),
                None => missing.push(word),
            }
        }
        if missing.is_empty() {
            return Some(rank);
        }
        // Descriptions are long: one is only looked into for what the name has not.
        let description = normalise(description?);
        let description: Vec<&str> = words(&description).collect();
        for word in missing {
            rank.in_description += 1;
            rank.by_prefix += hit(word, &description)?.by_prefix();
        }
        Some(rank)
    }
}

impl fmt::Display for SearchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyWords => write!(f, "must have at most {} words", limits::SEARCH_WORDS_MAX),
            Self::WordTooLong => {
                write!(f, "must have no word of more than {} characters", limits::SEARCH_WORD_CHARS_MAX)
            }
        }
    }
}

impl Error for SearchError {}

/// How a word is found in a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hit {
    Whole,
    Prefix,
}

impl Hit {
    fn by_prefix(self) -> usize {
        usize::from(self == Self::Prefix)
    }
}

/// The best hit of a word among the words of a text.
fn hit(word: &str, text: &[&str]) -> Option<Hit> {
    if text.contains(&word) {
        return Some(Hit::Whole);
    }
    text.iter().any(|candidate| candidate.starts_with(word)).then_some(Hit::Prefix)
}

/// The words of a normalised text, with a letter or digit in each: between Unicode's word boundaries (UAX #29), which
/// hyphens are but for the Armenian one and the double one of Katakana, and underscores, which are none. Neither an
/// apostrophe nor a dot between two letters ends a word.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(['_', '\u{58a}', '\u{30a0}']).flat_map(UnicodeSegmentation::unicode_words)
}

/// A text without compatibility forms (NFKD), accents and case. Hyphens and underscores of other widths become plain.
fn normalise(text: &str) -> Cow<'_, str> {
    if !text.is_ascii() {
        return Cow::Owned(text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(fold).collect());
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// A character without its case. By way of upper case, which has one form for what is one letter to a reader: ß is
/// found by SS, and σ at the end of a word, ς, by Σ.
fn fold(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::{Rank, Search, SearchError, limits, normalise, words};

    fn rank(q: &str, name: &str, description: Option<&str>) -> Option<Rank> {
        Search::parse(q).unwrap().rank(name, description)
    }

    fn some(in_description: usize, by_prefix: usize) -> Option<Rank> {
        Some(Rank { in_description, by_prefix })
    }

    #[track_caller]
    fn check(q: &str, name: &str, description: &str, expected: Option<Rank>) {
        assert_eq!(rank(q, name, Some(description)), expected, "{q:?} in {name:?} and {description:?}");
    }

    #[test]
    fn every_word_has_to_begin_a_word() {
        check("google", "Google Sheets", "", some(0, 0));
        check("goo", "Google Sheets", "", some(0, 1));
        check("sheets google", "Google Sheets", "", some(0, 0));
        check("goo she", "Google Sheets", "", some(0, 2));
        check("oogle", "Google Sheets", "", None);
        check("googles", "Google Sheets", "", None);
        check("google docs", "Google Sheets", "", None);
        check("google docs", "Google Sheets", "Docs too", some(1, 0));
        check("google do", "Google Sheets", "Docs too", some(1, 1));
        check("table", "Google Sheets", "Tables", some(1, 1));
        check("google google", "Google", "", some(0, 0));
        check("2", "OAuth 2 and 365", "", some(0, 0));
        check("36", "Office 365", "", some(0, 1));
        check("3.1", "OpenAPI 3.14", "", some(0, 1));
        assert_eq!(rank("a", "b", None), None);
        assert_eq!(rank("a b", "b", None), None);
        assert_eq!(rank("a", "a", None), some(0, 0));
    }

    #[test]
    fn the_best_hit_counts() {
        check("go", "Google Go", "go", some(0, 0));
        check("go", "Google", "go", some(0, 1));
        check("go", "Rust", "Google Go", some(1, 0));
        check("go", "Rust", "Google", some(1, 1));
    }

    #[test]
    fn a_name_comes_before_a_description_and_a_whole_word_before_a_prefix() {
        let order = [
            ("mail chimp", ""),
            ("chimps mail", "chimp"),
            ("mailing chimps", "mail chimp"),
            ("mail", "chimp"),
            ("mail", "chimps"),
            ("mailing", "chimps"),
            ("", "mail chimp"),
            ("", "mailing chimp"),
            ("", "mailing chimps"),
        ];
        let ranks = order.map(|(name, description)| rank("mail chimp", name, Some(description)).unwrap());
        assert!(ranks.is_sorted_by(|better, worse| better < worse), "{ranks:?}");
    }

    #[test]
    fn words_end_at_hyphens_and_underscores_but_not_at_apostrophes() {
        check("sheets", "google-sheets_v4", "", some(0, 0));
        check("v4", "google-sheets_v4", "", some(0, 0));
        check("երևան", "Վան\u{58a}Երևան", "", some(0, 0));
        check("イ", "ア\u{30a0}イ", "", some(0, 0));
        check("google-sheets", "Sheets by Google", "", some(0, 0));
        check("google_sheets", "Google\u{2010}Sheets", "", some(0, 0));
        check("sheets", "Google\u{2011}Sheets\u{ff3f}x", "", some(0, 0));
        check("sheets", "Google\u{ff0d}Sheets", "", some(0, 0));
        check("sheets", "Google\u{2013}Sheets/Docs", "", some(0, 0));
        check("o'rei", "O'Reilly", "", some(0, 1));
        check("reilly", "O'Reilly", "", None);
        check("o", "O'Reilly", "", some(0, 1));
        check("example", "api.example.com", "", None);
        check("api.ex", "api.example.com", "", some(0, 1));
        check("東", "東京都", "", some(0, 0));
        check("京都", "東京都", "", some(0, 0));
    }

    #[test]
    fn neither_case_nor_accents_matter() {
        check("CAFE", "Café", "", some(0, 0));
        check("café", "CAFE", "", some(0, 0));
        check("cafe\u{301}", "Caf\u{e9}", "", some(0, 0));
        check("istanbul", "İSTANBUL", "", some(0, 0));
        check("İstanbul", "istanbul", "", some(0, 0));
        check("strasse", "Straße", "", some(0, 0));
        check("STRASSE", "straße", "", some(0, 0));
        check("straß", "STRASSE", "", some(0, 1));
        check("GROẞ", "groß", "", some(0, 0));
        check("office", "o\u{fb03}ce", "", some(0, 0));
        check("ｗｉｄｅ", "wide", "", some(0, 0));
        check("ΟΔΟΣ", "οδός", "", some(0, 0));
        check("ΟΔΟΣ", "οδοσα", "", some(0, 1));
        check("ελλαδα", "Ελλάδα", "", some(0, 0));
        check("елка", "Ёлка", "", some(0, 0));
        check("nguyen", "Nguyễn", "", some(0, 0));
        check("5", "m⁵ and ⑤", "", some(0, 0));
    }

    #[test]
    fn a_search_without_a_word_finds_nothing() {
        for q in ["", " ", "---", "_", "\"'.,;", "\u{301}", "&", "🎉"] {
            check(q, "---", q, None);
            check(q, "", "", None);
            check(q, "Google Sheets", "a description", None);
        }
    }

    #[test]
    fn words_are_limited_in_number_and_length() {
        let error = |q: &str| Search::parse(q).unwrap_err();
        assert!(Search::parse("a b c d e f g h").is_ok());
        assert!(Search::parse("a-b_c d,e f - g h !").is_ok());
        assert_eq!(error("a b c d e f g h i"), SearchError::TooManyWords);
        assert_eq!(error("a a a a a a a a a"), SearchError::TooManyWords);
        assert_eq!(error("a-b-c-d-e-f-g-h-i"), SearchError::TooManyWords);
        assert!(Search::parse(&"é".repeat(64)).is_ok());
        assert!(Search::parse(&"e\u{301}".repeat(64)).is_ok());
        assert_eq!(error(&"é".repeat(65)), SearchError::WordTooLong);
        assert!(Search::parse(&"ж".repeat(64)).is_ok());
        assert_eq!(error(&"ß".repeat(33)), SearchError::WordTooLong);
        assert_eq!(SearchError::TooManyWords.to_string(), "must have at most 8 words");
        assert_eq!(SearchError::WordTooLong.to_string(), "must have no word of more than 64 characters");
        assert_eq!((limits::SEARCH_WORDS_MAX, limits::SEARCH_WORD_CHARS_MAX), (8, 64));
    }

    #[test]
    fn what_is_normalised_stays_as_it_is() {
        for c in ('\0'..='\u{2ffff}').map(String::from) {
            let once = normalise(&c).into_owned();
            assert_eq!(normalise(&once), once, "{c:?}");
            assert_eq!(normalise(&c.to_lowercase()), once, "{c:?}");
        }
    }

    /// A word at least: letters with and without case and accents, digits, marks, and what stands between words.
    const TEXT: &str = "[a-z]([a-zA-Z0-9éÉßẞİıΣςÅﬁЁй東'._\u{301}\u{2010} -]|\\PC){0,40}";

    /// A search that is within the limits: the first words of a text.
    fn query(text: &str) -> Vec<String> {
        let text = normalise(text);
        words(&text)
            .filter(|word| word.chars().count() <= limits::SEARCH_WORD_CHARS_MAX)
            .take(8)
            .map(str::to_owned)
            .collect()
    }

    fn few_words() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a-c]{1,2}", 2..5)
    }

    const FEW_WORDS: &str = "[a-c ]{0,12}";

    proptest! {
        #[test]
        fn the_beginning_of_any_word_finds_it(name in TEXT, at in any::<prop::sample::Index>(), cut in 1_usize..64) {
            let words = query(&name);
            prop_assume!(!words.is_empty());
            let word = at.get(&words);
            let prefix: String = word.chars().take(cut).collect();
            prop_assume!(!query(&prefix).is_empty());
            let found = rank(&prefix, &name, None);
            prop_assert!(found.is_some(), "{prefix:?} in {name:?}");
            let described = rank(&prefix, "", Some(&name));
            prop_assert_eq!(described.map(|rank| rank.by_prefix), found.map(|rank| rank.by_prefix));
            prop_assert!(found < described);
            if prefix == *word {
                prop_assert_eq!(found, some(0, 0));
            }
        }

        #[test]
        fn case_and_encoding_make_no_difference(name in TEXT, description in TEXT) {
            let q = query(&name).join(" ");
            let others = [name.to_lowercase(), name.nfc().collect(), name.nfd().collect(), name.nfkc().collect()];
            for other in others.iter().chain([&name]) {
                prop_assert_eq!(rank(&q, other, Some(&description)), some(0, 0), "{:?}", other);
            }
        }

        #[test]
        fn accents_make_no_difference(plain in "[a-z ]{1,30}", accent in prop::char::range('\u{300}', '\u{314}')) {
            let letter = |c: char| if c == ' ' { c.to_string() } else { format!("{c}{accent}") };
            let accented: String = plain.chars().map(letter).collect();
            for text in [accented.to_uppercase(), accented] {
                prop_assert_eq!(normalise(&text), plain.as_str());
            }
        }

        #[test]
        fn the_order_of_words_makes_no_difference(
            mut words in few_words(), name in FEW_WORDS, description in FEW_WORDS,
        ) {
            let forth = rank(&words.join(" "), &name, Some(&description));
            words.reverse();
            prop_assert_eq!(rank(&words.join("-"), &name, Some(&description)), forth);
        }

        #[test]
        fn another_word_never_finds_more(words in few_words(), name in FEW_WORDS, description in FEW_WORDS) {
            let all = rank(&words.join(" "), &name, Some(&description));
            let fewer = rank(&words[1..].join(" "), &name, Some(&description));
            prop_assert!(all.is_none_or(|all| fewer.is_some_and(|fewer| fewer <= all)));
        }
    }
}
