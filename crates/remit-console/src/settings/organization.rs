//! The organization itself: who may do what alone, how long browsers stay signed in, the keys that sign tokens, and the
//! company's OpenID provider.

use remit_control::spec::OrganizationSpec;
use remit_domain::{RefusalCode, Role};
use serde_json::json;

use crate::agents::{word, yaml_text};
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::{Fault, capitalized};
use crate::text::Shown;
use crate::ui::{
    Cell, Code, Copy, Empty, Facts, Field, Header, Input, Notice, Row, Section, Table, Tone,
};

fn told(page: Page, fault: &Fault) -> Page {
    let mut notice = Notice::new("bad", capitalized(&fault.text()));
    notice.more = fault.more().iter().map(Shown::block).collect();
    page.notice(Some(notice)).status(fault.status())
}

pub(super) async fn show(ask: Ask) -> Result<Answer, Fault> {
    shown(&ask)?.ok()
}

fn shown(ask: &Ask) -> Result<Page, Fault> {
    let o = ask.control().organization(&ask.caller()?)?;
    let limits = ask.issuer().session_limits(ask.place.org())?;
    let header = Header::new("Organization", &o.name)
        .id(&o.id)
        .copy(&Copy::get(
            "organization show",
            &ask.place.base,
            "/organization",
        ));
    let or = |name: &str, now: String| match ask.field(name) {
        "" => now,
        typed => typed.to_owned(),
    };
    let separation = or("separation", word(&o.spec.separation));
    let on = if o.spec.wit_svids { "on" } else { "off" };
    let wit_svids = or("wit_svids", on.to_owned());
    let form = ask
        .form("organization", "/settings/organization")
        .field(Field::hidden("revision", o.revision))
        .field(
            Field::select("separation", "Separation of duties", &["dual", "single"], &separation)
                .hint("dual: nobody activates their own agent or approves their own policies. single: they may, and a finding stays open."),
        )
        .field(
            Field::new("idle_s", "Seconds after its last use that a browser is signed out", Input::Line)
                .hint("60 to 86,400. A page that is only open is no use.")
                .value(or("idle_s", limits.idle_s.to_string()))
                .required(),
        )
        .field(
            Field::new("life_s", "Seconds after signing in that it is signed out anyway", Input::Line)
                .hint("300 to 604,800.")
                .value(or("life_s", limits.life_s.to_string()))
                .required(),
        )
        .field(
            Field::select("wit_svids", "WIT-SVIDs", &["off", "on"], &wit_svids)
                .hint("Identities of workloads that are bound to a key of theirs. SPIFFE calls them incubating."),
        )
        .button("Save", Tone::Main);
    Ok(ask
        .page("Organization")
        .with(&header)
        .with(&Section::new("organization-part", "Settings of the organization").with(&form)))
}

pub(super) async fn put(ask: Ask) -> Result<Answer, Fault> {
    let saved = async {
        let read = |value| {
            serde_json::from_value(value)
                .map_err(|e| Fault::invalid(format!("the form cannot be read: {e}")))
        };
        let form = json!({
            "separation": ask.field("separation"),
            "sessions": { "idle_s": ask.field_as::<u32>("idle_s")?, "life_s": ask.field_as::<u32>("life_s")? },
            "wit_svids": ask.field("wit_svids") == "on",
        });
        // What the form does not show stays as it is.
        let now = ask.control().organization(&ask.caller()?)?.spec;
        let spec = OrganizationSpec {
            hygiene: now.hygiene,
            regulated: now.regulated,
            bound_tokens: now.bound_tokens,
            ..read(form)?
        };
        let seen = ask.given_as("revision")?;
        ask.control()
            .put_organization(&ask.caller()?, spec, seen)
            .await
            .map_err(Fault::from)
    };
    match saved.await {
        Ok(_) => ask.done("/settings/organization", "saved"),
        Err(fault) if fault.is_correctable() => told(shown(&ask)?, &fault).ok(),
        Err(fault) => Err(fault),
    }
}

pub(super) async fn keys(ask: Ask) -> Result<Answer, Fault> {
    let keys = ask.issuer().signing_keys(ask.place.org()).await?;
    let now = ask.now();
    let rows = keys.iter().map(|k| {
        let state = if k.retired.is_some() {
            "retired"
        } else {
            "active"
        };
        Row::new(
            &k.kid,
            vec![
                Cell::code(&k.kid),
                Cell::badge(state),
                ask.when(k.created).into(),
                Cell::number(now.secs_since(k.created) / 86_400),
                k.published_until.map(|t| ask.when(t).with_exact()).into(),
            ],
        )
    });
    let table = Table::new(
        "signing-keys",
        "Keys that sign access tokens",
        &["Key", "State", "Made", "Days old", "Published until"],
        Empty::new("No key", "One is made with the first token."),
    )
    .rows(rows);
    let mut section = Section::new("signing-keys-part", "Keys that sign access tokens")
        .note("The old one stays published until its last token has ended, so that nothing breaks.")
        .with(&table);
    if ask.holds(Role::Admin) {
        let form = ask
            .form("rotate", "/settings/keys/rotate")
            .button("Sign with a new key", Tone::Main)
            .inline();
        section = section.with(&form);
    }
    let facts = Facts::new()
        .row(
            "Published at",
            Cell::code(format!("{}/oauth2/jwks", ask.place.base)),
        )
        .row(
            "Key of the ledger",
            Cell::code(format!("{}/log/key", ask.place.base)),
        );
    let header = Header::new("Settings", "Signing keys").copy(&Copy::get(
        "key ls",
        &ask.place.base,
        "/signing-keys",
    ));
    ask.page("Signing keys")
        .with(&header)
        .with(&section.with(&facts))
        .ok()
}

pub(super) async fn rotate(ask: Ask) -> Result<Answer, Fault> {
    let by = ask.caller()?.principal;
    ask.issuer().rotate_signing_key(ask.place.org(), by).await?;
    ask.done("/settings/keys", "rotated")
}

/// Settings to begin with.
const PROVIDER: &str = "issuer: https://login.example.com
client_id: remit
client_secret: null
scopes: [email]
groups_claim: groups
groups: { security: [responder], finance: [approver] }
";

pub(super) async fn provider(ask: Ask) -> Result<Answer, Fault> {
    provider_page(&ask, None).await?.ok()
}

async fn provider_page(ask: &Ask, typed: Option<&str>) -> Result<Page, Fault> {
    let found = match ask.control().provider(&ask.caller()?).await {
        Ok(found) => Some(found),
        Err(error) if error.code() == Some(RefusalCode::NotFound) => None,
        Err(error) => return Err(error.into()),
    };
    let mut header = Header::new("Settings", "Company sign-in").copy(&Copy::get(
        "idp show",
        &ask.place.base,
        "/identity-provider",
    ));
    let mut page = ask.page("Company sign-in");
    let text = match &found {
        Some(p) => {
            header = header
                .state(p.state)
                .fact("Issuer", Cell::text(&p.settings.issuer));
            let value = serde_json::to_value(&p.settings).unwrap_or_default();
            yaml_text(&value)
        }
        None => PROVIDER.to_owned(),
    };
    page = page.with(&header);
    let form = ask
        .form("provider", "/settings/sign-in")
        .field(Field::hidden(
            "revision",
            found
                .as_ref()
                .map(|p| p.revision.to_string())
                .unwrap_or_default(),
        ))
        .field(
            Field::new("settings", "Settings (YAML)", Input::Area(18))
                .value(typed.unwrap_or(&text))
                .required(),
        )
        .button("Save", Tone::Main);
    page = page.with(
        &Section::new("provider-part", "OpenID provider")
            .note("People sign in with the company's account. Groups only narrow what a person may do here. Secrets are references to files or variables, never texts.")
            .with(&form),
    );
    if found.is_some() {
        let form = ask
            .form("provider-remove", "/settings/sign-in/remove")
            .button("Take it away", Tone::Danger)
            .inline();
        page = page.with(
            &Section::new("provider-away", "Without it")
                .note("People then sign in with links and passkeys. Sessions that it opened go on.")
                .with(&form),
        );
    } else {
        page = page.with(&Code::new("On the command line", "remit idp set --help"));
    }
    Ok(page)
}

pub(super) async fn put_provider(ask: Ask) -> Result<Answer, Fault> {
    let typed = ask.field("settings").replace("\r\n", "\n");
    let saved = async {
        let settings = serde_saphyr::from_str(&typed)
            .map_err(|e| Fault::invalid(format!("the settings cannot be read: {e}")))?;
        let seen = ask.given_as::<u64>("revision")?;
        ask.control()
            .put_provider(&ask.caller()?, settings, seen)
            .await
            .map_err(Fault::from)
    };
    match saved.await {
        Ok(_) => ask.done("/settings/sign-in", "saved"),
        Err(fault) if fault.is_correctable() => {
            told(provider_page(&ask, Some(&typed)).await?, &fault).ok()
        }
        Err(fault) => Err(fault),
    }
}

pub(super) async fn remove_provider(ask: Ask) -> Result<Answer, Fault> {
    ask.control().remove_provider(&ask.caller()?, None).await?;
    ask.done("/settings/sign-in", "saved")
}
