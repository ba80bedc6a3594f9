//! A client of the crate and our own half, made together and thrown away together.

use std::{
    fmt,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use eventstore::{BatchAppendClient, BatchAppendOptions, Client, Credentials, Endpoint, TombstoneStreamOptions};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

use super::{calls::Calls, failure::Failure, target::Target, transport::Transport};
use crate::{ids::Position, store::Cause, stream::StreamName};

/// How long a client may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// After so many errors of the server in a row the client is thrown away: it never looks for another node by itself.
const STRIKES_MAX: u32 = 3;

/// A way to the node that leads.
pub(super) struct Link {
    pub(super) generation: u64,
    client: Client,
    credentials: Option<Credentials>,
    pub(super) calls: Calls,
    pub(super) node: Endpoint,
    n_strikes: AtomicU32,
    _runtime: OwnRuntime,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("generation", &self.generation).field("node", &self.node).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects to a node, or to the one that leads; answers also where the log ends.
    pub(super) async fn connect(
        target: &Target,
        transport: &Transport,
        generation: u64,
        leader: Option<Endpoint>,
    ) -> Result<(Self, Position), Failure> {
        let node = match leader {
            Some(leader) => leader,
            None if target.is_cluster() => leader_of(target, transport).await?,
            None => first(target)?,
        };
        let calls = Calls::new(transport.client(target), target, &node);
        let end = calls.last_position().await?;
        let runtime = OwnRuntime::start().map_err(|error| Failure::Client(error.into()))?;
        let settings = target.settings_for(&node).map_err(|error| Failure::Client(error.into()))?;
        let client = Client::with_runtime_handle(runtime.handle(), settings)?;
        tokio::time::timeout(CONNECT_TIMEOUT, client.server_info())
            .await
            .map_err(|_| Failure::Client("the client does not connect".into()))??;
        let (n_strikes, credentials) = (AtomicU32::new(0), target.credentials());
        Ok((Self { generation, client, calls, node, credentials, n_strikes, _runtime: runtime }, end))
    }

    /// A session of appends.
    pub(super) async fn batch_append(&self) -> eventstore::Result<BatchAppendClient> {
        let options = BatchAppendOptions::default();
        let options = match self.credentials.clone() {
            Some(credentials) => options.authenticated(credentials),
            None => options,
        };
        self.client.batch_append(&options).await
    }

    /// Removes a stream for good; answers where, if the server tells it.
    pub(super) async fn tombstone(&self, stream: &StreamName) -> eventstore::Result<Option<eventstore::Position>> {
        let options = TombstoneStreamOptions::default();
        let options = match self.credentials.clone() {
            Some(credentials) => options.authenticated(credentials),
            None => options,
        };
        self.client.tombstone_stream(stream.as_str(), &options).await
    }

    /// The server has answered.
    pub(super) fn clear(&self) {
        if self.n_strikes.load(Ordering::Relaxed) > 0 {
            self.n_strikes.store(0, Ordering::Relaxed);
        }
    }

    /// The server has failed; whether that was once too often.
    pub(super) fn strike(&self) -> bool {
        self.n_strikes.fetch_add(1, Ordering::Relaxed) + 1 >= STRIKES_MAX
    }
}

fn first(target: &Target) -> Result<Endpoint, Failure> {
    target.seeds().first().cloned().ok_or_else(|| Failure::Client("no host is named".into()))
}

/// Asks the seeds, one after another, who leads.
async fn leader_of(target: &Target, transport: &Transport) -> Result<Endpoint, Failure> {
    let mut last: Cause = "no host is named".into();
    for seed in target.seeds() {
        let calls = Calls::new(transport.client(target), target, seed);
        match tokio::time::timeout(target.gossip_timeout(), calls.leader()).await {
            Ok(Ok(Some(leader))) => return Ok(leader),
            Ok(Ok(None)) => last = "no node leads".into(),
            Ok(Err(status)) => last = status.into(),
            Err(_) => last = "a node does not say who leads".into(),
        }
    }
    Err(Failure::Client(last))
}

/// A runtime on a thread of its own. The crate's connection task holds its own sender and never ends by itself: it goes
/// with its runtime.
pub(super) struct OwnRuntime {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl OwnRuntime {
    pub(super) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel::<()>());
        thread::Builder::new().name("eventstore".to_owned()).spawn(move || {
            // Ends when the other end is dropped.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, _stop: stop })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}
