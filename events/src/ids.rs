//! The typed names of things: each is parsed once, at the door, and proves in its type that it was.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::limits;

/// Why a text is not the id it should be. The message says the rule and never repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidId(&'static str);

impl InvalidId {
    /// The rule that was broken, as a sentence part: "must be …".
    #[must_use]
    pub fn rule(&self) -> &'static str {
        self.0
    }
}

/// A newtype over a `String` that only [`FromStr`] makes.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $valid:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The rule that every value of this type keeps.
            pub const RULE: &'static str = $rule;

            /// Parses it.
            ///
            /// # Errors
            /// [`InvalidId`] with the rule, when the text breaks it.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(InvalidId(Self::RULE)) }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// Whom everything belongs to: 1 to 64 of `A-Za-z0-9._-`. It has no `:`, so that stream names split at the first.
    ///
    /// ```
    /// use events::ids::TenantId;
    /// assert!(TenantId::parse("acme-eu.1").is_ok());
    /// assert!(TenantId::parse("a:b").is_err());
    /// ```
    TenantId,
    |text| in_alphabet(text, limits::TENANT_CHARS_MAX, b"._-"),
    "must be 1 to 64 characters of A-Z a-z 0-9 . _ -"
}

text_id! {
    /// A user or a team, compared as an exact string: 1 to 255 characters without control characters.
    /// A principal that begins with `team:` is a team.
    PrincipalId,
    |text| (1..=limits::PRINCIPAL_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control),
    "must be 1 to 255 characters without control characters"
}

text_id! {
    /// A tag, by its id: 1 to 64 of `A-Za-z0-9._:-`.
    TagId,
    |text| in_alphabet(text, limits::TAG_CHARS_MAX, b"._:-"),
    "must be 1 to 64 characters of A-Z a-z 0-9 . _ : -"
}

text_id! {
    /// A library that an embedded integration belongs to: 1 to 64 of `A-Za-z0-9._:-`.
    LibraryId,
    |text| in_alphabet(text, limits::TAG_CHARS_MAX, b"._:-"),
    "must be 1 to 64 characters of A-Z a-z 0-9 . _ : -"
}

text_id! {
    /// An integration's readable name in paths: `[a-z0-9]+(-[a-z0-9]+)*`, at most 80, never a UUID.
    Slug,
    is_slug,
    "must be words of a-z 0-9 joined by single hyphens, at most 80 characters, and no UUID"
}

fn in_alphabet(text: &str, max: usize, marks: &[u8]) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
}

fn is_slug(text: &str) -> bool {
    text.len() <= limits::SLUG_CHARS_MAX
        && text
            .split('-')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
        && Uuid::try_parse(text).is_err()
}

impl PrincipalId {
    /// The prefix that marks a team.
    pub const TEAM_PREFIX: &'static str = "team:";

    /// Whether this names a team.
    #[must_use]
    pub fn is_team(&self) -> bool {
        self.0.starts_with(Self::TEAM_PREFIX)
    }

    /// The id without `team:`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.strip_prefix(Self::TEAM_PREFIX).unwrap_or(&self.0)
    }
}

/// An integration's id, unique within its tenant; a UUID that is neither nil nor max, shown in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Uuid", into = "Uuid")]
pub struct IntegrationId(Uuid);

impl IntegrationId {
    /// The rule that every value of this type keeps.
    pub const RULE: &'static str = "must be a UUID, and neither the nil nor the max UUID";

    /// The least id: what is sorted by ids begins here.
    pub const MIN: Self = Self(Uuid::from_u128(1));

    /// Takes a UUID.
    ///
    /// # Errors
    /// [`InvalidId`] for the nil and the max UUID.
    pub fn new(uuid: Uuid) -> Result<Self, InvalidId> {
        if uuid.is_nil() || uuid.is_max() { Err(InvalidId(Self::RULE)) } else { Ok(Self(uuid)) }
    }

    /// Parses the hyphenated form of RFC 9562, in any case.
    ///
    /// # Errors
    /// [`InvalidId`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        const HYPHENATED_LEN: usize = 36;
        let uuid = Uuid::try_parse(text).map_err(|_| InvalidId(Self::RULE))?;
        if text.len() == HYPHENATED_LEN { Self::new(uuid) } else { Err(InvalidId(Self::RULE)) }
    }

    /// The UUID.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for IntegrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for IntegrationId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text)
    }
}

impl TryFrom<Uuid> for IntegrationId {
    type Error = InvalidId;
    fn try_from(uuid: Uuid) -> Result<Self, InvalidId> {
        Self::new(uuid)
    }
}

impl From<IntegrationId> for Uuid {
    fn from(id: IntegrationId) -> Self {
        id.0
    }
}

/// How a path names an integration: by id, or by slug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntegrationRef {
    /// By id.
    Id(IntegrationId),
    /// By slug.
    Slug(Slug),
}

impl IntegrationRef {
    /// Parses a path segment: a UUID, with or without hyphens, is an id, which no slug can be.
    ///
    /// # Errors
    /// [`InvalidId`] when it is neither.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        // A UUID in braces, or as a URN, is longer: it is neither.
        let is_id = matches!(text.len(), 32 | 36);
        match Uuid::try_parse(text) {
            Ok(uuid) if is_id => IntegrationId::new(uuid).map(Self::Id),
            Ok(_) | Err(_) => Slug::parse(text).map(Self::Slug),
        }
    }
}

/// A newtype over a UUID that names one kind of thing.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID that the caller made.
            #[must_use]
            pub fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            #[must_use]
            pub fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    };
}

uuid_id! {
    /// An event's id, unique in its stream: what makes a repeated append the same append.
    EventId
}
uuid_id! {
    /// A data key's id.
    KeyId
}
uuid_id! {
    /// An uploaded icon's id: the last part of its stream's name.
    BlobId
}

/// The place of an event in its stream, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// The first event's.
    pub const FIRST: Self = Self(0);

    /// Takes a number, from 0.
    #[must_use]
    pub const fn new(revision: u64) -> Self {
        Self(revision)
    }

    /// The number, from 0.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of an event in the whole log; 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// Takes a number; 0 is before the first event.
    #[must_use]
    pub fn new(position: u64) -> Self {
        Self(position)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(Slug::parse(text).is_ok(), expected, "{text:?}");
    }

    #[test]
    fn a_slug_is_words_joined_by_single_hyphens_and_no_uuid() {
        check("google-drive-2", true);
        check("a", true);
        check(&"a".repeat(80), true);
        check(&"a".repeat(81), false);
        check("", false);
        check("-a", false);
        check("a-", false);
        check("a--b", false);
        check("A", false);
        check("ä", false);
        check("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b", false);
        check("0190a5d07c3e7b7a9f0e1c2d3e4f5a6b", false);
    }

    #[test]
    fn an_id_is_a_hyphenated_uuid_in_any_case_and_shown_in_lower_case() {
        let id = IntegrationId::parse("0190A5D0-7C3E-7B7A-9F0E-1C2D3E4F5A6B").expect("a UUID");
        assert_eq!(id.to_string(), "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b");
        for text in [
            "",
            "x",
            "0190a5d07c3e7b7a9f0e1c2d3e4f5a6b",
            "{0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b}",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            assert!(IntegrationId::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn principals_are_counted_in_characters_and_have_no_control_characters() {
        assert!(PrincipalId::parse("ä".repeat(255)).is_ok());
        assert!(PrincipalId::parse("ä".repeat(256)).is_err());
        assert!(PrincipalId::parse("").is_err());
        assert!(PrincipalId::parse("a\u{85}").is_err());
        let team = PrincipalId::parse("team:analytics").expect("valid");
        assert!(team.is_team());
        assert_eq!(team.name(), "analytics");
    }
}
