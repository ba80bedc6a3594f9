//! The server is away, or goes away: one line, exit code 1, and soon.

use std::{net::TcpListener, time::Duration, time::Instant};

use peer::Fault;
use tokio::task::spawn_blocking;

use super::*;

/// How long any verb may take to say so.
const SOON: Duration = Duration::from_secs(10);

/// No export, but nobody comes to see that.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
const VERBS: [&[&str]; 6] = [
    &["history", "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b"],
    &["history", "slug", "--tenant", "acme"],
    &["verify"],
    &["export", "-"],
    &["import", FILE],
    &["keys", "rotate", "--drop"],
];

/// A data directory with two master keys, one of which is to go.
fn data_dir() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    std::fs::write(directory.path().join("master.key"), format!("first {key}\nsecond {key}\n")).unwrap();
    directory
}

/// Runs every verb against this server, all at once, and checks that each says these words soon.
async fn check(url: &str, words: &'static [&'static str]) {
    let check = |verb: &'static [&'static str]| {
        let url = url.to_owned();
        spawn_blocking(move || {
            let (directory, begun) = (data_dir(), Instant::now());
            let output = run(directory.path(), &[verb, &["--event-store", &url]].concat());
            assert!(begun.elapsed() < SOON, "{verb:?} took {:?}", begun.elapsed());
            check_refused(&output, 1, &["the event store is not available"]);
            check_refused(&output, 1, words);
            assert!(output.stdout.is_empty(), "{output:?}");
        })
    };
    for checked in VERBS.map(check) {
        checked.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_told_in_one_line_and_soon() {
    check("esdb://127.0.0.1:9?tls=false", &["there is no connection to it: ", "refused"]).await;
}

#[tokio::test]
async fn a_server_that_takes_connections_and_never_answers_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    check(&format!("esdb://{}?tls=false", listener.local_addr().unwrap()), &["there is no connection to it"]).await;
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_says_why() {
    let user = Some(("admin".to_owned(), "changeit".to_owned()));
    let peer = Peer::start(&Options { user, ..Options::default() }).unwrap();
    check(&peer.url(), &["there is no connection to it: ", "Unauthenticated"]).await;
}

#[tokio::test]
async fn a_server_that_goes_away_is_told_in_one_line_and_soon() {
    // After how many reads of its own each is at work, and not yet done.
    let verbs: [(&[&str], u64); 3] =
        [(&["verify"], 4), (&["export", "-"], 4), (&["history", "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b"], 2)];
    for (verb, count) in verbs {
        let site = Site::stopped().await;
        let reads = site.peer.counts().reads;
        // Long enough to catch it at work.
        site.peer.fault(&Fault::Delay(Duration::from_millis(300)));
        let (data_dir, url) = (site.data_dir(), site.peer.url());
        let running = spawn_blocking(move || run(&data_dir, &[verb, &["--event-store", &url]].concat()));
        crate::process::eventually("it reads", async || site.peer.counts().reads >= reads + count).await;
        drop(site.peer);
        let begun = Instant::now();
        let output = running.await.unwrap();
        assert!(begun.elapsed() < SOON, "{verb:?} took {:?}", begun.elapsed());
        check_refused(&output, 1, &["the event store is not available"]);
    }
}

#[test]
fn a_connection_string_that_is_none_is_refused() {
    let directory = data_dir();
    for verb in VERBS {
        let output = run(directory.path(), &[verb, &["--event-store", "http://127.0.0.1"]].concat());
        check_refused(&output, 2, &["connection string"]);
    }
}
