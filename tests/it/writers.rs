//! Users who change things one after the other until the service is gone, and remember what they were told.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::{sync::mpsc::UnboundedSender, task::JoinSet};

use crate::harness::{Answer, Client, Request};
use crate::{log::Row, topology::IS_ONE_PROCESS};

/// A create, under a key of its own.
#[derive(Debug)]
pub(crate) struct Create {
    key: String,
    body: Value,
    /// What it was told; `None` when the service was gone first.
    answer: Option<Answer>,
}

/// A command on an integration, with what its event must be.
#[derive(Debug)]
struct Sent {
    request_id: String,
    event: &'static str,
    /// Stands in the event's data, and in no other event's.
    mark: String,
    answer: Option<Answer>,
}

/// What one writer has sent.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) creates: Vec<Create>,
    commands: Vec<Sent>,
}

/// Writers at work.
pub(crate) struct Writers(JoinSet<Told>);

impl Writers {
    /// Starts writers, whose answers are counted by `acknowledged`.
    pub(crate) fn start(client: &Client, round: usize, count: usize, acknowledged: &UnboundedSender<()>) -> Self {
        let write = |writer| {
            let (client, acknowledged) = (client.clone(), acknowledged.clone());
            async move {
                let (name, mut told) = (format!("w-{round}-{writer}"), Told::default());
                // It ends when nobody answers any more.
                let _gone = write_on(&client, &name, &acknowledged, &mut told).await;
                told
            }
        };
        Self((0..count).map(write).collect())
    }

    /// Waits until the service is gone for each of them.
    pub(crate) async fn ended(self) -> Vec<Told> {
        self.0.join_all().await
    }
}

/// The service did not answer any more.
struct Gone;

async fn write_on(
    client: &Client,
    name: &str,
    acknowledged: &UnboundedSender<()>,
    told: &mut Told,
) -> Result<(), Gone> {
    for number in 0.. {
        let mark = format!("{name}-{number}");
        let path = format!("/api/integrations/{}", create(client, &mark, acknowledged, told).await?);
        let shared = format!("{path}/shares/to-{mark}");
        let description = json!({ "description": format!("by-{mark}"), "clientSecret": "again" });
        command(client.request("PUT", &path).json(&description), "IntegrationUpdated", &mark, acknowledged, told)
            .await?;
        command(client.request("PUT", &shared), "IntegrationShared", &mark, acknowledged, told).await?;
        let tagged = format!("{path}/tags/tag-{mark}");
        command(client.request("PUT", &tagged), "TagsSet", &mark, acknowledged, told).await?;
        if number % 3 == 0 {
            command(client.request("DELETE", &shared), "IntegrationUnshared", &mark, acknowledged, told).await?;
        }
        if number % 2 == 0 {
            command(client.request("DELETE", &path), "IntegrationDeleted", &mark, acknowledged, told).await?;
        }
    }
    Ok(())
}

/// Creates an integration and answers its id.
async fn create(
    client: &Client,
    mark: &str,
    acknowledged: &UnboundedSender<()>,
    told: &mut Told,
) -> Result<String, Gone> {
    // Every second one has a secret, and every fourth fights for the same slug.
    let number = told.creates.len();
    let name = if number.is_multiple_of(4) { "Same".to_owned() } else { mark.to_owned() };
    let mut body = json!({ "name": name, "type": "custom" });
    if number.is_multiple_of(2) {
        body["clientSecret"] = format!("secret-{mark}").into();
    }
    let key = format!("key-{mark}");
    let answer = answered(repeat_create(client, &key, &body)).await;
    told.creates.push(Create { key, body, answer: answer.clone() });
    let answer = answer.ok_or(Gone)?.expect(201);
    let _ = acknowledged.send(());
    Ok(answer.json()["id"].as_str().unwrap().to_owned())
}

/// An answer of the service: none when it is gone, also when only the proxy in front says so.
async fn answered(request: Request) -> Option<Answer> {
    let answer = request.try_send().await.ok();
    answer.filter(|answer| IS_ONE_PROCESS || !matches!(answer.status, 502..=504))
}

fn repeat_create(client: &Client, key: &str, body: &Value) -> Request {
    client.request("POST", "/api/integrations").header("idempotency-key", key).json(body)
}

async fn command(
    request: Request,
    event: &'static str,
    mark: &str,
    acknowledged: &UnboundedSender<()>,
    told: &mut Told,
) -> Result<(), Gone> {
    let request_id = format!("{mark}-{event}");
    let answer = answered(request.header("x-request-id", &request_id)).await;
    told.commands.push(Sent { request_id, event, mark: mark.to_owned(), answer: answer.clone() });
    let answer = answer.ok_or(Gone)?;
    assert!(matches!(answer.status, 200 | 204), "{}: {}", answer.status, answer.text());
    let _ = acknowledged.send(());
    Ok(())
}

impl Told {
    /// Checks that every command that was acknowledged is in the log once, and every other one at most once.
    #[track_caller]
    pub(crate) fn check_commands(&self, rows: &[Row]) {
        let mut by_request: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.stream.starts_with("integration-")) {
            let request_id = row.metadata()["correlationId"].as_str().unwrap().to_owned();
            by_request.entry(request_id).or_default().push(row);
        }
        for sent in &self.commands {
            let found = by_request.get(&sent.request_id).map_or(&[][..], Vec::as_slice);
            let enough = usize::from(sent.answer.is_some());
            assert!((enough..=1).contains(&found.len()), "{sent:?} has {} events", found.len());
            for row in found {
                sent.check_event(row);
            }
        }
    }

    /// Repeats every create under its key: what was acknowledged gets the same answer again, and all have one
    /// integration. Answers the ids.
    pub(crate) async fn repeat_creates(&self, client: &Client) -> Vec<String> {
        let mut ids = Vec::new();
        for create in &self.creates {
            let again = repeat_create(client, &create.key, &create.body).send().await.expect(201);
            if let Some(first) = &create.answer {
                assert_eq!((&again.body, again.header("etag")), (&first.body, first.header("etag")), "{create:?}");
                assert_eq!(again.header("location"), first.header("location"));
            }
            ids.push(again.json()["id"].as_str().unwrap().to_owned());
        }
        ids
    }
}

impl Sent {
    #[track_caller]
    fn check_event(&self, row: &Row) {
        assert_eq!(row.name(), self.event);
        let is_marked = String::from_utf8_lossy(&row.data).contains(&self.mark);
        assert!(is_marked || self.event == "IntegrationDeleted", "{self:?} is {row:?}");
        if let Some(etag) = self.answer.as_ref().and_then(|answer| answer.try_header("etag")) {
            assert!(etag.starts_with(&format!("\"{}-{}.", row.revision, &row.hash[..8])), "{self:?} is {row:?}");
        }
    }
}
