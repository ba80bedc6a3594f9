//! The matrix of every route and every role. The expected statuses are written by hand; nothing here computes one.

use serde_json::{Value, json};

use super::super::harness::{ADMIN, AUDIT, CREATE, Client, Created, Server};

/// A route a row: its method, its path (`{i}` is the integration), and the status for each role, in the order of
/// [`roles`]: owner, owner by team; level 1, 2, 3 by user; level 1, 2, 3 by team; stranger, admin, auditor, create only,
/// other tenant, no token.
const READS: &str = "
    GET    {i}                  200 200  200 200 200  200 200 200  404 200 404 404 404 401
    GET    {i}/icon             200 200  200 200 200  200 200 200  404 200 404 404 404 401
    GET    {i}/shares           200 200  200 200 200  200 200 200  404 200 404 404 404 401
    GET    {i}/shares/guest     200 200  200 200 200  200 200 200  404 200 404 404 404 401
    GET    {i}/owner            200 200  200 200 200  200 200 200  404 200 404 404 404 401
    GET    {i}/tags             200 200  200 200 200  200 200 200  404 200 404 404 404 401
    GET    {i}/access           200 200  200 200 200  200 200 200  404 200 404 404 404 401
    HEAD   {i}                  200 200  200 200 200  200 200 200  404 200 404 404 404 401
    GET    {i}?at=0             501 501  501 501 501  501 501 501  404 501 404 404 404 401
    GET    {i}/history          501 501  501 501 501  501 501 501  404 501 404 404 404 401
    POST   {i}/revert           501 501  501 501 501  501 501 501  404 501 404 404 404 401
    GET    {i}/connect          501 501  501 501 501  501 501 501  404 501 404 404 404 401
    POST   {i}/connect          501 501  501 501 501  501 501 501  404 501 404 404 404 401
    GET    {i}/connection       501 501  501 501 501  501 501 501  404 501 404 404 404 401
    DELETE {i}/connection       501 501  501 501 501  501 501 501  404 501 404 404 404 401
    GET    {i}/account          501 501  501 501 501  501 501 501  404 501 404 404 404 401
    POST   {i}/request          501 501  501 501 501  501 501 501  404 501 404 404 404 401
    GET    {i}/request/a/b      501 501  501 501 501  501 501 501  404 501 404 404 404 401
    POST   {i}/request/a        501 501  501 501 501  501 501 501  404 501 404 404 404 401
    PUT    {i}/request/a        501 501  501 501 501  501 501 501  404 501 404 404 404 401
    PATCH  {i}/request/a        501 501  501 501 501  501 501 501  404 501 404 404 404 401
    DELETE {i}/request/a        501 501  501 501 501  501 501 501  404 501 404 404 404 401
    GET    /api/integrations                200 200  200 200 200  200 200 200  200 200 200 200 200 401
    GET    /api/integrations-list           200 200  200 200 200  200 200 200  200 200 200 200 200 401
    GET    /api/libraries/l/integrations    200 200  200 200 200  200 200 200  200 200 200 200 200 401
    GET    /api/principals/reader/integrations   404 404  200 404 404  404 404 404  404 200 404 404 200 401
    GET    /api/integration-drivers         200 200  200 200 200  200 200 200  200 200 200 200 200 401
    GET    /api/me                          200 200  200 200 200  200 200 200  200 200 200 200 200 401
    POST   /api/session                     501 501  501 501 501  501 501 501  501 501 501 501 501 401
    DELETE /api/session                     501 501  501 501 501  501 501 501  501 501 501 501 501 401
    GET    /api/tenant/settings             501 501  501 501 501  501 501 501  501 501 501 501 501 401
    PUT    /api/tenant/settings             501 501  501 501 501  501 501 501  501 501 501 501 501 401
    GET    /api/history                     501 501  501 501 501  501 501 501  501 501 501 501 501 401
    GET    /api/integration-events          501 501  501 501 501  501 501 501  501 501 501 501 501 401
    GET    /oauth2/callback                 501 501  501 501 501  501 501 501  501 501 501 501 501 501
    GET    /livez                           200 200  200 200 200  200 200 200  200 200 200 200 200 200
    GET    /readyz                          200 200  200 200 200  200 200 200  200 200 200 200 200 200
    GET    /metrics                         200 200  200 200 200  200 200 200  200 200 200 200 200 200
    GET    /docs                            200 200  200 200 200  200 200 200  200 200 200 200 200 200
    GET    /openapi.json                    200 200  200 200 200  200 200 200  200 200 200 200 200 200
";

/// Each cell has an integration of its own: these change it.
const WRITES: &str = "
    PUT    {i}                  200 200  403 200 200  403 200 200  404 200 404 404 404 401
    DELETE {i}                  204 204  403 403 204  403 403 204  404 204 404 404 404 401
    PUT    {i}/icon             200 200  403 200 200  403 200 200  404 200 404 404 404 401
    DELETE {i}/icon             204 204  403 204 204  403 204 204  404 204 404 404 404 401
    PUT    {i}/shares/new       200 200  403 403 200  403 403 200  404 200 404 404 404 401
    DELETE {i}/shares/guest     204 204  403 403 204  403 403 204  404 204 404 404 404 401
    PUT    {i}/owner            200 200  403 403 200  403 403 200  404 200 404 404 404 401
    PUT    {i}/tags             200 200  403 200 200  403 200 200  404 200 404 404 404 401
    PUT    {i}/tags/new         200 200  403 200 200  403 200 200  404 200 404 404 404 401
    DELETE {i}/tags/old         204 204  403 204 204  403 204 204  404 204 404 404 404 401
    POST   /api/integrations    403 403  403 403 403  403 403 403  403 201 403 201 201 401
";

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";

/// The roles, in the order of the columns.
fn roles(server: &Server) -> Vec<(&'static str, Client)> {
    let user = |user: &str, groups: &[&str], permissions: &[&str]| {
        server.client(json!({ "sub": user, "tenant": "acme", "groups": groups, "permissions": permissions }))
    };
    vec![
        ("owner", user("owner", &[], &[])),
        ("owner by team", user("member", &["team:owners"], &[])),
        ("level 1 by user", user("reader", &[], &[])),
        ("level 2 by user", user("writer", &[], &[])),
        ("level 3 by user", user("sharer", &[], &[])),
        ("level 1 by team", user("member", &["team:readers"], &[])),
        ("level 2 by team", user("member", &["team:writers"], &[])),
        ("level 3 by team", user("member", &["team:sharers"], &[])),
        ("stranger", user("stranger", &["team:strangers"], &[])),
        ("admin", user("root", &[], &[ADMIN])),
        ("auditor", user("auditor", &[], &[AUDIT])),
        ("create only", user("creator", &[], &[CREATE])),
        ("other tenant", server.other_tenant()),
        ("no token", server.anonymous()),
    ]
}

const PLAIN: &str = r#"{ "name": "Matrix", "type": "custom" }"#;
const EMBEDDED: &str = r#"{ "name": "Matrix", "type": "custom", "embedded": true, "libraryId": "l" }"#;

async fn integration(server: &Server, role: &str) -> Created {
    integration_of(server, role, PLAIN).await
}

/// An integration that every role has its share of; owned by a team where the role is that of its member.
async fn integration_of(server: &Server, role: &str, body: &str) -> Created {
    let owner = server.user_with("owner", &[CREATE]);
    let created = owner.create(serde_json::from_str(body).unwrap()).await;
    let shares = [("reader", 1), ("writer", 2), ("sharer", 3), ("guest", 1)];
    let team_shares = [("team:readers", 1), ("team:writers", 2), ("team:sharers", 3)];
    for (principal, level) in shares.into_iter().chain(team_shares) {
        let path = created.path(&format!("/shares/{principal}"));
        owner.put(&path, json!({ "accessLevel": level })).await.expect(200);
    }
    owner.put(&created.path("/tags"), json!({ "tags": ["old"] })).await.expect(200);
    let icon = owner.request("PUT", &created.path("/icon")).body("image/png", PNG).send().await.expect(200);
    let mut position = icon.header("integration-position").to_owned();
    if role == "owner by team" {
        let moved = owner.put(&created.path("/owner"), json!({ "ownerId": "team:owners" })).await.expect(200);
        position = moved.header("integration-position").to_owned();
    }
    Created { position, ..created }
}

struct Row {
    method: String,
    path: String,
    expected: Vec<u16>,
}

fn rows(table: &str) -> Vec<Row> {
    let lines = table.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
            Row { method, path, expected: words.map(|word| word.parse().unwrap()).collect() }
        })
        .collect()
}

fn body(method: &str, path: &str) -> Option<Value> {
    match (method, path) {
        ("PUT", "{i}") => Some(json!({ "description": "changed" })),
        ("PUT", "{i}/owner") => Some(json!({ "ownerId": "heir" })),
        ("PUT", "{i}/tags") => Some(json!({ "tags": ["new"] })),
        ("POST", "/api/integrations") => Some(json!({ "name": "New", "type": "custom" })),
        _ => None,
    }
}

async fn status(client: &Client, row: &Row, integration: &Created) -> u16 {
    let path = row.path.replace("{i}", &integration.path(""));
    let mut request = client.request(&row.method, &path);
    if row.method == "GET" && path.starts_with("/api/integrations/") {
        request = request.header("integration-position", &integration.position).header("prefer", "wait=10");
    }
    if let Some(body) = body(&row.method, &row.path) {
        request = request.json(&body);
    }
    if row.method == "PUT" && row.path == "{i}/icon" {
        request = request.body("image/gif", "GIF89a\x01\0\x01\0\0\0\0;");
    }
    request.send().await.status
}

#[tokio::test]
async fn every_role_gets_from_every_route_that_reads_what_the_table_says() {
    let server = Server::start().await;
    for (column, (role, client)) in roles(&server).into_iter().enumerate() {
        let integration = integration(&server, role).await;
        // HEAD cannot say what it waits for in a table; the detail waits for it.
        server.admin().get_at(&integration.path(""), &integration.position).await.expect(200);
        for row in rows(READS) {
            let status = status(&client, &row, &integration).await;
            assert_eq!(status, row.expected[column], "{} {} as {role}", row.method, row.path);
        }
    }
}

#[tokio::test]
async fn every_role_gets_from_every_route_that_writes_what_the_table_says() {
    let server = Server::start().await;
    for (column, (role, client)) in roles(&server).into_iter().enumerate() {
        for row in rows(WRITES) {
            let integration = integration(&server, role).await;
            let status = status(&client, &row, &integration).await;
            assert_eq!(status, row.expected[column], "{} {} as {role}", row.method, row.path);
        }
    }
}

/// Whether a path is of a template of the description: `{path}` is all that follows, another name any one segment.
fn is_of(path: &str, template: &str) -> bool {
    let mut templates = template.split('/');
    for segment in path.split('/') {
        match templates.next() {
            Some("{path}") => return true,
            Some(template) if template.starts_with('{') || template == segment => {}
            Some(_) | None => return false,
        }
    }
    templates.next().is_none()
}

#[test]
fn the_table_has_a_status_for_every_role_and_a_row_for_every_route() {
    let rows: Vec<_> = rows(READS).into_iter().chain(rows(WRITES)).collect();
    assert!(rows.iter().all(|row| row.expected.len() == 14));
    let rows: Vec<_> = rows.into_iter().filter(|row| !row.path.contains('?')).collect();
    let described = super::super::description::DESCRIPTION["paths"].as_object().unwrap();
    let is_row_of = |row: &Row, method: &str, template: &str| {
        row.method == method.to_uppercase() && is_of(&row.path.replace("{i}", "/api/integrations/x"), template)
    };
    for (template, item) in described {
        for method in item.as_object().unwrap().keys() {
            let count = rows.iter().filter(|row| is_row_of(row, method, template)).count();
            assert_eq!(count, 1, "rows for {method} {template}");
        }
    }
}

/// What each role is shown of an integration: its level, if he sees it at all.
const SHOWN: [(&str, Option<u64>); 13] = [
    ("owner", Some(3)),
    ("owner by team", Some(3)),
    ("level 1 by user", Some(1)),
    ("level 2 by user", Some(2)),
    ("level 3 by user", Some(3)),
    ("level 1 by team", Some(1)),
    ("level 2 by team", Some(2)),
    ("level 3 by team", Some(3)),
    ("stranger", None),
    ("admin", Some(3)),
    ("auditor", None),
    ("create only", None),
    ("other tenant", None),
];

#[tokio::test]
async fn every_role_is_shown_its_level_and_the_integration_in_each_list_or_nothing() {
    let server = Server::start().await;
    for ((role, client), (of_role, level)) in roles(&server).into_iter().zip(SHOWN) {
        assert_eq!(role, of_role);
        let listed = integration(&server, role).await;
        let embedded = integration_of(&server, role, EMBEDDED).await;
        for (created, path) in [
            (&listed, "/api/integrations?limit=500"),
            (&listed, "/api/integrations-list"),
            (&embedded, "/api/libraries/l/integrations?limit=500"),
        ] {
            let list = client.get_at(path, &embedded.position).await.expect(200).json();
            let items = list.as_array().or_else(|| list["_embedded"]["inf:integration"].as_array()).unwrap();
            let is_there = items.iter().any(|item| item["id"] == created.id);
            assert_eq!(is_there, level.is_some(), "{path} as {role}");
            let access = client.get(&created.path("/access")).await;
            assert_eq!((access.status == 200).then(|| access.json()["level"].as_u64().unwrap()), level, "{role}");
        }
    }
}
