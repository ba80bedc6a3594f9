//! Lists: filters, search, order, pages.

use serde_json::{Value, json};

use super::super::harness::{Client, Server};

async fn create_all(client: &Client, bodies: &[Value]) -> String {
    let mut position = String::new();
    for body in bodies {
        position = client.create(body.clone()).await.position;
    }
    client.get_at("/api/integrations", &position).await.expect(200);
    position
}

async fn names(client: &Client, query: &str) -> Vec<String> {
    let list = client.get(&format!("/api/integrations?{query}")).await.expect(200).json();
    let items = list["_embedded"]["inf:integration"].as_array().unwrap();
    assert_eq!(list["count"], items.len());
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

fn named(name: &str, description: &str) -> Value {
    json!({ "name": name, "type": "custom", "description": description })
}

#[tokio::test]
async fn a_search_finds_prefixes_of_words_without_regard_to_case_and_accents() {
    let server = Server::start().await;
    let alice = server.alice();
    create_all(
        &alice,
        &[named("Caf\u{e9} Berlin", "Coffee machine"), named("Drive_Sync", "nightly-backup"), named("Other", "")],
    )
    .await;
    let table: [(&str, &[&str]); 12] = [
        ("q=cafe", &["Caf\u{e9} Berlin"]),
        ("q=CAF%C3%89", &["Caf\u{e9} Berlin"]),
        ("q=ber", &["Caf\u{e9} Berlin"]),
        ("q=erlin", &[]),
        ("q=coff+ber", &["Caf\u{e9} Berlin"]),
        ("q=cafe+sync", &[]),
        ("q=sync", &["Drive_Sync"]),
        ("q=backup", &["Drive_Sync"]),
        ("q=night", &["Drive_Sync"]),
        ("q=---", &[]),
        ("q=", &["Caf\u{e9} Berlin", "Drive_Sync", "Other"]),
        ("q=o&sort=-name", &["Other"]),
    ];
    for (query, expected) in table {
        assert_eq!(names(&alice, query).await, expected, "{query}");
    }
    assert_eq!(alice.get("/api/integrations?q=a+b+c+d+e+f+g+h").await.status, 200);
    alice.get("/api/integrations?q=a+b+c+d+e+f+g+h+i").await.expect_problem(400, "invalid-parameter");
    alice.get(&format!("/api/integrations?q={}", "x".repeat(65))).await.expect_problem(400, "invalid-parameter");
    assert_eq!(alice.get(&format!("/api/integrations?q={}", "x".repeat(64))).await.status, 200);
}

#[tokio::test]
async fn a_search_is_ordered_by_relevance_unless_a_sort_is_given() {
    let server = Server::start().await;
    let alice = server.alice();
    let all = [
        named("Zeta slack", "none"),
        named("Alpha", "slack inside"),
        named("Slackware", "none"),
        named("Beta", "slackers"),
        named("Yet slack", "none"),
    ];
    create_all(&alice, &all).await;
    assert_eq!(names(&alice, "q=slack").await, ["Yet slack", "Zeta slack", "Slackware", "Alpha", "Beta"]);
    assert_eq!(names(&alice, "q=slack&sort=name").await, ["Alpha", "Beta", "Slackware", "Yet slack", "Zeta slack"]);
}

#[tokio::test]
async fn filters_are_exact_and_repeated_ones_are_or() {
    let server = Server::start().await;
    let alice = server.alice();
    let all = [
        json!({ "name": "A", "type": "slack", "category": "chat" }),
        json!({ "name": "B", "type": "custom", "category": "storage", "data": { "supportsUpload": true } }),
        json!({ "name": "C", "type": "custom" }),
    ];
    create_all(&alice, &all).await;
    alice.put("/api/integrations/a/tags", json!({ "tags": ["t1", "t2"] })).await.expect(200);
    alice.put("/api/integrations/b/tags", json!({ "tags": ["t2"] })).await.expect(200);
    let moved = alice.put("/api/integrations/c/shares/alice2", json!({})).await;
    assert_eq!(moved.status, 422);
    alice.put("/api/integrations/c/shares/x", json!({ "accessLevel": 1 })).await.expect(200);
    let last = server.admin().put("/api/integrations/c/owner", json!({ "ownerId": "team:c" })).await.expect(200);
    let admin = server.admin();
    admin.get_at("/api/integrations", last.header("integration-position")).await.expect(200);
    let table: [(&str, &[&str]); 12] = [
        ("type=slack", &["A"]),
        ("type=Slack", &[]),
        ("type=slack&type=custom", &["A", "B", "C"]),
        ("category=chat", &["A"]),
        ("category=chat&category=storage", &["A", "B"]),
        ("tag=t1", &["A"]),
        ("tag=t1&tag=t2", &["A", "B"]),
        ("ownerId=alice", &["A", "B"]),
        ("ownerId=team:c", &["C"]),
        ("ownerId=alice&ownerId=team%3Ac&type=custom", &["B", "C"]),
        ("supportsUpload=true&type=custom", &["B"]),
        ("supportsUpload=false&type=custom", &["C"]),
    ];
    for (query, expected) in table {
        assert_eq!(names(&admin, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_list_is_sorted_by_lower_case_name_unless_told_otherwise_with_ties_by_id() {
    let server = Server::start().await;
    let alice = server.alice();
    let id = |last: u8| format!("01a20cb8-af5f-7247-90f0-09771fc0c36{last}");
    let all = [
        json!({ "id": id(3), "name": "b", "type": "z" }),
        json!({ "id": id(1), "name": "B", "type": "y" }),
        json!({ "id": id(2), "name": "a", "type": "x" }),
        json!({ "id": id(4), "name": "\u{c4}", "type": "x" }),
    ];
    create_all(&alice, &all).await;
    let touched = alice.put("/api/integrations/a", json!({ "description": "touched" })).await.expect(200);
    alice.get_at("/api/integrations", touched.header("integration-position")).await.expect(200);
    let ids = |query: &'static str| {
        let alice = alice.clone();
        async move {
            let list = alice.get(&format!("/api/integrations?{query}")).await.expect(200).json();
            let items = list["_embedded"]["inf:integration"].as_array().unwrap().clone();
            items.iter().map(|item| item["id"].as_str().unwrap().chars().last().unwrap()).collect::<String>()
        }
    };
    assert_eq!(ids("").await, "2134");
    assert_eq!(ids("sort=name").await, "2134");
    assert_eq!(ids("sort=-name").await, "4132");
    assert_eq!(ids("sort=type").await, "2413");
    assert_eq!(ids("sort=-type").await, "3124");
    assert_eq!(ids("sort=-updatedAt").await.chars().next(), Some('2'));
    let flat = alice.get("/api/integrations-list").await.expect(200).json();
    let flat: String =
        flat.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().chars().last().unwrap()).collect();
    assert_eq!(flat, "2134");
}

#[tokio::test]
async fn the_pages_of_a_list_are_the_list_and_its_links_walk_it() {
    let server = Server::start().await;
    let alice = server.alice();
    let all: Vec<_> = (0..11).map(|number| json!({ "name": format!("N{number:02}"), "type": "custom" })).collect();
    create_all(&alice, &all).await;
    let whole = names(&alice, "type=custom").await;
    for limit in [1, 3, 4, 11, 12] {
        let (mut path, mut seen, mut pages) = (format!("/api/integrations?limit={limit}&type=custom"), Vec::new(), 0);
        loop {
            let page = alice.get(&path).await.expect(200).json();
            let items = page["_embedded"]["inf:integration"].as_array().unwrap();
            assert_eq!((&page["start"], &page["total"]), (&json!(seen.len()), &json!(11)));
            seen.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
            pages += 1;
            let links = page["_links"].as_object().unwrap();
            assert_eq!(links["self"]["href"], path);
            assert_eq!(links.contains_key("first"), pages > 1);
            assert_eq!(links.contains_key("prev"), pages > 1);
            let Some(next) = links.get("next") else {
                assert!(!links.contains_key("last"));
                break;
            };
            path = next["href"].as_str().unwrap().to_owned();
        }
        assert_eq!(seen, whole, "limit {limit}");
        assert_eq!(pages, 11_usize.div_ceil(limit));
    }
}

#[tokio::test]
async fn the_links_of_a_page_name_first_previous_next_and_last() {
    let server = Server::start().await;
    let alice = server.alice();
    let all: Vec<_> = (0..7).map(|number| json!({ "name": format!("N{number}"), "type": "custom" })).collect();
    create_all(&alice, &all).await;
    let links = alice.get("/api/integrations?sort=name&start=2&limit=2").await.expect(200).json()["_links"].clone();
    let href = |start: u8| json!({ "href": format!("/api/integrations?limit=2&sort=name&start={start}") });
    assert_eq!(links, json!({ "self": href(2), "first": href(0), "prev": href(0), "next": href(4), "last": href(6) }));
    let beyond = alice.get("/api/integrations?start=100").await.expect(200).json();
    assert_eq!((&beyond["count"], &beyond["total"], &beyond["start"]), (&json!(0), &json!(7), &json!(100)));
    assert_eq!(beyond["_embedded"]["inf:integration"], json!([]));
    assert!(beyond["_links"].get("next").is_none() && beyond["_links"].get("first").is_some());
}

#[tokio::test]
async fn a_page_has_50_items_unless_told_otherwise() {
    let server = Server::start().await;
    let alice = server.alice();
    let all: Vec<_> = (0..51).map(|number| json!({ "name": format!("N{number}"), "type": "custom" })).collect();
    create_all(&alice, &all).await;
    assert_eq!(names(&alice, "").await.len(), 50);
    assert_eq!(names(&alice, "limit=500").await.len(), 51);
    assert_eq!(names(&alice, "limit=1").await.len(), 1);
}

#[tokio::test]
async fn dates_sort_by_time_either_way() {
    let server = Server::start().await;
    let alice = server.alice();
    // Each is created in a millisecond of its own, so that the order is of times and not of ids.
    for name in ["B", "C", "A"] {
        let created = alice.create(json!({ "name": name, "type": "custom" })).await;
        let detail = alice.get_at(&created.path(""), &created.position).await.expect(200).json();
        let is_past = || async {
            let probe = alice.create(json!({ "name": "Probe", "type": "probe" })).await;
            let shown = alice.get_at(&probe.path(""), &probe.position).await.expect(200).json();
            alice.delete(&probe.path("")).await.expect(204);
            shown["createdAt"] != detail["createdAt"]
        };
        while !is_past().await {}
    }
    let touched = alice.put("/api/integrations/c", json!({ "description": "touched" })).await.expect(200);
    alice.get_at("/api/integrations", touched.header("integration-position")).await.expect(200);
    assert_eq!(names(&alice, "sort=createdAt").await, ["B", "C", "A"]);
    assert_eq!(names(&alice, "sort=-createdAt").await, ["A", "C", "B"]);
    assert_eq!(names(&alice, "sort=updatedAt").await, ["B", "A", "C"]);
    assert_eq!(names(&alice, "sort=-updatedAt").await, ["C", "A", "B"]);
}

#[tokio::test]
async fn the_flat_list_always_has_tags_and_sharing_and_sorts_shares_by_principal() {
    let server = Server::start().await;
    let alice = server.alice();
    create_all(&alice, &[json!({ "name": "Bare", "type": "custom" }), json!({ "name": "Shared", "type": "custom" })])
        .await;
    for (principal, level) in [("team:b", 3), ("carol", 2), ("Zoe", 1)] {
        alice
            .put(&format!("/api/integrations/shared/shares/{principal}"), json!({ "accessLevel": level }))
            .await
            .expect(200);
    }
    let last = alice.put("/api/integrations/shared/tags", json!({ "tags": ["z", "a"] })).await.expect(200);
    let flat = alice.get_at("/api/integrations-list", last.header("integration-position")).await.expect(200).json();
    let part = |item: &Value| json!([item["shared"], item["tags"], item["sharing"]]);
    assert_eq!(part(&flat[0]), json!([false, [], []]));
    let share = |principal: &str, level: u8| json!({ "principalId": principal, "accessLevel": level });
    let sharing = [share("Zoe", 1), share("carol", 2), share("team:b", 3)];
    assert_eq!(part(&flat[1]), json!([true, ["z", "a"], sharing]));
    let members: Vec<_> = flat[0].as_object().unwrap().keys().map(String::as_str).collect();
    let always = ["authType", "embedded", "id", "mode", "name", "ownerId", "shared", "sharing", "slug", "tags", "type"];
    assert_eq!(members, always, "what is absent is left out");
}

#[tokio::test]
async fn a_librarys_list_is_paged_and_sorted_likewise() {
    let server = Server::start().await;
    let alice = server.alice();
    let embedded = |name: &str, kind: &str| json!({ "name": name, "type": kind, "embedded": true, "libraryId": "lib" });
    let elsewhere = json!({ "name": "Z", "type": "a", "embedded": true, "libraryId": "lib2" });
    create_all(&alice, &[embedded("B", "x"), embedded("A", "z"), embedded("C", "y"), elsewhere]).await;
    let path = "/api/libraries/lib/integrations";
    let page = |query: &'static str| {
        let alice = alice.clone();
        async move { alice.get(&format!("{path}?{query}")).await.expect(200).json() }
    };
    let shown = |page: &Value| -> Vec<String> {
        let items = page["_embedded"]["inf:integration"].as_array().unwrap();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(shown(&page("").await), ["A", "B", "C"]);
    assert_eq!(shown(&page("sort=-name").await), ["C", "B", "A"]);
    assert_eq!(shown(&page("sort=type").await), ["B", "C", "A"]);
    let second = page("start=1&limit=1").await;
    assert_eq!(shown(&second), ["B"]);
    assert_eq!((&second["start"], &second["count"], &second["total"]), (&json!(1), &json!(1), &json!(3)));
    let href = |start: u8| json!({ "href": format!("{path}?limit=1&start={start}") });
    let links = json!({ "self": href(1), "first": href(0), "prev": href(0), "next": href(2), "last": href(2) });
    assert_eq!(second["_links"], links);
}

#[tokio::test]
async fn equally_relevant_ones_are_ordered_by_name_and_then_by_id() {
    let server = Server::start().await;
    let alice = server.alice();
    let id = |last: u8| format!("01a20cb8-af5f-7247-90f0-09771fc0c36{last}");
    let slack = |last: u8, name: &str| json!({ "id": id(last), "name": name, "type": "custom" });
    create_all(&alice, &[slack(3, "slack b"), slack(1, "Slack B"), slack(2, "SLACK a")]).await;
    let list = alice.get("/api/integrations?q=slack").await.expect(200).json();
    let items = list["_embedded"]["inf:integration"].as_array().unwrap();
    let ids: Vec<_> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [id(2), id(1), id(3)]);
}

#[tokio::test]
async fn search_and_filters_hold_together_and_leave_out_embedded_ones() {
    let server = Server::start().await;
    let alice = server.alice();
    let all = [
        json!({ "name": "Slack one", "type": "slack", "category": "chat" }),
        json!({ "name": "Slack two", "type": "custom", "category": "chat" }),
        json!({ "name": "Other", "type": "slack", "category": "chat" }),
        json!({ "name": "Slack in", "type": "slack", "embedded": true, "libraryId": "lib" }),
    ];
    create_all(&alice, &all).await;
    assert_eq!(names(&alice, "q=slack&type=slack").await, ["Slack one"]);
    assert_eq!(names(&alice, "q=slack&category=chat&limit=1&start=1").await, ["Slack two"]);
    assert_eq!(names(&alice, "q=in").await, Vec::<String>::new());
    // Words that hold together by a mark and those that are written in another form are found all the same.
    create_all(&alice, &[named("\u{fb01}le-store", "\u{c5}ngstr\u{f6}m")]).await;
    for query in ["q=file", "q=store", "q=file-store", "q=angstrom", "q=A%CC%8Angstr%C3%B6m"] {
        assert_eq!(names(&alice, query).await, ["\u{fb01}le-store"], "{query}");
    }
}
