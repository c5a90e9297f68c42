//! What follows from the state of router and HostManager: what to start, and what to tell (pure).

use serde::Serialize;

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Facts {
    pub(crate) router: RouterFacts,
    pub(crate) manager: Option<ManagerFacts>,
}

/// The router, as far as this host is concerned with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RouterFacts {
    /// Is it kept on this host (a `crossbar` entry in the host block)?
    pub(crate) managed: bool,
    /// Does the one run that is kept here? `null` when none is.
    pub(crate) running: Option<bool>,
    /// Does any router answer for this site?
    pub(crate) connection: bool,
    /// Where it should be.
    pub(crate) url: String,
    /// Why it does not answer.
    pub(crate) problem: Option<String>,
}

/// The HostManager of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ManagerFacts {
    pub(crate) instance_id: String,
    /// Does it answer, on the bus or by its control socket?
    pub(crate) running: bool,
    /// Does its `manager` process run?
    pub(crate) process_running: bool,
    /// Does it answer on the bus?
    pub(crate) on_the_bus: bool,
}

/// What can be started and stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subsystem {
    Crossbar,
    Agent,
    Process,
}

/// What to do, or what to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// `start` would start this.
    Start(Subsystem, String),
    /// Nothing that `start` could mend.
    Trouble(String),
    /// Good to know.
    Note(String),
}

impl Advice {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Start(_, text) | Self::Trouble(text) | Self::Note(text) => text,
        }
    }
}

/// Everything that follows.
pub(crate) fn advice(facts: &Facts) -> Vec<Advice> {
    let mut advice = Vec::new();
    of_router(&facts.router, &mut advice);
    if let Some(manager) = &facts.manager {
        of_manager(manager, &facts.router, &mut advice);
    }
    advice
}

fn of_router(router: &RouterFacts, advice: &mut Vec<Advice>) {
    let reason = router.problem.as_deref().unwrap_or("no answer");
    advice.push(match (router.connection, router.managed, router.running.unwrap_or(false)) {
        (true, true, false) => Advice::Note(
            "A router answers, but it is not the one that would be started here. Stop it where it was started before \
             you start this one."
                .to_owned(),
        ),
        (true, ..) => return,
        (false, true, false) => Advice::Start(
            Subsystem::Crossbar,
            "Crossbar is down, but should start if you run \"ocs-local-support start\".".to_owned(),
        ),
        (false, true, true) => Advice::Trouble(format!(
            "The router of this host runs, but does not answer at {} ({reason}). The addresses in its configuration \
             and in the site config must agree.",
            router.url
        )),
        (false, false, _) => Advice::Trouble(format!(
            "Cannot connect to crossbar at {} ({reason}). This host is not configured to manage crossbar, so start it \
             up on the correct system.",
            router.url
        )),
    });
}

fn of_manager(manager: &ManagerFacts, router: &RouterFacts, advice: &mut Vec<Advice>) {
    if !manager.running {
        if !router.connection {
            advice.push(Advice::Note(
                "A HostManager might be running, but this could not be confirmed because no crossbar connection \
                 could be made."
                    .to_owned(),
            ));
        }
        advice.push(Advice::Start(
            Subsystem::Agent,
            "The HostManager is not running, but should start if you run \"ocs-local-support start\"."
                .to_owned(),
        ));
    } else if !manager.process_running {
        advice.push(Advice::Start(
            Subsystem::Process,
            "The HostManager manager process is not running, but should start if you run \"ocs-local-support \
             start\"."
                .to_owned(),
        ));
    } else if router.connection && !manager.on_the_bus {
        advice.push(Advice::Note("The HostManager runs, but is not on the bus yet; see its log.".to_owned()));
    }
}

/// The status, in the form of the original; of one subsystem only, if one is named.
pub(crate) fn status(facts: &Facts, only: Option<Subsystem>) -> String {
    let mut out = String::from("Status of local supports:\n");
    let router = &facts.router;
    if matches!(only, None | Some(Subsystem::Crossbar)) {
        out.push_str(&format!(
            "  crossbar managed on this host:       {}\n    crossbar running?:                 {}\n    connection to \
             server?:             {}\n\n",
            yes(router.managed),
            router.running.map_or("n/a", yes),
            yes(router.connection)
        ));
    }
    if only != Some(Subsystem::Crossbar) {
        let manager = facts.manager.as_ref();
        let or_none = |value: fn(&ManagerFacts) -> bool| manager.map_or("n/a", |manager| yes(value(manager)));
        out.push_str(&format!(
            "  hostmanager configured on this host: {0}\n    manageable by ocsbow?:             {0}\n    agent \
             running?                     {1}\n    manager process running?:          {2}\n    instance-id:                       \
             {3}\n\n",
            yes(manager.is_some()),
            or_none(|manager| manager.running),
            or_none(|manager| manager.process_running),
            manager.map_or("n/a", |manager| &manager.instance_id)
        ));
    }
    out
}

/// As Python prints it.
fn yes(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// A paragraph, broken into lines no longer than `width` where its words allow it, each a step in.
pub(crate) fn paragraph(text: &str, indent: usize, width: usize) -> String {
    let blank = " ".repeat(indent);
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > width {
            out.push_str(&format!("{blank}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out + &format!("{blank}{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(managed: bool, running: bool, connection: bool, manager: Option<(bool, bool)>) -> Facts {
        Facts {
            router: RouterFacts {
                managed,
                running: managed.then_some(running),
                connection,
                url: "http://h:8001/call".into(),
                problem: (!connection).then(|| "Connection refused".into()),
            },
            manager: manager.map(|(running, process_running)| ManagerFacts {
                instance_id: "hm-host-1".into(),
                running,
                process_running,
                on_the_bus: running && connection,
            }),
        }
    }

    /// The statuses that the original printed, one after the other in a file.
    const ORIGINAL: &str = include_str!("../../tests/data/local_support.txt");

    #[test]
    fn the_status_is_the_original_one_but_for_the_line_that_was_never_true() {
        let cases = [
            (facts(true, true, true, Some((false, false))), 0),
            (facts(true, true, true, Some((true, true))), 1),
            (facts(true, true, true, Some((true, false))), 2),
        ];
        let blocks: Vec<&str> = ORIGINAL.split("Status of local supports:\n").skip(1).collect();
        for (facts, index) in cases {
            let block = blocks[index].split("    instance-id:").next().unwrap();
            let expected = block.replace(
                "manageable by ocsbow?:             False",
                "manageable by ocsbow?:             True",
            );
            let ours = status(&facts, None);
            let ours = ours.trim_start_matches("Status of local supports:\n");
            assert_eq!(ours.split("    instance-id:").next().unwrap(), expected, "case {index}");
            assert!(ours.ends_with("    instance-id:                       hm-host-1\n\n"), "{ours}");
        }
    }

    fn starts(facts: &Facts) -> Vec<Subsystem> {
        advice(facts)
            .iter()
            .filter_map(|advice| match advice {
                Advice::Start(subsystem, _) => Some(*subsystem),
                Advice::Trouble(_) | Advice::Note(_) => None,
            })
            .collect()
    }

    fn trouble(facts: &Facts) -> bool {
        advice(facts).iter().any(|advice| matches!(advice, Advice::Trouble(_)))
    }

    #[test]
    fn what_is_not_there_is_started() {
        use Subsystem::{Agent, Crossbar, Process};
        assert_eq!(starts(&facts(true, false, false, Some((false, false)))), [Crossbar, Agent]);
        assert_eq!(starts(&facts(true, true, true, Some((false, false)))), [Agent]);
        assert_eq!(starts(&facts(true, true, true, Some((true, false)))), [Process]);
        assert_eq!(starts(&facts(true, true, true, Some((true, true)))), []);
        assert_eq!(starts(&facts(true, false, false, None)), [Crossbar]);
        // The HostManager of a host may have lost its router.
        assert_eq!(starts(&facts(true, false, false, Some((true, true)))), [Crossbar]);
    }

    #[test]
    fn a_router_that_is_not_ours_to_start_is_trouble_when_it_is_away() {
        assert!(trouble(&facts(false, false, false, Some((false, false)))));
        assert!(trouble(&facts(true, true, false, None)));
        assert!(!trouble(&facts(false, false, true, Some((false, false)))));
        // Another router in its place is worth a word, no more.
        let foreign = facts(true, false, true, None);
        assert!(matches!(&*advice(&foreign), [Advice::Note(_)]));
    }

    #[test]
    fn paragraphs_are_broken_between_words() {
        assert_eq!(paragraph("one two three", 2, 9), "  one two\n  three\n");
        assert_eq!(paragraph("incomprehensibilities no", 2, 9), "  incomprehensibilities\n  no\n");
        assert_eq!(paragraph("", 2, 9), "  \n");
    }
}
