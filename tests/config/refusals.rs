//! Every mistake, with the whole text of what is said of it.

mod address;
mod admin;
mod bearer;
mod doors;
mod form;
mod header;
mod identity;
mod kubernetes;
mod lifetime;
mod limits;
mod provider;
mod redis;
mod rule;
