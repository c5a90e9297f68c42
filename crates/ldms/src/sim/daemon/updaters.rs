//! Updaters: which sets are fetched, and when.

use std::collections::{BTreeSet, HashSet};

use super::answer::{Answer, Handled, json, refuse};
use super::object::{Expression, Rights};
use super::{Daemon, Timer};
use crate::api::producer::ProducerState;
use crate::auth::Peer;
use crate::time;
use crate::wire::errno;
use crate::wire::ids::{AttrId, RequestId};
use crate::wire::record::Message as Record;

/// How much later than a sampler an updater that follows it comes, in microseconds
/// (`LDMSD_UPDTR_OFFSET_INCR` of ldmsd).
const FOLLOW_US: i64 = 100_000;

/// An interval, and the moment in it. Without the moment it runs from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Schedule {
    pub(super) interval_us: u64,
    pub(super) offset_us: Option<i64>,
}

impl Schedule {
    /// The next time it is due after `now_us`.
    pub(super) fn next(self, now_us: u64) -> u64 {
        let Some(offset_us) = self.offset_us else { return now_us + self.interval_us };
        let (interval, now) = (i128::from(self.interval_us.max(1)), i128::from(now_us));
        let past = (now - i128::from(offset_us)).rem_euclid(interval);
        now_us + u64::try_from(interval - past).unwrap_or(self.interval_us)
    }

    fn later(self, us: i64) -> Self {
        Self { offset_us: self.offset_us.map(|offset_us| offset_us + us), ..self }
    }

    pub(super) fn json(self) -> String {
        let offset = self.offset_us.map_or_else(|| "None".to_owned(), |offset_us| offset_us.to_string());
        format!("\"interval_us\":\"{}\",\"offset_us\":\"{offset}\"", self.interval_us)
    }

    /// As the information of a set says it.
    pub(super) fn hint(self) -> String {
        match self.offset_us {
            Some(offset_us) => format!("{}:{offset_us}", self.interval_us),
            None => format!("{}:", self.interval_us),
        }
    }
}

/// Whether an updater has sets pushed instead of fetching them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Push {
    No,
    OnRequest,
    OnChange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Stopped,
    Running,
}

/// An updater.
#[derive(Debug)]
pub(super) struct Updater {
    schedule: Schedule,
    auto: bool,
    push: Push,
    state: State,
    pub(super) producers: BTreeSet<String>,
    /// What producers that come later are added by (only advertised ones are).
    filters: Vec<Expression>,
    /// Expressions, and whether they are for schemas.
    pub(super) matches: Vec<(Expression, bool)>,
    /// Updates under way.
    pub(super) in_flight: usize,
    generation: u64,
    /// Schedules of sets that differ from the updater's own.
    followed: HashSet<Schedule>,
    rights: Rights,
}

impl Updater {
    fn wants(&self, set: &str, schema: &str) -> bool {
        let fits =
            |(regex, by_schema): &(Expression, bool)| regex.matches(if *by_schema { schema } else { set });
        self.matches.is_empty() || self.matches.iter().any(fits)
    }

    /// The schedule sets must have so that the updater's own fits them.
    fn own_hint(&self) -> Schedule {
        self.schedule.later(-FOLLOW_US)
    }

    /// The schedule a set with this hint is updated by.
    fn schedule_for(&self, hint: Option<Schedule>) -> Schedule {
        match hint {
            Some(hint) if self.auto && hint != self.own_hint() => hint.later(FOLLOW_US),
            _ => self.schedule,
        }
    }
}

impl Daemon {
    pub(super) fn updater_request(&mut self, peer: Peer, id: RequestId, message: &Record) -> Handled {
        match id {
            RequestId::UPDTR_ADD => self.add_updater(peer, message),
            RequestId::UPDTR_DEL => self.delete_updater(peer, message),
            RequestId::UPDTR_START => self.start_updater(peer, message),
            RequestId::UPDTR_STOP => self.stop_updater(peer, message),
            RequestId::UPDTR_PRDCR_ADD | RequestId::UPDTR_PRDCR_DEL => {
                self.change_updater_producers(peer, id, message)
            }
            RequestId::UPDTR_MATCH_ADD | RequestId::UPDTR_MATCH_DEL => {
                self.change_updater_matches(peer, id, message)
            }
            RequestId::UPDTR_STATUS | RequestId::UPDTR_MATCH_LIST | RequestId::UPDTR_TASK => {
                self.show_updaters(id, message)
            }
            RequestId::UPDATE_TIME_STATS => self.update_time_stats(message),
            _ => Err(refuse(errno::ENOSYS, "The request is not implemented")),
        }
    }

    fn add_updater(&mut self, peer: Peer, message: &Record) -> Handled {
        let args = self.args(message);
        let required = |word: &str| format!("The '{word}' attribute is required.");
        let name = args.require(AttrId::NAME, || "The attribute 'name' is required.".to_owned())?;
        let interval = args.require(AttrId::INTERVAL, || required("interval"))?;
        let schedule = parse_schedule(&interval, args.get(AttrId::OFFSET).as_deref(), "value ")?;
        let auto_text = args.get(AttrId::AUTO_INTERVAL);
        let push_text = args.get(AttrId::PUSH);
        let auto = match auto_text.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => false,
            Some("true") if push_text.is_some() => {
                return Err(refuse(errno::EINVAL, "auto_interval and push are incompatible options"));
            }
            Some("true") => true,
            Some(_) => {
                let text = "The auto_interval option requires either 'true', or 'false'\n";
                return Err(refuse(errno::EINVAL, text));
            }
        };
        let push = match push_text.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None => Push::No,
            Some("onchange") => Push::OnChange,
            Some("true" | "yes") => Push::OnRequest,
            Some(_) => {
                let text = "The valud push options are \"onchange\", \"true\" or \"yes\"\n";
                return Err(refuse(errno::EINVAL, text));
            }
        };
        let offset = args.get(AttrId::OFFSET).unwrap_or_else(|| "0".to_owned());
        let perm = args.get(AttrId::PERM);
        if self.updaters.contains_key(&name) {
            return Err(refuse(errno::EEXIST, format!("The updtr {name} already exists.")));
        }
        let updater = Updater {
            // Without an offset ldmsd takes 0.
            schedule: Schedule { offset_us: Some(schedule.offset_us.unwrap_or(0)), ..schedule },
            auto,
            push,
            state: State::Stopped,
            producers: BTreeSet::new(),
            filters: Vec::new(),
            matches: Vec::new(),
            in_flight: 0,
            generation: 0,
            followed: HashSet::new(),
            rights: Rights::new(peer, perm.as_deref()),
        };
        self.updaters.insert(name.clone(), updater);
        self.log(|| {
            let auto = auto_text.map(|text| format!(" auto_interval={text}")).unwrap_or_default();
            let push = push_text.map(|text| format!(" push={text}")).unwrap_or_default();
            let perm = perm.map(|text| format!(" perm{text}")).unwrap_or_default();
            format!("updtr_add name={name} interval={interval} offset={offset}{auto}{push}{perm}")
        });
        Ok(Answer::Done)
    }

    fn delete_updater(&mut self, peer: Peer, message: &Record) -> Handled {
        let name = self.args(message).required_by(AttrId::NAME, "updtr_del")?;
        let updater = self.updaters.get_mut(&name).ok_or_else(missing)?;
        updater.rights.check_write(peer)?;
        let in_use = || refuse(errno::EBUSY, "The updater is in use.");
        if updater.state != State::Stopped {
            return Err(in_use());
        }
        // ldmsd lets go of the producers before it sees that updates are under way.
        updater.producers.clear();
        if updater.in_flight > 0 {
            return Err(in_use());
        }
        self.updaters.remove(&name);
        self.log(|| format!("updtr_del name={name}"));
        Ok(Answer::Done)
    }

    fn start_updater(&mut self, peer: Peer, message: &Record) -> Handled {
        let args = self.args(message);
        let name = args.require(AttrId::NAME, || "The updater name must be specified.".to_owned())?;
        let (interval, offset) = (args.get(AttrId::INTERVAL), args.get(AttrId::OFFSET));
        let auto_text = args.get(AttrId::AUTO_INTERVAL);
        let schedule = match &interval {
            Some(interval) => Some(parse_schedule(interval, offset.as_deref(), "")?),
            None => None,
        };
        let updater = self.updaters.get_mut(&name).ok_or_else(missing)?;
        updater.rights.check_write(peer)?;
        if updater.state != State::Stopped {
            let text = "The updater is already running.";
            self.log(|| format!("UPDTR_START {}", errno::EBUSY));
            return Err(refuse(errno::EBUSY, text));
        }
        if let Some(text) = &auto_text {
            updater.auto = !text.eq_ignore_ascii_case("false");
        }
        match (schedule, &offset) {
            (Some(schedule), _) => updater.schedule = schedule,
            (None, Some(offset)) => {
                updater.schedule.offset_us = Some(time::parse_us(offset).unwrap_or_default());
            }
            (None, None) => {}
        }
        updater.state = State::Running;
        updater.generation += 1;
        updater.followed.clear();
        let (generation, schedule) = (updater.generation, updater.schedule);
        let due_us = schedule.next(self.now_us);
        self.at(due_us, Timer::Update { updater: name.clone(), generation, schedule });
        self.schedule_updater(&name);
        self.log(|| "UPDTR_START 0".to_owned());
        self.log(|| {
            let part = |word: &str, text: Option<String>| {
                text.map(|text| format!(" {word}={text}")).unwrap_or_default()
            };
            let (interval, offset) = (part("interval", interval), part("offset", offset));
            format!("updtr_start name={name}{interval}{offset}{}", part("auto_interval", auto_text))
        });
        Ok(Answer::Done)
    }

    fn stop_updater(&mut self, peer: Peer, message: &Record) -> Handled {
        let args = self.args(message);
        let name = args.require(AttrId::NAME, || "The updater name must be specified.".to_owned())?;
        let updater = self.updaters.get_mut(&name).ok_or_else(missing)?;
        updater.rights.check_write(peer)?;
        updater.state = State::Stopped;
        updater.generation += 1;
        updater.followed.clear();
        self.log(|| format!("updtr_stop name={name}"));
        Ok(Answer::Done)
    }

    fn change_updater_producers(&mut self, peer: Peer, id: RequestId, message: &Record) -> Handled {
        let add = id == RequestId::UPDTR_PRDCR_ADD;
        let verb = if add { "updtr_prdcr_add" } else { "updtr_prdcr_del" };
        let args = self.args(message);
        let name = args.required_by(AttrId::NAME, verb)?;
        let text = args.required_by(AttrId::REGEX, verb)?;
        let names: Vec<String> = self.producers.keys().cloned().collect();
        let updater = self.updaters.get_mut(&name).ok_or_else(missing)?;
        updater.rights.check_write(peer)?;
        if updater.state != State::Stopped {
            return Err(running());
        }
        let regex = Expression::new(&text).map_err(|_| refuse(errno::EINVAL, "Error 22 EINVAL"))?;
        if add {
            updater.producers.extend(names.into_iter().filter(|name| regex.matches(name)));
            updater.filters.push(regex);
        } else {
            updater.producers.retain(|name| !regex.matches(name));
        }
        self.log(|| format!("{verb} name={name} regex={text}"));
        Ok(Answer::Done)
    }

    fn change_updater_matches(&mut self, peer: Peer, id: RequestId, message: &Record) -> Handled {
        let add = id == RequestId::UPDTR_MATCH_ADD;
        let verb = if add { "updtr_match_add" } else { "updtr_match_del" };
        let args = self.args(message);
        let name = args.required_by(AttrId::NAME, verb)?;
        let text = args.required_by(AttrId::REGEX, verb)?;
        let field = args.get(AttrId::MATCH);
        let by_schema = match field.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("inst") => Some(false),
            Some("schema") => Some(true),
            Some(_) => None,
        };
        let updater = self.updaters.get_mut(&name).ok_or_else(missing)?;
        updater.rights.check_write(peer)?;
        if updater.state != State::Stopped {
            return Err(running());
        }
        let Some(by_schema) = by_schema else {
            let field = field.unwrap_or_default();
            let text = match add {
                true => format!("The value '{field}' for match= is invalid."),
                false => format!("Unrecognized match type '{field}'"),
            };
            return Err(refuse(errno::EINVAL, text));
        };
        if add {
            let invalid = |_| refuse(errno::EINVAL, format!("The regex value '{text}' is invalid."));
            let regex = Expression::new(&text).map_err(invalid)?;
            updater.matches.insert(0, (regex, by_schema));
        } else {
            let same = |(regex, schema): &(Expression, bool)| regex.text == text && *schema == by_schema;
            let Some(at) = updater.matches.iter().position(same) else {
                return Err(refuse(errno::ENOENT, "The specified regex does not match any condition."));
            };
            updater.matches.remove(at);
        }
        self.log(|| {
            let field = field.map(|field| format!(" match={field}")).unwrap_or_default();
            format!("{verb} name={name} regex={text}{field}")
        });
        Ok(Answer::Done)
    }

    fn show_updaters(&mut self, id: RequestId, message: &Record) -> Handled {
        let name = self.args(message).get(AttrId::NAME);
        let shown = name.as_ref().map(|name| format!(" name={name}")).unwrap_or_default();
        self.log(|| match id {
            RequestId::UPDTR_STATUS => format!("updtr_status {shown}"),
            RequestId::UPDTR_TASK => format!("updtr_task_status{shown}"),
            _ => format!("updtr_match_list{shown}"),
        });
        if let Some(name) = &name
            && !self.updaters.contains_key(name)
        {
            let text = match id {
                RequestId::UPDTR_STATUS => format!("updtr '{name}' doesn't exist."),
                RequestId::UPDTR_TASK => format!("updtr '{name}' not found"),
                _ => format!("updtr '{name}' does not exist."),
            };
            return Err(refuse(errno::ENOENT, text));
        }
        let picked = self.updaters.iter().filter(|(key, _)| name.as_ref().is_none_or(|name| *key == name));
        let rows: Vec<String> = picked
            .map(|(name, updater)| match id {
                RequestId::UPDTR_STATUS => self.status_of(name, updater),
                RequestId::UPDTR_TASK => tasks_of(name, updater),
                _ => matches_of(name, updater),
            })
            .collect();
        Ok(Answer::Json(format!("[{}]", rows.join(",\n"))))
    }

    fn status_of(&self, name: &str, updater: &Updater) -> String {
        let row = |name: &String| {
            let producer = self.producers.get(name)?;
            Some(format!(
                "{{\"name\":\"{}\",\"host\":\"{}\",\"port\":{},\"transport\":\"{}\",\"state\":\"{}\"}}",
                json(name),
                json(&producer.host),
                producer.port,
                json(&producer.xprt),
                producer.state
            ))
        };
        let producers: Vec<String> = updater.producers.iter().filter_map(row).collect();
        let mode = match updater.push {
            Push::No => "Pull",
            Push::OnRequest => "Push on Request",
            Push::OnChange => "Push on Change",
        };
        let state = if updater.state == State::Running { "RUNNING" } else { "STOPPED" };
        format!(
            "{{\"name\":\"{}\",\"interval\":\"{}\",\"offset\":\"{}\",\"sync\":\"{}\",\"mode\":\"{mode}\",\
             \"auto\":\"{}\",\"state\":\"{state}\",\"producers\":[{}]}}",
            json(name),
            updater.schedule.interval_us,
            updater.schedule.offset_us.unwrap_or(0),
            updater.schedule.offset_us.is_some(),
            updater.auto,
            producers.join(",\n")
        )
    }

    /// A set has come or changed its mind: updaters that follow it get the schedules they need.
    pub(super) fn schedule_set(&mut self, producer: &str, set: &str) {
        let Some(state) = self.producers.get(producer).and_then(|owner| owner.sets.get(set)) else { return };
        let (hint, schema) = (state.hint, state.schema.clone());
        let mut due = Vec::new();
        let mut shown = None;
        for (name, updater) in &mut self.updaters {
            let follows = updater.state == State::Running
                && updater.push == Push::No
                && updater.producers.contains(producer)
                && updater.wants(set, &schema);
            if !follows {
                continue;
            }
            let schedule = updater.schedule_for(hint);
            if schedule != updater.schedule && updater.followed.insert(schedule) {
                due.push((name.clone(), updater.generation, schedule));
            }
            shown = Some(schedule);
        }
        for (updater, generation, schedule) in due {
            let at_us = schedule.next(self.now_us);
            self.at(at_us, Timer::Update { updater, generation, schedule });
        }
        if let Some(schedule) = shown {
            self.show_hint(set, schedule.hint());
        }
    }

    /// The same for all sets of an updater that starts.
    fn schedule_updater(&mut self, name: &str) {
        let Some(updater) = self.updaters.get(name) else { return };
        let mut sets = Vec::new();
        for producer in &updater.producers {
            let Some(owner) = self.producers.get(producer) else { continue };
            sets.extend(owner.sets.keys().map(|set| (producer.clone(), set.clone())));
        }
        for (producer, set) in sets {
            self.schedule_set(&producer, &set);
        }
        self.announce_changes();
    }

    /// A schedule of an updater is due.
    pub(super) fn update_due(&mut self, name: &str, generation: u64, schedule: Schedule) {
        let Some(updater) = self.updaters.get(name) else { return };
        if updater.generation != generation || updater.state != State::Running {
            return;
        }
        let push = updater.push;
        let mut wanted = Vec::new();
        for producer in &updater.producers {
            let Some(owner) = self.producers.get(producer) else { continue };
            if owner.state != ProducerState::Connected {
                continue;
            }
            for (set_name, set) in &owner.sets {
                if updater.wants(set_name, &set.schema) && updater.schedule_for(set.hint) == schedule {
                    wanted.push((producer.clone(), set_name.clone()));
                }
            }
        }
        let own = schedule == updater.schedule;
        let mut conns = BTreeSet::new();
        for (producer, set) in &wanted {
            self.refresh(name, push, producer, set);
            conns.extend(self.producers.get(producer).and_then(|producer| producer.conn));
        }
        for conn in conns {
            self.flush(conn);
        }
        if own || !wanted.is_empty() {
            let at_us = schedule.next(self.now_us);
            self.at(at_us, Timer::Update { updater: name.to_owned(), generation, schedule });
        } else if let Some(updater) = self.updaters.get_mut(name) {
            // Nobody follows this schedule any more.
            updater.followed.remove(&schedule);
        }
    }

    /// An advertised producer belongs to the updaters whose expressions it fits.
    pub(super) fn offer_to_updaters(&mut self, producer: &str) {
        for updater in self.updaters.values_mut() {
            if updater.filters.iter().any(|filter| filter.matches(producer)) {
                updater.producers.insert(producer.to_owned());
            }
        }
    }
}

fn missing() -> super::answer::Refused {
    refuse(errno::ENOENT, "The updater specified does not exist.")
}

fn running() -> super::answer::Refused {
    refuse(errno::EBUSY, "Configuration changes cannot be made while the updater is running.")
}

/// An interval and an offset; `value` is a word ldmsd puts into some of its texts.
fn parse_schedule(
    interval: &str,
    offset: Option<&str>,
    value: &str,
) -> Result<Schedule, super::answer::Refused> {
    let invalid = |text: String| refuse(errno::EINVAL, text);
    if interval.is_empty() {
        return Err(invalid("The given update interval value is an empty string.".to_owned()));
    }
    let parsed = time::parse_us(interval)
        .map_err(|_| invalid(format!("The given update interval value ({interval}) is invalid.")))?;
    if parsed <= 0 {
        let text = match value {
            "" => format!("The update interval must be a positive interval. ({parsed})"),
            _ => "The update interval value must be larger than 0.".to_owned(),
        };
        return Err(invalid(text));
    }
    let offset_us = match offset {
        None => None,
        Some("") => return Err(invalid("The given update offset value is an empty string.".to_owned())),
        Some(text) => {
            let bad = |_| invalid(format!("The given update offset value ({text}) is invalid."));
            Some(time::parse_us(text).map_err(bad)?)
        }
    };
    if let Some(offset_us) = offset_us
        && parsed < offset_us.abs().saturating_mul(2)
    {
        let numbers = if value.is_empty() { format!(" (i={parsed},o={offset_us})") } else { String::new() };
        let text =
            "The absolute value of the offset value must not be larger than the half of the update interval.";
        return Err(invalid(format!("{text}{numbers}")));
    }
    Ok(Schedule { interval_us: parsed.unsigned_abs(), offset_us })
}

fn tasks_of(name: &str, updater: &Updater) -> String {
    let own = format!("{{{},\"default_task\":\"true\"}}", updater.schedule.json());
    let mut followed: Vec<_> = updater.followed.iter().collect();
    followed.sort();
    let others =
        followed.iter().map(|schedule| format!("{{{},\"default_task\":\"false\"}}", schedule.json()));
    let tasks: Vec<String> = std::iter::once(own).chain(others).collect();
    format!("{{\"name\":\"{}\",\"tasks\":[{}]}}", json(name), tasks.join(","))
}

fn matches_of(name: &str, updater: &Updater) -> String {
    let row = |(regex, by_schema): &(Expression, bool)| {
        let selector = if *by_schema { "schema" } else { "inst" };
        format!("{{\"regex\":\"{}\",\"selector\":\"{selector}\"}}", json(&regex.text))
    };
    let rows: Vec<String> = updater.matches.iter().map(row).collect();
    format!("{{\"name\":\"{}\",\"match\":[{}]}}", json(name), rows.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_aligned_to_the_epoch() {
        let schedule = |offset_us| Schedule { interval_us: 1_000_000, offset_us };
        assert_eq!(schedule(Some(100_000)).next(5_000_000), 5_100_000);
        assert_eq!(schedule(Some(100_000)).next(5_100_000), 6_100_000);
        assert_eq!(schedule(Some(-200_000)).next(5_000_000), 5_800_000);
        assert_eq!(schedule(None).next(5_000_123), 6_000_123);
    }
}
