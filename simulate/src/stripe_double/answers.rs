//! What the double says back: an [`Answer`] (status and body), and a [`Refusal`], which becomes Stripe's error JSON.
//!
//! A refusal names its `code` only where Stripe documents one. Illegal transitions often come without a code in
//! recordings of the real API, so that is a setting ([`super::Quirks::transition_codes`]).

use serde_json::{Value, json};

/// A whole answer, kept as bytes so that a replay is the same to the byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
    /// Media type of the body.
    pub media_type: &'static str,
    /// Why a limiter refused, for the header `Stripe-Rate-Limited-Reason`.
    pub limit_reason: Option<&'static str>,
}

impl Answer {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string().into_bytes(), media_type: "application/json", limit_reason: None }
    }

    /// What a proxy in front of the API says when the API is away.
    pub fn html(status: u16) -> Self {
        let page = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n");
        Self { status, body: page.into_bytes(), media_type: "text/html", limit_reason: None }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    family: &'static str,
    code: Option<&'static str>,
    message: String,
    param: Option<String>,
    limit_reason: Option<&'static str>,
}

impl Refusal {
    fn new(status: u16, family: &'static str, message: impl Into<String>) -> Self {
        Self { status, family, code: None, message: message.into(), param: None, limit_reason: None }
    }

    /// 400 `invalid_request_error`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// 401: no key, or a wrong one.
    pub fn unauthorised(message: impl Into<String>) -> Self {
        Self::new(401, "invalid_request_error", message)
    }

    /// 404 for a path that no endpoint has.
    pub fn no_such_path(method: &str, path: &str) -> Self {
        Self::new(404, "invalid_request_error", format!("Unrecognized request URL ({method}: {path})."))
    }

    /// 404 for an object named in the path.
    pub fn no_such(noun: &str, id: &str) -> Self {
        Self::new(404, "invalid_request_error", format!("No such {noun}: '{id}'")).code("resource_missing").param("id")
    }

    /// 400 for an object named in a parameter.
    pub fn no_such_in(param: &str, noun: &str, id: &str) -> Self {
        Self::invalid(format!("No such {noun}: '{id}'")).code("resource_missing").param(param)
    }

    /// 400 for a parameter that the endpoint does not have, or that the double does not model.
    pub fn unknown_parameter(name: &str) -> Self {
        Self::invalid(format!("Received unknown parameter: {name}")).code("parameter_unknown").param(name)
    }

    /// 400 for a parameter that must be there.
    pub fn missing_parameter(name: &str) -> Self {
        Self::invalid(format!("Missing required param: {name}.")).code("parameter_missing").param(name)
    }

    /// 400 for an empty value where nothing can be unset.
    pub fn empty_parameter(name: &str) -> Self {
        Self::invalid(format!(
            "You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; \
             however '{name}' cannot be unset."
        ))
        .code("parameter_invalid_empty")
        .param(name)
    }

    /// 400 `idempotency_error`: the key came back with other parameters, or to another path.
    pub fn key_reused(key: &str) -> Self {
        Self::new(
            400,
            "idempotency_error",
            format!(
                "Keys for idempotent requests can only be used with the same endpoint and parameters they were first \
                 used with. Try using a key other than '{key}' if you meant to execute a different request."
            ),
        )
    }

    /// 409: the first request with this key is still running.
    pub fn key_in_use(key: &str) -> Self {
        Self::new(
            409,
            "idempotency_error",
            format!("There is currently another in-progress request using this Idempotency Key ({key})."),
        )
        .code("idempotency_key_in_use")
    }

    /// 429 of a limiter, with its reason.
    pub fn limited(reason: &'static str) -> Self {
        let mut refusal =
            Self::new(429, "invalid_request_error", "Request rate limit exceeded. Slow down and try again.")
                .code("rate_limit");
        refusal.limit_reason = Some(reason);
        refusal
    }

    /// 429 because another request holds the object; it carries no reason.
    pub fn lock_timeout() -> Self {
        Self::new(
            429,
            "invalid_request_error",
            "This object cannot be accessed right now because another API request or Stripe process is currently \
             accessing it.",
        )
        .code("lock_timeout")
    }

    /// 500, which says nothing about what happened.
    pub fn unknown_outcome() -> Self {
        Self::new(500, "api_error", "An unknown error occurred.")
    }

    /// 402: the card was refused.
    pub fn card_declined() -> Self {
        Self::new(402, "card_error", "Your card was declined.").code("card_declined")
    }

    /// With an error code.
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// With the parameter at fault.
    pub fn param(mut self, name: impl Into<String>) -> Self {
        self.param = Some(name.into());
        self
    }

    /// The answer.
    pub fn answer(&self) -> Answer {
        let mut error = json!({ "type": self.family, "message": self.message });
        if let Some(code) = self.code {
            error["code"] = code.into();
            error["doc_url"] = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-")).into();
        }
        if let Some(param) = &self.param {
            error["param"] = param.as_str().into();
        }
        Answer { limit_reason: self.limit_reason, ..Answer::json(self.status, &json!({ "error": error })) }
    }
}
