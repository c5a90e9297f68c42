//! The tasks of operators that are about docker as a whole: getting images, removing orphans.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::Dockers;
use super::calls::remove_container;

/// What getting the images of one file may take.
const PULL_TIMEOUT: Duration = Duration::from_secs(3600);
/// Lines of progress that are told per file; every message goes to every client with every poll.
const MAX_PROGRESS: usize = 60;
/// Containers that are stopped at once.
const AT_ONCE: usize = 8;

impl Dockers {
    /// Gets the images of all files, telling how it goes on.
    ///
    /// # Errors
    /// In words: for which files it failed. The others were got all the same.
    pub async fn pull(&self, tell: &mut (dyn FnMut(String) + Send)) -> Result<String, String> {
        let mut failed = Vec::new();
        let files = self.shared.options.files.clone();
        for file in &files {
            tell(format!("Running pull for {file} ..."));
            match self.pull_file(file, tell).await {
                Ok(()) => tell(format!("The images of {file} are here.")),
                Err(why) => {
                    tell(format!("The pull for {file} failed: {why}"));
                    failed.push(file.as_str());
                }
            }
        }
        self.shared.look_again().await;
        match failed.as_slice() {
            [] => Ok("Done.".to_owned()),
            failed => Err(format!("The pull failed for {}.", failed.join(", "))),
        }
    }

    async fn pull_file(&self, file: &str, tell: &mut (dyn FnMut(String) + Send)) -> Result<(), String> {
        let view = self.view();
        // What is only built here cannot be pulled, and is no failure.
        let mut argv = vec!["pull"];
        let of_file = view.services.values().filter(|state| state.compose_file == file);
        let (built, pulled): (Vec<_>, Vec<_>) = of_file.partition(|state| state.service.is_built);
        if !built.is_empty() {
            tell(format!("{} services of {file} are built here and are left out.", built.len()));
            argv.extend(pulled.iter().map(|state| state.service.name.as_str()));
            if pulled.is_empty() {
                return Ok(());
            }
        }
        let mut told = 0;
        let mut progress = |line: &str| {
            // The layers of an image come by the hundred, each many times.
            let is_layer = line.split_whitespace().next().is_some_and(is_layer_id);
            if !is_layer && told < MAX_PROGRESS {
                told += 1;
                tell(line.to_owned());
            }
        };
        self.shared
            .compose
            .call_telling(&self.shared.path(file), &argv, PULL_TIMEOUT, &mut progress)
            .await
            .map(|_| ())
    }

    /// Stops the orphans with `stop_time_s` of grace, and removes them.
    ///
    /// # Errors
    /// In words: how many could not be removed; each is told.
    pub async fn remove_orphans(
        &self,
        stop_time_s: f64,
        tell: &mut (dyn FnMut(String) + Send),
    ) -> Result<String, String> {
        let orphans: Vec<_> = self.view().orphans.values().cloned().collect();
        tell(format!("Attempting stop and remove of {} containers.", orphans.len()));
        let grace_ms = (stop_time_s * 1000.0) as u64;
        let remove = |orphan: crate::services::Orphan| async move {
            let id = orphan.container.id;
            let result = remove_container(&self.shared, &id, Some(grace_ms)).await;
            (id, orphan.container.service, result)
        };
        let mut removals = stream::iter(orphans).map(remove).buffer_unordered(AT_ONCE);
        let (mut done, mut failed) = (0, 0);
        while let Some((id, service, result)) = removals.next().await {
            let id: String = id.chars().take(12).collect();
            match result {
                Ok(()) => {
                    done += 1;
                    tell(format!("Removed the container {id} of {service}."));
                }
                Err(why) => {
                    failed += 1;
                    tell(format!("The container {id} of {service} cannot be removed: {why}"));
                }
            }
        }
        self.shared.look_again().await;
        match failed {
            0 => Ok("Done.".to_owned()),
            failed => Err(format!("{failed} of {} containers could not be removed.", done + failed)),
        }
    }
}

fn is_layer_id(word: &str) -> bool {
    word.len() == 12 && word.chars().all(|c| c.is_ascii_hexdigit())
}
