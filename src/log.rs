//! The log that the options name: on a server, or else in the data directory, where one process writes and others follow.

use std::{path::Path, sync::Arc, time::Duration};

use events::{
    ids::Position,
    store::{
        Error, EventStore, Health,
        sqlite::{SqliteStore, follower::SqliteFollower},
    },
};
use tokio::{runtime::Runtime, time::timeout};

use crate::{Failure, cli, files};

/// How long a verb waits for a connection to a server before it asks why there is none.
const PATIENCE: Duration = Duration::from_secs(3);

/// The log, for a process that writes it. One on a server may not be there yet: its health tells.
pub(crate) fn write(options: &cli::Log, data_dir: &Path) -> Result<Arc<dyn EventStore>, Failure> {
    if let Some(store) = on_server(options)? {
        files::make_directory(data_dir).map_err(Failure::Configuration)?;
        return Ok(store);
    }
    Ok(Arc::new(SqliteStore::open(data_dir).map_err(|error| Failure::Configuration(error.into()))?))
}

/// The log, for a process that follows it. One on a server may not be there yet: its health tells.
pub(crate) fn follow(options: &cli::Log, data_dir: &Path) -> Result<Arc<dyn EventStore>, Failure> {
    if let Some(store) = on_server(options)? {
        return Ok(store);
    }
    Ok(Arc::new(SqliteFollower::open(data_dir).map_err(|error| Failure::Configuration(error.into()))?))
}

/// A log on a server, for a verb that has something to do there and ends.
pub(crate) struct OnServer {
    store: Arc<dyn EventStore>,
    runtime: Runtime,
}

impl OnServer {
    /// Connects to the server, if the options name one: it must be there within seconds.
    pub(crate) fn open(options: &cli::Log) -> Result<Option<Self>, Failure> {
        if options.server().is_none() {
            return Ok(None);
        }
        let runtime = Runtime::new().map_err(|error| Failure::Service(error.into()))?;
        let opened = runtime.block_on(async {
            let Some(store) = on_server(options)? else { return Ok(None) };
            let mut health = store.health();
            // A cluster may take longer to say who leads than a read would wait for it.
            let _ = timeout(PATIENCE, health.wait_for(|health| *health == Health::Ready)).await;
            // Whoever could not connect says why. The head is known once this is answered.
            store.read_all(Position::START, &[], 1).await.map_err(failed)?;
            Ok(Some(store))
        })?;
        Ok(opened.map(|store| Self { store, runtime }))
    }

    /// The log.
    pub(crate) fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    /// Waits for what is read of it.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        self.run(work).map_err(failed)
    }

    /// Waits for what is done to it.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

fn failed(error: Error) -> Failure {
    Failure::Service(error.into())
}

#[cfg(feature = "eventstoredb")]
fn on_server(options: &cli::Log) -> Result<Option<Arc<dyn EventStore>>, Failure> {
    let Some(url) = options.server() else { return Ok(None) };
    let store = events::store::eventstoredb::EventStoreDb::open(url);
    Ok(Some(Arc::new(store.map_err(|error| Failure::Configuration(error.into()))?)))
}

#[cfg(not(feature = "eventstoredb"))]
fn on_server(_: &cli::Log) -> Result<Option<Arc<dyn EventStore>>, Failure> {
    Ok(None)
}
