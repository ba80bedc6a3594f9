//! The verbs on the log, over one on a server: a protocol peer. What they tell is what they tell of a log in a file, and
//! of a server that is away they tell so within seconds.

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use peer::{Options, Peer, log::Event};
use serde_json::json;
use tempfile::TempDir;

use super::{
    crash::{furnish, looked_at},
    harness::{CREATE, Client},
    process::{Process, client},
    transfer::{check_refused, printed, run},
};

mod away;
mod exporting;
mod importing;
mod keys;
mod reading;
mod verifying;

/// A service that keeps its log on a peer of its own.
struct Site {
    directory: TempDir,
    peer: Peer,
    service: Process,
    url: String,
}

impl Site {
    async fn start() -> Self {
        let (directory, peer) = (tempfile::tempdir().unwrap(), Peer::start(&Options::default()).unwrap());
        let data_dir = directory.path().join("data");
        std::fs::create_dir(&data_dir).unwrap();
        std::fs::write(data_dir.join("master.key"), "first MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n").unwrap();
        let service = Process::serve(&data_dir, &["--event-store", &peer.url()]);
        let url = service.ready().await;
        Self { directory, peer, service, url }
    }

    /// A service with some integrations of every kind, that has stopped.
    async fn stopped() -> Self {
        let mut site = Self::start().await;
        furnish(&site.alice()).await;
        assert!(site.service.terminate().status.success());
        site
    }

    fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn of(&self, tenant: &str) -> Client {
        client(&self.url, &self.data_dir(), json!({ "sub": "alice", "tenant": tenant, "permissions": [CREATE] }))
    }

    fn alice(&self) -> Client {
        self.of("acme")
    }

    /// Runs a verb on the log.
    fn run(&self, arguments: &[&str]) -> Output {
        run(&self.data_dir(), &[arguments, &["--event-store", &self.peer.url()]].concat())
    }

    /// Exports the log into a file.
    fn export(&self, name: &str) -> PathBuf {
        let file = self.path(name);
        printed(&self.run(&["export", file.to_str().unwrap()]));
        file
    }

    /// A data directory with the log of an export, and the keys of the service.
    fn imported(&self, file: &Path, name: &str) -> PathBuf {
        let to = self.path(name);
        printed(&run(&to, &["import", file.to_str().unwrap()]));
        for key in ["master.key", "jwt.key"] {
            std::fs::copy(self.data_dir().join(key), to.join(key)).unwrap();
        }
        to
    }

    /// The name of the first stream with an event like this.
    #[track_caller]
    fn stream(&self, is_it: impl Fn(&Event) -> bool) -> String {
        self.peer.events().iter().find(|event| is_it(event)).unwrap().stream.to_string()
    }

    /// Changes an event of the log, and answers what it was.
    #[track_caller]
    fn alter(&self, stream: &str, revision: u64, change: impl FnOnce(&mut Event)) -> Event {
        let mut before = None;
        let is_there = self.peer.alter(stream, revision, |event| {
            before = Some(event.clone());
            change(event);
        });
        assert!(is_there, "{stream} {revision}");
        before.unwrap()
    }
}
