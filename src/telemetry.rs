//! Logs: one JSON object a line, or text for people. What a request is called stands in each of its lines.

mod json;

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
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

/// A log to somewhere else, which nobody uses yet. Of what libraries say below `info` it holds nothing, whatever the filter
/// asks for.
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
    let is_vouched_for =
        |metadata: &Metadata<'_>| is_ours(metadata.target()) || *metadata.level() <= of_libraries(metadata.target());
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(is_vouched_for));
    Ok(if settings.json {
        registry.with(lines.fmt_fields(JsonFields::new()).event_format(json::Lines)).into()
    } else {
        registry.with(lines.with_ansi(false)).into()
    })
}

/// Whether it is our own crates that speak: what they say is held by tests to be free of secrets.
fn is_ours(target: &str) -> bool {
    target == env!("CARGO_CRATE_NAME") || target.starts_with(concat!(env!("CARGO_CRATE_NAME"), "::"))
}

/// How much of a library is logged. Below `info` they may write the requests, headers and frames that pass through them,
/// and the next version may where this one does not.
fn of_libraries(target: &str) -> LevelFilter {
    // An old server, or one whose HELLO was taken away, repeats the password in its complaint, and the library logs that as a
    // warning. What it cannot do we say ourselves.
    if target == "redis" || target.starts_with("redis::") { LevelFilter::OFF } else { LevelFilter::INFO }
}

#[cfg(test)]
mod tests;
