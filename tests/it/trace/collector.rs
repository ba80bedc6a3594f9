//! A collector of the tests' own, which takes spans by OTLP over HTTP as any other does.

use std::{
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span, span::SpanKind, status::StatusCode as SpanStatus},
};
use prost::Message as _;

/// A collector, on a thread of its own, so that it answers while a test waits for a process.
pub(crate) struct Collector {
    pub(crate) url: String,
    taken: Arc<Taken>,
}

#[derive(Default)]
struct Taken {
    spans: Mutex<Vec<Seen>>,
    refuses: AtomicBool,
    requests: AtomicUsize,
}

/// A span that has come.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Whose it is.
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty where it begins a trace.
    pub(crate) parent: String,
    pub(crate) kind: SpanKind,
    pub(crate) has_failed: bool,
    /// In the order of names.
    pub(crate) attributes: Vec<(String, String)>,
    /// Everything that stands in it.
    pub(crate) text: String,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::<Taken>::default();
        let routes = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&taken));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), routes).await.unwrap();
            });
        });
        Self { url, taken }
    }

    /// Refuses what comes, or takes it.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.taken.refuses.store(refuses, Ordering::Relaxed);
    }

    /// How many requests have come.
    pub(crate) fn requests(&self) -> usize {
        self.taken.requests.load(Ordering::Relaxed)
    }

    /// The spans that have come.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        self.taken.spans.lock().unwrap().clone()
    }

    /// The spans of this name that have come.
    pub(crate) fn named(&self, name: &str) -> Vec<Seen> {
        self.spans().into_iter().filter(|span| span.name == name).collect()
    }

    /// The one span of this name that has come.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> Seen {
        let mut found = self.named(name);
        assert_eq!(found.len(), 1, "{name}: {:#?}", self.spans());
        found.remove(0)
    }
}

impl Seen {
    fn of(service: &str, span: &Span) -> Self {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let mut attributes: Vec<_> = span.attributes.iter().map(told).collect();
        attributes.sort();
        Self {
            service: service.to_owned(),
            name: span.name.clone(),
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            kind: span.kind(),
            has_failed: span.status.as_ref().is_some_and(|status| status.code() == SpanStatus::Error),
            attributes,
            text: format!("{span:?}"),
        }
    }

    /// Its attributes, for a comparison.
    pub(crate) fn attributes(&self) -> Vec<(&str, &str)> {
        self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

async fn take(State(taken): State<Arc<Taken>>, body: Bytes) -> StatusCode {
    taken.requests.fetch_add(1, Ordering::Relaxed);
    if taken.refuses.load(Ordering::Relaxed) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    taken.spans.lock().unwrap().extend(request.resource_spans.iter().flat_map(seen));
    StatusCode::OK
}

fn seen(resource: &ResourceSpans) -> Vec<Seen> {
    let attributes =
        resource.resource.as_ref().map(|resource| resource.attributes.iter().map(told).collect::<Vec<_>>());
    let service = attributes.into_iter().flatten().find(|(name, _)| name == "service.name").unwrap().1;
    let spans = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
    spans.map(|span| Seen::of(&service, span)).collect()
}

fn told(attribute: &KeyValue) -> (String, String) {
    let value = match attribute.value.clone().and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    (attribute.key.clone(), value)
}
