//! The identity provider that the options name: checked before anything is made.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use web::{
    bearer::{
        provider::{Parties, Provider},
        source::{KeyFile, KeySource, KeyUrl},
    },
    metrics::Metrics,
    readiness::Readiness,
};

use crate::cli;

/// The provider, if there is one. The keys of a file are read at once, those of a URL by [`Provider::run`].
pub(crate) async fn of(
    options: &cli::Identity,
    readiness: &Arc<Readiness>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Option<Arc<Provider>>> {
    let cli::Provider { jwks, issuer, audience } = &options.provider;
    let Some(jwks) = jwks else {
        ensure!(issuer.is_none() && audience.is_none(), "--issuer and --audience are of use with --jwks only");
        return Ok(None);
    };
    ensure!(
        options.own_tokens.jwt_key_file.is_none(),
        "--jwt-key-file and --jwks exclude each other: tokens have one signer"
    );
    let issuer = issuer.clone().filter(|issuer| !issuer.is_empty()).context("--jwks demands --issuer")?;
    let audience = audience.clone().filter(|audience| !audience.is_empty()).context("--jwks demands --audience")?;
    let is_url = jwks.contains("://");
    let source: Box<dyn KeySource> = if is_url {
        // The URL itself may have in it what nobody else is to read.
        Box::new(KeyUrl::parse(jwks).context("the URL of --jwks")?)
    } else {
        Box::new(KeyFile(jwks.into()))
    };
    let provider = Provider::new(source, Parties { issuer, audience }, Arc::clone(readiness), Arc::clone(metrics));
    if !is_url {
        provider.fetch().await.with_context(|| format!("token keys file {jwks}"))?;
    }
    Ok(Some(provider))
}
