//! The binary as a process: what it prints, on which channel, and how it ends.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{Client, sign};
use crate::service::binary;

/// A guard against waiting for ever.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// A running process. Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    stdout: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    stderr_ended: Option<JoinHandle<()>>,
}

/// How a process has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Its lines that were not read before.
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: String,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, stdout) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut pipe = child.stderr.take().unwrap();
        let stderr = Arc::<Mutex<String>>::default();
        let text = Arc::clone(&stderr);
        let stderr_ended = std::thread::spawn(move || {
            let mut bytes = vec![0; 65_536];
            while let Ok(count @ 1..) = pipe.read(&mut bytes) {
                text.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { child, stdout, stderr, stderr_ended: Some(stderr_ended) }
    }

    /// Starts `serve` on a data directory, on a free port.
    pub(crate) fn serve(data_dir: &Path, options: &[&str]) -> Self {
        Self::start(binary().args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir).args(options))
    }

    /// The next line that it prints; `None` when it has closed its output.
    pub(crate) fn line(&self) -> Option<String> {
        match self.stdout.recv_timeout(GUARD) {
            Ok(line) => Some(line),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("nothing was printed: {}", self.stderr()),
        }
    }

    /// Where it listens, as its next line says.
    pub(crate) fn url(&self) -> String {
        let line = self.line().unwrap_or_else(|| panic!("it printed nothing: {}", self.stderr()));
        let rest = line.trim_end().strip_prefix("Listening on ").unwrap_or_else(|| panic!("{line}"));
        rest.split_once(',').unwrap().0.to_owned()
    }

    /// Where it listens, once it is ready.
    pub(crate) async fn ready(&self) -> String {
        let url = self.url();
        eventually("the service is ready", async || {
            let answer = reqwest::get(format!("{url}/readyz")).await;
            answer.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        url
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Sends SIGTERM.
    pub(crate) fn signal_terminate(&self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Ended {
        let deadline = Instant::now() + GUARD;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(2));
        };
        if let Some(ended) = self.stderr_ended.take() {
            ended.join().unwrap();
        }
        Ended { status, stdout: self.stdout.iter().collect(), stderr: self.stderr() }
    }

    /// Ends it with SIGTERM.
    pub(crate) fn terminate(&mut self) -> Ended {
        self.signal_terminate();
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of the service at `url`, with a token of these claims signed with the key of a data directory.
pub(crate) fn client(url: &str, data_dir: &Path, claims: Value) -> Client {
    let key = std::fs::read(data_dir.join("jwt.key")).unwrap();
    with_token(url, &sign(claims, key.trim_ascii()))
}

/// A client of the service at `url` with this token.
pub(crate) fn with_token(url: &str, token: &str) -> Client {
    Client {
        url: url.to_owned(),
        metrics: None,
        nodes: Vec::new(),
        token: Some(token.to_owned()),
        http: reqwest::Client::new(),
    }
}

/// Looks again and again until it is so: nobody tells when a process or a file has changed.
#[track_caller]
pub(crate) fn eventually<'a>(
    what: &'a str,
    mut is_so: impl AsyncFnMut() -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + GUARD;
        while !is_so().await {
            assert!(Instant::now() < deadline, "{caller}: it does not come to be so that {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
