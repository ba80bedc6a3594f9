//! A request, taken apart but not looked at yet: the checks come in the order that the contract gives them, not in the
//! order of extractors.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::Body,
    extract::{FromRequest, MatchedPath, Request},
};
use bytes::Bytes;
use events::{ids::IntegrationRef, principal::Principal};
use http::{HeaderMap, Method};

use crate::{
    bearer::Caller,
    body,
    client::RequestContext,
    layers::Asked,
    load::InFlight,
    params::{Params, RawQuery, Times, percent_decoded},
    problem::Problem,
};

/// A request under `/api`.
#[derive(Debug)]
pub struct Incoming {
    asked: Option<Arc<Asked>>,
    method: Method,
    path: Vec<(String, String)>,
    query: RawQuery,
    /// Its headers.
    pub headers: HeaderMap,
    /// In a lock that nobody waits for: a body can be sent to another thread, but not shared.
    body: Mutex<Body>,
}

impl<S: Sync> FromRequest<S> for Incoming {
    type Rejection = Infallible;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Infallible> {
        let (parts, body) = request.into_parts();
        let route = parts.extensions.get::<MatchedPath>();
        let asked = parts.extensions.get::<Arc<Asked>>().cloned();
        if let (Some(asked), Some(route)) = (&asked, route) {
            asked.take_route(route);
        }
        let route = route.map_or("", MatchedPath::as_str);
        Ok(Self {
            asked,
            method: parts.method,
            path: path_values(route, parts.uri.path()),
            query: RawQuery::of(&parts.uri),
            headers: parts.headers,
            body: Mutex::new(body),
        })
    }
}

/// The values of a path by the names that its route gives them, percent-decoded. What is not percent-encoded UTF-8 is
/// empty, as no value is: it is a fault of that value, and of no other.
fn path_values(route: &str, path: &str) -> Vec<(String, String)> {
    if !route.contains('{') {
        return Vec::new();
    }
    let named = route.split('/').zip(path.split('/')).filter_map(|(name, segment)| {
        let name = name.strip_prefix('{')?.strip_suffix('}')?;
        Some((name.to_owned(), percent_decoded(segment).unwrap_or_default()))
    });
    named.collect()
}

impl Incoming {
    /// Who asks.
    ///
    /// # Errors
    /// 401 when the route is not behind the door.
    pub fn caller(&self) -> Result<Arc<Caller>, Problem> {
        let caller = self.asked.as_ref().and_then(|asked| asked.caller.get());
        caller.cloned().ok_or_else(|| crate::bearer::challenge_bare("Send your token."))
    }

    /// Its id, its trace, the client's address.
    #[must_use]
    pub fn context(&self) -> Option<&RequestContext> {
        self.asked.as_ref().map(|asked| &asked.context)
    }

    /// Its place among the requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> Option<&InFlight> {
        self.asked.as_ref().and_then(|asked| asked.in_flight.get())
    }

    /// Who asks, as permissions know him.
    ///
    /// # Errors
    /// As [`Incoming::caller`].
    pub fn principal(&self) -> Result<Principal, Problem> {
        Ok(self.caller()?.principal.clone())
    }

    /// Why no route is to take it.
    pub(crate) fn refusal(&self) -> Option<Problem> {
        self.asked.as_ref()?.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether it only reads.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// A part of the path, percent-decoded; empty when it is not UTF-8.
    #[must_use]
    pub fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value)
    }

    /// The integration that the path names.
    ///
    /// # Errors
    /// 404 when it names none.
    pub fn reference(&self) -> Result<IntegrationRef, Problem> {
        IntegrationRef::parse(self.path("id")).map_err(|_| Problem::not_found())
    }

    /// The query's parameters, of which each should be one of `known`.
    pub fn query(&self, known: &[(&'static str, Times)]) -> Params {
        self.query.params(known)
    }

    /// Checks that the query gives no parameter, for routes that have none.
    ///
    /// # Errors
    /// 400 with each, at `query:NAME`.
    pub fn expect_no_query(&self) -> Result<(), Problem> {
        self.query(&[]).check().map(drop)
    }

    /// Whether the query gives a parameter a value.
    #[must_use]
    pub fn query_names(&self, name: &str) -> bool {
        self.query.names(name)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// 413, 408, 400; see [`body::read`].
    pub async fn read_body(&mut self, limit: usize) -> Result<Bytes, Problem> {
        let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        body::read(std::mem::take(body), limit).await
    }

    /// Reads the body of a route that takes JSON, and checks that it says it is.
    ///
    /// # Errors
    /// 413, 408, 415.
    pub async fn read_json(&mut self) -> Result<Bytes, Problem> {
        let bytes = self.read_body(events::limits::BODY_BYTES_MAX).await?;
        body::expect_json(&self.headers, &bytes)?;
        Ok(bytes)
    }
}
