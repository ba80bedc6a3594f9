//! A protocol peer of EventStoreDB, for tests: it speaks the part of the server's gRPC protocol that a client of event
//! streams uses, over a log of its own, and does wrong when it is asked to.
//!
//! It is no server: one node, no users but one, no projections, no persistent subscriptions, no soft deletes, no
//! scavenging, no durability beyond the operating system's. It shares no code with what it is there to test.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::oneshot;

pub use self::{
    faults::{Fault, UnknownFault},
    state::Counts,
};
use self::{
    log::{Event, Log},
    state::State,
};

mod connection;
mod faults;
pub mod log;
mod read;
mod service;
mod session;
mod state;
mod subscription;
mod wire;

/// How long its end may take.
const END_MAX: Duration = Duration::from_secs(5);

/// How a peer is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where it listens, on 127.0.0.1; 0 is a free one.
    pub port: u16,
    /// Where it keeps its log; in memory when there is none.
    pub directory: Option<PathBuf>,
    /// The user and the password that every call must bring; none when anybody may call.
    pub user: Option<(String, String)>,
}

/// A peer. Dropping it ends it as a kill would: what was answered is in the file, connections are cut.
#[derive(Debug)]
pub struct Peer {
    options: Options,
    address: SocketAddr,
    /// `None` while it is stopped.
    running: Mutex<Option<Running>>,
}

/// A running peer, on a thread of its own, until it is dropped.
#[derive(Debug)]
struct Running {
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Starts one.
    ///
    /// # Errors
    /// When the port is taken or the log cannot be opened.
    pub fn start(options: &Options) -> io::Result<Self> {
        let (address, running) = Running::start(options)?;
        let options = Options { port: address.port(), ..options.clone() };
        Ok(Self { options, address, running: Mutex::new(Some(running)) })
    }

    /// Ends it as a kill would.
    pub fn stop(&self) {
        drop(self.running().take());
    }

    /// Starts it again where it was, with what is in its file.
    ///
    /// # Errors
    /// As [`Peer::start`].
    pub fn start_again(&self) -> io::Result<()> {
        let mut running = self.running();
        drop(running.take());
        *running = Some(Running::start(&self.options)?.1);
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.running().as_ref().expect("the peer runs").state)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection string for it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("esdb://{}?tls=false", self.address)
    }

    /// Does a fault, or puts it in force.
    pub fn fault(&self, fault: &Fault) {
        self.state().fault(fault);
    }

    /// Every event that stands in the log, in its order.
    #[must_use]
    pub fn events(&self) -> Vec<Arc<Event>> {
        let state = self.state();
        let log = state.log();
        (0..log.len()).filter_map(|at| log.event(at).map(Arc::clone)).collect()
    }

    /// Changes an event where it stands in the log, behind everybody's back; answers whether it is there.
    pub fn alter(&self, stream: &str, revision: u64, change: impl FnOnce(&mut Event)) -> bool {
        self.state().log().alter(stream, revision, change)
    }

    /// Shows only the last so many events of a stream to who reads it, as its metadata may ask for.
    pub fn limit(&self, stream: &str, max_count: Option<u64>) {
        self.state().log().limit(stream, max_count);
    }

    /// What it has counted since it was started.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts()
    }
}

impl Running {
    fn start(options: &Options) -> io::Result<(SocketAddr, Self)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let log = Log::open(options.directory.as_deref())?;
        let state = Arc::new(State::new(log, address, options.user.as_ref()));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&state);
        let thread = std::thread::Builder::new().name("peer".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = connection::serve(listener, serving) => {}
                    _ = stopped => {}
                }
            });
            // Its tasks are gone when it has ended, and its port is free.
            runtime.shutdown_timeout(END_MAX);
        })?;
        Ok((address, Self { state, stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to end.
            let _ = thread.join();
        }
    }
}
