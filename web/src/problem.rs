//! Problem documents (RFC 9457): the closed list of what can go wrong, and how each is answered.

use std::{error::Error as StdError, sync::Arc};

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

/// What every problem type's URI begins with; its page is `docs/problems/<name>.md`.
pub const TYPE_PREFIX: &str = "urn:problem-type:integrations:";

/// Declares [`Kind`] as a table: name of its page, status, title.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $status:ident, $title:literal;)*) => {
        /// A type of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The last part of the type's URI, and the name of its page.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// The status that it is answered with.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$kind => StatusCode::$status,)*
                }
            }

            /// What it is, for people; the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$kind => $title,)*
                }
            }
        }
    };
}

kinds! {
    /// The body is not JSON, or names a member twice.
    MalformedBody = "malformed-body", BAD_REQUEST, "The body is malformed";
    /// A query parameter or a header is not what it may be.
    InvalidParameter = "invalid-parameter", BAD_REQUEST, "A query parameter or header is invalid";
    /// There is no valid token.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A valid bearer token is needed";
    /// The caller may see this, but not do that.
    NotPermitted = "not-permitted", FORBIDDEN, "You may not do this";
    /// There is nothing here that the caller may see.
    NotFound = "not-found", NOT_FOUND, "There is nothing here";
    /// The route has other methods.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "This route has no such method";
    /// The body did not come in time.
    BodyTimeout = "body-timeout", REQUEST_TIMEOUT, "The body did not come in time";
    /// The id stands for another integration, or did.
    IdTaken = "id-taken", CONFLICT, "The id is taken";
    /// The state that `If-Match` names is no longer the current one.
    Stale = "stale", PRECONDITION_FAILED, "The integration has changed";
    /// The body is larger than it may be.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The body is of a type that this route does not take.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body's type is not supported";
    /// The body is well-formed, but breaks rules.
    Invalid = "invalid", UNPROCESSABLE_ENTITY, "The request breaks rules";
    /// The idempotency key stands for another request.
    KeyReused = "key-reused", UNPROCESSABLE_ENTITY, "The idempotency key was used for another request";
    /// There are more requests in flight than the service takes.
    TooManyRequests = "too-many-requests", TOO_MANY_REQUESTS, "Too many requests at once";
    /// Another role of the service answers this.
    Misdirected = "misdirected", MISDIRECTED_REQUEST, "Another role of the service answers this";
    /// The service is at fault.
    Internal = "internal", INTERNAL_SERVER_ERROR, "The service failed";
    /// The route is part of the contract, and comes with a later release.
    NotBuilt = "not-built", NOT_IMPLEMENTED, "This route comes with a later release";
    /// A store is away.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The service is not available";
    /// Whether the command took effect is not known.
    OutcomeUnknown = "outcome-unknown", SERVICE_UNAVAILABLE, "Whether it was done is not known";
    /// The state that was asked for was not there in time.
    NotYetVisible = "not-yet-visible", SERVICE_UNAVAILABLE, "The state asked for is not there yet";
    /// The service is not ready to serve.
    NotReady = "not-ready", SERVICE_UNAVAILABLE, "The service is not ready";
}

impl Kind {
    /// The type's URI.
    #[must_use]
    pub fn uri(self) -> String {
        format!("{TYPE_PREFIX}{}", self.name())
    }
}

/// One broken rule: where, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// JSON Pointer (RFC 6901) into the body, or `query:NAME`, `header:NAME`, `path:NAME`.
    pub pointer: String,
    /// The rule.
    pub message: String,
}

impl Fault {
    /// A broken rule.
    #[must_use]
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

/// A problem document as it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// A stable URI, each with its page under `docs/problems/`.
    r#type: String,
    /// What it is, the same for every occurrence.
    title: &'a str,
    /// The status of the answer.
    status: u16,
    /// What it is about this time.
    detail: &'a str,
    /// Every broken rule.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [Fault],
}

/// What lies below a problem: for the operator's log, never for the caller.
#[derive(Debug, Clone)]
pub struct ProblemCause(pub Arc<dyn StdError + Send + Sync>);

/// An error with all that lies below it, as one line for the log.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let below = std::iter::successors(error.source(), |error| (*error).source());
    below.fold(error.to_string(), |chain, error| format!("{chain}: {error}"))
}

/// Something that went wrong with a request.
#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<Fault>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<ProblemCause>,
}

impl Problem {
    /// A problem of a kind, with what it is about this time.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), headers: Vec::new(), cause: None }
    }

    /// There is nothing here, or nothing that the caller may see: always the same answer.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Kind::NotFound, "There is nothing here that you may see.")
    }

    /// Broken rules of a body or path: 422.
    #[must_use]
    pub fn invalid(errors: Vec<Fault>) -> Self {
        Self { errors, ..Self::new(Kind::Invalid, "See errors for each broken rule.") }
    }

    /// A bad header: 400.
    #[must_use]
    pub fn parameter(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::parameters(vec![Fault::new(pointer, message)])
    }

    /// Broken rules of query parameters: 400.
    #[must_use]
    pub fn parameters(errors: Vec<Fault>) -> Self {
        Self { errors, ..Self::new(Kind::InvalidParameter, "See errors for each broken rule.") }
    }

    /// A problem that passes: with `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(kind: Kind, detail: impl Into<String>, seconds: u32) -> Self {
        Self::new(kind, detail).with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds what lies below, for the log.
    #[must_use]
    pub fn with_cause(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.cause = Some(ProblemCause(Arc::new(cause)));
        self
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = ProblemDocument {
            r#type: self.kind.uri(),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        let body = serde_json::to_vec(&document).expect("a problem document is a struct of texts");
        let mut response = (self.kind.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}
