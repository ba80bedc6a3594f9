//! An identity provider of the tests' own: keys and signatures by other libraries than the product's, and an endpoint
//! that answers as the test wants.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;
use rsa::{
    Generate as _, PrivateKey, pkcs1v15,
    pkcs8::EncodePublicKey as _,
    sha2::Sha256,
    signature::{SignatureEncoding as _, Signer as _},
    traits::PublicKeyParts as _,
};
use serde_json::{Value, json};

/// Making one takes a while.
static RSA_KEY: LazyLock<PrivateKey> = LazyLock::new(PrivateKey::generate);

/// A key of the provider's.
pub(super) struct Key {
    kid: &'static str,
    secret: Secret,
}

enum Secret {
    Rsa(PrivateKey),
    P256(p256::ecdsa::SigningKey),
}

pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

impl Key {
    /// The RSA key of 2,048 bits, under a name; there is only one.
    pub(super) fn rsa(kid: &'static str) -> Self {
        Self { kid, secret: Secret::Rsa(RSA_KEY.clone()) }
    }

    /// A fresh P-256 key.
    pub(super) fn p256(kid: &'static str) -> Self {
        Self { kid, secret: Secret::P256(p256::ecdsa::SigningKey::generate()) }
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self.secret {
            Secret::Rsa(_) => "RS256",
            Secret::P256(_) => "ES256",
        }
    }

    /// What is published of it (RFC 7517).
    pub(super) fn jwk(&self) -> Value {
        let mut jwk = match &self.secret {
            Secret::Rsa(key) => {
                let (n, e) = (key.n().to_be_bytes_trimmed_vartime(), key.e().to_be_bytes_trimmed_vartime());
                json!({ "kty": "RSA", "n": encode(&n), "e": encode(&e) })
            }
            Secret::P256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                let (x, y) = (&point.as_bytes()[1..33], &point.as_bytes()[33..]);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
        };
        jwk["kid"] = self.kid.into();
        jwk["use"] = "sig".into();
        jwk["alg"] = self.algorithm().into();
        jwk
    }

    /// The public key in the forms that somebody might take for a secret.
    pub(super) fn public_forms(&self) -> Vec<Vec<u8>> {
        let jwk = self.jwk();
        let Secret::Rsa(key) = &self.secret else {
            return vec![jwk["x"].as_str().unwrap().into(), jwk.to_string().into()];
        };
        let (der, pem) = (
            key.to_public_key().to_public_key_der().unwrap(),
            key.to_public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).unwrap(),
        );
        vec![
            der.to_vec(),
            pem.trim().into(),
            pem.into(),
            key.n().to_be_bytes_trimmed_vartime().to_vec(),
            jwk["n"].as_str().unwrap().into(),
            jwk.to_string().into(),
        ]
    }

    /// A token of these claims.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": self.algorithm(), "typ": "JWT", "kid": self.kid }), claims)
    }

    /// A token of any header, signed as this key signs.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = match &self.secret {
            Secret::Rsa(key) => pkcs1v15::SigningKey::<Sha256>::new(key.clone()).sign(message.as_bytes()).to_vec(),
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message.as_bytes());
                signature.to_bytes().to_vec()
            }
        };
        format!("{message}.{}", encode(&signature))
    }
}

/// What is signed of a token.
pub(super) fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}

/// What an endpoint answers.
#[derive(Clone)]
pub(super) enum Reply {
    /// This text, with 200.
    Text(String),
    /// Another status, without a body, with a header line.
    Other(u16, String),
    /// Nothing: it hangs up.
    Nothing,
}

/// Where the keys are published.
pub(super) struct Endpoint {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    reply: Reply,
    count: usize,
}

impl Endpoint {
    /// Publishes a text.
    pub(super) fn start(text: &str) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), Reply::Text(text.to_owned()))
    }

    pub(super) fn on(listener: TcpListener, reply: Reply) -> Self {
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { reply, count: 0 }));
        let seen = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut state = seen.lock().unwrap_or_else(PoisonError::into_inner);
                state.count += 1;
                answer(stream, &state.reply);
            }
        });
        Self { url, state }
    }

    /// From now on it answers this.
    pub(super) fn set(&self, reply: Reply) {
        self.state.lock().unwrap().reply = reply;
    }

    /// How often it was asked.
    pub(super) fn count(&self) -> usize {
        self.state.lock().unwrap().count
    }
}

fn answer(mut stream: TcpStream, reply: &Reply) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut head = Vec::new();
    let mut part = [0; 4_096];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(count @ 1..) => head.extend_from_slice(&part[..count]),
            Ok(0) | Err(_) => return,
        }
    }
    let (status, header, body) = match reply {
        Reply::Text(text) => (200, "content-type: application/jwk-set+json", text.as_str()),
        Reply::Other(status, header) => (*status, header.as_str(), ""),
        Reply::Nothing => return,
    };
    let length = body.len();
    let text =
        format!("HTTP/1.1 {status} X\r\n{header}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    // Whoever has asked may have heard enough.
    let _ = stream.write_all(text.as_bytes());
}
