//! The log that the options name: on a server, or else in the data directory, where one process writes and others follow.

use std::{path::Path, sync::Arc};

use anyhow::anyhow;
use events::store::{
    EventStore,
    sqlite::{SqliteStore, follower::SqliteFollower},
};

use crate::{Failure, cli, files};

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

/// Refuses a verb that works on the file of an embedded log: what it found there would not be the log.
pub(crate) fn embedded_only(options: &cli::Log, verb: &str) -> Result<(), Failure> {
    match options.server() {
        None => Ok(()),
        Some(_) => {
            Err(Failure::Configuration(anyhow!("{verb} works on a log in the data directory, not on a server's")))
        }
    }
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
