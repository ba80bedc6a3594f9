//! Connecting: servers that are not there yet, clusters, users, and what the crate does not bear.

use std::process::Command;

use events::{
    ids::Position,
    store::{
        Error, EventStore as _,
        ExpectedRevision::NoStream,
        Health, StreamWrite,
        eventstoredb::{EventStoreDb, OpenError},
    },
    stream::Kind,
};
use peer::{Fault, Options, Peer};

use super::{Site, append, exact, integration, open, until, until_health};

fn start() -> Peer {
    Peer::start(&Options::default()).expect("a peer")
}

/// A port where nobody listens.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it has one").port()
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let port = free_port();
    let store = EventStoreDb::open(&format!("esdb://127.0.0.1:{port}?tls=false")).expect("a connection string");
    assert_eq!(*store.health().borrow(), Health::Failing);
    let refused = append(&store, &integration(), NoStream).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    let peer = Peer::start(&Options { port, ..Options::default() }).expect("the port is free");
    until_health(&store, Health::Ready).await;
    append(&store, &integration(), NoStream).await.expect("it is there");
    assert_eq!(peer.events().len(), 1);
}

#[tokio::test]
async fn whoever_leads_a_cluster_is_found_and_followed() {
    let (one, two) = (start(), start());
    let lead_two = |peer: &Peer| {
        peer.fault(&Fault::NotLeader("127.0.0.1".to_owned(), two.address().port()));
    };
    lead_two(&one);
    let url = format!("esdb://127.0.0.1:{},127.0.0.1:{}?tls=false", free_port(), one.address().port());
    let store = open(&url).await;
    append(&store, &integration(), NoStream).await.expect("the second leads");
    assert_eq!((one.events().len(), two.events().len()), (0, 1));
    one.fault(&Fault::Leader);
    two.fault(&Fault::NotLeader("127.0.0.1".to_owned(), one.address().port()));
    append(&store, &integration(), NoStream).await.expect("now the first leads");
    assert_eq!((one.events().len(), two.events().len()), (1, 1));
}

#[tokio::test]
async fn a_seed_that_is_asked_for_is_enough() {
    let peer = start();
    let store = open(&format!("esdb+discover://{}?tls=false", peer.address())).await;
    append(&store, &integration(), NoStream).await.expect("it leads");
}

#[tokio::test]
async fn user_and_password_are_those_of_the_connection_string() {
    let user = Some(("ad:min".to_owned(), "p@ss/w%rd".to_owned()));
    let peer = Peer::start(&Options { user, ..Options::default() }).expect("a peer");
    let address = peer.address();
    let store = open(&format!("esdb://ad%3Amin:p%40ss%2Fw%25rd@{address}?tls=false")).await;
    let stream = integration();
    append(&store, &stream, NoStream).await.expect("it may");
    store.append(vec![StreamWrite::Tombstone { stream }]).await.expect("it may");
    for wrong in ["", "ad%3Amin:wrong@"] {
        let store = EventStoreDb::open(&format!("esdb://{wrong}{address}?tls=false")).expect("a connection string");
        let before = peer.counts().connections;
        until(|| peer.counts().connections > before + 1).await;
        assert_eq!(*store.health().borrow(), Health::Failing);
    }
}

#[tokio::test]
async fn a_connection_string_of_something_else_is_refused_without_its_password() {
    let refused = EventStoreDb::open("postgres://admin:secret@127.0.0.1").expect_err("it is none");
    assert!(matches!(refused, OpenError::Url(_)));
    assert!(!format!("{refused} {refused:?}").contains("secret"));
}

#[tokio::test]
async fn a_link_is_replaced_after_three_errors_in_a_row_and_not_before() {
    let site = Site::new().await;
    let stream = integration();
    append(&site.store, &stream, NoStream).await.expect("it is new");
    until(|| site.peer.counts().subscriptions == 1).await;
    for (n, is_replaced) in [(2, false), (3, true)] {
        let before = site.peer.counts().subscriptions;
        site.peer.fault(&Fault::Refuse { n, code: 13, message: "Internal".to_owned() });
        let mut health = site.store.health();
        health.borrow_and_update();
        append(&site.store, &integration(), NoStream).await.expect("it is sent again");
        assert_eq!(health.has_changed().expect("the store is open"), is_replaced, "after {n} errors");
        assert_eq!(site.peer.counts().subscriptions, before, "what was well goes on");
    }
}

#[tokio::test]
async fn dropping_a_store_closes_its_connections() {
    let site = Site::new().await;
    let mut following = site.store.subscribe(Position::START, &Kind::ALL);
    let stream = integration();
    append(&site.store, &stream, NoStream).await.expect("it is new");
    following.next().await.expect("something comes");
    until(|| site.peer.counts().subscriptions == 2).await;
    // An old link goes too, and not only the last.
    site.peer.fault(&Fault::EndSubscriptions);
    until(|| site.peer.counts().subscriptions >= 4).await;
    append(&site.store, &stream, exact(0)).await.expect("it is at 0");
    assert!(site.peer.counts().open_connections > 0);
    let Site { store, peer } = site;
    drop((store, following));
    until(|| peer.counts().open_connections == 0).await;
}

/// Runs one test of this program in a process of its own, where nothing was installed yet.
#[test]
fn another_library_that_was_first_is_told_in_one_line() {
    const CHILD: &str = "TEST_INSTALLS_A_PROVIDER";
    if std::env::var_os(CHILD).is_some() {
        rustls::crypto::aws_lc_rs::default_provider().install_default().expect("nobody was first");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let refused = runtime.block_on(async { EventStoreDb::open("esdb://127.0.0.1:1?tls=false") });
        assert!(matches!(refused, Err(OpenError::CryptoProvider)), "{refused:?}");
        return;
    }
    let program = std::env::current_exe().expect("this program");
    let name = "connecting::another_library_that_was_first_is_told_in_one_line";
    let child = Command::new(program).args(["--exact", name]).env(CHILD, "").output().expect("it runs");
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{output}");
}
