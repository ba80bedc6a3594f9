//! `integrations serve`: everything in one process, the log in a file and the views in memory.

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use command::{Clock, KeyRing, run_janitor};
use events::{
    ids::{Position, PrincipalId, TenantId},
    store::EventStore,
    trace::Collector,
};
use projector::{
    runner::{self, Control, Feed, Feeding, Progress},
    store::{ReadViews, Views, WriteViews, memory::MemoryViews},
    view::{MakeReader, Readers, View},
};
use query::Queries;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use web::{
    bearer::{Claims, PERMISSION_CREATE, TokenKey},
    readiness::{Part, Readiness},
};

use crate::{
    Failure, cli,
    commands::{Commands, now},
    log,
    root::Root,
    service::{self, Addresses, Api, Service, Trust},
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
    let waits_for = service::with_tokens(&[Part::Log, Part::Views], &options.identity);
    let service = Service::new("integrations", &options.http, &waits_for)?;
    let provider = service.provider(&options.identity).await?;
    let is_first_start = !data_dir.join(events::store::sqlite::FILE_NAME).exists();
    let store = log::write(&options.log, data_dir)?;
    let commands = Commands::prepare(&options.writing, data_dir, &store).await?;
    let trust = Trust::of(&options.identity, data_dir, provider.as_ref())?;
    let listeners = service.bind(options.listen, &options.http).await?;
    let addresses = listeners.addresses;
    let mut memory = InMemory::default();
    let readers = Readers::make(&mut memory);
    let replayed = readers.integrations.checkpoint();
    let queries = Queries::new(readers, Arc::clone(&store), query_settings(&options.reading));
    let queries = Arc::new(queries);
    let routes = commands.router(&service).merge(query::router(Arc::clone(&queries)));
    let root = Root::of(&service, &store, memory.views);
    #[cfg(feature = "kafka")]
    let root = Root { publishing: publisher.as_ref().map(|publisher| publisher.published()), ..root };
    #[cfg(feature = "kafka")]
    if let Some(publisher) = publisher {
        let publisher = publisher.traced(service.spans());
        service.tasks.spawn(publisher.run(Arc::clone(&store), service.stop.clone()));
    }
    let api = Api { routes, at_hand: Some(queries) };
    service.answer(&options.http, listeners, Some(trust.tokens), root, api);
    commands.look_after(&service);
    service.tasks.spawn(clean(Arc::clone(&store), commands.keys(), replayed, service.stop.clone()));
    let (log, readiness, failures) = (Arc::clone(&store), Arc::clone(&service.readiness), service.failures());
    let spans = service.spans();
    service.spawn(async move {
        let error = project(&*log, memory.feeds, readiness, spans).await;
        let _ = failures.try_send(Failure::Service(error.into()));
    });
    greet(data_dir, trust.key.as_deref(), addresses, is_first_start);
    service.run(&*store).await
}

/// What reads may take.
pub(crate) fn query_settings(options: &cli::Reading) -> query::Settings {
    query::Settings { cache_bytes: options.read_cache_mib * 1_024 * 1_024 }
}

/// Runs the janitor once the log is replayed: that an event cannot be read is told once, by the view.
async fn clean(
    store: Arc<dyn EventStore>,
    keys: Arc<KeyRing>,
    mut replayed: watch::Receiver<Position>,
    stop: CancellationToken,
) {
    let head = *store.head().borrow();
    let is_replayed = tokio::select! {
        reached = replayed.wait_for(|position| *position >= head) => reached.is_ok(),
        () = stop.cancelled() => false,
    };
    if is_replayed {
        run_janitor(store, keys, Clock(now), stop).await;
    }
}

/// Views in this process's memory: what feeds them, and what tells of them.
#[derive(Default)]
struct InMemory {
    feeds: Vec<Box<dyn Feed>>,
    views: Vec<Arc<dyn Views>>,
}

impl MakeReader for InMemory {
    fn make<V: View>(&mut self) -> Arc<dyn ReadViews<V>> {
        let memory = Arc::<MemoryViews<V>>::default();
        let writer: Arc<dyn WriteViews<V>> = memory.clone();
        self.feeds.push(Box::new(Feeding::of(writer)));
        self.views.push(memory.clone());
        memory
    }
}

/// Feeds all views, from one reading of the log, for as long as it can go on.
async fn project(
    store: &dyn EventStore,
    mut feeds: Vec<Box<dyn Feed>>,
    readiness: Arc<Readiness>,
    spans: Option<Arc<dyn Collector>>,
) -> runner::Error {
    let mut replay = Replay::new(store.head().borrow().get(), readiness);
    loop {
        let tell = |progress| replay.tell(progress);
        let control = Control { spans: spans.clone(), ..Control::default() };
        let Err(error) = runner::run_together(store, &mut feeds, control, tell).await;
        match &error {
            runner::Error::Events(cause) if cause.is_retryable() => {
                tracing::error!(error = cause as &dyn std::error::Error, "the log cannot be followed; trying again");
                tokio::time::sleep(PROGRESS_EVERY).await;
            }
            runner::Error::Events(_) | runner::Error::AnotherLog { .. } | runner::Error::Views(_) => return error,
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
            Progress::Replaying(mark)
                if self.told.elapsed() >= PROGRESS_EVERY && mark.position.get() <= self.events =>
            {
                self.told = Instant::now();
                tracing::info!(position = mark.position.get(), of = self.events, "replaying the log");
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
fn greet(data_dir: &Path, key: Option<&TokenKey>, addresses: Addresses, is_first_start: bool) {
    let mut out = std::io::stdout();
    let data_dir = data_dir.display();
    addresses.tell(&format!("data in {data_dir}"));
    // With a provider it is the provider who gives tokens.
    let Some(key) = key.filter(|_| is_first_start) else {
        return;
    };
    let _ = match first_token(key).ok().filter(|_| out.is_terminal()) {
        Some(token) => {
            let address = addresses.requests;
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
