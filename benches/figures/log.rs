//! Makes event logs faster than by HTTP: sealed and chained as the service does it, inserted in large transactions.

use std::path::Path;

use chrono::DateTime;
use events::{
    envelope::{Digest, Metadata, NewEvent, Place},
    event::{
        IntegrationCreated, IntegrationEvent, IntegrationShared, IntegrationUnshared, IntegrationUpdated, Secrets,
        SlugReserved, TagsSet,
    },
    ids::{EventId, IntegrationId, PrincipalId, Revision, Slug, TagId, TenantId},
    principal::Level,
    settings::{AuthType, Changes, Data, Headers, Mode, Settings},
    store::sqlite::{FILE_NAME, SqliteStore},
    stored::{Store, StoredForm},
    stream::StreamName,
    time::Timestamp,
};
use rusqlite::{Connection, params};
use uuid::{Builder, Uuid};

/// Rows that one transaction takes.
const GROUP: u64 = 50_000;
/// When the first event happens, in milliseconds since 1970; each further one a millisecond later.
const BEGIN_MS: u64 = 1_760_000_000_000;

/// A log that is being made.
#[derive(Debug)]
pub(crate) struct Log {
    connection: Connection,
    rows: u64,
}

/// An integration in it.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) id: IntegrationId,
    tenant: TenantId,
    owner: PrincipalId,
    stream: StreamName,
    settings: Settings,
    next: Revision,
    hash: Digest,
}

impl Log {
    /// Begins a log in a directory, which is made.
    pub(crate) fn begin(directory: &Path) -> Self {
        // The store itself makes the file, so that its format is the service's own.
        drop(SqliteStore::open(directory).unwrap());
        let connection = Connection::open(directory.join(FILE_NAME)).unwrap();
        connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; BEGIN").unwrap();
        Self { connection, rows: 0 }
    }

    /// Ends it.
    pub(crate) fn end(self) {
        self.connection.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    }

    /// Reserves a slug and makes an integration: two rows.
    pub(crate) fn create(&mut self, tenant: &str, owner: &str, name: &str) -> Made {
        let (tenant, owner) = (TenantId::parse(tenant).unwrap(), PrincipalId::parse(owner).unwrap());
        let id = IntegrationId::new(uuid(self.rows)).unwrap();
        let slug = Slug::parse(name.to_lowercase().replace(' ', "-")).unwrap();
        let reserved = SlugReserved { integration: id }.to_stored();
        self.insert(&StreamName::slug(&tenant, &slug), Revision::FIRST, Digest::ZERO, &tenant, &owner, reserved);
        let stream = StreamName::integration(&tenant, id);
        let settings = settings(name);
        let mut made =
            Made { id, tenant, owner: owner.clone(), stream, settings, next: Revision::FIRST, hash: Digest::ZERO };
        let settings = made.settings.clone();
        let created = IntegrationCreated { slug, owner, library: None, settings, secrets: Secrets::default() };
        self.append(&mut made, &IntegrationEvent::Created(Box::new(created)));
        made
    }

    /// Shares an integration: a row.
    pub(crate) fn share(&mut self, made: &mut Made, with: &str) {
        let shared =
            IntegrationShared { principal: PrincipalId::parse(with).unwrap(), level: Level::Read, previous: None };
        self.append(made, &IntegrationEvent::Shared(shared));
    }

    /// Ends a share: a row.
    pub(crate) fn unshare(&mut self, made: &mut Made, with: &str) {
        let unshared = IntegrationUnshared { principal: PrincipalId::parse(with).unwrap(), level: Level::Read };
        self.append(made, &IntegrationEvent::Unshared(unshared));
    }

    /// Sets the tags of an integration that had none: a row.
    pub(crate) fn tag(&mut self, made: &mut Made, tags: &[&str]) {
        let tags: Vec<_> = tags.iter().map(|tag| TagId::parse(*tag).unwrap()).collect();
        self.append(made, &IntegrationEvent::TagsSet(TagsSet { added: tags.clone(), tags, removed: Vec::new() }));
    }

    /// Changes the description: a row.
    pub(crate) fn describe(&mut self, made: &mut Made, description: &str) {
        let before = made.settings.clone();
        made.settings.description = Some(description.to_owned());
        let updated =
            IntegrationUpdated { changes: Changes::between(&before, &made.settings), secrets: Default::default() };
        self.append(made, &IntegrationEvent::Updated(Box::new(updated)));
    }

    fn append(&mut self, made: &mut Made, event: &IntegrationEvent) {
        made.hash = self.insert(&made.stream, made.next, made.hash, &made.tenant, &made.owner, event.to_stored());
        made.next = made.next.next();
    }

    fn insert(
        &mut self,
        stream: &StreamName,
        revision: Revision,
        previous: Digest,
        tenant: &TenantId,
        actor: &PrincipalId,
        form: StoredForm,
    ) -> Digest {
        let time = DateTime::from_timestamp_millis((BEGIN_MS + self.rows).cast_signed()).unwrap();
        let metadata = Metadata {
            actor: Some(actor.clone()),
            correlation_id: Some(uuid(self.rows + 1).to_string()),
            ..Metadata::of_service(Some(tenant.clone()), Timestamp::new(time))
        };
        let id = EventId::new(uuid(self.rows + 2));
        let event = NewEvent::seal(Place { stream, revision, previous }, id, form.event_type, form.data, &metadata);
        let sql = "INSERT INTO events (stream, revision, id, type, at, data, metadata, hash)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let row = params![
            stream.as_str(),
            revision.get().cast_signed(),
            id.to_string(),
            event.event_type,
            event.at.to_string(),
            text(&event.data),
            text(&event.metadata),
            event.hash.to_string(),
        ];
        self.connection.prepare_cached(sql).unwrap().execute(row).unwrap();
        self.rows += 1;
        if self.rows.is_multiple_of(GROUP) {
            self.connection.execute_batch("COMMIT; BEGIN").unwrap();
        }
        event.hash
    }
}

/// A UUID v7 of the time of a row, the same in every run.
fn uuid(row: u64) -> Uuid {
    let random = Digest::of(&row.to_be_bytes());
    Builder::from_unix_timestamp_millis(BEGIN_MS + row, random.as_bytes()[..10].try_into().unwrap()).into_uuid()
}

/// What a create of a catalogue's driver resolves to.
fn settings(name: &str) -> Settings {
    let uri = |text: &str| Some(text.parse().unwrap());
    Settings {
        name: name.to_owned(),
        r#type: "google-drive".to_owned(),
        category: Some("storage".to_owned()),
        description: None,
        mode: Mode::PerUser,
        auth_type: AuthType::Oauth2,
        scope: Some("https://www.googleapis.com/auth/drive.readonly".to_owned()),
        auth_uri: uri("https://accounts.google.com/o/oauth2/v2/auth"),
        token_uri: uri("https://oauth2.googleapis.com/token"),
        revocation_uri: uri("https://oauth2.googleapis.com/revoke"),
        api_base_uri: uri("https://www.googleapis.com/drive/v3"),
        client_id: Some("1234567890.apps.googleusercontent.com".to_owned()),
        basic_token_auth: None,
        api_key_location: None,
        api_key_name: None,
        image_url: None,
        headers: Headers::default(),
        data: Data::default(),
        supports_upload: true,
    }
}
