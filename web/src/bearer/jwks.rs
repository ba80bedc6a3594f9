//! Sets of keys (RFC 7517): which keys of a set are of use, and which of them a token may be signed with.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

const RSA_BITS_MIN: usize = 2_048;
/// What the cryptographic library takes at most.
const RSA_BITS_MAX: usize = 8_192;
const P256_COORDINATE_BYTES: usize = 32;

/// Why a text is no set of keys. The message never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SetError {
    /// It is not the JSON of one (RFC 7517 §5).
    #[error("this is no JSON Web Key Set")]
    NotASet,
    /// It has no key that is of use here.
    #[error("no key of the set can verify RS256 (RSA of 2,048 to 8,192 bits) or ES256 (P-256)")]
    NoUsableKey,
}

/// The keys of a set that are of use.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// Keys of other kinds or for other purposes, and broken ones.
    ignored: usize,
}

struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// A key as it is published; members of no interest are left out.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set. Keys that are of no use are passed over, as RFC 7517 §5 asks; a set of nothing else is refused.
    ///
    /// # Errors
    /// [`SetError`].
    pub(super) fn parse(text: &[u8]) -> Result<Self, SetError> {
        let set: Set = serde_json::from_slice(text).map_err(|_| SetError::NotASet)?;
        let total = set.keys.len();
        let keys: Vec<_> =
            set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()?.usable()).collect();
        if keys.is_empty() { Err(SetError::NoUsableKey) } else { Ok(Self { ignored: total - keys.len(), keys }) }
    }

    /// How many keys are of use, and how many are not.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.keys.len(), self.ignored)
    }

    /// Whether a key has this name.
    pub(super) fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The keys that a token of this algorithm may be signed with. One that names no key may be signed with the only one
    /// that fits; which of several it is would be a guess.
    pub(super) fn fitting(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&DecodingKey> {
        let fits = |key: &&Key| key.algorithm == algorithm && (kid.is_none() || key.kid.as_deref() == kid);
        let fitting: Vec<_> = self.keys.iter().filter(fits).map(|key| &key.decoding).collect();
        if kid.is_none() && fitting.len() > 1 { Vec::new() } else { fitting }
    }
}

impl Jwk {
    fn usable(self) -> Option<Key> {
        let (algorithm, name, decoding) = match self.kty.as_str() {
            "RSA" => (Algorithm::RS256, "RS256", self.rsa()?),
            "EC" => (Algorithm::ES256, "ES256", self.p256()?),
            _ => return None,
        };
        let may_verify = self.alg.as_deref().is_none_or(|alg| alg == name)
            && self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        may_verify.then_some(Key { kid: self.kid, algorithm, decoding })
    }

    fn rsa(&self) -> Option<DecodingKey> {
        let (modulus, exponent) = (number(self.n.as_ref()?)?, number(self.e.as_ref()?)?);
        let bits = modulus.len() * 8 - usize::try_from(modulus.first()?.leading_zeros()).ok()?;
        // Under the exponent 1 anybody can sign; an even one is none.
        let is_exponent = exponent.last()? % 2 == 1 && exponent != [1];
        let is_strong = (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) && is_exponent;
        is_strong.then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
    }

    fn p256(&self) -> Option<DecodingKey> {
        let (x, y) = (self.x.as_ref()?, self.y.as_ref()?);
        let is_coordinate = |text| URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == P256_COORDINATE_BYTES);
        let is_point = self.crv.as_deref() == Some("P-256") && is_coordinate(x) && is_coordinate(y);
        is_point.then(|| DecodingKey::from_ec_components(x, y).ok()).flatten()
    }
}

/// A number as its bytes, the highest first, without zeros in front (RFC 7518 §2, Base64urlUInt).
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

#[cfg(test)]
mod tests;
