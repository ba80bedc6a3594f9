//! The hash, compared with vectors that a program in another language made from its documentation.

use std::{path::Path, process::Command};

use data_encoding::BASE64;
use events::{
    envelope::{Altered, Digest, HASH_SUFFIX_LEN, Metadata, NewEvent, Place, RecordedEvent, hash},
    ids::{EventId, Position, Revision},
    stream::StreamName,
    time::Timestamp,
};
use serde::Deserialize;

const VECTORS: &str = include_str!("fixtures/hash_vectors.json");

/// An event and its hash, as `hash_vectors.py` writes them.
#[derive(Debug, Deserialize)]
struct Vector {
    name: String,
    previous: Digest,
    stream: String,
    revision: u64,
    id: uuid::Uuid,
    r#type: String,
    data: String,
    metadata: String,
    hash: Digest,
}

fn vectors() -> Vec<Vector> {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).expect("the vectors are JSON");
    assert!(vectors.len() >= 12);
    vectors
}

impl Vector {
    fn stream(&self) -> StreamName {
        StreamName::parse(&self.stream).expect("the name of a stream")
    }

    fn data(&self) -> Vec<u8> {
        BASE64.decode(self.data.as_bytes()).expect("base64")
    }

    fn metadata(&self) -> Metadata {
        serde_json::from_str(&self.metadata).expect("metadata")
    }

    fn at(&self) -> Timestamp {
        self.metadata().time
    }

    fn recorded(&self) -> RecordedEvent {
        RecordedEvent {
            position: Position::new(1),
            stream: self.stream(),
            revision: Revision::new(self.revision),
            id: EventId::new(self.id),
            event_type: self.r#type.clone(),
            at: self.at(),
            data: self.data().into(),
            metadata: self.metadata.clone().into(),
            hash: self.hash,
        }
    }
}

#[test]
fn the_hash_is_that_of_the_vectors() {
    for vector in vectors() {
        let stream = vector.stream();
        let place = Place { stream: &stream, revision: Revision::new(vector.revision), previous: vector.previous };
        let (unhashed, suffix) = vector.metadata.split_at(vector.metadata.len() - HASH_SUFFIX_LEN);
        let made = hash(place, EventId::new(vector.id), &vector.r#type, &vector.data(), unhashed.as_bytes());
        assert_eq!(made, vector.hash, "{}", vector.name);
        assert_eq!(suffix, format!(r#","hash":"{made}"}}"#), "{}", vector.name);
    }
}

#[test]
fn an_event_is_sealed_as_in_the_vectors() {
    for vector in vectors() {
        let stream = vector.stream();
        let place = Place { stream: &stream, revision: Revision::new(vector.revision), previous: vector.previous };
        let id = EventId::new(vector.id);
        let sealed = NewEvent::seal(place, id, &vector.r#type, vector.data().into(), &vector.metadata());
        assert_eq!(std::str::from_utf8(&sealed.metadata), Ok(vector.metadata.as_str()), "{}", vector.name);
        assert_eq!(sealed.hash, vector.hash, "{}", vector.name);
        assert_eq!((sealed.id, sealed.at), (id, vector.at()), "{}", vector.name);
        assert_eq!((sealed.event_type, sealed.data), (vector.r#type.clone(), vector.data().into()), "{}", vector.name);
    }
}

#[test]
fn the_events_of_the_vectors_are_found_intact() {
    for vector in vectors() {
        assert_eq!(vector.recorded().check_hash(vector.previous), Ok(()), "{}", vector.name);
        let other = Digest::of(b"another");
        assert_eq!(vector.recorded().check_hash(other), Err(Altered), "{}", vector.name);
    }
}

#[test]
fn the_vectors_of_the_chain_are_bound_to_each_other() {
    let vectors = vectors();
    let chain: Vec<_> = vectors.iter().filter(|vector| vector.name.ends_with("of a chain")).collect();
    assert_eq!(chain.len(), 3);
    assert_eq!(chain[0].previous, Digest::ZERO);
    assert!(chain.windows(2).all(|pair| pair[0].hash == pair[1].previous));
}

#[test]
fn no_two_vectors_have_the_same_hash() {
    let hashes: std::collections::BTreeSet<_> = vectors().into_iter().map(|vector| vector.hash).collect();
    assert_eq!(hashes.len(), vectors().len());
}

#[test]
fn the_program_writes_the_vectors_that_stand_here() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hash_vectors.py");
    let directory = tempfile::tempdir().expect("a directory");
    let written = directory.path().join("vectors.json");
    let Ok(status) = Command::new("python3").arg(program).arg(&written).status() else {
        eprintln!("python3 is not there: the vectors stay as they are");
        return;
    };
    assert!(status.success());
    assert_eq!(std::fs::read_to_string(written).expect("it was written"), VECTORS);
}
