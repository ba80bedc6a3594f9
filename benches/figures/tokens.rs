//! Tokens for the callers: HS256 with the service's own key, RS256 with a key pair that openssl makes for the run.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const KEY_ID: &str = "bench";
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "integrations";

/// Who signs tokens.
pub(crate) struct Signer {
    header: Header,
    key: EncodingKey,
    common: Value,
}

impl Signer {
    /// The service itself, by the key in its data directory.
    pub(crate) fn hs256(data_dir: &Path) -> Self {
        let key = std::fs::read(data_dir.join("jwt.key")).unwrap();
        let key = EncodingKey::from_secret(key.trim_ascii());
        Self { header: Header::new(Algorithm::HS256), key, common: json!({}) }
    }

    /// An identity provider, and the options by which the service trusts it; `None` when there is no openssl.
    pub(crate) fn rs256(directory: &Path) -> Option<(Self, Vec<String>)> {
        let (pem, der) = (directory.join("rs256.pem"), directory.join("rs256.der"));
        let genpkey = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"];
        Command::new("openssl").args(genpkey).arg(&pem).output().ok().filter(|made| made.status.success())?;
        openssl(&["rsa", "-traditional", "-outform", "DER", "-in"], &pem, &["-out", der.to_str()?]);
        let jwks = write_jwks(directory, &modulus(&pem));
        let options =
            ["--jwks", jwks.to_str()?, "--issuer", ISSUER, "--audience", AUDIENCE].map(str::to_owned).to_vec();
        let key = EncodingKey::from_rsa_der(&std::fs::read(&der).unwrap());
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::RS256) };
        Some((Self { header, key, common: json!({ "iss": ISSUER, "aud": AUDIENCE }) }, options))
    }

    /// The header line of a request by a user who has groups and permissions.
    pub(crate) fn bearer(&self, tenant: &str, user: &str, groups: &[&str], permissions: &[&str]) -> String {
        let mut claims = self.common.clone();
        claims["sub"] = user.into();
        claims["tenant"] = tenant.into();
        claims["exp"] = (now_seconds() + 24 * 3_600).into();
        claims["groups"] = groups.into();
        claims["permissions"] = permissions.into();
        format!("authorization: Bearer {}", jsonwebtoken::encode(&self.header, &claims, &self.key).unwrap())
    }
}

fn modulus(pem: &Path) -> Vec<u8> {
    let text = openssl(&["rsa", "-noout", "-modulus", "-in"], pem, &[]);
    HEXLOWER_PERMISSIVE.decode(text.trim().strip_prefix("Modulus=").unwrap().as_bytes()).unwrap()
}

fn openssl(before: &[&str], file: &Path, after: &[&str]) -> String {
    let output = Command::new("openssl").args(before).arg(file).args(after).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn write_jwks(directory: &Path, modulus: &[u8]) -> PathBuf {
    let n = BASE64URL_NOPAD.encode(modulus);
    let key = json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": n, "e": "AQAB" });
    let path = directory.join("jwks.json");
    std::fs::write(&path, json!({ "keys": [key] }).to_string()).unwrap();
    path
}

#[expect(clippy::disallowed_methods, reason = "a token's expiry is counted from now")]
fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
