//! Which image and which flavor a new configuration names. PURE.

use crate::clouds::openstack::Image;
use crate::model::Flavor;

/// Systems that the shipped cloud-init files are made for, the preferred ones first: words that all occur in the name or
/// in one tag of the image.
const SYSTEMS: [&[&str]; 13] = [
    &["debian", "13"],
    &["debian", "12"],
    &["rocky", "9"],
    &["almalinux", "9"],
    &["alma", "9"],
    &["centos", "stream", "9"],
    &["rhel", "9"],
    &["ubuntu", "26.04"],
    &["ubuntu", "24.04"],
    &["ubuntu", "22.04"],
    &["rocky", "10"],
    &["almalinux", "10"],
    &["debian", "11"],
];
/// What EHOS looked for. Its packages are no longer to be had.
const OLD: [&[&str]; 2] = [&["centos", "7"], &["centos7"]];

/// An image, and whether it is of a system that is no longer served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChosenImage<'i> {
    /// The image.
    pub image: &'i Image,
    /// Whether it is CentOS 7, which EHOS used.
    pub is_old: bool,
}

/// The image to make bases from: `wanted` by name or id, else the first of the systems that the shipped files are for.
#[must_use]
pub fn image<'i>(images: &'i [Image], wanted: Option<&str>) -> Option<ChosenImage<'i>> {
    let mut active: Vec<&Image> = images.iter().filter(|image| image.status == "active").collect();
    // Of several that fit, the last by name: it is the newest where names end with a date.
    active.sort_by(|a, b| b.name.cmp(&a.name).then(b.id.cmp(&a.id)));
    if let Some(wanted) = wanted {
        let found = active.iter().find(|image| image.id == wanted || image.name == wanted);
        return found.map(|image| ChosenImage { image, is_old: false });
    }
    let of = |words: &&[&str]| active.iter().find(|image| fits(image, words)).copied();
    let current = SYSTEMS.iter().find_map(of).map(|image| ChosenImage { image, is_old: false });
    current.or_else(|| OLD.iter().find_map(of).map(|image| ChosenImage { image, is_old: true }))
}

fn fits(image: &Image, words: &[&str]) -> bool {
    let has = |text: &str| {
        let text = text.to_lowercase();
        let parts: Vec<&str> =
            text.split(|c: char| !c.is_alphanumeric() && c != '.').filter(|part| !part.is_empty()).collect();
        words.iter().all(|word| {
            parts
                .iter()
                .any(|part| part == word || part.strip_prefix(word).is_some_and(|rest| rest.starts_with('.')))
        })
    };
    has(&image.name) || image.tags.iter().any(|tag| has(tag))
}

/// The smallest flavor, by memory, then cores, then disk, that has at least so much.
#[must_use]
pub fn flavor(flavors: &[Flavor], min_cores: u32, min_memory_mib: u64) -> Option<&Flavor> {
    flavors
        .iter()
        .filter(|flavor| flavor.resources.cores >= min_cores && flavor.resources.memory_mib >= min_memory_mib)
        .min_by_key(|flavor| {
            let has = &flavor.resources;
            (has.memory_mib, has.cores, has.disk_mib, flavor.name.clone())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Resources;

    fn of(name: &str, status: &str, tags: &[&str]) -> Image {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Image { id: format!("id-{name}"), name: name.to_owned(), status: status.to_owned(), tags, mark: None }
    }

    #[test]
    fn a_current_system_is_preferred_and_centos_7_is_the_last_resort() {
        let all = [
            of("GOLD CentOS 7", "active", &[]),
            of("outdated Debian 12 (2023)", "deactivated", &[]),
            of("GOLD Rocky Linux 9.5", "active", &[]),
        ];
        let name =
            |images: &[Image], wanted| image(images, wanted).map(|one| (one.image.name.clone(), one.is_old));
        assert_eq!(name(&all, None), Some(("GOLD Rocky Linux 9.5".to_owned(), false)));
        assert_eq!(name(&all[..1], None), Some(("GOLD CentOS 7".to_owned(), true)));
        assert_eq!(name(&all, Some("id-GOLD CentOS 7")), Some(("GOLD CentOS 7".to_owned(), false)));
        assert_eq!(name(&all, Some("BeOS")), None);
        assert_eq!(name(&[of("x", "active", &["debian 13"])], None), Some(("x".to_owned(), false)));
        // 913 is not 9, and 1.9 is not 9
        assert_eq!(name(&[of("Rocky 913", "active", &[]), of("rocky 1.9", "active", &[])], None), None);
    }

    #[test]
    fn the_smallest_flavor_that_suffices_is_taken() {
        let of = |name: &str, cores, memory_mib| Flavor {
            id: name.to_owned(),
            name: name.to_owned(),
            resources: Resources::new(cores, memory_mib),
        };
        let all = [of("l", 4, 8192), of("s", 1, 2048), of("m", 2, 4096), of("fat", 1, 4096)];
        let name = |cores, memory| flavor(&all, cores, memory).map(|flavor| flavor.name.as_str());
        assert_eq!(
            (name(0, 0), name(2, 0), name(1, 4000), name(8, 0)),
            (Some("s"), Some("m"), Some("fat"), None)
        );
    }
}
