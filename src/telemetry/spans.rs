//! Spans for a collector, by OTLP over HTTP. They wait in a queue of bounded length that nobody waits for; a thread of its
//! own hands them over. What does not fit, or cannot be handed over, is lost, and nothing else is.

use std::{borrow::Cow, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use events::trace::{Collector, OTHER_METHOD, Outcome, Span, TraceParent, Work};
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
        Tracer, TracerProvider as _,
    },
};
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider, Span as SdkSpan},
};
use url::Url;

use client::Client;

mod client;

/// How long a process that is told to stop hands over what waits.
const END_MAX: Duration = Duration::from_secs(5);

/// The spans of this process.
#[derive(Debug)]
pub(crate) struct Spans(SdkTracerProvider);

impl Spans {
    /// Hands spans to the collector at this URL, under this name of the process. Called within the runtime.
    pub(crate) fn collected_at(url: &str, name: &'static str) -> anyhow::Result<Self> {
        let url = traces_url(url)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::of(&url)?)
            // A collector that is away is noticed at once, and a stop never waits for another try.
            .with_retry_policy(RetryPolicy::disabled())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .build()?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name(name).with_attribute(version).build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// Who takes them.
    pub(crate) fn collector(&self) -> Arc<dyn Collector> {
        Arc::new(Queue(self.0.tracer("integrations")))
    }

    /// Hands over what waits, unless that takes too long. None is taken any more.
    pub(crate) async fn hand_over(self) {
        let handed_over = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(END_MAX)).await;
        if !matches!(handed_over, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be handed to the collector in time");
        }
    }
}

/// Where traces go, beside what else the collector takes.
fn traces_url(text: &str) -> anyhow::Result<Url> {
    let mut url = Url::parse(text).context("is no URL")?;
    ensure!(matches!(url.scheme(), "http" | "https"), "must be an http or https URL");
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "must not have a user or password in it; OTEL_EXPORTER_OTLP_HEADERS has room for them"
    );
    ensure!(url.query().is_none() && url.fragment().is_none(), "must not have a query or fragment in it");
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["v1", "traces"]);
    }
    Ok(url)
}

/// Where spans wait to be handed over.
#[derive(Debug)]
struct Queue(SdkTracer);

impl Collector for Queue {
    fn begin(&self, work: Work<'_>, parent: Option<TraceParent>) -> Option<Box<dyn Span>> {
        let (name, kind, attributes) = described(work);
        let method = if let Work::Answer { method } = work { method } else { "" };
        let builder = self.0.span_builder(name).with_kind(kind).with_attributes(attributes);
        let span = self.0.build_with_context(builder, &parent.map_or_else(Context::new, below));
        span.is_recording().then(|| Box::new(Begun { span, method }) as Box<dyn Span>)
    }
}

/// What is below a place in a trace that another process, or an event, has told of.
fn below(TraceParent { trace, span, flags }: TraceParent) -> Context {
    let (trace, span, flags) = (TraceId::from(trace), SpanId::from(span), TraceFlags::new(flags));
    Context::new().with_remote_span_context(SpanContext::new(trace, span, flags, true, TraceState::NONE))
}

/// Name, kind and attributes, by OpenTelemetry's semantic conventions; but for a request's path and a record's key, which
/// have ids in them.
fn described(work: Work<'_>) -> (Cow<'static, str>, SpanKind, Vec<KeyValue>) {
    match work {
        Work::Answer { method } => {
            let known = if is_known(method) { method } else { "_OTHER" };
            (request_name(method).into(), SpanKind::Server, vec![KeyValue::new("http.request.method", known)])
        }
        Work::Project { view } => {
            (format!("project {view}").into(), SpanKind::Consumer, vec![KeyValue::new("integrations.view", view)])
        }
        Work::Publish { topic } => {
            let attributes = vec![
                KeyValue::new("messaging.system", "kafka"),
                KeyValue::new("messaging.operation.name", "send"),
                KeyValue::new("messaging.operation.type", "send"),
                KeyValue::new("messaging.destination.name", topic.to_owned()),
            ];
            (format!("send {topic}").into(), SpanKind::Producer, attributes)
        }
    }
}

fn is_known(method: &str) -> bool {
    method != OTHER_METHOD
}

/// What a request's span is called as long as no route has taken it.
fn request_name(method: &'static str) -> &'static str {
    if is_known(method) { method } else { "HTTP" }
}

/// A span that has begun.
#[derive(Debug)]
struct Begun {
    span: SdkSpan,
    /// The method of the request that it is of; none for other work.
    method: &'static str,
}

impl Begun {
    fn answered(&mut self, route: Option<&str>, status: u16) {
        let Self { span, method } = self;
        if let Some(route) = route {
            span.update_name(format!("{} {route}", request_name(method)));
            span.set_attribute(KeyValue::new("http.route", route.to_owned()));
        }
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= 500 {
            span.set_attribute(KeyValue::new("error.type", status.to_string()));
            span.set_status(Status::error(""));
        }
    }
}

impl Span for Begun {
    fn place(&self) -> TraceParent {
        let context = self.span.span_context();
        TraceParent {
            trace: u128::from_be_bytes(context.trace_id().to_bytes()),
            span: u64::from_be_bytes(context.span_id().to_bytes()),
            flags: context.trace_flags().to_u8(),
        }
    }

    fn end(mut self: Box<Self>, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Answered { route, status } => self.answered(route, status),
            Outcome::Done => {}
            Outcome::Failed => self.span.set_status(Status::error("")),
        }
        self.span.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = traces_url(text).map_or_else(|error| format!("{error:#}"), String::from);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn traces_go_below_the_collectors_url() {
        check("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces");
        check("https://collector.example/otlp/", "https://collector.example/otlp/v1/traces");
    }
}
