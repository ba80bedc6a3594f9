//! What must stand in the log before a command's event: a data key, the bytes of an icon.

use events::{
    envelope::{Digest, Metadata, NewEvent, Place, new_event_id},
    ids::{BlobId, IntegrationId, Revision},
    principal::Principal,
    store::{ExpectedRevision, StreamWrite},
    stored,
    stream::StreamName,
    time::Timestamp,
};

use super::Intent;
use crate::{decide::NewIcon, keys::Wrapping};

/// What must stand before a command's event.
#[derive(Default)]
pub(super) struct Before {
    pub(super) writes: Vec<StreamWrite>,
    /// Held until the append has ended, when a data key is among the writes.
    pub(super) wrapping: Option<Wrapping>,
}

impl Before {
    pub(super) fn of(wrapping: Wrapping) -> Self {
        Self { writes: vec![wrapping.write.clone()], wrapping: Some(wrapping) }
    }
}

/// An icon's bytes on their way into their own stream, the same on every try.
pub(super) struct Upload {
    pub(super) icon: NewIcon,
    pub(super) write: StreamWrite,
}

impl Upload {
    pub(super) fn of(intent: &Intent, caller: &Principal, id: IntegrationId, now: Timestamp) -> Option<Self> {
        let Intent::SetIcon { media_type, bytes } = intent else {
            return None;
        };
        let blob = BlobId::new(new_event_id().uuid());
        let stream = StreamName::icon(&caller.tenant, id, blob);
        let place = Place { stream: &stream, revision: Revision::FIRST, previous: Digest::ZERO };
        let metadata = Metadata::of_service(Some(caller.tenant.clone()), now);
        let event = NewEvent::seal(place, new_event_id(), stored::ICON_UPLOADED, bytes.clone(), &metadata);
        let icon = NewIcon { blob, sha256: Digest::of(bytes), media_type: *media_type, size: bytes.len() as u64 };
        let write = StreamWrite::Append { stream, expected: ExpectedRevision::NoStream, events: vec![event] };
        Some(Self { icon, write })
    }
}
