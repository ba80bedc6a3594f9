//! `integrations token`: mints a token with the service's own key.

use std::{io::Write as _, path::Path};

use anyhow::Context as _;
use web::bearer::Claims;

use crate::{Failure, cli, files};

/// Mints a token and prints it.
pub(crate) fn run(options: &cli::Token, data_dir: &Path) -> Result<(), Failure> {
    let token = files::token_key(data_dir, &options.own_tokens)
        .and_then(|key| key.mint(&claims(options)).context("cannot mint a token"))
        .map_err(Failure::Configuration)?;
    writeln!(std::io::stdout(), "{token}").context("cannot print the token").map_err(Failure::Service)
}

fn claims(options: &cli::Token) -> Claims {
    Claims {
        sub: options.user.clone(),
        tenant: options.tenant.clone(),
        exp: now_seconds() + options.ttl.as_secs(),
        name: options.name.clone(),
        email: options.email.clone(),
        groups: options.group.clone(),
        permissions: options.permission.clone(),
        user: std::collections::BTreeMap::new(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: a token's expiry is counted from now")]
pub(crate) fn now_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
