//! Random writes: every command, by whoever, on whatever there is.

use serde_json::{Value, json};

use super::{
    Counts,
    random::Random,
    world::{LIBRARIES, Living, PRINCIPALS, TAGS, World},
};
use crate::harness::{Answer, Client, Request};

/// Every command.
pub(super) const KINDS: [&str; 11] = [
    "create",
    "update",
    "delete",
    "share",
    "unshare",
    "transfer",
    "set tags",
    "add tag",
    "remove tag",
    "set icon",
    "remove icon",
];

const LIVING_MIN: usize = 4;
const LIVING_MAX: usize = 9;
const NAMES: [&str; 5] = ["Slack", "Drive files", "Slack a", "\u{c4}rger", "Files"];
const TYPES: [&str; 3] = ["slack", "custom", "google-drive"];
const ICONS: [&str; 3] = ["GIF89a1", "GIF89a2", r#"<svg xmlns="http://www.w3.org/2000/svg"/>"#];

/// Tries a write, and counts it if it was done.
pub(super) async fn write(world: &mut World, counts: &mut Counts) {
    let tenant = world.random.below(2);
    let living = world.tenants[tenant].living.len();
    let kind = match *world.random.pick(&KINDS) {
        _ if living < LIVING_MIN => "create",
        "create" if living >= LIVING_MAX => "delete",
        kind => kind,
    };
    let answer = if kind == "create" { create(world, tenant).await } else { change(world, tenant, kind).await };
    match answer.status {
        200 | 201 | 204 => {
            *counts.writes.entry(kind).or_default() += 1;
            world.wrote(tenant, answer.header("integration-position"));
        }
        403 | 404 | 422 => counts.refused_writes += 1,
        status => panic!("{kind}: {status}: {}", answer.text()),
    }
}

async fn create(world: &mut World, tenant: usize) -> Answer {
    let creates = world.tenants[tenant].creates;
    let mut body = json!({
        "id": world.ids[creates], "name": world.random.pick(&NAMES), "type": world.random.pick(&TYPES),
        "description": world.random.pick(&NAMES),
    });
    if world.random.has_chance(25) {
        body["embedded"] = true.into();
        body["libraryId"] = (*world.random.pick(&LIBRARIES)).into();
    }
    let answer = world.writer(tenant).post("/api/integrations", body).await;
    if answer.status == 201 {
        let text = |name| answer.json()[name].as_str().unwrap().to_owned();
        let tenant = &mut world.tenants[tenant];
        tenant.living.push(Living { id: text("id"), slug: text("slug"), shares: Vec::new() });
        tenant.creates += 1;
    }
    answer
}

async fn change(world: &mut World, tenant: usize, kind: &str) -> Answer {
    let at = world.random.below(world.tenants[tenant].living.len());
    let shares = &world.tenants[tenant].living[at].shares;
    let of = if kind == "unshare" && !shares.is_empty() { shares } else { &PRINCIPALS[..] };
    let principal = *world.random.pick(of);
    let client = world.writer(tenant);
    let living = &mut world.tenants[tenant].living;
    let answer = request(&mut world.random, &client, &living[at].id, kind, principal).send().await;
    match (kind, answer.status) {
        ("delete", 204) => drop(living.remove(at)),
        ("share", 200) => living[at].shares.push(principal),
        ("unshare", 204) => living[at].shares.retain(|shared| *shared != principal),
        _ => {}
    }
    answer
}

fn request(random: &mut Random, client: &Client, id: &str, kind: &str, principal: &str) -> Request {
    let tag = *random.pick(&TAGS);
    let at = |method: &str, rest: String| client.request(method, &format!("/api/integrations/{id}{rest}"));
    match kind {
        "update" => at("PUT", String::new()).json(&update(random)),
        "delete" => at("DELETE", String::new()),
        "share" => at("PUT", format!("/shares/{principal}")).json(&json!({ "accessLevel": 1 + random.below(3) })),
        "unshare" => at("DELETE", format!("/shares/{principal}")),
        "transfer" => at("PUT", "/owner".to_owned()).json(&json!({ "ownerId": principal })),
        "set tags" => at("PUT", "/tags".to_owned()).json(&json!({ "tags": random.some(&TAGS, 50) })),
        "add tag" => at("PUT", format!("/tags/{tag}")),
        "remove tag" => at("DELETE", format!("/tags/{tag}")),
        "set icon" => at("PUT", "/icon".to_owned()).body("image/gif", *random.pick(&ICONS)),
        "remove icon" => at("DELETE", "/icon".to_owned()),
        other => panic!("{other} is no command on an integration"),
    }
}

fn update(random: &mut Random) -> Value {
    match random.below(6) {
        0 => json!({ "name": random.pick(&NAMES) }),
        1 => json!({ "description": random.pick(&NAMES) }),
        2 => json!({ "description": null }),
        3 => json!({ "type": random.pick(&TYPES) }),
        4 => json!({ "data": { "supportsUpload": random.has_chance(50) } }),
        _ => json!({ "headers": { "X-Token": "secret", "X-Open": *random.pick(&NAMES[..3]) } }),
    }
}
