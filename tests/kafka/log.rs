//! A log of its own for each test, written by way of the port.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use events::{
    envelope::{Digest, Metadata, NewEvent, Place, new_event_id},
    event::{IntegrationCreated, IntegrationEvent, Secrets, SlugReserved, TagsSet},
    ids::{IntegrationId, Position, PrincipalId, Revision, Slug, TagId, TenantId},
    integration::{Integration, evolve},
    settings::{AuthType, Data, Headers, Mode, Settings},
    store::{Direction, EventStore, ExpectedRevision, StreamWrite, sqlite::SqliteStore},
    stored::{Store as _, StoredForm, integration_fact},
    stream::StreamName,
    time::Timestamp,
};
use tempfile::TempDir;
use uuid::Uuid;

/// A log.
pub(crate) struct Log {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) directory: TempDir,
    ends: Mutex<BTreeMap<StreamName, (ExpectedRevision, Digest)>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(directory.path()).unwrap());
        Self { store, directory, ends: Mutex::default() }
    }

    /// Closes the file, lets `change` work on it, and opens it again.
    pub(crate) fn meanwhile(self, change: impl FnOnce(&rusqlite::Connection)) -> Self {
        let Self { store, directory, ends } = self;
        drop(store);
        change(&rusqlite::Connection::open(directory.path().join("events.sqlite")).unwrap());
        let store = Arc::new(SqliteStore::open(directory.path()).unwrap());
        Self { store, directory, ends }
    }

    /// Makes an integration without secrets.
    pub(crate) async fn create(&self, name: &str) -> StreamName {
        self.create_with(name, |_| {}).await
    }

    /// Makes an integration, whose settings and secrets `change` may change.
    pub(crate) async fn create_with(&self, name: &str, change: impl FnOnce(&mut IntegrationCreated)) -> StreamName {
        let id = IntegrationId::new(Uuid::now_v7()).unwrap();
        let stream = StreamName::integration(&tenant(), id);
        let mut created = IntegrationCreated {
            slug: Slug::parse(name.to_lowercase()).unwrap(),
            owner: PrincipalId::parse("alice").unwrap(),
            library: None,
            settings: settings(name),
            secrets: Secrets::default(),
        };
        change(&mut created);
        self.append(&stream, &IntegrationEvent::Created(Box::new(created))).await;
        stream
    }

    /// Sets tags, each time others.
    pub(crate) async fn tag(&self, stream: &StreamName, tag: &str) -> Position {
        let tags = vec![TagId::parse(tag).unwrap()];
        self.append(stream, &IntegrationEvent::TagsSet(TagsSet { added: tags.clone(), tags, removed: Vec::new() }))
            .await
    }

    /// Appends much that no integration is told by: enough for the checkpoint to move.
    pub(crate) async fn append_much_of_no_interest(&self) {
        for number in 0..1_100 {
            let stream = StreamName::slug(&tenant(), &Slug::parse(format!("slug-{number}")).unwrap());
            let integration = IntegrationId::new(Uuid::now_v7()).unwrap();
            self.append_form(&stream, &SlugReserved { integration }.to_stored()).await;
        }
    }

    pub(crate) async fn append(&self, stream: &StreamName, event: &IntegrationEvent) -> Position {
        self.append_form(stream, &event.to_stored()).await
    }

    /// Appends what another release might have.
    pub(crate) async fn append_unknown(&self, stream: &StreamName, event_type: &'static str, data: &str) -> Position {
        self.append_form(stream, &StoredForm { event_type, data: data.to_owned().into() }).await
    }

    async fn append_form(&self, stream: &StreamName, form: &StoredForm) -> Position {
        let end = self.ends.lock().unwrap().get(stream).copied();
        let (expected, previous) = end.unwrap_or((ExpectedRevision::NoStream, Digest::ZERO));
        let revision = expected.next();
        let metadata = Metadata {
            actor: Some(PrincipalId::parse("alice").unwrap()),
            traceparent: Some(TRACEPARENT.to_owned()),
            client: Some("192.0.2.77".to_owned()),
            reason: Some("because of a reason".to_owned()),
            ..Metadata::of_service(Some(tenant()), Timestamp::new(chrono::Utc::now()))
        };
        let place = Place { stream, revision, previous };
        let event = NewEvent::seal(place, new_event_id(), form.event_type, form.data.clone(), &metadata);
        let hash = event.hash;
        let write = StreamWrite::Append { stream: stream.clone(), expected, events: vec![event] };
        let appended = self.store.append(vec![write]).await.unwrap();
        self.ends.lock().unwrap().insert(stream.clone(), (ExpectedRevision::Exact(revision), hash));
        appended[0].position
    }

    /// The fold of a stream.
    pub(crate) async fn state(&self, stream: &StreamName) -> Option<Integration> {
        let from = Direction::ForwardsFrom(Revision::FIRST);
        let recorded = self.store.read_stream(stream, from, usize::MAX).await.unwrap();
        recorded.iter().map(|event| integration_fact(event).unwrap()).fold(None, |state, fact| evolve(state, &fact))
    }

    pub(crate) fn head(&self) -> Position {
        *self.store.head().borrow()
    }
}

pub(crate) const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(crate) fn tenant() -> TenantId {
    TenantId::parse("acme").unwrap()
}

/// The key of a stream's records.
pub(crate) fn key(stream: &StreamName) -> String {
    let (tenant, id) = stream.integration_of().unwrap();
    format!("{tenant}/{id}")
}

fn settings(name: &str) -> Settings {
    Settings {
        name: name.to_owned(),
        r#type: "slack".to_owned(),
        category: None,
        description: Some("Für Übung".to_owned()),
        mode: Mode::PerUser,
        auth_type: AuthType::Oauth2,
        scope: None,
        auth_uri: Some("https://example.com/authorize".parse().unwrap()),
        token_uri: None,
        revocation_uri: None,
        api_base_uri: None,
        client_id: Some("client".to_owned()),
        basic_token_auth: None,
        api_key_location: None,
        api_key_name: None,
        image_url: None,
        headers: Headers::default(),
        data: Data::new(r#"{"z":1.50,"a":[1e3]}"#.to_owned()).unwrap(),
        supports_upload: false,
    }
}
