//! What is put to every parser that an attacker writes to: one body each, which panics where something holds that must not.
//! The fuzzers run them (`make fuzz`), and so does `tests/properties.rs`, on seeds and random bytes.

mod config;
mod discovery;
mod flow_cookie;
mod forwarded;
mod house;
mod jwt;
mod logout_token;
mod return_to;
mod row;
mod rules;
mod session_cookie;
mod signing;

/// What is done with an input. It panics where something holds that must not.
pub type Body = fn(&[u8]);

/// The targets, each by its name.
pub const BODIES: [(&str, Body); 10] = [
    ("config", config::body),
    ("discovery", discovery::body),
    ("flow_cookie", flow_cookie::body),
    ("forwarded", forwarded::body),
    ("jwt", jwt::body),
    ("logout_token", logout_token::body),
    ("return_to", return_to::body),
    ("row", row::body),
    ("rules", rules::body),
    ("session_cookie", session_cookie::body),
];

/// Puts an input to the body of this name.
///
/// # Panics
/// If something holds that must not, or if there is no such body.
pub fn run(name: &str, data: &[u8]) {
    let (_, body) = BODIES.iter().find(|(other, _)| *other == name).expect("a body");
    body(data);
}
