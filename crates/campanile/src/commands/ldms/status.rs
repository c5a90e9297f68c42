//! `campanile ldms status`: coverage, tiers, load, and who is not well.

use std::fmt::Write as _;

use serde_json::Value;

use super::manager::{Manager, ManagerArgs};
use crate::failure::Outcome;
use crate::render::duration::short;
use crate::{client::unix_now, output, runtime};

/// Show how well the cluster is covered, who carries what, and who is not well
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile ldms status
  campanile ldms status --prefix orion --json

Coverage is the share of the expected metric sets that are fresh at the top
tier: not older than twice the sum of the intervals on their way, plus 1 s.

Exit codes:
  0 shown, whatever it shows; 1 no manager answers; 2 wrong options")]
pub(crate) struct Args {
    #[command(flatten)]
    manager: ManagerArgs,
    /// List every daemon, not only those that are not well
    #[arg(long)]
    all: bool,
    /// Print JSON, of the form that the manual describes
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let status = runtime::block_on(async {
        let manager = Manager::find(&args.manager).await?;
        manager.call("status", Vec::new()).await
    })??;
    if args.json {
        return output::print_json(&status);
    }
    output::print(&render(&status, args.all))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What a manager says of its cluster, for people.
pub(crate) fn render(status: &Value, all: bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let coverage = &status["coverage"];
    match coverage["percent"].as_f64() {
        None => out.push_str("coverage: not measured yet\n"),
        Some(percent) => {
            let _ = write!(
                out,
                "coverage: {percent:.1} % ({} of {} sets fresh",
                coverage["fresh"], coverage["expected"]
            );
            let (living, fresh) = (&coverage["expected_of_living"], &coverage["fresh_of_living"]);
            let _ = write!(out, "; of samplers that answer {fresh} of {living})");
            if let Some(worst) = status["worst_hour"]["percent"].as_f64() {
                let ago_s = unix_now() - status["worst_hour"]["at_s"].as_f64().unwrap_or(0.0);
                let _ = write!(out, ", worst in the last hour {worst:.1} % {} ago", short(ago_s.max(0.0)));
            }
            out.push('\n');
            let stale: Vec<&str> = list(&coverage["stale"]).map(text).take(5).collect();
            if !stale.is_empty() {
                let _ = writeln!(out, "not fresh: {}", stale.join(", "));
            }
        }
    }
    let managers: Vec<String> = list(&status["managers"])
        .map(|one| {
            let this = if one["this"] == true { " (this one)" } else { "" };
            let leads = if one["leads"] == true { " leads and" } else { "" };
            format!("{}{this}{leads} watches {}", text(&one["manager"]), one["daemons"])
        })
        .collect();
    if managers.len() > 1 {
        let _ = writeln!(out, "managers: {}", managers.join(", "));
    }
    if status["hands_off"] == true {
        out.push_str("hands off: the store is out of reach or has no majority; nothing is changed\n");
    }
    for group in list(&status["groups"]) {
        let _ = writeln!(out, "\n{} ({} producers)", text(&group["name"]), group["producers"]);
        for member in list(&group["members"]) {
            let drained = if member["drained"] == true { ", drained" } else { "" };
            let over = if member["over_limit"] == true { ", over its limit" } else { "" };
            let _ = write!(
                out,
                "  {:<20} {:<8} carries {:>5}, connected to {:>5}{drained}{over}",
                text(&member["daemon"]),
                text(&member["health"]),
                // A JSON value knows nothing of the width.
                member["assigned"].to_string(),
                member["connected"].to_string(),
            );
            if let Some(reason) = member["reason"].as_str().filter(|reason| !reason.is_empty()) {
                let _ = write!(out, ": {reason}");
            }
            out.push('\n');
            for held in list(&member["held"]) {
                let _ = writeln!(out, "    refuses {}", text(held));
            }
        }
        if group["unassigned"].as_u64() > Some(0) {
            let _ = writeln!(out, "  {} without an aggregator", group["unassigned"]);
        }
    }
    let mut first = true;
    for daemon in list(&status["daemons"]) {
        let judgement: Vec<&str> = list(&daemon["judgement"]).map(text).collect();
        let well = daemon["health"] == "up" && judgement.is_empty();
        if !all && (well || daemon["managed"] == false) {
            continue;
        }
        if std::mem::take(&mut first) {
            out.push_str(if all { "\ndaemons\n" } else { "\nnot well\n" });
        }
        let since_s = unix_now() - daemon["since_s"].as_f64().unwrap_or(0.0);
        let mut words: Vec<&str> =
            daemon["reason"].as_str().into_iter().filter(|text| !text.is_empty()).collect();
        words.extend(judgement);
        let _ = writeln!(
            out,
            "  {:<20} {:<8} for {} {}",
            text(&daemon["daemon"]),
            text(&daemon["health"]),
            short(since_s.max(0.0)),
            words.join("; ")
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wrong_is_shown() {
        let status = json!({
            "coverage": {"percent": 50.0, "fresh": 1, "expected": 2, "expected_of_living": 1, "fresh_of_living": 1,
                "stale": []},
            "worst_hour": {"percent": 0.0, "at_s": 0.0},
            "managers": [{"manager": "n1-7", "leads": true, "this": false, "daemons": 3},
                {"manager": "n2-8", "leads": false, "this": true, "daemons": 2}],
            "groups": [{"name": "l1-[1-2]", "producers": 2, "unassigned": 0, "members": [
                {"daemon": "l1-1", "health": "hung", "reason": "no answer for 3 s", "drained": false,
                 "assigned": 0, "connected": 1, "held": ["prdcr_add x: no"]}]}],
            "daemons": [{"daemon": "s-1", "health": "down", "reason": "refused", "since_s": 0.0, "judgement": [],
                "managed": true}],
        });
        let text = render(&status, false);
        for part in [
            "coverage: 50.0 % (1 of 2",
            "n1-7 leads and watches 3, n2-8 (this one) watches 2",
            "l1-1",
            "hung",
            "no answer for 3 s",
            "refuses prdcr_add",
            "s-1",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
