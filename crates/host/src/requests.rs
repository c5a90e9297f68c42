//! Requests for target states, as the operations `manager` and `update` of OCS take them. Pure.

use crate::model::{Fate, Instance, State, Target};
use crate::table::Table;

/// The word that addresses every instance.
pub const ALL: &str = "all";
/// Asked for like a target: what runs is stopped and launched again, what is down is launched. A service that is only
/// looked at is, too. With `all` it concerns only what runs and should.
pub const RESTART: &str = "restart";
/// More requests than this in one call are refused: it is not an operator who asks.
pub const MAX_REQUESTS: usize = 10_000;

/// One request as it came: whom, and which state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// An instance-id, or [`ALL`].
    pub whom: String,
    /// `up`, `down` or [`RESTART`]; other words are remarked on and ignored.
    pub state: String,
}

/// Reads the parameter `requests`: a list of pairs.
///
/// # Errors
/// Says what is wrong with the first entry that is no pair; then none is to be carried out.
pub fn parse(value: &serde_json::Value) -> Result<Vec<Request>, String> {
    let Some(list) = value.as_array() else {
        return Err(format!("requests must be a list of [instance_id, target_state], not {value}"));
    };
    if list.len() > MAX_REQUESTS {
        return Err(format!("more than {MAX_REQUESTS} requests in one call"));
    }
    list.iter().map(parse_pair).collect()
}

fn parse_pair(value: &serde_json::Value) -> Result<Request, String> {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match value.as_array().map(Vec::as_slice) {
        Some([whom, state]) => Ok(Request { whom: text(whom), state: text(state) }),
        _ => Err(format!("each request must be [instance_id, target_state], not {value}")),
    }
}

/// Sets the targets that are asked for, in the order of the requests. Returns what is to be told to people.
pub fn apply(table: &mut Table, requests: &[Request]) -> Vec<String> {
    let mut messages = Vec::new();
    for request in requests {
        let Some(wish) = Wish::from_name(&request.state) else {
            messages.push(format!(
                "Ignoring request for \"{}\" -> invalid state \"{}\".",
                request.whom, request.state
            ));
            continue;
        };
        let mut found = false;
        for entry in table.iter_mut() {
            let instance = &mut entry.instance;
            let is_meant = request.whom == ALL || request.whom == instance.spec.instance_id;
            if is_meant && instance.fate != Fate::Retired {
                found = true;
                wish.apply(instance, request.whom == ALL);
            }
        }
        if !found && request.whom != ALL {
            messages.push(format!("Ignoring invalid target, {}", request.whom));
        }
    }
    messages
}

/// What a request asks for.
#[derive(Clone, Copy)]
enum Wish {
    Target(Target),
    Restart,
}

impl Wish {
    fn from_name(name: &str) -> Option<Self> {
        if name == RESTART { Some(Self::Restart) } else { Target::from_name(name).map(Self::Target) }
    }

    fn apply(self, instance: &mut Instance, is_for_all: bool) {
        let runs = matches!(instance.state, State::Up | State::WaitStart { .. });
        match self {
            Self::Target(target) => {
                instance.target = target;
                instance.again = false;
            }
            Self::Restart if is_for_all && !(runs && instance.target == Target::Up) => return,
            Self::Restart => {
                instance.target = Target::Up;
                instance.again = runs;
            }
        }
        // Asking for it is the way to try again.
        instance.given_up = false;
    }
}
