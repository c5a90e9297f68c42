//! Cinder: volumes beside or in the place of a disk (Block Storage API v3).

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{CloudError, Leftover, LeftoverKind};
use super::catalog::Service;
use super::compute::gone_is_fine;
use super::session::{Request, Session};
use crate::model::{MARK_KEY, Mark, NODE_KEY};

/// How long a new volume may take until it can be attached.
const AVAILABLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The same where an image is copied to it.
const COPIED_TIMEOUT: Duration = Duration::from_secs(400);
/// Between two looks at it, at first; the pause doubles up to [`LOOK_MAX`].
const LOOK: Duration = Duration::from_millis(250);
const LOOK_MAX: Duration = Duration::from_secs(4);

/// Makes a volume, empty or of an image, and waits until it can be attached; the answer is its id. One that does not get
/// there is removed.
pub(super) async fn create(
    session: &Session,
    gib: u64,
    image: Option<&str>,
    mark: &str,
    node: &str,
) -> Result<String, CloudError> {
    let mut body = json!({"volume": {
        "size": gib, "name": node, "metadata": {MARK_KEY: mark, NODE_KEY: node},
    }});
    if let Some(image) = image {
        body["volume"]["imageRef"] = json!(image);
    }
    let answer = session.call(Request::post(Service::Volume, "/volumes", body)).await?;
    let id = answer["volume"]["id"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| CloudError::Nonsense("cinder gave the new volume no id".to_owned()))?;
    let limit = if image.is_some() { COPIED_TIMEOUT } else { AVAILABLE_TIMEOUT };
    let waited = tokio::time::timeout(limit, available(session, &id)).await;
    match waited
        .unwrap_or_else(|_late| Err(CloudError::Fails("the volume does not get available".to_owned())))
    {
        Ok(()) => Ok(id),
        Err(error) => {
            // Best effort: what is left bears the mark, and is found again.
            let _found_again = remove(session, &id).await;
            Err(error)
        }
    }
}

async fn available(session: &Session, id: &str) -> Result<(), CloudError> {
    let mut pause = LOOK;
    loop {
        let answer = session.call(Request::get(Service::Volume, format!("/volumes/{id}"))).await?;
        match answer["volume"]["status"].as_str().unwrap_or_default() {
            "available" => return Ok(()),
            status if status.starts_with("error") => {
                return Err(CloudError::Fails(format!("the new volume is in the status {status:?}")));
            }
            _ => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(LOOK_MAX);
    }
}

/// Volumes that bear the mark.
pub(super) async fn leftovers(session: &Session, mark: &Mark) -> Result<Vec<Leftover>, CloudError> {
    let mark = mark.value();
    let all = session.list(Request::get(Service::Volume, "/volumes/detail"), "volumes").await?;
    let ours = |value: &Value| {
        let metadata = &value["metadata"];
        if metadata[MARK_KEY].as_str() != Some(mark.as_str()) || value["status"] == "deleting" {
            return None;
        }
        Some(Leftover {
            kind: LeftoverKind::Volume,
            id: value["id"].as_str()?.to_owned(),
            node: metadata[NODE_KEY].as_str().unwrap_or_default().to_owned(),
            server_id: value["attachments"][0]["server_id"].as_str().map(str::to_owned),
        })
    };
    Ok(all.iter().filter_map(ours).collect())
}

/// Removes a volume; `Ok` when it is not there.
pub(super) async fn remove(session: &Session, id: &str) -> Result<(), CloudError> {
    gone_is_fine(session.call(Request::delete(Service::Volume, format!("/volumes/{id}"))).await)
}
