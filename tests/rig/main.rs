//! The rig: Chromium goes through Envoy to Countersign, Dex, oidc-provider and Keycloak, as a person would. Nothing here calls
//! Countersign directly except to ask whether it is ready. `make tools` gets the real parts.

#![expect(clippy::disallowed_methods, reason = "a test finds its tools by the environment, and spawns its own parts")]

#[path = "../support/canaries.rs"]
mod canaries;
#[path = "../corpus/corpus.rs"]
mod corpus_of_requests;
#[path = "../support/token_review.rs"]
mod token_review;

// The parts, each a process or a socket of its own.
mod backend;
mod browser;
mod countersign;
mod dex;
mod doctor;
mod envoy;
mod forward_proxy;
mod hostile;
mod house;
mod istiod;
mod keycloak;
mod manifests;
mod mesh;
mod names;
mod oidc_provider;
mod part;
mod proxy;
mod sidecar;
mod slapd;
mod tls;
mod token_tap;
mod wire;

// What they are to show.
mod anonymous;
mod authservice;
mod chart;
mod corporate;
mod corpus;
mod cutover;
mod dev;
mod drafts;
mod examples;
mod foreign;
mod forward_auth;
mod grpc;
mod headers;
mod istio;
mod kubeflow;
mod kubeflow_legacy;
mod outages;
mod per_route;
mod provider_logout;
mod renewal;
mod replayed;
mod sibling;
mod sign_in;
mod sign_out;
mod tabs;
mod websocket;
