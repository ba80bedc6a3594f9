//! What every role is around its own work: signals, listeners, the door, health, and an end that drains.

use std::{
    collections::BTreeSet,
    io::Write as _,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, anyhow};
use events::{
    store::{EventStore, Health},
    trace::Collector,
};
use projector::view;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use utoipa_axum::router::OpenApiRouter;
use web::{
    bearer::{TokenKey, Tokens, provider::Provider},
    client::TrustedProxies,
    layers::{AtHand, Stack},
    load::Load,
    metrics::Metrics,
    openapi,
    readiness::{Part, Readiness},
};

use crate::{
    Failure, cli, files, listen, provider,
    root::{self, Root},
    telemetry::{self, spans::Spans},
    token::now_seconds,
};

/// A process of the service.
pub(crate) struct Service {
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) load: Arc<Load>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    spans: Option<Spans>,
    failures: (mpsc::Sender<Failure>, mpsc::Receiver<Failure>),
    signals: Signals,
}

/// What a role answers under `/api`.
pub(crate) struct Api {
    pub(crate) routes: OpenApiRouter,
    /// What can be answered without going through the routes.
    pub(crate) at_hand: Option<Arc<dyn AtHand>>,
}

impl From<OpenApiRouter> for Api {
    fn from(routes: OpenApiRouter) -> Self {
        Self { routes, at_hand: None }
    }
}

/// Whose tokens are taken.
pub(crate) struct Trust {
    pub(crate) tokens: Arc<Tokens>,
    /// The service's own key, unless a provider signs.
    pub(crate) key: Option<Arc<TokenKey>>,
}

/// A part that is ready once every view is.
pub(crate) struct EachView {
    readiness: Arc<Readiness>,
    part: Part,
    waits_for: Mutex<BTreeSet<&'static str>>,
}

/// What it listens on.
pub(crate) struct Listeners {
    requests: TcpListener,
    metrics: Option<TcpListener>,
    pub(crate) addresses: Addresses,
}

/// Where it listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) requests: SocketAddr,
    metrics: Option<SocketAddr>,
}

/// What tells the service to stop: listened to before it serves anybody, so that no end is a rough one.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Runs a role until it ends.
pub(crate) fn run(role: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let _flush = telemetry::init();
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::Service(error.into()))?;
    runtime.block_on(role)
}

impl Service {
    /// One that is not ready before each of these parts is, and goes by this name where spans are collected.
    pub(crate) fn new(name: &'static str, http: &cli::Http, waits_for: &[Part]) -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::Service(error.into()));
        let signals =
            Signals { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? };
        let spans = http.otlp.as_ref().map(|url| Spans::collected_at(url, name)).transpose();
        Ok(Self {
            spans: spans.context("--otlp").map_err(Failure::Configuration)?,
            readiness: Arc::new(Readiness::waiting_for(waits_for)),
            metrics: Arc::default(),
            load: Load::new(http.max_in_flight, http.max_waiting),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            failures: mpsc::channel(1),
            signals,
        })
    }

    /// Who collects spans, if anybody does.
    pub(crate) fn spans(&self) -> Option<Arc<dyn Collector>> {
        self.spans.as_ref().map(Spans::collector)
    }

    /// The provider of tokens that the options name, whose keys are kept up from now on.
    pub(crate) async fn provider(&self, options: &cli::Identity) -> Result<Option<Arc<Provider>>, Failure> {
        let provider = provider::of(options, &self.readiness, &self.metrics).await.map_err(Failure::Configuration)?;
        if let Some(provider) = provider.clone() {
            let stop = self.stop.clone();
            self.tasks.spawn(async move { provider.run(stop).await });
        }
        Ok(provider)
    }

    /// Binds what it listens on.
    pub(crate) async fn bind(&self, address: SocketAddr, http: &cli::Http) -> Result<Listeners, Failure> {
        let requests = bind(address).await?;
        let metrics = match http.metrics_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let address = |listener: &TcpListener| listener.local_addr().map_err(|error| Failure::Service(error.into()));
        let addresses =
            Addresses { requests: address(&requests)?, metrics: metrics.as_ref().map(address).transpose()? };
        Ok(Listeners { requests, metrics, addresses })
    }

    /// Answers requests from now on.
    pub(crate) fn answer(
        &self,
        http: &cli::Http,
        listeners: Listeners,
        tokens: Option<Arc<Tokens>>,
        root: Root,
        api: Api,
    ) {
        let stack = Stack {
            tokens,
            load: Arc::clone(&self.load),
            readiness: Arc::clone(&self.readiness),
            metrics: Arc::clone(&self.metrics),
            spans: self.spans(),
            trusted_proxies: TrustedProxies(http.trusted_proxy.clone()),
            cors_origins: http.cors_origin.clone(),
        };
        let Api { routes, at_hand } = api;
        let mut api = routes.merge(root::router(root.clone()));
        if let Some(listener) = listeners.metrics {
            let door = stack.clone().wrap(root::metrics_router(root).into(), None);
            self.tasks.spawn(listen::serve(listener, door, self.stop.clone()));
        } else {
            api = api.merge(root::metrics_router(root));
        }
        let (router, mut description) = api.split_for_parts();
        description.merge(root::openapi_routes().into_openapi());
        let description = openapi::describe(description, env!("CARGO_PKG_VERSION"));
        let door = stack.wrap(router.merge(root::openapi_router(description)), at_hand);
        self.tasks.spawn(listen::serve(listeners.requests, door, self.stop.clone()));
    }

    /// Does something beside the requests, until it ends or the service stops.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Where a part tells that it cannot go on, which ends the process. There is room for the first to do so: to send is
    /// to try.
    pub(crate) fn failures(&self) -> mpsc::Sender<Failure> {
        self.failures.0.clone()
    }

    /// Serves until a signal says stop, or something cannot go on; then drains.
    pub(crate) async fn run(mut self, store: &dyn EventStore) -> Result<(), Failure> {
        let mut health = store.health();
        let outcome = tokio::select! {
            _ = self.signals.terminate.recv() => Ok(()),
            _ = self.signals.interrupt.recv() => Ok(()),
            _ = health.wait_for(|health| *health == Health::Lost) => {
                Err(Failure::Service(anyhow!("the event log cannot tell any more what is durable")))
            }
            Some(failure) = self.failures.1.recv() => Err(failure),
        };
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(spans) = self.spans {
            spans.hand_over().await;
        }
        if outcome.is_ok() {
            tracing::info!("stopped");
        }
        outcome
    }
}

impl Addresses {
    /// Says where it listens, and something more. Nobody may be there to read it.
    pub(crate) fn tell(&self, more: &str) {
        let metrics = self.metrics.map_or_else(String::new, |address| format!(", metrics on http://{address}"));
        let _ = writeln!(std::io::stdout(), "Listening on http://{}, {more}{metrics}", self.requests);
    }
}

impl EachView {
    /// None is ready yet.
    pub(crate) fn of(service: &Service, part: Part) -> Arc<Self> {
        let waits_for = Mutex::new(view::NAMES.iter().copied().collect());
        Arc::new(Self { readiness: Arc::clone(&service.readiness), part, waits_for })
    }

    /// This one is.
    pub(crate) fn set_ready(&self, view: &str) {
        let mut waits_for = self.waits_for.lock().unwrap_or_else(PoisonError::into_inner);
        waits_for.remove(view);
        if waits_for.is_empty() {
            self.readiness.set_ready(self.part);
        }
    }
}

/// The parts that a role waits for which takes these tokens.
pub(crate) fn with_tokens(parts: &[Part], options: &cli::Identity) -> Vec<Part> {
    let keys = options.provider.jwks.is_some().then_some(Part::TokenKeys);
    parts.iter().copied().chain(keys).collect()
}

impl Trust {
    /// Whose tokens are trusted: a provider's, or else those that are signed with a key of the service's own, made at
    /// first start.
    pub(crate) fn of(
        options: &cli::Identity,
        data_dir: &Path,
        provider: Option<&Arc<Provider>>,
    ) -> Result<Self, Failure> {
        if let Some(provider) = provider {
            return Ok(Self { tokens: Arc::new(Tokens::issued_by(Arc::clone(provider), now_seconds)), key: None });
        }
        let key = Arc::new(files::token_key(data_dir, &options.own_tokens).map_err(Failure::Configuration)?);
        Ok(Self { tokens: Arc::new(Tokens::signed_with(Arc::clone(&key), now_seconds)), key: Some(key) })
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address}")).map_err(Failure::Configuration)
}
