//! Which daemons, and where: `NAMES=HOST:PORTS`.

use std::collections::HashSet;

use campanile_ldms::hostlist;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// One daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) host: String,
    /// 0 is any.
    pub(super) port: u16,
}

/// The daemons that are meant, in written order.
pub(super) fn places(specs: &[String]) -> Result<Vec<Place>, String> {
    let mut places = Vec::new();
    let mut wrong = Vec::new();
    for spec in specs {
        match read(spec) {
            Ok(found) => places.extend(found),
            Err(problem) => wrong.push(format!("{spec}: {problem}")),
        }
    }
    let mut seen = HashSet::new();
    wrong.extend(
        places
            .iter()
            .filter(|place| !seen.insert(place.name.as_str()))
            .map(|place| format!("there are two daemons called {}", place.name)),
    );
    if wrong.is_empty() { Ok(places) } else { Err(wrong.join("\n")) }
}

fn read(spec: &str) -> Result<Vec<Place>, String> {
    let (names, at) = spec.split_once('=').unwrap_or((spec, "127.0.0.1:0"));
    let names = hostlist::expand(names).map_err(|error| error.to_string())?;
    let ends = hostlist::expand(at).map_err(|error| error.to_string())?;
    if names.is_empty() || ends.is_empty() {
        return Err("no names, or no place".to_owned());
    }
    let anywhere = matches!(ends.as_slice(), [one] if one.ends_with(":0"));
    if names.len() != ends.len() && !anywhere {
        return Err(format!("{} names for {} places", names.len(), ends.len()));
    }
    let place = |(name, end): (String, &String)| {
        let (host, port) = end.rsplit_once(':').ok_or_else(|| format!("`{end}` is not HOST:PORT"))?;
        let port = port.parse().map_err(|_| format!("`{end}` is not HOST:PORT"))?;
        Ok(Place { name, host: host.to_owned(), port })
    };
    names.into_iter().zip(ends.iter().cycle()).map(place).collect()
}

/// A daemon takes a file for its port and one for each connection: the limit is raised as far as the system lets us.
pub(super) fn make_room() {
    let limit = getrlimit(Resource::Nofile);
    // Where the system does not let us, a port or connection fails later, and says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(specs: &[&str]) -> String {
        let specs: Vec<String> = specs.iter().map(|spec| (*spec).to_owned()).collect();
        match places(&specs) {
            Ok(places) => {
                let texts =
                    places.iter().map(|place| format!("{}@{}:{}", place.name, place.host, place.port));
                texts.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error,
        }
    }

    #[test]
    fn names_and_places_pair_in_written_order() {
        assert_eq!(shown(&["s-[9-10]=h:[1-2]", "a"]), "s-9@h:1 s-10@h:2 a@127.0.0.1:0");
        assert_eq!(shown(&["s-[1-2]=127.0.0.2:0"]), "s-1@127.0.0.2:0 s-2@127.0.0.2:0");
        assert_eq!(shown(&["s-[1-2]=h[1-2]:5"]), "s-1@h1:5 s-2@h2:5");
    }

    #[test]
    fn everything_that_does_not_pair_is_told() {
        assert_eq!(
            shown(&["s-[1-3]=h:[1-2]", "a=h", "b=h:x", "c", "c"]),
            "s-[1-3]=h:[1-2]: 3 names for 2 places\na=h: `h` is not HOST:PORT\nb=h:x: `h:x` is not HOST:PORT\n\
             there are two daemons called c"
        );
    }
}
