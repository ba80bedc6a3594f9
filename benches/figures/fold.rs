//! The baseline of the figure about starting: a bare fold of the log, on one thread, into a map by stream.

use std::{collections::HashMap, path::Path};

use events::store::sqlite::FILE_NAME;
use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Whatever an event may have.
#[derive(Debug, Deserialize)]
struct Event {
    slug: Option<String>,
    owner: Option<String>,
    settings: Option<Settings>,
    changes: Option<Changes>,
    tags: Option<Vec<String>>,
    principal: Option<String>,
    level: Option<u8>,
    integration: Option<String>,
}

/// Every setting that the log of the figure has.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "that they are parsed and kept is what is measured")]
struct Settings {
    name: String,
    r#type: String,
    category: Option<String>,
    description: Option<String>,
    mode: String,
    auth_type: String,
    scope: Option<String>,
    auth_uri: Option<String>,
    token_uri: Option<String>,
    revocation_uri: Option<String>,
    api_base_uri: Option<String>,
    client_id: Option<String>,
    data: Box<RawValue>,
    supports_upload: bool,
}

#[derive(Debug, Deserialize)]
struct Changes {
    description: Option<Change>,
}

#[derive(Debug, Deserialize)]
struct Change {
    to: Option<String>,
}

/// What is kept of a stream.
#[derive(Debug, Default)]
struct State {
    slug: Option<String>,
    owner: Option<String>,
    settings: Option<Settings>,
    tags: Vec<String>,
    shares: HashMap<String, u8>,
    holder: Option<String>,
    events: u64,
}

/// Reads every row in the order of positions, parses its data, and folds it; answers how many rows there were.
pub(crate) fn run(data_dir: &Path) -> usize {
    let file = data_dir.join(FILE_NAME);
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = connection.prepare("SELECT stream, type, data FROM events ORDER BY position").unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut states = HashMap::<String, State>::new();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        let text = |at: usize| row.get_ref(at).unwrap().as_str().unwrap();
        let event: Event = serde_json::from_str(text(2)).unwrap();
        let stream = text(0);
        if !states.contains_key(stream) {
            states.insert(stream.to_owned(), State::default());
        }
        fold(states.get_mut(stream).unwrap(), text(1), event);
        count += 1;
    }
    std::hint::black_box(states);
    count
}

fn fold(state: &mut State, kind: &str, event: Event) {
    state.events += 1;
    match kind.split('.').next().unwrap() {
        "SlugReserved" => state.holder = event.integration,
        "IntegrationCreated" => (state.slug, state.owner, state.settings) = (event.slug, event.owner, event.settings),
        "IntegrationUpdated" => {
            if let (Some(settings), Some(change)) = (&mut state.settings, event.changes.and_then(|all| all.description))
            {
                settings.description = change.to;
            }
        }
        "IntegrationShared" => {
            state.shares.extend(event.principal.zip(event.level));
        }
        "IntegrationUnshared" => drop(event.principal.and_then(|principal| state.shares.remove(&principal))),
        "TagsSet" => state.tags = event.tags.unwrap_or_default(),
        other => panic!("the log of the figure has no {other}"),
    }
}
