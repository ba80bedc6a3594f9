//! Events as the server has them, and as the port has them.

use bytes::Bytes;
use eventstore::EventData;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    position,
    wire::{WireEvent, WirePosition},
};
use crate::{
    envelope::{Digest, HASH_SUFFIX_LEN, NewEvent, RecordedEvent, time_of},
    ids::{EventId, Position, Revision},
    store::Damaged,
    stream::StreamName,
};

const HASH_PREFIX: &[u8] = br#","hash":""#;

/// An event as it is sent. What is JSON is marked as such, for whoever looks at it on the server.
pub(super) fn proposed(stream: &StreamName, event: &NewEvent) -> EventData {
    let json = || {
        let text = std::str::from_utf8(&event.data).ok().filter(|_| !stream.kind().holds_bytes())?;
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        // White space around it would be lost.
        (raw.get().len() == text.len()).then(|| EventData::json(&event.event_type, &raw).ok())?
    };
    let data = json().unwrap_or_else(|| EventData::binary(&event.event_type, event.data.clone()));
    data.id(event.id.uuid()).metadata(event.metadata.clone())
}

pub(super) fn position_of(event: &WireEvent) -> Position {
    position::to_port(WirePosition { commit: event.commit, prepare: event.prepare })
}

/// The stream of an event that may be of interest: none of the server's own.
pub(super) fn stream_of(event: &WireEvent) -> Option<StreamName> {
    let is_own = event.properties.get("type").is_some_and(|name| name.starts_with('$'));
    let name = std::str::from_utf8(&event.stream.as_ref()?.stream_name).ok().filter(|_| !is_own)?;
    StreamName::parse(name).ok()
}

/// An event as it was appended.
///
/// # Errors
/// When it is none that this service has written.
pub(super) fn recorded(stream: StreamName, event: WireEvent) -> Result<RecordedEvent, Damaged> {
    let (position, revision) = (position_of(&event), Revision::new(event.revision));
    let damaged = |cause: &str| Damaged { position, stream: stream.clone(), revision, cause: cause.to_owned() };
    let id = event.id.as_ref().and_then(|id| id.text.parse::<Uuid>().ok());
    let id = EventId::new(id.ok_or_else(|| damaged("its id is no UUID"))?);
    let event_type = event.properties.get("type").cloned().ok_or_else(|| damaged("it has no type"))?;
    let at = time_of(&event.metadata).ok_or_else(|| damaged("its metadata tells no time"))?;
    let hash = hash_of(&event.metadata).ok_or_else(|| damaged("its metadata does not end with a hash"))?;
    let WireEvent { metadata, data, .. } = event;
    Ok(RecordedEvent { position, stream, revision, id, event_type, at, data, metadata, hash })
}

fn hash_of(metadata: &Bytes) -> Option<Digest> {
    let start = metadata.len().checked_sub(HASH_SUFFIX_LEN)?;
    let hex = metadata[start..].strip_prefix(HASH_PREFIX)?.strip_suffix(br#""}"#)?;
    Digest::parse(std::str::from_utf8(hex).ok()?)
}
