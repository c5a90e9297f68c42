//! `campanile status --workers`: the background loops of every manager.

use campanile_ocs::agent::events::WORKERS;
use serde_json::{Value, json};

use crate::client::unix_now;
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::journal::ask::Managers;
use crate::output;
use crate::render::duration::short;

/// Asks all managers for their loops, and shows them.
pub(crate) async fn show(managers: &Managers, as_json: bool) -> Outcome {
    let mut answers = Vec::new();
    for id in managers.ids() {
        let asked = managers.clone();
        answers.push((id.clone(), tokio::spawn(async move { asked.call(&id, WORKERS, json!({})).await })));
    }
    let (mut text, mut list, mut silent) = (String::new(), Vec::new(), 0);
    for (id, answer) in answers {
        match answer.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(answer) => {
                text.push_str(&section(&id, &answer, unix_now()));
                list.push(json!({"manager": id, "workers": answer["workers"], "journal": answer["journal"]}));
            }
            Err(why) => {
                silent += 1;
                text.push_str(&format!("{id}: cannot be asked: {why}\n"));
                list.push(json!({"manager": id, "workers": null, "problem": why}));
            }
        }
    }
    if as_json {
        output::print_json(&json!({ "managers": list }))?;
    } else {
        output::print(&text)?;
    }
    if silent > 0 { Err(Failure::Told(EXIT_WORLD)) } else { Ok(()) }
}

/// The loops of one manager.
fn section(id: &str, answer: &Value, now_s: f64) -> String {
    let mut out = format!("{id}\n");
    let workers = answer["workers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let width = |key: &str, least: usize| {
        let texts = workers.iter().filter_map(|worker| worker[key].as_str());
        texts.map(|text| text.chars().count()).fold(least, usize::max)
    };
    let (name_width, state_width) = (width("name", 12), width("state", 28));
    for worker in workers {
        let (name, state) = (worker["name"].as_str().unwrap_or("?"), worker["state"].as_str().unwrap_or("?"));
        let ran = worker["last_run_s"].as_f64().map_or_else(String::new, |at| short(now_s - at));
        let errors = match worker["errors"].as_u64().unwrap_or(0) {
            0 => "no errors".to_owned(),
            1 => "1 error".to_owned(),
            count => format!("{count} errors"),
        };
        out.push_str(&format!(
            "  {name:<name_width$} {state:<state_width$} last run {ran:>6} ago   {errors}\n"
        ));
        if let Some([at, text]) = worker["last_error"].as_array().map(Vec::as_slice) {
            let ago = at.as_f64().map_or_else(String::new, |at| short(now_s - at));
            out.push_str(&format!("    last error {ago} ago: {}\n", text.as_str().unwrap_or("?")));
        }
    }
    if let Some(trouble) = answer["journal"].as_str() {
        out.push_str(&format!("  {trouble}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loop_has_a_line_and_its_last_error_one_more() {
        let answer = json!({"journal": "events cannot be saved: database or disk is full", "workers": [
            {"name": "bus", "state": "busy: connecting to the router", "last_run_s": 990.0, "errors": 3,
             "last_error": [995.0, "Connection refused"]},
            {"name": "journal", "state": "idle", "last_run_s": 400.0, "errors": 0, "last_error": null},
        ]});
        insta::assert_snapshot!(section("hm-1", &answer, 1000.0), @r#"
        hm-1
          bus          busy: connecting to the router last run    10s ago   3 errors
            last error 5s ago: Connection refused
          journal      idle                           last run 10m00s ago   no errors
          events cannot be saved: database or disk is full
        "#);
    }
}
