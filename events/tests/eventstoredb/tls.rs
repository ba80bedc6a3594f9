//! TLS, before a peer that has none.

use std::{path::PathBuf, sync::Arc};

use events::store::{EventStore as _, ExpectedRevision::NoStream, Health, StreamWrite, eventstoredb::EventStoreDb};
use peer::{Options, Peer};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{append, integration, open, until};

/// A peer behind TLS, with a certificate for 127.0.0.1 that signs itself.
struct Secured {
    peer: Peer,
    port: u16,
    directory: TempDir,
    _front: JoinSet<()>,
}

impl Secured {
    async fn start() -> Self {
        let peer = Peer::start(&Options::default()).expect("a peer");
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("they belong together");
        config.alpn_protocols = vec![b"h2".to_vec()];
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("ca.pem"), made.cert.pem()).expect("a file");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it has one").port();
        let (acceptor, address) = (TlsAcceptor::from(Arc::new(config)), peer.address());
        let mut front = JoinSet::new();
        front.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    // Told to the peer before the handshake, so that one that fails is counted too.
                    let mut to = TcpStream::connect(address).await.expect("the peer is there");
                    if let Ok(mut from) = acceptor.accept(socket).await {
                        let _ = copy_bidirectional(&mut from, &mut to).await;
                    }
                });
            }
        });
        Self { peer, port, directory, _front: front }
    }

    fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn url(&self, options: &str) -> String {
        format!("esdb://127.0.0.1:{}?{options}", self.port)
    }

    async fn check(&self, options: &str) {
        let store = open(&self.url(options)).await;
        let stream = integration();
        append(&store, &stream, NoStream).await.expect("it is new");
        store.append(vec![StreamWrite::Tombstone { stream }]).await.expect("it is done");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_the_named_authority_is_believed() {
    let secured = Secured::start().await;
    secured.check(&format!("tlsCaFile={}", secured.ca_file().display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_certificate_is_believed_where_the_connection_string_says_so() {
    Secured::start().await.check("tlsVerifyCert=false").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_nobody_known_is_not_believed() {
    let secured = Secured::start().await;
    let store = EventStoreDb::open(&secured.url("tls=true")).expect("a connection string");
    until(|| secured.peer.counts().connections >= 2).await;
    assert_eq!(*store.health().borrow(), Health::Failing);
    assert_eq!(secured.peer.counts().reads, 0, "nothing was said to it");
}

#[tokio::test]
async fn a_file_that_holds_no_certificate_is_told_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ca.pem");
    let url = format!("esdb://127.0.0.1:1?tlsCaFile={}", file.display());
    EventStoreDb::open(&url).expect_err("there is no file");
    std::fs::write(file, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").expect("a file");
    EventStoreDb::open(&url).expect_err("it holds nonsense");
}
