//! After a rotation: the file is looked at every second, and every data key is put under the active master key. Nothing
//! else in the log is rewritten. What was interrupted goes on with the next start.

use std::{sync::Arc, time::Duration};

use events::{
    ids::Position,
    store::{Error as StoreError, EventStore, walk::Read},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use web::metrics::Metrics;

use crate::{
    handler::Clock,
    keys::{self, KeyRing, Standing, keys_after},
};

/// How often the file is looked at, and progress is told.
const EVERY: Duration = Duration::from_secs(1);
/// How many appends are on their way at once: enough to make each sync worth it, few enough to leave room for commands.
const IN_FLIGHT: usize = 64;

#[derive(Debug, Error)]
enum Error {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("a data key cannot be had")]
    Keys(#[from] keys::Error),
}

/// What is not under the active master key.
#[derive(Default)]
struct Left {
    /// How many are to be put under it.
    to_rewrap: u64,
    /// How many cannot be had and stay as they are.
    unreadable: u64,
}

/// A rotation that has come to its end.
struct Done {
    active: String,
    rewrapped: u64,
    unreadable: u64,
}

impl Done {
    fn tell(&self) {
        let Self { active, rewrapped, unreadable } = self;
        if *unreadable == 0 {
            tracing::info!(
                master_key = active,
                rewrapped,
                "every data key is under the active master key, none is left to be re-wrapped"
            );
        } else {
            tracing::warn!(
                master_key = active,
                rewrapped,
                unreadable,
                "every data key that can be read is under the active master key; the others may need older ones"
            );
        }
    }
}

/// What puts data keys under the active master key.
#[derive(Debug)]
pub struct Rewrapper {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// The keys, whose file is looked at.
    pub keys: Arc<KeyRing>,
    /// The clock at the edge.
    pub clock: Clock,
    /// Where it tells how many are left.
    pub metrics: Arc<Metrics>,
}

impl Rewrapper {
    /// Works until it is told to stop; goes on after every failure. `left` data keys were not under the active master
    /// key when the service started.
    pub async fn run(self, left: u64, stop: CancellationToken) {
        tokio::select! {
            () = self.keep(left) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn keep(&self, left: u64) {
        self.metrics.keys_to_rewrap.set(left);
        let mut done_for = (left == 0).then(|| self.keys.masters().active().to_owned());
        let mut told = None;
        loop {
            self.look(&mut told).await;
            if done_for.as_deref() != Some(self.keys.masters().active()) {
                match self.rewrap_all().await {
                    Ok(done) => {
                        done.tell();
                        done_for = Some(done.active);
                    }
                    Err(error) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "re-wrapping data keys failed, and is tried again"
                        );
                    }
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Looks at the file; what is wrong with it is told once.
    async fn look(&self, told: &mut Option<String>) {
        let looked = self.keys.look().await;
        self.metrics.set_master_key(self.keys.masters().active());
        let Err(error) = looked else {
            *told = None;
            return;
        };
        let text = error.to_string();
        if error.is_final() || told.as_ref() != Some(&text) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the changed master key file is not taken up; the keys in use stay in use"
            );
        }
        *told = Some(text);
    }

    /// Goes through the log until a look at all of it finds nothing left that can be re-wrapped.
    async fn rewrap_all(&self) -> Result<Done, Error> {
        let mut rewrapped = 0;
        loop {
            let active = self.keys.masters().active().to_owned();
            let left = self.count().await?;
            self.metrics.keys_to_rewrap.set(left.to_rewrap + left.unreadable);
            if left.to_rewrap == 0 {
                return Ok(Done { active, rewrapped, unreadable: left.unreadable });
            }
            rewrapped += self.pass(&left).await?;
        }
    }

    async fn count(&self) -> Result<Left, Error> {
        let (mut after, mut left) = (Position::START, Left::default());
        loop {
            let page = keys_after(&*self.store, after).await?;
            for read in &page.reads {
                match self.keys.standing(read).await? {
                    Standing::UnderActive => {}
                    Standing::ToRewrap => left.to_rewrap += 1,
                    Standing::Unreadable => left.unreadable += 1,
                }
            }
            if page.is_last {
                return Ok(left);
            }
            after = page.through;
        }
    }

    /// One way through the log; how many it has re-wrapped.
    async fn pass(&self, left: &Left) -> Result<u64, Error> {
        let (mut after, mut rewrapped, mut told) = (Position::START, 0, Instant::now());
        loop {
            let page = keys_after(&*self.store, after).await?;
            let done = stream::iter(page.reads).map(|read| self.rewrap(read)).buffer_unordered(IN_FLIGHT);
            rewrapped += done.try_fold(0, async |sum, one| Ok(sum + one)).await?;
            self.metrics.keys_to_rewrap.set(left.to_rewrap.saturating_sub(rewrapped) + left.unreadable);
            if page.is_last || rewrapped >= left.to_rewrap {
                return Ok(rewrapped);
            }
            if told.elapsed() >= EVERY {
                told = Instant::now();
                tracing::info!(rewrapped, of = left.to_rewrap, "re-wrapping data keys");
            }
            after = page.through;
        }
    }

    /// Re-wraps one, if it is to be and can be: 1 or 0. One that was destroyed meanwhile stays so, and one that somebody
    /// else wrote is looked at again.
    async fn rewrap(&self, read: Read) -> Result<u64, Error> {
        let Some(wrapping) = self.keys.rewrap(&read, self.clock.now()).await? else {
            return Ok(0);
        };
        match self.store.append(vec![wrapping.write.clone()]).await {
            Ok(_) => Ok(1),
            Err(StoreError::Tombstoned { .. } | StoreError::WrongExpectedRevision { .. }) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
