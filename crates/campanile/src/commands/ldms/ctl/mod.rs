//! `campanile ldms ctl`: commands to running ldmsds, as `ldmsd_controller` sends them, with exit codes that tell.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use campanile_ldms::client::{Endpoint, Options};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::auth::AuthArgs;
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::render::duration;
use crate::{output, runtime};

mod answer;
mod script;
mod show;
mod talk;
mod targets;

use answer::Conversation;
use script::Step;

/// Send commands to running ldmsds, and show what they answer
///
/// A command is written as for ldmsd_controller: `prdcr_add name=p1 host=node-1 …`. Without one, commands are read
/// from standard input, one a line; they are checked before the first is sent. `dir` lists the metric sets.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile ldms ctl agg-1:411 prdcr_status
  campanile ldms ctl agg-1:411 -a ovis -A conf=/etc/ldms/secret updtr_status
  campanile ldms ctl --hosts 'node-[1-64]:411' daemon_status
  campanile ldms ctl agg-1:411 --cmd 'prdcr_stop name=p1' --cmd 'prdcr_status name=p1'
  campanile ldms ctl agg-1:411 --json < commands.txt

Exit codes:
  0 every daemon accepted every command; 1 a daemon was not reached, did not
  answer or refused; 2 wrong options, or a line that is no command (then
  nothing was sent)")]
pub(crate) struct Args {
    /// HOST:PORT of the daemon, or a hostlist of several (unless --hosts is given); then the words of one command
    #[arg(value_name = "HOST:PORT] [COMMAND")]
    words: Vec<String>,
    /// The daemons, as a hostlist; the port is 411 unless named
    #[arg(long, value_name = "HOSTLIST:PORT")]
    hosts: Option<String>,
    /// Transport of the daemons; only sock is spoken
    #[arg(short = 'x', long, value_name = "XPRT", default_value = "sock")]
    xprt: String,
    #[command(flatten)]
    auth: AuthArgs,
    /// A whole command; as often as needed, in this order
    #[arg(long, value_name = "COMMAND")]
    cmd: Vec<String>,
    /// Read commands from this file, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "cmd")]
    source: Option<PathBuf>,
    /// Of a daemon that has refused a command, leave out the commands after it
    #[arg(short = 'e', long)]
    stop_on_error: bool,
    /// How long a connection may take
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "5s")]
    connect_timeout: Duration,
    /// How long an answer may take
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "10s")]
    timeout: Duration,
    /// Talk to so many daemons at once
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    at_once: u16,
    /// Print JSON, of the form that the manual describes
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let (list, words) = match (&args.hosts, args.words.split_first()) {
        (Some(hosts), _) => (hosts.as_str(), args.words.as_slice()),
        (None, Some((target, words))) => (target.as_str(), words),
        (None, None) => return Err(Failure::Usage("which daemon? HOST:PORT is missing".to_owned())),
    };
    let endpoints = targets::endpoints(list, &args.xprt).map_err(Failure::Usage)?;
    let given = !words.is_empty();
    if given && (!args.cmd.is_empty() || args.source.is_some()) {
        return Err(Failure::Usage(
            "a command is given twice: as words, and by --cmd or --source".to_owned(),
        ));
    }
    let auth = args.auth.load()?;
    let options = Options {
        auth,
        connect_timeout: args.connect_timeout,
        request_timeout: args.timeout,
        ..Options::default()
    };
    let stdin = std::io::stdin();
    if !given && args.cmd.is_empty() && args.source.is_none() && stdin.is_terminal() {
        return runtime::block_on(converse(args, &endpoints, &options))?;
    }
    let (origin, lines) = if given {
        ("the command line".to_owned(), vec![(1, script::from_words(words))])
    } else if !args.cmd.is_empty() {
        ("--cmd".to_owned(), numbered(args.cmd.iter().cloned()))
    } else if let Some(path) = &args.source {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        (path.display().to_string(), numbered(text.lines().map(str::to_owned)))
    } else {
        let read: Result<Vec<String>, _> = stdin.lock().lines().collect();
        ("standard input".to_owned(), numbered(read.context("cannot read standard input")?))
    };
    let steps = script::read(&origin, &lines).map_err(Failure::Usage)?;
    if steps.is_empty() {
        return Err(Failure::Usage(format!("{origin}: no command")));
    }
    runtime::block_on(send(args, endpoints, options, steps))?
}

fn numbered(lines: impl IntoIterator<Item = String>) -> Vec<(usize, String)> {
    lines.into_iter().enumerate().map(|(index, line)| (index + 1, line)).collect()
}

async fn send(args: &Args, endpoints: Vec<Endpoint>, options: Options, steps: Vec<Step>) -> Outcome {
    let conversations = ask_all(args, endpoints, options, steps).await;
    if args.json {
        output::print_json(&conversations)?;
    } else {
        output::print(&show::answers(&conversations))?;
    }
    let problems = show::problems(&conversations);
    output::print_error(&problems);
    if problems.is_empty() { Ok(()) } else { Err(Failure::Told(EXIT_WORLD)) }
}

/// Talks to all daemons, so many at once; the answers come in the order of the daemons.
async fn ask_all(
    args: &Args,
    endpoints: Vec<Endpoint>,
    options: Options,
    steps: Vec<Step>,
) -> Vec<Conversation> {
    let room = Arc::new(Semaphore::new(args.at_once.into()));
    let shared = Arc::new((options, steps));
    let stop_on_error = args.stop_on_error;
    let mut tasks = JoinSet::new();
    let mut conversations: Vec<Conversation> = endpoints.iter().map(Conversation::unasked).collect();
    for (index, endpoint) in endpoints.into_iter().enumerate() {
        let (room, shared) = (Arc::clone(&room), Arc::clone(&shared));
        tasks.spawn(async move {
            // The semaphore is never closed; should it be, nobody waits for room any more.
            let _permit = room.acquire_owned().await;
            (index, talk::talk(&endpoint, &shared.0, &shared.1, stop_on_error).await)
        });
    }
    while let Some(done) = tasks.join_next().await {
        if let Ok((index, conversation)) = done
            && let Some(place) = conversations.get_mut(index)
        {
            *place = conversation;
        }
    }
    conversations
}

/// Reads commands from a terminal and shows each answer at once.
async fn converse(args: &Args, endpoints: &[Endpoint], options: &Options) -> Outcome {
    let prompt = match endpoints {
        [one] => format!("{one}> "),
        many => format!("{} daemons> ", many.len()),
    };
    let mut failed = false;
    loop {
        output::print(&prompt)?;
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).context("cannot read standard input")?;
        if read == 0 || matches!(line.trim(), "quit" | "bye") {
            output::print("\n")?;
            return if failed { Err(Failure::Told(EXIT_WORLD)) } else { Ok(()) };
        }
        match script::read("the command", &[(1, line)]) {
            Ok(steps) if steps.is_empty() => {}
            Ok(steps) => {
                let conversations = ask_all(args, endpoints.to_vec(), options.clone(), steps).await;
                output::print(&show::answers(&conversations))?;
                let problems = show::problems(&conversations);
                failed |= !problems.is_empty();
                output::print_error(&problems);
            }
            Err(problem) => {
                failed = true;
                output::print_error(&format!("error: {problem}\n"));
            }
        }
    }
}
