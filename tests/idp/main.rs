//! The room `idp` against a provider on a real socket that can be told to lie.

#[path = "../support/canaries.rs"]
mod canaries;
#[path = "../support/lying_idp.rs"]
mod lying_idp;
#[path = "../support/settings.rs"]
mod settings;

mod diagnosis;
mod discovery;
mod groups;
mod id_token;
mod keys;
mod places;
mod renewal;
mod rig;
mod token_endpoint;
mod userinfo;
