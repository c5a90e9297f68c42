//! Documents: every relative link leads somewhere, and the book's table of contents is complete.

use crate::problem::Problem;
use crate::tree::{SourceFile, Tree};
use std::collections::HashMap;

/// The table of contents of the mdBook; every Markdown file beside or below it must be in it.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Looks at every Markdown file.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems: Vec<Problem> = tree.ending(".md").flat_map(|file| broken_links(tree, file)).collect();
    problems.extend(missing_chapters(tree));
    problems
}

fn missing_chapters(tree: &Tree) -> Vec<Problem> {
    let Some(summary) = tree.files.iter().find(|file| file.path == SUMMARY) else {
        return vec![Problem::new(SUMMARY, 0, "does not exist")];
    };
    let linked: Vec<String> =
        links(&summary.text).filter_map(|(_, target)| resolve(SUMMARY, &target)).collect();
    let chapters = tree.ending(".md").filter(|file| file.path.starts_with("docs/") && file.path != SUMMARY);
    let missing = chapters.filter(|file| !linked.contains(&file.path));
    missing.map(|file| Problem::new(SUMMARY, 0, format!("does not list {}", file.path))).collect()
}

fn broken_links(tree: &Tree, file: &SourceFile) -> Vec<Problem> {
    let broken = links(&file.text).filter_map(|(line, target)| {
        if target.contains("://") || target.starts_with("mailto:") {
            return None;
        }
        let (path, anchor) = target.split_once('#').map_or((target.as_str(), None), |(p, a)| (p, Some(a)));
        let path = if path.is_empty() { Some(file.path.clone()) } else { resolve(&file.path, path) };
        let found = path.as_deref().is_some_and(|path| tree.contains(path));
        let text = path.and_then(|path| tree.files.iter().find(|other| other.path == path));
        let anchored = match (anchor, text) {
            (Some(anchor), Some(other)) => anchors(&other.text).iter().any(|known| known == anchor),
            _ => true,
        };
        let message = match (found, anchored) {
            (false, _) => format!("the link leads nowhere: {target}"),
            (true, false) => format!("no such heading: {target}"),
            (true, true) => return None,
        };
        Some(Problem::new(&file.path, line, message))
    });
    broken.collect()
}

/// The targets of inline links and images and of reference definitions, with their lines; code is left out.
fn links(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut found = Vec::new();
    for (line, source) in prose(text) {
        let code_free: String = source.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for (at, _) in code_free.match_indices("](") {
            if let Some(end) = code_free[at + 2..].find(')') {
                let target = code_free[at + 2..at + 2 + end].split_whitespace().next().unwrap_or_default();
                found.push((line, target.to_owned()));
            }
        }
        if let Some((_, target)) =
            code_free.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "))
        {
            found.push((line, target.trim().to_owned()));
        }
    }
    found.into_iter()
}

/// The lines outside fenced code blocks.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    })
}

/// The names under which the headings of a text can be linked to, by the rule of GitHub and mdBook.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    headings
        .map(|(_, line)| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
            let count = seen.entry(slug.clone()).or_insert(0);
            *count += 1;
            if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
        })
        .collect()
}

/// The path that `target` means in a document at `base`; `None` if it leaves the project.
fn resolve(base: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        let readme =
            "[a](docs/a.md#the-head) ![p](docs/p.svg) [d](docs) [w](https://example.org/x) `[no](code.md)`";
        let chapter =
            "# The head\n\nSee [up](../README.md) and [here](#the-head).\n```\n[no](code.md)\n```\n";
        let summary = "# S\n- [A](a.md)\n";
        let files = [("README.md", readme), ("docs/a.md", chapter), (SUMMARY, summary), ("docs/p.svg", "")];
        assert_eq!(messages(&files), Vec::<String>::new());
    }

    #[test]
    fn a_broken_link_and_a_missing_heading_are_caught_with_their_lines() {
        let readme = "\n[a](docs/b.md)\n[a](docs/a.md#tail)\n[out](../x)\n[ref]: gone.md\n";
        let files = [("README.md", readme), ("docs/a.md", "# Head\n"), (SUMMARY, "[A](a.md)")];
        assert_eq!(
            messages(&files),
            [
                "README.md:2: the link leads nowhere: docs/b.md",
                "README.md:3: no such heading: docs/a.md#tail",
                "README.md:4: the link leads nowhere: ../x",
                "README.md:5: the link leads nowhere: gone.md",
            ]
        );
    }

    #[test]
    fn a_chapter_that_the_summary_forgot_is_caught() {
        let files = [(SUMMARY, "[A](a.md)"), ("docs/a.md", ""), ("docs/b.md", "")];
        assert_eq!(messages(&files), ["docs/SUMMARY.md: does not list docs/b.md"]);
    }
}
