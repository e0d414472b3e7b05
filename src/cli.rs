//! The subcommands: what is typed becomes calls. What people read goes to standard output, complaints to standard
//! error.

mod config;
mod doctor;
mod migrate;
mod sessions;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::app::Gateway;
use crate::clock::{Clock as _, SystemClock};
#[cfg(feature = "dev")]
use crate::config::LogSettings;
use crate::config::migrate::{AuthserviceContract, MigrationError};
use crate::config::{
    ConfigErrors, InAuthservicesPlace, Loaded, Settings, environment, load, load_in_authservices_place,
    names_authservices_provider,
};
use crate::entropy::SystemEntropy;
use crate::keyring::{add_to_directory, init_directory};
use crate::secret::generate_session_key;
use crate::{server, telemetry};

/// An OIDC authentication gateway for Istio and Envoy meshes.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the gateway.
    Serve(ConfigFile),
    /// Runs a gateway, an identity provider and a demo site on loopback, to try things out.
    #[cfg(feature = "dev")]
    Dev {
        /// The port of the demo site.
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// Looks at a configuration without running it.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Looks for what is wrong: at the identity providers, with our keys as the mesh fetches them, in Istio's objects.
    Doctor(doctor::Arguments),
    /// Prints a configuration made from the settings of the gateway that is replaced.
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// The keys that sign RC tokens.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// The sessions of a running gateway: who is signed in, and their end.
    #[command(subcommand)]
    Sessions(sessions::SessionsCommand),
    /// The keys that seal sessions and cookies.
    #[command(subcommand)]
    SessionKeys(SessionKeysCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Says what is wrong, where, and what to write instead.
    Check(ConfigFile),
    /// Prints the JSON Schema of the file.
    Schema,
    /// Prints the effective configuration: file, variables and defaults, without the secrets.
    Print(ConfigFile),
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Writes a keyring directory with a first key; refuses to overwrite one.
    Init {
        /// The directory to write.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Writes a further key, which is published as soon as it is mounted, and signs later.
    Add {
        /// The directory to write to.
        #[arg(long)]
        dir: PathBuf,
        /// When it begins to sign, from now on. Verifiers must have fetched it by then.
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
        after: Duration,
    },
}

#[derive(Debug, Subcommand)]
enum SessionKeysCommand {
    /// Prints a new session key, for `session.keys`.
    Init,
    /// Prints a further session key, which opens as soon as it is mounted, and makes cookies and rows later.
    Add {
        /// When it begins to make, from now on. All replicas must have it by then.
        #[arg(long, value_name = "TIME", default_value = "15m", value_parser = humantime::parse_duration)]
        after: Duration,
    },
}

#[derive(Args, Debug)]
struct ConfigFile {
    /// The configuration file; without one, the `COUNTERSIGN_…` variables say everything.
    #[arg(long = "config", value_name = "FILE", env = "COUNTERSIGN_CONFIG")]
    file: Option<PathBuf>,
}

/// Does what was asked for, and says how it ended: 0 for success, 1 for a failure, 2 for a mistake in the
/// configuration. (A mistake in the arguments has ended the process already, with 2.)
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    match dispatch(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has read enough. The shell's word for that, as of others that write into a closed pipe.
        Err(error) if error.is::<NobodyReads>() => ExitCode::from(141),
        Err(error) => {
            complain(&format!("countersign: {}", told(&error)));
            ExitCode::from(if error.is::<ConfigErrors>() || error.is::<MigrationError>() { 2 } else { 1 })
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(ConfigFile { file: None }) if names_authservices_provider(environment()) => {
            let InAuthservicesPlace { loaded, contract } = load_in_authservices_place(environment())
                .inspect_err(|errors| config::print_warnings(&errors.warnings))?;
            config::print_warnings(&loaded.warnings);
            runtime()?.block_on(serve(loaded.settings, Some(contract)))
        }
        Command::Serve(ConfigFile { file }) => {
            let Loaded { settings, warnings, .. } = load(file.as_deref(), environment())?;
            config::print_warnings(&warnings);
            runtime()?.block_on(serve(settings, None))
        }
        #[cfg(feature = "dev")]
        Command::Dev { port } => {
            telemetry::init(&LogSettings { json: false, filter: "warn".into() })?;
            runtime()?.block_on(crate::dev::run(port))
        }
        Command::Config(ConfigCommand::Check(ConfigFile { file })) => config::check(file.as_deref()),
        Command::Config(ConfigCommand::Schema) => config::schema(),
        Command::Config(ConfigCommand::Print(ConfigFile { file })) => config::print(file.as_deref()),
        Command::Doctor(arguments) => runtime()?.block_on(doctor::run(&arguments)),
        Command::Migrate(command) => migrate::run(command),
        Command::Sessions(command) => runtime()?.block_on(sessions::run(command)),
        Command::Keys(KeysCommand::Init { dir }) => init_keys(&dir),
        Command::Keys(KeysCommand::Add { dir, after }) => add_keys(&dir, after),
        Command::SessionKeys(SessionKeysCommand::Init) => say(&generate_session_key(&SystemEntropy)),
        Command::SessionKeys(SessionKeysCommand::Add { after }) => {
            let begins = SystemClock.now().plus(after).to_rfc3339();
            say(&format!("{} from {begins}", generate_session_key(&SystemEntropy)))
        }
    }
}

async fn serve(settings: Settings, in_place_of: Option<AuthserviceContract>) -> anyhow::Result<()> {
    telemetry::init(&settings.log)?;
    let gateway = match in_place_of {
        None => Gateway::open(settings).await?,
        Some(contract) => {
            tracing::info!(
                "there is no configuration file and OIDC_PROVIDER is set: serving as authservice did, by its variables; \
                 `countersign migrate authservice` drafts a configuration of our own"
            );
            let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
            Gateway::open_in_authservices_place(settings, contract, clock, entropy).await?
        }
    };
    let (failed, failure) = tokio::sync::oneshot::channel();
    let stop = async {
        if let Err(error) = server::signalled().await {
            // Without signals nobody could ask for a graceful end; better not to begin.
            let _ = failed.send(error);
        }
    };
    gateway.run(stop).await?;
    failure.await.map_or(Ok(()), |error| Err(error.into()))
}

fn init_keys(dir: &Path) -> anyhow::Result<()> {
    let kid = init_directory(dir, SystemClock.now(), Arc::new(SystemEntropy))?;
    say(&format!("{} holds the new key {kid}: write `token: {{keys: {{dir: {0}}}}}`", dir.display()))
}

fn add_keys(dir: &Path, after: Duration) -> anyhow::Result<()> {
    let sign_from = SystemClock.now().plus(after);
    let kid = add_to_directory(dir, sign_from, Arc::new(SystemEntropy))?;
    say(&format!("{} holds the further key {kid}, which signs from {} on", dir.display(), sign_from.to_rfc3339()))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// An error and its causes, none of them twice: some say their cause themselves.
fn told(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told.push_str(": ");
            told.push_str(&cause);
        }
    }
    told
}

/// Standard output was closed before all was written.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output")]
struct NobodyReads;

/// Writes a line for whoever reads the output; a closed pipe is an error, not a panic.
fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => NobodyReads.into(),
        _ => error.into(),
    })
}

/// Writes a line of complaint. Where it cannot be written, there is nobody to complain to.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
