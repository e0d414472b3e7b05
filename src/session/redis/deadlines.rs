//! How long anything may take. A gateway gives a check up after two seconds, and is to be answered before.

use std::time::Duration;

/// To connect, the handshakes included.
pub(super) const CONNECT: Duration = Duration::from_millis(500);
/// For one of a cluster's servers: connecting to the others must not fail for it.
pub(super) const NODE: Duration = Duration::from_millis(200);
/// For a sentinel to be reached and to answer.
pub(super) const SENTINEL: Duration = Duration::from_millis(250);
/// For one answer.
pub(super) const ANSWER: Duration = Duration::from_millis(500);
/// For a question, connecting included.
pub(super) const QUESTION: Duration = Duration::from_millis(1200);
/// For what nobody's request waits for.
pub(super) const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// For a replica to have what was written.
pub(super) const REPLICATION: Duration = Duration::from_millis(200);
/// Between two questions whether a listener is still told.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(100);
/// Without an answer to that for so long, it is lost.
pub(super) const SILENCE: Duration = Duration::from_millis(300);
/// Between two looks whether another one has become primary.
pub(super) const TOPOLOGY: Duration = Duration::from_secs(1);
/// Without such a look for so long, who is listened to may not be the primary any more.
pub(super) const BLINDNESS: Duration = Duration::from_secs(5);
