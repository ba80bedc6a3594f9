//! `integrations projector`: makes views of the log in PostgreSQL, and publishes it to Kafka. Of many that run, one has
//! the lease for each of the two and works; the others stand by.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use events::{ids::Position, store::EventStore};
use projector::{
    runner::{self, Progress},
    store::{
        Error as ViewError, ParkedStreams, Views,
        postgres::{Database, Lease, PostgresWriter, SchemaError, migrate},
    },
    view::integrations::Integrations,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use web::readiness::{Part, Readiness};

use super::greet;
use crate::{
    Failure, cli, files, log,
    root::Root,
    service::{self, Service},
};

/// How long a projector that says nothing keeps its lease.
pub(crate) const LEASE: Duration = Duration::from_secs(5);
/// How often one that stands by looks whether it may work, and how long what is away is left alone.
pub(crate) const TRY_EVERY: Duration = Duration::from_secs(1);
/// How long it takes to look for the live generation after one was not that any more.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How often the rows of documents that were deleted long ago are removed.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

/// Runs the role until it is told to stop.
pub(crate) fn run(options: &cli::Projector, data_dir: &Path) -> Result<(), Failure> {
    service::run(projector(options, data_dir))
}

async fn projector(options: &cli::Projector, data_dir: &Path) -> Result<(), Failure> {
    #[cfg(feature = "kafka")]
    let publisher = crate::publish::Publisher::of(&options.kafka).map_err(Failure::Configuration)?;
    let service = Service::new(&options.http, &[Part::ViewStore, Part::Views])?;
    let database = files::database(&options.view_store).map_err(Failure::Configuration)?;
    let store = log::follow(&options.log, data_dir)?;
    let listeners = service.bind(options.listen, &options.http).await?;
    let address = listeners.address;
    let progress = Arc::new(Fed::default());
    let views: Arc<dyn Views<Integrations>> = progress.clone();
    let root = Root::of(&service, &store, Some(views));
    #[cfg(feature = "kafka")]
    let root = Root { publishing: publisher.as_ref().map(|publisher| publisher.published()), ..root };
    #[cfg(feature = "kafka")]
    if let Some(publisher) = publisher {
        let publishing = publisher.run_in_turns(database.clone(), Arc::clone(&store), service.stop.clone());
        service.tasks.spawn(publishing);
    }
    service.answer(&options.http, listeners, None, root, OpenApiRouter::new());
    let (readiness, ended) = (Arc::clone(&service.readiness), service.ended());
    let feeder = Feeder { store: Arc::clone(&store), database, progress, readiness };
    let stop = service.stop.clone();
    service.tasks.spawn(async move {
        if let Err(error) = feeder.feed(&stop).await {
            ended.send_replace(Some(Arc::new(Failure::Service(error))));
        }
    });
    greet("projector", address);
    service.run(&*store).await
}

/// How far the view is, as this process knows.
#[derive(Debug, Default)]
struct Fed {
    checkpoint: watch::Sender<Position>,
    parked: ArcSwap<ParkedStreams>,
}

impl Views<Integrations> for Fed {
    fn checkpoint(&self) -> watch::Receiver<Position> {
        self.checkpoint.subscribe()
    }

    fn parked(&self) -> Arc<ParkedStreams> {
        self.parked.load_full()
    }
}

struct Feeder {
    store: Arc<dyn EventStore>,
    database: Database,
    progress: Arc<Fed>,
    readiness: Arc<Readiness>,
}

impl Feeder {
    /// Feeds the view whenever it is this process's turn, until the service stops.
    async fn feed(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        let (mut told, mut is_migrated) = (None, false);
        loop {
            let result = self.turn(stop, &mut is_migrated).await;
            if stop.is_cancelled() {
                return Ok(());
            }
            let mut pause = TRY_EVERY;
            match result {
                Ok(()) => told = None,
                Err(error) if is_rebuilt(&error) => {
                    tracing::info!("another generation of the view is live now; going on with that");
                    pause = LOOK_AGAIN_AFTER;
                }
                Err(error) if error.is::<SchemaError>() && !is_away(&error) => return Err(error),
                Err(error) => {
                    // What is away for long is told once.
                    let text = format!("{error:#}");
                    if told.as_ref() != Some(&text) {
                        tracing::error!(error = text, "the view cannot be fed; trying again");
                        told = Some(text);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Takes the lease if it is free, and feeds the view while it has it.
    async fn turn(&self, stop: &CancellationToken, is_migrated: &mut bool) -> anyhow::Result<()> {
        if !*is_migrated {
            migrate(&self.database).await?;
            self.readiness.set_ready(Part::ViewStore);
            *is_migrated = true;
        }
        let name = PostgresWriter::<Integrations>::lease_name();
        let holder = format!("process {}", std::process::id());
        let Some(lease) = Lease::try_take(&self.database, &name, &holder, LEASE).await? else {
            // It is there to take over, and ready for that.
            self.readiness.set_ready(Part::Views);
            return Ok(());
        };
        tracing::info!(lease = name, "feeding the view");
        let ended = tokio::select! {
            ended = self.work(lease.clone()) => ended,
            error = lease.keep() => error.into(),
            () = stop.cancelled() => {
                lease.release().await?;
                return Ok(());
            }
        };
        // Whoever comes next need not wait for it to run out. If it cannot be given back, it will.
        let _ = lease.release().await;
        Err(ended)
    }

    async fn work(&self, lease: Lease) -> anyhow::Error {
        let writer = match PostgresWriter::<Integrations>::open(lease).await {
            Ok(writer) => writer,
            Err(error) => return error.into(),
        };
        let tidying = async {
            loop {
                match writer.forget_deleted().await {
                    Ok(forgotten) => tracing::debug!(forgotten, "rows of deleted documents are removed"),
                    Err(error) => return error,
                }
                tokio::time::sleep(TIDY_EVERY).await;
            }
        };
        let started = Instant::now();
        let tell = |progress| {
            self.progress.parked.store(writer.parked());
            match progress {
                Progress::Replaying(_) => {}
                Progress::Reached(position) => drop(self.progress.checkpoint.send_replace(position)),
                Progress::CaughtUp => {
                    self.progress.checkpoint.send_replace(*writer.checkpoint().borrow());
                    self.readiness.set_ready(Part::Views);
                    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(position = writer.checkpoint().borrow().get(), duration_ms = ms, "caught up");
                }
            }
        };
        tokio::select! {
            ended = runner::run::<Integrations>(&*self.store, &writer, tell) => match ended {
                Err(error) => error.into(),
            },
            error = tidying => error.into(),
        }
    }
}

/// Whether the generation that was fed is not the live one any more.
fn is_rebuilt(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<runner::Error>(), Some(runner::Error::Views(ViewError::Elsewhere { .. })))
}

/// Whether it is only that the database is away.
fn is_away(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<SchemaError>(), Some(SchemaError::Store(ViewError::Unavailable(_))))
}
