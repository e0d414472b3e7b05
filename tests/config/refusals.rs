//! Every mistake, with the whole text of what is said of it.

mod address;
mod form;
mod header;
mod kubernetes;
mod lifetime;
mod provider;
mod rule;
