//! The table of promises: each row says what is promised and which tests prove it, or "not yet".
//!
//! A row reads `| id | promise | proof |`. The proof is `not yet`, or one or more test names in backticks: the
//! name of the function, with as much of its path before it as is needed to make it unique.

use crate::junit::{Outcome, TestRun};
use crate::problem::Problem;
use std::collections::HashMap;
use std::path::Path;

/// One promise.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) id: String,
    /// The tests that prove it; empty for "not yet".
    pub(crate) tests: Vec<String>,
}

const NOT_YET: &str = "not yet";

/// The rows of all tables in the text whose heads are `id`, `promise`, `proof`, and what is wrong with them.
pub(crate) fn parse(file: &Path, text: &str) -> (Vec<Row>, Vec<Problem>) {
    let mut rows = Vec::new();
    let mut problems = Vec::new();
    let mut seen = HashMap::new();
    let mut in_table = false;
    for (line, source) in (1..).zip(text.lines()) {
        let Some(cells) = cells(source) else {
            in_table = false;
            continue;
        };
        if cells.iter().eq(["id", "promise", "proof"]) {
            in_table = true;
            continue;
        }
        let is_rule = cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| "-:".contains(c)));
        if !in_table || is_rule {
            continue;
        }
        match row(line, &cells) {
            Ok(row) => {
                if let Some(first) = seen.insert(row.id.clone(), line) {
                    let message = format!("the id {:?} is that of line {first}, too", row.id);
                    problems.push(Problem::new(file, line, message));
                }
                rows.push(row);
            }
            Err(message) => problems.push(Problem::new(file, line, message)),
        }
    }
    if rows.is_empty() {
        problems.push(Problem::new(
            file,
            0,
            "no row was found: a table starts with `| id | promise | proof |`",
        ));
    }
    (rows, problems)
}

/// The cells of a table line, with `\|` taken as a character of the text; `None` for any other line.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let protected = inner.replace("\\|", "\u{0}");
    Some(protected.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect())
}

fn row(line: usize, cells: &[String]) -> Result<Row, String> {
    let [id, promise, proof] = cells else {
        return Err(format!("{} cells instead of 3 (write a bar within a cell as \\|)", cells.len()));
    };
    if id.is_empty() || promise.is_empty() {
        return Err("a row needs an id and a promise".to_owned());
    }
    let (id, line) = (id.clone(), line);
    if proof == NOT_YET {
        return Ok(Row { line, id, tests: Vec::new() });
    }
    let tests: Vec<String> = proof.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let between: String = proof.split('`').step_by(2).collect();
    let is_name = |test: &String| test.chars().all(|c| c.is_alphanumeric() || "_:-".contains(c));
    if tests.is_empty()
        || !between.chars().all(|c| c == ',' || c.is_whitespace())
        || !tests.iter().all(is_name)
    {
        return Err(format!("the proof of {id} is neither {NOT_YET:?} nor test names in backticks: {proof}"));
    }
    Ok(Row { line, id, tests })
}

/// What is missing for the rows to be proved by the run.
pub(crate) fn check(file: &Path, rows: &[Row], runs: &[TestRun]) -> Vec<Problem> {
    let problem = |row: &Row, test: &str| {
        let found: Vec<&TestRun> = runs.iter().filter(|run| matches(run, test)).collect();
        let message = match found.as_slice() {
            [] => Some("does not exist or did not run".to_owned()),
            [run] => match &run.outcome {
                Outcome::Passed => None,
                Outcome::Failed => Some("failed".to_owned()),
                Outcome::Skipped(reason) => Some(format!("was skipped: {reason}")),
            },
            many => Some(format!("is not one test but {}: give more of its path", many.len())),
        };
        message
            .map(|message| Problem::new(file, row.line, format!("{}: the test `{test}` {message}", row.id)))
    };
    rows.iter().flat_map(|row| row.tests.iter().filter_map(move |test| problem(row, test))).collect()
}

/// Whether `test` is the end of the full name of the test, cut at a `::`.
fn matches(run: &TestRun, test: &str) -> bool {
    let full = format!("{}::{}", run.binary, run.name);
    full == test || full.strip_suffix(test).is_some_and(|before| before.ends_with("::"))
}

/// The counts, for the last line of a run.
pub(crate) fn summary(rows: &[Row]) -> String {
    let open = rows.iter().filter(|row| row.tests.is_empty()).count();
    format!("{} promises: {} with proof, {open} not yet", rows.len(), rows.len() - open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, outcome: Outcome) -> TestRun {
        TestRun { binary: "campanile-host::life".to_owned(), name: name.to_owned(), outcome }
    }

    /// What is said about a table of these rows after a run of a handful of tests.
    fn verdict(rows: &str) -> Vec<String> {
        let text = format!("# T\n\n| id | promise | proof |\n|---|:---|---|\n{rows}\n\ntext\n");
        let file = Path::new("p.md");
        let (rows, mut problems) = parse(file, &text);
        let runs = [
            run("plan::tests::it_rests", Outcome::Passed),
            run("plan::tests::it_runs", Outcome::Failed),
            run("it_waits", Outcome::Skipped("no crossbar".to_owned())),
            run("a::twice", Outcome::Passed),
            run("b::twice", Outcome::Passed),
        ];
        problems.extend(check(file, &rows, &runs));
        problems.iter().map(Problem::to_string).collect()
    }

    #[test]
    fn rows_that_are_proved_or_not_yet_are_fine() {
        assert!(verdict("| A-1 | rests | `it_rests`, `b::twice` |\n| A-2 | a \\| b | not yet |").is_empty());
        assert!(verdict("| A-1 | rests | `campanile-host::life::plan::tests::it_rests` |").is_empty());
    }

    #[test]
    fn a_row_whose_test_does_not_exist_is_caught() {
        let expected = "p.md:5: A-1: the test `rests` does not exist or did not run";
        assert_eq!(verdict("| A-1 | rests | `rests` |"), [expected]);
    }

    #[test]
    fn a_row_whose_test_failed_or_was_skipped_is_caught() {
        assert_eq!(verdict("| A-1 | x | `it_runs` |"), ["p.md:5: A-1: the test `it_runs` failed"]);
        let expected = "p.md:5: A-1: the test `it_waits` was skipped: no crossbar";
        assert_eq!(verdict("| A-1 | x | `it_waits` |"), [expected]);
    }

    #[test]
    fn an_ambiguous_name_is_caught() {
        let expected = "p.md:5: A-1: the test `twice` is not one test but 2: give more of its path";
        assert_eq!(verdict("| A-1 | x | `twice` |"), [expected]);
    }

    #[test]
    fn a_row_without_proof_a_repeated_id_and_a_wrong_number_of_cells_are_caught() {
        assert_eq!(verdict("| A-1 | x | |").len(), 2, "the bad row, and no row left");
        assert_eq!(verdict("| A-1 | x | someday |").len(), 2);
        assert_eq!(verdict("| A-1 | x | `it_rests` probably |").len(), 2);
        assert_eq!(
            verdict("| A-1 | x | not yet |\n| A-1 | y | not yet |"),
            ["p.md:6: the id \"A-1\" is that of line 5, too"]
        );
        assert!(verdict("| A-1 | x | y | not yet |")[0].contains("4 cells"));
    }
}
