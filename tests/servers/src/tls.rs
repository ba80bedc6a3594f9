//! A certificate authority of the tests' own, with a certificate for 127.0.0.1.

use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// What a server needs for TLS, and what its clients need to trust it.
#[derive(Debug)]
pub struct Tls {
    /// The server's certificate (PEM).
    pub certificate: String,
    /// Its key (PEM).
    pub key: String,
    /// The file of the authority that signed it.
    pub authority: PathBuf,
    _directory: TempDir,
}

impl Tls {
    /// A new authority.
    #[must_use]
    pub fn make() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("authority.pem");
        fs::write(&path, authority.pem()).unwrap();
        Self { certificate: certificate.pem(), key: key.serialize_pem(), authority: path, _directory: directory }
    }
}
