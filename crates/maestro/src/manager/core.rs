//! What the manager's lock guards, and what is done with it: links opened and closed, reports taken in, coverage measured.

use super::*;

impl Core {
    /// Opens links to new daemons, closes those to daemons that are gone, tells the others what they are now.
    pub(super) fn open_links(&mut self, inner: &Inner, before: &[Option<usize>]) {
        let mut old: Vec<Option<(u64, Link)>> = std::mem::take(&mut self.links);
        let mut performance = std::mem::take(&mut self.performance);
        self.positions.clear();
        let desired = self.conductor.desired();
        let tops: BTreeSet<usize> = desired.top_groups().collect();
        let _links_run_here = inner.runtime.enter();
        for (at, daemon) in desired.daemons.iter().enumerate() {
            let was = before.get(at).copied().flatten();
            let role = role(desired, at, &tops, self.conductor.leads());
            let kept = was.and_then(|was| old.get_mut(was)).and_then(Option::take);
            let kept = kept.and_then(|(id, mut link)| link.tell_role(role).then_some((id, link)));
            self.performance
                .push(was.and_then(|was| performance.get_mut(was)).map(std::mem::take).unwrap_or_default());
            let watched = self.conductor.watches(at);
            let link = match (kept, daemon.control.as_ref().filter(|_| watched)) {
                (Some(kept), Some(_)) => Some(kept),
                (_, Some(control)) => {
                    self.next_id += 1;
                    let (id, reports) = (self.next_id, inner.reports.clone());
                    Some((id, Link::start(id, control.clone(), role, inner.watch, reports)))
                }
                (_, None) => None,
            };
            if let Some((id, _)) = &link {
                self.positions.insert(*id, at);
            }
            self.links.push(link);
        }
    }

    pub(super) fn step(&mut self, inner: &Inner, batch: &mut Vec<(u64, Report)>) {
        let now_ms = inner.clock.now().mono_ms;
        for (id, report) in batch.drain(..) {
            if let Some(at) = self.positions.get(&id).copied() {
                self.take(at, report, now_ms);
            }
        }
        for look in self.conductor.due_looks(now_ms) {
            let daemon = look.daemon;
            if !self.tell(daemon, Command::Look(look)) {
                self.conductor.looked(daemon);
            }
        }
        for order in self.conductor.decide(now_ms) {
            self.orders += 1;
            self.requests += order.steps.len() as u64;
            self.unsaved = true;
            let name = &self.conductor.desired().daemons[order.daemon].name;
            tracing::debug!(daemon = %name, steps = order.steps.len(), first = %order.steps[0], "order");
            if !self.tell(order.daemon, Command::Order(order.steps)) {
                self.conductor.looked(order.daemon);
            }
        }
        let mut events = self.conductor.take_events();
        events.append(&mut self.news);
        if self.conductor.has_untold() || !events.is_empty() {
            inner.news.notify_one();
        }
        for event in events {
            match event.kind {
                "daemon-down" | "daemon-hung" | "refused" | updates::LATE => {
                    tracing::warn!(kind = event.kind, subject = %event.subject, "{}", event.text);
                }
                _ => tracing::info!(kind = event.kind, subject = %event.subject, "{}", event.text),
            }
            let kind = match event.kind {
                "daemon-down" | "daemon-hung" | "daemon-up" | updates::LATE | updates::IN_TIME => {
                    kinds::STATE
                }
                "refused" => kinds::ERROR,
                other => other,
            };
            inner.record(NewEvent::new(kind, event.subject, event.text).field("what", event.kind));
        }
    }

    pub(super) fn tell(&self, daemon: usize, command: Command) -> bool {
        self.links.get(daemon).and_then(Option::as_ref).is_some_and(|(_, link)| link.tell(command))
    }

    pub(super) fn take(&mut self, at: usize, report: Report, now_ms: u64) {
        match report {
            Report::Up(look) => {
                self.expected = None;
                self.conductor.up(at, now_ms);
                self.conductor.look(at, look, now_ms);
            }
            Report::Hung(reason) => {
                self.conductor.hung(at, &reason, now_ms);
                self.forget_updates(at, "its daemon is away");
            }
            Report::Down(reason) => {
                self.found.remove(&at);
                self.forget_updates(at, "its daemon is away");
                self.conductor.down(at, &reason, now_ms);
            }
            Report::Seen(look) => {
                if look.directory.is_some() {
                    self.expected = None;
                }
                self.conductor.look(at, look, now_ms);
            }
            Report::Looked(look) => {
                self.conductor.look(at, look, now_ms);
                self.conductor.looked(at);
            }
            Report::Done(outcomes, look) => {
                self.note_told(at, &outcomes, now_ms);
                self.expected = None;
                self.conductor.look(at, look, now_ms);
                self.conductor.done(at, outcomes, now_ms);
            }
            Report::Pulse(took_ms) => {
                let latency = &mut self.performance[at].latency_ms;
                let mean_ms = latency.map_or(took_ms, |(_, mean_ms)| mean_ms * 0.9 + took_ms * 0.1);
                *latency = Some((took_ms, mean_ms));
            }
            Report::Figures(figures) => self.performance[at].figures = figures,
            Report::Updates(times) => self.judge_updates(at, &times, now_ms),
            // Only who leads has them of all that are at the top.
            Report::Samples(_) if !self.conductor.leads() => {}
            Report::Samples(list) => {
                coverage::take_in(self.found.entry(at).or_default(), list, unix_us());
                self.measure(now_ms);
            }
        }
    }

    pub(super) fn measure(&mut self, now_ms: u64) {
        if self.begins_to_measure(now_ms) {
            return;
        }
        let conductor = &self.conductor;
        let expected = self.expected.get_or_insert_with(|| {
            coverage::expected(conductor.desired(), &|daemon| conductor.sampled(daemon))
        });
        let mut all: HashMap<String, Newest> = HashMap::new();
        let found = match self.found.len() {
            1 => self.found.values().next().unwrap_or(&all),
            _ => {
                for (set, newest) in self.found.values().flatten() {
                    let known = all.entry(set.clone()).or_default();
                    known.at_us = known.at_us.max(newest.at_us);
                    known.there |= newest.there;
                }
                &all
            }
        };
        let living = |daemon: usize| conductor.track(daemon).health == Health::Up;
        let now_us = unix_us();
        let coverage = coverage::measure(expected, found, &living, now_us);
        let stale = match coverage.fresh_of_living < coverage.expected_of_living {
            true => coverage::stale_samplers(expected, found, now_us),
            false => BTreeMap::new(),
        };
        self.conductor.missing(&stale, now_ms);
        self.keep_coverage(coverage, now_us as f64 / 1e6);
    }

    pub(super) fn keep_coverage(&mut self, coverage: Coverage, now_s: f64) {
        if self.history.back().is_none_or(|(at_s, _)| now_s - at_s >= 0.9) {
            self.history.push_back((now_s, coverage.percent() as f32));
        }
        while self.history.len() > HISTORY {
            self.history.pop_front();
        }
        self.coverage = Some(coverage);
    }

    pub(super) fn performance_of(&self, at: usize) -> Value {
        let performance = &self.performance[at];
        json!({
            "latency_ms": performance.latency_ms.map(|(last, _)| last),
            "mean_latency_ms": performance.latency_ms.map(|(_, mean)| mean),
            "memory_used_percent": performance.figures.memory_percent,
            "busiest_thread_percent": performance.figures.busiest_thread_percent,
            "sets": performance.figures.active_sets,
            "updates": self.updates_of(at),
        })
    }

    /// Performance and what is wrong with it, as this manager has found it or as it was told.
    pub(super) fn performance_and_judgement(&self, at: usize) -> (Value, Vec<String>) {
        let name = &self.conductor.desired().daemons[at].name;
        match self.shared.performance.get(&**name).filter(|_| !self.conductor.watches(at)) {
            Some(told) => told.clone(),
            None => (self.performance_of(at), crate::health::judge(&self.performance[at])),
        }
    }

    fn managers(&self) -> Value {
        let membership = self.shared.membership.as_ref();
        let managers = self.watching().into_iter().map(|(member, daemons)| {
            let is = |name: Option<&String>| name.is_some_and(|name| name == member);
            json!({
                "manager": member,
                "this": is(membership.map(|all| &all.id)),
                "leads": is(membership.and_then(|all| all.leader.as_ref())),
                "daemons": daemons,
            })
        });
        managers.collect()
    }

    pub(super) fn status(&self, clock: &Clock) -> Value {
        let conductor = &self.conductor;
        let now = clock.now();
        let worst = self.history.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
        let daemons: Vec<Value> = conductor
            .desired()
            .daemons
            .iter()
            .enumerate()
            .filter(|(at, _)| !conductor.has_left(*at))
            .map(|(at, daemon)| {
                let track = conductor.track(at);
                let (performance, judgement) = self.performance_and_judgement(at);
                json!({
                    "daemon": daemon.name,
                    "aggregator": !daemon.member_of.is_empty(),
                    "managed": daemon.control.is_some(),
                    "health": track.health.name(),
                    "reason": track.reason,
                    "since_s": now.unix_of(track.since_ms),
                    "held": track.held,
                    "performance": performance,
                    "judgement": judgement,
                    "watched_by": self.watched_by(&daemon.name),
                })
            })
            .collect();
        json!({
            "coverage": self.coverage.as_ref().map(|coverage| json!({
                "percent": coverage.percent(),
                "expected": coverage.expected,
                "fresh": coverage.fresh,
                "expected_of_living": coverage.expected_of_living,
                "fresh_of_living": coverage.fresh_of_living,
                "absent": coverage.absent,
                "stale": coverage.stale,
            })),
            "worst_hour": worst.map(|(at_s, percent)| json!({"percent": percent, "at_s": at_s})),
            "groups": conductor.groups(),
            "daemons": daemons,
            "drained": conductor.drained(),
            "managers": self.managers(),
            "hands_off": conductor.is_hands_off(),
            "orders": self.orders,
            "requests": self.requests,
        })
    }
}
