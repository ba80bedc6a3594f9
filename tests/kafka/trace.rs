//! With `--otlp`: the trace of a request goes on to Kafka.

use serde_json::json;
use servers::kafka::Broker;
use uuid::Uuid;

use super::{collector::Collector, consumer::committed, process::Process};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_stands_in_the_trace_of_its_request() {
    let (broker, prefix, collector) = (Broker::shared(), format!("trace-{}", Uuid::new_v4()), Collector::start());
    let (brokers, directory) = (broker.address(), tempfile::tempdir().unwrap());
    let options = ["serve", "--kafka", &brokers, "--kafka-topic-prefix", &prefix, "--otlp", &collector.url];
    let mut service = Process::start(directory.path(), &options);
    service.wait_until_ready().await;
    let create = reqwest::Client::new().post(format!("{}/api/integrations", service.api.url));
    let create = create.bearer_auth(&service.api.token).json(&json!({ "name": "Drive", "type": "google-drive" }));
    let created = create.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01")).send().await.unwrap();
    assert_eq!(created.status(), 201);
    service.wait_until_published().await;
    service.terminate();
    let request = collector.one("POST /api/integrations");
    assert_eq!(request.trace, TRACE);
    let traceparent = format!("00-{TRACE}-{}-01", request.id);
    let events = committed(&brokers, &format!("{prefix}.events"));
    assert_eq!(
        events.iter().map(|event| event.json()["traceparent"].clone()).collect::<Vec<_>>(),
        [traceparent.as_str()]
    );
    let states = committed(&brokers, &format!("{prefix}.state"));
    assert_eq!(states.iter().map(|state| &state.headers["ce_traceparent"]).collect::<Vec<_>>(), [&traceparent]);
    let topic = format!("{prefix}.events");
    let published = collector.one(&format!("send {topic}"));
    assert_eq!((&published.trace, &published.parent, published.has_failed), (&request.trace, &request.id, false));
    let expected = [
        ("messaging.destination.name", topic.as_str()),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.system", "kafka"),
    ];
    assert_eq!(published.attributes(), expected);
}
