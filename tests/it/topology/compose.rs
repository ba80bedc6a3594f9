//! The production topology as `docker-compose.yml` has it: each of our services is a local process with the command, the
//! environment and the secrets that stand there, behind the proxy's own file. The log is on the protocol peer of
//! EventStoreDB, the views in a real PostgreSQL. The service that tests share has a real Kafka, and where `EVENTSTORE_URL`
//! names an EventStoreDB its log is there; of the others those have Kafka that name one.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use peer::{Options, Peer, log::Event};
use servers::{haproxy::Haproxy, postgres::Postgres};

use super::{
    deployment::{Deployment, Places, make_secrets},
    log::{Row, TOMBSTONE},
    options::{self, DATABASE, KAFKA, TOPICS, named, without},
    service::{Process, Service},
    whole,
};

/// An option: the log outlives the server.
pub(crate) const PEER_ON_DISK: &str = "peer=disk";
/// Whether one process answers everything: what each counts by itself is then what there is.
pub(crate) const IS_ONE_PROCESS: bool = false;
/// Whether the log is embedded: an append of several writes does all or none there, and positions have no gaps.
pub(crate) const IS_EMBEDDED: bool = false;
/// What begins an option that names a server for the log, in place of the protocol peer.
const EVENT_STORE: &str = "event-store=";
/// Where no Kafka is: the port of a service that nobody runs.
const NO_KAFKA: &str = "127.0.0.1:9";

static POSTGRES: LazyLock<Postgres> = LazyLock::new(Postgres::start);
static DEPLOYMENT: LazyLock<Deployment> = LazyLock::new(Deployment::read);
/// The logs of the services that run, by their data directory: a service that is started again finds its own.
static PEERS: LazyLock<Mutex<HashMap<PathBuf, Weak<Peer>>>> = LazyLock::new(Mutex::default);

/// The secrets of all of them. They are kept: a server's log may be there longer than a run of the tests.
static SECRETS: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("secrets");
    make_secrets(&directory);
    directory
});

/// The service that tests share.
pub(crate) async fn service() -> Arc<Service> {
    let server = std::env::var("EVENTSTORE_URL").ok().map(|url| format!("{EVENT_STORE}{url}"));
    whole::service(server).await
}

/// What runs.
pub(crate) struct Topology {
    services: BTreeMap<String, Process>,
    log: Log,
    proxy: Haproxy,
}

/// Where the log is.
enum Log {
    /// On a protocol peer in this process.
    Peer(Arc<Peer>),
    /// On the server with this URL.
    Server(String),
}

impl Log {
    fn url(&self) -> String {
        match self {
            Self::Peer(peer) => peer.url(),
            Self::Server(url) => url.clone(),
        }
    }
}

impl Topology {
    /// Starts every service.
    pub(crate) fn start(data_dir: &Path, options: &[String]) -> Self {
        let log = match named(options, EVENT_STORE) {
            Some(url) => Log::Server(url.to_owned()),
            None => Log::Peer(peer(data_dir, options.iter().any(|option| option == PEER_ON_DISK))),
        };
        let places = places(data_dir, options, log.url());
        let given = without(options, &[KAFKA, TOPICS, DATABASE, PEER_ON_DISK, EVENT_STORE]);
        let mut services = BTreeMap::new();
        for (name, service) in DEPLOYMENT.ours().filter(|(_, service)| service.command != ["serve"]) {
            let is_projector = service.command == ["projector"];
            // Options of a test are for those that answer requests.
            let given = given.iter().copied().filter(|_| !is_projector);
            let arguments: Vec<_> = service.command.iter().map(String::as_str).chain(given).collect();
            let mut environment = DEPLOYMENT.environment(service, &places);
            let prefix = named(options, TOPICS).filter(|_| is_projector);
            environment.extend(prefix.map(|prefix| ("INTEGRATIONS_KAFKA_TOPIC_PREFIX".to_owned(), prefix.to_owned())));
            services.insert(name.clone(), Process::start_in(&arguments, data_dir, &environment));
        }
        let addresses = |names: [&str; 2]| {
            names.map(|name| {
                let at = &DEPLOYMENT.service("proxy").environment[name];
                services[at.strip_suffix(":8080").unwrap()].address
            })
        };
        let proxy = Haproxy::start(addresses(["COMMAND_1", "COMMAND_2"]), addresses(["QUERY_1", "QUERY_2"]));
        Self { services, log, proxy }
    }

    /// The protocol peer that the log is on.
    pub(crate) fn peer(&self) -> &Peer {
        match &self.log {
            Log::Peer(peer) => peer,
            Log::Server(url) => panic!("the log is on {url}"),
        }
    }

    /// The options of a verb that reads the log.
    pub(crate) fn log_options(&self, _data_dir: &Path) -> Vec<String> {
        vec!["--event-store".to_owned(), self.log.url()]
    }

    /// Where they are reached.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.proxy.address)
    }

    /// Those that take commands.
    pub(crate) fn commanding(&self) -> [&Process; 2] {
        ["command-1", "command-2"].map(|name| &self.services[name])
    }

    /// Those that answer reads.
    pub(crate) fn querying(&self) -> [&Process; 2] {
        ["query-1", "query-2"].map(|name| &self.services[name])
    }

    /// Those that make views and publish.
    pub(crate) fn projecting(&self) -> [&Process; 2] {
        ["projector-1", "projector-2"].map(|name| &self.services[name])
    }

    /// The processes of it.
    pub(crate) fn process_ids(&self) -> Vec<u32> {
        self.services.values().map(|process| process.child.id()).chain([self.proxy.process_id()]).collect()
    }

    /// Everything that must be ready.
    pub(crate) fn processes(&mut self) -> Vec<&mut Process> {
        self.services.values_mut().collect()
    }

    /// Whether some bytes are in what the log shows. What it hides is the server's to remove.
    pub(crate) fn holds(&self, data_dir: &Path, bytes: &[u8]) -> bool {
        let contains = |data: &[u8]| data.windows(bytes.len()).any(|window| window == bytes);
        self.rows(data_dir).iter().any(|row| contains(&row.data))
    }

    /// Every row of the log as a server has it that was scavenged, in the order of positions.
    pub(crate) fn rows(&self, _data_dir: &Path) -> Vec<Row> {
        let events = self.peer().events();
        let is_end = |event: &Event| event.event_type() == peer::log::TOMBSTONE;
        let ended: HashSet<_> = events.iter().filter(|event| is_end(event)).map(|event| &event.stream).collect();
        let is_shown = |event: &&Arc<Event>| {
            is_end(event) || !(event.event_type().starts_with('$') || ended.contains(&event.stream))
        };
        events.iter().filter(is_shown).map(|event| row(event)).collect()
    }
}

fn peer(data_dir: &Path, is_on_disk: bool) -> Arc<Peer> {
    let mut peers = PEERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(peer) = peers.get(data_dir).and_then(Weak::upgrade) {
        return peer;
    }
    let directory = is_on_disk.then(|| data_dir.with_extension("peer"));
    let peer = Arc::new(Peer::start(&Options { directory, ..Options::default() }).unwrap());
    peers.insert(data_dir.to_owned(), Arc::downgrade(&peer));
    peer
}

fn places(data_dir: &Path, options: &[String], event_store: String) -> Places {
    let database = options::database(data_dir, options, &POSTGRES);
    // Where the tests find the key that signs tokens.
    std::fs::create_dir_all(data_dir).unwrap();
    std::fs::copy(SECRETS.join("jwt-key"), data_dir.join("jwt.key")).unwrap();
    Places {
        event_store,
        database: database.split_once('@').unwrap().1.to_owned(),
        kafka: named(options, KAFKA).unwrap_or(NO_KAFKA).to_owned(),
        secrets: SECRETS.clone(),
    }
}

fn row(event: &Event) -> Row {
    let proposed = &event.proposed;
    let (metadata, event_type) = (String::from_utf8_lossy(&proposed.custom_metadata).into_owned(), event.event_type());
    let member = |name: &str| {
        let parsed: serde_json::Value = serde_json::from_str(&metadata).unwrap_or_default();
        parsed[name].as_str().unwrap_or_default().to_owned()
    };
    Row {
        // As the adapter counts: between two events there is a place for what was only looked at.
        position: i64::try_from(2 * event.position + 1).unwrap(),
        stream: event.stream.to_string(),
        revision: i64::try_from(event.revision).unwrap_or(i64::MAX),
        id: proposed.id.to_string(),
        event_type: if event_type == "$streamDeleted" { TOMBSTONE } else { event_type }.to_owned(),
        at: member("time"),
        data: proposed.data.to_vec(),
        hash: member("hash"),
        metadata,
    }
}
