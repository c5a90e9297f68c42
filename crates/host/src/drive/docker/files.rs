//! The compose files: read when they change, each by itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use campanile_control::WorkerHandle;
use campanile_yaml::{Kind, Node, Schema};
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::containers::real_path;
use super::watch::{Happened, Watcher};
use crate::services::{Document, FileState, document};

/// What `docker compose config` may take.
const CONFIG_TIMEOUT: Duration = Duration::from_secs(30);
/// An editor writes more than once; what comes within this time is one change.
const SETTLE: Duration = Duration::from_millis(150);
/// Network file systems tell nothing of changes by others; a look at the times of the files costs nothing.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The same where the system tells nothing at all.
const LOOK_OFTEN: Duration = Duration::from_secs(1);
/// How deep files that include or extend others are followed.
const MAX_DEPTH: usize = 8;
/// More files than this are not followed.
const MAX_FILES: usize = 200;

/// Where a file stands, as far as can be seen without reading it.
type Stamp = Option<(SystemTime, u64)>;

struct Watched {
    name: String,
    path: PathBuf,
    /// It, and what it includes, extends and reads.
    parts: Vec<(PathBuf, Stamp)>,
}

/// Reads the files, and reads each again when it or a part of it changes.
pub(super) async fn watch(
    shared: Arc<Shared>,
    mut questions: mpsc::Receiver<oneshot::Sender<()>>,
    worker: WorkerHandle,
) {
    let mut watcher = Watcher::new().inspect_err(|error| {
        worker.error(&format!("inotify: {error}"));
        shared.tell(format!(
            "Changes of compose files are not told by the system ({error}); they are looked at every {} s.",
            LOOK_OFTEN.as_secs()
        ));
    });
    let names = shared.options.files.iter();
    let new = |name: &String| Watched { name: name.clone(), path: shared.path(name), parts: Vec::new() };
    let mut files: Vec<Watched> = names.map(new).collect();
    let mut due: BTreeSet<usize> = (0..files.len()).collect();
    let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
    loop {
        if !due.is_empty() {
            worker.busy("reading compose files");
            read_all(&shared, &mut files, std::mem::take(&mut due), &worker).await;
            worker.idle();
        }
        for answer in waiting.drain(..) {
            let _ = answer.send(());
        }
        if let Ok(watcher) = &mut watcher {
            watcher.watch(&files.iter().flat_map(|file| &file.parts).map(|(path, _)| path.clone()).collect());
        }
        // What was written while it was being read, or before it was watched, is seen by its times.
        due = stale(&files).await;
        if !due.is_empty() {
            tokio::time::sleep(SETTLE).await;
            continue;
        }
        let patience = if watcher.is_ok() { LOOK_EVERY } else { LOOK_OFTEN };
        tokio::select! {
            happened = next(&mut watcher) => match happened {
                Ok(happened) => {
                    due = concerned(&files, &happened);
                    if !due.is_empty() {
                        tokio::time::sleep(SETTLE).await;
                    }
                }
                Err(error) => {
                    worker.error(&format!("inotify: {error}"));
                    watcher = Err(error);
                }
            },
            () = tokio::time::sleep(patience) => {}
            question = questions.recv() => match question {
                Some(answer) => {
                    waiting.push(answer);
                    due = (0..files.len()).collect();
                }
                None => return,
            },
        }
    }
}

async fn next(watcher: &mut std::io::Result<Watcher>) -> std::io::Result<Happened> {
    match watcher {
        Ok(watcher) => watcher.next().await,
        Err(_) => std::future::pending().await,
    }
}

fn concerned(files: &[Watched], happened: &Happened) -> BTreeSet<usize> {
    let is_concerned = |file: &Watched| {
        happened.anything || file.parts.iter().any(|(path, _)| happened.paths.contains(path))
    };
    (0..files.len()).filter(|index| is_concerned(&files[*index])).collect()
}

async fn stale(files: &[Watched]) -> BTreeSet<usize> {
    let all: Vec<Vec<(PathBuf, Stamp)>> = files.iter().map(|file| file.parts.clone()).collect();
    let look = move || {
        let is_stale = |parts: &[(PathBuf, Stamp)]| parts.iter().any(|(path, before)| stamp(path) != *before);
        (0..all.len()).filter(|index| is_stale(&all[*index])).collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

fn stamp(path: &Path) -> Stamp {
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
}

async fn read_all(shared: &Shared, files: &mut [Watched], due: BTreeSet<usize>, worker: &WorkerHandle) {
    let reading = files.iter_mut().enumerate().filter(|(index, _)| due.contains(index)).map(
        |(index, file)| async move {
            let path = file.path.clone();
            let found = tokio::task::spawn_blocking(move || {
                let with_stamp = |path: PathBuf| {
                    let stamp = stamp(&path);
                    (path, stamp)
                };
                (real_path(&path), parts(&path).into_iter().map(with_stamp).collect())
            });
            let (real, parts) = found.await.unwrap_or_default();
            file.parts = parts;
            (index, real, read(shared, &file.path).await)
        },
    );
    let results = futures_util::future::join_all(reading).await;
    let now_s = shared.clock.now().unix_s;
    shared.change(|state| {
        for (index, real, result) in results {
            let name = files[index].name.clone();
            if let Err(why) = &result {
                worker.error(why);
            }
            let before = state.files[index].status.clone();
            let (status, document) = enter(&state.files[index], &name, result, now_s);
            // The same complaint, or the same good news, is not told again.
            if before.is_none_or(|(ok, _, text)| (ok, &text) != (status.0, &status.2)) {
                state.say(status.2.clone());
            }
            state.paths.insert(name, real);
            state.files[index].status = Some(status);
            state.files[index].document = document;
        }
    });
    // New services may have new images.
    shared.look_again().await;
}

fn enter(
    file: &FileState,
    name: &str,
    result: Result<Document, String>,
    now_s: f64,
) -> ((bool, f64, String), Option<Document>) {
    match result {
        Ok(document) => {
            let text = format!("Successfully parsed {name} and its service states.");
            ((true, now_s, text), Some(document))
        }
        Err(why) => {
            let text = format!("Failed to interpret {name} and/or its service states: {why}");
            ((false, now_s, text), file.document.clone())
        }
    }
}

async fn read(shared: &Shared, path: &Path) -> Result<Document, String> {
    let dir = path.parent().unwrap_or(path);
    let text = shared.compose.call(path, &["config"], CONFIG_TIMEOUT).await?;
    let mut document = document::parse(&text, dir)?;
    // Services that a profile switches off are left out above; what runs of them is no orphan all the same.
    if mentions_profiles(path).await
        && let Ok(text) = shared.compose.call(path, &["--profile", "*", "config"], CONFIG_TIMEOUT).await
    {
        let all = document::parse(&text, dir)?.services.into_keys();
        document.disabled = all.filter(|name| !document.services.contains_key(name)).collect();
    }
    Ok(document)
}

async fn mentions_profiles(path: &Path) -> bool {
    let path = path.to_owned();
    let look = move || {
        parts(&path)
            .iter()
            .any(|part| std::fs::read_to_string(part).is_ok_and(|text| text.contains("profiles")))
    };
    tokio::task::spawn_blocking(look).await.unwrap_or(false)
}

/// A compose file and the files that its meaning depends on: `.env` beside it, what it includes and extends, and its
/// `env_file`s. Both a path and where it leads to by symbolic links, since either may change. Names that hold variables
/// are not followed.
fn parts(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    collect(path, 0, &mut found);
    let real: Vec<PathBuf> = found.iter().map(|path| real_path(path)).collect();
    found.extend(real);
    found
}

fn collect(path: &Path, depth: usize, found: &mut BTreeSet<PathBuf>) {
    if depth > MAX_DEPTH || found.len() > MAX_FILES || !found.insert(path.to_owned()) {
        return;
    }
    let dir = path.parent().unwrap_or(path);
    found.insert(dir.join(".env"));
    let Ok(bytes) = std::fs::read(path) else { return };
    let (Some(document), _) = campanile_yaml::parse(path, &bytes, Schema::Safe) else { return };
    let root = document.root();
    for include in root.get("include").into_iter().flat_map(Node::items) {
        let paths =
            if include.kind() == Kind::Map { include.get("path").map(texts) } else { Some(texts(include)) };
        for included in paths.into_iter().flatten() {
            collect(&dir.join(included), depth + 1, found);
        }
        found.extend(include.get("env_file").map(texts).into_iter().flatten().map(|file| dir.join(file)));
    }
    for (_, service) in root.get("services").into_iter().flat_map(Node::entries) {
        if let Some(file) =
            service.get("extends").and_then(|extends| extends.get("file")).and_then(Node::text)
        {
            collect(&dir.join(file), depth + 1, found);
        }
        let Some(env_files) = service.get("env_file") else { continue };
        let with_path = env_files.items().filter_map(|item| item.get("path")).flat_map(texts);
        found.extend(texts(env_files).into_iter().chain(with_path).map(|file| dir.join(file)));
    }
    found.retain(|path| !path.to_string_lossy().contains('$'));
}

/// A text, or the texts in a list.
fn texts(node: Node<'_>) -> Vec<&str> {
    match node.text() {
        Some(text) => vec![text],
        None => node.items().filter_map(Node::text).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_depends_on_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let dir = real_path(dir.path());
        std::fs::create_dir(dir.join("sub")).unwrap();
        let main = "include:\n  - sub/more.yaml\n  - path: [other.yaml, ../up.yaml]\n    env_file: inc.env\n  \
                    - ${ODD}/x.yaml\nservices:\n  a:\n    extends: {file: base.yaml, service: b}\n    \
                    env_file: [a.env, {path: b.env, required: false}]\n  c:\n    env_file: c.env\n";
        std::fs::write(dir.join("c.yaml"), main).unwrap();
        std::fs::write(dir.join("base.yaml"), "services:\n  b:\n    env_file: base.env\n").unwrap();
        std::os::unix::fs::symlink(dir.join("base.yaml"), dir.join("sub/more.yaml")).unwrap();
        let found = parts(&dir.join("c.yaml"));
        let names: Vec<String> =
            found.iter().map(|path| path.strip_prefix(&dir).unwrap_or(path).display().to_string()).collect();
        for name in [
            "c.yaml",
            ".env",
            "sub/more.yaml",
            "sub/.env",
            "sub/base.env",
            "base.yaml",
            "base.env",
            "other.yaml",
            "inc.env",
            "a.env",
            "b.env",
            "c.env",
        ] {
            assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains('$')));
    }

    #[test]
    fn a_file_that_includes_itself_or_is_broken_is_a_part_like_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, "include: [c.yaml]\n").unwrap();
        assert!(parts(&path).contains(&path));
        std::fs::write(&path, "services: [").unwrap();
        assert!(parts(&path).contains(&path));
        assert!(parts(&dir.path().join("none.yaml")).contains(&dir.path().join(".env")));
    }
}
