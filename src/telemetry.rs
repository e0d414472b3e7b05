//! Logs: one JSON object a line, or text for people. What a request is called stands in each of its lines.

mod json;

use thiserror::Error;
use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::audit;
use crate::config::LogSettings;

/// The log cannot be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The operator's filter means nothing.
    #[error("log.filter {filter:?} is no filter ({reason}): write a level, or `target=level` with commas between")]
    Misconfigured {
        /// What was written.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Logs to standard output from now on. The first call in a process counts, later ones change nothing.
///
/// # Errors
/// If the filter cannot be read.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    let _ = log_to(settings, std::io::stdout)?.try_init();
    Ok(())
}

/// A log to somewhere else, which nobody uses yet.
///
/// # Errors
/// If the filter cannot be read.
pub fn log_to<W>(settings: &LogSettings, writer: W) -> Result<Dispatch, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // The audit trail is not lost by asking for less of the rest.
    let directives = if settings.filter.contains(audit::TARGET) {
        settings.filter.clone()
    } else {
        format!("{},{}=info", settings.filter, audit::TARGET)
    };
    let filter = EnvFilter::try_new(directives).map_err(|error| TelemetryError::Misconfigured {
        filter: settings.filter.clone(),
        reason: error.to_string(),
    })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let registry = tracing_subscriber::registry().with(filter);
    Ok(if settings.json {
        registry.with(lines.fmt_fields(JsonFields::new()).event_format(json::Lines)).into()
    } else {
        registry.with(lines.with_ansi(false)).into()
    })
}

#[cfg(test)]
mod tests;
