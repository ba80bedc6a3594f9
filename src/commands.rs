//! What takes commands, and what looks after the keys that they need.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::anyhow;
use command::{Clock, Handler, KeyCheckError, KeyFile, KeyRing, Rewrapper, check_has_no_keys};
use events::{
    backoff::Backoff,
    store::{EventStore, Health},
    time::Timestamp,
};
use utoipa_axum::router::OpenApiRouter;
use web::readiness::Part;

use crate::{Failure, cli, files, service::Service};

/// The first and the longest pause before a log that cannot be read is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What takes commands.
pub(crate) struct Commands {
    store: Arc<dyn EventStore>,
    keys: Arc<KeyRing>,
    /// How many data keys are not under the active master key; `None` where the log, on a server, was not asked yet.
    to_rewrap: Option<u64>,
    state_cache_bytes: u64,
}

impl Commands {
    /// With the master keys. Beside an embedded log they are made at first start, and refused here when they do not open
    /// what it holds; a log on a server is not asked before [`Commands::look_after`].
    pub(crate) async fn prepare(
        options: &cli::Writing,
        data_dir: &Path,
        store: &Arc<dyn EventStore>,
    ) -> Result<Self, Failure> {
        let path = files::master_key_path(data_dir, options.master_key_file.as_ref());
        let found = files::master_keys(&path).map_err(Failure::Configuration)?;
        if found.is_none() && options.master_key_file.is_some() {
            return Err(Failure::Configuration(anyhow!("there is no master key file {}", path.display())));
        }
        let is_embedded = store.is_sole_writer();
        let masters = match found {
            Some(masters) => masters,
            None if is_embedded => {
                check_has_no_keys(&**store).await.map_err(|error| does_not_open(&path, error))?;
                files::make_master_keys(&path).map_err(Failure::Configuration)?
            }
            None => {
                return Err(Failure::Configuration(anyhow!(
                    "there is no master key file {0}: whoever writes a log on a server is given the same one; the first is \
                     made with: echo \"first $(head -c 32 /dev/urandom | base64)\" > {0}",
                    path.display()
                )));
            }
        };
        let keys = KeyRing::new(Arc::clone(store), masters, KeyFile::new(path.clone(), data_dir));
        let to_rewrap =
            if is_embedded { Some(keys.check().await.map_err(|error| does_not_open(&path, error))?) } else { None };
        keys.announce().await;
        let state_cache_bytes = options.state_cache_mib * 1_024 * 1_024;
        Ok(Self { store: Arc::clone(store), keys: Arc::new(keys), to_rewrap, state_cache_bytes })
    }

    /// The data keys, for whoever else must forget them.
    pub(crate) fn keys(&self) -> Arc<KeyRing> {
        Arc::clone(&self.keys)
    }

    /// The routes.
    pub(crate) fn router(&self, service: &Service) -> OpenApiRouter {
        command::router(Arc::new(Handler::new(
            Arc::clone(&self.store),
            Arc::clone(&self.keys),
            Clock(now),
            Arc::clone(&service.metrics),
            command::Settings { state_cache_bytes: self.state_cache_bytes },
            service.tasks.clone(),
        )))
    }

    /// Lets commands in once the log is there and the master keys open what it holds; then re-wraps data keys whenever the
    /// master key changes. Keys that do not open it end the process.
    pub(crate) fn look_after(&self, service: &Service) {
        let (store, keys) = (Arc::clone(&self.store), Arc::clone(&self.keys));
        let rewrapper = Rewrapper { store, keys, clock: Clock(now), metrics: Arc::clone(&service.metrics) };
        if let Some(to_rewrap) = self.to_rewrap {
            service.readiness.set_ready(Part::Log);
            service.tasks.spawn(rewrapper.run(to_rewrap, service.stop.clone()));
            return;
        }
        let (store, keys, readiness) =
            (Arc::clone(&self.store), Arc::clone(&self.keys), Arc::clone(&service.readiness));
        let (stop, failures) = (service.stop.clone(), service.failures());
        service.spawn(async move {
            match check(&*store, &keys).await {
                Ok(to_rewrap) => {
                    readiness.set_ready(Part::Log);
                    rewrapper.run(to_rewrap, stop).await;
                }
                Err(error) => drop(failures.try_send(Failure::Configuration(error.into()))),
            }
        });
    }
}

fn does_not_open(path: &Path, error: KeyCheckError) -> Failure {
    Failure::Configuration(anyhow::Error::new(error).context(format!("master key file {}", path.display())))
}

/// Asks the log, whenever it is there, until it has answered whether the master keys open it.
async fn check(store: &dyn EventStore, keys: &KeyRing) -> Result<u64, KeyCheckError> {
    let (mut health, mut backoff) = (store.health(), Backoff::new(PAUSES.0, PAUSES.1));
    if *health.borrow() != Health::Ready {
        tracing::info!("waiting for the event log");
    }
    loop {
        // It ends with the store only.
        let _ = health.wait_for(|health| *health == Health::Ready).await;
        match keys.check().await {
            Err(KeyCheckError::Store(error)) if error.is_retryable() => tokio::time::sleep(backoff.pause()).await,
            checked => return checked,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: the clock of the service")]
pub(crate) fn now() -> Timestamp {
    Timestamp::new(chrono::Utc::now())
}
