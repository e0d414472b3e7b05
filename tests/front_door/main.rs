//! The gateway through its front door: a real socket, a real cookie jar, checks asked as Envoy asks them, and an identity
//! provider that lies when it is told to. Only the clock is a test's own.

#[path = "../support/lying_idp.rs"]
mod lying_idp;

mod browser;
mod house;
mod journal;
mod rc_token;

mod admitted;
mod authservice;
mod keys;
mod providers;
mod refusals;
mod renewal;
mod returning;
mod sessions;
mod sign_in;
mod sign_in_refused;
mod sign_out;
mod verdicts;
