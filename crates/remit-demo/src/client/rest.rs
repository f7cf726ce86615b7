//! The REST interface, as one person or agent.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// How long one answer may take; a little longer than the longest long-poll.
const PATIENCE: Duration = Duration::from_secs(70);

/// A refused request: RFC 9457, of it what is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// HTTP status.
    pub(crate) status: u16,
    /// The refusal's stable code; empty when the answer was no problem document.
    pub(crate) code: String,
    /// What, why, what to do.
    pub(crate) detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "refused with {} {}: {}",
            self.status, self.code, self.detail
        )
    }
}

impl std::error::Error for Problem {}

/// The REST interface with one credential.
#[derive(Clone)]
pub(crate) struct Rest {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Rest {
    /// At `base`, without a credential.
    pub(crate) fn anonymous(base: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            token: None,
        })
    }

    /// The same with `token`.
    pub(crate) fn with(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// Reads `path` below `/api/v1`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.json(self.api(Method::GET, path))
            .await
            .with_context(|| format!("GET {path}"))
    }

    /// Reads text at `path`, which starts at the server's root.
    pub(crate) async fn text(&self, path: &str) -> Result<String> {
        let answer = self
            .signed(self.http.get(format!("{}{path}", self.base)))
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        if status.is_success() {
            Ok(text)
        } else {
            Err(problem(status.as_u16(), &text).into())
        }
    }

    /// Every item of a list, page by page.
    pub(crate) async fn items(&self, path: &str) -> Result<Vec<Value>> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}{joint}limit=200{after}")).await?;
            items.extend(
                page.get("items")
                    .and_then(Value::as_array)
                    .cloned()
                    .unwrap_or_default(),
            );
            match page.get("next") {
                Some(Value::String(next)) => after = format!("&after={next}"),
                Some(Value::Number(next)) => after = format!("&after={next}"),
                _ => return Ok(items),
            }
        }
    }

    /// Posts `body`.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.try_post(path, body)
            .await?
            .with_context(|| format!("POST {path}"))
    }

    /// Posts `body`; a refusal is an answer.
    pub(crate) async fn try_post(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<Result<Value, Problem>> {
        self.answer(self.api(Method::POST, path).json(body)).await
    }

    fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.signed(
            self.http
                .request(method, format!("{}/api/v1{path}", self.base)),
        )
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn json(&self, request: RequestBuilder) -> Result<Value> {
        Ok(self.answer(request).await??)
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Result<Value, Problem>> {
        let answer = request.send().await.context("the server does not answer")?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            return Ok(Err(problem(status.as_u16(), &text)));
        }
        Ok(Ok(
            serde_json::from_str(&text).context("the server's answer is not JSON")?
        ))
    }
}

fn problem(status: u16, text: &str) -> Problem {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let mut detail = text_of(&body, "/detail");
    for error in body
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let (line, message) = (
            error.get("line").cloned().unwrap_or_default(),
            text_of(error, "/message"),
        );
        detail.push_str(&format!("; line {line}: {message}"));
    }
    if detail.is_empty() {
        detail = text.chars().take(300).collect();
    }
    Problem {
        status,
        code: text_of(&body, "/code"),
        detail,
    }
}

/// The text at a JSON pointer; empty where there is none.
pub(crate) fn text_of(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_with_the_lines_it_names() {
        let body = r#"{"code":"invalid-request","detail":"no","errors":[{"line":3,"column":1,"message":"unknown field"}]}"#;
        let problem = problem(400, body);
        assert_eq!(
            (problem.code.as_str(), problem.detail.as_str()),
            ("invalid-request", "no; line 3: unknown field")
        );
        assert_eq!(super::problem(502, "bad gateway").detail, "bad gateway");
    }
}
