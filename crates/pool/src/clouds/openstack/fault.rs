//! What a status code and its text mean. Pure.
//!
//! OpenStack's services word their errors each in its own envelope: `{"forbidden": {"code": 403, "message": "…"}}`
//! (nova, cinder), `{"NeutronError": {"type": "OverQuota", "message": "…"}}`, `{"error": {"message": "…"}}` (keystone).

use serde_json::Value;

use super::super::CloudError;

/// Longest text of a cloud that is kept, characters.
const MESSAGE_MAX_CHARS: usize = 400;

/// The error that an answer with this status stands for. `retry_after` is the header of that name, as it came.
pub(super) fn from_answer(status: u16, retry_after: Option<&str>, body: &[u8]) -> CloudError {
    let message = message(status, body);
    let retry_after_ms = retry_after.and_then(seconds_ms);
    match status {
        401 => CloudError::Auth(message),
        403 | 409 | 413 if is_quota(&message) => {
            CloudError::Quota { resource: quota_resource(&message), message }
        }
        _ if message.contains("No valid host") => CloudError::NoRoom(message),
        403 => CloudError::Forbidden(message),
        404 | 410 => CloudError::NotFound(message),
        409 => CloudError::Conflict(message),
        // Nova before 2.1 and cinder limit the rate with 413.
        413 if retry_after_ms.is_some() => CloudError::Busy { retry_after_ms, message },
        429 => CloudError::Busy { retry_after_ms, message },
        503 if retry_after_ms.is_some() => CloudError::Busy { retry_after_ms, message },
        500.. => CloudError::Fails(message),
        _ => CloudError::Invalid(message),
    }
}

/// `Retry-After` in its form of seconds (RFC 9110, 10.2.3). The form with a date is answered with `None`.
fn seconds_ms(text: &str) -> Option<u64> {
    text.trim().parse::<u64>().ok().map(|seconds| seconds.saturating_mul(1000))
}

/// The text inside the envelope, else the beginning of the body, with the status before it.
fn message(status: u16, body: &[u8]) -> String {
    let text = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|value| inner_message(&value))
        .unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    let text: String = text.chars().filter(|c| !c.is_control()).take(MESSAGE_MAX_CHARS).collect();
    if text.is_empty() { format!("HTTP status {status}") } else { format!("{text} (HTTP status {status})") }
}

fn inner_message(value: &Value) -> Option<String> {
    let map = value.as_object()?;
    if let Some(text) = map.get("message").and_then(Value::as_str) {
        return Some(text.to_owned());
    }
    map.values().find_map(inner_message).or_else(|| {
        // nova's version errors: {"errors": [{"detail": "…"}]}
        let errors = map.get("errors")?.as_array()?;
        errors.iter().find_map(|error| error.get("detail")?.as_str().map(str::to_owned))
    })
}

fn is_quota(message: &str) -> bool {
    let lower = message.to_lowercase();
    // Nova words what neutron refuses in its own way: "Maximum number of ports exceeded".
    let is_maximum = lower.contains("maximum number of") && lower.contains("exceeded");
    is_maximum
        || lower.contains("quota")
        || lower.contains("exceeds allowed")
        || lower.contains("limit exceeded")
}

/// What nova, neutron and cinder say has run out: `Quota exceeded for cores, ram: Requested …`,
/// `Quota exceeded for resources: ['port'].`, `VolumeSizeExceedsAvailableQuota: Requested volume …`.
fn quota_resource(message: &str) -> String {
    let after = message
        .split_once("xceeded for resources:")
        .or_else(|| message.split_once("xceeded for "))
        .or_else(|| message.split_once("aximum number of "))
        .map_or("", |(_, rest)| rest);
    let after = after.split_once(" exceeded").map_or(after, |(names, _)| names);
    let names = after.split([':', '.', '(']).next().unwrap_or_default();
    let names: String =
        names.chars().filter(|c| c.is_alphanumeric() || matches!(c, '_' | ',' | ' ')).collect();
    let names = names.trim();
    if !names.is_empty() && names.len() <= 60 {
        return names.to_owned();
    }
    let lower = message.to_lowercase();
    let known = ["gigabytes", "volume", "floating", "port", "ram", "cores", "instances"];
    known.into_iter().find(|name| lower.contains(name)).unwrap_or("something").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> CloudError {
        from_answer(status, None, body.as_bytes())
    }

    #[test]
    fn quota_is_told_from_what_is_not_allowed_and_names_what_has_run_out() {
        let nova = r#"{"forbidden": {"code": 403, "message": "Quota exceeded for cores, ram: Requested 4, 8192, but already used 40, 0 of 40, 1 cores"}}"#;
        assert!(matches!(answer(403, nova), CloudError::Quota { resource, .. } if resource == "cores, ram"));
        let neutron = r#"{"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: ['port'].", "detail": ""}}"#;
        assert!(matches!(answer(409, neutron), CloudError::Quota { resource, .. } if resource == "port"));
        let cinder = r#"{"overLimit": {"code": 413, "message": "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota."}}"#;
        assert!(matches!(answer(413, cinder), CloudError::Quota { resource, .. } if resource == "gigabytes"));
        let ports = r#"{"forbidden": {"code": 403, "message": "Maximum number of ports exceeded"}}"#;
        assert!(matches!(answer(403, ports), CloudError::Quota { resource, .. } if resource == "ports"));
        let policy = r#"{"forbidden": {"code": 403, "message": "Policy doesn't allow os_compute_api:servers:create to be performed."}}"#;
        assert!(matches!(answer(403, policy), CloudError::Forbidden(_)));
    }

    #[test]
    fn a_cloud_that_asks_to_wait_is_told_from_one_that_fails() {
        assert_eq!(
            from_answer(503, Some("7"), b""),
            CloudError::Busy { retry_after_ms: Some(7000), message: "HTTP status 503".to_owned() }
        );
        assert!(matches!(answer(503, ""), CloudError::Fails(_)));
        assert!(matches!(answer(429, "{}"), CloudError::Busy { retry_after_ms: None, .. }));
        assert!(matches!(answer(502, "<html>bad gateway</html>"), CloudError::Fails(_)));
    }

    #[test]
    fn the_rest_keeps_the_words_of_the_cloud() {
        let body = r#"{"badRequest": {"code": 400, "message": "Can not find requested image"}}"#;
        assert_eq!(
            answer(400, body),
            CloudError::Invalid("Can not find requested image (HTTP status 400)".into())
        );
        assert!(matches!(
            answer(500, r#"{"x":{"message":"No valid host was found. "}}"#),
            CloudError::NoRoom(_)
        ));
        assert!(matches!(answer(404, "{}"), CloudError::NotFound(_)));
        assert!(matches!(answer(409, r#"{"c":{"message":"in use"}}"#), CloudError::Conflict(_)));
        assert!(matches!(answer(401, "{}"), CloudError::Auth(_)));
        let version =
            r#"{"errors": [{"status": 406, "detail": "Version 2.99 is not supported by the API."}]}"#;
        assert!(matches!(answer(406, version), CloudError::Invalid(text) if text.contains("2.99")));
    }
}
