//! Spans, and the propagation of their context between nodes.
//!
//! Without a collector, OpenTelemetry's spans are no-ops: they cost a few small allocations per
//! request, and nothing per chunk.

use std::{
    borrow::Cow,
    collections::HashMap,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue, global,
    trace::{SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer},
};

/// Instrumentation scope of all spans and metrics.
pub const SCOPE: &str = "weir";

/// Field of W3C Trace Context, section 3.2.
const FIELD: &str = "traceparent";

/// Starts a span below that of `parent`. It ends when the last clone of the returned context is
/// dropped, or with [`end`].
#[must_use]
pub fn start(
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

/// Ends the span of a context, with the status of `error` if there was one.
pub fn end(context: &Context, error: Option<String>) {
    let span = context.span();
    if let Some(error) = error {
        span.set_status(Status::error(error));
    }
    span.end();
}

/// Records a span that has just ended and lasted `took`. Returns its context.
pub fn record(
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

/// Returns the current context as a `traceparent`; `None` without a span.
#[must_use]
pub fn inject() -> Option<String> {
    let context = Context::current();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut fields = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut fields));
    fields.remove(FIELD)
}

/// Returns the context of a `traceparent`; an empty one if it is absent or malformed.
#[must_use]
pub fn extract(traceparent: Option<&str>) -> Context {
    let Some(traceparent) = traceparent else {
        return Context::new();
    };
    let fields = HashMap::from([(FIELD.to_owned(), traceparent.to_owned())]);
    global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &fields)
    })
}

/// Returns the context of a span of another node, of which only the ids are known.
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
