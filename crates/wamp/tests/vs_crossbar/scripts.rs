//! What is played on both routers.

use campanile_wamp::Value;

use super::stage::Stage;
use super::{http, payloads, pubsub, rpc, sessions};

/// A script and its name.
pub(crate) type Script = (&'static str, fn(&mut Stage));

/// Scripts in which peers use JSON, so that wrong messages can be written down.
pub(crate) const SCRIPTS: [Script; 23] = [
    ("joins", sessions::joins),
    ("handshakes", sessions::handshakes),
    ("before hello", sessions::before_hello),
    ("goodbye", sessions::goodbye),
    ("violations", sessions::violations),
    ("frames", sessions::frames),
    ("names", pubsub::names),
    ("permission", pubsub::permission),
    ("registrations", rpc::registrations),
    ("pattern registrations", rpc::pattern_registrations),
    ("subscriptions", pubsub::subscriptions),
    ("events", pubsub::events),
    ("audience", pubsub::audience),
    ("calls", rpc::calls),
    ("progress", rpc::progress),
    ("cancel", rpc::cancel),
    ("cancel without interrupts", rpc::cancel_without_interrupts),
    ("callee loss", rpc::callee_loss),
    ("caller loss", rpc::caller_loss),
    ("reconnect", sessions::reconnect),
    ("serializers", payloads::serializers),
    ("big messages", payloads::big_messages),
    ("http", http::http),
];

/// HELLO with other details than usual.
pub(crate) fn hello_with(details: Value) -> Value {
    Value::List(vec![1.into(), "test_realm".into(), details])
}
