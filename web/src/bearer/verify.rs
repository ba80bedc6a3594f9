//! One token under one key: its signature, what it says, and when that holds.

use std::collections::HashSet;

use events::limits;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Claims, whole_seconds};

/// The reason for a token that no key of ours signed, or that is none.
pub(super) const NOT_TRUSTED: &str = "The token is not one that this service trusts.";

/// Everything that is read of a token.
#[derive(Debug, Deserialize)]
pub(super) struct Body {
    /// What handlers may see.
    #[serde(flatten)]
    pub(super) claims: Claims,
    #[serde(default, deserialize_with = "optional_seconds")]
    nbf: Option<u64>,
    #[serde(default)]
    iss: Value,
    #[serde(default)]
    aud: Value,
}

fn optional_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    whole_seconds(deserializer).map(Some)
}

/// When a token holds, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    exp: u64,
    nbf: u64,
}

impl Validity {
    /// Whether it holds now, give or take the leeway.
    pub(super) fn check(self, now: u64) -> Result<(), &'static str> {
        if self.exp.saturating_add(limits::TOKEN_LEEWAY_SECONDS) < now {
            return Err("The token has expired.");
        }
        if self.nbf > now.saturating_add(limits::TOKEN_LEEWAY_SECONDS) {
            return Err("The token is not valid yet.");
        }
        Ok(())
    }
}

impl Body {
    pub(super) fn validity(&self) -> Validity {
        Validity { exp: self.claims.exp, nbf: self.nbf.unwrap_or(0) }
    }

    /// Whether the token was issued by the one (RFC 7519 §4.1.1) for the other (§4.1.3), compared as exact texts.
    pub(super) fn check_parties(&self, issuer: &str, audience: &str) -> Result<(), &'static str> {
        if self.iss.as_str() != Some(issuer) {
            return Err("The token was not issued by the one whom this service trusts.");
        }
        let is_meant = match &self.aud {
            Value::String(one) => one == audience,
            Value::Array(several) => several.iter().any(|one| one.as_str() == Some(audience)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        };
        if is_meant { Ok(()) } else { Err("The token is not meant for this service.") }
    }
}

/// What a token says, if it is signed with this key by this algorithm.
pub(super) fn decode(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Body, &'static str> {
    let mut validation = Validation::new(algorithm);
    // The times are looked at by `Validity`, which a cached token is held against too; the parties by `Body`.
    validation.required_spec_claims = HashSet::new();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let token = jsonwebtoken::decode::<Body>(token, key, &validation).map_err(|error| reason(&error))?;
    if token.header.crit.is_some() {
        // RFC 7515 §4.1.11: whoever does not understand what it names must refuse, and nothing is understood here.
        return Err("The token demands what this service does not know.");
    }
    if token.claims.claims.sub.is_team() {
        return Err("The token's sub begins with team:, which only groups may.");
    }
    Ok(token.claims)
}

fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's list is open, and the rest is one to the caller")]
    match error.kind() {
        ErrorKind::Json(_) => "The token's claims are not what they must be.",
        _ => NOT_TRUSTED,
    }
}
