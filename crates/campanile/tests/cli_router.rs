//! `campanile router` as a process: where it listens, how it says that it is ready, how it ends.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use campanile_testkit::{Daemon, Signal, TempSite, free_port, http_request};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

fn router(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.arg("router").args(args).env_remove("OCS_CONFIG_DIR");
    command
}

#[test]
fn a_router_from_flags_says_that_it_is_ready_and_ends_in_order() {
    for signal in [Signal::INT, Signal::TERM] {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let mut daemon = Daemon::spawn(
            "router",
            router(&["--listen", &listen, "--realm", "test_realm", "--address-root", "observatory"]),
        );
        let ready = format!(
            "router ready: ws://{listen}/ws and http://{listen}/call, realm test_realm, address root observatory\n"
        );
        daemon.wait_for_output(SOON, &ready);
        assert_eq!(http_request(port, "GET", "/info", &[], b"").unwrap().0, 200);
        daemon.signal(signal);
        assert_eq!(daemon.wait(SOON).code(), Some(0), "{signal:?}: {}", daemon.output());
    }
}

#[test]
fn a_router_from_a_site_config_listens_where_the_hub_says() {
    let site = TempSite::new(free_port(), &json!({}));
    let file = site.file().display().to_string();
    let mut daemon = Daemon::spawn("router", router(&["--site-file", &file]));
    daemon.wait_for_output(SOON, &format!("ws://127.0.0.1:{}/ws", site.port()));
    assert_eq!(http_request(site.port(), "GET", "/info", &[], b"").unwrap().0, 200);
    assert_eq!(daemon.stop(SOON).code(), Some(0));
}

#[test]
fn a_port_in_use_is_told_in_plain_words_with_code_1() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listener.local_addr().unwrap().to_string();
    let output = router(&["--listen", &listen, "--realm", "r", "--address-root", "a"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("error: {listen} is in use by another program")), "{stderr}");
}

#[test]
fn a_hub_on_another_machine_is_a_matter_of_configuration() {
    let site = TempSite::new(8001, &json!({}));
    site.write_text(&site.text().replace("127.0.0.1", "192.0.2.1"));
    let file = site.file().display().to_string();
    let output = router(&["--site-file", &file]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("the hub `192.0.2.1` (192.0.2.1) is not this machine"), "{stderr}");
}

#[test]
fn an_address_root_that_cannot_be_one_is_a_matter_of_configuration() {
    let site = TempSite::new(free_port(), &json!({}));
    site.write_text(&site.text().replace("\"observatory\"", "\"not an address\""));
    let file = site.file().display().to_string();
    let output = router(&["--site-file", &file]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("not an address"), "{stderr}");
}
