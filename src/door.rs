//! The doors: each turns bytes into a core call and the answer into bytes, and decides nothing.

pub mod admin;
pub mod pages;
