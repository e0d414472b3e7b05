//! `migrate authservice`, `migrate oauth2-proxy`: another gateway's settings as a configuration of ours.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{complain, say};
use crate::config::environment;
use crate::config::migrate::{self, Migrated};

#[derive(Debug, Subcommand)]
pub(super) enum MigrateCommand {
    /// From authservice's variables.
    Authservice(Origin),
    /// From oauth2-proxy's flags (behind `--`), variables and file, of which the first named wins.
    #[command(name = "oauth2-proxy")]
    Oauth2Proxy {
        #[command(flatten)]
        origin: Origin,
        /// Its configuration file (TOML); without one, the one that `--config` behind `--` names.
        #[arg(long, value_name = "FILE")]
        cfg: Option<PathBuf>,
        /// Its flags, as its container gets them.
        #[arg(last = true)]
        flags: Vec<String>,
    },
}

#[derive(Args, Debug)]
pub(super) struct Origin {
    /// A file of `NAME=value` lines (params.env), instead of this process's variables; may be given several times.
    #[arg(long = "env-file", value_name = "FILE")]
    env_files: Vec<PathBuf>,
    /// The address that people type, for `public_url`.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

/// Prints the file, and what is still to be done to standard error.
pub(super) fn run(command: MigrateCommand) -> anyhow::Result<()> {
    let Migrated { yaml, to_do } = match command {
        MigrateCommand::Authservice(Origin { env_files, public_url }) => {
            migrate::authservice(&env_files, environment(), public_url.as_deref())?
        }
        MigrateCommand::Oauth2Proxy { origin: Origin { env_files, public_url }, cfg, flags } => {
            migrate::oauth2_proxy(cfg.as_deref(), &env_files, environment(), &flags, public_url.as_deref())?
        }
    };
    say(yaml.trim_end())?;
    for what in to_do {
        complain(&format!("to do: {what}"));
    }
    Ok(())
}
