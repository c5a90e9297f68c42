//! Who calls over the bus, as far as the router discloses it. Pure.
//!
//! `caller`, `caller_authid` and `caller_authrole` are those of the WAMP specification ("Caller Identification"). Our own
//! router adds where the caller's connection comes from and what its client calls itself; that last word is the
//! client's own and proves nothing.

use campanile_control::journal::Actor;
use campanile_wamp::{CALLER_AGENT, CALLER_FROM, Dict, Value};

/// Names the caller of an invocation.
pub(super) fn on_bus(details: &Dict) -> Actor {
    let text = |name: &str| details.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut who: Vec<String> = Vec::new();
    if let Some(agent) = text(CALLER_AGENT) {
        who.push(agent.to_owned());
    }
    match (text("caller_authid"), text("caller_authrole")) {
        (Some(id), Some(role)) => who.push(format!("{id} with role {role}")),
        (Some(id), None) => who.push(id.to_owned()),
        (None, Some(role)) => who.push(format!("role {role}")),
        (None, None) => {}
    }
    let mut from = "bus".to_owned();
    if let Some(place) = text(CALLER_FROM) {
        from.push_str(&format!(", {place}"));
    }
    if let Some(session) = details.get("caller").map(Value::to_json).and_then(|id| id.as_u64()) {
        from.push_str(&format!(", session {session}"));
    }
    if who.is_empty() {
        who.push("somebody".to_owned());
    }
    Actor::new(who.join(", "), from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_router_discloses_is_told_and_nothing_is_made_up() {
        assert_eq!(on_bus(&Dict::new()).to_string(), "somebody (bus)");
        let crossbar = Dict::new().with("caller", 77_u64).with("caller_authid", "anonymous-1");
        let crossbar = crossbar.with("caller_authrole", "iocs_controller");
        assert_eq!(on_bus(&crossbar).to_string(), "anonymous-1 with role iocs_controller (bus, session 77)");
        let ours =
            crossbar.with(CALLER_FROM, "10.0.0.7:41234").with(CALLER_AGENT, "campanile/0.1 (alice on lab-7)");
        assert_eq!(
            on_bus(&ours).to_string(),
            "campanile/0.1 (alice on lab-7), anonymous-1 with role iocs_controller (bus, 10.0.0.7:41234, session 77)"
        );
    }
}
