//! What ran: the report that cargo-nextest writes in JUnit's form.

use anyhow::{Context, Result};

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// It started but could not do its work here, for this reason.
    Skipped(String),
}

/// One test of the run.
#[derive(Clone, Debug)]
pub(crate) struct TestRun {
    /// The binary that holds it, as nextest names it: `campanile-host`, `campanile-wamp::conformance`.
    pub(crate) binary: String,
    /// Its path within the binary: `plan::tests::a_failed_child_is_started_again`.
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
}

/// Reads the report. Tests that were filtered out or ignored are not in it.
pub(crate) fn parse(xml: &str) -> Result<Vec<TestRun>> {
    let document = roxmltree::Document::parse(xml).context("not well-formed XML")?;
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    cases
        .map(|case| {
            let attribute = |name: &str| {
                let value = case.attribute(name).map(str::to_owned);
                value.with_context(|| format!("a test case without {name:?}"))
            };
            let has = |tag: &str| case.children().any(|child| child.has_tag_name(tag));
            let outcome = match () {
                () if has("failure") || has("error") => Outcome::Failed,
                () if has("skipped") => Outcome::Skipped("skipped by the test runner".to_owned()),
                () => Outcome::Passed,
            };
            Ok(TestRun { binary: attribute("classname")?, name: attribute("name")?, outcome })
        })
        .collect()
}

/// Takes in the notes of tests that skipped themselves: lines of binary, test and reason, separated by tabs.
pub(crate) fn mark_skipped(runs: &mut [TestRun], notes: &str) {
    for note in notes.lines() {
        let mut parts = note.splitn(3, '\t');
        let (Some(binary), Some(name)) = (parts.next(), parts.next()) else { continue };
        let reason = parts.next().unwrap_or_default();
        let found = runs.iter_mut().find(|run| run.binary == binary && run.name == name);
        if let Some(run) = found.filter(|run| run.outcome == Outcome::Passed) {
            run.outcome = Outcome::Skipped(reason.to_owned());
        }
    }
}

/// The counts, for the last line of a run.
pub(crate) fn summary(runs: &[TestRun]) -> String {
    let count = |wanted: fn(&Outcome) -> bool| runs.iter().filter(|run| wanted(&run.outcome)).count();
    format!(
        "{} tests: {} passed, {} failed, {} skipped themselves",
        runs.len(),
        count(|outcome| *outcome == Outcome::Passed),
        count(|outcome| *outcome == Outcome::Failed),
        count(|outcome| matches!(outcome, Outcome::Skipped(_))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="3" failures="1" errors="0">
  <testsuite name="campanile-host" tests="2" disabled="0" errors="0" failures="1">
    <testcase name="plan::tests::it_rests" classname="campanile-host" time="0.1"></testcase>
    <testcase name="plan::tests::it_runs" classname="campanile-host" time="0.1">
      <failure message="no" type="test failure">text</failure>
    </testcase>
  </testsuite>
  <testsuite name="campanile::e2e" tests="1">
    <testcase name="all_of_it" classname="campanile::e2e" time="0.1"/>
  </testsuite>
</testsuites>"#;

    #[test]
    fn a_report_gives_every_test_with_its_outcome() {
        let runs = parse(REPORT).unwrap();
        let outcomes: Vec<_> = runs.iter().map(|run| run.outcome.clone()).collect();
        assert_eq!(outcomes, [Outcome::Passed, Outcome::Failed, Outcome::Passed]);
        assert_eq!(runs[2].binary, "campanile::e2e");
        assert_eq!(summary(&runs), "3 tests: 2 passed, 1 failed, 0 skipped themselves");
    }

    #[test]
    fn a_noted_skip_changes_the_outcome_of_that_test_alone() {
        let mut runs = parse(REPORT).unwrap();
        mark_skipped(&mut runs, "campanile::e2e\tall_of_it\tno crossbar\ncampanile\tother\tx\n");
        assert_eq!(runs[2].outcome, Outcome::Skipped("no crossbar".to_owned()));
        assert_eq!(runs[0].outcome, Outcome::Passed);
    }

    #[test]
    fn a_broken_report_is_an_error() {
        assert!(parse("<testsuites><testcase/></testsuites>").is_err());
        assert!(parse("<testsuites>").is_err());
    }
}
