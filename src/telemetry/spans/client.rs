//! How spans reach the collector: by the HTTP client that fetches token keys too. It says once that the collector is away,
//! and once that it is there again.

use std::{
    error::Error,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use http::StatusCode;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::redirect::Policy;
use tokio::runtime::Handle;
use url::Url;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How much of an answer is read, so that the connection can be used again. Nothing in it is of use.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    /// Where requests are sent from: whoever hands over spans is a thread without a runtime.
    runtime: Handle,
    is_away: AtomicBool,
}

impl Client {
    /// A client of the collector at this URL.
    pub(super) fn of(url: &Url) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none());
        // In clear to somebody near: there is no proxy in between, and no certificate. The machine need not have any.
        let client = if url.scheme() == "http" { client.no_proxy().tls_certs_only([]) } else { client };
        let http = client.build().map_err(reqwest::Error::without_url)?;
        Ok(Self { http, runtime: Handle::current(), is_away: AtomicBool::new(false) })
    }

    fn tell_away(&self, error: &(dyn Error + 'static)) {
        if !self.is_away.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "the collector does not take spans; they are lost until it does");
        }
    }

    fn tell_there(&self) {
        if self.is_away.swap(false, Ordering::Relaxed) {
            tracing::info!("the collector takes spans again");
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, request) = (self.http.clone(), reqwest::Request::try_from(request)?);
        let sent = match self.runtime.spawn(send(client, request)).await {
            Ok(sent) => sent.map_err(HttpError::from),
            // The runtime ends.
            Err(error) => Err(error.into()),
        };
        match &sent {
            Ok(status) if status.is_success() => self.tell_there(),
            Ok(status) => self.tell_away(&std::io::Error::other(format!("the answer is {status}"))),
            Err(error) => self.tell_away(&**error),
        }
        Ok(Response::builder().status(sent?).body(Bytes::new())?)
    }
}

async fn send(client: reqwest::Client, request: reqwest::Request) -> reqwest::Result<StatusCode> {
    let mut answer = client.execute(request).await.map_err(reqwest::Error::without_url)?;
    let mut read = 0;
    while let Some(part) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        read += part.len();
        if read > ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok(answer.status())
}
