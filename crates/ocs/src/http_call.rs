//! The form of a WAMP call over HTTP: what the HTTP bridge of a router takes and gives, and the control socket as well
//! (Crossbar docs, "HTTP Bridge Caller"). Pure.
//!
//! Request: `{"procedure": …, "args": […], "kwargs": {…}}`. Answer: `{"args": […], "kwargs": {…}}`, where empty kwargs are
//! left out, or `{"error": uri, "args": […], "kwargs": {…}}`, and both with status 200. NaN is read as Python writes it.

use campanile_wamp::{DecodeError, Dict, Limits, Serializer, Value, WampError};

/// A call, as it comes out of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpCall {
    pub(crate) procedure: String,
    pub(crate) args: Vec<Value>,
    pub(crate) kwargs: Dict,
}

/// A request that is no call. The texts are those of Crossbar's bridge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadRequest {
    #[error("Request body was invalid JSON.")]
    NotJson,
    #[error("Request body was valid JSON, but not well formed (missing key 'procedure').")]
    NoProcedure,
    #[error("Request body was valid JSON, but not well formed (must be a dict).")]
    NotADict,
    #[error("Request body was valid JSON, but not well formed ('{0}' is of the wrong type).")]
    WrongType(&'static str),
}

/// An answer that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadAnswer {
    #[error("the answer is not JSON")]
    NotJson(#[from] DecodeError),
    #[error("the answer is not the result of a call")]
    NotAResult,
}

impl HttpCall {
    /// The body of the request.
    pub(crate) fn encode(self) -> Vec<u8> {
        let body =
            Dict::new().with("procedure", self.procedure).with("args", self.args).with("kwargs", self.kwargs);
        encode(body)
    }

    /// Reads the body of a request. `args` and `kwargs` may be missing.
    pub(crate) fn decode(body: &[u8], limits: &Limits) -> Result<Self, BadRequest> {
        let body = Serializer::Json.decode_value(body, limits).map_err(|_| BadRequest::NotJson)?;
        let Value::Dict(mut body) = body else { return Err(BadRequest::NotADict) };
        let procedure = match body.remove("procedure") {
            None => return Err(BadRequest::NoProcedure),
            Some(Value::Str(procedure)) => procedure,
            Some(_) => return Err(BadRequest::WrongType("procedure")),
        };
        let args = match body.remove("args") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::List(args)) => args,
            Some(_) => return Err(BadRequest::WrongType("args")),
        };
        let kwargs = match body.remove("kwargs") {
            None | Some(Value::Null) => Dict::new(),
            Some(Value::Dict(kwargs)) => kwargs,
            Some(_) => return Err(BadRequest::WrongType("kwargs")),
        };
        Ok(Self { procedure, args, kwargs })
    }
}

/// The body of an answer.
pub(crate) fn encode_answer(answer: Result<Value, WampError>) -> Vec<u8> {
    encode(match answer {
        Ok(value) => Dict::new().with("args", vec![value]),
        Err(error) => {
            Dict::new().with("error", error.uri).with("args", error.args).with("kwargs", error.kwargs)
        }
    })
}

/// The body of an answer to what is no call.
pub(crate) fn encode_bad_request(message: &str) -> Vec<u8> {
    encode(Dict::new().with("error", message).with("args", Vec::new()).with("kwargs", Dict::new()))
}

/// Reads the body of an answer: the first value of the result.
pub(crate) fn decode_answer(body: &[u8], limits: &Limits) -> Result<Result<Value, WampError>, BadAnswer> {
    let Value::Dict(mut body) = Serializer::Json.decode_value(body, limits)? else {
        return Err(BadAnswer::NotAResult);
    };
    let args = match body.remove("args") {
        Some(Value::List(args)) => args,
        None => Vec::new(),
        Some(_) => return Err(BadAnswer::NotAResult),
    };
    let kwargs = match body.remove("kwargs") {
        Some(Value::Dict(kwargs)) => kwargs,
        _ => Dict::new(),
    };
    match body.remove("error") {
        None => Ok(Ok(args.into_iter().next().unwrap_or_default())),
        Some(Value::Str(uri)) => Ok(Err(WampError { uri, args, kwargs })),
        Some(_) => Err(BadAnswer::NotAResult),
    }
}

fn encode(body: Dict) -> Vec<u8> {
    let mut out = Vec::new();
    Serializer::Json.encode_value(&Value::Dict(body), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(body: &str) -> Result<HttpCall, BadRequest> {
        HttpCall::decode(body.as_bytes(), &Limits::default())
    }

    #[test]
    fn a_call_survives_its_way() {
        let call = HttpCall {
            procedure: "observatory.a.ops".into(),
            args: vec!["start".into(), Value::Null, Value::Float(1.0)],
            kwargs: Dict::new().with("timeout", 2),
        };
        assert_eq!(HttpCall::decode(&call.clone().encode(), &Limits::default()), Ok(call));
    }

    #[test]
    fn args_and_kwargs_may_be_missing_but_not_the_procedure() {
        assert_eq!(decode(r#"{"procedure": "a.b"}"#).unwrap().args, []);
        assert_eq!(decode(r#"{"args": []}"#), Err(BadRequest::NoProcedure));
        assert_eq!(decode("[1]"), Err(BadRequest::NotADict));
        assert_eq!(decode(r#"{"procedure": "a", "args": 5}"#), Err(BadRequest::WrongType("args")));
        assert_eq!(decode("{"), Err(BadRequest::NotJson));
    }

    #[test]
    fn an_answer_is_a_result_or_an_error() {
        let limits = Limits::default();
        assert_eq!(encode_answer(Ok(Value::Null)), br#"{"args":[null]}"#);
        assert_eq!(
            decode_answer(br#"{"args":[{"t":NaN}]}"#, &limits).unwrap().unwrap().to_json().to_string(),
            r#"{"t":null}"#
        );
        let error = WampError::new("wamp.error.no_such_procedure", "no callee registered for procedure <a>");
        assert_eq!(
            String::from_utf8(encode_answer(Err(error.clone()))).unwrap(),
            r#"{"error":"wamp.error.no_such_procedure","args":["no callee registered for procedure <a>"],"kwargs":{}}"#
        );
        assert_eq!(decode_answer(&encode_answer(Err(error.clone())), &limits).unwrap(), Err(error));
        assert!(decode_answer(b"<html>", &limits).is_err());
    }

    proptest! {
        #[test]
        fn no_body_at_all_makes_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = HttpCall::decode(&body, &Limits::default());
            let _ = decode_answer(&body, &Limits::default());
        }
    }
}
