//! Credentials: by the prefix their issuer gave them, by their structure, or by the name of the field they stand in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex::Regex;

use crate::{Class, Finding};

/// Name and form of tokens that their issuers made recognisable.
const PREFIXED: [(&str, &str); 26] = [
    ("remit-token", r"\brmt_[a-z]{3}_[A-Za-z0-9]{20,}\b"),
    ("aws-access-key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    ("github-token", r"\bgh[pousr]_[A-Za-z0-9]{36,}\b"),
    (
        "github-token",
        r"\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b",
    ),
    (
        "gitlab-token",
        r"\bgl(?:pat|ptt|dt|rt|soat|ft|cbt)-[A-Za-z0-9_-]{20,}\b",
    ),
    ("slack-token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}\b"),
    (
        "slack-token",
        r"\bxapp-[0-9]-[A-Z0-9]{8,16}-[0-9]{8,16}-[a-f0-9]{32,}\b",
    ),
    (
        "slack-webhook",
        r"\bhttps://hooks\.slack\.com/(?:services|workflows)/T[A-Za-z0-9]{6,14}/[A-Za-z0-9]{6,20}/[A-Za-z0-9]{16,48}\b",
    ),
    ("stripe-key", r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}\b"),
    ("stripe-webhook", r"\bwhsec_[A-Za-z0-9+/=]{24,}"),
    ("google-api-key", r"\bAIza[A-Za-z0-9_-]{35}\b"),
    (
        "google-oauth",
        r"\b(?:ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{28})\b",
    ),
    (
        "anthropic-key",
        r"\bsk-ant-[a-z0-9]{3,10}-[A-Za-z0-9_-]{20,}",
    ),
    (
        "openai-key",
        r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{32,}",
    ),
    ("huggingface-token", r"\bhf_[A-Za-z0-9]{30,}\b"),
    ("npm-token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("pypi-token", r"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
    ("digitalocean-token", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    (
        "sendgrid-key",
        r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b",
    ),
    ("vault-token", r"\bhv[sbr]\.[A-Za-z0-9_-]{24,}"),
    ("telegram-token", r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b"),
    ("azure-storage-key", r"\bAccountKey=[A-Za-z0-9+/]{86}=="),
    ("databricks-token", r"\bdapi[a-f0-9]{32}\b"),
    ("shopify-token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
    (
        "age-key",
        r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}\b",
    ),
    (
        "private-key",
        r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s\\:,.-]*(?:-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----)?",
    ),
];

/// Names of fields that hold secrets.
const FIELD: &str = r"pass(?:word|wd|phrase|code)|pwd|secret(?:[_. -]?(?:key|access[_. -]?key|token))?|api[_. -]?(?:key|secret|token)|(?:access|auth|bearer|refresh|session|id)[_. -]?token|client[_. -]?secret|private[_. -]?key|account[_. -]?key|signing[_. -]?key|encryption[_. -]?key|credentials?|aws[_. -]?secret[_. -]?access[_. -]?key|connection[_. -]?string";

/// The rules, compiled.
pub(crate) struct Secret {
    prefixed: Vec<(&'static str, Regex)>,
    jwt: Regex,
    url: Regex,
    bearer: Regex,
    assigned: Regex,
    field: Regex,
}

impl Secret {
    pub(crate) fn new() -> Result<Self, regex::Error> {
        let prefixed = PREFIXED
            .iter()
            .map(|(name, form)| Ok((*name, Regex::new(form)?)));
        Ok(Self {
            prefixed: prefixed.collect::<Result<_, regex::Error>>()?,
            jwt: Regex::new(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")?,
            url: Regex::new(
                r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s:/@]{0,64}:([^\s@/]{3,})@[A-Za-z0-9\[]",
            )?,
            bearer: Regex::new(
                r"(?i)\bauthorization\b[^A-Za-z0-9]{1,6}(?:bearer|basic|token)\s+([A-Za-z0-9._~+/=-]{16,})",
            )?,
            assigned: Regex::new(&format!(
                r#"(?i)(?:\b|_)(?:{FIELD})["']?\s*(?:=>|:=|=|:|\bis\b)\s*["'`]?([^\s"'`,;<>(){{}}\[\]]{{8,}})"#
            ))?,
            field: Regex::new(&format!(r"(?i)(?:^|[_. -])(?:{FIELD})$"))?,
        })
    }

    pub(crate) fn find(&self, text: &str, found: &mut Vec<Finding>) {
        for (name, form) in &self.prefixed {
            found.extend(
                form.find_iter(text)
                    .map(|at| Finding::new(Class::Secret, name, at.range())),
            );
        }
        let jwts = self.jwt.find_iter(text).filter(|jwt| is_jose(jwt.as_str()));
        found.extend(jwts.map(|jwt| Finding::new(Class::Secret, "jwt", jwt.range())));
        let named = [
            ("url-password", &self.url),
            ("authorization-header", &self.bearer),
            ("assigned-secret", &self.assigned),
        ];
        for (name, form) in named {
            for groups in form.captures_iter(text) {
                if let Some(value) = groups
                    .get(1)
                    .filter(|value| name == "authorization-header" || random(value.as_str()))
                {
                    found.push(Finding::new(Class::Secret, name, value.range()));
                }
            }
        }
    }

    /// Whether a value under this field name of a document is a secret by its name alone.
    pub(crate) fn in_field(&self, field: &str, value: &str) -> bool {
        let spaced = camel_as_words(field);
        self.field.is_match(&spaced) && !value.contains(char::is_whitespace) && random(value)
    }
}

/// `clientSecret` as `client_Secret`.
fn camel_as_words(field: &str) -> String {
    let mut words = String::with_capacity(field.len() + 4);
    let mut lower = false;
    for c in field.chars() {
        if lower && c.is_uppercase() {
            words.push('_');
        }
        lower = c.is_lowercase();
        words.push(c);
    }
    words
}

/// Whether the first part decodes to a JOSE header.
fn is_jose(token: &str) -> bool {
    let header = token.split('.').next().unwrap_or_default();
    let Ok(header) = URL_SAFE_NO_PAD.decode(header) else {
        return false;
    };
    serde_json::from_slice::<serde_json::Value>(&header)
        .is_ok_and(|header| header.get("alg").is_some())
}

/// Whether a value looks chosen to be guessed by nobody, rather than a placeholder, a reference or a word.
fn random(value: &str) -> bool {
    let lower = value.to_lowercase();
    let placeholder = [
        "xxxx",
        "****",
        "....",
        "example",
        "changeme",
        "change-me",
        "placeholder",
        "redacted",
        "your",
        "dummy",
        "todo",
        "none",
        "null",
        "undefined",
        "insert",
        "env:",
        "vault:",
        "secret:",
        "file:",
        "process.env",
        "os.environ",
        "getenv",
        "required",
        "sha256:",
        "optional",
        "expired",
        "rotat",
    ]
    .iter()
    .any(|mark| lower.contains(mark));
    let variable = value.strip_prefix(['$', '%', '@']);
    let named = variable.is_some_and(|name| {
        name.trim_end_matches('%')
            .chars()
            .all(|c| c.is_ascii_alphabetic() || c == '_')
    });
    let reference = named
        || value.starts_with(['<', '{'])
        || variable.is_some_and(|rest| rest.starts_with(['{', '(']))
        || (value.starts_with('/') && value.contains('.'));
    let kinds = [
        value.chars().any(|c| c.is_ascii_lowercase()),
        value.chars().any(|c| c.is_ascii_uppercase()),
        value.chars().any(|c| c.is_ascii_digit()),
        value.chars().any(|c| !c.is_ascii_alphanumeric()),
    ];
    let kinds = kinds.into_iter().filter(|kind| *kind).count();
    value.len() >= 8
        && !placeholder
        && !reference
        && kinds >= 2
        && has_digit_or_symbol(value)
        && entropy(value) >= 2.5
}

/// A passphrase of letters and dashes only is prose as often as not.
fn has_digit_or_symbol(value: &str) -> bool {
    value.chars().any(|c| {
        c.is_ascii_digit() || matches!(c, '!' | '#' | '$' | '%' | '^' | '&' | '*' | '+' | '=' | '?')
    }) || (value.len() >= 20
        && value.chars().any(|c| c.is_ascii_uppercase())
        && value.chars().any(|c| c.is_ascii_lowercase()))
}

/// Shannon's entropy of the bytes, in bits a byte.
fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let len = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX));
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / len)
        .map(|share| -share * share.log2())
        .sum()
}
