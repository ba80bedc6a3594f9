//! Bodies: read to a limit and in time, and only of the types that a route takes.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;

use crate::{
    json::Json,
    problem::{Kind, Problem},
};

/// How long a body may take to come.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How much more than the limit is read and thrown away, so that a client that sends it all sees the answer.
const DRAIN_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// 413 when it is larger, 408 when it takes too long, 400 when it breaks off.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let timeout = |_| Problem::new(Kind::BodyTimeout, "The body did not come within 30 seconds.");
    tokio::time::timeout(READ_TIMEOUT, read_to_limit(body, limit)).await.map_err(timeout)?
}

async fn read_to_limit(mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let (mut bytes, mut length) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let broken = |_| Problem::new(Kind::MalformedBody, "The body broke off.");
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        length += data.len();
        if length <= limit {
            bytes.extend_from_slice(&data);
        } else if length > limit + DRAIN_BYTES_MAX {
            break;
        }
    }
    if length > limit {
        return Err(Problem::new(Kind::TooLarge, format!("The body must be at most {limit} bytes.")));
    }
    Ok(bytes.freeze())
}

/// Checks that a body is JSON by its headers.
///
/// # Errors
/// 415 for another type, for none with a body, and for a coding.
pub fn expect_json(headers: &HeaderMap, body: &Bytes) -> Result<(), Problem> {
    refuse_codings(headers)?;
    if body.is_empty() && !headers.contains_key(header::CONTENT_TYPE) {
        return Ok(());
    }
    let unsupported = || Problem::new(Kind::UnsupportedMediaType, "Send application/json in UTF-8.");
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unsupported());
    };
    let is_json = value.to_str().is_ok_and(is_json);
    is_json.then_some(()).ok_or_else(unsupported)
}

/// Refuses a body with a content coding, which no route takes.
///
/// # Errors
/// 415.
pub fn refuse_codings(headers: &HeaderMap) -> Result<(), Problem> {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let is_plain = codings.into_iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    is_plain
        .then_some(())
        .ok_or_else(|| Problem::new(Kind::UnsupportedMediaType, "Send the body without a content coding."))
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let subtype = essence.strip_prefix("application/");
    let is_json = subtype.is_some_and(|subtype| {
        subtype == "json" || subtype.strip_suffix("+json").is_some_and(|name| !name.is_empty() && !name.contains('/'))
    });
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
    });
    is_json && charset.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"))
}

/// Parses a body as JSON.
///
/// # Errors
/// 400 when it is malformed.
pub fn parse_json(body: &Bytes) -> Result<Json<'_>, Problem> {
    Json::parse(body).map_err(|error| {
        let detail =
            if body.is_empty() { "There is no body.".to_owned() } else { format!("The body is not JSON: {error}.") };
        Problem::new(Kind::MalformedBody, detail)
    })
}
