//! Which routes there are, which methods each has, and what is not built yet.

use std::collections::BTreeSet;

use super::super::{
    description::DESCRIPTION,
    harness::{Answer, Server},
};
use super::{METHOD_NOT_ALLOWED, NOT_BUILT, NOT_FOUND, check, check_status, create};

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"];

/// Every route that is built, with its methods. `ID` stands for an integration.
const BUILT: [(&str, &str); 14] = [
    ("/api/integrations", "GET HEAD POST"),
    ("/api/integrations-list", "GET HEAD"),
    ("/api/integrations/ID", "DELETE GET HEAD PUT"),
    ("/api/integrations/ID/icon", "DELETE GET HEAD PUT"),
    ("/api/integrations/ID/shares", "GET HEAD"),
    ("/api/integrations/ID/shares/bob", "DELETE GET HEAD PUT"),
    ("/api/integrations/ID/owner", "GET HEAD PUT"),
    ("/api/integrations/ID/tags", "GET HEAD PUT"),
    ("/api/integrations/ID/tags/red", "DELETE PUT"),
    ("/api/integrations/ID/access", "GET HEAD"),
    ("/api/integration-drivers", "GET HEAD"),
    ("/api/libraries/books/integrations", "GET HEAD"),
    ("/api/principals/alice/integrations", "GET HEAD"),
    ("/api/me", "GET HEAD"),
];

/// Every route that comes later, with its methods.
const NOT_BUILT_YET: [(&str, &str); 12] = [
    ("/api/session", "DELETE POST"),
    ("/api/integrations/ID/connect", "GET HEAD POST"),
    ("/api/integrations/ID/connection", "DELETE GET HEAD"),
    ("/api/integrations/ID/request", "POST"),
    ("/api/integrations/ID/account", "GET HEAD"),
    ("/api/integrations/ID/history", "GET HEAD"),
    ("/api/integrations/ID/revert", "POST"),
    ("/api/tenant/settings", "GET HEAD PUT"),
    ("/api/history", "GET HEAD"),
    ("/api/integration-events", "GET HEAD"),
    ("/oauth2/callback", "GET HEAD"),
    ("/api/integrations/ID/request/v1/files", "DELETE GET HEAD PATCH POST PUT"),
];

/// The routes at the root that are built.
const PUBLIC: [(&str, &str); 5] = [
    ("/openapi.json", "GET HEAD"),
    ("/docs", "GET HEAD"),
    ("/livez", "GET HEAD"),
    ("/readyz", "GET HEAD"),
    ("/metrics", "GET HEAD"),
];

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILT.into_iter().chain(NOT_BUILT_YET).chain(PUBLIC)
}

/// Checks that the header `Allow` names these methods and no other, OPTIONS apart.
#[track_caller]
fn check_allow(what: &str, answer: &Answer, methods: &str) {
    let allow = answer.header("allow").to_owned();
    let named: BTreeSet<_> = allow.split(',').map(str::trim).filter(|method| *method != "OPTIONS").collect();
    assert_eq!(named, methods.split(' ').collect(), "{what}");
}

#[tokio::test]
async fn a_method_that_a_route_has_not_is_405_with_those_that_it_has() {
    let server = Server::start().await;
    let alice = server.alice();
    let id = create(&alice).await.id;
    for (path, methods) in all() {
        let path = path.replace("ID", &id);
        for method in METHODS.into_iter().filter(|method| !methods.split(' ').any(|known| known == *method)) {
            // Whatever the method, it is passed through one day.
            if path.ends_with("/request/v1/files") {
                continue;
            }
            let what = format!("{method} {path}");
            let answer = alice.request(method, &path).send().await;
            if method == "HEAD" {
                check_status(&what, &answer, 405);
            } else {
                check(&what, &answer, METHOD_NOT_ALLOWED, &[]);
            }
            check_allow(&what, &answer, methods);
        }
    }
}

#[tokio::test]
async fn options_is_204_with_the_methods_of_the_route_and_needs_no_token() {
    let server = Server::start().await;
    for (path, methods) in all() {
        let answer = server.anonymous().request("OPTIONS", path).send().await;
        check_status(path, &answer, 204);
        assert!(answer.body.is_empty(), "{path}: {}", answer.text());
        check_allow(path, &answer, methods);
        let bad = server.anonymous().request("OPTIONS", path).header("authorization", "Bearer garbage");
        check_status(path, &bad.send().await, 204);
    }
}

#[tokio::test]
async fn a_route_that_comes_later_is_501_under_its_methods_whatever_the_callers_level() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let shared = alice.put(&created.path("/shares/bob"), serde_json::json!({ "accessLevel": 1 })).await.expect(200);
    alice.get_at(&created.path(""), shared.header("integration-position")).await.expect(200);
    for (path, methods) in NOT_BUILT_YET {
        for name in [&created.id, &created.slug] {
            let path = path.replace("ID", name);
            for (method, client) in methods.split(' ').flat_map(|one| [(one, server.alice()), (one, server.bob())]) {
                let what = format!("{method} {path}");
                let answer = client.request(method, &path).send().await;
                if method == "HEAD" {
                    check_status(&what, &answer, 501);
                } else {
                    check(&what, &answer, NOT_BUILT, &[]);
                }
            }
        }
    }
    for at in ["0", "2024-01-15T09:00:00Z"] {
        let answer = alice.get(&created.path(&format!("?at={at}"))).await;
        check(at, &answer, NOT_BUILT, &[]);
    }
    check_status("an empty at counts as not given", &alice.get(&created.path("?at=")).await, 200);
}

#[tokio::test]
async fn a_route_that_comes_later_is_404_for_an_integration_that_the_caller_may_not_see() {
    let server = Server::start().await;
    let created = create(&server.alice()).await;
    server.alice().get_at(&created.path(""), &created.position).await.expect(200);
    let of_integration = NOT_BUILT_YET.into_iter().filter(|(path, _)| path.contains("ID"));
    for (path, methods) in of_integration.chain([("/api/integrations/ID?at=0", "GET")]) {
        for method in methods.split(' ').filter(|method| *method != "HEAD") {
            let what = format!("{method} {path}");
            for client in [server.bob(), server.other_tenant()] {
                let hidden = client.request(method, &path.replace("ID", &created.id)).send().await;
                check(&what, &hidden, NOT_FOUND, &[]);
            }
            let absent = server.alice().request(method, &path.replace("ID", "absent")).send().await;
            check(&what, &absent, NOT_FOUND, &[]);
        }
    }
}

#[tokio::test]
async fn what_is_no_route_is_404_under_every_method() {
    let server = Server::start().await;
    let id = create(&server.alice()).await.id;
    let below = ["nope", "shares/bob/x", "tags/red/x", "owner/x", "icon/x", "access/x", "Shares"];
    let below = below.map(|rest| format!("/api/integrations/{id}/{rest}"));
    let others =
        ["/api", "/api/", "/api/nope", "/api/integrations/", "/api/libraries", "/api/libraries/x", "/api/me/x"];
    for path in below.into_iter().chain(others.map(str::to_owned)) {
        for method in METHODS.into_iter().filter(|method| *method != "HEAD") {
            let answer = server.alice().request(method, &path).send().await;
            check(&format!("{method} {path}"), &answer, NOT_FOUND, &[]);
        }
        let head = server.alice().request("HEAD", &path).send().await;
        assert!(head.status == 404 && head.body.is_empty(), "HEAD {path}: {}", head.status);
    }
}

#[test]
fn the_description_has_these_routes_and_no_other() {
    let template = |path: &str| {
        let path = path.replace("ID", "{id}").replace("/bob", "/{principalId}").replace("/red", "/{tagId}");
        path.replace("/books", "/{libraryId}").replace("/v1/files", "/{path}").replace("/alice", "/{id}")
    };
    let expected: BTreeSet<_> = all()
        .flat_map(|(path, methods)| methods.split(' ').map(move |method| (template(path), method.to_lowercase())))
        .filter(|(_, method)| method != "head")
        .collect();
    let paths = DESCRIPTION["paths"].as_object().unwrap().iter();
    let described: BTreeSet<_> = paths
        .flat_map(|(path, item)| {
            let path = path.replace("{*path}", "{path}");
            item.as_object().unwrap().keys().map(move |method| (path.clone(), method.clone()))
        })
        .collect();
    assert_eq!(described, expected);
}
