//! The service catalog of a token: which service answers where. Pure.

use serde_json::Value;

/// A service of OpenStack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// nova
    Compute,
    /// neutron
    Network,
    /// glance
    Image,
    /// cinder
    Volume,
}

impl Service {
    const ALL: [Self; 4] = [Self::Compute, Self::Network, Self::Image, Self::Volume];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Network => "network",
            Self::Image => "image",
            Self::Volume => "block storage",
        }
    }

    /// The word of the header `OpenStack-API-Version`.
    pub(super) fn microversion_name(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            other => other.name(),
        }
    }

    /// The types under which catalogs list it (service-types authority), the preferred one first.
    fn types(self) -> &'static [&'static str] {
        match self {
            Self::Compute => &["compute"],
            Self::Network => &["network"],
            Self::Image => &["image"],
            Self::Volume => &["volumev3", "block-storage", "block-store", "volume"],
        }
    }

    /// What an endpoint without a version lacks.
    fn version(self) -> &'static str {
        match self {
            Self::Compute => "/v2.1",
            Self::Network => "/v2.0",
            Self::Image => "/v2",
            Self::Volume => "/v3",
        }
    }
}

/// Endpoints by service, for one region and one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Catalog {
    endpoints: Vec<(Service, String)>,
}

impl Catalog {
    /// Reads the `token` of keystone's answer. Without a region the catalog must have only one.
    pub(super) fn read(token: &Value, region: Option<&str>, interface: &str) -> Result<Self, String> {
        let entries =
            token["catalog"].as_array().ok_or("keystone gave no catalog (is the login for a project?)")?;
        let mut regions: Vec<&str> = entries
            .iter()
            .filter(|entry| entry["type"] == "compute")
            .flat_map(|entry| entry["endpoints"].as_array().into_iter().flatten())
            .filter_map(|endpoint| endpoint["region_id"].as_str().or_else(|| endpoint["region"].as_str()))
            .collect();
        regions.sort_unstable();
        regions.dedup();
        let region = match (region, regions.as_slice()) {
            (Some(region), all) if all.contains(&region) => region,
            (Some(region), all) => {
                return Err(format!("there is no region {region:?}; the catalog has {}", all.join(", ")));
            }
            (None, [only]) => only,
            (None, []) => return Err("the catalog has no compute service".to_owned()),
            (None, all) => return Err(format!("region_name is missing; the catalog has {}", all.join(", "))),
        };
        let endpoints = Service::ALL.into_iter().filter_map(|service| {
            let url = service.types().iter().find_map(|kind| endpoint(entries, kind, region, interface))?;
            Some((service, versioned(url, service)))
        });
        Ok(Self { endpoints: endpoints.collect() })
    }

    /// Where a service answers, without a slash at its end.
    pub(super) fn endpoint(&self, service: Service) -> Option<&str> {
        self.endpoints.iter().find(|(one, _)| *one == service).map(|(_, url)| url.as_str())
    }
}

fn endpoint<'v>(entries: &'v [Value], kind: &str, region: &str, interface: &str) -> Option<&'v str> {
    entries
        .iter()
        .filter(|entry| entry["type"] == kind)
        .flat_map(|entry| entry["endpoints"].as_array().into_iter().flatten())
        .find(|endpoint| {
            (endpoint["region_id"] == region || endpoint["region"] == region)
                && endpoint["interface"] == interface
        })?["url"]
        .as_str()
}

/// Catalogs give endpoints with a version (`…/v2.1`, `…/v3/PROJECT`) or without.
fn versioned(url: &str, service: Service) -> String {
    let url = url.trim_end_matches('/');
    let is_version = |part: &str| {
        let digits = part.strip_prefix('v').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    if path.split('/').skip(1).any(is_version) {
        url.to_owned()
    } else {
        format!("{url}{}", service.version())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn token() -> Value {
        let endpoint = |region: &str, url: &str| json!({"region_id": region, "region": region, "interface": "public", "url": url});
        json!({"catalog": [
            {"type": "compute", "endpoints": [endpoint("A", "http://a:8774/v2.1/"), endpoint("B", "http://b:8774/v2.1")]},
            {"type": "network", "endpoints": [endpoint("A", "http://a:9696")]},
            {"type": "image", "endpoints": [endpoint("A", "http://v2.example/glance")]},
            {"type": "volumev3", "endpoints": [endpoint("A", "http://a:8776/v3/0123")]},
        ]})
    }

    #[test]
    fn endpoints_are_those_of_the_region_with_a_version() {
        let catalog = Catalog::read(&token(), Some("A"), "public").unwrap();
        assert_eq!(catalog.endpoint(Service::Compute), Some("http://a:8774/v2.1"));
        assert_eq!(catalog.endpoint(Service::Network), Some("http://a:9696/v2.0"));
        assert_eq!(catalog.endpoint(Service::Image), Some("http://v2.example/glance/v2"));
        assert_eq!(catalog.endpoint(Service::Volume), Some("http://a:8776/v3/0123"));
        let catalog = Catalog::read(&token(), Some("B"), "public").unwrap();
        assert_eq!(catalog.endpoint(Service::Volume), None);
    }

    #[test]
    fn a_region_that_is_missing_or_unknown_is_said_with_those_there_are() {
        assert_eq!(
            Catalog::read(&token(), None, "public").unwrap_err(),
            "region_name is missing; the catalog has A, B"
        );
        assert!(Catalog::read(&token(), Some("C"), "public").unwrap_err().contains("no region \"C\""));
        assert!(Catalog::read(&json!({}), None, "public").is_err());
    }
}
