//! The tokens that the service trusts, and a cache of those that it has verified.
//!
//! A signature is looked at once; what can change afterwards, the time and the provider's keys, is looked at each time.

use std::{fmt, sync::Arc};

use events::limits;
use http::HeaderMap;
use moka::{policy::EvictionPolicy, sync::Cache};

use super::{
    Caller, bearer_token, challenge_bare,
    key::TokenKey,
    provider::Provider,
    refuse,
    tail::TailState,
    verify::{Body, Validity},
    weight::weight,
};
use crate::{problem::Problem, readiness::Part};

/// Seconds since 1970.
pub type Clock = fn() -> u64;

/// Who may ask.
pub struct Tokens {
    trust: Trust,
    verified: Cache<Arc<str>, Verified, TailState>,
    clock: Clock,
}

enum Trust {
    Key(Arc<TokenKey>),
    Provider(Arc<Provider>),
}

/// A token that was verified.
#[derive(Clone)]
struct Verified {
    caller: Arc<Caller>,
    validity: Validity,
    /// Which set of keys it was verified with.
    generation: u64,
}

/// Why a token is of no use.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is not to be trusted.
    Token(&'static str),
    /// Nothing can be trusted yet: there are no keys.
    NoKeys,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    /// Trusts what is signed with a key of the service's own.
    #[must_use]
    pub fn signed_with(key: Arc<TokenKey>, clock: Clock) -> Self {
        Self::new(Trust::Key(key), clock)
    }

    /// Trusts what an identity provider has issued for this service.
    #[must_use]
    pub fn issued_by(provider: Arc<Provider>, clock: Clock) -> Self {
        Self::new(Trust::Provider(provider), clock)
    }

    fn new(trust: Trust, clock: Clock) -> Self {
        let verified = Cache::builder()
            .max_capacity(limits::TOKEN_CACHE_BYTES_MAX)
            .weigher(|token: &Arc<str>, verified: &Verified| weight(token, &verified.caller))
            // A token that has expired is asked for no more: the oldest go first.
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(TailState::default());
        Self { trust, verified, clock }
    }

    /// Who sent these headers. Waits only where a token names a key that is not known yet.
    ///
    /// # Errors
    /// 401 with `WWW-Authenticate`, when there is not exactly one valid bearer token; 503 while there are no keys.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
        let missing = || challenge_bare("Send your token in the header Authorization: Bearer TOKEN.");
        let token = bearer_token(headers).ok_or_else(missing)?;
        if let Some(caller) = self.known(token) {
            return Ok(caller);
        }
        let verified = self.verify(token).await.map_err(|refusal| match refusal {
            Refusal::Token(reason) => refuse(reason),
            Refusal::NoKeys => Part::TokenKeys.not_ready(),
        })?;
        let caller = Arc::clone(&verified.caller);
        self.verified.insert(token.into(), verified);
        Ok(caller)
    }

    /// Who sent these headers, if his token was verified before.
    pub(crate) fn recognise(&self, headers: &HeaderMap) -> Option<Arc<Caller>> {
        self.known(bearer_token(headers)?)
    }

    /// The caller of a token that was verified with the keys of today and holds still.
    fn known(&self, token: &str) -> Option<Arc<Caller>> {
        let verified = self.verified.get(token)?;
        if self.generation() == Some(verified.generation) && verified.validity.check((self.clock)()).is_ok() {
            return Some(verified.caller);
        }
        self.verified.invalidate(token);
        None
    }

    fn generation(&self) -> Option<u64> {
        match &self.trust {
            Trust::Key(_) => Some(0),
            Trust::Provider(provider) => provider.generation(),
        }
    }

    async fn verify(&self, token: &str) -> Result<Verified, Refusal> {
        let (body, generation) = match &self.trust {
            Trust::Key(key) => (key.verify(token).map_err(Refusal::Token)?, 0),
            Trust::Provider(provider) => provider.verify(token).await?,
        };
        let validity = body.validity();
        validity.check((self.clock)()).map_err(Refusal::Token)?;
        let Body { claims, .. } = body;
        Ok(Verified { caller: Arc::new(claims.into()), validity, generation })
    }
}

#[cfg(test)]
mod tests;
