//! Exports of a service at work are whole: a fold that has nothing of the service's code agrees with a service that
//! was started on the import of one.

use tokio::{sync::mpsc::unbounded_channel, task::spawn_blocking};

use super::*;
use crate::writers::Writers;

const EXPORTS: usize = 3;
const BETWEEN: usize = 60;

/// What the lists must show, as `tests/fold.py` says.
fn folded(export: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fold.py");
    let output = Command::new("python3").arg(script).arg(export).output().unwrap();
    serde_json::from_str(&printed(&output)).unwrap()
}

#[tokio::test]
async fn an_export_under_load_is_one_moment_of_the_log_and_folds_to_what_its_import_shows() {
    let (mut server, directory) = (Server::start_alone().await, tempfile::tempdir().unwrap());
    furnish(&server.alice()).await;
    let (acknowledged, mut answers) = unbounded_channel();
    let writers = Writers::start(&server.alice(), 0, 6, &acknowledged);
    let mut heads = Vec::new();
    let files: Vec<_> = (0..EXPORTS).map(|number| path_of(&directory, &format!("{number}.jsonl"))).collect();
    for file in &files {
        for _ in 0..BETWEEN {
            answers.recv().await.unwrap();
        }
        let (data_dir, to) = (server.data_dir(), file.clone());
        spawn_blocking(move || export(&data_dir, &to)).await.unwrap();
        heads.push(folded(file)["head"].as_u64().unwrap());
    }
    for _ in 0..BETWEEN {
        answers.recv().await.unwrap();
    }
    server.kill();
    drop(writers.ended().await);
    heads.push(log::rows(&server.data_dir()).last().unwrap().position.unsigned_abs());
    assert!(heads.is_sorted_by(|one, next| one < next), "the log went on: {heads:?}");
    let to = path_of(&directory, "restored");
    let file = files.last().unwrap();
    imported(&server.data_dir(), file, &to);
    check_lists(&to, &folded(file)).await;
}

async fn check_lists(data_dir: &Path, folded: &Value) {
    let service = Process::serve(data_dir, &[]);
    let url = service.ready().await;
    let (admin, tenant) = (admin(&url, data_dir), &folded["tenants"]["acme"]);
    let list = admin.get("/api/integrations-list").await.expect(200);
    assert_eq!(list.json(), tenant["list"], "the flat list");
    let position = u64::from_str_radix(list.header("integration-position"), 16).unwrap();
    assert!(position <= folded["head"].as_u64().unwrap());
    let mut items = Vec::new();
    for start in (0..tenant["items"].as_array().unwrap().len()).step_by(500) {
        let page = admin.get(&format!("/api/integrations?limit=500&start={start}")).await.expect(200).json();
        items.extend(page["_embedded"]["inf:integration"].as_array().unwrap().clone());
    }
    assert!(items.len() > 10, "{items:?}");
    assert_eq!(Value::Array(items), tenant["items"], "the list");
}
