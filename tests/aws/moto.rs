//! moto's server in a process of its own (`tests/python.sh` installs it).

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// It ends with this value, and with this process however that ends.
pub struct Moto {
    pub address: SocketAddr,
    process: Child,
}

/// An idle machine takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

impl Moto {
    pub fn start() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let requirements = tests.join("aws/requirements.txt");
        let mut install = Command::new(tests.join("python.sh"));
        let installed = install.arg("moto").arg(requirements).stderr(Stdio::inherit()).output().unwrap();
        assert!(installed.status.success(), "moto could not be installed; the script says why on the error output");
        let folder = String::from_utf8(installed.stdout).unwrap();
        let python = Path::new(folder.trim_end()).join("bin/python");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut moto = Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), process };
        let began = Instant::now();
        while TcpStream::connect(moto.address).is_err() {
            assert!(moto.process.try_wait().unwrap().is_none(), "moto has ended");
            assert!(began.elapsed() < PATIENCE, "moto does not listen");
            std::thread::sleep(Duration::from_millis(50)); // until it listens
        }
        moto
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended by itself
        let _ = self.process.wait();
    }
}
