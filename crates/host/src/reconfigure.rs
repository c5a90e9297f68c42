//! What changes under a running manager: targets, the site config, and what Python knows of agent classes.

use std::collections::BTreeSet;
use std::sync::Arc;

use campanile_ocs::agent::OpContext;
use campanile_yaml::{Diagnostic, Diagnostics};
use serde_json::Value;

use crate::config::{self, Classes};
use crate::drive::classes;
use crate::manager::{Config, Manager, lines};
use crate::model::Program;
use crate::requests;
use crate::words;

impl Manager {
    /// The task `update`: targets, and on request the site config first.
    ///
    /// # Errors
    /// In words for the client: nothing was done, or the site config could not be read.
    pub async fn update(&self, context: &OpContext, params: &Value) -> Result<String, String> {
        if !self.comes_to_run(&context.agent()).await {
            return Err("Manager process is not running; params not updated.".to_owned());
        }
        let requests = requests::parse(&params["requests"])?;
        let reloaded = if params["reload_config"].as_bool().unwrap_or(false) {
            let of_site = self.reload(context).await;
            of_site.and(self.read_compose_files_again(context).await)
        } else {
            Ok(())
        };
        self.note_requests(context, &requests);
        self.tell(context, self.apply(&requests));
        self.shared.changed.notify_one();
        self.keep_targets().await;
        reloaded.map(|()| "Update requested.".to_owned())
    }

    /// Reads the site config again and brings the table in line with it.
    async fn reload(&self, context: &OpContext) -> Result<(), String> {
        let config = self.read_config().await;
        let now = self.shared.clock.now();
        let (result, messages) = {
            let mut state = self.lock();
            match config {
                Ok(config) => {
                    let broken = config.wanted.iter().filter(|want| want.problem.is_some()).count();
                    let told = state.take_config(config, now);
                    self.note_config(context, Ok(&told));
                    (if broken == 0 { Ok(()) } else { Err(words::broken_entries(broken)) }, told)
                }
                Err(diagnostics) => {
                    self.note_config(context, Err(&diagnostics));
                    (Err(state.refuse_config(&diagnostics, now.unix_s)), lines(&diagnostics))
                }
            }
        };
        self.tell(context, messages);
        self.ask_classes();
        self.limit_all().await;
        self.shared.changed.notify_one();
        result
    }

    /// Forgets what is down, and begins with the site config, as OCS documents it for a start of the process.
    pub(crate) async fn begin_anew(&self, context: &OpContext) {
        match self.read_config().await {
            Ok(config) => {
                let (forgotten, messages) = {
                    let mut state = self.lock();
                    let forgotten = state.table.forget_idle();
                    let messages = state.take_config(config, self.shared.clock.now());
                    // Something can only run here if the last run of this process was cut off.
                    for entry in state.table.iter_mut() {
                        entry.instance.target = entry.instance.spec.start;
                    }
                    (forgotten, messages)
                };
                self.note_config(context, Ok(&messages));
                for key in forgotten {
                    self.shared.processes.forget(key);
                }
                self.tell(context, messages);
                self.ask_classes();
            }
            Err(diagnostics) => {
                let now_s = self.shared.clock.now().unix_s;
                let text = self.lock().refuse_config(&diagnostics, now_s);
                self.note_config(context, Err(&diagnostics));
                self.tell(context, lines(&diagnostics));
                context.message(text);
            }
        }
    }

    async fn read_config(&self) -> Result<Config, Diagnostics> {
        let read = Arc::clone(&self.shared.read_config);
        tokio::task::spawn_blocking(move || read()).await.unwrap_or_else(|error| {
            let problem = Diagnostic::error(format!("reading it failed: {error}"));
            Err(problem.into())
        })
    }

    /// Asks Python for its agent classes in the background, if an instance needs one.
    pub(crate) fn ask_classes(&self) {
        let (python, number) = {
            let mut state = self.lock();
            let known = state.classes.clone();
            let mut messages = config::resolve_classes(&mut state.table, &known, false);
            state.untold.append(&mut messages);
            if !state.table.iter().any(|entry| entry.instance.spec.program == Program::Plugin) {
                return;
            }
            state.classes_asked += 1;
            (state.launch.python.clone(), state.classes_asked)
        };
        let manager = self.clone();
        tokio::spawn(async move {
            let worker = manager.shared.workers.register("classes");
            worker.busy("asking Python for its agent classes");
            let answer = classes::ask(&python).await;
            if let Err(why) = &answer {
                worker.error(why);
            }
            manager.take_classes(answer, number);
            worker.idle();
        });
    }

    fn take_classes(&self, answer: Result<BTreeSet<String>, String>, number: u64) {
        {
            let mut state = self.lock();
            if state.classes_asked != number {
                return;
            }
            let mut messages = Vec::new();
            match answer {
                Ok(classes) => state.classes = Classes::Known(classes),
                Err(why) => {
                    messages.push(why.clone());
                    // What was known before is better than nothing; Python may only be busy.
                    if !matches!(state.classes, Classes::Known(_)) {
                        state.classes = Classes::Failed(why);
                    }
                }
            }
            let known = state.classes.clone();
            messages.extend(config::resolve_classes(&mut state.table, &known, true));
            state.untold.append(&mut messages);
        }
        self.shared.changed.notify_one();
    }

    pub(crate) async fn forget_targets(&self, context: &OpContext) {
        let file = self.shared.targets.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || file.forget()).await {
            context.message(format!("The targets of this run cannot be removed: {error}"));
        }
    }
}
