//! What the engine says of its containers and images, in our nouns.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder, LogsOptionsBuilder};
use campanile_control::Now;
use futures_util::{StreamExt, stream};

use super::ends::Run;
use super::words;
use crate::services::{Container, Tail};

/// The label that every container of compose bears.
pub(super) const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// Containers that are looked at at once.
const AT_ONCE: usize = 16;
/// Looking at one container or image.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Listing them all.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);
/// The last lines of an output are a help; nobody waits for them.
const TAIL_TIMEOUT: Duration = Duration::from_millis(60);
const TAIL_LINES: &str = "20";
const MAX_TAIL_BYTES: usize = 4096;

/// A container with the engine's own words for its times, by which it is known again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) container: Container,
    started_at: String,
    finished_at: String,
    /// The end of this run was told by an event; the engine's own time of it is a little earlier.
    was_told: bool,
}

impl Known {
    /// Enters the end of the run, as an event tells it.
    pub(super) fn has_ended(&mut self, exit_code: i64, now_ms: u64, tail: Tail) {
        let container = &mut self.container;
        (container.running, container.leaving, container.pid) = (false, false, 0);
        (container.exit_code, container.ended_ms, container.tail) = (Some(exit_code), now_ms, tail);
        self.was_told = true;
    }

    /// When it was started last, in the engine's words.
    pub(super) fn started_at(&self) -> &str {
        &self.started_at
    }

    /// What runs of it, if something does.
    pub(super) fn run(&self, id: &str) -> Option<Run> {
        let (pid, started_at) = (self.container.pid, self.started_at.clone());
        (self.container.running && pid != 0).then(|| Run { id: id.to_owned(), pid, started_at })
    }
}

/// The ids of all containers of compose, running or not.
pub(super) async fn list(docker: &Docker) -> Result<Vec<String>, String> {
    let filters = HashMap::from([("label", vec![PROJECT])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let listed = tokio::time::timeout(LIST_TIMEOUT, docker.list_containers(Some(options))).await;
    let listed =
        listed.map_err(|_| too_long("list its containers", LIST_TIMEOUT))?.map_err(|error| words(&error))?;
    Ok(listed.into_iter().filter_map(|summary| summary.id).collect())
}

/// What one look at a container gives.
#[derive(Debug)]
pub(super) enum Look {
    Found(Box<Known>),
    /// It was removed, perhaps a moment ago.
    Gone,
    /// It is none of compose's.
    Other,
}

/// Looks at these containers, of which some `may_have_ended` a moment ago. One that vanishes meanwhile disturbs no other.
pub(super) async fn look(
    docker: &Docker,
    ids: Vec<String>,
    before: &BTreeMap<String, Known>,
    may_have_ended: bool,
    now: Now,
) -> Result<Vec<(String, Look)>, String> {
    let one = |id: String| async move {
        let look = look_at(docker, &id, before.get(&id), may_have_ended, now).await?;
        Ok((id, look))
    };
    stream::iter(ids)
        .map(one)
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<Result<_, String>>>()
        .await
        .into_iter()
        .collect()
}

async fn look_at(
    docker: &Docker,
    id: &str,
    before: Option<&Known>,
    may_have_ended: bool,
    now: Now,
) -> Result<Look, String> {
    let inspecting = docker.inspect_container(id, None::<InspectContainerOptions>);
    let ran = before.is_some_and(|before| before.container.running);
    let (answer, last_lines) = tokio::join!(tokio::time::timeout(INSPECT_TIMEOUT, inspecting), async {
        // Both questions at once, so that an end is known sooner.
        if ran && may_have_ended { Some(tail(docker, id).await) } else { None }
    });
    let found = match answer.map_err(|_| too_long("describe a container", INSPECT_TIMEOUT))? {
        Ok(found) => found,
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {
            return Ok(Look::Gone);
        }
        Err(error) => return Err(words(&error)),
    };
    let Some(mut known) = understand(id, found, before, now).await else { return Ok(Look::Other) };
    if ran && !known.container.running {
        known.container.tail = match last_lines {
            Some(tail) => tail,
            None => tail(docker, id).await,
        };
    } else if let Some(before) = before.filter(|_| !known.container.running) {
        known.container.tail = before.container.tail.clone();
    }
    Ok(Look::Found(Box::new(known)))
}

async fn understand(
    id: &str,
    found: ContainerInspectResponse,
    before: Option<&Known>,
    now: Now,
) -> Option<Known> {
    let labels = found.config?.labels?;
    let label = |name: &str| labels.get(name).map(String::as_str).unwrap_or_default();
    let state = found.state.unwrap_or_default();
    let running = state.running.unwrap_or(false);
    let (started_at, finished_at) =
        (state.started_at.unwrap_or_default(), state.finished_at.unwrap_or_default());
    // The same run as before: what was learned of it meanwhile is still true.
    let same_run = before.filter(|before| before.started_at == started_at);
    let config_files = match before {
        Some(before) => before.container.config_files.clone(),
        None => real_paths(label(WORKING_DIR), label(CONFIG_FILES)).await,
    };
    let container = Container {
        id: id.to_owned(),
        project: labels.get(PROJECT)?.clone(),
        service: label(SERVICE).to_owned(),
        config_files,
        is_one_off: label(ONE_OFF).eq_ignore_ascii_case("true"),
        running,
        leaving: running && same_run.is_some_and(|before| before.container.leaving),
        exit_code: state.exit_code,
        is_gone: false,
        image_id: found.image.unwrap_or_default(),
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0),
        // The same time must stay the same number, or everything would seem to change with every look.
        started_ms: same_run.map_or_else(|| mono_ms(&started_at, now), |before| before.container.started_ms),
        ended_ms: before
            .filter(|before| before.finished_at == finished_at || (same_run.is_some() && before.was_told))
            .map_or_else(|| mono_ms(&finished_at, now), |before| before.container.ended_ms),
        tail: Tail::default(),
    };
    let was_told = same_run.is_some_and(|before| before.was_told);
    Some(Known { container, started_at, finished_at, was_told })
}

/// The compose files of a container, as the file system has them: version 1 of compose may write relative paths, and a
/// path may lead over a symbolic link.
async fn real_paths(working_dir: &str, files: &str) -> Vec<PathBuf> {
    let working_dir = PathBuf::from(working_dir);
    let files: Vec<String> = files.split(',').filter(|file| !file.is_empty()).map(str::to_owned).collect();
    let resolve = move || files.iter().map(|file| real_path(&working_dir.join(file))).collect();
    tokio::task::spawn_blocking(resolve).await.unwrap_or_default()
}

/// A path without symbolic links; as it is if it leads nowhere.
pub(super) fn real_path(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The last lines of its outputs; those that come in time.
pub(super) async fn tail(docker: &Docker, id: &str) -> Tail {
    use bollard::container::LogOutput;
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(TAIL_LINES).build();
    let mut logs = docker.logs(id, Some(options));
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let reading = async {
        while let Some(Ok(piece)) = logs.next().await {
            match piece {
                LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
                LogOutput::StdOut { message } | LogOutput::Console { message } => {
                    stdout.extend_from_slice(&message)
                }
                LogOutput::StdIn { .. } => {}
            }
        }
    };
    let _ = tokio::time::timeout(TAIL_TIMEOUT, reading).await;
    let text = |bytes: &[u8]| {
        let bytes = &bytes[bytes.len().saturating_sub(MAX_TAIL_BYTES)..];
        String::from_utf8_lossy(bytes).trim_end().to_owned()
    };
    Tail { stdout: text(&stdout), stderr: text(&stderr) }
}

/// The ids of these tags; `None` for a tag that this host does not have.
pub(super) async fn image_ids(
    docker: &Docker,
    tags: Vec<String>,
) -> Result<BTreeMap<String, Option<String>>, String> {
    let one = |tag: String| async move {
        let answer = tokio::time::timeout(INSPECT_TIMEOUT, docker.inspect_image(&tag)).await;
        match answer.map_err(|_| too_long("describe an image", INSPECT_TIMEOUT))? {
            Ok(image) => Ok((tag, image.id)),
            // An odd name is none that this host has.
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 400 | 404, .. }) => {
                Ok((tag, None))
            }
            Err(error) => Err(words(&error)),
        }
    };
    let found: Vec<Result<_, String>> = stream::iter(tags).map(one).buffer_unordered(AT_ONCE).collect().await;
    let found: Result<Vec<_>, String> = found.into_iter().collect();
    found.map(|found| found.into_iter().collect())
}

fn too_long(what: &str, limit: Duration) -> String {
    format!("it takes longer than {} s to {what}", limit.as_secs())
}

/// A time of the engine (RFC 3339) as monotonic milliseconds; 0 for what never was.
fn mono_ms(time: &str, now: Now) -> u64 {
    match unix_s(time) {
        Some(unix_s) if unix_s > 0.0 => {
            let age_ms = ((now.unix_s - unix_s) * 1000.0).max(0.0) as u64;
            now.mono_ms.saturating_sub(age_ms).max(1)
        }
        _ => 0,
    }
}

/// Nanoseconds since the Unix epoch; `None` for anything that is no time, or before it.
pub(super) fn unix_ns(time: &str) -> Option<u64> {
    let (whole, fraction) = match time.strip_suffix('Z')?.split_once('.') {
        Some((whole, fraction)) => (format!("{whole}Z"), fraction),
        None => (time.to_owned(), ""),
    };
    let whole_s = unix_s(&whole).filter(|unix_s| *unix_s >= 0.0)? as u64;
    let fraction_ns: u64 = format!("{fraction:0<9.9}").parse().ok()?;
    whole_s.checked_mul(1_000_000_000)?.checked_add(fraction_ns)
}

/// Seconds since the Unix epoch of `2026-11-26T00:04:23.695210436Z`; `None` for anything else, and negative before it.
fn unix_s(time: &str) -> Option<f64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut parts = clock.splitn(3, ':');
    let hour: f64 = parts.next()?.parse().ok()?;
    let minute: f64 = parts.next()?.parse().ok()?;
    let second: f64 = parts.next()?.parse().ok()?;
    // Days from the civil date, counting years from March so that the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(days as f64 * 86_400.0 + hour * 3600.0 + minute * 60.0 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_engine_are_understood() {
        assert_eq!(unix_s("1970-01-01T00:00:00Z"), Some(0.0));
        assert_eq!(unix_s("2000-02-29T12:30:01.5Z"), Some(951_827_401.5));
        assert_eq!(unix_s("2026-11-26T00:00:00Z"), Some(1_795_651_200.0));
        assert!(unix_s("0001-01-01T00:00:00Z").unwrap() < 0.0);
        assert_eq!(unix_s("yesterday"), None);
        assert_eq!(unix_ns("2000-02-29T12:30:01.5Z"), Some(951_827_401_500_000_000));
        assert_eq!(unix_ns("2026-11-26T00:04:23.695210436Z"), Some(1_795_651_463_695_210_436));
        assert_eq!(unix_ns("1970-01-01T00:00:01Z"), Some(1_000_000_000));
        assert_eq!([unix_ns("0001-01-01T00:00:00Z"), unix_ns("now"), unix_ns("Z"), unix_ns("")], [None; 4]);
        let now = Now { mono_ms: 50_000, unix_s: 951_827_411.5 };
        assert_eq!(mono_ms("2000-02-29T12:30:01.5Z", now), 40_000);
        assert_eq!(mono_ms("0001-01-01T00:00:00Z", now), 0);
        assert_eq!(mono_ms("2000-02-29T12:40:01.5Z", now), 50_000, "a clock that is ahead");
    }
}
