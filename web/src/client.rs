//! What surrounds a request: its id, its trace, the client's address, the reason it gives.

use std::net::{IpAddr, SocketAddr};

use events::{limits, trace::TraceParent};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use uuid::Uuid;

use crate::problem::Problem;

/// The header that carries a request's id, in requests and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that carries why something is done, for those who read the history.
pub const AUDIT_REASON: HeaderName = HeaderName::from_static("audit-reason");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What surrounds a request.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The client's id for it if it sent a usable one, else a fresh one.
    pub request_id: String,
    /// W3C trace context, if the client sent a valid one; that of the request's span, if it has one.
    pub traceparent: Option<String>,
    /// The client's address.
    pub client: IpAddr,
}

/// The proxies whose word on the client's address is taken.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl RequestContext {
    /// What the headers and the peer's address tell.
    #[must_use]
    pub fn of(headers: &HeaderMap, peer: SocketAddr, proxies: &TrustedProxies) -> Self {
        Self {
            request_id: request_id(headers),
            traceparent: traceparent(headers),
            client: proxies.client(headers, peer.ip()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: a request's id is made where the request comes in")]
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let usable = given.filter(|id| {
        (1..=limits::REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    });
    let fresh = || Uuid::now_v7().hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned();
    usable.map_or_else(fresh, str::to_owned)
}

/// The trace context if it is valid (W3C Trace Context §3.2).
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    TraceParent::parse(text).map(|_| text.to_owned())
}

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address.to_canonical()))
    }

    /// The nearest address that is no trusted proxy's: whatever stands before it, the client may have written.
    fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        for hop in forwarded(headers).into_iter().rev() {
            if !self.trusts(client) {
                break;
            }
            let Some(address) = hop else {
                break;
            };
            client = address;
        }
        client
    }
}

/// The addresses of `Forwarded` (RFC 7239), else of `X-Forwarded-For`, in order; `None` for one that is no address.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let texts = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|text| text.split(',')).map(|item| item.trim().to_owned()).collect()
    };
    let elements = texts("forwarded");
    if elements.is_empty() {
        return texts("x-forwarded-for").iter().map(|text| address(text)).collect();
    }
    let for_of = |element: &String| {
        element.split(';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("for").then(|| address(value.trim().trim_matches('"'))).flatten()
        })
    };
    elements.iter().map(for_of).collect()
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(address, _)| address);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// Why the caller does it, in his words: `Audit-Reason`.
///
/// # Errors
/// 400 when it is no text, too long, or given twice.
pub fn audit_reason(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let invalid = || {
        let max = limits::AUDIT_REASON_CHARS_MAX;
        Problem::parameter("header:Audit-Reason", format!("must be given once, 1 to {max} characters of UTF-8"))
    };
    let mut values = headers.get_all(&AUDIT_REASON).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = utf8(value).map(str::trim).filter(|_| values.next().is_none()).ok_or_else(invalid)?;
    let is_valid =
        (1..=limits::AUDIT_REASON_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if is_valid { Ok(Some(text.to_owned())) } else { Err(invalid()) }
}

fn utf8(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], peer: &str, expected: &str) {
        let map = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let proxies = TrustedProxies(vec!["10.0.0.0/8".parse().expect("a net")]);
        let client = proxies.client(&map.collect(), peer.parse().expect("an address"));
        assert_eq!(client.to_string(), expected);
    }

    #[test]
    fn the_word_of_a_trusted_proxy_is_taken_and_no_other() {
        check(&[("x-forwarded-for", "1.1.1.1")], "2.2.2.2", "2.2.2.2");
        check(&[("x-forwarded-for", "6.6.6.6, 1.1.1.1")], "10.0.0.1", "1.1.1.1");
        check(&[("x-forwarded-for", "1.1.1.1, 10.0.0.9")], "10.0.0.1", "1.1.1.1");
        check(&[("x-forwarded-for", "nonsense")], "10.0.0.1", "10.0.0.1");
        check(&[("forwarded", "for=\"[2001:db8::1]:4711\";proto=http")], "10.0.0.1", "2001:db8::1");
        check(&[("forwarded", "for=3.3.3.3;by=10.0.0.1"), ("x-forwarded-for", "4.4.4.4")], "10.0.0.1", "3.3.3.3");
        check(&[], "10.0.0.1", "10.0.0.1");
    }
}
