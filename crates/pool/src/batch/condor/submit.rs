//! Submitting jobs.

use super::{BatchError, Condor, temporary};

/// `condor_submit` waits for a hung schedd without end.
const SUBMIT_DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

impl Condor {
    /// Submits what a submit description says; the answer is the range of ids, such as `1.0 - 1.9`.
    ///
    /// # Errors
    /// [`BatchError`], with what `condor_submit` says.
    pub async fn submit(&self, description: &str) -> Result<String, BatchError> {
        let file = temporary(description)?;
        let path = file.path().display().to_string();
        let (text, ended) =
            self.programs.text("condor_submit", &["-terse", path.as_str()], SUBMIT_DEADLINE).await?;
        // Warnings go to standard error; the exit code decides.
        if ended.code != Some(0) {
            return Err(BatchError::Unknown(format!("condor_submit: {}", ended.words())));
        }
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
