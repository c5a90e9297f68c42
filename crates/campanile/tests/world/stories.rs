//! What happens on every site, told once: each combination of programs has to live through it.

use super::world::{SOON, Whose, World, faker, one_host};
use campanile_testkit::{Signal, is_alive, send_signal, wait_until};
use serde_json::json;

/// Up, down, kill, relaunch, and an orderly end.
pub(crate) fn agents_live_as_told(router: Whose, manager: Whose, client: Whose) {
    let hosts = one_host(&[faker("faker1", json!({})), faker("faker2", json!({"manage": "host/down"}))]);
    let Some(mut world) = World::start(router, manager, client, &hosts) else { return };

    world.wait_for_row("hm-host-1", "up", "n/a");
    world.wait_for_row("faker1", "up", "up");
    world.wait_for_row("faker2", "down", "down");
    let first = world.wait_for_agent("faker1");

    assert_eq!(world.ocsbow(&["up", "faker2"]).code(), 0);
    world.wait_for_row("faker2", "up", "up");
    let second = world.wait_for_agent("faker2");

    assert!(send_signal(first, Signal::KILL));
    let relaunched = world.wait_for_other_agent("faker1", first);
    // right after a failure it counts as unstable
    world.wait_for_one_of("faker1", &["up", "unstable"], "up");

    assert_eq!(world.ocsbow(&["down", "faker1"]).code(), 0);
    world.wait_for_row("faker1", "down", "down");
    wait_until(SOON, "the end of faker1", || !is_alive(relaunched));
    assert!(is_alive(second), "the neighbour goes on");

    assert_eq!(world.ocsbow(&["up", "-a"]).code(), 0);
    world.wait_for_agent("faker1");
    assert_eq!(world.wait_for_agent("faker2"), second, "what was up is left alone");
    assert_eq!(world.ocsbow(&["down", "hm-host-1"]).code(), 0);
    world.wait_for_row("faker1", "down", "down");
    world.wait_for_row("faker2", "down", "down");
    assert!(world.manager.is_running(), "no command stops the manager");

    assert_eq!(world.ocsbow(&["up", "faker1", "faker2"]).code(), 0);
    world.wait_for_agent("faker1");
    world.wait_for_agent("faker2");
    world.end();
}

/// A changed file, a broken file, a broken entry.
pub(crate) fn the_site_config_changes(router: Whose, manager: Whose, client: Whose) {
    let hosts = one_host(&[faker("faker1", json!({})), faker("faker2", json!({}))]);
    let Some(mut world) = World::start(router, manager, client, &hosts) else { return };
    let first = world.wait_for_agent("faker1");
    let second = world.wait_for_agent("faker2");
    world.wait_for_row("faker2", "up", "up");

    // faker2 goes, faker3 and faker4 come
    let hosts = one_host(&[
        faker("faker1", json!({})),
        faker("faker3", json!({})),
        faker("faker4", json!({"manage": "host/down"})),
    ]);
    world.write_hosts(&hosts);
    assert!(world.update(json!({"requests": [["faker1", "up"]]}))[2]["success"] == json!(true));
    assert!(world.child("faker3").is_none(), "the file is not read unless it is asked for");
    let output = world.ocsbow(&["status", "-r"]);
    assert_eq!(output.code(), 0, "{}\n{}", output.stdout, output.stderr);
    world.wait_for_row("faker3", "up", "up");
    world.wait_for_row("faker4", "down", "down");
    wait_until(SOON, "faker2 is gone", || !is_alive(second) && world.child("faker2").is_none());
    assert_eq!(world.row("faker2"), None);
    let third = world.wait_for_agent("faker3");
    assert_eq!(world.wait_for_agent("faker1"), first, "what did not change is left alone");

    // a file that cannot be read changes nothing, and is told
    let good = world.site.text();
    world.site.write_text("hub: {wamp_server: [\nhosts");
    let reply = world.update(json!({"reload_config": true}));
    if manager == Whose::Ours {
        assert_eq!(reply[2]["success"], json!(false), "{reply}");
    }
    let data = &world.manager_session()["data"];
    assert_eq!(data["config_parse_status"]["[SCF]"][0], json!(false), "{data}");
    world.wait_for_row("faker3", "up", "up");
    assert_eq!(world.wait_for_agent("faker1"), first);
    assert_eq!(world.wait_for_agent("faker3"), third);
    assert_eq!(world.ocsbow(&["down", "faker3"]).code(), 0);
    world.wait_for_row("faker3", "down", "down");

    // one entry that cannot be used takes nobody with it
    world.site.write_text(&good.replacen("\"host/down\"", "\"host/sideways\"", 1));
    let reply = world.update(json!({"reload_config": true}));
    if manager == Whose::Ours {
        assert_eq!(reply[2]["success"], json!(false), "{reply}");
        assert!(reply[2]["messages"].to_string().contains("sideways"), "{reply}");
    }
    assert_eq!(world.ocsbow(&["up", "faker3"]).code(), 0);
    world.wait_for_other_agent("faker3", third);
    world.wait_for_row("faker3", "up", "up");
    assert_eq!(world.wait_for_agent("faker1"), first);

    world.site.write_text(&good);
    let reply = world.update(json!({"reload_config": true}));
    assert_eq!(reply[2]["success"], json!(true), "{reply}");
    let data = &world.manager_session()["data"];
    assert_eq!(data["config_parse_status"]["[SCF]"][0], json!(true), "{data}");
    world.end();
}
