//! The example that a newcomer runs: every driver of the catalogue through the whole API.

use std::{path::Path, process::Command};

use serde_json::json;

use super::harness::{CREATE, Server};

fn run(server: &Server, arguments: &[&str]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/drivers.py");
    let output = Command::new("python3").arg(script).arg(&server.url).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[tokio::test]
async fn the_example_takes_every_driver_through_the_whole_api() {
    let server = Server::start().await;
    let token = server.token(json!({ "sub": "alice", "tenant": "acme", "permissions": [CREATE] }));
    for arguments in [&[token.as_str()][..], &[token.as_str(), "z\u{f6}e/\u{e4}"]] {
        let (succeeded, text) = run(&server, arguments);
        assert!(succeeded, "{text}");
        assert!(
            text.contains("64 drivers: created, shared, tagged, listed, read, updated, given an icon, deleted"),
            "{text}"
        );
    }
    assert_eq!(server.alice().get("/api/integrations-list").await.expect(200).json(), json!([]), "all are deleted");
}

#[tokio::test]
async fn the_example_fails_at_the_first_difference() {
    let server = Server::start().await;
    let (succeeded, text) = run(&server, &[&server.token(json!({ "sub": "alice", "tenant": "acme" }))]);
    assert!(!succeeded && text.contains("403"), "{text}");
}
