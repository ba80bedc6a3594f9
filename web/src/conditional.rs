//! Conditional requests (RFC 9110 §13): validators `"<change>.<shape>"`, what a request's tags match, and answers that
//! are compressed with a tag of their own.

use std::{collections::BTreeMap, convert::Infallible, io::Write as _};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use events::{
    envelope::Digest,
    ids::{Position, Revision},
    integration::LastEvent,
    stream::StreamName,
};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{position, problem::Problem, representation};

/// A content coding that answers can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    Identity,
    /// gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// What the client takes (RFC 9110 §12.5.3): gzip where it is as welcome as none.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let (mut gzip, mut identity, mut any) = (None, None, None);
        let texts = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for item in texts.flat_map(|text| text.split(',')) {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let quality = quality.map_or(1.0, |text| text.parse::<f32>().unwrap_or(0.0));
            let is = |coding: &str| name.eq_ignore_ascii_case(coding);
            if is("gzip") || is("x-gzip") {
                gzip = Some(quality);
            } else if is("identity") {
                identity = Some(quality);
            } else if name == "*" {
                any = Some(quality);
            }
        }
        let gzip = gzip.or(any).unwrap_or(0.0);
        let identity = identity.unwrap_or(0.0);
        if gzip > 0.0 && gzip >= identity { Self::Gzip } else { Self::Identity }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
        }
    }

    /// A body in this coding, in a block of its own size.
    ///
    /// # Panics
    /// Never: a `Vec` takes every write.
    #[must_use]
    pub fn encode(self, mut body: Vec<u8>) -> Bytes {
        if self == Self::Gzip {
            let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(5));
            encoder.write_all(&body).expect("a Vec takes every write");
            body = encoder.finish().expect("a Vec takes every write");
        }
        body.shrink_to_fit();
        body.into()
    }
}

/// What an answer is made of beside the state: it stands in the tag, so that no two different bodies share one.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// The resource, with what its path says beyond the integration.
    pub resource: &'a str,
    /// The version of the view or fold that it is made from.
    pub version: u32,
    /// The canonical query.
    pub query: &'a str,
    /// For collections: who sees what of it.
    pub audience: Option<Audience<'a>>,
}

/// What a collection shows depends on beside the tenant's state.
#[derive(Debug, Clone, Copy)]
pub struct Audience<'a> {
    /// Whose visible set it is: [`Caller::audience`](crate::bearer::Caller::audience).
    pub of: Digest,
    /// The tenant's parked streams, each with the first event that is not shown.
    pub parked: &'a BTreeMap<StreamName, Revision>,
}

impl Shape<'_> {
    /// A hash over everything that the body is made of beside the state; its first eight digits stand in the tag.
    #[must_use]
    pub fn digest(&self, coding: Coding) -> Digest {
        let mut bytes = Vec::with_capacity(256);
        let mut part = |part: &[u8]| {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        };
        part(self.resource.as_bytes());
        part(&self.version.to_be_bytes());
        part(&representation::RENDER_VERSION.to_be_bytes());
        part(self.query.as_bytes());
        part(coding.name().as_bytes());
        if let Some(Audience { of, parked }) = self.audience {
            part(of.as_bytes());
            for (stream, revision) in parked {
                part(stream.as_str().as_bytes());
                part(&revision.get().to_be_bytes());
            }
        }
        Digest::of(&bytes)
    }
}

/// The detail's tag, as GET gives it uncompressed: every command answers it.
#[must_use]
pub fn detail_tag(last: &LastEvent) -> HeaderValue {
    tag(&last.change(), representation::DETAIL_SHAPE.digest(Coding::Identity))
}

fn tag(change: &str, shape: Digest) -> HeaderValue {
    let tag = ["\"", change, ".", &shape.short(), "\""].concat();
    HeaderValue::try_from(tag).expect("a tag is made of visible ASCII")
}

fn bytes_tag(digest: Digest) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{digest}\"")).expect("hex digits are visible ASCII")
}

/// One entity tag of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EntityTag {
    is_weak: bool,
    opaque: String,
}

/// The tags of an `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    List(Vec<EntityTag>),
}

/// Parses the values of a header as `*` or a list of entity tags (RFC 9110 §8.8.3).
fn parse_tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, ()> {
    // A tag may have bytes outside of ASCII; ours never has, so that what they are does not matter.
    let texts: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    if texts.is_empty() {
        return Ok(None);
    }
    let joined = texts.join(",");
    if joined.trim() == "*" {
        return Ok(Some(Tags::Any));
    }
    let (mut rest, mut tags) = (joined.as_str(), Vec::new());
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let (is_weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let (opaque, after) = quoted.strip_prefix('"').and_then(|text| text.split_once('"')).ok_or(())?;
        let after = after.trim_start_matches([' ', '\t']);
        let is_visible = opaque.bytes().all(|byte| byte > b' ' && byte != 0x7f);
        if !is_visible || !(after.is_empty() || after.starts_with(',')) {
            return Err(());
        }
        tags.push(EntityTag { is_weak, opaque: opaque.to_owned() });
        rest = after;
    }
    if tags.is_empty() { Err(()) } else { Ok(Some(Tags::List(tags))) }
}

/// What an `If-Match` demands of the state that a command meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// It was not sent.
    Absent,
    /// `*`: that it exists.
    Exists,
    /// That its *change* is one of these; weak tags are none.
    OneOf(Vec<String>),
}

impl IfMatch {
    /// What the headers demand.
    ///
    /// # Errors
    /// 400 at `header:If-Match` when it is malformed.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let malformed = |()| Problem::parameter("header:If-Match", "must be * or a list of entity tags");
        Ok(match parse_tags(headers, &header::IF_MATCH).map_err(malformed)? {
            None => Self::Absent,
            Some(Tags::Any) => Self::Exists,
            Some(Tags::List(tags)) => {
                let strong = tags.into_iter().filter(|tag| !tag.is_weak);
                let change =
                    |opaque: String| opaque.rsplit_once('.').map(|(change, _)| change.to_owned()).unwrap_or(opaque);
                Self::OneOf(strong.map(|tag| change(tag.opaque)).collect())
            }
        })
    }
}

/// How many headers an answer has, about.
const HEADERS: usize = 12;

/// What a GET says of what it has, and in which coding it wants the rest.
#[derive(Debug, Clone)]
pub struct Conditional {
    has: Option<Tags>,
    coding: Coding,
}

/// The media type of answers with links.
pub const HAL: HeaderValue = HeaderValue::from_static("application/hal+json");
/// The media type of answers without links.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl Conditional {
    /// What the headers say; a malformed `If-None-Match` is ignored.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let has = parse_tags(headers, &header::IF_NONE_MATCH).unwrap_or(None);
        Self { has, coding: Coding::of(headers) }
    }

    /// The coding that the answer is to have.
    #[must_use]
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// Answers with the state `change` in a shape: 304 where the client has it, else the body that `encoded` gives, in
    /// [`Conditional::coding`].
    ///
    /// # Errors
    /// What `encoded` tells instead; it is not asked for a 304.
    pub fn try_answer<E>(
        &self,
        change: &str,
        shape: Digest,
        media_type: HeaderValue,
        encoded: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Response, E> {
        self.respond(tag(change, shape), self.coding, media_type, encoded)
    }

    /// Answers with a body that is its own state: its tag is of its bytes.
    pub fn answer_body(&self, shape: Shape<'_>, media_type: HeaderValue, body: Vec<u8>) -> Response {
        let digest = Digest::of(&body).to_string();
        let encoded = || Ok::<_, Infallible>(self.coding.encode(body));
        let Ok(response) = self.try_answer(&digest[..16], shape.digest(self.coding), media_type, encoded);
        response
    }

    /// Answers with bytes that are known by their digest and are never compressed.
    pub fn answer_bytes(&self, digest: Digest, media_type: HeaderValue, bytes: Bytes) -> Response {
        let Ok(response) = self.respond(bytes_tag(digest), Coding::Identity, media_type, || Ok::<_, Infallible>(bytes));
        response
    }

    /// Whether the client has the bytes of this digest.
    #[must_use]
    pub fn has_bytes(&self, digest: Digest) -> bool {
        self.matches(&bytes_tag(digest))
    }

    fn respond<E>(
        &self,
        tag: HeaderValue,
        coding: Coding,
        media_type: HeaderValue,
        encoded: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Response, E> {
        let has_it = self.matches(&tag);
        let mut response = Response::new(if has_it { Body::empty() } else { Body::from(encoded()?) });
        let headers = response.headers_mut();
        headers.reserve(HEADERS);
        if !has_it {
            headers.insert(header::CONTENT_TYPE, media_type);
            if coding == Coding::Gzip {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        headers.insert(header::ETAG, tag);
        add_cache_headers(headers);
        if has_it {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        Ok(response)
    }

    fn matches(&self, tag: &HeaderValue) -> bool {
        match &self.has {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::List(tags)) => {
                let opaque = tag.as_bytes().strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
                tags.iter().any(|has| Some(has.opaque.as_bytes()) == opaque)
            }
        }
    }
}

/// What every GET of a resource says to caches.
pub fn add_cache_headers(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Authorization, Accept-Encoding"));
}

/// Adds where in the log the shown state is.
pub fn add_position(response: &mut Response, at: Position) {
    response.headers_mut().insert(position::INTEGRATION_POSITION, position::header_value(at));
}
