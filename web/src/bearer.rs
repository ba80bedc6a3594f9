//! Tokens: who asks. JSON Web Tokens (RFC 7519) signed with HMAC-SHA256 under a key from a file.

use std::{collections::BTreeMap, path::Path};

use events::{
    ids::{PrincipalId, TenantId},
    limits,
    principal::{Permissions, Principal},
};
use http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::problem::{Kind, Problem};

/// The permission to create integrations.
pub const PERMISSION_CREATE: &str = "permission.integrations.create";
/// The permission to do everything in the tenant.
pub const PERMISSION_ADMIN: &str = "permission.integrations.admin";
/// The permission to see all history of the tenant.
pub const PERMISSION_AUDIT: &str = "permission.integrations.audit";

const KEY_BYTES_MIN: usize = 32;

/// Why a key file cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("cannot read the token key file")]
    File(#[from] std::io::Error),
    /// It is shorter than HMAC-SHA256 asks for (RFC 7518 §3.2).
    #[error("the token key is shorter than {KEY_BYTES_MIN} bytes")]
    TooShort,
    /// A token could not be signed.
    #[error("cannot sign the token")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    pub sub: PrincipalId,
    /// The tenant.
    pub tenant: TenantId,
    /// When it expires, in seconds since 1970; a fraction of a second is cut off (RFC 7519 §2 allows one).
    #[serde(deserialize_with = "whole_seconds")]
    pub exp: u64,
    /// The user's display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The user's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The user's teams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<PrincipalId>,
    /// What the token allows in the whole tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<String>,
    /// Custom fields of the user.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, serde_json::Value>,
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, as is wanted")]
fn whole_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    f64::deserialize(deserializer).map(|seconds| seconds as u64)
}

/// Who asks, with what the token tells beside.
#[derive(Debug, PartialEq)]
pub struct Caller {
    /// The user with his teams and permissions.
    pub principal: Principal,
    /// What the token says, groups in its order.
    pub claims: Claims,
}

impl From<Claims> for Caller {
    fn from(mut claims: Claims) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        claims.groups.retain(|group| seen.insert(group.clone()));
        let has = |permission: &str| claims.permissions.iter().any(|given| given == permission);
        let principal = Principal {
            tenant: claims.tenant.clone(),
            id: claims.sub.clone(),
            groups: seen.into_iter().collect(),
            permissions: Permissions {
                create: has(PERMISSION_CREATE),
                admin: has(PERMISSION_ADMIN),
                audit: has(PERMISSION_AUDIT),
            },
        };
        Self { principal, claims }
    }
}

/// The key that signs and checks tokens: the bytes of a file, without the white space around them.
pub struct TokenKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey([redacted])")
    }
}

impl TokenKey {
    /// The text of a key file with a fresh random key.
    #[must_use]
    pub fn generate_file() -> String {
        let mut bytes = [0; KEY_BYTES_MIN];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        format!("{}\n", data_encoding::HEXLOWER.encode(&bytes))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyError::File`], [`KeyError::TooShort`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        Self::new(std::fs::read(path)?.trim_ascii())
    }

    /// Takes a key.
    ///
    /// # Errors
    /// [`KeyError::TooShort`].
    pub fn new(key: &[u8]) -> Result<Self, KeyError> {
        if key.len() < KEY_BYTES_MIN {
            return Err(KeyError::TooShort);
        }
        Ok(Self { encoding: EncodingKey::from_secret(key), decoding: DecodingKey::from_secret(key) })
    }

    /// Signs a token.
    ///
    /// # Errors
    /// [`KeyError::Sign`].
    pub fn mint(&self, claims: &Claims) -> Result<String, KeyError> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding).map_err(KeyError::Sign)
    }

    /// Who sent these headers.
    ///
    /// # Errors
    /// 401 with `WWW-Authenticate`, when there is not exactly one valid bearer token.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let missing = || challenge_bare("Send your token in the header Authorization: Bearer TOKEN.");
        let token = bearer_token(headers).ok_or_else(missing)?;
        let claims = self
            .verify(token)
            .map_err(|reason| challenge(reason, HeaderValue::from_static(r#"Bearer error="invalid_token""#)))?;
        Ok(claims.into())
    }

    fn verify(&self, token: &str) -> Result<Claims, &'static str> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = limits::TOKEN_LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        let token =
            jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).map_err(|error| reason(&error))?;
        if token.claims.sub.is_team() {
            return Err("The token's sub begins with team:, which only groups may.");
        }
        Ok(token.claims)
    }
}

fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's list is open, and the rest is one to the caller")]
    match error.kind() {
        ErrorKind::ExpiredSignature => "The token has expired.",
        ErrorKind::ImmatureSignature => "The token is not valid yet.",
        ErrorKind::Json(_) => "The token's claims are not what they must be.",
        ErrorKind::MissingRequiredClaim(_) => "The token lacks a claim that it must have.",
        _ => "The token is not one that this service trusts.",
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// 401 for a request without a token.
pub(crate) fn challenge_bare(detail: &'static str) -> Problem {
    challenge(detail, HeaderValue::from_static("Bearer"))
}

fn challenge(detail: &'static str, challenge: HeaderValue) -> Problem {
    Problem::new(Kind::Unauthenticated, detail).with_header(header::WWW_AUTHENTICATE, challenge)
}
