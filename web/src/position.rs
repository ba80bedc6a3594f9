//! Read your writes: `Integration-Position` and `Prefer: wait` (RFC 7240).

use std::time::Duration;

use events::{ids::Position, limits};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::Problem;

/// The header that carries a position of the log.
pub const INTEGRATION_POSITION: HeaderName = HeaderName::from_static("integration-position");
/// The header by which a client prefers (RFC 7240).
pub const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The header by which the service says which preference it followed (RFC 7240).
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A position as the header shows it: 16 hex digits, opaque to clients.
#[must_use]
pub fn header_value(position: Position) -> HeaderValue {
    let digits = data_encoding::HEXLOWER.encode(&position.get().to_be_bytes());
    HeaderValue::try_from(digits).expect("hex digits are visible ASCII")
}

/// What a reader wants to see at least, and how long he waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The position that the state must have reached.
    pub position: Position,
    /// How long to wait.
    pub wait: Duration,
    /// The seconds of `Prefer: wait` that were followed, if it was given.
    pub applied: Option<u64>,
}

impl Freshness {
    /// What the headers ask for.
    ///
    /// # Errors
    /// 400 for a position that is none.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(&INTEGRATION_POSITION).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let position = parse(value).filter(|_| values.next().is_none());
        let invalid = || Problem::parameter("header:Integration-Position", "must be a position that the service gave");
        let applied = preferred_wait(headers).map(|seconds| seconds.min(limits::WAIT_SECONDS_MAX));
        Ok(Some(Self {
            position: position.ok_or_else(invalid)?,
            wait: Duration::from_secs(applied.unwrap_or(limits::WAIT_SECONDS_DEFAULT)),
            applied,
        }))
    }
}

fn parse(value: &HeaderValue) -> Option<Position> {
    let text = value.to_str().ok()?;
    let is_ours = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_ours.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Position::new)
}

/// The first `wait` of the `Prefer` headers; what cannot be understood is ignored (RFC 7240 §2).
fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    let texts = headers.get_all(&PREFER).iter().filter_map(|value| value.to_str().ok());
    let preferences = texts.flat_map(|text| text.split(','));
    preferences.map(|preference| preference.split(';').next().unwrap_or_default()).find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("wait").then(|| seconds(value)).flatten()
    })
}

/// Any number of digits; more seconds than can be counted are as many as can.
fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}
