//! The workload: it says in a header of its answer what request it received, to the byte. No HTTP library stands between,
//! which would tidy up.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::AbortHandle;

use super::judge::Seen;

/// The header with what was seen.
pub(crate) const SEEN: &str = "x-corpus-seen";

/// A running workload.
pub(crate) struct Echo {
    port: u16,
    serving: AbortHandle,
}

impl Echo {
    /// Starts one at this address.
    pub(crate) async fn start(address: impl ToSocketAddrs) -> Self {
        let listener = TcpListener::bind(address).await.expect("the workload's address is free");
        let port = listener.local_addr().expect("an address").port();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever hangs up is served no more.
                tokio::spawn(async move { drop(serve(stream).await) });
            }
        });
        Self { port, serving: serving.abort_handle() }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(seen) = received(&mut stream).await? {
        let told = STANDARD.encode(serde_json::to_vec(&seen)?);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{SEEN}: {told}\r\n\r\n");
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

async fn received(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let first = line(stream).await?;
    let Some((method, rest)) = first.split_once(' ') else { return Ok(None) };
    let target = rest.rsplit_once(' ').map_or(rest, |(target, _)| target);
    let mut headers = Vec::new();
    loop {
        let header = line(stream).await?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    let seen = Seen { method: method.to_owned(), target: target.to_owned(), headers };
    if let Some(length) = seen.folded("content-length").first().and_then(|length| length.parse().ok()) {
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
    }
    if !seen.folded("transfer-encoding").is_empty() {
        // Nobody sends bodies here, so that this is a chunk of nothing.
        while !line(stream).await?.is_empty() {}
    }
    Ok(Some(seen))
}

async fn line(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    stream.read_until(b'\n', &mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
