//! Set groups: names with members. They are not sets here: nobody can collect one.

use std::collections::BTreeSet;

use super::Daemon;
use super::answer::{Answer, Handled, Refused, refuse};
use crate::wire::errno;
use crate::wire::ids::{AttrId, RequestId};
use crate::wire::record::Message as Record;

impl Daemon {
    pub(super) fn setgroup_request(&mut self, id: RequestId, message: &Record) -> Handled {
        let args = self.args(message);
        let name = args.require(AttrId::NAME, || "missing `name` attribute".to_owned())?;
        let members: Vec<String> =
            args.get(AttrId::INSTANCE).unwrap_or_default().split(',').map(str::to_owned).collect();
        if id == RequestId::SETGROUP_ADD {
            if self.groups.contains_key(&name) || self.sets.contains_key(&name) {
                let text = "A set or a group existed with the given name.";
                return Err(refuse(errno::EEXIST, text));
            }
            self.groups.insert(name, BTreeSet::new());
            return Ok(Answer::Done);
        }
        let Some(group) = self.groups.get_mut(&name) else {
            // ldmsd says so with error 0: it looks at an error number that nobody has set.
            return Ok(Answer::Text("Group get error: 0".to_owned()));
        };
        match id {
            RequestId::SETGROUP_INS => group.extend(members),
            RequestId::SETGROUP_RM => group.retain(|member| !members.contains(member)),
            RequestId::SETGROUP_DEL => drop(self.groups.remove(&name)),
            _ => {}
        }
        Ok(Answer::Done)
    }

    /// A set by the name in a request about user data.
    pub(super) fn udata_request(&self, message: &Record) -> Handled {
        let args = self.args(message);
        let required = |id: AttrId| -> Result<String, Refused> { args.required_by(id, "udata") };
        let instance = required(AttrId::INSTANCE)?;
        required(AttrId::METRIC)?;
        required(AttrId::UDATA)?;
        match self.sets.contains_key(&instance) {
            true => Ok(Answer::Done),
            false => Err(refuse(errno::ENOENT, format!("Set '{instance}' not found."))),
        }
    }
}
