//! The key of the service's own tokens, from a file: it signs and checks them with HMAC-SHA256.

use std::path::Path;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use thiserror::Error;

use super::{
    Claims,
    verify::{Body, decode},
};

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

    /// What a token says, if this key signed it.
    pub(super) fn verify(&self, token: &str) -> Result<Body, &'static str> {
        decode(token, &self.decoding, Algorithm::HS256)
    }
}
