//! `keys rotate --drop`: looks at the log, and drops nothing, since nobody can ask every process that writes it.

use super::*;
use crate::process::eventually;

fn key_file(site: &Site) -> String {
    std::fs::read_to_string(site.data_dir().join("master.key")).unwrap()
}

/// The ids in the key file.
fn ids(site: &Site) -> Vec<String> {
    key_file(site).lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// The metrics of the service.
async fn metrics(site: &Site) -> String {
    reqwest::get(format!("{}/metrics", site.url)).await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn nothing_is_dropped_and_it_is_told_what_the_log_needs_and_what_is_to_be_done() {
    let mut site = Site::stopped().await;
    assert!(printed(&site.run(&["keys", "rotate", "--drop"])).contains("Dropped 0 master key(s)"));
    printed(&site.run(&["keys", "rotate"]));
    let (file, active) = (key_file(&site), ids(&site).pop().unwrap());
    check_refused(&site.run(&["keys", "rotate", "--drop"]), 2, &["nothing was dropped", "2 need first"]);
    site.service = Process::serve(&site.data_dir(), &["--event-store", &site.peer.url()]);
    site.url = site.service.ready().await;
    let line = format!("\nintegrations_active_master_key{{id=\"{active}\"}} 1\n");
    eventually("it says which key it uses", async || metrics(&site).await.contains(&line)).await;
    eventually("every key is under it", async || site.service.stderr().contains("none is left to be re-wrapped")).await;
    let refused = site.run(&["keys", "rotate", "--drop"]);
    check_refused(&refused, 2, &["nothing was dropped", line.trim().trim_end_matches(" 1"), "by hand"]);
    assert_eq!(key_file(&site), file);
    // By hand, then, under the running service; and with the other keys gone, everything opens.
    std::fs::write(site.data_dir().join("master.key"), file.lines().last().unwrap().to_owned() + "\n").unwrap();
    assert!(site.service.terminate().status.success());
    site.service = Process::serve(&site.data_dir(), &["--event-store", &site.peer.url()]);
    site.url = site.service.ready().await;
    site.alice().put("/api/integrations/drive", json!({ "clientSecret": "another" })).await.expect(200);
}

#[tokio::test]
async fn a_process_that_runs_says_at_once_when_it_uses_another_key() {
    let site = Site::start().await;
    let shown =
        async |id: &str| metrics(&site).await.contains(&format!("\nintegrations_active_master_key{{id=\"{id}\"}} 1\n"));
    eventually("it says which key it uses", async || shown("first").await).await;
    printed(&site.run(&["keys", "rotate"]));
    let active = ids(&site).pop().unwrap();
    eventually("it says the other one", async || shown(&active).await).await;
    assert!(!shown("first").await, "it uses one only");
}

#[tokio::test]
async fn a_data_key_that_cannot_be_read_keeps_nobody_from_starting_and_no_master_key_from_being_needed() {
    let mut site = Site::stopped().await;
    let stream = site.stream(|event| event.event_type() == "DataKeyWrapped.v1");
    site.alter(&stream, 0, |event| {
        event.proposed.metadata.insert("type".to_owned(), "DataKeyWrapped.v2".to_owned());
    });
    printed(&site.run(&["keys", "rotate"]));
    site.service = Process::serve(&site.data_dir(), &["--event-store", &site.peer.url()]);
    site.url = site.service.ready().await;
    let told = "every data key that can be read is under the active master key";
    eventually("the others are re-wrapped", async || site.service.stderr().contains(told)).await;
    let log = site.service.stderr();
    assert_eq!(log.lines().filter(|line| line.contains("ERROR") && line.contains(&stream)).count(), 1, "{log}");
    assert!(metrics(&site).await.contains("\nintegrations_keys_to_rewrap 1\n"));
    let needed = ["nothing was dropped", "1 cannot be read and may need any"];
    check_refused(&site.run(&["keys", "rotate", "--drop"]), 2, &needed);
}
