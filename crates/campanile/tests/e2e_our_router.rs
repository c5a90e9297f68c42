//! End to end: the original HostManager on our router, driven by our client.

#[path = "world/stories.rs"]
mod stories;
#[path = "world/mod.rs"]
mod world;

use world::Whose::{Originals, Ours};

#[test]
fn the_original_host_manager_on_our_router_does_what_our_client_tells_it() {
    stories::agents_live_as_told(Ours, Originals, Ours);
}

#[test]
fn the_original_host_manager_on_our_router_follows_its_site_config() {
    stories::the_site_config_changes(Ours, Originals, Ours);
}
