//! `integrations serve`: the wiring, and the only place that names concrete adapters. Starts, serves, drains.

use std::{
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use command::{Clock, Handler, KeyFile, KeyRing, Rewrapper, check_master_keys, run_janitor};
use events::{
    ids::{Position, PrincipalId, TenantId},
    store::{EventStore, Health, sqlite::SqliteStore},
    time::Timestamp,
};
use projector::{
    runner::{self, Progress},
    store::{ReadViews, Views as _, memory::MemoryViews},
    view::integrations::Integrations,
};
use query::Queries;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use web::{
    bearer::{Claims, PERMISSION_CREATE, TokenKey, Tokens, provider::Provider},
    client::TrustedProxies,
    layers::Stack,
    load::Load,
    metrics::Metrics,
    openapi,
    readiness::{Part, Readiness},
};

use crate::{
    Failure, cli, files, listen, provider,
    root::{self, Root},
    telemetry,
    token::now_seconds,
};

/// How often the replay tells how far it has come.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Runs the service until it is told to stop.
pub(crate) fn run(options: &cli::Serve) -> Result<(), Failure> {
    let _flush = telemetry::init();
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::Service(error.into()))?;
    runtime.block_on(serve(options))
}

/// What tells the service to stop: listened to before it serves anybody, so that no end is a rough one.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

/// Everything that the routes need.
struct Parts {
    store: Arc<dyn EventStore>,
    views: Arc<MemoryViews<Integrations>>,
    keys: Arc<KeyRing>,
    keys_to_rewrap: u64,
    tokens: Arc<Tokens>,
    provider: Option<Arc<Provider>>,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    load: Arc<Load>,
    tasks: TaskTracker,
}

async fn serve(options: &cli::Serve) -> Result<(), Failure> {
    let signals = Signals::listen().map_err(|error| Failure::Service(error.into()))?;
    let (readiness, metrics) = (Arc::new(readiness(options)), Arc::default());
    let provider = provider::of(options, &readiness, &metrics).await.map_err(Failure::Configuration)?;
    let is_first_start = !options.data.data_dir.join(events::store::sqlite::FILE_NAME).exists();
    let store = SqliteStore::open(&options.data.data_dir).map_err(|error| Failure::Configuration(error.into()))?;
    let store: Arc<dyn EventStore> = Arc::new(store);
    let (keys, keys_to_rewrap) = master_keys(options, &store).await?;
    let (tokens, token_key) = tokens(options, provider.as_ref()).map_err(Failure::Configuration)?;
    let listener = bind(options.listen).await?;
    let address = listener.local_addr().map_err(|error| Failure::Service(error.into()))?;
    let metrics_listener = match options.metrics_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let parts = Parts {
        store,
        views: Arc::default(),
        keys: Arc::new(keys),
        keys_to_rewrap,
        tokens: Arc::new(tokens),
        provider,
        readiness,
        metrics,
        load: Load::new(options.max_in_flight, options.max_waiting),
        tasks: TaskTracker::new(),
    };
    let stop = CancellationToken::new();
    let ended = start(options, &parts, listener, metrics_listener, &stop);
    greet(options, token_key.as_deref(), address, is_first_start);
    let outcome = wait(&parts, signals, ended).await;
    stop.cancel();
    parts.tasks.close();
    parts.tasks.wait().await;
    if outcome.is_ok() {
        tracing::info!("stopped");
    }
    outcome
}

fn readiness(options: &cli::Serve) -> Readiness {
    match options.provider.jwks {
        Some(_) => Readiness::waiting_for(&[Part::Views, Part::TokenKeys]),
        None => Readiness::waiting_for(&[Part::Views]),
    }
}

/// Whose tokens are trusted: a provider's, or else those that are signed with a key of the service's own, made at first
/// start.
fn tokens(options: &cli::Serve, provider: Option<&Arc<Provider>>) -> anyhow::Result<(Tokens, Option<Arc<TokenKey>>)> {
    if let Some(provider) = provider {
        return Ok((Tokens::issued_by(Arc::clone(provider), now_seconds), None));
    }
    let key = Arc::new(files::token_key(&options.data)?);
    Ok((Tokens::signed_with(Arc::clone(&key), now_seconds), Some(key)))
}

/// The master keys, made at first start; refused when they do not open what the log holds. Also how many data keys are
/// not under the active one.
async fn master_keys(options: &cli::Serve, store: &Arc<dyn EventStore>) -> Result<(KeyRing, u64), Failure> {
    let path = files::master_key_path(&options.data.data_dir, options.master_key_file.as_ref());
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
    let keys = KeyRing::new(Arc::clone(store), masters, KeyFile::new(path, &options.data.data_dir));
    keys.announce().await;
    Ok((keys, to_rewrap))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address}")).map_err(Failure::Configuration)
}

/// Starts everything that goes on beside the requests, and answers where it tells that the view cannot go on.
fn start(
    options: &cli::Serve,
    parts: &Parts,
    listener: TcpListener,
    metrics_listener: Option<TcpListener>,
    stop: &CancellationToken,
) -> watch::Receiver<Option<Arc<runner::Error>>> {
    let root = Root {
        store: Arc::clone(&parts.store),
        views: parts.views.clone(),
        readiness: Arc::clone(&parts.readiness),
        load: Arc::clone(&parts.load),
        metrics: Arc::clone(&parts.metrics),
    };
    let is_apart = metrics_listener.is_some();
    let router = stack(options, parts).wrap(routes(options, parts, &root, is_apart));
    if let Some(listener) = metrics_listener {
        let router = stack(options, parts).wrap(root::metrics_router(root).into());
        parts.tasks.spawn(listen::serve(listener, router, parts.tasks.clone(), stop.clone()));
    }
    parts.tasks.spawn(listen::serve(listener, router, parts.tasks.clone(), stop.clone()));
    parts.tasks.spawn(clean(Arc::clone(&parts.store), parts.views.checkpoint(), stop.clone()));
    if let Some(provider) = parts.provider.clone() {
        let stop = stop.clone();
        parts.tasks.spawn(async move { provider.run(stop).await });
    }
    parts.tasks.spawn(rewrapper(parts).run(parts.keys_to_rewrap, stop.clone()));
    let (failed, ended) = watch::channel(None);
    let (store, views, readiness) = (Arc::clone(&parts.store), Arc::clone(&parts.views), Arc::clone(&parts.readiness));
    let stopped = stop.clone();
    parts.tasks.spawn(async move {
        tokio::select! {
            error = project(&*store, &views, readiness) => {
                failed.send_replace(Some(Arc::new(error)));
            }
            () = stopped.cancelled() => {}
        }
    });
    ended
}

fn rewrapper(parts: &Parts) -> Rewrapper {
    let (store, keys) = (Arc::clone(&parts.store), Arc::clone(&parts.keys));
    Rewrapper { store, keys, clock: Clock(now), metrics: Arc::clone(&parts.metrics) }
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

fn routes(options: &cli::Serve, parts: &Parts, root: &Root, metrics_are_apart: bool) -> axum::Router {
    let settings = command::Settings { state_cache_bytes: options.state_cache_mib * 1_024 * 1_024 };
    let handler = Handler::new(
        Arc::clone(&parts.store),
        Arc::clone(&parts.keys),
        Clock(now),
        Arc::clone(&parts.metrics),
        settings,
        parts.tasks.clone(),
    );
    let views: Arc<dyn ReadViews<Integrations>> = parts.views.clone();
    let settings = query::Settings { cache_bytes: options.read_cache_mib * 1_024 * 1_024 };
    let queries = Queries::new(views, Arc::clone(&parts.store), settings);
    let mut api =
        command::router(Arc::new(handler)).merge(query::router(Arc::new(queries))).merge(root::router(root.clone()));
    if !metrics_are_apart {
        api = api.merge(root::metrics_router(root.clone()));
    }
    let (router, mut description) = api.split_for_parts();
    description.merge(root::openapi_routes().into_openapi());
    router.merge(root::openapi_router(openapi::describe(description, env!("CARGO_PKG_VERSION"))))
}

fn stack(options: &cli::Serve, parts: &Parts) -> Stack {
    Stack {
        tokens: Arc::clone(&parts.tokens),
        load: Arc::clone(&parts.load),
        readiness: Arc::clone(&parts.readiness),
        metrics: Arc::clone(&parts.metrics),
        trusted_proxies: TrustedProxies(options.trusted_proxy.clone()),
        cors_origins: options.cors_origin.clone(),
    }
}

/// Waits for a signal to stop, or for something that cannot go on.
async fn wait(
    parts: &Parts,
    mut signals: Signals,
    mut ended: watch::Receiver<Option<Arc<runner::Error>>>,
) -> Result<(), Failure> {
    let mut health = parts.store.health();
    tokio::select! {
        _ = signals.terminate.recv() => Ok(()),
        _ = signals.interrupt.recv() => Ok(()),
        _ = health.wait_for(|health| *health == Health::Lost) => {
            Err(Failure::Service(anyhow!("the event log cannot tell any more what is durable")))
        }
        failed = ended.wait_for(Option::is_some) => {
            let error = failed.ok().and_then(|error| error.clone());
            Err(match error {
                Some(error) => Failure::Service(anyhow!(error)),
                None => Failure::Service(anyhow!("the view has ended")),
            })
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
fn greet(options: &cli::Serve, key: Option<&TokenKey>, address: SocketAddr, is_first_start: bool) {
    let mut out = std::io::stdout();
    let data_dir = options.data.data_dir.display();
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
fn now() -> Timestamp {
    Timestamp::new(chrono::Utc::now())
}
