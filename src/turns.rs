//! Turns: of many processes that could do some work, the one that has its lease does.

use std::time::Duration;

use projector::store::{
    Error,
    postgres::{Database, Lease, migrate},
};

/// How long a process that says nothing keeps its turn.
const LEASE: Duration = Duration::from_secs(5);
/// How often one that stands by looks whether it is its turn, and how long what is away is left alone.
pub(crate) const TRY_EVERY: Duration = Duration::from_secs(1);

/// The turns of a process on some work.
#[derive(Debug)]
pub(crate) struct Turns {
    database: Database,
    lease: String,
    is_migrated: bool,
}

impl Turns {
    /// Those that the lease of this name decides on.
    pub(crate) fn new(database: Database, lease: String) -> Self {
        Self { database, lease, is_migrated: false }
    }

    /// Takes the next turn, if it is nobody else's. The database has the schema of this release from then on.
    ///
    /// # Errors
    /// See [`SchemaError`](projector::store::postgres::SchemaError) and [`enum@Error`].
    pub(crate) async fn take(&mut self) -> anyhow::Result<Option<Lease>> {
        if !self.is_migrated {
            migrate(&self.database).await?;
            self.is_migrated = true;
        }
        Ok(take(&self.database, &self.lease, LEASE).await?)
    }
}

/// Takes a lease in this process's name, if it is free.
///
/// # Errors
/// See [`Lease::try_take`].
pub(crate) async fn take(database: &Database, lease: &str, ttl: Duration) -> Result<Option<Lease>, Error> {
    Lease::try_take(database, lease, &format!("process {}", std::process::id()), ttl).await
}
