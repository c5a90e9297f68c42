//! Who calls is told to the callee that asks for it, and nobody can call in another's name.

use campanile_wamp::router::{Core, Output, PeerId, RealmConfig, Role};
use campanile_wamp::{CALLER_AGENT, CALLER_FROM, Dict, Message, Payload, Value};

struct Bus(Core);

impl Bus {
    fn tell(&mut self, peer: PeerId, message: Message) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.0.receive(peer, message, &mut outputs);
        outputs
    }

    fn join(&mut self, from: &str, agent: &str) -> PeerId {
        let peer = self.0.attach_from(Some(from.to_owned()));
        let roles = Dict::new().with("caller", Dict::new()).with("callee", Dict::new());
        let details = Dict::new().with("roles", roles).with("agent", agent);
        self.tell(peer, Message::Hello { realm: "test_realm".into(), details });
        peer
    }

    /// The details of the invocation that a call leads to.
    fn called(&mut self, caller: PeerId, options: Dict) -> Dict {
        let call = Message::Call {
            request: 1,
            options,
            procedure: "observatory.a".into(),
            payload: Payload::empty(),
        };
        match self.tell(caller, call).pop() {
            Some(Output::Send { message: Message::Invocation { details, .. }, .. }) => details,
            other => panic!("no INVOCATION but {other:?}"),
        }
    }
}

fn bus_with_callee(options: Dict) -> Bus {
    let mut bus = Bus(Core::new(RealmConfig::for_ocs("test_realm", "observatory"), 7));
    let callee = bus.join("10.0.0.1:1", "callee");
    let register = Message::Register { request: 1, options, procedure: "observatory.a".into() };
    assert!(matches!(
        bus.tell(callee, register)[..],
        [Output::Send { message: Message::Registered { .. }, .. }]
    ));
    bus
}

fn text<'a>(details: &'a Dict, name: &str) -> Option<&'a str> {
    details.get(name).and_then(Value::as_str)
}

#[test]
fn a_callee_that_asks_is_told_who_calls_and_from_where() {
    let mut bus = bus_with_callee(Dict::new().with("disclose_caller", true));
    let caller = bus.join("10.0.0.7:41234", "campanile/0.1 (alice on lab-7)");
    // What a client says of somebody else is not believed.
    let details = bus.called(caller, Dict::new().with(CALLER_FROM, "elsewhere").with(CALLER_AGENT, "bob"));
    assert_eq!(text(&details, CALLER_FROM), Some("10.0.0.7:41234"));
    assert_eq!(text(&details, CALLER_AGENT), Some("campanile/0.1 (alice on lab-7)"));
    assert_eq!(text(&details, "caller_authrole"), Some("iocs_agent"));
    assert!(details.get("caller").is_some() && details.get("caller_authid").is_some());
}

#[test]
fn the_bridge_says_for_whom_it_calls() {
    let mut bus = bus_with_callee(Dict::new().with("disclose_caller", true));
    let bridge = bus.0.attach_joined(Role::iocs_controller("observatory"), 10);
    let options =
        Dict::new().with(CALLER_FROM, "10.0.0.9:5").with(CALLER_AGENT, format!("curl\n{}", "x".repeat(500)));
    let details = bus.called(bridge, options);
    assert_eq!(text(&details, CALLER_FROM), Some("10.0.0.9:5"));
    let agent = text(&details, CALLER_AGENT).unwrap_or_default();
    assert!(agent.starts_with("curlxxx") && agent.len() <= 120, "{agent}");
}

#[test]
fn a_callee_that_does_not_ask_is_told_nothing() {
    let mut bus = bus_with_callee(Dict::new());
    let caller = bus.join("10.0.0.7:41234", "somebody");
    assert_eq!(bus.called(caller, Dict::new()), Dict::new());
}
