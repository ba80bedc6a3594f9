//! Many data keys, written straight into a log that no service has open; and whether each of them still opens.

use std::{collections::BTreeMap, path::Path};

use chrono::Utc;
use events::{
    envelope::{Digest, Metadata, NewEvent, Place, new_event_id},
    event::DataKeyWrapped,
    ids::{IntegrationId, Revision, TenantId},
    seal::{DataKey, MasterKeys},
    store::{EventStore as _, ExpectedRevision, StreamWrite, sqlite::SqliteStore},
    stored::Store as _,
    stream::StreamName,
    time::Timestamp,
};
use uuid::Uuid;

use super::verb::is_wrap;
use crate::log;

const APPEND: usize = 500;

/// What each data key is known by, without showing it.
pub(super) type Keys = BTreeMap<String, Digest>;

fn mark(key: &DataKey) -> Digest {
    key.fingerprint(b"the same key")
}

fn masters(data_dir: &Path) -> MasterKeys {
    MasterKeys::read(&data_dir.join("master.key")).unwrap()
}

/// Writes so many data keys, wrapped with the active key.
pub(super) async fn seed(data_dir: &Path, count: usize) -> Keys {
    let (masters, tenant) = (masters(data_dir), TenantId::parse("seeded").unwrap());
    let store = SqliteStore::open(data_dir).unwrap();
    let mut keys = Keys::new();
    while keys.len() < count {
        let writes = (0..APPEND.min(count - keys.len())).map(|_| {
            let (id, key) = (IntegrationId::new(Uuid::now_v7()).unwrap(), DataKey::generate());
            let write = write(&masters, &tenant, id, &key);
            keys.insert(write.stream().as_str().to_owned(), mark(&key));
            write
        });
        store.append(writes.collect()).await.unwrap();
    }
    keys
}

fn write(masters: &MasterKeys, tenant: &TenantId, id: IntegrationId, key: &DataKey) -> StreamWrite {
    let stream = StreamName::key(tenant, id);
    let form = DataKeyWrapped { wrapped: masters.wrap(tenant, id, key) }.to_stored();
    let place = Place { stream: &stream, revision: Revision::FIRST, previous: Digest::ZERO };
    let metadata = Metadata::of_service(Some(tenant.clone()), Timestamp::new(Utc::now()));
    let event = NewEvent::seal(place, new_event_id(), form.event_type, form.data, &metadata);
    StreamWrite::Append { stream, expected: ExpectedRevision::NoStream, events: vec![event] }
}

/// What each data key in the log is, all of which must open with the key file.
#[track_caller]
pub(super) fn opened(data_dir: &Path) -> Keys {
    let (masters, mut keys) = (masters(data_dir), Keys::new());
    for row in log::rows(data_dir).iter().filter(|row| is_wrap(row)) {
        let wrapped: DataKeyWrapped = serde_json::from_slice(&row.data).unwrap();
        let (tenant, id) = row.of("key").unwrap();
        let (tenant, id) = (TenantId::parse(tenant).unwrap(), IntegrationId::parse(id).unwrap());
        let key = masters.unwrap(&tenant, id, &wrapped.wrapped).unwrap();
        assert!(keys.insert(row.stream.clone(), mark(&key)).is_none(), "{} has two", row.stream);
    }
    keys
}

/// Checks that every one of these data keys is in the log, is what it was, and opens.
#[track_caller]
pub(super) fn check_open(data_dir: &Path, seeded: &Keys) {
    let opened = opened(data_dir);
    for (stream, mark) in seeded {
        assert_eq!(opened.get(stream), Some(mark), "{stream}");
    }
}
