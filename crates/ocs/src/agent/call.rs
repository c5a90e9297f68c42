//! The arguments of an agent's two procedures, taken as a Python function takes them: by position or by name.
//!
//! What does not fit is refused as the original does it, with `wamp.error.runtime_error` and Python's own words: they
//! say best what was wrong, and clients show them.

use campanile_wamp::error::uris;
use campanile_wamp::{Dict, Value, WampError};

use super::pyrepr;
use crate::secret::Secret;

/// A request on an operation: the arguments of `{address}.ops`.
#[derive(Clone, Debug, PartialEq)]
pub struct OpsCall {
    /// What is asked: start, stop, abort, wait or status.
    pub action: String,
    /// Of which operation.
    pub op_name: String,
    /// Parameters, for start.
    pub params: serde_json::Value,
    /// How long a wait may take.
    pub timeout: WaitLimit,
    /// The password of the caller. One that is no text counts as none.
    pub password: Option<Secret>,
}

/// How long a `wait` may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WaitLimit {
    /// Until the operation ends (null).
    Forever,
    /// No waiting (anything up to zero).
    AtOnce,
    /// That many seconds.
    Seconds(f64),
}

/// A wait longer than this, in seconds (about 30 years), is for ever.
const MAX_WAIT_S: f64 = 1e9;

impl OpsCall {
    /// Takes `(action, op_name, params=None, timeout=None, password=None)`.
    ///
    /// # Errors
    /// `wamp.error.runtime_error` when the arguments do not fit, or the timeout is no number.
    pub fn from_arguments(args: Vec<Value>, kwargs: Dict) -> Result<Self, WampError> {
        let mut bound = Signature {
            function: "OCSAgent._ops_handler()",
            names: &["action", "op_name", "params", "timeout", "password"],
            required: 2,
            takes_others: false,
        }
        .bind(args, kwargs)?
        .into_iter();
        let mut next = || bound.next().unwrap_or_default();
        Ok(Self {
            action: text(next()),
            op_name: text(next()),
            params: next().to_json(),
            timeout: wait_limit(&next())?,
            password: match next() {
                Value::Str(text) => Some(Secret::new(text)),
                _ => None,
            },
        })
    }
}

/// Takes the question of `{address}`: `(q, **others)`.
///
/// # Errors
/// `wamp.error.runtime_error` when there is no question, or more than one argument.
pub fn question(args: Vec<Value>, kwargs: Dict) -> Result<String, WampError> {
    let signature = Signature {
        function: "OCSAgent._management_handler()",
        names: &["q"],
        required: 1,
        takes_others: true,
    };
    Ok(text(signature.bind(args, kwargs)?.pop().unwrap_or_default()))
}

fn text(value: Value) -> String {
    match value {
        Value::Str(text) => text,
        other => pyrepr::str_of(&other.to_json()),
    }
}

fn wait_limit(value: &Value) -> Result<WaitLimit, WampError> {
    let seconds = match value {
        Value::Null => return Ok(WaitLimit::Forever),
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        other => other.as_f64().ok_or_else(|| {
            let found = pyrepr::type_name(&other.to_json());
            runtime_error(format!("'<' not supported between instances of '{found}' and 'int'"))
        })?,
    };
    Ok(match seconds {
        s if s >= MAX_WAIT_S => WaitLimit::Forever,
        s if s > 0.0 => WaitLimit::Seconds(s),
        // Zero, less than that, and NaN.
        _ => WaitLimit::AtOnce,
    })
}

fn runtime_error(message: String) -> WampError {
    WampError::new(uris::RUNTIME_ERROR, message)
}

/// A Python function, as far as its arguments go. Positions are counted with `self`, as Python does.
struct Signature {
    function: &'static str,
    names: &'static [&'static str],
    required: usize,
    takes_others: bool,
}

impl Signature {
    fn bind(&self, args: Vec<Value>, kwargs: Dict) -> Result<Vec<Value>, WampError> {
        let (function, names) = (self.function, self.names);
        let given = args.len();
        let mut slots: Vec<Option<Value>> = args.into_iter().map(Some).collect();
        slots.resize(given.max(names.len()), None);
        for (key, value) in kwargs {
            match names.iter().position(|name| *name == key) {
                Some(at) if slots[at].is_some() => {
                    return Err(runtime_error(format!(
                        "{function} got multiple values for argument '{key}'"
                    )));
                }
                Some(at) => slots[at] = Some(value),
                None if self.takes_others => {}
                None => {
                    return Err(runtime_error(format!(
                        "{function} got an unexpected keyword argument '{key}'"
                    )));
                }
            }
        }
        if given > names.len() {
            let (least, most, got) = (self.required + 1, names.len() + 1, given + 1);
            let range = if least == most { format!("{most}") } else { format!("from {least} to {most}") };
            return Err(runtime_error(format!(
                "{function} takes {range} positional arguments but {got} were given"
            )));
        }
        let missing: Vec<String> = names[..self.required]
            .iter()
            .zip(&slots)
            .filter(|(_, slot)| slot.is_none())
            .map(|(name, _)| format!("'{name}'"))
            .collect();
        if !missing.is_empty() {
            let (count, plural) = (missing.len(), if missing.len() == 1 { "" } else { "s" });
            let missing = missing.join(" and ");
            return Err(runtime_error(format!(
                "{function} missing {count} required positional argument{plural}: {missing}"
            )));
        }
        Ok(slots.into_iter().map(Option::unwrap_or_default).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn ops(args: serde_json::Value, kwargs: serde_json::Value) -> Result<OpsCall, String> {
        let (Value::List(args), Value::Dict(kwargs)) = (args.into(), kwargs.into()) else {
            panic!("a list and a dict")
        };
        OpsCall::from_arguments(args, kwargs).map_err(|error| {
            assert_eq!(error.uri, "wamp.error.runtime_error");
            error.message().unwrap().to_owned()
        })
    }

    #[test]
    fn arguments_count_by_position_and_by_name() {
        let by_position = ops(json!(["wait", "acq", null, 0.5, "pw"]), json!({})).unwrap();
        let by_name =
            ops(json!([]), json!({"op_name": "acq", "action": "wait", "password": "pw", "timeout": 0.5}))
                .unwrap();
        assert_eq!(by_position, by_name);
        assert_eq!(by_position.timeout, WaitLimit::Seconds(0.5));
        let short = ops(json!(["status", "acq"]), json!({"params": []})).unwrap();
        assert_eq!((short.params, short.timeout, short.password), (json!([]), WaitLimit::Forever, None));
    }

    #[test]
    fn a_wait_of_no_time_at_all_is_answered_at_once() {
        for timeout in [json!(0), json!(-1), json!(-0.5), json!(false)] {
            assert_eq!(
                ops(json!(["wait", "x", null, timeout]), json!({})).unwrap().timeout,
                WaitLimit::AtOnce
            );
        }
        assert_eq!(ops(json!(["wait", "x", null, 1e300]), json!({})).unwrap().timeout, WaitLimit::Forever);
    }

    // Each text was printed by CPython 3.11 for the function of ocs 0.12.1.
    #[test]
    fn what_does_not_fit_is_refused_in_the_words_of_python() {
        for (args, kwargs, text) in [
            (json!([]), json!({}), "missing 2 required positional arguments: 'action' and 'op_name'"),
            (json!(["start"]), json!({}), "missing 1 required positional argument: 'op_name'"),
            (json!([]), json!({"op_name": "x"}), "missing 1 required positional argument: 'action'"),
            (json!([1, 2, 3, 4, 5, 6]), json!({}), "takes from 3 to 6 positional arguments but 7 were given"),
            (json!(["start"]), json!({"action": "stop"}), "got multiple values for argument 'action'"),
            (json!(["start", "x"]), json!({"foo": 1}), "got an unexpected keyword argument 'foo'"),
        ] {
            assert_eq!(ops(args, kwargs).unwrap_err(), format!("OCSAgent._ops_handler() {text}"));
        }
        assert_eq!(
            ops(json!(["wait", "x", null, "long"]), json!({})).unwrap_err(),
            "'<' not supported between instances of 'str' and 'int'"
        );
        let error = question(Vec::new(), Dict::new()).unwrap_err();
        assert_eq!(
            error.message(),
            Some("OCSAgent._management_handler() missing 1 required positional argument: 'q'")
        );
        let error = question(vec![Value::Null, Value::Null], Dict::new()).unwrap_err();
        assert_eq!(
            error.message(),
            Some("OCSAgent._management_handler() takes 2 positional arguments but 3 were given")
        );
        assert_eq!(question(vec!["get_api".into()], Dict::new().with("any", 1)), Ok("get_api".into()));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "[a-z]{0,4}".prop_map(Value::from),
            Just(Value::List(vec![Value::Null])),
            proptest::collection::vec(any::<u8>(), 0..4).prop_map(Value::Bytes),
        ]
    }

    proptest! {
        #[test]
        fn any_arguments_are_taken_or_refused_in_words(
            args in proptest::collection::vec(any_value(), 0..8),
            names in proptest::collection::vec("action|op_name|params|timeout|password|q|x", 0..4),
            value in any_value(),
        ) {
            let kwargs: Dict = names.into_iter().map(|name| (name, value.clone())).collect();
            for refused in [
                OpsCall::from_arguments(args.clone(), kwargs.clone()).err(),
                question(args, kwargs).err(),
            ]
            .into_iter()
            .flatten()
            {
                prop_assert_eq!(&refused.uri, uris::RUNTIME_ERROR);
                prop_assert!(refused.message().is_some_and(|message| !message.is_empty()));
            }
        }
    }
}
