//! The crate installs a default TLS provider when its first client is made, and cannot live with another's.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use eventstore::Client;
use rustls::crypto::CryptoProvider;

use super::{OpenError, link::OwnRuntime};

static IS_CLAIMED: Mutex<bool> = Mutex::new(false);
/// How long the crate may take to install its provider, which is the first thing that its client does.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets the crate install its provider, once in the life of the process, and answers when it has.
///
/// # Errors
/// [`OpenError::CryptoProvider`] when somebody else was first.
pub(super) fn claim() -> Result<(), OpenError> {
    let mut is_claimed = IS_CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
    if *is_claimed {
        return Ok(());
    }
    if CryptoProvider::get_default().is_some() {
        return Err(OpenError::CryptoProvider);
    }
    let settings = "esdb://127.0.0.1:1?tls=false".parse().map_err(|_| OpenError::CryptoProvider)?;
    // Made to be thrown away: it connects to nothing before it is asked for something.
    let runtime = OwnRuntime::start().map_err(OpenError::Tls)?;
    let _client = Client::with_runtime_handle(runtime.handle(), settings).map_err(|_| OpenError::CryptoProvider)?;
    let deadline = Instant::now() + PATIENCE;
    while CryptoProvider::get_default().is_none() {
        if Instant::now() >= deadline {
            return Err(OpenError::CryptoProvider);
        }
        thread::sleep(Duration::from_micros(200));
    }
    *is_claimed = true;
    Ok(())
}
