//! How a daemon of the invented cluster answers one request.

use super::*;

impl World {
    pub(super) fn apply(&mut self, daemon: usize, request: &Request) -> Result<(), (u32, String)> {
        let life = self.daemons[daemon].life;
        let desired = &self.conductor.desired().daemons[daemon];
        let (group, own) = (desired.member_of.first().map(|(group, _)| *group), desired.name.clone());
        let updater = format!("updtr_0_{own}");
        match request.id {
            RequestId::PRDCR_ADD => {
                for at in self.producers_of(group.unwrap_or(0), request) {
                    let producer = &mut self.daemons[daemon].has.producers[0][at];
                    if producer.state != State::Absent {
                        return Err((17, "exists".to_owned()));
                    }
                    producer.state = State::Stopped;
                }
            }
            RequestId::PRDCR_START_REGEX => {
                for at in self.producers_of(group.unwrap_or(0), request) {
                    let producer = &mut self.daemons[daemon].has.producers[0][at];
                    if producer.state == State::Stopped {
                        producer.state = State::Trying;
                        let delay_ms = self.rng.u64(200..900);
                        self.later(delay_ms, News::Connected { daemon, life, producer: at });
                    }
                }
            }
            RequestId::PRDCR_STOP | RequestId::PRDCR_STOP_REGEX => {
                for at in self.producers_of(group.unwrap_or(0), request) {
                    let slow = self.rng.u32(0..3) == 0;
                    let producer = &mut self.daemons[daemon].has.producers[0][at];
                    if producer.state.is_active() {
                        producer.state = if slow { State::Stopping } else { State::Stopped };
                        if slow {
                            let delay_ms = self.rng.u64(20..300);
                            self.later(delay_ms, News::Stopped { daemon, life, producer: at });
                        }
                    }
                }
            }
            RequestId::UPDTR_ADD => {
                let mut new = self.updater(group.unwrap_or(0), false);
                new.running = false;
                self.daemons[daemon].has.updaters.insert(updater, new);
            }
            RequestId::UPDTR_PRDCR_ADD | RequestId::UPDTR_START | RequestId::UPDTR_STOP => {
                let full = self.daemons[daemon].has.producers[0].iter().all(|p| p.state != State::Absent);
                let producers = if full {
                    Arc::clone(&self.all_producers[group.unwrap_or(0)])
                } else {
                    let names = &self.conductor.desired().groups[group.unwrap_or(0)].producers;
                    let there = self.daemons[daemon].has.producers[0].iter().zip(names);
                    Arc::new(
                        there
                            .filter(|(p, _)| p.state != State::Absent)
                            .map(|(_, p)| p.name.clone())
                            .collect(),
                    )
                };
                let Some(there) = self.daemons[daemon].has.updaters.get_mut(&updater) else {
                    return Err((2, "no such updater".to_owned()));
                };
                match request.id {
                    RequestId::UPDTR_PRDCR_ADD if there.running => return Err((16, "running".to_owned())),
                    RequestId::UPDTR_PRDCR_ADD => there.producers = producers,
                    id => there.running = id == RequestId::UPDTR_START,
                }
            }
            RequestId::PLUGN_LOAD => {
                self.daemons[daemon].has.plugins.insert("meminfo".to_owned(), PluginSeen::default());
            }
            RequestId::PLUGN_START => {
                let plugin = desired.plugins[0].clone();
                sample(&mut self.daemons[daemon].has, &plugin);
            }
            _ => {}
        }
        Ok(())
    }
}
