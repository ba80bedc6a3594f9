//! A PostgreSQL cluster of the tests' own, with a database for each test.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::free_port;

/// What a cluster of tests, which does not outlive them, does without.
const HASTY: [&str; 2] = ["fsync=off", "full_page_writes=off"];

/// A running cluster, which ends when this is dropped or with the process. Its files belong to its own user.
#[derive(Debug)]
pub struct Postgres {
    script: Child,
    port: u16,
    databases: AtomicU32,
    talk: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Postgres {
    /// Starts one that does not sync, which is faster. PostgreSQL is installed where it is missing.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[], &HASTY)
    }

    /// Starts one that keeps what it commits through a power cut, as production's does; for measurements.
    #[must_use]
    pub fn start_durable() -> Self {
        Self::start_with(&[], &[])
    }

    /// Starts one that takes TLS, with a certificate and its key (PEM).
    #[must_use]
    pub fn start_with_tls(certificate: &str, key: &str) -> Self {
        Self::start_with(&[("server.crt", certificate), ("server.key", key)], &HASTY)
    }

    fn start_with(files: &[(&str, &str)], settings: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("integrations-postgres-").tempdir().unwrap().keep();
        for (name, text) in files {
            fs::write(directory.join(name), text).unwrap();
        }
        let port = free_port();
        let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/postgres.sh"))
            .arg(directory)
            .arg(port.to_string())
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let talk = (script.stdin.take().unwrap(), BufReader::new(script.stdout.take().unwrap()));
        let postgres = Self { script, port, databases: AtomicU32::new(0), talk: Mutex::new(Some(talk)) };
        postgres.hear("ready");
        postgres
    }

    /// A connection string to an empty database.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.say(&format!("database {name}"));
        format!("postgres://integrations@127.0.0.1:{}/{name}", self.port)
    }

    /// Ends the cluster as a power cut would.
    pub fn stop(&self) {
        self.say("stop");
    }

    /// Starts it again, with its data.
    pub fn start_again(&self) {
        self.say("start");
    }

    fn say(&self, what: &str) {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(talk.as_mut().unwrap().0, "{what}").unwrap();
        drop(talk);
        self.hear("done");
    }

    fn hear(&self, expected: &str) {
        let mut line = String::new();
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        talk.as_mut().unwrap().1.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), expected, "what tests/servers/postgres.sh says");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The script ends with its input.
        *self.talk.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.script.wait();
    }
}
