//! HTTP/1.1 by hand: what a client library would tidy up (spelling, repetition, empty values) goes out as it is written.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::backend::Received;
use crate::part::PATIENCE;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// A header's first value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The request as the workload received it.
    pub(crate) fn received(&self) -> Received {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not from the workload ({error}): {self:?}"))
    }
}

/// Sends one request with exactly these header lines (besides `Connection`, and `Host` unless it is among them) and reads
/// the whole answer.
pub(crate) async fn send(port: u16, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    send_from(Ipv4Addr::LOCALHOST, port, method, target, headers).await
}

/// The same from another address of this machine's.
pub(crate) async fn send_from(
    source: Ipv4Addr,
    port: u16,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Answer {
    timeout(PATIENCE, try_send(source, port, method, target, headers))
        .await
        .unwrap_or_else(|_| panic!("{method} {target} on port {port}: no answer"))
        .unwrap_or_else(|error| panic!("{method} {target} on port {port}: {error}"))
}

/// `GET`.
pub(crate) async fn get(port: u16, target: &str, headers: &[(&str, &str)]) -> Answer {
    send(port, "GET", target, headers).await
}

/// The status of a `GET` of this loopback address, if anybody answers.
pub(crate) async fn status(url: &str) -> Option<u16> {
    let url = url::Url::parse(url).expect("a URL");
    timeout(PATIENCE, try_send(Ipv4Addr::LOCALHOST, url.port().expect("a port"), "GET", url.path(), &[]))
        .await
        .ok()?
        .ok()
        .map(|answer| answer.status)
}

async fn try_send(
    source: Ipv4Addr,
    port: u16,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> std::io::Result<Answer> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let mut stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
    let mut request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.extend(["Host: localhost:", &port.to_string(), "\r\n"]);
    }
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| std::io::Error::other("an answer that is cut short"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { unchunk(body)? } else { body.to_owned() };
    Some(Answer { status, headers, body })
}

fn unchunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size + 2..)?;
    }
}
