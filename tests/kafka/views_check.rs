//! What others make of the log: a fold in another language.

use std::{path::Path, process::Command};

use super::{process::Api, topics_check::output};

/// Compares both lists with a fold of an export of the log.
pub(crate) async fn check_views(export: &Path, api: &Api) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fold.py");
    let folded = output(Command::new("python3").arg(script).arg(export));
    let expected = &folded["tenants"]["acme"];
    let flat = api.json("/api/integrations-list").await;
    assert!(flat == expected["list"], "the flat list is another than the fold of the log");
    let mut items = Vec::new();
    for start in (0..flat.as_array().unwrap().len()).step_by(500) {
        let page = api.json(&format!("/api/integrations?limit=500&start={start}")).await;
        items.extend(page["_embedded"]["inf:integration"].as_array().unwrap().clone());
    }
    assert!(items == *expected["items"].as_array().unwrap(), "the list is another than the fold of the log");
}
