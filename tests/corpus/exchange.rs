//! HTTP/1.1 by hand over connections that are kept: a request goes out as it is written.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::echo::SEEN;
use super::judge::Seen;

/// Generous: it is met only when something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The workload had it.
    Served(Seen),
    /// The gateway answered itself.
    Answered(u16),
    /// The gateway hung up.
    HungUp,
}

/// Somebody who asks a gateway one thing after another.
pub(super) struct Asker {
    address: String,
    connection: Option<BufReader<TcpStream>>,
}

impl Asker {
    pub(super) fn of(address: &str) -> Self {
        Self { address: address.to_owned(), connection: None }
    }

    /// Sends these bytes.
    ///
    /// # Panics
    /// If nobody answers at all.
    pub(super) async fn ask(&mut self, request: &[u8], head_only: bool) -> Outcome {
        // A kept connection may be closed at the very moment: then once more, over a new one.
        for fresh in [self.connection.is_none(), true] {
            let exchange = timeout(PATIENCE, self.exchange(request, head_only)).await;
            let answer = exchange
                .unwrap_or_else(|_| panic!("{}: no answer to {:?}", self.address, String::from_utf8_lossy(request)));
            match answer {
                Ok(outcome) => return outcome,
                Err(_) if !fresh => self.connection = None,
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::AddrNotAvailable) => {
                    panic!("{}: {error}", self.address)
                }
                Err(_) => break,
            }
        }
        self.connection = None;
        Outcome::HungUp
    }

    async fn exchange(&mut self, request: &[u8], head_only: bool) -> std::io::Result<Outcome> {
        let mut stream = if let Some(kept) = self.connection.take() {
            kept
        } else {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            BufReader::new(stream)
        };
        stream.get_mut().write_all(request).await?;
        let first = line(&mut stream).await?;
        let status: u16 = first.split(' ').nth(1).and_then(|it| it.parse().ok()).ok_or(ErrorKind::UnexpectedEof)?;
        let mut headers = Vec::new();
        loop {
            let header = line(&mut stream).await?;
            let Some((name, value)) = header.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let of = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let empty = head_only || status < 200 || matches!(status, 204 | 304);
        if of("transfer-encoding").is_some() && !empty {
            unchunk(&mut stream).await?;
        } else if let Some(length) = of("content-length").and_then(|it| it.parse().ok()).filter(|_| !empty) {
            stream.read_exact(&mut vec![0; length]).await?;
        }
        let kept = status >= 200 && of("connection").is_none_or(|it| !it.eq_ignore_ascii_case("close"));
        self.connection = kept.then_some(stream);
        match of(SEEN) {
            None => Ok(Outcome::Answered(status)),
            Some(told) => {
                let json = STANDARD.decode(told).map_err(Error::other)?;
                Ok(Outcome::Served(serde_json::from_slice(&json)?))
            }
        }
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if stream.read_until(b'\n', &mut bytes).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}

async fn unchunk(stream: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    loop {
        let size = usize::from_str_radix(&line(stream).await?, 16).map_err(Error::other)?;
        stream.read_exact(&mut vec![0; size + 2]).await?;
        if size == 0 {
            return Ok(());
        }
    }
}
