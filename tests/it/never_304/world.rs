//! Two tenants with the same ids in both, their users with changing rights, and what they read.

use serde_json::json;

use super::{Memory, random::Random};
use crate::harness::{ADMIN, CREATE, Client, Request, Server};

/// Names of users and of teams, chosen so that some run together to the same text.
const USERS: [&str; 5] = ["a", "ab", "b", "bc", "admin"];
const GROUPS: [&str; 5] = ["a", "b", "bc", "c", "team:x"];
/// Whom integrations can be shared with and given to.
pub(super) const PRINCIPALS: [&str; 7] = ["a", "ab", "b", "bc", "c", "admin", "team:x"];
pub(super) const TAGS: [&str; 3] = ["red", "green", "t-1"];
pub(super) const LIBRARIES: [&str; 2] = ["l1", "l:2"];

const CODINGS: [&str; 7] = ["gzip", "identity", "x-gzip", "gzip;q=0", "*", "identity;q=0, *", "br;q=1.0, gzip;q=0.8"];
const PARAMETERS: [&str; 17] = [
    "q=slack",
    "q=a",
    "q=drive+files",
    "supportsUpload=true",
    "supportsUpload=false",
    "type=slack",
    "type=custom",
    "category=storage",
    "tag=red",
    "tag=green",
    "ownerId=a",
    "ownerId=team%3Ax",
    "start=1",
    "limit=2",
    "sort=-name",
    "sort=updatedAt",
    "q=",
];

/// A tenant, as its writer knows it.
pub(super) struct Tenant {
    name: String,
    pub(super) root: Client,
    pub(super) living: Vec<Living>,
    pub(super) creates: usize,
    position: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Living {
    pub(super) id: String,
    pub(super) slug: String,
    pub(super) shares: Vec<&'static str>,
}

/// Somebody with a token, until he gets another.
struct Caller {
    tenant: usize,
    user: &'static str,
    client: Client,
}

pub(super) struct World {
    pub(super) random: Random,
    pub(super) tenants: [Tenant; 2],
    callers: Vec<Caller>,
    anonymous: Client,
    /// Ids that both tenants use, so that nothing but the tenant tells them apart.
    pub(super) ids: Vec<String>,
    /// Who read what last, in which coding.
    last: (usize, String, Option<&'static str>),
}

/// A read that is to be judged.
pub(super) struct Read {
    /// Who reads what in which coding.
    pub(super) key: String,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) tags: Vec<String>,
    client: Client,
    coding: Option<&'static str>,
}

impl Read {
    pub(super) fn request(&self, tags: &[String], position: Option<&str>) -> Request {
        let is_oracle = tags.is_empty();
        let mut request = self.client.request(if is_oracle { "GET" } else { self.method }, &self.path);
        for (name, value) in [("accept-encoding", self.coding), ("integration-position", position)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        if is_oracle { request } else { request.header("if-none-match", &tags.join(", ")) }
    }
}

impl World {
    pub(super) async fn new(server: &Server, seed: u64, number: u64) -> Self {
        let mut random = Random::new(seed, number);
        let anonymous = server.anonymous();
        let tenants = [format!("w{number}"), format!("w{number}-a")].map(|name| {
            let root = as_client(server, &anonymous, &name, "root", &[], &[ADMIN]);
            Tenant { name, root, living: Vec::new(), creates: 0, position: None }
        });
        let id = |random: &mut Random| {
            uuid::Builder::from_random_bytes(
                (u128::from(random.next()) << 64 | u128::from(random.next())).to_be_bytes(),
            )
            .into_uuid()
            .to_string()
        };
        let ids = (0..200).map(|_| id(&mut random)).collect();
        let last = (0, "/api/integrations".to_owned(), None);
        let mut world = Self { random, tenants, callers: Vec::new(), anonymous, ids, last };
        for tenant in [0, 0, 0, 1, 1, 0, 1] {
            let caller = world.caller(server, tenant, USERS[world.callers.len() % USERS.len()]);
            world.callers.push(caller);
        }
        world
    }

    /// Somebody with random rights.
    fn caller(&mut self, server: &Server, tenant: usize, user: &'static str) -> Caller {
        let groups = self.random.some(&GROUPS, 50);
        let permissions = self.random.some(&[ADMIN, CREATE], 35);
        let client = as_client(server, &self.anonymous, &self.tenants[tenant].name, user, &groups, &permissions);
        Caller { tenant, user, client }
    }

    /// Gives somebody other groups and permissions, now and then.
    pub(super) fn change_rights(&mut self, server: &Server) {
        if self.random.has_chance(70) {
            let at = self.random.below(self.callers.len());
            self.callers[at] = self.caller(server, self.callers[at].tenant, self.callers[at].user);
        }
    }

    /// Somebody of a tenant who tries to write: its admin, or whoever.
    pub(super) fn writer(&mut self, tenant: usize) -> Client {
        if self.random.has_chance(65) {
            return self.tenants[tenant].root.clone();
        }
        let callers: Vec<_> = self.callers.iter().filter(|caller| caller.tenant == tenant).collect();
        self.random.pick(&callers).client.clone()
    }

    /// What was written is the state until the next write.
    pub(super) fn wrote(&mut self, tenant: usize, position: &str) {
        // What changed nothing answers the position of what is there.
        let last = &mut self.tenants[tenant].position;
        *last = last.take().max(Some(position.to_owned()));
    }

    /// Waits until everything that was written can be read.
    pub(super) async fn catch_up(&mut self) {
        for tenant in &mut self.tenants {
            if let Some(position) = tenant.position.take() {
                for path in ["/api/integrations?limit=1", "/api/principals/a/integrations?limit=1"] {
                    tenant.root.get_at(path, &position).await.expect(200);
                }
            }
        }
    }

    /// Some read of somebody, with some tags.
    pub(super) fn read(&mut self, memory: &Memory) -> Read {
        let chance = self.random.below(100);
        if chance >= 40 {
            self.last.0 = self.random.below(self.callers.len());
            self.last.2 = if self.random.has_chance(45) { None } else { Some(*self.random.pick(&CODINGS)) };
        }
        let tenant = self.callers[self.last.0].tenant;
        if chance >= 65 {
            self.last.1 = self.path(tenant);
        }
        let (at, path, coding) = self.last.clone();
        let (user, client) = (self.callers[at].user, self.callers[at].client.clone());
        let key = format!("{path} in {coding:?} by {user} of tenant {tenant}");
        let tags = self.tags(memory, &path, &key);
        let method = if self.random.has_chance(10) { "HEAD" } else { "GET" };
        Read { key, method, path, tags, client, coding }
    }

    fn path(&mut self, tenant: usize) -> String {
        let Living { id, slug, shares } = self.living(tenant);
        let integration = if self.random.has_chance(40) { slug } else { id };
        match self.random.below(20) {
            0..=2 => format!("/api/integrations/{integration}"),
            3 => format!("/api/integrations/{integration}/owner"),
            4 => format!("/api/integrations/{integration}/tags"),
            5 => format!("/api/integrations/{integration}/shares"),
            6 | 7 => {
                let principal = *self.random.pick(if shares.is_empty() { &PRINCIPALS } else { &shares[..] });
                format!("/api/integrations/{integration}/shares/{principal}")
            }
            8 => format!("/api/integrations/{integration}/access"),
            9 | 10 => format!("/api/integrations/{integration}/icon"),
            11 | 12 => "/api/integrations-list".to_owned(),
            13 => format!("/api/libraries/{}/integrations", self.random.pick(&LIBRARIES)),
            // Whom most may not ask about, their own name and that of a team.
            18 | 19 => {
                let who = self.random.pick(&PRINCIPALS);
                let query = self.random.pick(&["", "?start=1", "?limit=2", "?sort=-name", "?limit=1&sort=updatedAt"]);
                format!("/api/principals/{who}/integrations{query}")
            }
            14 if self.random.has_chance(30) => "/api/integration-drivers".to_owned(),
            14 => "/api/me".to_owned(),
            _ => format!("/api/integrations{}", self.query()),
        }
    }

    fn living(&mut self, tenant: usize) -> Living {
        // Now and then what is another tenant's, or nobody's.
        let tenant = if self.random.has_chance(4) { 1 - tenant } else { tenant };
        let living = &self.tenants[tenant].living;
        if living.is_empty() {
            return Living { id: self.ids[0].clone(), slug: "nothing".to_owned(), shares: Vec::new() };
        }
        living[self.random.below(living.len())].clone()
    }

    fn query(&mut self) -> String {
        let mut query = String::new();
        let mut given = Vec::new();
        for _ in 0..self.random.below(3) {
            let parameter = *self.random.pick(&PARAMETERS);
            let name = parameter.split('=').next().unwrap();
            if !given.contains(&name) || matches!(name, "type" | "tag" | "ownerId") {
                given.push(name);
                query.push(if query.is_empty() { '?' } else { '&' });
                query.push_str(parameter);
            }
        }
        query
    }

    /// Tags that somebody may have: his own last one, others of this path, whoever saw them and in whichever coding, or
    /// any at all.
    fn tags(&mut self, memory: &Memory, path: &str, key: &str) -> Vec<String> {
        let mut tags = Vec::new();
        let of_path = memory.of_path.get(path).map_or(&[][..], Vec::as_slice);
        let own = memory.last.get(key);
        let count = 1 + self.random.below(3);
        while tags.len() < count {
            let tag = match (self.random.below(10), own) {
                (0..=3, Some(own)) => own.clone(),
                (0..=6, _) if !of_path.is_empty() => {
                    self.random.pick(&of_path[of_path.len().saturating_sub(4)..]).clone()
                }
                (7, _) => "\"0-00000000.00000000\"".to_owned(),
                _ if memory.tags.is_empty() => "\"x\"".to_owned(),
                _ => self.random.pick(&memory.tags).clone(),
            };
            tags.push(if self.random.has_chance(10) { format!("W/{tag}") } else { tag });
        }
        tags
    }
}

fn as_client(
    server: &Server,
    http: &Client,
    tenant: &str,
    user: &str,
    groups: &[&str],
    permissions: &[&str],
) -> Client {
    let claims = json!({ "sub": user, "tenant": tenant, "groups": groups, "permissions": permissions });
    Client { token: Some(server.token(claims)), ..http.clone() }
}
