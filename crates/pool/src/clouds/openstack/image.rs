//! Glance: images (Image service API v2).

use serde_json::Value;

use super::super::CloudError;
use super::catalog::Service;
use super::compute::{encode, gone_is_fine};
use super::session::{Request, Session};
use crate::model::MARK_KEY;

/// An image, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Its name; not unique.
    pub name: String,
    /// `queued`, `saving`, `active`, …
    pub status: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The value under [`MARK_KEY`], which it has from the server that it was made of.
    pub mark: Option<String>,
}

fn image(value: &Value) -> Option<Image> {
    let tags = value["tags"].as_array().into_iter().flatten();
    Some(Image {
        id: value["id"].as_str()?.to_owned(),
        name: value["name"].as_str().unwrap_or_default().to_owned(),
        status: value["status"].as_str().unwrap_or_default().to_owned(),
        tags: tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect(),
        mark: value[MARK_KEY].as_str().map(str::to_owned),
    })
}

/// Whether a text has the form of an id; a name could have it, too, but then it is one.
fn looks_like_id(text: &str) -> bool {
    let bare = text.bytes().filter(|byte| *byte != b'-');
    text.len() >= 32 && bare.clone().count() == 32 && bare.into_iter().all(|byte| byte.is_ascii_hexdigit())
}

/// The image of that id.
pub(super) async fn by_id(session: &Session, id: &str) -> Result<Option<Image>, CloudError> {
    match session.call(Request::get(Service::Image, format!("/images/{}", encode(id)))).await {
        Ok(answer) => Ok(image(&answer)),
        Err(CloudError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All images that the project sees, active or not.
pub(super) async fn all(session: &Session) -> Result<Vec<Image>, CloudError> {
    Ok(session
        .list(Request::get(Service::Image, "/images"), "images")
        .await?
        .iter()
        .filter_map(image)
        .collect())
}

/// The id of the image that `name` means: an id, else the exact name of just one active image.
pub(super) async fn find(session: &Session, name: &str) -> Result<String, CloudError> {
    if looks_like_id(name)
        && let Some(image) = by_id(session, name).await?
    {
        return Ok(image.id);
    }
    let query = format!("/images?name={}&status=active", encode(name));
    let found = session.list(Request::get(Service::Image, query), "images").await?;
    match found.iter().filter_map(image).collect::<Vec<_>>().as_slice() {
        [one] => Ok(one.id.clone()),
        [] => Err(CloudError::Invalid(format!("there is no active image {name:?}"))),
        _ => Err(CloudError::Invalid(format!("several images are called {name:?}: give the id"))),
    }
}

/// Removes an image; `Ok` when it is not there.
pub(super) async fn delete(session: &Session, id: &str) -> Result<(), CloudError> {
    gone_is_fine(session.call(Request::delete(Service::Image, format!("/images/{id}"))).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_told_from_a_name() {
        assert!(looks_like_id("6a2f41a3-c54c-fce8-32d2-0324e1c32e22"));
        assert!(looks_like_id("6a2f41a3c54cfce832d20324e1c32e22"));
        assert!(!looks_like_id("GOLD CentOS 7"));
        assert!(!looks_like_id("debian-12"));
    }
}
