//! What a check allocates: server and client on one thread, over a real socket; the client allocates nothing.

use allocation_counter::AllocationInfo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::house::Opening;

const CHECKS: u64 = 2000;

/// Allocated in one check, on average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocated {
    pub(crate) bytes: u64,
    pub(crate) pieces: u64,
}

/// Counts the allocations of a request to this server.
pub(crate) fn of(opening: Opening, request: &str) -> Allocated {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut socket = runtime.block_on(async {
        let (address, serving) = opening.await;
        tokio::spawn(serving);
        TcpStream::connect(address).await.expect("a connection")
    });
    let mut heard = vec![0; 32 * 1024];
    let mut ask = |times: u64| runtime.block_on(repeat(&mut socket, request, &mut heard, times));
    ask(100);
    let AllocationInfo { bytes_total, count_total, .. } = allocation_counter::measure(|| ask(CHECKS));
    Allocated { bytes: bytes_total / CHECKS, pieces: count_total / CHECKS }
}

async fn repeat(socket: &mut TcpStream, request: &str, heard: &mut [u8], times: u64) {
    for _ in 0..times {
        socket.write_all(request.as_bytes()).await.expect("it is sent");
        let mut filled = 0;
        while !heard[..filled].ends_with(b"\r\n\r\n") {
            let length = socket.read(&mut heard[filled..]).await.expect("it can be read");
            assert_ne!(length, 0, "the server hung up");
            filled += length;
        }
    }
}
