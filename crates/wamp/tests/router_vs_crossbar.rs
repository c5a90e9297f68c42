//! The same scripted exchanges on the real crossbar and on our router, and their answers compared.
//!
//! Every difference must be on the list of intended ones, with its reason; one that is listed and does not occur fails
//! as well.

#[macro_use]
mod peer;
mod vs_crossbar {
    pub(crate) mod differences;
    pub(crate) mod http;
    pub(crate) mod payloads;
    pub(crate) mod pubsub;
    pub(crate) mod rpc;
    pub(crate) mod scripts;
    pub(crate) mod sessions;
    pub(crate) mod stage;
}

use campanile_testkit::{Crossbar, CrossbarConfig};
use peer::TestRouter;
use vs_crossbar::differences::{self, INTENDED};
use vs_crossbar::scripts::{SCRIPTS, Script};
use vs_crossbar::stage::Stage;

fn play((name, script): Script, port: u16) -> Vec<String> {
    let mut stage = Stage::new(port, "wamp.2.json", name);
    script(&mut stage);
    stage.transcript
}

#[test]
fn our_router_answers_as_crossbar_does_but_for_the_listed_differences() {
    let Some(crossbar) = Crossbar::start(CrossbarConfig::default()) else { return };
    let ours = TestRouter::start();
    let only = std::env::var("SCRIPT").ok();
    let mut problems = Vec::new();
    for script in SCRIPTS.into_iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let theirs = play(script, crossbar.port());
        let ours = play(script, ours.port);
        problems.extend(differences::unexpected(script.0, &theirs, &ours, INTENDED));
    }
    assert!(problems.is_empty(), "{} problems:\n\n{}", problems.len(), problems.join("\n"));
}
