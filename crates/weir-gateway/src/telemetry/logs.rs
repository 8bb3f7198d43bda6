//! Logging, to standard error and to the collector.

use std::fmt;
use std::io::{self, IsTerminal};

use opentelemetry::{Context, trace::TraceContextExt};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, filter, util};

use crate::config::{LogConfig, LogFormat};
use crate::telemetry::otlp::Collector;

/// Error of starting the log.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The filter is invalid. Loading a configuration excludes that.
    #[error("log.filter")]
    Filter(#[from] filter::ParseError),
    /// Another subscriber is installed in this process.
    #[error(transparent)]
    Installed(#[from] util::TryInitError),
}

/// Starts logging for the whole process.
///
/// Human-readable lines are coloured if standard error is a terminal and `NO_COLOR` is not set. A
/// JSON line is one flat object: `timestamp`, `level`, `target`, `message`, and the fields of the
/// event. A line of a trace has its `trace_id` and `span_id`.
///
/// # Errors
/// If the filter is invalid, or logging has started already.
pub fn init(log: &LogConfig, collector: &Collector) -> Result<(), LogsError> {
    // The telemetry library logs at `info` by default, which operators did not ask for.
    let directives = if log.filter.contains("opentelemetry") {
        log.filter.clone()
    } else {
        format!("{},opentelemetry=warn", log.filter)
    };
    let filter = || EnvFilter::builder().parse(&directives);
    let terminal = io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = if json {
        let format = format().json().flatten_event(true);
        let format = format.with_current_span(false).with_span_list(false);
        let lines = lines.json().event_format(Traced { format, json });
        lines.with_filter(filter()?).boxed()
    } else {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let format = format();
        let lines = lines
            .with_ansi(terminal && !plain)
            .event_format(Traced { format, json });
        lines.with_filter(filter()?).boxed()
    };
    let exported = match collector.logs() {
        // An exporter that logged to itself would export without end.
        Some(logs) => Some(
            OpenTelemetryTracingBridge::new(logs)
                .with_filter(filter::filter_fn(|metadata| {
                    metadata.target().starts_with("weir")
                }))
                .with_filter(filter()?),
        ),
        None => None,
    };
    let subscriber = tracing_subscriber::registry().with(lines).with(exported);
    subscriber.try_init()?;
    Ok(())
}

/// Formatter that appends the ids of the current trace.
struct Traced<F> {
    format: F,
    json: bool,
}

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let current = Context::current();
        let span = current.span();
        let span = span.span_context();
        if !span.is_valid() {
            return self.format.format_event(context, writer, event);
        }
        let (trace, span) = (span.trace_id(), span.span_id());
        let mut line = String::new();
        let plain = Writer::new(&mut line);
        self.format.format_event(context, plain, event)?;
        match line.strip_prefix('{') {
            Some(rest) if self.json => {
                write!(
                    writer,
                    r#"{{"trace_id":"{trace}","span_id":"{span}",{rest}"#
                )
            }
            _ => writeln!(
                writer,
                "{} trace_id={trace} span_id={span}",
                line.trim_end()
            ),
        }
    }
}
