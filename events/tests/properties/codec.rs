//! What is stored is read as it was.

use std::collections::BTreeMap;

use bytes::Bytes;
use events::{
    envelope::{Digest, NewEvent, Place, RecordedEvent},
    event::{CheckpointReached, DataKeyWrapped, IntegrationCreated, IntegrationEvent, SlugReserved},
    ids::{EventId, Position, Revision},
    stored::{self, Store, StoredForm},
    stream::{Kind, StreamName},
};
use proptest::prelude::*;
use serde_json::{json, value::RawValue};
use uuid::Uuid;

use super::generators::{created, event, integration_id, metadata, tenant, text, wrapped};

fn recorded(stream: StreamName, stored: StoredForm) -> RecordedEvent {
    RecordedEvent {
        position: Position::new(1),
        stream,
        revision: Revision::FIRST,
        id: EventId::new(Uuid::nil()),
        event_type: stored.event_type.to_owned(),
        at: serde_json::from_value(json!("2026-02-28T23:59:58.007Z")).expect("a time"),
        data: stored.data,
        metadata: Bytes::new(),
        hash: Digest::ZERO,
    }
}

fn of_integration(stored: StoredForm) -> RecordedEvent {
    recorded(StreamName::parse("integration-a:0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b").expect("a name"), stored)
}

/// What a release of version 1 stored for this, had it been made then.
fn as_version_1(created: &IntegrationCreated) -> Bytes {
    let settings = serde_json::to_string(&created.settings).expect("it can be stored");
    let mut settings: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&settings).expect("an object");
    settings.remove("supportsUpload").expect("it stands there");
    let settings = serde_json::to_string(&settings).expect("an object");
    let (slug, owner, secrets) = (json!(created.slug), json!(created.owner), json!(created.secrets));
    format!(r#"{{"slug": {slug}, "owner": {owner}, "settings": {settings}, "secrets": {secrets}}}"#).into()
}

proptest! {
    #[test]
    fn every_event_is_read_as_it_was_stored(event in event()) {
        let read = stored::integration_fact(&of_integration(event.to_stored())).expect("it can be read");
        prop_assert_eq!(read.event, event);
    }

    #[test]
    fn an_event_that_was_read_is_stored_in_the_same_bytes(event in event()) {
        let stored = event.to_stored();
        let read = stored::integration_fact(&of_integration(stored.clone())).expect("it can be read");
        prop_assert_eq!(read.event.to_stored(), stored);
    }

    #[test]
    fn a_creation_of_version_1_is_read_as_one_without_library_and_uploads(created in created()) {
        let mut expected = created.clone();
        (expected.library, expected.settings.supports_upload) = (None, false);
        let stored = StoredForm { event_type: "IntegrationCreated.v1", data: as_version_1(&created) };
        let read = stored::integration_fact(&of_integration(stored)).expect("it can be read");
        prop_assert_eq!(read.event, IntegrationEvent::Created(Box::new(expected)));
    }

    #[test]
    fn slugs_keys_and_checkpoints_are_read_as_they_were_stored(
        tenant in tenant(), integration in integration_id(), wrapped in wrapped(), position in any::<u64>(),
    ) {
        let key = StreamName::key(&tenant, integration);
        let reserved = SlugReserved { integration };
        let read = stored::slug_reserved(&recorded(key.clone(), reserved.to_stored())).expect("it can be read");
        prop_assert_eq!(read, reserved);
        let wrapped = DataKeyWrapped { wrapped };
        let read = stored::data_key_wrapped(&recorded(key.clone(), wrapped.to_stored())).expect("it can be read");
        prop_assert_eq!(read, wrapped);
        let reached = CheckpointReached { position: Position::new(position) };
        let read = stored::checkpoint_reached(&recorded(key, reached.to_stored())).expect("it can be read");
        prop_assert_eq!(read, reached);
    }

    #[test]
    fn metadata_is_read_as_it_was_sealed(metadata in metadata(), event in event()) {
        let stored = event.to_stored();
        let mut recorded = of_integration(stored.clone());
        let place = Place { stream: &recorded.stream, revision: recorded.revision, previous: Digest::ZERO };
        let sealed = NewEvent::seal(place, recorded.id, stored.event_type, stored.data, &metadata);
        recorded.metadata = sealed.metadata;
        prop_assert_eq!(stored::metadata(&recorded).expect("it can be read"), metadata);
    }

    #[test]
    fn data_is_kept_as_it_was_given(created in created()) {
        let event = IntegrationEvent::Created(Box::new(created.clone()));
        let stored = event.to_stored();
        let text = std::str::from_utf8(&stored.data).expect("JSON is UTF-8");
        prop_assert!(text.contains(created.settings.data.as_str()));
    }

    #[test]
    fn a_broken_event_is_an_error_and_no_panic(
        event in event(), at in any::<prop::sample::Index>(), byte in any::<u8>(), length in any::<prop::sample::Index>(),
    ) {
        let stored = event.to_stored();
        let mut bytes = stored.data.to_vec();
        bytes[at.index(stored.data.len())] = byte;
        bytes.truncate(length.index(4 * stored.data.len()));
        let broken = StoredForm { event_type: stored.event_type, data: bytes.into() };
        // Whether it can be read depends on the byte; that it can be told does not.
        let _ = stored::integration_fact(&of_integration(broken));
    }

    #[test]
    fn whatever_stands_in_a_log_is_no_panic(text in text(), name in "[A-Za-z$]{0,12}(\\.v[0-9]{1,2})?") {
        for kind in Kind::ALL {
            let Ok(stream) = StreamName::parse(&format!("{}{text}", kind.prefix())) else { continue };
            let mut event = recorded(stream, StoredForm { event_type: "", data: text.clone().into() });
            event.event_type.clone_from(&name);
            event.metadata = text.clone().into();
            prop_assert!(stored::integration_fact(&event).is_err());
            prop_assert!(stored::metadata(&event).is_err());
            prop_assert!(event.check_hash(Digest::ZERO).is_err());
        }
    }
}
