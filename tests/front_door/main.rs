//! The gateway through its front door: a real socket, a real cookie jar, checks asked as Envoy asks them, and an identity
//! provider that lies when it is told to. Only the clock is a test's own.

#[path = "../support/authservice_variables.rs"]
mod authservice_variables;
#[path = "../support/canaries.rs"]
mod canaries;
#[path = "../support/grpc_check.rs"]
mod grpc_check;
#[path = "../support/lying_idp.rs"]
mod lying_idp;
#[path = "../support/settings.rs"]
mod settings;
#[path = "../support/token_review.rs"]
mod token_review;

mod browser;
mod house;
mod journal;
mod rc_token;

mod admin_sessions;
mod admitted;
mod authservice;
mod bearer;
mod bearer_refused;
mod both_doors;
mod corporate;
mod forward_auth;
mod front_proxy;
mod grpc;
mod keys;
mod limits;
mod own_sessions;
mod planted;
mod provider_logout;
mod providers;
mod refusals;
mod renewal;
mod returning;
mod rules;
mod service_accounts;
mod sessions;
mod sign_in;
mod sign_in_refused;
mod sign_out;
mod verdicts;
