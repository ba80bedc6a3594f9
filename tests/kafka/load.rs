//! Users who change things at the same time, however often the service dies meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use uuid::Uuid;

use super::process::{Api, eventually};

const USERS: u32 = 8;

/// Users at work.
pub(crate) struct Load {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    users: JoinSet<()>,
}

impl Load {
    /// Starts users who together make no more than so many changes a second.
    pub(crate) fn start(api: &Api, per_second: u32) -> Self {
        let (done, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let every = Duration::from_secs(USERS.into()) / per_second;
        let work = |user| work(api.clone(), user, every, Arc::clone(&done), Arc::clone(&stop));
        let users = (0..USERS).map(work).collect();
        Self { done, stop, users }
    }

    /// Changes that were acknowledged.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits until so many changes are acknowledged in all.
    pub(crate) async fn reach(&self, changes: u64) {
        eventually(async || self.done() >= changes, async || format!("{} of {changes} changes", self.done())).await;
    }

    /// Ends it, and answers how many changes were acknowledged.
    pub(crate) async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.users.join_all().await;
        self.done.load(Ordering::Relaxed)
    }
}

/// What somebody does with integrations of his own until it is enough.
async fn work(api: Api, user: u32, every: Duration, done: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let mut pace = interval(every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        let id = Uuid::now_v7();
        let path = format!("/api/integrations/{id}");
        let create = json!({
            "id": id, "name": format!("Canary {user}"), "type": "custom", "apiKey": "canary-secret",
            "headers": { "X-Canary-Token": "canary-secret", "X-Canary-Open": "canary-open" },
            "data": { "n": 1.50 },
        });
        let team = format!("{path}/shares/team:a%2Fb");
        let steps = [
            (Method::POST, "/api/integrations".to_owned(), create),
            (Method::PUT, path.clone(), json!({ "description": "Für Übung", "clientSecret": "canary-secret" })),
            (Method::PUT, team.clone(), json!({ "accessLevel": 2 })),
            (Method::PUT, format!("{path}/tags"), json!({ "tags": ["b", "a"] })),
            (Method::PUT, team, json!({ "accessLevel": 1 })),
            (Method::PUT, path.clone(), json!({ "headers": { "X-Canary-Other": "canary-open" } })),
            (Method::DELETE, path, Value::Null),
        ];
        let stays = id.as_bytes()[15].is_multiple_of(3);
        for (method, path, body) in steps.into_iter().take(if stays { 6 } else { 7 }) {
            pace.tick().await;
            // It may be being started again.
            if api.send(method, &path, &body).await.is_some_and(|status| status.is_success()) {
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
