//! Where a provider's keys come from: a URL or a file, both read with bounds.

use std::{fmt, io::Read as _, path::PathBuf, time::Duration};

use async_trait::async_trait;
use events::limits;
use reqwest::{Client, StatusCode, redirect::Policy};
use thiserror::Error;
use url::{Host, Url};

use super::jwks::SetError;

const TIMEOUT: Duration = Duration::from_secs(limits::TOKEN_KEYS_TIMEOUT_SECONDS);
const REDIRECTS_MAX: usize = 3;

/// Why keys could not be fetched. No message has a URL's query, or anything of what was answered.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Nobody answers, or not in time, or a redirect leads where none may.
    #[error("no answer")]
    Away(#[source] reqwest::Error),
    /// The answer is another one.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// The file cannot be read.
    #[error("cannot be read")]
    File(#[from] std::io::Error),
    /// There is more than a set of keys ever has.
    #[error("more than {} bytes", limits::TOKEN_KEYS_BYTES_MAX)]
    TooLarge,
    /// What came is of no use.
    #[error(transparent)]
    Set(#[from] SetError),
}

/// Why a URL is not fetched from.
#[derive(Debug, Error)]
pub enum UrlError {
    /// It is none.
    #[error("is no URL")]
    Malformed,
    /// Whoever sits in between could put his own keys there.
    #[error("must be https, or http to a loopback host: keys that came in clear could be anybody's")]
    Clear,
    /// It would stand in logs and lists of processes.
    #[error("must not have a user or password in it")]
    Credentials,
    /// The client cannot be made.
    #[error("cannot be fetched from")]
    Client(#[source] reqwest::Error),
}

/// What gives the text of a set of keys.
#[async_trait]
pub trait KeySource: fmt::Debug + Send + Sync {
    /// The text as it is now.
    ///
    /// # Errors
    /// [`FetchError`], except for [`FetchError::Set`].
    async fn fetch(&self) -> Result<Vec<u8>, FetchError>;
}

/// Keys in a file.
#[derive(Debug)]
pub struct KeyFile(pub PathBuf);

#[async_trait]
impl KeySource for KeyFile {
    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        let path = self.0.clone();
        let read = move || {
            let mut text = Vec::new();
            let most = u64::try_from(limits::TOKEN_KEYS_BYTES_MAX).unwrap_or(u64::MAX);
            std::fs::File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut text)?;
            Ok::<_, std::io::Error>(text)
        };
        let text = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)??;
        if text.len() > limits::TOKEN_KEYS_BYTES_MAX { Err(FetchError::TooLarge) } else { Ok(text) }
    }
}

/// Keys behind a URL.
#[derive(Debug)]
pub struct KeyUrl {
    url: Url,
    client: Client,
}

impl KeyUrl {
    /// A URL to fetch from.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text).map_err(|_| UrlError::Malformed)?;
        if !is_trusted(&url) {
            return Err(UrlError::Clear);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials);
        }
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(Policy::custom(|attempt| match may_follow(attempt.previous(), attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(reason) => attempt.error(reason),
            }))
            // Some providers turn away who does not say what he is.
            .user_agent(concat!("integrations/", env!("CARGO_PKG_VERSION")));
        // On this host there is no proxy in between, and no certificate: the machine need not have any.
        let client = if url.scheme() == "http" { client.no_proxy().tls_certs_only([]) } else { client };
        Ok(Self { client: client.build().map_err(|error| UrlError::Client(error.without_url()))?, url })
    }
}

#[async_trait]
impl KeySource for KeyUrl {
    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        let away = |error: reqwest::Error| FetchError::Away(error.without_url());
        let mut answer = self.client.get(self.url.clone()).send().await.map_err(away)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let mut text = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(away)? {
            if text.len() + part.len() > limits::TOKEN_KEYS_BYTES_MAX {
                return Err(FetchError::TooLarge);
            }
            text.extend_from_slice(&part);
        }
        Ok(text)
    }
}

/// Whether what comes from there is what its owner sent.
fn is_trusted(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

fn may_follow(previous: &[Url], next: &Url) -> Result<(), &'static str> {
    if previous.len() > REDIRECTS_MAX {
        return Err("too many redirects");
    }
    let is_same_scheme = previous.last().is_none_or(|from| from.scheme() == next.scheme());
    if is_same_scheme && is_trusted(next) { Ok(()) } else { Err("a redirect to where keys are not fetched from") }
}

#[cfg(test)]
mod tests;
