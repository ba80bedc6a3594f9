//! Query parameters: each route names the ones it has, and every other is refused.

use std::fmt::Write as _;

use events::limits;
use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::problem::{Fault, Problem};

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

    /// The parameters, of which each should be one of `known`.
    pub fn params(&self, known: &[(&'static str, Times)]) -> Params {
        let mut params = Params { given: Vec::new(), faults: Vec::new() };
        for pair in self.pairs() {
            let (name, value) = match pair {
                Ok(pair) => pair,
                Err(name) => {
                    params.refuse(&name, "must be percent-encoded UTF-8");
                    continue;
                }
            };
            match known.iter().find(|(known, _)| *known == name) {
                None => params.refuse(&name, "is not a parameter of this route"),
                Some(_) if value.is_empty() => {}
                Some((known, Times::Once)) if params.one(known).is_some() => params.refuse(known, "must be given once"),
                Some((known, _)) => params.given.push((known, value)),
            }
        }
        params
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
    percent_decoded(&text.replace('+', " "))
}

/// What a text stands for, if it is percent-encoded UTF-8 (RFC 3986 §2.1).
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut escapes = text.split('%').skip(1);
    if !escapes.all(|escape| escape.len() >= 2 && escape.bytes().take(2).all(|digit| digit.is_ascii_hexdigit())) {
        return None;
    }
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

/// The parameters that were given with a value, and every rule that was found broken so far.
#[derive(Debug)]
#[must_use = "what is wrong with them is told by `check`"]
pub struct Params {
    given: Vec<(&'static str, String)>,
    faults: Vec<Fault>,
}

impl Params {
    /// The value of a parameter that may be given once.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// The values of a parameter.
    pub fn many<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.given.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that should be `true` or `false`.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.one(name)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.refuse(name, "must be true or false");
                None
            }
        }
    }

    /// The value of a parameter that should be a whole number within bounds.
    pub fn number(&mut self, name: &str, bounds: std::ops::RangeInclusive<usize>) -> Option<usize> {
        let text = self.one(name)?;
        // Digits that are no number are one beyond all that can be counted.
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(usize::MAX));
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let (low, high) = bounds.into_inner();
            let rule = if high == usize::MAX { format!("from {low}") } else { format!("from {low} to {high}") };
            self.refuse(name, format!("must be a whole number {rule}"));
        }
        number
    }

    /// Finds a parameter to break a rule. More than [`limits::QUERY_FAULTS_MAX`] are not told.
    pub fn refuse(&mut self, name: &str, rule: impl Into<String>) {
        if self.faults.len() == limits::QUERY_FAULTS_MAX {
            return;
        }
        let fault = Fault::new(format!("query:{name}"), rule);
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// The query, once everything that the route reads of it was read.
    ///
    /// # Errors
    /// 400 with every broken rule, at `query:NAME`.
    pub fn check(self) -> Result<Query, Problem> {
        if self.faults.is_empty() { Ok(Query(self.given)) } else { Err(Problem::parameters(self.faults)) }
    }
}

/// A query that breaks no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Vec<(&'static str, String)>);

impl Query {
    /// It as a query string, with `replaced` in the place of the parameters of its names: names sorted, values of a name in
    /// the order given.
    #[must_use]
    pub fn string(&self, replaced: &[(&'static str, String)]) -> String {
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
