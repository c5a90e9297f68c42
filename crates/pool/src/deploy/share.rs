//! The files that ship: beside the program, in the search path of EHOS, and in the program itself, so that it needs no
//! other file.

use std::path::{Path, PathBuf};

use crate::config::{Place, find_file};

/// Name and content of each file.
const FILES: [(&str, &str); 7] = [
    ("base.yaml", include_str!("../../../../share/ehos/base.yaml")),
    ("execute.yaml", include_str!("../../../../share/ehos/execute.yaml")),
    ("execute-password.yaml", include_str!("../../../../share/ehos/execute-password.yaml")),
    ("master.yaml", include_str!("../../../../share/ehos/master.yaml")),
    ("condor-master.config", include_str!("../../../../share/ehos/condor-master.config")),
    ("ehos.service", include_str!("../../../../share/ehos/ehos.service")),
    ("ehos.yaml.example", include_str!("../../../../share/ehos/ehos.yaml.example")),
];

/// A file that is to be used.
#[derive(Clone, PartialEq, Eq)]
pub struct Shared {
    /// Where it was found, or what it is called in the program.
    pub origin: PathBuf,
    /// Its text.
    pub text: String,
    /// Whether it differs from the one that ships: somebody has altered it.
    pub is_altered: bool,
}

/// The content of a file as it ships.
#[must_use]
pub fn shipped(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(one, _)| *one == name).map(|(_, text)| *text)
}

/// Whether this is the bare name of a file that ships.
#[must_use]
pub fn is_shipped(name: &Path) -> bool {
    in_program(name).is_some()
}

/// The content of a file that ships, by its bare name: nobody has put another one anywhere.
#[must_use]
pub fn in_program(name: &Path) -> Option<&'static str> {
    name.to_str().and_then(shipped)
}

/// The names of all files that ship.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The file that is meant: the one that was `given`, else the one of that name beside the configuration or in the search
/// path (`etc` before `share`), else the one in the program.
///
/// # Errors
/// The file that was given is nowhere, or cannot be read; in words.
pub fn find(given: Option<&Path>, name: &str, base: &Path, place: &Place) -> Result<Shared, String> {
    let wanted = given.unwrap_or(Path::new(name));
    match find_file(wanted, base, &place.working_dir) {
        Some(path) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            let is_altered = shipped(name) != Some(text.as_str());
            Ok(Shared { origin: path, text, is_altered })
        }
        None => match (given, shipped(name)) {
            (None, Some(text)) => Ok(Shared {
                origin: format!("{name} (built in)").into(),
                text: text.to_owned(),
                is_altered: false,
            }),
            _ => Err(format!("{} is not found", wanted.display())),
        },
    }
}

/// Writes the files into a directory, where an installation would have them.
#[cfg(test)]
pub(super) fn install(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    FILES.iter().for_each(|(name, text)| std::fs::write(dir.join(name), text).unwrap());
}

#[cfg(test)]
mod tests {
    use super::super::cloud_init::{Kindred, check, final_message};
    use super::*;

    #[test]
    fn what_ships_passes_our_own_checks() {
        for (name, kindred) in [
            ("base.yaml", Kindred::Whole),
            ("master.yaml", Kindred::Whole),
            ("execute.yaml", Kindred::Worker),
            ("execute-password.yaml", Kindred::Worker),
        ] {
            let text = shipped(name).unwrap();
            let problems = check(Path::new(name), text, kindred);
            assert!(problems.is_empty(), "{}", problems.render(false));
            assert_eq!(final_message(Path::new(name), text), "The EHOS vm is up after");
        }
    }

    #[test]
    fn the_example_is_a_good_configuration_once_it_is_filled_in() {
        let dir = tempfile::tempdir().unwrap();
        install(dir.path());
        let place = Place { host_name: "h".to_owned(), working_dir: dir.path().to_owned() };
        let (config, problems) = crate::config::read(&[dir.path().join("ehos.yaml.example")], &place);
        assert!(config.is_some() && problems.is_empty(), "{}", problems.render(false));
    }

    #[test]
    fn an_altered_file_in_etc_comes_before_what_ships() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { host_name: "h".to_owned(), working_dir: dir.path().to_owned() };
        let find = |given: Option<&str>| find(given.map(Path::new), "base.yaml", dir.path(), &place);
        assert!(!find(None).ok().unwrap().is_altered);
        std::fs::create_dir_all(dir.path().join("etc/ehos")).unwrap();
        std::fs::write(dir.path().join("etc/ehos/base.yaml"), "#cloud-config\n").unwrap();
        let found = find(None).ok().unwrap();
        assert!(found.is_altered && found.origin.ends_with("etc/ehos/base.yaml"));
        assert!(find(Some("no.yaml")).is_err_and(|why| why.contains("no.yaml")));
    }
}
