//! End to end: our HostManager on the real crossbar, driven by the original clients.

#[path = "docked/mod.rs"]
mod docked;
#[path = "world/stories.rs"]
mod stories;
#[path = "world/mod.rs"]
mod world;

use world::Whose::{Originals, Ours};

#[test]
fn our_host_manager_on_crossbar_keeps_agents_as_the_original_client_tells_it() {
    stories::agents_live_as_told(Originals, Ours, Originals);
}

#[test]
fn our_host_manager_on_crossbar_follows_its_site_config() {
    stories::the_site_config_changes(Originals, Ours, Originals);
}

#[test]
fn the_original_command_line_client_finds_our_host_manager_by_its_heartbeat() {
    let hosts = world::one_host(&[world::faker("faker1", serde_json::json!({}))]);
    let Some(world) = world::World::start(Originals, Ours, Originals, &hosts) else { return };
    world.wait_for_agent("faker1");
    world.wait_for_agent(world::MANAGER);
    let scan = world.peers.client_cli(&world.clients_site, world::HOST, &["scan", "--details"]).stdout;
    let has = |words: [&str; 3]| {
        scan.lines().any(|line| line.split_whitespace().eq(words.into_iter().filter(|word| !word.is_empty())))
    };
    assert!(has([world::MANAGER, "", ""]) && has(["faker1", "", ""]), "{scan}");
    assert!(has(["manager", ":", "RUNNING"]) && has(["update", ":", "NONE"]), "{scan}");
}
