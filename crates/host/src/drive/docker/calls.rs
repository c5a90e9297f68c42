//! What plans ask of docker: services are started and stopped by `docker compose`, many of a file in one call.
//!
//! Starts of one file follow each other, since two of them at once could both make the project's network. Getting or
//! building an image, which may take minutes, is done before and beside them. Stops run side by side. A service that is
//! being stopped is not started before that call has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::query_parameters::{RemoveContainerOptionsBuilder, StopContainerOptionsBuilder};
use campanile_control::Workers;
use futures_util::future::join_all;
use tokio::sync::{Notify, Semaphore};

use super::{Dockers, Shared, words};
use crate::services::{Launch, View};

/// Requests of one decision come one by one; after this time they are all there.
const GATHER: Duration = Duration::from_millis(5);
/// Services in one call at most.
const MAX_PER_CALL: usize = 32;
/// What starting services may take; the image is there already, but others may have to become healthy before.
const UP_TIMEOUT: Duration = Duration::from_secs(300);
/// What getting or building an image may take.
const IMAGE_TIMEOUT: Duration = Duration::from_secs(1800);
/// What stopping may take beside the longest grace.
const STOP_MARGIN_MS: u64 = 60_000;
/// The grace of docker where the compose file says nothing.
const DEFAULT_GRACE_MS: u64 = 10_000;
/// Calls that stop services, and calls that get images, at once and per HostManager.
const STOPS_AT_ONCE: usize = 4;
const IMAGES_AT_ONCE: usize = 2;
/// Killing and removing one container.
const KILL_TIMEOUT_S: u64 = 30;

/// The queues of calls.
pub(super) struct Calls {
    queues: Mutex<BTreeMap<String, Queue>>,
    /// By file: there is something to do.
    wake: BTreeMap<String, Notify>,
    stops: Semaphore,
    images: Semaphore,
}

/// What is asked for one file and not begun.
#[derive(Debug, Default)]
struct Queue {
    /// Services to be started.
    starts: BTreeSet<String>,
    /// Their images were asked for already, with this result.
    fetched: BTreeMap<String, Result<(), String>>,
    /// Services whose images are being got.
    fetching: BTreeSet<String>,
    /// Services to be stopped.
    stops: BTreeSet<String>,
    /// Services that are being stopped.
    stopping: BTreeSet<String>,
}

impl Calls {
    pub(super) fn new(files: &[String]) -> Self {
        Self {
            queues: Mutex::new(files.iter().map(|file| (file.clone(), Queue::default())).collect()),
            wake: files.iter().map(|file| (file.clone(), Notify::new())).collect(),
            stops: Semaphore::new(STOPS_AT_ONCE),
            images: Semaphore::new(IMAGES_AT_ONCE),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Queue>> {
        // Sets are changed by whole entries.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue<T>(&self, file: &str, change: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        let result = self.lock().get_mut(file).map(change);
        if let Some(wake) = self.wake.get(file) {
            wake.notify_one();
        }
        result
    }
}

/// Begins to work off the queues, each by itself.
pub(super) fn start(shared: &Arc<Shared>, workers: &Workers) {
    for file in shared.options.files.clone() {
        let (shared, worker) = (Arc::clone(shared), workers.register(&format!("docker compose {file}")));
        tokio::spawn(async move {
            loop {
                shared.calls.wake[&file].notified().await;
                tokio::time::sleep(GATHER).await;
                begin_stops(&shared, &file);
                begin_fetches(&shared, &file);
                let ready = take_starts(&shared, &file);
                if !ready.is_empty() {
                    worker.busy("starting services");
                    begin_starts(&shared, &file, ready).await;
                    shared.calls.wake[&file].notify_one();
                    worker.idle();
                }
            }
        });
    }
}

impl Dockers {
    /// Starts a service. What comes of it is seen in [`Dockers::view`], under the number of the launch.
    pub fn launch(&self, service: &str, number: u32) {
        let file = self.shared.change(|state| {
            state.launches.insert(service.to_owned(), Launch { number, done: None });
            state.view.services.get(service).map(|found| found.compose_file.clone())
        });
        let queued = file.and_then(|file| {
            self.shared.calls.queue(&file, |queue| {
                queue.starts.insert(service.to_owned());
                queue.fetched.remove(service);
            })
        });
        if queued.is_none() {
            self.shared.done(service, Err(format!("no compose file has a service {service}")));
        }
    }

    /// Stops a service and removes its containers, as `docker compose rm --stop` does: with the grace that the compose
    /// file gives it.
    pub fn stop(&self, service: &str) {
        let file = self.view().services.get(service).map(|state| state.compose_file.clone());
        let queued = file.and_then(|file| {
            self.shared.calls.queue(&file, |queue| {
                if !queue.stopping.contains(service) {
                    queue.stops.insert(service.to_owned());
                }
            })
        });
        if queued.is_none() {
            self.remove(service, false);
        }
    }

    /// Whether compose is still at stopping services: it removes a container some time after its end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.calls.lock().values().any(|queue| !queue.stops.is_empty() || !queue.stopping.is_empty())
    }

    /// Kills the containers of a service and removes them.
    pub fn kill(&self, service: &str) {
        self.remove(service, true);
    }

    fn remove(&self, service: &str, kill: bool) {
        let (shared, service) = (Arc::clone(&self.shared), service.to_owned());
        tokio::spawn(async move {
            if let Err(why) = remove_by_engine(&shared, &service, kill).await {
                shared.tell(format!("Removing the container of {service} failed: {why}"));
            }
            shared.look_again().await;
        });
    }
}

impl Shared {
    fn done(&self, service: &str, result: Result<(), String>) {
        let now_ms = self.clock.now().mono_ms;
        self.change(|state| {
            if let Some(launch) = state.launches.get_mut(service) {
                launch.done = Some((now_ms, result));
            }
        });
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.lock().view)
    }
}

/// Begins to stop all that is to be stopped, in one call.
fn begin_stops(shared: &Arc<Shared>, file: &str) {
    let services: Vec<String> = {
        let mut queues = shared.calls.lock();
        let Some(queue) = queues.get_mut(file) else { return };
        let services: Vec<String> = std::mem::take(&mut queue.stops).into_iter().collect();
        queue.stopping.extend(services.iter().cloned());
        services
    };
    for services in services.chunks(MAX_PER_CALL) {
        let (shared, file, services) = (Arc::clone(shared), file.to_owned(), services.to_vec());
        tokio::spawn(async move {
            stop(&shared, &file, &services).await;
            // A start that waits for this must see what is left, not what was.
            shared.look_again().await;
            shared.calls.queue(&file, |queue| queue.stopping.retain(|service| !services.contains(service)));
            shared.changed.notify_one();
        });
    }
}

async fn stop(shared: &Arc<Shared>, file: &str, services: &[String]) {
    let Err(why) = rm(shared, file, services).await else { return };
    if services.len() > 1 {
        // One of them may be the reason; the others must not suffer from it.
        join_all(services.iter().map(|service| stop_one(shared, file, service, None))).await;
    } else if let [service] = services {
        stop_one(shared, file, service, Some(why)).await;
    }
}

/// Where compose cannot do it, say because its file is broken now, the engine can.
async fn stop_one(shared: &Arc<Shared>, file: &str, service: &str, why: Option<String>) {
    let why = match why {
        Some(why) => why,
        None => match rm(shared, file, &[service.to_owned()]).await {
            Ok(()) => return,
            Err(why) => why,
        },
    };
    shared.tell(format!("docker compose cannot stop {service}: {why}"));
    match remove_by_engine(shared, service, false).await {
        Ok(0) => {}
        Ok(_) => shared.tell(format!("The docker engine has stopped {service} without compose.")),
        Err(why) => shared.tell(format!("The docker engine cannot stop {service} either: {why}")),
    }
}

async fn rm(shared: &Shared, file: &str, services: &[String]) -> Result<(), String> {
    let Ok(_permit) = shared.calls.stops.acquire().await else { return Err("it is being ended".to_owned()) };
    let view = shared.view();
    let grace_ms = services.iter().map(|service| grace_ms(&view, service)).max().unwrap_or(DEFAULT_GRACE_MS);
    let mut argv = vec!["rm", "--stop", "--force"];
    argv.extend(services.iter().map(String::as_str));
    let limit = Duration::from_millis(grace_ms + STOP_MARGIN_MS);
    shared.compose.call(&shared.path(file), &argv, limit).await.map(|_| ())
}

fn grace_ms(view: &View, service: &str) -> u64 {
    view.services.get(service).and_then(|state| state.service.stop_grace_ms).unwrap_or(DEFAULT_GRACE_MS)
}

/// Gets the images that this host lacks for services that are to be started.
fn begin_fetches(shared: &Arc<Shared>, file: &str) {
    let view = shared.view();
    let lacks_image =
        |service: &str| view.services.get(service).is_some_and(|state| state.image_id.is_none());
    let services: Vec<String> = {
        let mut queues = shared.calls.lock();
        let Some(queue) = queues.get_mut(file) else { return };
        let is_new = |service: &&String| {
            lacks_image(service)
                && !queue.fetched.contains_key(*service)
                && !queue.fetching.contains(*service)
        };
        let services: Vec<String> = queue.starts.iter().filter(is_new).cloned().collect();
        queue.fetching.extend(services.iter().cloned());
        services
    };
    for service in services {
        let is_built = view.services.get(&service).is_some_and(|state| state.service.is_built);
        let (shared, file) = (Arc::clone(shared), file.to_owned());
        tokio::spawn(async move {
            let word = if is_built { "build" } else { "pull" };
            let result = match shared.calls.images.acquire().await {
                Ok(_permit) => {
                    shared.compose.call(&shared.path(&file), &[word, &service], IMAGE_TIMEOUT).await
                }
                Err(_closed) => Err("it is being ended".to_owned()),
            };
            let result = result.map(|_| ()).map_err(|why| format!("docker compose {word}: {why}"));
            shared.look_again().await;
            shared.calls.queue(&file, |queue| {
                queue.fetching.remove(&service);
                queue.fetched.insert(service, result);
            });
        });
    }
}

/// Takes the services that can be started now, and whose image came or failed to come.
fn take_starts(shared: &Shared, file: &str) -> Vec<(String, Result<(), String>)> {
    let mut queues = shared.calls.lock();
    let Some(queue) = queues.get_mut(file) else { return Vec::new() };
    let can = |service: &&String| !queue.stopping.contains(*service) && !queue.fetching.contains(*service);
    let ready: Vec<String> = queue.starts.iter().filter(can).take(MAX_PER_CALL).cloned().collect();
    ready
        .into_iter()
        .map(|service| {
            queue.starts.remove(&service);
            let fetched = queue.fetched.remove(&service).unwrap_or(Ok(()));
            (service, fetched)
        })
        .collect()
}

async fn begin_starts(shared: &Shared, file: &str, ready: Vec<(String, Result<(), String>)>) {
    let path = shared.path(file);
    let mut services = Vec::new();
    for (service, fetched) in ready {
        match fetched {
            Ok(()) => services.push(service),
            Err(why) => shared.done(&service, Err(why)),
        }
    }
    if services.is_empty() {
        return;
    }
    let mut results = vec![up(shared, &path, &services).await];
    if services.len() > 1 && results[0].is_err() {
        // One of them may be the reason; the others must not suffer from it.
        results.clear();
        for service in &services {
            results.push(up(shared, &path, std::slice::from_ref(service)).await);
        }
    }
    // The launch is only done when it is seen what runs.
    shared.look_again().await;
    for (index, service) in services.iter().enumerate() {
        let result = results.get(index).or(results.first()).cloned().unwrap_or(Ok(()));
        shared.done(service, result);
    }
}

async fn up(shared: &Shared, path: &Path, services: &[String]) -> Result<(), String> {
    let mut argv = vec!["up", "-d"];
    argv.extend(services.iter().map(String::as_str));
    let result = shared.compose.call(path, &argv, UP_TIMEOUT).await;
    result.map(|_| ()).map_err(|why| format!("docker compose up: {why}"))
}

/// Stops, or kills, and removes the containers of a service by the engine alone. Says how many there were.
async fn remove_by_engine(shared: &Shared, service: &str, kill: bool) -> Result<usize, String> {
    let (ids, grace_ms) = {
        let state = shared.lock();
        let projects: BTreeSet<&str> = state
            .files
            .iter()
            .filter_map(|file| file.document.as_ref())
            .map(|document| document.project.as_str())
            .collect();
        let is_meant = |known: &&super::Known| {
            let container = &known.container;
            let is_of_project = projects.contains(container.project.as_str());
            let is_of_file = state.paths.values().any(|path| container.config_files.contains(path));
            container.service == service && is_of_project && is_of_file && !container.is_one_off
        };
        let ids: Vec<String> =
            state.known.values().filter(is_meant).map(|known| known.container.id.clone()).collect();
        (ids, grace_ms(&state.view, service))
    };
    for id in &ids {
        remove_container(shared, id, (!kill).then_some(grace_ms)).await?;
    }
    Ok(ids.len())
}

/// Stops a container with a grace in milliseconds, or kills it, and removes it. One that is gone is fine.
pub(super) async fn remove_container(shared: &Shared, id: &str, grace_ms: Option<u64>) -> Result<(), String> {
    let grace_s = grace_ms.unwrap_or(0).div_ceil(1000);
    let docker = shared.options.address.connect(grace_s + KILL_TIMEOUT_S)?;
    let limit = Duration::from_secs(grace_s + 2 * KILL_TIMEOUT_S);
    let work = async {
        if grace_ms.is_some() {
            let seconds = i32::try_from(grace_s).unwrap_or(i32::MAX);
            let options = StopContainerOptionsBuilder::new().t(seconds).build();
            gone_is_fine(docker.stop_container(id, Some(options)).await)?;
        }
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        gone_is_fine(docker.remove_container(id, Some(options)).await)
    };
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_elapsed) => Err(format!("it takes longer than {} s", limit.as_secs())),
    }
}

fn gone_is_fine(result: Result<(), bollard::errors::Error>) -> Result<(), String> {
    match result {
        // 404: no such container; 409: it is being removed already; 304: it does not run.
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 304 | 404 | 409, .. })
        | Ok(()) => Ok(()),
        Err(error) => Err(words(&error)),
    }
}
