//! What the log says of each integration, folded here from its rows alone, and how the contract shows that.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::log::Row;
use crate::harness::{Client, encoded};

/// An integration as its rows tell it.
#[derive(Debug, Clone)]
pub(crate) struct Folded {
    id: String,
    slug: Value,
    owner: Value,
    library: Value,
    settings: Map<String, Value>,
    secrets: BTreeMap<String, String>,
    shares: BTreeMap<String, Value>,
    tags: Value,
    created_at: String,
    updated_at: String,
    /// `<revision>-<first 8 hex digits of its last event's hash>`.
    change: String,
}

/// Every integration of a tenant that is there, by id.
pub(crate) fn fold(rows: &[Row], tenant: &str) -> BTreeMap<String, Folded> {
    let mut there: BTreeMap<String, Folded> = BTreeMap::new();
    for row in rows {
        let Some((_, id)) = row.of("integration").filter(|(of, _)| *of == tenant) else { continue };
        match row.name() {
            "IntegrationCreated" => drop(there.insert(id.to_owned(), created(row, id))),
            "IntegrationDeleted" => drop(there.remove(id)),
            _ => apply(there.get_mut(id).unwrap(), row),
        }
        if let Some(folded) = there.get_mut(id) {
            folded.change = format!("{}-{}", row.revision, &row.hash[..8]);
            folded.updated_at = folded.updated_at.clone().max(row.at.clone());
        }
    }
    there
}

fn created(row: &Row, id: &str) -> Folded {
    let data = row.json();
    let mut folded = Folded {
        id: id.to_owned(),
        slug: data["slug"].clone(),
        owner: data["owner"].clone(),
        library: data["library"].clone(),
        settings: data["settings"].as_object().unwrap().clone(),
        secrets: BTreeMap::new(),
        shares: BTreeMap::new(),
        tags: json!([]),
        created_at: row.at.clone(),
        updated_at: row.at.clone(),
        change: String::new(),
    };
    change_secrets(&mut folded, &data["secrets"]);
    folded
}

fn apply(folded: &mut Folded, row: &Row) {
    let data = row.json();
    let principal = || data["principal"].as_str().unwrap().to_owned();
    match row.name() {
        "IntegrationUpdated" => {
            for (name, change) in data["changes"].as_object().into_iter().flatten() {
                if change["to"].is_null() {
                    folded.settings.remove(name);
                } else {
                    folded.settings.insert(name.clone(), change["to"].clone());
                }
            }
            change_secrets(folded, &data["secrets"]);
        }
        "IntegrationShared" => drop(folded.shares.insert(principal(), data["level"].clone())),
        "IntegrationUnshared" => drop(folded.shares.remove(&principal())),
        "OwnershipTransferred" => {
            folded.owner = data["to"].clone();
            folded.shares.remove(data["to"].as_str().unwrap());
        }
        "TagsSet" => folded.tags = data["tags"].clone(),
        "IconSet" | "IconRemoved" => {}
        name => panic!("{name} is new to this fold"),
    }
}

/// Secrets by the name of their field, in lower case; what is shown of each is its name as given.
fn change_secrets(folded: &mut Folded, secrets: &Value) {
    let headers = secrets["headers"].as_object().into_iter().flatten();
    let fields = secrets.as_object().into_iter().flatten().filter(|(name, _)| *name != "headers");
    let headers = headers.map(|(name, secret)| (format!("headers/{name}"), secret));
    for (name, secret) in headers.chain(fields.map(|(name, secret)| (name.clone(), secret))) {
        if secret == "cleared" {
            folded.secrets.remove(&name.to_lowercase());
        } else {
            folded.secrets.insert(name.to_lowercase(), name);
        }
    }
}

impl Folded {
    fn href(&self, rest: &str) -> Value {
        json!({ "href": format!("/api/integrations/{}{rest}", self.id) })
    }

    fn pick(&self, names: &[&str]) -> Map<String, Value> {
        let all = self.detail();
        names.iter().filter_map(|name| Some(((*name).to_owned(), all.get(*name)?.clone()))).collect()
    }

    /// As `GET /integrations/{id}` shows it.
    fn detail(&self) -> Value {
        let mut shown = self.settings.clone();
        // What is empty is left out.
        shown.retain(|name, value| name != "headers" || *value != json!({}));
        let headers: Vec<_> = self.secrets.values().filter_map(|name| name.strip_prefix("headers/")).collect();
        if !headers.is_empty() {
            shown.insert("secretHeaders".to_owned(), json!(headers));
        }
        if !self.library.is_null() {
            shown.insert("libraryId".to_owned(), self.library.clone());
        }
        let mut share = self.href("/shares/{principalId}");
        share["templated"] = true.into();
        let more = json!({
            "id": self.id,
            "slug": self.slug,
            "ownerId": self.owner,
            "embedded": !self.library.is_null(),
            "hasClientSecret": self.secrets.contains_key("clientsecret"),
            "hasApiKey": self.secrets.contains_key("apikey"),
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "_links": {
                "self": self.href(""),
                "inf:icon": self.href("/icon"),
                "inf:connect": self.href("/connect"),
                "inf:connection": self.href("/connection"),
                "inf:request": self.href("/request"),
                "inf:integration-owner": self.href("/owner"),
                "inf:integration-shares": self.href("/shares"),
                "inf:integration-share": share,
                "inf:integration-tags": self.href("/tags"),
                "inf:history": self.href("/history"),
            },
        });
        shown.extend(more.as_object().unwrap().clone());
        Value::Object(shown)
    }

    /// As an item of `GET /integrations`.
    fn item(&self) -> Value {
        let mut item = self.pick(&[
            "id",
            "name",
            "slug",
            "type",
            "category",
            "description",
            "mode",
            "authType",
            "embedded",
            "scope",
            "authUri",
            "tokenUri",
            "apiBaseUri",
            "createdAt",
            "updatedAt",
        ]);
        item.insert("_links".to_owned(), json!({ "self": self.href("") }));
        Value::Object(item)
    }

    /// As an item of `GET /principals/{id}/integrations`, if that principal reaches it.
    fn reached_by(&self, principal: &str) -> Option<Value> {
        let level = if self.owner == principal { json!(3) } else { self.shares.get(principal)?.clone() };
        let mut item = self.pick(&["id", "name", "slug", "type", "ownerId", "embedded"]);
        item.insert("accessLevel".to_owned(), level);
        item.insert("_links".to_owned(), json!({ "self": self.href("") }));
        Some(Value::Object(item))
    }

    /// As an item of `GET /integrations-list`.
    fn flat(&self) -> Value {
        let names =
            ["id", "name", "slug", "type", "category", "description", "mode", "authType", "ownerId", "embedded"];
        let mut item = self.pick(&names);
        let sharing = self.shares.iter().map(|(id, level)| json!({ "principalId": id, "accessLevel": level }));
        item.insert("shared".to_owned(), (!self.shares.is_empty()).into());
        item.insert("tags".to_owned(), self.tags.clone());
        item.insert("sharing".to_owned(), sharing.collect());
        Value::Object(item)
    }
}

/// Checks that both lists, every detail, and what each principal reaches show what the rows say, to an admin of the
/// tenant.
pub(crate) async fn check_views(admin: &Client, tenant: &str, rows: &[Row]) {
    let there = fold(rows, tenant);
    let mut listed: Vec<_> = there.values().filter(|folded| folded.library.is_null()).collect();
    listed.sort_by_key(|folded| (folded.settings["name"].as_str().unwrap().to_lowercase(), folded.id.clone()));
    let flat = admin.get("/api/integrations-list").await.expect(200).json();
    assert_eq!(flat, Value::Array(listed.iter().map(|folded| folded.flat()).collect()), "the flat list");
    let mut items = Vec::new();
    for start in (0..listed.len()).step_by(500) {
        let page = admin.get(&format!("/api/integrations?limit=500&start={start}")).await.expect(200).json();
        items.extend(page["_embedded"]["inf:integration"].as_array().unwrap().clone());
        assert_eq!(page["total"], listed.len());
    }
    assert_eq!(items, listed.iter().map(|folded| folded.item()).collect::<Vec<_>>(), "the list");
    for folded in there.values() {
        let answer = admin.get(&format!("/api/integrations/{}", folded.id)).await.expect(200);
        assert_eq!(answer.json(), folded.detail(), "a detail");
        assert!(answer.header("etag").starts_with(&format!("\"{}.", folded.change)), "{folded:?}");
    }
    check_access(admin, &there, rows).await;
}

async fn check_access(admin: &Client, there: &BTreeMap<String, Folded>, rows: &[Row]) {
    let last = rows.iter().filter(|row| row.of("integration").is_some()).map(|row| row.position).max().unwrap_or(0);
    let mut sorted: Vec<_> = there.values().collect();
    sorted.sort_by_key(|folded| (folded.settings["name"].as_str().unwrap().to_lowercase(), folded.id.clone()));
    let owners = sorted.iter().map(|folded| folded.owner.as_str().unwrap());
    let others = sorted.iter().flat_map(|folded| folded.shares.keys().map(String::as_str)).chain(["nobody"]);
    for principal in owners.chain(others).collect::<BTreeSet<_>>() {
        let expected: Vec<_> = sorted.iter().filter_map(|folded| folded.reached_by(principal)).collect();
        let path = format!("/api/principals/{}/integrations", encoded(principal));
        let mut items = Vec::new();
        for start in (0..=expected.len()).step_by(500) {
            let page = admin.get_at(&format!("{path}?limit=500&start={start}"), &format!("{last:016x}")).await;
            let page = page.expect(200).json();
            items.extend(page["_embedded"]["inf:integration"].as_array().unwrap().clone());
            assert_eq!(page["total"], expected.len());
        }
        assert_eq!(items, expected, "what {principal} reaches");
    }
}
