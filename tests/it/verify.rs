//! `verify`: says whole of what is, beside a running service too, and names whatever was altered by hand.

use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::{sync::mpsc::unbounded_channel, task::spawn_blocking};

use super::{
    crash::furnish,
    harness::Server,
    log,
    transfer::{printed, run},
    writers::Writers,
};

mod tampering;

#[tokio::test]
async fn a_log_that_nobody_altered_is_whole() {
    let mut server = Server::start_alone().await;
    furnish(&server.alice()).await;
    assert!(server.terminate().success());
    let rows = log::rows(&server.data_dir());
    let events: Vec<_> = rows.iter().filter(|row| row.event_type != log::TOMBSTONE).collect();
    let streams = events.iter().map(|row| &row.stream).collect::<std::collections::BTreeSet<_>>().len();
    let (events, head) = (events.len(), rows.last().unwrap().position);
    let text = printed(&run(&server.data_dir(), &["verify"]));
    assert_eq!(text, format!("whole: {streams} streams, {events} events, head {head}\n"));
    let whole = json!({
        "whole": true, "streams": streams, "events": events, "head": head, "findings": [], "more": 0,
    });
    let printed = printed(&run(&server.data_dir(), &["verify", "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), whole);
}

#[tokio::test]
async fn an_empty_log_is_whole() {
    let server = Server::start_alone().await;
    assert_eq!(printed(&run(&server.data_dir(), &["verify"])), "whole: 0 streams, 0 events, head 0\n");
}

#[tokio::test]
async fn the_log_of_a_service_at_work_is_whole_and_the_service_goes_on() {
    let mut server = Server::start_alone().await;
    let (acknowledged, mut answers) = unbounded_channel();
    let writers = Writers::start(&server.alice(), 0, 6, &acknowledged);
    for _ in 0..4 {
        for _ in 0..60 {
            answers.recv().await.unwrap();
        }
        let data_dir = server.data_dir();
        let output = spawn_blocking(move || run(&data_dir, &["verify"])).await.unwrap();
        assert!(printed(&output).starts_with("whole: "), "{output:?}");
    }
    answers.recv().await.unwrap();
    server.kill();
    drop(writers.ended().await);
}
