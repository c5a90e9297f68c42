//! The parameters of an operation, checked before it starts (OCS docs, "`@param`").
//!
//! The texts of the errors are those of OCS, and as there the first problem is the one that is told.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::pyrepr;

/// What type a parameter must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// true or false.
    Bool,
    /// A whole number. As in Python, true and false count as 1 and 0.
    Int,
    /// A number; whole numbers are made floats.
    Float,
    /// A whole number or a float, kept as it is.
    Number,
    /// A string.
    Str,
    /// A list.
    List,
    /// An object.
    Dict,
}

impl ParamType {
    const fn python(self) -> &'static str {
        match self {
            Self::Bool => "<class 'bool'>",
            Self::Int => "<class 'int'>",
            Self::Float => "<class 'float'>",
            Self::Number => "(<class 'int'>, <class 'float'>)",
            Self::Str => "<class 'str'>",
            Self::List => "<class 'list'>",
            Self::Dict => "<class 'dict'>",
        }
    }

    /// The value as this type, or `None` if it is of another.
    fn convert(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::Bool, Value::Bool(_))
            | (Self::Str, Value::String(_))
            | (Self::List, Value::Array(_))
            | (Self::Dict, Value::Object(_))
            | (Self::Number, Value::Number(_))
            | (Self::Int | Self::Number, Value::Bool(_)) => Some(value.clone()),
            (Self::Float, Value::Bool(flag)) => Some(Value::from(f64::from(u8::from(*flag)))),
            (Self::Int, Value::Number(number)) if !number.is_f64() => Some(value.clone()),
            (Self::Float, Value::Number(number)) => number.as_f64().map(Value::from),
            _ => None,
        }
    }
}

/// A further test of a value that already has its type.
pub type ParamCheck = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

/// One parameter of an operation.
#[derive(Clone)]
pub struct Param {
    name: String,
    kind: Option<ParamType>,
    default: Option<Value>,
    choices: Vec<Value>,
    check: Option<ParamCheck>,
    null_is_a_value: bool,
}

impl Param {
    /// A parameter that must be given, of any type.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: None,
            default: None,
            choices: Vec::new(),
            check: None,
            null_is_a_value: false,
        }
    }

    /// Demands a type.
    #[must_use]
    pub const fn of_type(mut self, kind: ParamType) -> Self {
        self.kind = Some(kind);
        self
    }

    /// The value when the parameter is missing; null means that the operation sees null.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// The values that are allowed, compared as Python compares (1, 1.0 and true are equal).
    #[must_use]
    pub fn choices(mut self, choices: impl IntoIterator<Item = Value>) -> Self {
        self.choices = choices.into_iter().collect();
        self
    }

    /// A further test, after type and choices.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        self.check = Some(Arc::new(check));
        self
    }

    /// Demands a number within bounds, both included.
    #[must_use]
    pub fn range(self, least: f64, most: f64) -> Self {
        self.check(move |value| value.as_f64().is_some_and(|number| (least..=most).contains(&number)))
    }

    /// Takes an explicit null as the value null. Without this, null is the same as missing.
    #[must_use]
    pub const fn null_is_a_value(mut self) -> Self {
        self.null_is_a_value = true;
        self
    }

    /// The value that the operation gets, from what the client gave.
    fn extract(&self, given: &Map<String, Value>) -> Result<Value, ParamError> {
        let name = &self.name;
        let value = match given.get(name) {
            Some(Value::Null) if self.null_is_a_value => &Value::Null,
            Some(Value::Null) | None => match &self.default {
                Some(default) => default,
                None => return Err(ParamError(format!("Param '{name}' is required and must not be None"))),
            },
            Some(value) => value,
        };
        if value.is_null() {
            return Ok(Value::Null);
        }
        let value = match self.kind {
            None => value.clone(),
            Some(kind) => kind.convert(value).ok_or_else(|| {
                let (shown, wanted) = (pyrepr::str_of(value), kind.python());
                ParamError(format!("Param '{name}'={shown} is not of required type ({wanted})"))
            })?,
        };
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| python_equal(choice, &value)) {
            let choices = pyrepr::repr(&Value::Array(self.choices.clone()));
            return Err(ParamError(format!(
                "Param '{name}'={} is not in allowed set ({choices})",
                pyrepr::str_of(&value)
            )));
        }
        // For Python true and false are whole numbers; an operation that asked for one shall get one.
        let value = match (self.kind, &value) {
            (Some(ParamType::Int | ParamType::Number), Value::Bool(flag)) => Value::from(i64::from(*flag)),
            _ => value,
        };
        if self.check.as_ref().is_some_and(|check| !check(&value)) {
            return Err(ParamError(format!("Param '{name}' failed validity check (see docs?).")));
        }
        Ok(value)
    }
}

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Param")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("default", &self.default)
            .field("choices", &self.choices)
            .finish_non_exhaustive()
    }
}

/// What parameters an operation takes.
#[derive(Clone, Debug, Default)]
pub struct ParamSpec {
    params: Vec<Param>,
    unchecked: bool,
}

/// Why parameters were refused; the text that the client gets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParamError(pub String);

impl ParamSpec {
    /// An operation without parameters: any that is given is an error.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// An operation that looks at its parameters itself: they reach it as the client gave them (null becomes `{}`).
    #[must_use]
    pub fn unchecked() -> Self {
        Self { params: Vec::new(), unchecked: true }
    }

    /// An operation with exactly these parameters.
    #[must_use]
    pub fn of(params: impl IntoIterator<Item = Param>) -> Self {
        Self { params: params.into_iter().collect(), unchecked: false }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, param: Param) -> Self {
        self.params.push(param);
        self
    }

    /// Checks what a client gave and fills in the defaults. The result has every declared parameter.
    ///
    /// # Errors
    /// [`ParamError`] with the text of OCS for the first problem.
    pub fn check(&self, given: &Value) -> Result<Value, ParamError> {
        let empty = Map::new();
        let given = match given {
            Value::Null if self.unchecked => return Ok(Value::Object(empty)),
            any if self.unchecked => return Ok(any.clone()),
            Value::Null => &empty,
            Value::Object(entries) => entries,
            other => {
                let missing = if self.params.is_empty() { "keys" } else { "get" };
                return Err(ParamError(format!(
                    "CRASH: during param pre-processing: '{}' object has no attribute '{missing}'",
                    pyrepr::type_name(other)
                )));
            }
        };
        let mut checked = Map::with_capacity(self.params.len());
        for param in &self.params {
            checked.insert(param.name.clone(), param.extract(given)?);
        }
        let strays: Vec<Value> = given
            .keys()
            .filter(|key| !checked.contains_key(*key))
            .map(|key| Value::from(key.as_str()))
            .collect();
        if strays.is_empty() {
            Ok(Value::Object(checked))
        } else {
            let strays = pyrepr::repr(&Value::Array(strays));
            Err(ParamError(format!("params included unexpected values: {strays}")))
        }
    }
}

/// Python's `==` between values that came as JSON: numbers compare by value, and true is 1.
fn python_equal(left: &Value, right: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        other => other.as_f64(),
    };
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left.total_cmp(&right).is_eq() || (left == 0.0 && right == 0.0),
        (None, None) => left == right,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn update() -> ParamSpec {
        ParamSpec::of([
            Param::new("requests").default(json!([])),
            Param::new("reload_config").of_type(ParamType::Bool).default(false),
        ])
    }

    fn refused(spec: &ParamSpec, given: Value) -> String {
        spec.check(&given).unwrap_err().0
    }

    #[test]
    fn missing_and_null_parameters_get_their_defaults() {
        let expected = json!({"requests": [], "reload_config": false});
        for given in [json!(null), json!({}), json!({"requests": null}), json!({"reload_config": null})] {
            assert_eq!(update().check(&given).unwrap(), expected);
        }
    }

    // Each text was printed by the ParamHandler of ocs 0.12.1 for the same input.
    #[test]
    fn refusals_read_as_those_of_ocs() {
        assert_eq!(
            refused(&update(), json!({"reload_config": "yes"})),
            "Param 'reload_config'=yes is not of required type (<class 'bool'>)"
        );
        assert_eq!(
            refused(&update(), json!({"reload_config": ["yes", 1.0, null]})),
            "Param 'reload_config'=['yes', 1.0, None] is not of required type (<class 'bool'>)"
        );
        assert_eq!(refused(&update(), json!({"foo": 1})), "params included unexpected values: ['foo']");
        assert_eq!(
            refused(&update(), json!([])),
            "CRASH: during param pre-processing: 'list' object has no attribute 'get'"
        );
        assert_eq!(
            refused(&ParamSpec::none(), json!("x")),
            "CRASH: during param pre-processing: 'str' object has no attribute 'keys'"
        );
        let spec = ParamSpec::of([Param::new("v").of_type(ParamType::Float).range(0.0, 5.0)]);
        assert_eq!(refused(&spec, json!({})), "Param 'v' is required and must not be None");
        assert_eq!(refused(&spec, json!({"v": -1})), "Param 'v' failed validity check (see docs?).");
        let spec = ParamSpec::of([Param::new("mode").choices([json!("a"), json!("b")])]);
        assert_eq!(refused(&spec, json!({"mode": "c"})), "Param 'mode'=c is not in allowed set (['a', 'b'])");
    }

    #[test]
    fn a_whole_number_does_for_a_float_but_not_the_other_way() {
        let spec = |kind| ParamSpec::of([Param::new("v").of_type(kind)]);
        assert_eq!(spec(ParamType::Float).check(&json!({"v": 5})).unwrap(), json!({"v": 5.0}));
        assert_eq!(spec(ParamType::Int).check(&json!({"v": true})).unwrap(), json!({"v": 1}));
        assert_eq!(
            refused(&spec(ParamType::Int), json!({"v": 5.0})),
            "Param 'v'=5.0 is not of required type (<class 'int'>)"
        );
        assert_eq!(spec(ParamType::Number).check(&json!({"v": 5})).unwrap(), json!({"v": 5}));
    }

    #[test]
    fn null_can_be_a_value_of_its_own() {
        let spec = ParamSpec::of([Param::new("v").of_type(ParamType::Int).null_is_a_value()]);
        assert_eq!(spec.check(&json!({"v": null})).unwrap(), json!({"v": null}));
        assert_eq!(refused(&spec, json!({})), "Param 'v' is required and must not be None");
    }

    #[test]
    fn choices_compare_as_python_does() {
        let spec = ParamSpec::of([Param::new("v").choices([json!(1), json!("x")])]);
        for good in [json!(1), json!(1.0), json!(true), json!("x")] {
            assert!(spec.check(&json!({"v": good})).is_ok());
        }
        assert!(spec.check(&json!({"v": "1"})).is_err());
    }

    #[test]
    fn an_operation_that_checks_for_itself_sees_what_was_sent() {
        assert_eq!(ParamSpec::unchecked().check(&json!([])).unwrap(), json!([]));
        assert_eq!(ParamSpec::unchecked().check(&json!(null)).unwrap(), json!({}));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((".{0,8}", inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_is_checked_or_refused_in_words(given in any_json()) {
            match update().check(&given) {
                Ok(checked) => {
                    prop_assert!(checked["reload_config"].is_boolean());
                    prop_assert_eq!(checked.as_object().map(Map::len), Some(2));
                }
                Err(error) => prop_assert!(!error.0.is_empty()),
            }
        }

        #[test]
        fn a_type_takes_its_own_output_again(given in any_json()) {
            for kind in [ParamType::Bool, ParamType::Int, ParamType::Float, ParamType::Number, ParamType::Str,
                ParamType::List, ParamType::Dict] {
                if let Some(once) = kind.convert(&given) {
                    prop_assert_eq!(kind.convert(&once), Some(once));
                }
            }
        }
    }
}
