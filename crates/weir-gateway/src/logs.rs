//! Logging: one line per thing that happened, to standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::fmt::Subscriber;
use tracing_subscriber::{EnvFilter, filter, util};

use crate::config::{Log, LogFormat};

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The filter cannot be read. A loaded configuration never holds such a one.
    #[error("log.filter: {0}")]
    Filter(#[from] filter::ParseError),
    /// Something in this process logs already.
    #[error(transparent)]
    Installed(#[from] util::TryInitError),
}

/// Starts logging for the whole process.
///
/// For people, lines are coloured where standard error is a terminal and `NO_COLOR` is not set.
/// For programs, each line is one flat JSON object: `timestamp`, `level`, `target`, `message` and
/// the fields of the event side by side.
///
/// # Errors
/// If the filter cannot be read or logging has started before.
pub fn init(log: &Log) -> Result<(), LogsError> {
    let filter = EnvFilter::builder().parse(&log.filter)?;
    let terminal = io::stderr().is_terminal();
    let lines = Subscriber::builder()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    if json {
        let lines = lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false);
        util::SubscriberInitExt::try_init(lines.finish())?;
    } else {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        util::SubscriberInitExt::try_init(lines.with_ansi(terminal && !plain).finish())?;
    }
    Ok(())
}
