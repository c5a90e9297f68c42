//! Ports that no other test gets at the same time.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

/// Ports are taken from below Linux's default range for outgoing connections (32768 and up), so that no
/// client socket of a parallel test can sit on one by chance.
const RANGE: std::ops::Range<u16> = 18_000..32_000;

/// The locks this process holds, one file per port, until it ends.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A TCP port of the loopback address that nobody listens on and that no other process asking here gets
/// until this one ends. It is not bound: the caller binds it, may release it and bind it again.
pub fn free_port() -> u16 {
    let dir = std::env::temp_dir().join("campanile-test-ports");
    std::fs::create_dir_all(&dir).expect("the directory of port locks can be created");
    let span = RANGE.len();
    let start = std::process::id() as usize * 37 % span;
    for offset in 0..span {
        let port = RANGE.start + ((start + offset) % span) as u16;
        let Ok(file) =
            OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(port.to_string()))
        else {
            continue; // another user's lock file
        };
        if file.try_lock().is_err() || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_err() {
            continue;
        }
        HELD.lock().expect("no panic happens while the list is locked").push(file);
        return port;
    }
    panic!("no port of {RANGE:?} is free");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_port_is_given_once_and_can_be_bound() {
        let ports: HashSet<u16> = (0..20).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 20);
        for port in ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        }
    }
}
