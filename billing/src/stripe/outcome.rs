//! What an answer means, or its absence: one table, pure.
//!
//! | answer | meaning | action |
//! |---|---|---|
//! | 2xx with JSON | carried out | go on |
//! | 2xx without JSON, HTML, truncated, timeout, reset | not known | the same bytes and key again |
//! | no connection | not sent | the same again |
//! | 5xx | not known | the same again; a *replayed* one says that it will stay so: look by LIST |
//! | 409, also idempotency_key_in_use | a twin is running | wait, the same again |
//! | 429 | not carried out, but lock_timeout is saved | the same again; a replayed one: look by LIST |
//! | 400 idempotency_error | our bytes changed under one key | our mistake: this invoice stops |
//! | 401, 403 | key or permission | the run stops |
//! | other 4xx | refused, without effect | this invoice fails, others go on |

use super::answers::{Object, Refusal};
use super::transport::{Answer, SendFailure};

/// What to do about an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// Send the same bytes with the same key again.
    Again(String),
    /// Sending again would only repeat this answer: look at what Stripe holds.
    Observe(String),
    /// Refused for good.
    Refused(String),
    /// The bytes under this key are not those of before.
    Changed(String),
    /// Nothing will work until a person acts.
    Stop(String),
}

/// Reads the table above.
#[must_use]
pub fn classify(sent: &Result<Answer, SendFailure>) -> Outcome {
    let answer = match sent {
        Ok(answer) => answer,
        Err(failure) => return Outcome::Again(failure.to_string()),
    };
    let refusal = Refusal::read(&answer.body);
    let told = match &refusal {
        Some(refusal) => format!("{} {}", answer.status, refusal.told()),
        None => format!("{} without a readable body", answer.status),
    };
    let kind = refusal.as_ref().and_then(|refusal| refusal.kind.as_deref());
    match answer.status {
        200..=299 if Object::read(&answer.body).is_some() => Outcome::Done,
        200..=299 => Outcome::Again(told),
        401 | 403 => Outcome::Stop(told),
        // Saved answers to a request that did not get through stay what they are.
        408 | 409 | 424 | 429 | 500..=599 if answer.replayed => Outcome::Observe(told),
        408 | 409 | 424 | 429 | 500..=599 => Outcome::Again(told),
        400 if kind == Some("idempotency_error") => Outcome::Changed(told),
        400..=499 if refusal.is_some() => Outcome::Refused(told),
        // A proxy's page, not Stripe's answer.
        _ => Outcome::Again(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, replayed: bool, body: &'static str) -> Result<Answer, SendFailure> {
        let body = bytes::Bytes::from_static(body.as_bytes());
        Ok(Answer { status, request_id: None, replayed, rate_limited_reason: None, body })
    }

    #[test]
    fn every_row_of_the_protocol() {
        const ERROR: &str = r#"{"error":{"type":"invalid_request_error","message":"no"}}"#;
        const CHANGED: &str = r#"{"error":{"type":"idempotency_error","message":"keys"}}"#;
        const LOCK: &str = r#"{"error":{"code":"lock_timeout","type":"invalid_request_error"}}"#;
        let name = |outcome: &Outcome| format!("{outcome:?}").split('(').next().unwrap().to_owned();
        for (sent, expected) in [
            (answer(200, false, r#"{"id":"in_1"}"#), "Done"),
            (answer(200, true, r#"{"id":"in_1"}"#), "Done"),
            (answer(200, false, ""), "Again"),
            (answer(200, false, r#"{"id":"in_"#), "Again"),
            (answer(200, false, "<html>"), "Again"),
            (answer(302, false, "<html>"), "Again"),
            (answer(404, false, "<html>"), "Again"),
            (answer(400, false, ERROR), "Refused"),
            (answer(400, true, ERROR), "Refused"),
            (answer(402, false, ERROR), "Refused"),
            (answer(404, false, ERROR), "Refused"),
            (answer(400, false, CHANGED), "Changed"),
            (answer(401, false, ERROR), "Stop"),
            (answer(403, false, "<html>"), "Stop"),
            (answer(409, false, ERROR), "Again"),
            (answer(429, false, ERROR), "Again"),
            (answer(429, false, LOCK), "Again"),
            (answer(429, true, LOCK), "Observe"),
            (answer(500, false, ERROR), "Again"),
            (answer(503, false, "<html>"), "Again"),
            (answer(500, true, ERROR), "Observe"),
            (Err(SendFailure::NotSent("refused".into())), "Again"),
            (Err(SendFailure::Unknown("timeout".into())), "Again"),
        ] {
            assert_eq!(name(&classify(&sent)), expected, "{sent:?}");
        }
    }
}
