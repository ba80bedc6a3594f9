//! What surrounds an event in the log: metadata, and the hash chain that shows every change made to the bytes as stored.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    ids::{EventId, Position, PrincipalId, Revision, TenantId},
    stream::StreamName,
    time::Timestamp,
};

/// A SHA-256, shown as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// What stands for the hash before the first event.
    pub const ZERO: Self = Self([0; 32]);

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Takes 32 bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses 64 lower-case hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// A UUID v8 (RFC 9562 §5.8) of its first bytes: an id that is always the same for the same bytes.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0[..16]);
        Uuid::new_v8(bytes)
    }

    /// The first eight hex digits, as entity tags show them.
    #[must_use]
    pub fn short(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0[..4])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        data_encoding::HEXLOWER.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("must be 64 lower-case hex digits"))
    }
}

/// Who did it, when, on whose behalf and in which conversation. The hash is not a member: it is appended to the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The tenant that the event belongs to; none for the service's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Who did it; none for what the service does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<PrincipalId>,
    /// When it was decided.
    pub time: Timestamp,
    /// The request that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The event that led to it, when an event did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<EventId>,
    /// W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Why, in the actor's words (`Audit-Reason`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// What makes a repeated create the same create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

impl Metadata {
    /// Metadata of what the service does by itself.
    #[must_use]
    pub fn of_service(tenant: Option<TenantId>, time: Timestamp) -> Self {
        Self {
            tenant,
            actor: None,
            time,
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            reason: None,
            client: None,
            fingerprint: None,
        }
    }
}

/// What was asked for by a create, so that the same request can be told from another under the same id or key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// SHA-256 of caller and body, each secret replaced by `true`.
    pub request: Digest,
    /// HMAC-SHA256 of the secrets under a key derived from the integration's data key, if there were secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Digest>,
}

/// How long the end of stored metadata is: `,"hash":"<64 lower-case hex>"}`.
pub const HASH_SUFFIX_LEN: usize = 75;

/// An event that is to be appended: everything about it is decided, down to the byte, so that it can be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Unique in its stream.
    pub id: EventId,
    /// Name and version, e.g. `IntegrationCreated.v1`.
    pub event_type: String,
    /// When.
    pub at: Timestamp,
    /// JSON text, or an icon's bytes.
    pub data: Bytes,
    /// JSON text that ends with the hash.
    pub metadata: Bytes,
    /// The hash that the metadata ends with.
    pub hash: Digest,
}

/// Where an event goes: what its hash covers beside its own bytes.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The stream.
    pub stream: &'a StreamName,
    /// The event's revision there.
    pub revision: Revision,
    /// The hash of the event before it; [`Digest::ZERO`] for the first, and in streams that are not chained.
    pub previous: Digest,
}

impl NewEvent {
    /// Puts an event into its envelope.
    #[must_use]
    pub fn seal(place: Place<'_>, id: EventId, event_type: &str, data: Bytes, metadata: &Metadata) -> Self {
        let mut unhashed = serde_json::to_vec(metadata).expect("metadata has string keys and no maps");
        unhashed.pop();
        Self::seal_text(place, id, event_type, data, metadata.time, unhashed)
    }

    /// Likewise, around metadata that is text already: its JSON, up to where the hash begins.
    pub(crate) fn seal_text(
        place: Place<'_>,
        id: EventId,
        event_type: &str,
        data: Bytes,
        at: Timestamp,
        unhashed: Vec<u8>,
    ) -> Self {
        let (hash, mut metadata) = (hash(place, id, event_type, &data, &unhashed), unhashed);
        metadata.extend_from_slice(hash_suffix(hash).as_bytes());
        Self { id, event_type: event_type.to_owned(), at, data, metadata: metadata.into(), hash }
    }
}

/// What metadata ends with.
fn hash_suffix(hash: Digest) -> String {
    format!(r#","hash":"{hash}"}}"#)
}

/// SHA-256 over, each preceded by its length as 8 bytes big-endian: previous hash, stream name, revision, event id,
/// type, data, and metadata without its last [`HASH_SUFFIX_LEN`] bytes.
#[must_use]
pub fn hash(place: Place<'_>, id: EventId, event_type: &str, data: &[u8], metadata_unhashed: &[u8]) -> Digest {
    let (revision, uuid) = (place.revision.get().to_be_bytes(), id.uuid());
    hash_parts([
        place.previous.as_bytes(),
        place.stream.as_str().as_bytes(),
        &revision,
        uuid.as_bytes(),
        event_type.as_bytes(),
        data,
        metadata_unhashed,
    ])
}

/// [`hash`] of the bytes of its parts, in their order: for whoever has them without owning them.
pub(crate) fn hash_parts(parts: [&[u8]; 7]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

/// An event as the log holds it: bytes, as they were appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its place in the whole log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream.
    pub revision: Revision,
    /// Unique in its stream.
    pub id: EventId,
    /// Name and version.
    pub event_type: String,
    /// When: the time that the metadata tells.
    pub at: Timestamp,
    /// JSON text, or an icon's bytes.
    pub data: Bytes,
    /// JSON text that ends with the hash.
    pub metadata: Bytes,
    /// The hash that the metadata ends with.
    pub hash: Digest,
}

/// What a check of an event's hash found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the event's bytes are not those that its hash was made of")]
pub struct Altered;

impl RecordedEvent {
    /// Checks the hash against the bytes, and the time against the metadata's; `previous` as in [`Place`].
    ///
    /// # Errors
    /// [`Altered`] when anything that the hash covers was changed, or the time beside it.
    pub fn check_hash(&self, previous: Digest) -> Result<(), Altered> {
        let expected = self.computed_hash(previous).ok_or(Altered)?;
        let is_intact = expected == self.hash
            && self.metadata.ends_with(hash_suffix(expected).as_bytes())
            && time_of(&self.metadata) == Some(self.at);
        is_intact.then_some(()).ok_or(Altered)
    }

    /// What its hash is to be, by its bytes; `None` where its metadata has no room for one.
    pub(crate) fn computed_hash(&self, previous: Digest) -> Option<Digest> {
        let place = Place { stream: &self.stream, revision: self.revision, previous };
        Some(hash(place, self.id, &self.event_type, &self.data, self.unhashed()?))
    }

    /// Its metadata up to where the hash begins; `None` where there is no room for one.
    pub(crate) fn unhashed(&self) -> Option<&[u8]> {
        self.metadata.get(..self.metadata.len().checked_sub(HASH_SUFFIX_LEN)?)
    }
}

pub(crate) fn time_of(metadata: &[u8]) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Timed {
        time: Timestamp,
    }
    serde_json::from_slice::<Timed>(metadata).ok().map(|metadata| metadata.time)
}

/// An event's fresh id, ordered by time (UUID v7, RFC 9562).
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the edge: event ids are made where the handler asks for one")]
pub fn new_event_id() -> EventId {
    EventId::new(Uuid::now_v7())
}
