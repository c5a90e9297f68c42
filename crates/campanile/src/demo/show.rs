//! The show itself: look, tell, act, until somebody ends it.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use campanile_ocs::site_config::SiteConfig;
use rustix::process::Signal;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::cluster::Cluster;
use super::pool::Pool;
use super::script::{Action, Script};
use super::stage::{Stage, signal};
use super::view::{self, EVENTS_SHOWN, Scene};
use super::{events, stage::Fallen};
use crate::client::unix_now;
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::fleet::ask::{Bus, RouterState};
use crate::fleet::change;
use crate::fleet::declared;
use crate::fleet::select::{Wanted, select};
use crate::fleet::survey::Fleet;
use crate::fleet::wait::Goal;
use crate::output;
use crate::render::table::Style;

/// From one look at the site to the next.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What the show needs to know.
pub(crate) struct Show<'a> {
    pub(crate) site: &'a SiteConfig,
    pub(crate) hints: String,
    /// `None` leaves the site alone.
    pub(crate) script: Option<Script>,
    /// The LDMS cluster beside the site, where there is one.
    pub(crate) cluster: Option<Cluster>,
    /// The pool beside the site, where there is one.
    pub(crate) pool: Option<Pool>,
    pub(crate) started: Instant,
    /// Is stdout a terminal, on which a picture is redrawn?
    pub(crate) on_terminal: bool,
}

/// Puts the terminal back as it was, however the show ends.
struct Picture;

impl Picture {
    fn begin() -> io::Result<Self> {
        // The other screen, so that what was on the terminal comes back afterwards; no cursor.
        output::write("\x1b[?1049h\x1b[?25l")?;
        Ok(Self)
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // A terminal that is gone needs no cleaning.
        let _ = output::write("\x1b[?25h\x1b[?1049l");
    }
}

impl Show<'_> {
    /// Runs until `end` is ready, or a process of the stage ends by itself.
    pub(crate) async fn run(mut self, stage: &mut Stage, end: impl Future<Output = ()>) -> Outcome {
        let outcome = {
            let picture = if self.on_terminal { Picture::begin().ok() } else { None };
            if picture.is_none() {
                self.on_terminal = false;
                output::print(&format!("{}\n", self.hints))?;
            }
            tokio::select! {
                outcome = self.go_on(stage) => outcome,
                () = end => Ok(()),
            }
        };
        outcome.map_err(|fallen| match fallen {
            Some(fallen) => {
                let Fallen { name, status, last_words } = fallen;
                output::print_error(&format!("error: the {name} has ended ({status})\n{last_words}"));
                Failure::Told(EXIT_WORLD)
            }
            // The reader of our output has gone: that is the end of the show, and no failure.
            None => Failure::Told(0),
        })
    }

    async fn go_on(&mut self, stage: &mut Stage) -> Result<(), Option<Fallen>> {
        let mut told: Vec<(f64, String)> = Vec::new();
        let mut last = Fleet::build(&declared::hosts(self.site), &BTreeMap::new());
        let mut bus: Option<Bus> = None;
        let mut caption = String::new();
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(fallen) = stage.fallen().into_iter().next() {
                return Err(Some(fallen));
            }
            let Some(fleet) = self.look(&mut bus).await else { continue };
            let now_s = self.started.elapsed().as_secs_f64();
            let news = events::between(&last, &fleet);
            let action = self.script.as_mut().and_then(|script| script.look(now_s, &fleet));
            let told_before = told.len();
            told.extend(news.into_iter().map(|line| (now_s, line)));
            if let Some(cluster) = &mut self.cluster {
                told.extend(cluster.look(now_s).await.into_iter().map(|line| (now_s, line)));
            }
            if let Some(pool) = &mut self.pool {
                told.extend(pool.look(now_s).await.into_iter().map(|line| (now_s, line)));
            }
            let new_caption = match &self.script {
                Some(script) => script.caption(),
                None => "The site stays up until Ctrl-C.".to_owned(),
            };
            if let (Some(action), Some(bus)) = (action, &bus) {
                act(action, bus, &fleet).await;
                if self.on_terminal {
                    told.push((now_s, new_caption.clone()));
                }
            }
            if self.on_terminal {
                let excess = told.len().saturating_sub(EVENTS_SHOWN);
                told.drain(..excess);
                self.draw(&fleet, &new_caption, &told).map_err(|_| None)?;
            } else {
                let mut text = String::new();
                for (at_s, line) in told.iter().skip(told_before) {
                    text.push_str(&format!("{}\n", view::event_line(*at_s, line)));
                }
                if new_caption != caption {
                    text.push_str(&format!("{}\n", view::event_line(now_s, &format!("* {new_caption}"))));
                }
                output::write(&text).map_err(|_| None)?;
                told.clear();
            }
            caption = new_caption;
            last = fleet;
        }
    }

    /// The present picture of the site; `None` while there is no router yet.
    async fn look(&self, bus: &mut Option<Bus>) -> Option<Fleet> {
        let open = match bus.take() {
            Some(open) => open,
            None => Bus::open(self.site).await.ok()?,
        };
        let survey = open.survey(open.declared()).await.ok()?;
        let reached = survey.router == RouterState::Reached;
        if reached {
            *bus = Some(open);
        }
        reached.then_some(survey.fleet)
    }

    fn draw(&self, fleet: &Fleet, caption: &str, told: &[(f64, String)]) -> io::Result<()> {
        let (columns, lines) = output::terminal_size().unwrap_or((80, 24));
        let scene = Scene {
            router_url: &self.site.hub.wamp_server,
            elapsed_s: self.started.elapsed().as_secs_f64(),
            now: unix_now(),
            fleet,
            caption,
            events: told,
            hints: &self.hints,
        };
        let style = Style { colour: output::stdout_coloured(), width: Some(columns) };
        output::write(&view::redraw(&view::frame(&scene, style, usize::from(lines))))
    }
}

async fn act(action: Action, bus: &Bus, fleet: &Fleet) {
    match action {
        Action::Kill { pid, .. } => {
            if let Ok(pid) = u32::try_from(pid) {
                signal(pid, Signal::KILL);
            }
        }
        Action::Ask { instance_id, target } => {
            let ids = [instance_id];
            // What comes of it is seen at the next looks.
            if let Ok(selection) = select(fleet, &Wanted::new(false, &ids)) {
                change::apply(bus, fleet, &Goal::of(target, &selection)).await;
            }
        }
    }
}

/// What to try in another terminal.
pub(crate) fn hints(env_file: &str, site: &SiteConfig, with_more: bool) -> String {
    let ids: Vec<&str> = site
        .hosts
        .iter()
        .flat_map(|host| &host.instances)
        .filter(|instance| instance.manage.is_host() && instance.problem.is_none())
        .map(|instance| instance.instance_id.as_str())
        .collect();
    let mut lines =
        vec!["In another terminal:".to_owned(), format!("  . {env_file}"), "  campanile status".to_owned()];
    if let (Some(first), Some(last)) = (ids.first(), ids.last()) {
        let crashing = ids.iter().find(|id| id.contains("flaky")).unwrap_or(last);
        lines.push(format!("  campanile down {last} --wait 10s"));
        lines.push(format!("  campanile up {last}"));
        lines.push(format!("  campanile restart {first}"));
        lines.push(format!("  campanile logs {crashing} -f"));
        lines.push("  campanile plan".to_owned());
        lines.push("  ocsbow".to_owned());
    }
    if with_more {
        lines.push("  campanile ldms status".to_owned());
        lines.push("  campanile why l1-2".to_owned());
        lines.push("  campanile pool status".to_owned());
    }
    lines.push("Ctrl-C stops everything.".to_owned());
    lines.join("\n")
}
