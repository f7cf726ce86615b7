//! The ready file: what others need to use the server and its data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What others need to use the server and its data.
#[derive(Clone, Serialize, Deserialize)]
pub struct Ready {
    /// Where it serves, without a slash at the end.
    pub base_url: String,
    /// An administrator's token.
    pub admin_token: String,
    /// People by e-mail address.
    pub people: BTreeMap<String, ReadyPerson>,
    /// Agents by name.
    pub agents: BTreeMap<String, ReadyAgent>,
}

/// A person who can sign in.
#[derive(Clone, Serialize, Deserialize)]
pub struct ReadyPerson {
    /// Their own token.
    pub token: String,
}

/// An agent that can prove itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadyAgent {
    /// Its id at the token endpoint.
    pub client_id: String,
    /// File of its private key, PKCS#8 PEM.
    pub key_file: String,
    /// Names of its workflows.
    pub workflows: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_file_has_the_shape_that_scripts_read() {
        let agent = ReadyAgent {
            client_id: "agt_1".into(),
            key_file: "a.pem".into(),
            workflows: vec!["answer".into()],
        };
        let ready = Ready {
            base_url: "http://127.0.0.1:7600".into(),
            admin_token: "t".into(),
            people: [(
                "maria@acme.example".into(),
                ReadyPerson { token: "p".into() },
            )]
            .into(),
            agents: [("support-triage".into(), agent)].into(),
        };
        let expected = serde_json::json!({
            "base_url": "http://127.0.0.1:7600", "admin_token": "t", "people": { "maria@acme.example": { "token": "p" } },
            "agents": { "support-triage": { "client_id": "agt_1", "key_file": "a.pem", "workflows": ["answer"] } },
        });
        assert_eq!(serde_json::to_value(ready).unwrap(), expected);
    }
}
