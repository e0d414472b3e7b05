//! The configuration through its front door: files and variables in, settings or explained mistakes out.

mod loading;
mod reference;
mod refusals;
mod secrets;
mod support;
