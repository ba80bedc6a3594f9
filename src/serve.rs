//! `integrations serve`: everything in one process, the log in a file and the views in memory.

use std::{
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use command::{Clock, Handler, KeyFile, KeyRing, Rewrapper, check_master_keys, run_janitor};
use events::{
    ids::{Position, PrincipalId, TenantId},
    store::{EventStore, sqlite::SqliteStore},
    time::Timestamp,
};
use projector::{
    runner::{self, Progress},
    store::{ReadViews, Views, memory::MemoryViews},
    view::integrations::Integrations,
};
use query::Queries;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use web::{
    bearer::{Claims, PERMISSION_CREATE, TokenKey},
    readiness::{Part, Readiness},
};

use crate::{
    Failure, cli, files,
    root::Root,
    service::{self, Service, Trust},
    token::now_seconds,
};

/// How often the replay tells how far it has come.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Runs the service until it is told to stop.
pub(crate) fn run(options: &cli::Serve, data_dir: &Path) -> Result<(), Failure> {
    service::run(serve(options, data_dir))
}

async fn serve(options: &cli::Serve, data_dir: &Path) -> Result<(), Failure> {
    #[cfg(feature = "kafka")]
    let publisher = crate::publish::Publisher::of(&options.kafka).map_err(Failure::Configuration)?;
    let service = Service::new(&options.http, &service::with_tokens(&[Part::Views], &options.identity))?;
    let provider = service.provider(&options.identity).await?;
    let is_first_start = !data_dir.join(events::store::sqlite::FILE_NAME).exists();
    let store = SqliteStore::open(data_dir).map_err(|error| Failure::Configuration(error.into()))?;
    let store: Arc<dyn EventStore> = Arc::new(store);
    let commands = Commands::prepare(&options.writing, data_dir, &store).await?;
    let trust = Trust::of(&options.identity, data_dir, provider.as_ref())?;
    let listeners = service.bind(options.listen, &options.http).await?;
    let address = listeners.address;
    let memory = Arc::<MemoryViews<Integrations>>::default();
    let (views, readable): (Arc<dyn Views<_>>, Arc<dyn ReadViews<_>>) = (memory.clone(), memory.clone());
    let queries = Queries::new(readable, Arc::clone(&store), query_settings(&options.reading));
    let api = commands.router(&service).merge(query::router(Arc::new(queries)));
    let root = Root::of(&service, &store, Some(views));
    #[cfg(feature = "kafka")]
    let root = Root { publishing: publisher.as_ref().map(|publisher| publisher.published()), ..root };
    #[cfg(feature = "kafka")]
    if let Some(publisher) = publisher {
        service.tasks.spawn(publisher.run(Arc::clone(&store), service.stop.clone()));
    }
    service.answer(&options.http, listeners, Some(trust.tokens), root, api);
    commands.look_after(&service);
    service.tasks.spawn(clean(Arc::clone(&store), memory.checkpoint(), service.stop.clone()));
    let (log, readiness, ended) = (Arc::clone(&store), Arc::clone(&service.readiness), service.ended());
    service.spawn(async move {
        let error = project(&*log, &memory, readiness).await;
        ended.send_replace(Some(Arc::new(error.into())));
    });
    greet(data_dir, trust.key.as_deref(), address, is_first_start);
    service.run(&*store).await
}

/// What takes commands, and what looks after the keys that they need.
pub(crate) struct Commands {
    store: Arc<dyn EventStore>,
    keys: Arc<KeyRing>,
    to_rewrap: u64,
    state_cache_bytes: u64,
}

impl Commands {
    /// With the master keys, made at first start; refused when they do not open what the log holds.
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
        let to_rewrap = check_master_keys(&**store, found.as_ref())
            .await
            .with_context(|| format!("master key file {}", path.display()))
            .map_err(Failure::Configuration)?;
        let masters = match found {
            Some(masters) => masters,
            None => files::make_master_keys(&path).map_err(Failure::Configuration)?,
        };
        let keys = KeyRing::new(Arc::clone(store), masters, KeyFile::new(path, data_dir));
        keys.announce().await;
        let state_cache_bytes = options.state_cache_mib * 1_024 * 1_024;
        Ok(Self { store: Arc::clone(store), keys: Arc::new(keys), to_rewrap, state_cache_bytes })
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

    /// Re-wraps data keys whenever the master key changes.
    pub(crate) fn look_after(&self, service: &Service) {
        let (store, keys) = (Arc::clone(&self.store), Arc::clone(&self.keys));
        let rewrapper = Rewrapper { store, keys, clock: Clock(now), metrics: Arc::clone(&service.metrics) };
        service.tasks.spawn(rewrapper.run(self.to_rewrap, service.stop.clone()));
    }
}

/// What reads may take.
pub(crate) fn query_settings(options: &cli::Reading) -> query::Settings {
    query::Settings { cache_bytes: options.read_cache_mib * 1_024 * 1_024 }
}

/// Runs the janitor once the log is replayed: that an event cannot be read is told once, by the view.
async fn clean(store: Arc<dyn EventStore>, mut replayed: watch::Receiver<Position>, stop: CancellationToken) {
    let head = *store.head().borrow();
    let is_replayed = tokio::select! {
        reached = replayed.wait_for(|position| *position >= head) => reached.is_ok(),
        () = stop.cancelled() => false,
    };
    if is_replayed {
        run_janitor(store, Clock(now), stop).await;
    }
}

/// Feeds the view for as long as it can go on.
async fn project(
    store: &dyn EventStore,
    views: &MemoryViews<Integrations>,
    readiness: Arc<Readiness>,
) -> runner::Error {
    let mut replay = Replay::new(store.head().borrow().get(), readiness);
    loop {
        let Err(error) = runner::run::<Integrations>(store, views, |progress| replay.tell(progress)).await;
        match &error {
            runner::Error::Events(cause) if cause.is_retryable() => {
                tracing::error!(error = cause as &dyn std::error::Error, "the log cannot be followed; trying again");
                tokio::time::sleep(PROGRESS_EVERY).await;
            }
            runner::Error::Events(_) | runner::Error::Views(_) => return error,
        }
    }
}

/// The replay at start, told as it goes on.
struct Replay {
    events: u64,
    started: Instant,
    told: Instant,
    readiness: Arc<Readiness>,
}

impl Replay {
    fn new(events: u64, readiness: Arc<Readiness>) -> Self {
        Self { events, started: Instant::now(), told: Instant::now(), readiness }
    }

    fn tell(&mut self, progress: Progress) {
        match progress {
            Progress::Replaying(position) if self.told.elapsed() >= PROGRESS_EVERY && position.get() <= self.events => {
                self.told = Instant::now();
                tracing::info!(position = position.get(), of = self.events, "replaying the log");
            }
            Progress::Replaying(_) | Progress::Reached(_) => {}
            Progress::CaughtUp => {
                self.readiness.set_ready(Part::Views);
                let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(position = self.events, duration_ms = ms, "ready: the log is replayed");
            }
        }
    }
}

/// The first thing that a newcomer sees. Nobody may be there to read it.
fn greet(data_dir: &Path, key: Option<&TokenKey>, address: SocketAddr, is_first_start: bool) {
    let mut out = std::io::stdout();
    let data_dir = data_dir.display();
    let _ = writeln!(out, "Listening on http://{address}, data in {data_dir}");
    // With a provider it is the provider who gives tokens.
    let Some(key) = key.filter(|_| is_first_start) else {
        return;
    };
    let _ = match first_token(key).ok().filter(|_| out.is_terminal()) {
        Some(token) => {
            writeln!(out, "Try it:\n  curl -H 'Authorization: Bearer {token}' http://{address}/api/integrations")
        }
        None => writeln!(
            out,
            "For a token: integrations token --data-dir {data_dir} --tenant demo --user admin --permission \
             {PERMISSION_CREATE}"
        ),
    };
}

fn first_token(key: &TokenKey) -> anyhow::Result<String> {
    let claims = Claims {
        sub: PrincipalId::parse("admin")?,
        tenant: TenantId::parse("demo")?,
        exp: now_seconds() + 24 * 3_600,
        name: None,
        email: None,
        groups: Vec::new(),
        permissions: vec![PERMISSION_CREATE.to_owned()],
        user: std::collections::BTreeMap::new(),
    };
    Ok(key.mint(&claims)?)
}

#[expect(clippy::disallowed_methods, reason = "the edge: the clock of the service")]
pub(crate) fn now() -> Timestamp {
    Timestamp::new(chrono::Utc::now())
}
