//! Tokens: who asks. JSON Web Tokens (RFC 7519), signed with HMAC-SHA256 under a key from a file, or with RS256 or ES256
//! by an identity provider that publishes its keys (RFC 7517).

use std::collections::BTreeMap;

use events::{
    envelope::Digest,
    ids::{PrincipalId, TenantId},
    principal::{Permissions, Principal},
};
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Deserializer, Serialize};

use crate::problem::{Kind, Problem};

pub mod jwks;
pub mod key;
pub mod provider;
pub mod source;
mod tail;
pub mod tokens;
mod verify;
mod weight;

pub use key::{KeyError, TokenKey};
pub use tokens::Tokens;

/// The permission to create integrations.
pub const PERMISSION_CREATE: &str = "permission.integrations.create";
/// The permission to do everything in the tenant.
pub const PERMISSION_ADMIN: &str = "permission.integrations.admin";
/// The permission to see all history of the tenant.
pub const PERMISSION_AUDIT: &str = "permission.integrations.audit";

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
    /// Whoever has the same sees the same of a tenant: a hash over whether he is admin, and his sorted principals.
    pub audience: Digest,
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
        let audience = audience(&principal);
        Self { principal, claims, audience }
    }
}

fn audience(principal: &Principal) -> Digest {
    let mut ids: Vec<_> = std::iter::once(&principal.id).chain(&principal.groups).collect();
    ids.sort();
    ids.dedup();
    let mut bytes = vec![u8::from(principal.permissions.admin)];
    for id in ids {
        bytes.extend_from_slice(&(id.as_str().len() as u64).to_be_bytes());
        bytes.extend_from_slice(id.as_str().as_bytes());
    }
    Digest::of(&bytes)
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    // As UTF-8, which is looked at in blocks; what is not ASCII is no token anyway.
    let (scheme, token) = std::str::from_utf8(value.as_bytes()).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// 401 for a request without a token.
pub(crate) fn challenge_bare(detail: &'static str) -> Problem {
    challenge(detail, HeaderValue::from_static("Bearer"))
}

/// 401 for a request whose token is refused. The reason tells nothing of keys and claims.
fn refuse(reason: &'static str) -> Problem {
    challenge(reason, HeaderValue::from_static(r#"Bearer error="invalid_token""#))
}

fn challenge(detail: &'static str, challenge: HeaderValue) -> Problem {
    Problem::new(Kind::Unauthenticated, detail).with_header(header::WWW_AUTHENTICATE, challenge)
}
