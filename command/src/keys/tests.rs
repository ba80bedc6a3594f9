//! The ring over a real log: keys that another process wraps, and the mark.

use events::{
    ids::{IntegrationId, TenantId},
    seal::KeyFileText,
    store::sqlite::SqliteStore,
    time::Timestamp,
};
use tempfile::TempDir;

use super::*;

mod unreadable;

struct World {
    directory: TempDir,
    store: Arc<dyn EventStore>,
    tenant: TenantId,
    id: IntegrationId,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("keys"), MasterKeys::generate_file().as_str()).unwrap();
        let store = Arc::new(SqliteStore::open(directory.path()).unwrap());
        let id = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b".parse().unwrap();
        Self { directory, store, tenant: TenantId::parse("acme").unwrap(), id }
    }

    fn text(&self) -> KeyFileText {
        KeyFileText::read(&self.directory.path().join("keys")).unwrap()
    }

    fn ring(&self) -> KeyRing {
        let path = self.directory.path().join("keys");
        let masters = MasterKeys::read(&path).unwrap();
        KeyRing::new(Arc::clone(&self.store), masters, KeyFile::new(path, self.directory.path()))
    }

    /// Adds a master key to the file; answers its id.
    fn rotate(&self) -> String {
        let rotated = self.text().with_fresh_key();
        std::fs::write(self.directory.path().join("keys"), rotated.expose()).unwrap();
        rotated.keys().active().to_owned()
    }

    fn now() -> Timestamp {
        serde_json::from_str("\"2026-01-02T03:04:05.000Z\"").unwrap()
    }

    async fn wrap_with(&self, ring: &KeyRing) -> DataKey {
        self.wrap_for(self.id, ring).await
    }

    async fn wrap_for(&self, id: IntegrationId, ring: &KeyRing) -> DataKey {
        let key = DataKey::generate();
        let wrapping = ring.write(&self.tenant, id, &key, Self::now()).await;
        self.store.append(vec![wrapping.write.clone()]).await.unwrap();
        key
    }
}

#[tokio::test]
async fn a_key_that_came_into_the_file_later_opens_what_another_process_wrapped_with_it() {
    let world = World::new();
    let old = world.ring();
    world.rotate();
    let key = world.wrap_with(&world.ring()).await;
    let found = old.find(&world.tenant, world.id).await.unwrap().unwrap();
    assert_eq!(found.id(), key.id());
}

#[tokio::test]
async fn an_unknown_master_key_makes_it_look_at_the_file_once_in_a_while_only() {
    let world = World::new();
    let (old, text) = (world.ring(), world.text());
    world.rotate();
    world.wrap_with(&world.ring()).await;
    let rotated = world.text();
    let write = |text: &KeyFileText| std::fs::write(world.directory.path().join("keys"), text.expose()).unwrap();
    write(&text);
    for _ in 0..2 {
        let failed = old.find(&world.tenant, world.id).await;
        assert!(matches!(failed, Err(Error::Seal(seal::Error::UnknownMasterKey(_)))), "{failed:?}");
        write(&rotated);
    }
    // The janitor looks whenever it is its time.
    old.look().await.unwrap();
    assert!(old.find(&world.tenant, world.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_without_an_old_key_that_a_wrap_needs_is_refused_once_and_the_old_key_goes_on_opening() {
    let world = World::new();
    world.wrap_with(&world.ring()).await;
    let second = world.rotate();
    let ring = world.ring();
    std::fs::write(world.directory.path().join("keys"), world.text().with_active_key_only().expose()).unwrap();
    let refused = ring.look().await;
    assert!(matches!(refused, Err(TakeUpError::Needed(KeyCheckError::DoesNotOpen(_)))), "{refused:?}");
    ring.look().await.unwrap();
    assert!(ring.find(&world.tenant, world.id).await.unwrap().is_some());
    // Once it is not needed any more, the file may go without it.
    let stream = StreamName::key(&world.tenant, world.id);
    let last = world.store.read_stream(&stream, Direction::BackwardsFromEnd, 1).await.unwrap();
    let wrapping = ring.rewrap(&Ok(last[0].clone()), World::now()).await.unwrap().unwrap();
    world.store.append(vec![wrapping.write.clone()]).await.unwrap();
    drop(wrapping);
    std::fs::write(world.directory.path().join("keys"), format!("{}\n", world.text().expose())).unwrap();
    ring.look().await.unwrap();
    assert_eq!(ring.masters().ids().collect::<Vec<_>>(), [second]);
}

#[tokio::test]
async fn it_says_nothing_while_it_changes_the_key_and_the_new_one_afterwards() {
    let world = World::new();
    let ring = world.ring();
    let says = || active_of_running(world.directory.path()).unwrap();
    assert_eq!(says(), None);
    ring.announce().await;
    let first = ring.masters().active().to_owned();
    assert_eq!(says(), Some(first.clone()));
    let late = ring.write(&world.tenant, world.id, &DataKey::generate(), World::now()).await;
    let second = world.rotate();
    let meanwhile = async {
        while ring.wrapping.try_read().is_ok() {
            tokio::task::yield_now().await;
        }
        assert_eq!((says(), ring.masters().active()), (None, first.as_str()));
        drop(late);
    };
    let (looked, ()) = tokio::join!(ring.look(), meanwhile);
    looked.unwrap();
    assert_eq!((says(), ring.masters().active()), (Some(second.clone()), second.as_str()));
    drop(ring);
    assert_eq!(says(), None);
}
