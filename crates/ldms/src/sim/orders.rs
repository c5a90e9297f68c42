//! Orders to a running fleet, a line each: hang, crash, misbehave; and questions about it.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::daemon::FailRule;
use super::fleet::{Fleet, FleetError};
use crate::wire::ids::RequestId;
use crate::{hostlist, time};

/// What can be ordered, for messages and help.
pub const HELP: &str = "\
list                               every daemon: where, whether it is up or hung, requests answered
hang NAMES                         stop them as SIGSTOP does
resume NAMES                       let them go on
crash NAMES                        end them as SIGKILL does
restart NAMES                      start them again, without what they were told before
late NAMES DURATION                answer every request so late (0s: no more)
slow NAMES DURATION                let their sets be read so late (0s: no more)
mute NAMES                         carry requests out and do not answer
refuse NAMES ERRNO [COMMAND [N]]   refuse requests (one command; N times) with this error number
reject NAMES [REASON]              refuse new connections
behave NAMES                       end late, slow, mute, refuse and reject
sets NAME                          the metric sets of a daemon, with their times
coverage AGGREGATORS [DURATION]    how many of all sampled sets the aggregators have, not older than (3s)
trace NAME                         the requests it has had, as ldmsd -L writes them (with --trace)";

/// How old a set may be to count as collected, unless the order says.
const FRESH: Duration = Duration::from_secs(3);

/// What an order has brought.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// Done; what was asked for, or nothing.
    Done {
        /// The answer.
        reply: Value,
    },
    /// Not done.
    Failed {
        /// Why.
        error: String,
    },
}

/// Carries an order out.
#[must_use]
pub fn carry_out(fleet: &Fleet, line: &str) -> Outcome {
    match order(fleet, line) {
        Ok(reply) => Outcome::Done { reply },
        Err(error) => Outcome::Failed { error },
    }
}

fn order(fleet: &Fleet, line: &str) -> Result<Value, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some((verb, rest)) = words.split_first() else { return Err("an order is missing".to_owned()) };
    let names = || -> Result<Vec<String>, String> {
        let list = rest.first().ok_or_else(|| format!("{verb}: of which daemons?"))?;
        let names = hostlist::expand(list).map_err(|error| error.to_string())?;
        // Nothing is done to any when one of them does not exist.
        for name in &names {
            fleet.is_up(name).map_err(|error| error.to_string())?;
        }
        Ok(names)
    };
    let for_each = |act: &dyn Fn(&str) -> Result<(), FleetError>| -> Result<Value, String> {
        let mut failed = Vec::new();
        for name in names()? {
            failed.extend(act(&name).err().map(|error| error.to_string()));
        }
        if failed.is_empty() { Ok(Value::Null) } else { Err(failed.join("; ")) }
    };
    match *verb {
        "list" => Ok(fleet.names().iter().map(|name| describe(fleet, name)).collect()),
        "hang" => for_each(&|name| fleet.hang(name)),
        "resume" => for_each(&|name| fleet.resume(name)),
        "crash" => for_each(&|name| fleet.crash(name)),
        "restart" => for_each(&|name| fleet.restart(name)),
        "late" | "slow" => {
            let late = duration(rest.get(1).ok_or_else(|| format!("{verb}: how late?"))?)?;
            let late_us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
            for_each(&|name| {
                fleet.faults(name, |faults| match *verb {
                    "late" => faults.late_us = late_us,
                    _ => faults.late_reads_us = late_us,
                })
            })
        }
        "mute" => for_each(&|name| fleet.faults(name, |faults| faults.mute = true)),
        "refuse" => {
            let rule = fail_rule(rest.get(1..).unwrap_or_default())?;
            for_each(&|name| fleet.faults(name, |faults| faults.fail.push(rule.clone())))
        }
        "reject" => {
            let reason = rest.get(1..).filter(|words| !words.is_empty()).map(|words| words.join(" "));
            let reason = reason.unwrap_or_else(|| "told to refuse".to_owned());
            for_each(&|name| fleet.faults(name, |faults| faults.reject = Some(reason.clone())))
        }
        "behave" => for_each(&|name| fleet.faults(name, |faults| *faults = Default::default())),
        "sets" => {
            let mut sets = Vec::new();
            for name in names()? {
                for set in fleet.sets(&name).map_err(|error| error.to_string())? {
                    sets.push(json!({
                        "daemon": name, "name": set.name, "schema": set.schema, "origin": set.origin,
                        "own": set.own, "sampled_us": set.sampled_us,
                        "age_ms": fleet.now_us().saturating_sub(set.sampled_us) / 1000,
                    }));
                }
            }
            Ok(sets.into())
        }
        "coverage" => {
            let names = names()?;
            let fresh = rest.get(1).map_or(Ok(FRESH), |text| duration(text))?;
            let aggregators: Vec<&str> = names.iter().map(String::as_str).collect();
            let (collected, all) = fleet.coverage(&aggregators, fresh);
            Ok(json!({"collected": collected, "all": all}))
        }
        "trace" => {
            let mut lines = Vec::new();
            for name in names()? {
                let trace = fleet.with(&name, |daemon| daemon.trace().to_vec());
                lines.extend(trace.map_err(|error| error.to_string())?);
            }
            Ok(lines.into())
        }
        _ => Err(format!("'{verb}' is no order; there are:\n{HELP}")),
    }
}

fn describe(fleet: &Fleet, name: &str) -> Value {
    let up = fleet.is_up(name).unwrap_or(false);
    let state = match (up, fleet.is_hung(name).unwrap_or(false)) {
        (false, _) => "down",
        (true, true) => "hung",
        (true, false) => "up",
    };
    let requests = fleet.with(name, |daemon| daemon.requests()).ok();
    json!({"name": name, "port": fleet.port(name).ok(), "state": state, "requests": requests})
}

fn duration(text: &str) -> Result<Duration, String> {
    let us = time::parse_us(text).map_err(|error| error.to_string())?;
    u64::try_from(us).map(Duration::from_micros).map_err(|_| format!("'{text}' is negative"))
}

fn fail_rule(words: &[&str]) -> Result<FailRule, String> {
    let number = words.first().ok_or("refuse: with which error number?")?;
    let errcode = number.parse().map_err(|_| format!("'{number}' is no error number"))?;
    let request = match words.get(1) {
        None => None,
        Some(verb) => {
            Some(RequestId::from_verb(verb).ok_or_else(|| format!("'{verb}' is no command of ldmsd"))?)
        }
    };
    let times = match words.get(2) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| format!("'{text}' is no number of times"))?),
    };
    Ok(FailRule { request, errcode, text: "told to refuse".to_owned(), times })
}
