//! The rig: Chromium goes through Envoy to Countersign, Dex and oidc-provider, as a person would. Nothing here calls
//! Countersign directly except to ask whether it is ready. `make tools` gets the real parts.

#![expect(clippy::disallowed_methods, reason = "a test finds its tools by the environment, and spawns its own parts")]

// The parts, each a process or a socket of its own.
mod backend;
mod browser;
mod countersign;
mod dex;
mod doctor;
mod envoy;
mod house;
mod oidc_provider;
mod part;
mod proxy;
mod wire;

// What they are to show.
mod anonymous;
mod dev;
mod forward_auth;
mod headers;
mod outages;
mod provider_logout;
mod renewal;
mod sign_in;
mod sign_out;
mod websocket;
