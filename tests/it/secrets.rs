//! Secrets: in clear nowhere, and gone for good with the integration.

use std::path::Path;

use serde_json::{Value, json};

use super::harness::Client;

mod canaries;
mod erasure;
mod metadata;
mod observed;

/// Every file under a directory, with its bytes.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        // A file may go away while they are looked at.
        if let Ok(bytes) = std::fs::read(&path) {
            found.push((path.display().to_string(), bytes));
        }
    }
    found
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// An integration with a secret.
async fn with_secret(client: &Client, name: &str) -> crate::harness::Created {
    client.create(body_with_secret(name)).await
}

fn body_with_secret(name: &str) -> Value {
    json!({ "name": name, "type": "custom", "clientSecret": "s" })
}
