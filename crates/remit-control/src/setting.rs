//! Settings: what an organization makes of calls, level by level. Only administrators write them, and never for themselves.

use remit_classify::Class;
use remit_domain::event::EventKind;
use remit_domain::name::Email;
use remit_domain::run::Mode;
use remit_domain::setting::{
    Level, PATHS_MAX, RATE_CALLS_MAX, Scope, Setting, Standing, Value, denying, standings,
};
use remit_domain::tool::ToolRef;
use remit_domain::{Kind, Noun, Registry, Role, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::eligible;
use crate::draft::Draft;
use crate::error::{invalid, not_found};
use crate::spec::{SettingName, SettingSpec};
use crate::{Caller, Control, ControlError, ListQuery, Listing, Saved, check, names, resolve};

/// A setting, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SettingView {
    /// Its name: `tool:orders/refund`. With an id in place of an address where the person is not known any more.
    pub name: String,
    /// Its id, as decisions name it: an address is a person's id there.
    pub id: String,
    /// How specific it is.
    pub level: Level,
    /// `active` or `removed`.
    pub state: &'static str,
    /// What it does.
    #[serde(flatten)]
    pub spec: SettingSpec,
    /// Who changed it last, by name.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

/// A call whose settings are asked for.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingQuery {
    /// Which tool.
    pub tool: String,
    /// Mode of the run; `interactive` with a person and `api` without where absent.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// For which person.
    #[serde(default)]
    pub person: Option<Email>,
}

/// What the settings about a call come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SettingsExplained {
    /// `deny` where one denies; otherwise `none`: settings permit nothing.
    pub outcome: &'static str,
    /// The setting that decided so; null where none denies.
    pub decided_by: Option<String>,
    /// One line that says why.
    pub why: String,
    /// Every setting about the call, from wide to narrow.
    pub settings: Vec<SettingStanding>,
}

/// One setting about a call, and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SettingStanding {
    /// The setting.
    #[serde(flatten)]
    pub setting: SettingView,
    /// Whether it holds for this call.
    pub holds: bool,
    /// Why it holds, or does not.
    pub standing: Standing,
}

impl Control {
    /// Settings, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn settings(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<SettingView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let query = ListQuery {
            state: Some(query.state.clone().unwrap_or_else(|| "active".to_owned())),
            ..query.clone()
        };
        let all = registry.settings.values();
        let all = all.map(|s| (s.key(), Noun::state(&**s), s));
        Ok(query.page(all, |s| view(&registry, s)))
    }

    /// One setting.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn setting(
        &self,
        caller: &Caller,
        name: &SettingName,
    ) -> Result<SettingView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let scope = name.scope(&registry);
        let found = scope.and_then(|s| registry.settings.get(&s.key()));
        Ok(view(
            &registry,
            found.ok_or_else(|| not_found("setting", name))?,
        ))
    }

    /// Creates or changes a setting. It counts for every call from here on, those that wait included.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, and for the person it is about; `invalid-request`; `conflict`.
    pub async fn put_setting(
        &self,
        caller: &Caller,
        name: &SettingName,
        spec: SettingSpec,
        seen: Option<u64>,
    ) -> Result<Saved<SettingView>, ControlError> {
        let book = self.book(&caller.org)?;
        let draft = self.draft_setting(&book.registry(), caller, name, &spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.setting(caller, name)?,
        })
    }

    /// Removes a setting: it counts no more, and stays in the records.
    ///
    /// # Errors
    /// As [`Control::put_setting`]; `not-found`.
    pub async fn remove_setting(
        &self,
        caller: &Caller,
        name: &SettingName,
    ) -> Result<SettingView, ControlError> {
        caller.require(&[Role::Admin])?;
        let spec = SettingSpec {
            enabled: false,
            ..self.setting(caller, name)?.spec
        };
        Ok(self.put_setting(caller, name, spec, None).await?.view)
    }

    pub(crate) fn draft_setting(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &SettingName,
        spec: &SettingSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        let person = caller.require(&[Role::Admin])?;
        check_spec(spec)?;
        let scope = named(registry, name)?;
        if let Some(whose) = scope.person() {
            eligible::not_for_oneself(registry, whose, person, "writes settings")?;
        }
        let there = registry.settings.get(&scope.key());
        let same = there.filter(|t| SettingSpec::of(t) == *spec);
        let setting = Setting {
            scope,
            value: spec.value.clone(),
            locked: spec.locked,
            reason: spec.reason.clone(),
            enabled: spec.enabled,
            by: same.map_or_else(|| caller.principal.clone(), |s| s.by.clone()),
            at: same.map_or_else(|| self.books.now(), |s| s.at),
        };
        let draft = Draft::over(registry, there.map(AsRef::as_ref), &setting, seen, |_| {
            self.event(caller, EventKind::SettingChanged)
                .about(setting.key())
                .fact("level", setting.scope.level())
                .fact("value", setting.value.as_str())
                .fact("locked", setting.locked)
                .fact("enabled", setting.enabled)
                .content("setting", &setting)
                .content("before", there)
        });
        Ok(draft?.restrict_if(true))
    }

    /// What the settings about a call come to, level by level.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `invalid-request`; `not-found`.
    pub fn explain_settings(
        &self,
        caller: &Caller,
        query: &SettingQuery,
    ) -> Result<SettingsExplained, ControlError> {
        caller.person()?;
        let tool: ToolRef = query.tool.parse().map_err(|e| invalid("tool", e))?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let email = query.person.as_ref();
        let person = email
            .map(|e| resolve::addressed(&registry, e))
            .transpose()?;
        let mode = query.mode.unwrap_or(match person {
            Some(_) => Mode::Interactive,
            None => Mode::Api,
        });
        let scopes = Scope::of_call(mode, &tool, person.as_ref().map(|p| &p.id));
        let about = scopes
            .iter()
            .filter_map(|s| registry.settings.get(&s.key()));
        let about: Vec<_> = about.filter(|s| s.enabled).collect();
        let rules: Vec<_> = about.iter().map(|s| s.rule()).collect();
        let shown = about.iter().zip(standings(&rules));
        let settings = shown.map(|(setting, (_, standing))| SettingStanding {
            setting: view(&registry, setting),
            holds: standing.holds(),
            standing,
        });
        let settings: Vec<_> = settings.collect();
        let denies = denying(&rules).and_then(|r| settings.iter().find(|s| s.setting.id == r.id));
        Ok(SettingsExplained {
            outcome: if denies.is_some() { "deny" } else { "none" },
            decided_by: denies.map(|s| s.setting.name.clone()),
            why: why(denies, &settings),
            settings,
        })
    }
}

fn why(denies: Option<&SettingStanding>, all: &[SettingStanding]) -> String {
    let lifted = || {
        let allow = all
            .last()
            .filter(|s| s.setting.spec.value == Value::Allow)?;
        let deny = all.iter().find(|s| s.setting.spec.value == Value::Deny)?;
        Some(format!(
            "{} lifts the deny of {}; whether the call is permitted is for grants and policies to say",
            allow.setting.name, deny.setting.name
        ))
    };
    match denies {
        Some(s) if s.standing == Standing::Locked => {
            format!(
                "{} denies, and is locked: nothing narrower lifts it",
                s.setting.name
            )
        }
        Some(s) => format!("{} denies, and is the most specific", s.setting.name),
        None => lifted().unwrap_or_else(|| {
            "no setting denies it; whether the call is permitted is for grants and policies to say"
                .to_owned()
        }),
    }
}

fn named(registry: &Registry, name: &SettingName) -> Result<Scope, ControlError> {
    let scope = name
        .scope(registry)
        .ok_or_else(|| not_found("person of setting", name))?;
    match &scope {
        Scope::Tool { tool } | Scope::PersonTool { tool, .. }
            if !registry.tools.contains_key(tool) =>
        {
            Err(invalid("name", format!("no tool `{tool}` is here")))
        }
        _ => Ok(scope),
    }
}

/// What stands against a setting by itself.
fn check_spec(spec: &SettingSpec) -> Result<(), ControlError> {
    check::said("reason", &spec.reason)?;
    match &spec.value {
        Value::Rate { calls, .. } if *calls > RATE_CALLS_MAX => Err(invalid(
            "value.rate.calls",
            format!("is more than {RATE_CALLS_MAX}"),
        )),
        Value::Transform(t) => {
            let unknown = t
                .classes
                .keys()
                .find(|class| Class::named(class.as_str()).is_none());
            if let Some(class) = unknown {
                let known = Class::ALL.map(Class::as_str).join(", ");
                let why = format!("`{class}` is no class of content; there are {known}");
                return Err(invalid("value.transform.classes", why));
            }
            let paths = [t.args.len(), t.result.len(), t.classes.len()].iter().sum();
            if (1..=PATHS_MAX).contains(&paths) {
                Ok(())
            } else {
                let why = format!("names {paths} paths; 1 to {PATHS_MAX} are permitted");
                Err(invalid("value.transform", why))
            }
        }
        _ => Ok(()),
    }
}

fn view(registry: &Registry, setting: &Setting) -> SettingView {
    let name = SettingName::of(registry, &setting.scope);
    SettingView {
        name: name.map_or_else(|| setting.key(), |n| n.to_string()),
        id: setting.key(),
        level: setting.scope.level(),
        state: Noun::state(setting),
        spec: SettingSpec::of(setting),
        by: names::principal(registry, &setting.by),
        at: setting.at,
        revision: registry
            .revision(Kind::Setting, &setting.key())
            .unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
