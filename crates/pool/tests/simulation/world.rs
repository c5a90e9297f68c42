//! A simulated world: clouds with quotas and faults, a batch system that sometimes lies, jobs that come in bursts.
//!
//! Time is a number, everything else follows from a seed.

use std::collections::{BTreeMap, HashMap};

use campanile_pool::clouds::CloudError;
use campanile_pool::cycle::{CloudSeen, Seen};
use campanile_pool::model::{
    CloudLimits, Demand, Flavor, JobGroup, Resources, Server, ServerStatus, Worker, WorkerState,
};

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Of a hundred requests: the answer is lost, though the server is made.
    pub(crate) lost_answers: u32,
    /// Of a hundred requests: refused without effect.
    pub(crate) refusals: u32,
    /// Of a hundred servers: end in error.
    pub(crate) errors: u32,
    /// Of a hundred servers: never join.
    pub(crate) mute: u32,
    /// Of a thousand looks: a cloud does not answer for a while.
    pub(crate) outages: u32,
    /// Of a thousand looks: the batch system does not answer for a while.
    pub(crate) silences: u32,
    /// Of a thousand looks: the batch system leaves some workers out.
    pub(crate) lies: u32,
    /// Of ten thousand looks: a working server dies.
    pub(crate) deaths: u32,
    /// Of a thousand looks: the manager is killed.
    pub(crate) kills: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct SimServer {
    pub(crate) id: String,
    pub(crate) node: String,
    pub(crate) cloud: usize,
    pub(crate) flavor: usize,
    created_ms: u64,
    active_ms: u64,
    joins_ms: u64,
    is_error: bool,
    pub(crate) died: bool,
    gone_ms: Option<u64>,
    drained: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct SimJob {
    pub(crate) request: Resources,
    pub(crate) work_ms: u64,
    pub(crate) arrived_ms: u64,
    pub(crate) began_ms: Option<u64>,
    pub(crate) ends_ms: Option<u64>,
    pub(crate) server: Option<String>,
    pub(crate) done: bool,
    pub(crate) starts: u32,
}

pub(crate) struct World {
    pub(crate) now_ms: u64,
    pub(crate) random: fastrand::Rng,
    pub(crate) faults: Faults,
    pub(crate) servers: Vec<SimServer>,
    pub(crate) jobs: Vec<SimJob>,
    pub(crate) flavors: Vec<Flavor>,
    pub(crate) cloud_names: Vec<String>,
    quota_cores: Vec<u64>,
    cloud_out_ms: Vec<u64>,
    batch_out_ms: u64,
    lie: Option<(u64, usize)>,
    made: u64,
    /// From the request to a working worker, at most.
    pub(crate) boot_max_ms: u64,
    /// Milliseconds that cores have existed.
    pub(crate) core_ms: u64,
    /// Jobs that were ended by a deletion of ours.
    pub(crate) killed_jobs: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults, clouds: &[(&str, u64)], flavors: Vec<Flavor>) -> Self {
        Self {
            now_ms: 1_700_000_000_000,
            random: fastrand::Rng::with_seed(seed),
            faults,
            servers: Vec::new(),
            jobs: Vec::new(),
            flavors,
            cloud_names: clouds.iter().map(|(name, _)| (*name).to_owned()).collect(),
            quota_cores: clouds.iter().map(|(_, cores)| *cores).collect(),
            cloud_out_ms: vec![0; clouds.len()],
            batch_out_ms: 0,
            lie: None,
            made: 0,
            boot_max_ms: 240_000,
            core_ms: 0,
            killed_jobs: Vec::new(),
        }
    }

    fn chance(&mut self, of: u32, parts: u32) -> bool {
        parts > 0 && self.random.u32(0..of) < parts
    }

    pub(crate) fn submit(&mut self, count: u64, cores: u32, work_ms: u64) {
        for _ in 0..count {
            self.jobs.push(SimJob {
                request: Resources::new(cores, u64::from(cores) * 1500),
                work_ms,
                arrived_ms: self.now_ms,
                began_ms: None,
                ends_ms: None,
                server: None,
                done: false,
                starts: 0,
            });
        }
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, by_ms: u64) {
        let cores: u64 =
            self.servers.iter().map(|server| u64::from(self.flavors[server.flavor].resources.cores)).sum();
        self.core_ms += by_ms * cores;
        self.now_ms += by_ms;
        let now_ms = self.now_ms;
        for job in &mut self.jobs {
            if job.ends_ms.is_some_and(|ends_ms| ends_ms <= now_ms) && !job.done {
                job.done = true;
                job.server = None;
            }
        }
        self.servers.retain(|server| server.gone_ms.is_none_or(|gone_ms| gone_ms > now_ms));
        if self.faults.deaths > 0 {
            for index in 0..self.servers.len() {
                if self.random.u32(0..10_000) < self.faults.deaths {
                    self.servers[index].died = true;
                    let id = self.servers[index].id.clone();
                    self.requeue(&id);
                }
            }
        }
        self.schedule();
    }

    fn requeue(&mut self, server: &str) -> u32 {
        let mut count = 0;
        for job in self.jobs.iter_mut().filter(|job| job.server.as_deref() == Some(server) && !job.done) {
            (job.server, job.began_ms, job.ends_ms) = (None, None, None);
            count += 1;
        }
        count
    }

    fn has_joined(&self, server: &SimServer) -> bool {
        server.joins_ms <= self.now_ms && server.gone_ms.is_none() && !server.died && !server.is_error
    }

    /// What is in use on each server, and by how many jobs.
    fn usage(&self) -> HashMap<&str, (Resources, u64)> {
        let mut usage: HashMap<&str, (Resources, u64)> = HashMap::new();
        for job in self.jobs.iter().filter(|job| !job.done) {
            let Some(server) = job.server.as_deref() else { continue };
            let entry = usage.entry(server).or_default();
            entry.0 += job.request;
            entry.1 += 1;
        }
        usage
    }

    fn is_busy(&self, server: &str) -> bool {
        self.jobs.iter().any(|job| !job.done && job.server.as_deref() == Some(server))
    }

    /// The batch system gives idle jobs to workers with room.
    pub(crate) fn schedule(&mut self) {
        let now_ms = self.now_ms;
        if !self.jobs.iter().any(|job| !job.done && job.server.is_none()) {
            return;
        }
        let usage = self.usage();
        let used = |id: &str| usage.get(id).map(|(used, _)| *used).unwrap_or_default();
        let mut room: Vec<(usize, Resources)> = (0..self.servers.len())
            .filter(|index| self.has_joined(&self.servers[*index]) && !self.servers[*index].drained)
            .map(|index| {
                let server = &self.servers[index];
                (index, self.flavors[server.flavor].resources.minus(&used(&server.id)))
            })
            .collect();
        for job in self.jobs.iter_mut().filter(|job| !job.done && job.server.is_none()) {
            let Some((index, free)) = room.iter_mut().find(|(_, free)| job.request.fits(free)) else {
                continue;
            };
            *free = free.minus(&job.request);
            job.server = Some(self.servers[*index].id.clone());
            job.began_ms = Some(now_ms);
            job.ends_ms = Some(now_ms + job.work_ms);
            job.starts += 1;
        }
    }

    pub(crate) fn create(&mut self, cloud: &str, node: &str, flavor: &str) -> Result<String, CloudError> {
        let cloud = self.cloud_names.iter().position(|name| name == cloud).unwrap();
        let flavor = self.flavors.iter().position(|known| known.name == flavor).unwrap();
        if self.now_ms < self.cloud_out_ms[cloud] {
            return Err(CloudError::Unreachable("connection refused".to_owned()));
        }
        let used: u64 = self
            .servers
            .iter()
            .filter(|server| server.cloud == cloud)
            .map(|server| u64::from(self.flavors[server.flavor].resources.cores))
            .sum();
        if used + u64::from(self.flavors[flavor].resources.cores) > self.quota_cores[cloud] {
            return Err(CloudError::Quota { resource: "cores".to_owned(), message: "exceeded".to_owned() });
        }
        if self.chance(100, self.faults.refusals) {
            return Err(CloudError::Busy { retry_after_ms: Some(30_000), message: "503".to_owned() });
        }
        self.made += 1;
        let id = format!("server-{}", self.made);
        let active_ms = self.now_ms + self.random.u64(20_000..120_000);
        let joins_ms = active_ms + self.random.u64(10_000..self.boot_max_ms - 120_000);
        let server = SimServer {
            id: id.clone(),
            node: node.to_owned(),
            cloud,
            flavor,
            created_ms: self.now_ms,
            active_ms,
            joins_ms: if self.chance(100, self.faults.mute) { u64::MAX } else { joins_ms },
            is_error: self.chance(100, self.faults.errors),
            died: false,
            gone_ms: None,
            drained: false,
        };
        self.servers.push(server);
        if self.chance(100, self.faults.lost_answers) {
            return Err(CloudError::AnswerLost("timeout".to_owned()));
        }
        Ok(id)
    }

    pub(crate) fn delete(&mut self, id: &str) {
        let now_ms = self.now_ms;
        let Some(index) = self.servers.iter().position(|server| server.id == id) else { return };
        if now_ms < self.cloud_out_ms[self.servers[index].cloud] {
            return;
        }
        if self.servers[index].gone_ms.is_none() {
            let lasts_ms = self.random.u64(1_000..20_000);
            self.servers[index].gone_ms = Some(now_ms + lasts_ms);
            if self.requeue(id) > 0 {
                let node = self.servers[index].node.clone();
                self.killed_jobs.push(node);
            }
        }
    }

    /// The drain of the batch system, decided in one step.
    pub(crate) fn drain(&mut self, node: &str, only_if_idle: bool) -> Option<bool> {
        let index = self.servers.iter().position(|server| server.node == node && self.has_joined(server))?;
        let is_busy = self.is_busy(&self.servers[index].id);
        if only_if_idle && is_busy {
            return Some(false);
        }
        self.servers[index].drained = true;
        Some(true)
    }

    pub(crate) fn look(&mut self) -> Seen {
        let now_ms = self.now_ms;
        for cloud in 0..self.cloud_names.len() {
            if self.chance(1000, self.faults.outages) {
                self.cloud_out_ms[cloud] = now_ms + self.random.u64(30_000..1_800_000);
            }
        }
        if self.chance(1000, self.faults.silences) {
            self.batch_out_ms = now_ms + self.random.u64(30_000..1_800_000);
        }
        if self.lie.is_some_and(|(until_ms, _)| until_ms <= now_ms) {
            self.lie = None;
        }
        if self.lie.is_none() && self.chance(1000, self.faults.lies) {
            // Shorter than the deadline for lost workers: longer ones are no lies but losses.
            self.lie = Some((now_ms + self.random.u64(30_000..900_000), self.random.usize(1..4)));
        }
        let clouds = (0..self.cloud_names.len()).map(|cloud| self.look_at_cloud(cloud)).collect();
        let is_silent = now_ms < self.batch_out_ms;
        Seen {
            now_ms,
            clouds,
            workers: (!is_silent).then(|| self.workers()),
            demand: (!is_silent).then(|| self.demand()),
        }
    }

    fn look_at_cloud(&self, cloud: usize) -> CloudSeen {
        let name = self.cloud_names[cloud].clone();
        if self.now_ms < self.cloud_out_ms[cloud] {
            return CloudSeen { name, ..CloudSeen::default() };
        }
        let here: Vec<&SimServer> = self.servers.iter().filter(|server| server.cloud == cloud).collect();
        let cores = |server: &&SimServer| u64::from(self.flavors[server.flavor].resources.cores);
        let servers = here.iter().map(|server| Server {
            id: server.id.clone(),
            name: server.node.clone(),
            status: match () {
                () if server.gone_ms.is_some() => ServerStatus::Deleting,
                () if self.now_ms < server.active_ms => ServerStatus::Building,
                () if server.is_error => ServerStatus::Error,
                () => ServerStatus::Active,
            },
            mark: Some("sim@host".to_owned()),
            node: Some(server.node.clone()),
            worker_type: Some("standard".to_owned()),
            flavor: self.flavors[server.flavor].name.clone(),
            resources: Some(self.flavors[server.flavor].resources),
            created_ms: server.created_ms,
            fault: None,
            addresses: Vec::new(),
        });
        CloudSeen {
            servers: Some(servers.collect()),
            limits: Some(CloudLimits {
                cores_used: here.iter().map(cores).sum(),
                cores_max: Some(self.quota_cores[cloud]),
                servers_used: here.len() as u64,
                ..CloudLimits::default()
            }),
            flavors: Some(self.flavors.clone()),
            name,
        }
    }

    fn workers(&self) -> Vec<Worker> {
        let mut workers = Vec::new();
        let usage = self.usage();
        for (index, server) in self.servers.iter().enumerate().filter(|(_, server)| self.has_joined(server)) {
            if self.lie.is_some_and(|(_, modulo)| index % (modulo + 1) == 0) {
                continue;
            }
            let total = self.flavors[server.flavor].resources;
            let (used, jobs) = usage.get(server.id.as_str()).copied().unwrap_or_default();
            workers.push(Worker {
                handle: format!("slot1@{}", server.node),
                elastic_node: Some(server.node.clone()),
                startd_name: None,
                machine: None,
                state: match (server.drained, jobs > 0) {
                    (true, true) => WorkerState::Draining,
                    (true, false) => WorkerState::Drained,
                    (false, true) => WorkerState::Busy,
                    (false, false) => WorkerState::Idle,
                },
                total,
                free: total.minus(&used),
                jobs,
                idle_since_ms: None,
                heard_ms: None,
                identity: None,
                worker_types: Vec::new(),
            });
        }
        // One that belongs to somebody else, always busy.
        workers.push(Worker {
            handle: "slot1@foreign".to_owned(),
            elastic_node: None,
            startd_name: Some("foreign@elsewhere".to_owned()),
            machine: Some("foreign".to_owned()),
            state: WorkerState::Busy,
            total: Resources::new(4, 8192),
            free: Resources::default(),
            jobs: 1,
            idle_since_ms: None,
            heard_ms: None,
            identity: None,
            worker_types: Vec::new(),
        });
        workers
    }

    fn demand(&self) -> Demand {
        let mut groups: BTreeMap<Resources, (u64, u64)> = BTreeMap::new();
        for job in self.jobs.iter().filter(|job| !job.done && job.server.is_none()) {
            let entry = groups.entry(job.request).or_insert((0, job.arrived_ms));
            entry.0 += 1;
        }
        let group = |(request, (jobs, oldest_ms)): (Resources, (u64, u64))| JobGroup {
            request,
            jobs,
            worker_types: vec!["standard".to_owned()],
            oldest_ms: Some(oldest_ms),
        };
        let running = self.jobs.iter().filter(|job| job.server.is_some() && !job.done).count();
        Demand {
            groups: groups.into_iter().map(group).collect(),
            running_jobs: running as u64,
            ..Demand::default()
        }
    }
}
