//! `postern health`: what a container asks itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::output::{CliError, Said};
use crate::config::Config;

/// Time for the whole question.
const PATIENCE: Duration = Duration::from_secs(3);
/// As much of an answer as is read: the status line is in it.
const ENOUGH: u64 = 1_024;

pub(super) async fn check(config: &Config, url: Option<&str>) -> Result<Said, CliError> {
    let target = match url {
        Some(url) => Target::parse(url)?,
        None => Target::of(config),
    };
    let shown = format!("http://{}{}", target.authority, target.path);
    let failed = |why: String| CliError::Failed(format!("{shown} {why}"));
    let status = match tokio::time::timeout(PATIENCE, ask(&target)).await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => return Err(failed(format!("does not answer: {error}; is the server running?"))),
        Err(_) => return Err(failed("does not answer in time".to_owned())),
    };
    if status == 200 {
        return Ok(Said::new(json!({ "ready": true, "url": shown }), vec!["ready".to_owned()]));
    }
    Err(failed(format!("answers {status}: the server runs but is not ready; its log says why")))
}

struct Target {
    authority: String,
    path: String,
}

impl Target {
    /// Where the server of this configuration listens, seen from this machine.
    fn of(config: &Config) -> Self {
        let ip = match config.listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let authority = SocketAddr::new(ip, config.listen.port()).to_string();
        Self { authority, path: format!("{}/health/ready", config.policy.issuer.path()) }
    }

    fn parse(text: &str) -> Result<Self, CliError> {
        let expected = || {
            CliError::Usage(format!(
                "--url: expected an http URL of the server itself, behind any proxy, found {text:?}"
            ))
        };
        let url = url::Url::parse(text).map_err(|_| expected())?;
        let host = url.host_str().filter(|_| url.scheme() == "http").ok_or_else(expected)?;
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/health/ready").unwrap_or(path);
        let authority = format!("{host}:{}", url.port().unwrap_or(80));
        Ok(Self { authority, path: format!("{path}/health/ready") })
    }
}

async fn ask(target: &Target) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(&target.authority).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: postern-health\r\nConnection: close\r\n\r\n",
        target.path, target.authority
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ENOUGH).read_to_end(&mut answer).await?;
    let head = String::from_utf8_lossy(&answer);
    let status =
        head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    status.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "that is not HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_to_the_ready_endpoint() {
        for (url, authority, path) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "/health/ready"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080", "/health/ready"),
            ("http://[::1]:9/t1", "[::1]:9", "/t1/health/ready"),
            ("http://h/health/ready", "h:80", "/health/ready"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.authority.as_str(), target.path.as_str()), (authority, path));
        }
        assert!(Target::parse("https://h").is_err() && Target::parse("h").is_err());
    }
}
