//! Spans, and how their context crosses between nodes.
//!
//! Where nobody collects traces the API of OpenTelemetry makes spans of nothing: some small
//! allocations per request, and nothing per chunk.

use std::{
    borrow::Cow,
    collections::HashMap,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue, global,
    trace::{SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer},
};

/// Who says all this: the instrumentation scope.
pub const SCOPE: &str = "weir";

/// The field of the W3C's Trace Context (section 3.2).
const FIELD: &str = "traceparent";

/// Begins a span below that of `parent`. It ends with the last clone of the answer, or when it is told
/// to.
#[must_use]
pub fn begin(
    name: impl Into<Cow<'static, str>>,
    kind: SpanKind,
    parent: &Context,
    attributes: Vec<KeyValue>,
) -> Context {
    let tracer = global::tracer(SCOPE);
    let span = tracer
        .span_builder(name)
        .with_kind(kind)
        .with_attributes(attributes)
        .start_with_context(&tracer, parent);
    parent.with_span(span)
}

/// Ends the span of a context, as failed if there was an error.
pub fn end(context: &Context, error: Option<String>) {
    let span = context.span();
    if let Some(error) = error {
        span.set_status(Status::error(error));
    }
    span.end();
}

/// A span that has just ended, and took so long.
pub fn note(
    name: &'static str,
    parent: &SpanContext,
    took: Duration,
    attributes: Vec<KeyValue>,
) -> SpanContext {
    let tracer = global::tracer(SCOPE);
    let parent = if parent.is_valid() {
        Context::new().with_remote_span_context(parent.clone())
    } else {
        Context::new()
    };
    let now = SystemTime::now();
    let span = tracer
        .span_builder(name)
        .with_start_time(now - took)
        .with_attributes(attributes)
        .start_with_context(&tracer, &parent);
    let context = parent.with_span(span);
    context.span().end_with_timestamp(now);
    context.span().span_context().clone()
}

/// The context of whoever runs now, as text; `None` without one.
#[must_use]
pub fn said() -> Option<String> {
    let context = Context::current();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut fields = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut fields));
    fields.remove(FIELD)
}

/// The context that a text says; an empty one if it says none.
#[must_use]
pub fn heard(traceparent: Option<&str>) -> Context {
    let Some(traceparent) = traceparent else {
        return Context::new();
    };
    let fields = HashMap::from([(FIELD.to_owned(), traceparent.to_owned())]);
    global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &fields)
    })
}

/// A span of another node, of which only the ids are known.
#[must_use]
pub fn remote(trace: [u8; 16], span: [u8; 8]) -> SpanContext {
    SpanContext::new(
        opentelemetry::TraceId::from_bytes(trace),
        opentelemetry::SpanId::from_bytes(span),
        opentelemetry::TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    )
}
