//! Slugs: made from the name once; which ones an integration may try, in order.

use events::{
    ids::{IntegrationId, Slug},
    limits,
};
use sha2::{Digest as _, Sha256};
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use uuid::Uuid;

/// What a slug is made of when neither name nor type has a letter or digit for it.
const FALLBACK: &str = "integration";
/// How many characters of the id's digest a suffix has.
const SUFFIX_LEN: usize = 6;

/// The slugs that an integration may have, best first: from its name, with `-2` to `-9`, then with characters of its
/// id's digest.
pub fn candidates(name: &str, driver_type: &str, id: IntegrationId) -> impl Iterator<Item = Slug> {
    let base = base(name, driver_type);
    let digest = data_encoding::BASE32_NOPAD.encode(&Sha256::digest(id.to_string())).to_ascii_lowercase();
    let groups: Vec<String> =
        digest.as_bytes().chunks_exact(SUFFIX_LEN).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    let numbers = (2..=9).map(|number| number.to_string());
    let suffixes = std::iter::once(String::new()).chain(numbers).chain(groups);
    suffixes.filter_map(move |suffix| Slug::parse(with_suffix(&base, &suffix)).ok())
}

fn base(name: &str, driver_type: &str) -> String {
    let words = [name, driver_type].into_iter().map(words).find(|words| !words.is_empty());
    let base = cut(&words.unwrap_or_else(|| FALLBACK.to_owned()), limits::SLUG_CHARS_MAX).to_owned();
    if Uuid::try_parse(&base).is_ok() { format!("i-{base}") } else { base }
}

/// The words of a text in `a-z0-9`, joined by single hyphens.
fn words(text: &str) -> String {
    let plain = text.nfkd().filter(|char| !is_combining_mark(*char)).flat_map(char::to_lowercase);
    let mut words = String::new();
    for char in plain {
        if char.is_ascii_lowercase() || char.is_ascii_digit() {
            words.push(char);
        } else if !words.is_empty() && !words.ends_with('-') {
            words.push('-');
        }
    }
    words.trim_end_matches('-').to_owned()
}

fn with_suffix(base: &str, suffix: &str) -> String {
    if suffix.is_empty() {
        return base.to_owned();
    }
    format!("{}-{suffix}", cut(base, limits::SLUG_CHARS_MAX - suffix.len() - 1))
}

/// At most `len` characters, not ending in a hyphen.
fn cut(text: &str, len: usize) -> &str {
    text[..text.len().min(len)].trim_end_matches('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> IntegrationId {
        "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b".parse().expect("a UUID")
    }

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(candidates(name, "google-drive", id()).next().expect("one").as_str(), expected);
    }

    #[test]
    fn a_slug_is_the_name_in_plain_letters_digits_and_single_hyphens() {
        check("Google Drive - Engineering", "google-drive-engineering");
        check("  Füñny   näme!! ", "funny-name");
        check("ﬁle №5", "file-no5");
        check("日本", "google-drive");
        check("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b", "i-0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b");
        check("0190A5D07C3E7B7A9F0E1C2D3E4F5A6B", "i-0190a5d07c3e7b7a9f0e1c2d3e4f5a6b");
        assert_eq!(candidates("!", "?", id()).next().expect("one").as_str(), "integration");
    }

    #[test]
    fn a_taken_slug_gets_numbers_then_characters_of_the_ids_digest() {
        let all: Vec<_> = candidates("Slack", "slack", id()).map(|slug| slug.to_string()).collect();
        assert_eq!(all[..3], ["slack", "slack-2", "slack-3"]);
        assert_eq!(all[8], "slack-9");
        assert_eq!(all.len(), 9 + 8);
        let digest = data_encoding::BASE32_NOPAD.encode(&Sha256::digest(id().to_string())).to_lowercase();
        assert_eq!(all[9], format!("slack-{}", &digest[..6]));
        assert_eq!(all[10], format!("slack-{}", &digest[6..12]));
    }

    proptest! {
        #[test]
        fn every_candidate_of_any_name_is_a_slug(name in "\\PC{0,120}", driver_type in "\\PC{0,20}") {
            let all: Vec<_> = candidates(&name, &driver_type, id()).collect();
            prop_assert_eq!(all.len(), 17);
            let distinct: std::collections::BTreeSet<_> = all.iter().collect();
            prop_assert_eq!(distinct.len(), all.len());
        }
    }
}
