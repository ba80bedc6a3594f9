//! The proxy in front of the roles, with the product's own configuration file.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::free_port;

/// A running proxy, which ends when this is dropped.
#[derive(Debug)]
pub struct Haproxy {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Haproxy {
    /// Starts one in front of two processes of each role, which may be the same. It is installed where it is missing.
    #[must_use]
    pub fn start(command: [SocketAddr; 2], query: [SocketAddr; 2]) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let child = Command::new(here.join("haproxy.sh"))
            .arg(here.join("../../deploy/haproxy.cfg"))
            .env("PROXY_LISTEN", address.to_string())
            .env("COMMAND_1", command[0].to_string())
            .env("COMMAND_2", command[1].to_string())
            .env("QUERY_1", query[0].to_string())
            .env("QUERY_2", query[1].to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut proxy = Self { child, address };
        let deadline = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(address).is_err() {
            assert!(proxy.child.try_wait().unwrap().is_none(), "the proxy has ended");
            assert!(Instant::now() < deadline, "the proxy does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        proxy
    }

    /// The id of its process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
