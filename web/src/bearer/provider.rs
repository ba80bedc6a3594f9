//! An identity provider: the keys that it publishes, kept fresh, and the tokens that it signs with them.
//!
//! One task fetches; requests only ask it to. So a fetch is shared by all who need it, and goes on when they go away.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use events::limits;
use jsonwebtoken::Algorithm;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    jwks::KeySet,
    source::{FetchError, KeySource},
    tokens::Refusal,
    verify::{Body, NOT_TRUSTED, decode},
};
use crate::{
    metrics::{FetchLabels, Metrics},
    problem::chain,
    readiness::{Part, Readiness},
};

/// How long an unknown key's name is not asked for again.
const REFETCH_AFTER: Duration = Duration::from_secs(limits::TOKEN_KEYS_REFETCH_SECONDS);
/// How often the keys are fetched when nobody asks, so that a withdrawn one ends.
const REFRESH_EVERY: Duration = Duration::from_secs(limits::TOKEN_KEYS_REFRESH_SECONDS);
/// Between the first tries to get keys at all; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Longer than a fetch may take: a guard for requests that wait for one while the service stops.
const WAIT_MAX: Duration = Duration::from_secs(2 * limits::TOKEN_KEYS_TIMEOUT_SECONDS);

/// Whose tokens are trusted.
#[derive(Debug)]
pub struct Parties {
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must contain.
    pub audience: String,
}

/// An identity provider.
pub struct Provider {
    source: Box<dyn KeySource>,
    parties: Parties,
    current: ArcSwapOption<Current>,
    fetching: Mutex<Fetching>,
    wanted: Notify,
    /// How many fetches have ended.
    finished: watch::Sender<u64>,
    is_failing: AtomicBool,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
}

/// The last good set of keys.
struct Current {
    generation: u64,
    text: Vec<u8>,
    set: KeySet,
}

#[derive(Default)]
struct Fetching {
    /// A fetch is on its way, or asked for.
    is_due: bool,
    /// When a request last asked for one.
    asked: Option<Instant>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Provider {
    /// A provider whose keys are not known yet. It tells `readiness` when they are.
    #[must_use]
    pub fn new(
        source: Box<dyn KeySource>,
        parties: Parties,
        readiness: Arc<Readiness>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            source,
            parties,
            current: ArcSwapOption::empty(),
            fetching: Mutex::default(),
            wanted: Notify::new(),
            finished: watch::Sender::new(0),
            is_failing: AtomicBool::new(false),
            readiness,
            metrics,
        })
    }

    /// Fetches the keys as often as is needed, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&self) {
        let mut pause = RETRY_FIRST;
        while self.current.load().is_none() {
            if let Err(error) = self.fetch().await {
                self.warn_once(&error);
                tokio::time::sleep(pause).await;
                pause = RETRY_MAX.min(pause * 2);
            }
        }
        loop {
            // Whether somebody asked or the time was over comes to the same.
            let _ = timeout(REFRESH_EVERY, self.wanted.notified()).await;
            if let Err(error) = self.fetch().await {
                self.warn_once(&error);
            }
        }
    }

    /// Fetches the keys now; the last good ones stay when that fails.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&self) -> Result<(), FetchError> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner).is_due = true;
        let fetched = match self.source.fetch().await {
            Ok(text) => self.take(text),
            Err(error) => Err(error),
        };
        let outcome = *fetched.as_ref().unwrap_or(&"failed");
        self.metrics.token_key_fetches.get_or_create(&FetchLabels { outcome }).inc();
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        fetching.is_due = false;
        self.finished.send_modify(|count| *count += 1);
        fetched.map(|_| ())
    }

    /// Takes a set over, and tells what came of it. One that has not changed leaves the verified tokens alone.
    fn take(&self, text: Vec<u8>) -> Result<&'static str, FetchError> {
        let set = KeySet::parse(&text)?;
        if self.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the token keys can be fetched again");
        }
        let current = self.current.load_full();
        if current.as_ref().is_some_and(|current| current.text == text) {
            return Ok("unchanged");
        }
        let (keys, ignored) = set.counts();
        let generation = current.map_or(0, |current| current.generation + 1);
        self.current.store(Some(Arc::new(Current { generation, text, set })));
        self.readiness.set_ready(Part::TokenKeys);
        tracing::info!(keys, ignored, "the token keys are new");
        Ok("changed")
    }

    /// Says once that fetching fails, however often it is tried until it works again.
    fn warn_once(&self, error: &FetchError) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            let has_keys = self.current.load().is_some();
            tracing::warn!(error = chain(error), has_keys, "the token keys cannot be fetched; trying again");
        }
    }

    /// Which set of keys is the current one; `None` as long as there is none.
    pub(super) fn generation(&self) -> Option<u64> {
        self.current.load().as_ref().map(|current| current.generation)
    }

    /// What a token says, if the provider has issued it for this service, with the set of keys that tells so.
    pub(super) async fn verify(&self, token: &str) -> Result<(Body, u64), Refusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::Token(NOT_TRUSTED))?;
        let kid = header.kid.as_deref();
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
            return Err(Refusal::Token(NOT_TRUSTED));
        }
        let current = match (self.current.load_full().ok_or(Refusal::NoKeys)?, kid) {
            (current, Some(kid)) if !current.set.knows(kid) => self.fetch_for(current).await,
            (current, _) => current,
        };
        let body = current.set.verify(token, kid, header.alg).map_err(Refusal::Token)?;
        body.check_parties(&self.parties.issuer, &self.parties.audience).map_err(Refusal::Token)?;
        Ok((body, current.generation))
    }

    /// The current keys after a fetch, if one is due or may be asked for; else those at hand.
    async fn fetch_for(&self, at_hand: Arc<Current>) -> Arc<Current> {
        if let Some(mut finished) = self.ask() {
            // The sender lives as long as this does.
            let _ = timeout(WAIT_MAX, finished.changed()).await;
        }
        self.current.load_full().unwrap_or(at_hand)
    }

    /// Asks for a fetch, unless one was asked for lately; answers where its end is told.
    fn ask(&self) -> Option<watch::Receiver<u64>> {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        if !fetching.is_due {
            let now = Instant::now();
            if fetching.asked.is_some_and(|asked| now.duration_since(asked) < REFETCH_AFTER) {
                return None;
            }
            *fetching = Fetching { is_due: true, asked: Some(now) };
            self.wanted.notify_one();
        }
        Some(self.finished.subscribe())
    }
}

impl KeySet {
    /// What a token says, if a key that fits has signed it.
    fn verify(&self, token: &str, kid: Option<&str>, algorithm: Algorithm) -> Result<Body, &'static str> {
        let mut refused = Err(NOT_TRUSTED);
        for key in self.fitting(kid, algorithm) {
            refused = decode(token, key, algorithm);
            // Only a wrong signature leaves the next key a chance.
            if refused.as_ref().err() != Some(&NOT_TRUSTED) {
                break;
            }
        }
        refused
    }
}

#[cfg(test)]
mod tests;
