//! The product under measurement: the release binary with default options, its log at `info` going into a file.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    load::Target,
    wire::{Connection, request},
};

/// A running service. Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Product {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Product {
    /// Starts all of it on a data directory and waits until it is ready.
    pub(crate) fn start(data_dir: &Path, options: &[String]) -> Self {
        Self::start_role("serve", data_dir, options)
    }

    /// Starts one of its roles.
    pub(crate) fn start_role(role: &str, data_dir: &Path, options: &[String]) -> Self {
        let log = data_dir.with_extension(format!("{role}.log"));
        let mut child = command()
            .args([role, "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().map(Result::unwrap);
        let url = first.as_deref().and_then(|line| line.strip_prefix("Listening on http://"));
        let Some((address, _)) = url.and_then(|rest| rest.split_once(',')) else {
            let status = child.wait().unwrap();
            panic!("the service ended with {status}:\n{}", std::fs::read_to_string(&log).unwrap());
        };
        let product = Self { address: address.parse().unwrap(), child, log };
        // Whatever else it prints must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        product.wait_until_ready();
        product
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(300);
        let mut connection = self.connect();
        let readyz = request("GET", "/readyz", &[], "");
        loop {
            connection.send(&readyz).unwrap();
            if connection.receive().unwrap().status == 200 {
                return;
            }
            assert!(Instant::now() < deadline, "the service does not get ready");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A connection to it.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address).unwrap()
    }

    /// What is measured. Its log so far is thrown away, so that hours of requests do not fill the disk.
    pub(crate) fn target(&self) -> Target {
        File::options().write(true).open(&self.log).unwrap().set_len(0).unwrap();
        Target { pid: self.child.id(), address: self.address }
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// The binary, with nothing of this process's environment that would change its options.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_integrations"));
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("INTEGRATIONS_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG");
    command
}

/// Whether the help of these arguments names a verb or an option: not every release has each.
pub(crate) fn knows(arguments: &[&str], wanted: &str) -> bool {
    let output = command().args(arguments).arg("--help").output().unwrap();
    String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == wanted)
}
