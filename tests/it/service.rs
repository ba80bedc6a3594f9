//! The real binary, on ports of its own.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use super::{harness::sign, metrics::Metrics, topology::Topology};

/// The product, with a data directory of its own.
pub(crate) struct Service {
    pub(crate) topology: Topology,
    directory: TempDir,
    pub(crate) options: Vec<String>,
}

impl Service {
    /// Starts a fresh one, and waits until it is ready.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let topology = Topology::start(&directory.path().join("data"), &options);
        let mut service = Self { topology, directory, options };
        service.wait_until_ready().await;
        service
    }

    /// The data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(log_path(&self.data_dir())).unwrap()
    }

    /// A token with these claims beside a valid `exp`.
    pub(crate) fn token(&self, claims: Value) -> String {
        let key = std::fs::read(self.data_dir().join("jwt.key")).unwrap();
        sign(claims, key.trim_ascii())
    }

    /// Ends it as a power cut would, as far as a process can tell.
    pub(crate) fn kill(&mut self) {
        self.topology.processes().into_iter().for_each(Process::kill);
    }

    /// Ends it with SIGTERM.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal_terminate();
        let ended = self.topology.processes().into_iter().map(|process| process.child.wait().unwrap());
        ended.reduce(|all, one| if all.success() { one } else { all }).unwrap()
    }

    /// Sends SIGTERM and does not wait.
    pub(crate) fn signal_terminate(&mut self) {
        for process in self.topology.processes() {
            process.signal("TERM");
        }
    }

    /// Starts it again on the same data.
    pub(crate) async fn restart(&mut self) {
        self.topology = Topology::start(&self.data_dir(), &self.options);
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&mut self) {
        let processes = self.topology.processes().into_iter().map(|process| process.url()).collect::<Vec<_>>();
        let deadline = Instant::now() + Duration::from_secs(30);
        for url in processes.into_iter().chain([self.topology.url()]) {
            while !reqwest::get(format!("{url}/readyz")).await.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                assert!(Instant::now() < deadline, "the service is not ready after 30 s:\n{}", self.log());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// The binary under test.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_integrations"));
    command.env_remove("RUST_LOG");
    command
}

fn log_path(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("log")
}

/// A process of the service.
pub(crate) struct Process {
    pub(crate) child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where its metrics are, when that is elsewhere.
    metrics: Option<SocketAddr>,
}

impl Process {
    /// Starts one, and waits until it listens.
    pub(crate) fn start(arguments: &[&str], data_dir: &Path) -> Self {
        Self::start_in(&[arguments, &["--listen", "127.0.0.1:0"]].concat(), data_dir, &BTreeMap::new())
    }

    /// Starts one in an environment that says where it listens.
    pub(crate) fn start_in(arguments: &[&str], data_dir: &Path, environment: &BTreeMap<String, String>) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log_path(data_dir)).unwrap();
        let mut child = binary()
            .args(arguments)
            .arg("--data-dir")
            .arg(data_dir)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(Ok(first)) = lines.next() else {
            let status = child.wait().unwrap();
            panic!("the service ended with {status}:\n{}", std::fs::read_to_string(log_path(data_dir)).unwrap());
        };
        let (address, more) = first.strip_prefix("Listening on http://").unwrap().split_once(',').unwrap();
        let metrics = more.split_once(", metrics on http://").map(|(_, metrics)| metrics.parse().unwrap());
        // Whatever else it prints must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.parse().unwrap(), metrics }
    }

    /// Ends it as a power cut would, as far as a process can tell.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Where it is reached.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it measures of itself.
    pub(crate) async fn metrics(&self) -> Metrics {
        let answer = reqwest::get(format!("{}/metrics", self.metrics_url())).await.unwrap();
        Metrics(answer.text().await.unwrap())
    }

    /// Where its metrics are.
    pub(crate) fn metrics_url(&self) -> String {
        format!("http://{}", self.metrics.unwrap_or(self.address))
    }

    /// Sends it a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(kill.unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
