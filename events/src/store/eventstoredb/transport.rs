//! HTTP/2 to a node, for our own half: like the crate's own, but with `TCP_NODELAY`, without which every call on an
//! idle connection waits 40 ms for an acknowledgement.

use std::{io, sync::Arc, time::Duration};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use tonic::body::BoxBody;

use super::{
    OpenError,
    target::{Target, Tls},
};

/// A node that does not even take a connection is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) type HttpClient = Client<HttpsConnector<HttpConnector>, BoxBody>;

/// Makes clients, each with connections of its own.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    tls: ClientConfig,
}

impl Transport {
    /// Reads the certificates.
    ///
    /// # Errors
    /// [`OpenError::Tls`].
    pub(super) fn new(target: &Target) -> Result<Self, OpenError> {
        // With a provider of its own, it needs none that is installed, and installs none.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(tls_error)?;
        let Some(tls) = target.tls() else {
            return Ok(Self { tls: builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth() });
        };
        let builder = builder.with_root_certificates(roots(tls)?);
        let mut config = match tls.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = certificates(cert)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(tls_error)?;
                builder.with_client_auth_cert(chain, key).map_err(tls_error)?
            }
        };
        if !tls.is_verified {
            config.dangerous().set_certificate_verifier(Arc::new(AnyCertificate(provider)));
        }
        Ok(Self { tls: config })
    }

    pub(super) fn client(&self, target: &Target) -> HttpClient {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(self.tls.clone()).https_or_http().enable_http2();
        Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(target.keep_alive())
            .http2_keep_alive_timeout(target.keep_alive())
            .build(connector.wrap_connector(http))
    }
}

fn roots(tls: Tls<'_>) -> Result<RootCertStore, OpenError> {
    let mut roots = RootCertStore::empty();
    match tls.ca_file {
        Some(file) => certificates(file)?.into_iter().try_for_each(|cert| roots.add(cert)).map_err(tls_error)?,
        None => {
            // One of the system's that cannot be read stands in nobody's way.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(tls_error)
}

fn tls_error(error: impl std::error::Error + Send + Sync + 'static) -> OpenError {
    OpenError::Tls(io::Error::other(error))
}

/// `tlsVerifyCert=false`: whoever answers is believed.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
