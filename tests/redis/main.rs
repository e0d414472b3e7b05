//! The store of several replicas, on real servers: one (Redis, and Valkey), a primary and its replicas under sentinels, and
//! a cluster. And replicas over it, that are restarted and killed; the embedded store, too, where its gateway is killed.

#![expect(clippy::disallowed_methods, reason = "tests read the environment, and spawn tasks")]

mod acl;
#[path = "../rig/backend.rs"]
#[expect(dead_code, reason = "the rig uses all of it")]
mod backend;
#[path = "../front_door/browser.rs"]
#[expect(dead_code, reason = "the front door uses all of it")]
mod browser;
#[path = "../support/canaries.rs"]
mod canaries;
mod cut_off;
#[path = "../rig/envoy.rs"]
#[expect(dead_code, reason = "the rig uses all of it")]
mod envoy;
mod failover;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
mod faults;
mod gateways;
mod hanging;
mod house;
mod keys;
mod killed;
#[path = "../support/lying_idp.rs"]
mod lying_idp;
#[path = "../rig/part.rs"]
#[expect(dead_code, reason = "the rig uses all of it")]
mod part;
mod processes;
mod replicas;
mod rolling;
mod servers;
#[path = "../support/settings.rs"]
mod settings;
mod signed_out;
#[path = "../support/store_conformance.rs"]
mod store_conformance;
mod unconfirmed;

use std::sync::Arc;

use countersign::clock::{Clock, UnixTime};
use countersign::session::{Redis, Store};

use crate::servers::{Kind, Servers};

mod standalone {
    crate::store_conformance::on_each_case!(super::empty(crate::Kind::Standalone));
}

mod valkey {
    crate::store_conformance::on_each_case!(super::empty(crate::Kind::Valkey));
}

mod sentinel {
    crate::store_conformance::on_each_case!(super::empty(crate::Kind::Sentinel));
}

mod cluster {
    crate::store_conformance::on_each_case!(super::empty(crate::Kind::Cluster));
}

async fn empty(kind: Kind) -> (Arc<dyn Store>, Servers) {
    let servers = Servers::start(kind).await;
    let store = Redis::new(&servers.settings(), Arc::new(Beginning)).expect("a store");
    (Arc::new(store), servers)
}

/// The cases' times begin with the first second there was.
#[derive(Debug)]
struct Beginning;

impl Clock for Beginning {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(0)
    }
}
