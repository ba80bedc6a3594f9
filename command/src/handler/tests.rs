//! Two handlers over one log, as two processes have: a data key that one has destroyed is of no use to the other.

use async_trait::async_trait;
use events::{
    ids::{Position, PrincipalId, TenantId},
    principal::Permissions,
    seal::MasterKeys,
    store::{Direction, Health, Page, Subscription, sqlite::SqliteStore},
    stream::Kind,
};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use web::json::Json;

use super::*;
use crate::{keys::KeyFile, request, run_janitor};

/// A log that others write too. One on a server may have a delete, and not yet its tombstones.
#[derive(Debug)]
struct Shared {
    log: SqliteStore,
    has_tombstones: bool,
}

#[async_trait]
impl EventStore for Shared {
    async fn append(&self, writes: Vec<StreamWrite>) -> Result<Vec<Appended>, StoreError> {
        let is_written = |write: &StreamWrite| self.has_tombstones || matches!(write, StreamWrite::Append { .. });
        self.log.append(writes.into_iter().filter(is_written).collect()).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<events::envelope::RecordedEvent>, StoreError> {
        self.log.read_stream(stream, direction, max).await
    }

    async fn read_all(&self, after: Position, kinds: &[Kind], max: usize) -> Result<Page, StoreError> {
        self.log.read_all(after, kinds, max).await
    }

    fn subscribe(&self, after: Position, kinds: &[Kind]) -> Box<dyn Subscription> {
        self.log.subscribe(after, kinds)
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.log.head()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.log.health()
    }

    fn is_atomic(&self) -> bool {
        self.log.is_atomic()
    }

    fn is_sole_writer(&self) -> bool {
        false
    }
}

/// A handler with a memory of its own.
struct Process {
    keys: Arc<KeyRing>,
    handler: Arc<Handler>,
}

struct World {
    _directory: TempDir,
    store: Arc<dyn EventStore>,
    processes: [Process; 2],
    alice: Principal,
}

impl World {
    fn new() -> Self {
        Self::with(true)
    }

    fn with(has_tombstones: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (path, text) = (directory.path().join("keys"), MasterKeys::generate_file());
        let log = SqliteStore::open(directory.path()).unwrap();
        let store: Arc<dyn EventStore> = Arc::new(Shared { log, has_tombstones });
        let processes = [(); 2].map(|()| {
            let file = KeyFile::new(path.clone(), directory.path());
            let keys = Arc::new(KeyRing::new(Arc::clone(&store), MasterKeys::parse(&text).unwrap(), file));
            let settings = Settings { state_cache_bytes: 1_024 * 1_024 };
            let (metrics, tasks) = (Arc::default(), TaskTracker::new());
            let handler = Handler::new(Arc::clone(&store), Arc::clone(&keys), Clock(now), metrics, settings, tasks);
            Process { keys, handler: Arc::new(handler) }
        });
        let alice = Principal {
            tenant: TenantId::parse("acme").unwrap(),
            id: PrincipalId::parse("alice").unwrap(),
            groups: Vec::new(),
            permissions: Permissions { create: true, ..Permissions::default() },
        };
        Self { _directory: directory, store, processes, alice }
    }

    fn asking(&self) -> Asking {
        let (caller, correlation_id) = (self.alice.clone(), "test".to_owned());
        Asking { caller, correlation_id, traceparent: None, client: None, reason: None }
    }

    /// Creates it, or repeats that, with this secret.
    async fn create(&self, process: &Process, secret: &str) -> Result<IntegrationId, Error> {
        let body = format!(r#"{{"name":"Slack","type":"slack","clientSecret":"{secret}"}}"#);
        let request = request::create(Json::parse(body.as_bytes()).unwrap(), &self.alice).unwrap();
        let created = process.handler.create(self.asking(), Some("k".to_owned()), request).await?;
        Ok(created.integration.id)
    }

    /// Creates it through both, so that both have its data key in memory, and deletes it through the first.
    async fn deleted(&self) -> IntegrationId {
        let [here, there] = &self.processes;
        let id = self.create(here, "s").await.unwrap();
        for process in [here, there] {
            assert_eq!(self.create(process, "s").await.unwrap(), id);
            assert!(matches!(self.create(process, "another").await, Err(Error::KeyReused)));
            assert!(process.keys.remembers(&self.alice.tenant, id));
        }
        let need = Need::Level(events::principal::Level::Admin);
        let admitted = here.handler.admit(&self.alice, IntegrationRef::Id(id), need).await.unwrap();
        let delete = Intent::Plain(Command::DeleteIntegration);
        here.handler.execute(self.asking(), admitted, Precondition::Nothing, delete).await.unwrap();
        id
    }
}

fn now() -> Timestamp {
    serde_json::from_str("\"2026-01-02T03:04:05.000Z\"").unwrap()
}

#[tokio::test]
async fn a_repeat_after_a_delete_elsewhere_compares_no_secrets_and_forgets_the_key() {
    // Whether the key still stands in the log says nothing: the state does.
    for world in [World::new(), World::with(false)] {
        let id = world.deleted().await;
        for process in &world.processes {
            assert_eq!(world.create(process, "another").await.unwrap(), id);
            assert!(!process.keys.remembers(&world.alice.tenant, id));
        }
    }
}

#[tokio::test]
async fn the_janitor_forgets_the_key_of_what_was_deleted_elsewhere() {
    let world = World::new();
    let id = world.deleted().await;
    let [here, there] = &world.processes;
    assert!(!here.keys.remembers(&world.alice.tenant, id));
    let (keys, stop) = (Arc::clone(&there.keys), CancellationToken::new());
    let janitor = run_janitor(Arc::clone(&world.store), Arc::clone(&keys), Clock(now), stop.clone());
    let forgotten = async {
        while keys.remembers(&world.alice.tenant, id) {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(janitor, forgotten) }).await.unwrap();
}
