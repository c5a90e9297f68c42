//! End to end: all programs ours, only the agents are Python.

#[path = "world/stories.rs"]
mod stories;
#[path = "world/mod.rs"]
mod world;

use world::Whose::Ours;

#[test]
fn python_agents_are_kept_by_nothing_but_our_programs() {
    stories::agents_live_as_told(Ours, Ours, Ours);
}

#[test]
fn our_programs_follow_the_site_config() {
    stories::the_site_config_changes(Ours, Ours, Ours);
}
