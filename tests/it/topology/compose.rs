//! The production topology as `docker-compose.yml` has it: each of our services is a local process with the command, the
//! environment and the secrets that stand there, behind the proxy's own file. The log is on the protocol peer of
//! EventStoreDB, the views in a real PostgreSQL; Kafka is away, but for tests that name one.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use peer::{Options, Peer, log::Event};
use servers::{haproxy::Haproxy, postgres::Postgres};

use super::{
    deployment::{Deployment, Places, make_secrets},
    harness::Process,
    log::{Row, TOMBSTONE},
};

/// What begins an option that names the brokers of Kafka.
pub(crate) const KAFKA: &str = "kafka=";
/// What begins an option that names a database.
pub(crate) const DATABASE: &str = "database=";
/// An option: the log outlives the server.
pub(crate) const PEER_ON_DISK: &str = "peer=disk";
/// Whether one process answers everything: what each counts by itself is then what there is.
pub(crate) const IS_ONE_PROCESS: bool = false;
/// Whether the log is embedded: an append of several writes does all or none there, and positions have no gaps.
pub(crate) const IS_EMBEDDED: bool = false;
/// Where no Kafka is: the port of a service that nobody runs.
const NO_KAFKA: &str = "127.0.0.1:9";

static POSTGRES: LazyLock<Postgres> = LazyLock::new(Postgres::start);
static DEPLOYMENT: LazyLock<Deployment> = LazyLock::new(Deployment::read);
/// The logs of the services that run, by their data directory: a service that is started again finds its own.
static PEERS: LazyLock<Mutex<HashMap<PathBuf, Weak<Peer>>>> = LazyLock::new(Mutex::default);

/// What runs.
pub(crate) struct Topology {
    pub(crate) services: BTreeMap<String, Process>,
    pub(crate) peer: Arc<Peer>,
    proxy: Haproxy,
}

impl Topology {
    /// Starts every service.
    pub(crate) fn start(data_dir: &Path, options: &[String]) -> Self {
        let peer = peer(data_dir, options.iter().any(|option| option == PEER_ON_DISK));
        let places = places(data_dir, options, &peer);
        // Options of a test are for those that answer requests.
        let is_ours = |option: &&String| [KAFKA, DATABASE, PEER_ON_DISK].iter().any(|name| option.starts_with(name));
        let given: Vec<_> = options.iter().filter(|option| !is_ours(option)).collect();
        let mut services = BTreeMap::new();
        for (name, service) in DEPLOYMENT.ours().filter(|(_, service)| service.command != ["serve"]) {
            let is_projector = service.command == ["projector"];
            let given = given.iter().filter(|_| !is_projector).map(|option| option.as_str());
            let arguments: Vec<_> = service.command.iter().map(String::as_str).chain(given).collect();
            let environment = DEPLOYMENT.environment(service, &places);
            services.insert(name.clone(), Process::start_in(&arguments, data_dir, &environment));
        }
        let address = |name: &str| {
            let at = &DEPLOYMENT.service("proxy").environment[name];
            services[at.strip_suffix(":8080").unwrap()].address
        };
        // Both of the proxy's places for reads are one node: a read without a position may be older than the one before,
        // and the tests ask for no position once they have waited for it.
        let proxy =
            Haproxy::start([address("COMMAND_1"), address("COMMAND_2")], [address("QUERY_1"), address("QUERY_1")]);
        Self { services, peer, proxy }
    }

    /// Where they are reached.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.proxy.address)
    }

    /// Where the metrics of the process are that answers reads.
    pub(crate) fn metrics_url(&self) -> String {
        self.services["query-1"].metrics_url()
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

    /// A proxy in front of all of them.
    pub(crate) fn balanced(&self) -> Haproxy {
        Haproxy::start(self.commanding().map(|one| one.address), self.querying().map(|one| one.address))
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
        let events = self.peer.events();
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

/// What was started on the data directory before had its views in the same database, and the same secrets.
fn places(data_dir: &Path, options: &[String], peer: &Peer) -> Places {
    let named = |name: &str| options.iter().find_map(|option| option.strip_prefix(name).map(str::to_owned));
    let (note, secrets) = (data_dir.with_extension("database"), data_dir.with_extension("secrets"));
    let database =
        named(DATABASE).or_else(|| std::fs::read_to_string(&note).ok()).unwrap_or_else(|| POSTGRES.database());
    std::fs::write(note, &database).unwrap();
    make_secrets(&secrets);
    // Where the tests find the key that signs tokens.
    std::fs::create_dir_all(data_dir).unwrap();
    std::fs::copy(secrets.join("jwt-key"), data_dir.join("jwt.key")).unwrap();
    Places {
        event_store: peer.address(),
        database: database.split_once('@').unwrap().1.to_owned(),
        kafka: named(KAFKA).unwrap_or_else(|| NO_KAFKA.to_owned()),
        secrets,
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
