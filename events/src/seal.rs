//! Secrets: sealed with a data key of the integration's own, which is wrapped by a master key of the operator's.
//! AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce each time. There is no mode without.

use std::{fmt, path::Path};

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};
use data_encoding::BASE64;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::Sha256;
use thiserror::Error;
use uuid::Uuid;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::{
    envelope::Digest,
    ids::{IntegrationId, KeyId, TenantId},
};

mod file;

pub use file::KeyFileText;

const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 12;

/// A secret in clear. It has no `Display` and no `Serialize`, and is zeroed when it is dropped.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret, for whoever must use it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why something sealed cannot be opened, or the master keys not be read. No message repeats what it read.
#[derive(Debug, Error)]
pub enum Error {
    /// It was sealed with another key, for another place, or was changed.
    #[error("a sealed value does not open: another key, another place, or changed bytes")]
    DoesNotOpen,
    /// The wrap names a master key that is not in the file.
    #[error("master key {0} is not in the key file")]
    UnknownMasterKey(String),
    /// The key file cannot be read or written.
    #[error("cannot read or write the master key file")]
    File(#[from] std::io::Error),
    /// A line of the key file is not `<id> <base64 of 32 bytes>`, or has the id of a line above it.
    #[error("line {0} of the master key file is not `<id> <base64 of 32 bytes>` with an id of its own")]
    Line(usize),
    /// The key file has no key.
    #[error("the master key file has no key")]
    NoKey,
}

/// A sealed secret, as events carry it: `{key, nonce, ciphertext}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    key: KeyId,
    nonce: Base64,
    ciphertext: Base64,
}

impl Sealed {
    /// The data key that opens it.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.key
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed {{ key: {}, [redacted] }}", self.key)
    }
}

/// Bytes that stand in JSON as base64.
#[derive(Clone, PartialEq, Eq)]
struct Base64(Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&BASE64.encode_display(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(Self).map_err(|_| D::Error::custom("must be base64"))
    }
}

/// Where a secret belongs: what its seal is bound to, so that it cannot be moved to another place.
#[derive(Debug, Clone, Copy)]
pub struct SecretPlace<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The integration.
    pub integration: IntegrationId,
    /// The type of the event that carries it, with its version.
    pub event_type: &'a str,
    /// The field: `clientSecret`, `apiKey`, or `headers/<lower-case name>`.
    pub field: &'a str,
}

/// An integration's own key, in clear: it seals secrets and vouches for repeated creates.
#[derive(Clone, ZeroizeOnDrop)]
pub struct DataKey {
    #[zeroize(skip)]
    id: KeyId,
    bytes: [u8; KEY_LEN],
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey {{ id: {}, [redacted] }}", self.id)
    }
}

impl DataKey {
    /// A fresh random key.
    #[must_use]
    pub fn generate() -> Self {
        Self { id: KeyId::new(random_uuid()), bytes: random() }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Seals a secret for its place.
    #[must_use]
    pub fn seal(&self, place: SecretPlace<'_>, secret: &Secret) -> Sealed {
        let (nonce, ciphertext) = encrypt(&self.bytes, &self.associated(place), secret.expose().as_bytes());
        Sealed { key: self.id, nonce: Base64(nonce.to_vec()), ciphertext: Base64(ciphertext) }
    }

    /// Opens a sealed secret.
    ///
    /// # Errors
    /// [`Error::DoesNotOpen`] when it was sealed with another key, for another place, or was changed.
    pub fn open(&self, place: SecretPlace<'_>, sealed: &Sealed) -> Result<Secret, Error> {
        if sealed.key != self.id {
            return Err(Error::DoesNotOpen);
        }
        let clear = decrypt(&self.bytes, &self.associated(place), &sealed.nonce.0, &sealed.ciphertext.0)?;
        let text = std::str::from_utf8(&clear).map_err(|_| Error::DoesNotOpen)?;
        Ok(Secret::new(text.to_owned()))
    }

    /// HMAC-SHA256 (RFC 2104) of `message` under a key derived from this one (HKDF, RFC 5869, label `fingerprint`).
    #[must_use]
    pub fn fingerprint(&self, message: &[u8]) -> Digest {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        hkdf::Hkdf::<Sha256>::new(None, &self.bytes)
            .expand(b"fingerprint", key.as_mut_slice())
            .expect("32 bytes are less than HKDF can give");
        let mut mac =
            <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key.as_slice()).expect("HMAC takes keys of any length");
        mac.update(message);
        Digest::new(mac.finalize().into_bytes().into())
    }

    fn associated(&self, place: SecretPlace<'_>) -> Vec<u8> {
        framed(&[
            place.tenant.as_str().as_bytes(),
            place.integration.uuid().as_bytes(),
            place.event_type.as_bytes(),
            place.field.as_bytes(),
            self.id.uuid().as_bytes(),
        ])
    }
}

/// A data key under a master key, as the log carries it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WrappedKey {
    master_key: String,
    key: KeyId,
    nonce: Base64,
    ciphertext: Base64,
}

impl WrappedKey {
    /// The master key that unwraps it.
    #[must_use]
    pub fn master_key(&self) -> &str {
        &self.master_key
    }

    /// The data key's id.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.key
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey {{ master_key: {}, key: {}, [redacted] }}", self.master_key, self.key)
    }
}

#[derive(PartialEq, Eq, ZeroizeOnDrop)]
struct MasterKey {
    #[zeroize(skip)]
    id: String,
    bytes: [u8; KEY_LEN],
}

/// The operator's keys, from a file with one `<id> <base64>` a line; the last one is active.
pub struct MasterKeys(Vec<MasterKey>);

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| format!("{} [redacted]", key.id))).finish()
    }
}

impl MasterKeys {
    /// The text of a key file with one fresh random key.
    #[must_use]
    pub fn generate_file() -> Zeroizing<String> {
        file::fresh_line()
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Line`], [`Error::NoKey`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(&Zeroizing::new(std::fs::read_to_string(path)?))
    }

    /// Parses the text of a key file.
    ///
    /// # Errors
    /// [`Error::Line`], [`Error::NoKey`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let mut keys: Vec<MasterKey> = Vec::new();
        for (at, line) in lines {
            // Two keys of one id would wrap with the one and unwrap with the other.
            let key = parse_line(line).filter(|key| keys.iter().all(|other| other.id != key.id));
            keys.push(key.ok_or(Error::Line(at + 1))?);
        }
        if keys.is_empty() { Err(Error::NoKey) } else { Ok(Self(keys)) }
    }

    /// The id of the active key.
    #[must_use]
    pub fn active(&self) -> &str {
        &self.last().id
    }

    /// The ids of all keys, in the order of the file.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// Whether what the other's active key wraps opens with these: the same key, not just the same id.
    #[must_use]
    pub fn opens_active_of(&self, other: &Self) -> bool {
        self.0.contains(other.last())
    }

    /// Whether what any of the other's keys wrapped opens with these.
    #[must_use]
    pub fn opens_all_of(&self, other: &Self) -> bool {
        other.0.iter().all(|key| self.0.contains(key))
    }

    fn last(&self) -> &MasterKey {
        self.0.last().expect("a key file has at least one key")
    }

    /// Wraps a data key with the active key.
    #[must_use]
    pub fn wrap(&self, tenant: &TenantId, integration: IntegrationId, key: &DataKey) -> WrappedKey {
        let active = self.last();
        let associated = wrap_associated(tenant, integration, &active.id, key.id);
        let (nonce, ciphertext) = encrypt(&active.bytes, &associated, &key.bytes);
        WrappedKey {
            master_key: active.id.clone(),
            key: key.id,
            nonce: Base64(nonce.to_vec()),
            ciphertext: Base64(ciphertext),
        }
    }

    /// Unwraps a data key.
    ///
    /// # Errors
    /// [`Error::UnknownMasterKey`], [`Error::DoesNotOpen`].
    pub fn unwrap(
        &self,
        tenant: &TenantId,
        integration: IntegrationId,
        wrapped: &WrappedKey,
    ) -> Result<DataKey, Error> {
        let unknown = || Error::UnknownMasterKey(wrapped.master_key.clone());
        let master = self.0.iter().find(|key| key.id == wrapped.master_key).ok_or_else(unknown)?;
        let associated = wrap_associated(tenant, integration, &master.id, wrapped.key);
        let clear = decrypt(&master.bytes, &associated, &wrapped.nonce.0, &wrapped.ciphertext.0)?;
        let bytes = clear.as_slice().try_into().map_err(|_| Error::DoesNotOpen)?;
        Ok(DataKey { id: wrapped.key, bytes })
    }
}

fn parse_line(line: &str) -> Option<MasterKey> {
    let (id, key) = line.trim().split_once(' ')?;
    let mut decoded = Zeroizing::new(BASE64.decode(key.trim().as_bytes()).ok()?);
    let bytes = decoded.as_slice().try_into().ok()?;
    decoded.zeroize();
    Some(MasterKey { id: id.to_owned(), bytes })
}

fn wrap_associated(tenant: &TenantId, integration: IntegrationId, master: &str, key: KeyId) -> Vec<u8> {
    framed(&[tenant.as_str().as_bytes(), integration.uuid().as_bytes(), master.as_bytes(), key.uuid().as_bytes()])
}

/// Each part preceded by its length, so that no two lists of parts give the same bytes.
fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

fn encrypt(key: &[u8; KEY_LEN], associated: &[u8], clear: &[u8]) -> ([u8; NONCE_LEN], Vec<u8>) {
    let nonce: [u8; NONCE_LEN] = random();
    let ciphertext = Aes256Gcm::new(key.into())
        .encrypt(&nonce.into(), Payload { msg: clear, aad: associated })
        .expect("AES-GCM takes messages of up to 64 GiB");
    (nonce, ciphertext)
}

fn decrypt(
    key: &[u8; KEY_LEN],
    associated: &[u8],
    nonce: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| Error::DoesNotOpen)?;
    Aes256Gcm::new(key.into())
        .decrypt(&nonce.into(), Payload { msg: ciphertext, aad: associated })
        .map(Zeroizing::new)
        .map_err(|_| Error::DoesNotOpen)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

fn random_uuid() -> Uuid {
    uuid::Builder::from_random_bytes(random()).into_uuid()
}
