//! How a simulated daemon misbehaves. (Hanging and crashing are the driver's part: a hung daemon is not called.)

use crate::wire::ids::RequestId;

/// Requests that are refused although they are in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailRule {
    /// Which; all when absent.
    pub request: Option<RequestId>,
    /// With which error number.
    pub errcode: u32,
    /// And text.
    pub text: String,
    /// How often; without end when absent.
    pub times: Option<u32>,
}

/// How a daemon misbehaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// How late every answer is, in microseconds.
    pub late_us: u64,
    /// How late it lets others read its sets, in microseconds: their updates take so long.
    pub late_reads_us: u64,
    /// Requests that are refused.
    pub fail: Vec<FailRule>,
    /// New connections are refused with this reason.
    pub reject: Option<String>,
    /// Requests are carried out but not answered.
    pub mute: bool,
    /// Longest record that is taken, in bytes; without it [`crate::limits::MAX_RECORD`].
    pub max_record: Option<u32>,
}

impl Faults {
    /// The refusal a request meets, if any.
    pub(super) fn refusal(&mut self, id: RequestId) -> Option<(u32, String)> {
        let rule = self
            .fail
            .iter_mut()
            .find(|rule| rule.request.is_none_or(|request| request == id) && rule.times != Some(0))?;
        if let Some(times) = &mut rule.times {
            *times -= 1;
        }
        Some((rule.errcode, rule.text.clone()))
    }
}
