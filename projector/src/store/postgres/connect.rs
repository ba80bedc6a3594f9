//! Connections: a pool, and single ones that listen. TLS to every host that is not this one.

use std::{fmt, fs, io, net::IpAddr, path::Path, str::FromStr as _, sync::Arc, time::Duration};

use deadpool_postgres::{Client, Hook, HookError, Pool, RecyclingMethod, Runtime};
use events::store::Cause;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use thiserror::Error;
use tokio::time::timeout;
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::Error as StoreError;

/// Connections of one process.
const CONNECTIONS_MAX: usize = 8;
/// How long a connection may take to be made, and how long one is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take that somebody waits for. What gives none by then is gone, whatever TCP says of it.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long it may take to tell a server that nobody waits any more.
const CANCEL_MAX: Duration = Duration::from_millis(500);
/// How long what was sent may stay unacknowledged, and how long nothing may come before it is asked whether the server is
/// still there.
const UNHEARD_MAX: Duration = Duration::from_secs(10);
/// A process that stops in the middle of a transaction must not keep what it has locked: the server ends it. What nobody
/// waits for any more must not wait for a lock either.
const SESSION: &str = "SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '9s'";

/// Why a database cannot even be tried.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The connection string is none.
    #[error("the connection string of PostgreSQL is none: {0}")]
    Url(#[source] tokio_postgres::Error),
    /// The certificates of authorities cannot be had.
    #[error("cannot read the certificates that PostgreSQL is to be trusted by")]
    Certificates(#[source] Cause),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The pool cannot be made.
    #[error("cannot make a pool of connections")]
    Pool(#[from] deadpool_postgres::BuildError),
}

/// A database, and how it is connected to.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    config: Config,
    tls: MakeRustlsConnect,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL at {:?}", self.config.get_hosts())
    }
}

impl Database {
    /// Reads a connection string (a URL, or keywords and values), with the password if it is not in there. Nothing is
    /// connected yet. Certificates are trusted that the authorities in a file (PEM) signed, or else those that the system
    /// trusts.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn new(url: &str, password: Option<&str>, authorities: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config = Config::from_str(url).map_err(ConfigError::Url)?;
        if let Some(password) = password {
            config.password(password);
        }
        config.connect_timeout(TIMEOUT).application_name("integrations");
        config
            .tcp_user_timeout(UNHEARD_MAX)
            .keepalives_idle(UNHEARD_MAX)
            .keepalives_interval(TIMEOUT)
            .keepalives_retries(2);
        if config.get_ssl_mode() == SslMode::Prefer && !is_all_here(&config) {
            config.ssl_mode(SslMode::Require);
        }
        let tls = MakeRustlsConnect::new(client_config(authorities)?);
        let recycling_method = RecyclingMethod::Fast;
        let manager = deadpool_postgres::Manager::from_config(
            config.clone(),
            tls.clone(),
            deadpool_postgres::ManagerConfig { recycling_method },
        );
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .runtime(Runtime::Tokio1)
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) })
            }))
            .timeouts(deadpool_postgres::Timeouts {
                wait: Some(TIMEOUT),
                create: Some(TIMEOUT),
                recycle: Some(TIMEOUT),
            })
            .build()?;
        Ok(Self { pool, config, tls })
    }

    /// A connection of the pool, for what takes as long as it takes.
    pub(super) async fn client(&self) -> Result<Client, StoreError> {
        Ok(self.pool.get().await?)
    }

    /// Asks in a connection of the pool, for so long at most. One that gives no answer in time is closed: it would give
    /// none to the next one either.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        ask: impl AsyncFnOnce(&mut Client) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut client = timeout(limit, self.pool.get()).await??;
        match timeout(limit, ask(&mut client)).await {
            Ok(answer) => answer,
            Err(late) => {
                // Without this the server would go on with it.
                let (cancel, tls) = (client.cancel_token(), self.tls.clone());
                drop(Client::take(client));
                let _ = timeout(CANCEL_MAX, cancel.cancel_query(tls)).await;
                Err(late.into())
            }
        }
    }

    /// A connection of its own, which has to be driven.
    pub(super) async fn connect(&self) -> Result<(tokio_postgres::Client, Connection), StoreError> {
        Ok(timeout(ANSWER_MAX, self.config.connect(self.tls.clone())).await??)
    }
}

/// What drives a connection.
pub(super) type Connection = tokio_postgres::Connection<
    tokio_postgres::Socket,
    <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
>;

/// Whether every server that may be connected to is on this host. Addresses, where they are given, are what is connected to,
/// whatever the hosts are called.
fn is_all_here(config: &Config) -> bool {
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(is_here),
        addresses => addresses.iter().all(IpAddr::is_loopback),
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

fn client_config(authorities: Option<&Path>) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(path) => {
            let failed = |error: Cause| ConfigError::Certificates(format!("{}: {error}", path.display()).into());
            let pem = fs::read(path).map_err(|error| failed(error.into()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                roots.add(certificate.map_err(|error| failed(error.into()))?)?;
            }
            if roots.is_empty() {
                return Err(failed(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
            }
        }
        // What cannot be read of the system's is not trusted; a connection that needs it says so.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_connected_to_decides_whether_it_is_here() {
        let is_here = |text: &str| is_all_here(&Config::from_str(text).expect("a connection string"));
        for here in ["host=localhost", "host=127.0.0.1,::1", "host=/run", "host=db.internal hostaddr=127.0.0.1"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "host=db.internal",
            "host=localhost,db.internal",
            "hostaddr=192.0.2.2",
            "host=localhost hostaddr=192.0.2.2",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
