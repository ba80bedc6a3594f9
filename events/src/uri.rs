//! The URIs of an integration, and the origins that secrets belong to.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

use crate::limits;

/// Why a text is not the URI it should be: a sentence part, "must be …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidUri(&'static str);

/// An absolute `http` or `https` URI (RFC 3986) without credentials and without fragment, kept as it was given.
///
/// ```
/// use events::uri::HttpUri;
/// let uri: HttpUri = "https://API.example.com/v1".parse().unwrap();
/// assert_eq!(uri.as_str(), "https://API.example.com/v1");
/// assert_eq!(uri.origin().to_string(), "https://api.example.com:443");
/// assert!("https://user@example.com/".parse::<HttpUri>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpUri(Box<str>);

impl HttpUri {
    /// The URI as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port.
    ///
    /// # Panics
    /// Never: it has one, or it would not be here.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let parsed = || Url::parse(&self.0).ok().and_then(|url| Origin::of(&url));
        Origin::of_plain(&self.0).or_else(parsed).expect("the text was parsed before")
    }
}

impl FromStr for HttpUri {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        if text.chars().count() > limits::URI_CHARS_MAX {
            return Err(InvalidUri("must be at most 2048 characters"));
        }
        if !is_uri_text(text) {
            return Err(InvalidUri("must be a URI of RFC 3986: ASCII, other characters percent-encoded"));
        }
        if plain_host(text).is_some() && !text.contains('#') {
            return Ok(Self(text.into()));
        }
        let lower = text.to_ascii_lowercase();
        let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
        let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        let Some(authority) = authority.filter(|authority| !authority.is_empty()) else {
            return Err(InvalidUri("must be an absolute http or https URI"));
        };
        if authority.contains('@') {
            return Err(InvalidUri("must not have credentials"));
        }
        if text.contains('#') {
            return Err(InvalidUri("must not have a fragment"));
        }
        let url =
            Url::parse(text).map_err(|_| InvalidUri("must be an absolute http or https URI with a valid host"))?;
        Origin::of(&url).map(|_| Self(text.into())).ok_or(InvalidUri("must have a host"))
    }
}

impl TryFrom<String> for HttpUri {
    type Error = InvalidUri;
    fn try_from(text: String) -> Result<Self, InvalidUri> {
        text.parse()
    }
}

impl From<HttpUri> for String {
    fn from(uri: HttpUri) -> Self {
        uri.0.into()
    }
}

/// Where an icon's image is when none was uploaded: an [`HttpUri`], or a path of this host (`/…`, not `//`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageUrl(String);

impl ImageUrl {
    /// The URL as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageUrl {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        if !text.starts_with('/') {
            return text.parse::<HttpUri>().map(|uri| Self(uri.0.into()));
        }
        if text.starts_with("//") {
            return Err(InvalidUri("must be an absolute http or https URI, or a path that begins with a single /"));
        }
        if text.chars().count() > limits::URI_CHARS_MAX {
            return Err(InvalidUri("must be at most 2048 characters"));
        }
        if !is_uri_text(text) || text.contains('#') {
            return Err(InvalidUri("must be a path of RFC 3986 without a fragment"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ImageUrl {
    type Error = InvalidUri;
    fn try_from(text: String) -> Result<Self, InvalidUri> {
        text.parse()
    }
}

impl From<ImageUrl> for String {
    fn from(url: ImageUrl) -> Self {
        url.0
    }
}

/// Only the characters of RFC 3986 §2, and every `%` with its two digits. A backslash, which some parsers take for a
/// slash, is none of them.
fn is_uri_text(text: &str) -> bool {
    const MARKS: &[u8] = b"-._~:/?#[]@!$&'()*+,;=%";
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || MARKS.contains(byte))
        && bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'%')
            .all(|(at, _)| bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

/// Scheme and host of a URI that nearly all are like: lower case, a host of plain names without a port. They stand in
/// every event of a creation, and parsing them takes longer than all the rest of it.
fn plain_host(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let host = rest.split(['/', '?']).next()?;
    let is_label = |label: &str| {
        let is_plain = label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        is_plain && !label.is_empty() && !label.starts_with("xn--")
    };
    // What ends in a number is an address (URL Standard, "ends in a number checker").
    let has_name = host.rsplit('.').next().is_some_and(|last| last.starts_with(|char: char| char.is_ascii_lowercase()));
    (has_name && host.split('.').all(is_label)).then_some((scheme, host))
}

/// Scheme, host and port of a URI, in normal form (RFC 6454 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    fn of_plain(text: &str) -> Option<Self> {
        let (scheme, host) = plain_host(text)?;
        let port = if scheme == "https" { "443" } else { "80" };
        Some(Self([scheme, "://", host, ":", port].concat()))
    }

    fn of(url: &Url) -> Option<Self> {
        let host = url.host_str().filter(|host| !host.is_empty())?;
        Some(Self(format!("{}://{host}:{}", url.scheme(), url.port_or_known_default()?)))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(text.parse::<HttpUri>().is_ok(), expected, "{text:?}");
    }

    #[test]
    fn a_uri_is_absolute_http_without_credentials_and_fragment() {
        check("https://accounts.google.com/o/oauth2/v2/auth", true);
        check("HTTP://localhost:8080", true);
        check("https://[::1]:443/a?b=c", true);
        check("https://example.com/%7Ea", true);
        check("ftp://example.com/", false);
        check("https:example.com", false);
        check("https:///path", false);
        check("https://user:pass@example.com/", false);
        check("https://@example.com/", false);
        check("https://example.com/#top", false);
        check("https://example.com\\@evil.example/", false);
        check("https://example.com/a b", false);
        check("https://example.com/%zz", false);
        check("https://b\u{fc}cher.example/", false);
        check("https://example.com:99999/", false);
        check("/path", false);
        check("", false);
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |text: &str| text.parse::<HttpUri>().expect("valid").origin();
        assert_eq!(origin("https://A.example/x"), origin("https://a.example:443/y?z"));
        assert_ne!(origin("https://a.example/"), origin("http://a.example/"));
        assert_ne!(origin("https://a.example/"), origin("https://a.example:8443/"));
        assert_ne!(origin("https://a.example/"), origin("https://a.example.evil/"));
    }

    proptest::proptest! {
        #[test]
        fn a_plain_uri_has_the_origin_that_a_whole_parse_gives(
            text in "https?://([a-z0-9.-]|xn--|0x){0,12}(/[a-z0-9._~?%=-]{0,8})?"
        ) {
            if plain_host(&text).is_some() {
                let parsed = Url::parse(&text).ok().and_then(|url| Origin::of(&url));
                proptest::prop_assert_eq!(Origin::of_plain(&text), parsed);
            }
        }
    }

    #[test]
    fn an_image_may_also_be_a_path_of_this_host() {
        let valid = |text: &str| text.parse::<ImageUrl>().is_ok();
        assert!(valid("/images/google-drive.png"));
        assert!(valid("https://example.com/a.png"));
        assert!(!valid("//evil.example/a.png"));
        assert!(!valid("/\\evil.example"));
        assert!(!valid("images/a.png"));
        assert!(!valid("javascript:alert(1)"));
    }
}
