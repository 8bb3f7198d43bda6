//! Logging: one line per thing that happened, to standard error, and to a collector if there is one.

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

use crate::config::{Log, LogFormat};
use crate::telemetry::otlp::Collector;

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The filter cannot be read. A loaded configuration never holds such a one.
    #[error("log.filter")]
    Filter(#[from] filter::ParseError),
    /// Something in this process logs already.
    #[error(transparent)]
    Installed(#[from] util::TryInitError),
}

/// Starts logging for the whole process.
///
/// For people, lines are coloured where standard error is a terminal and `NO_COLOR` is not set.
/// For programs, each line is one flat JSON object: `timestamp`, `level`, `target`, `message` and
/// the fields of the event side by side. What is logged as part of a trace has its `trace_id` and
/// `span_id`.
///
/// # Errors
/// If the filter cannot be read or logging has started before.
pub fn init(log: &Log, collector: &Collector) -> Result<(), LogsError> {
    // The library's own words are for those who ask for them.
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
    let sent = match collector.logs() {
        // What sends them must not be told of itself.
        Some(logs) => Some(
            OpenTelemetryTracingBridge::new(logs)
                .with_filter(filter::filter_fn(|about| {
                    about.target().starts_with("weir")
                }))
                .with_filter(filter()?),
        ),
        None => None,
    };
    let subscriber = tracing_subscriber::registry().with(lines).with(sent);
    subscriber.try_init()?;
    Ok(())
}

/// Adds the ids of the trace that a line is part of.
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
