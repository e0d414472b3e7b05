//! What a check allocates: server and client on one thread, over a real socket; the client allocates nothing.

use std::time::Instant;

use allocation_counter::AllocationInfo;

use super::house::Opening;
use super::load::{Line, Question};

const CHECKS: u64 = 2000;

/// Allocated in one check, on average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocated {
    pub(crate) bytes: u64,
    pub(crate) pieces: u64,
}

/// Counts the allocations of a question to this server.
pub(crate) fn of(opening: Opening, question: &Question) -> Allocated {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let address = runtime.block_on(async {
        let (address, serving) = opening.await;
        tokio::spawn(serving);
        address
    });
    let mut line = question.line(&address.to_string());
    let mut ask = |times: u64| runtime.block_on(repeat(&mut *line, times));
    ask(100);
    let AllocationInfo { bytes_total, count_total, .. } = allocation_counter::measure(|| ask(CHECKS));
    Allocated { bytes: bytes_total / CHECKS, pieces: count_total / CHECKS }
}

async fn repeat(line: &mut dyn Line, times: u64) {
    for _ in 0..times {
        line.ask(Instant::now());
        let mut answered = false;
        while !answered {
            tokio::task::yield_now().await;
            line.listen(&mut |_| answered = true);
        }
    }
}
