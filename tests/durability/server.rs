//! The real binary as a child process in a folder of its own.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::http::{Connection, request};

/// How the server is started, again and again.
pub struct Installation {
    pub binary: PathBuf,
    pub folder: PathBuf,
    pub address: SocketAddr,
    /// Configuration, as environment variables.
    pub settings: Vec<(String, String)>,
}

/// An address with a free port below those that the system takes for outgoing connections (`ip_local_port_range`): while the
/// server is down, one of them could take its port, or even connect to itself there.
fn free_address() -> SocketAddr {
    loop {
        let random = RandomState::new().build_hasher().finish();
        let port = u16::try_from(10_000 + random % 22_000).expect("a port");
        if let Ok(free) = TcpListener::bind(("127.0.0.1", port)) {
            return free.local_addr().expect("an address");
        }
    }
}

impl Installation {
    /// One that listens on a free port of the loopback interface and keeps everything in `folder`.
    pub fn new(binary: &Path, folder: &Path, more: &[(&str, &str)]) -> Self {
        let address = free_address();
        let data = folder.join("data");
        let mut settings: Vec<(String, String)> = [
            ("POSTERN_ISSUER", format!("http://localhost:{}", address.port())),
            ("POSTERN_LISTEN", address.to_string()),
            ("POSTERN_DATA_DIR", data.display().to_string()),
            // Each request may name its own address, so that limits for one network do not limit the driver.
            ("POSTERN_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self { binary: binary.to_owned(), folder: folder.to_owned(), address, settings }
    }

    /// Starts the server and waits until it says that it is ready; how long that took.
    pub fn start(&self) -> (Server, Duration) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("server.log"))
            .expect("the log can be written");
        let mut command = Command::new(&self.binary);
        // What configures the tests is not for the server, which refuses a setting that it does not know.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("POSTERN_"))
        {
            command.env_remove(name);
        }
        let began = Instant::now();
        let child = command
            .arg("serve")
            .envs(self.settings.iter().cloned())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log has two writers"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let mut server = Server { child };
        let (_never, quiet) = channel::<()>();
        loop {
            let reply = Connection::to(self.address).exchange(&request("GET", "/health/ready", &[], ""));
            if reply.is_ok_and(|reply| reply.status == 200) {
                return (server, began.elapsed());
            }
            if let Ok(Some(status)) = server.child.try_wait() {
                panic!("the server ended with {status}; see {}", self.folder.join("server.log").display());
            }
            assert!(began.elapsed() < Duration::from_secs(30), "the server is not ready after 30 s");
            let _ = quiet.recv_timeout(Duration::from_millis(1));
        }
    }
}

/// A running server; killed when dropped.
pub struct Server {
    /// Its process.
    pub child: Child,
}

impl Server {
    /// SIGKILL: no handler runs, nothing is flushed.
    pub fn kill(mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server has ended");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
