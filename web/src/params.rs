//! Query parameters: each route names the ones it has, and every other is refused.

use std::fmt::Write as _;

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::problem::Problem;

/// What a query component keeps unencoded (RFC 3986 §2.3).
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What a path segment keeps unencoded.
const SEGMENT: &AsciiSet = &COMPONENT.remove(b':').remove(b'@');

/// A text as a query component.
#[must_use]
pub fn encode_component(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// A text as a path segment.
#[must_use]
pub fn encode_segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A query string, not looked at yet: that is done after the checks that come before it.
#[derive(Debug, Clone, Default)]
pub struct RawQuery(String);

/// How often a parameter may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// At most once.
    Once,
    /// Any number of times.
    Many,
}

impl RawQuery {
    /// The query of a request's target.
    #[must_use]
    pub fn of(uri: &Uri) -> Self {
        Self(uri.query().unwrap_or_default().to_owned())
    }

    /// Whether a parameter of this name was given with a value.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.pairs().flatten().any(|(given, value)| given == name && !value.is_empty())
    }

    /// The parameters, if each is one of `known`.
    ///
    /// # Errors
    /// 400 at `query:NAME` for an unknown name, one given twice where it may not be, or a wrong encoding.
    pub fn parse(&self, known: &[(&'static str, Times)]) -> Result<Params, Problem> {
        let mut params = Params(Vec::new());
        for pair in self.pairs() {
            let (name, value) =
                pair.map_err(|name| Problem::parameter(format!("query:{name}"), "must be percent-encoded UTF-8"))?;
            let Some((known, times)) = known.iter().find(|(known, _)| *known == name) else {
                return Err(Problem::parameter(format!("query:{name}"), "is not a parameter of this route"));
            };
            if value.is_empty() {
                continue;
            }
            if *times == Times::Once && params.one(known).is_some() {
                return Err(Problem::parameter(format!("query:{known}"), "must be given once"));
            }
            params.0.push((known, value));
        }
        Ok(params)
    }

    fn pairs(&self) -> impl Iterator<Item = Result<(String, String), String>> {
        self.0.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or_else(|| name.to_owned())?;
            let value = decode(value).ok_or_else(|| name.clone())?;
            Ok((name, value))
        })
    }
}

fn decode(text: &str) -> Option<String> {
    let mut escapes = text.split('%').skip(1);
    if !escapes.all(|escape| escape.len() >= 2 && escape.bytes().take(2).all(|digit| digit.is_ascii_hexdigit())) {
        return None;
    }
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}

/// The parameters that were given with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params(Vec<(&'static str, String)>);

impl Params {
    /// The value of a parameter that may be given once.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// The values of a parameter.
    pub fn many<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// The value of a boolean parameter.
    ///
    /// # Errors
    /// 400 when it is neither `true` nor `false`.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.one(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Problem::parameter(format!("query:{name}"), "must be true or false")),
        }
    }

    /// The value of a whole number within bounds.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn number(&self, name: &str, bounds: std::ops::RangeInclusive<usize>) -> Result<Option<usize>, Problem> {
        let Some(text) = self.one(name) else {
            return Ok(None);
        };
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        number.filter(|number| bounds.contains(number)).map(Some).ok_or_else(|| {
            let (low, high) = bounds.into_inner();
            let rule = if high == usize::MAX { format!("from {low}") } else { format!("from {low} to {high}") };
            Problem::parameter(format!("query:{name}"), format!("must be a whole number {rule}"))
        })
    }

    /// The query string of these parameters with `replaced` in the place of those of its names: names sorted, values
    /// of a name in the order given.
    #[must_use]
    pub fn query_string(&self, replaced: &[(&'static str, String)]) -> String {
        let kept = self.0.iter().filter(|(name, _)| replaced.iter().all(|(other, _)| other != name));
        let mut pairs: Vec<_> = kept.chain(replaced).collect();
        pairs.sort_by_key(|(name, _)| *name);
        let mut query = String::new();
        for (name, value) in pairs {
            let separator = if query.is_empty() { '?' } else { '&' };
            write!(query, "{separator}{name}={}", encode_component(value)).expect("a String takes every write");
        }
        query
    }
}
