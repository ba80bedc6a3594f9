//! `history`.

use super::*;

/// Everything that `history` tells of an integration.
fn told(run: &dyn Fn(&[&str]) -> Output, id: &str) -> Vec<String> {
    let asked = [&[id][..], &[id, "--tenant", "acme"], &[id, "--json"], &[id, "--tenant", "acme", "--json"]];
    asked.iter().map(|asked| printed(&run(&[&["history"], *asked].concat()))).collect()
}

#[tokio::test]
async fn a_history_is_that_of_the_same_log_in_a_file() {
    let site = Site::stopped().await;
    let copy = site.imported(&site.export("log.jsonl"), "copy");
    let is_created = |event: &&std::sync::Arc<Event>| event.event_type().starts_with("IntegrationCreated");
    let events = site.peer.events();
    let ids: Vec<_> = events.iter().filter(is_created).map(|event| event.stream.rsplit_once(':').unwrap().1).collect();
    assert_eq!(ids.len(), 4);
    for id in ids {
        let there = told(&|arguments| site.run(arguments), id);
        assert_eq!(there, told(&|arguments| run(&copy, arguments), id));
        assert!(there[0].contains("IntegrationCreated  by alice"), "{there:?}");
    }
    let by_slug = ["history", "gone", "--tenant", "acme"];
    let there = printed(&site.run(&by_slug));
    assert_eq!(there, printed(&run(&copy, &by_slug)));
    assert!(there.contains("IntegrationDeleted"), "{there}");
}

#[tokio::test]
async fn an_id_is_found_in_every_tenant_that_has_it_and_nowhere_else() {
    let site = Site::start().await;
    let id = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b";
    for tenant in ["b", "a", "a-b", "a0"] {
        site.of(tenant).create(json!({ "id": id, "name": format!("of {tenant}"), "type": "custom" })).await;
    }
    site.of("aa").create(json!({ "name": "Other", "type": "custom" })).await;
    let text = printed(&site.run(&["history", id]));
    let headings: Vec<_> = text.lines().filter(|line| line.starts_with("integration ")).collect();
    assert_eq!(headings, ["a-b", "a0", "a", "b"].map(|tenant| format!("integration {id} of tenant {tenant}")));
    let text = printed(&site.run(&["history", id, "--tenant", "a0"]));
    assert!(text.contains(r#""of a0""#) && !text.contains(r#""of a""#), "{text}");
    check_refused(&site.run(&["history", id, "--json"]), 2, &["--tenant"]);
    check_refused(&site.run(&["history", "of-a"]), 2, &["--tenant"]);
    let words = &["there is no such integration"];
    check_refused(&site.run(&["history", id, "--tenant", "aa"]), 1, words);
    check_refused(&site.run(&["history", "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6c"]), 1, words);
    check_refused(&site.run(&["history", "of-a", "--tenant", "b"]), 1, words);
    // What cannot be read stands in nobody else's way.
    let stream = format!("integration-a:{id}");
    site.alter(&stream, 0, |event| event.proposed.custom_metadata = "{}".into());
    printed(&site.run(&["history", id, "--tenant", "b"]));
    check_refused(&site.run(&["history", id]), 1, &[&stream, "damaged"]);
}
