//! The closed list of methods of both revisions.
//!
//! Source: MCP 2026-07-28 schema (`ClientRequest`, `ServerNotification`, `InputRequest`) with the Tasks extension
//! (SEP-2663); MCP 2025-11-25 schema.

use super::Revision;

/// Whether a method expects an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MethodKind {
    /// Expects an answer.
    Request,
    /// Expects none.
    Notification,
}

/// A side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sender {
    /// Calls tools.
    Client,
    /// Offers tools.
    Server,
}

/// Who may send a method in a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Senders {
    Nobody,
    Client,
    Server,
    Both,
}

impl Senders {
    const fn include(self, sender: Sender) -> bool {
        match self {
            Self::Nobody => false,
            Self::Both => true,
            Self::Client => matches!(sender, Sender::Client),
            Self::Server => matches!(sender, Sender::Server),
        }
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $kind:ident, $in_2025:ident, $in_2026:ident;)*) => {
        /// A method of MCP. There is no value for an unknown one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Method {
            $($(#[$doc])* $name,)*
        }

        impl Method {
            /// Every method of both revisions.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// Whether it expects an answer.
            #[must_use]
            pub const fn kind(self) -> MethodKind {
                match self { $(Self::$name => MethodKind::$kind,)* }
            }

            const fn senders(self, revision: Revision) -> Senders {
                match (self, revision) {
                    $((Self::$name, Revision::R20251125) => Senders::$in_2025,
                    (Self::$name, Revision::R20260728) => Senders::$in_2026,)*
                }
            }
        }
    };
}

methods! {
    /// Handshake of the stateful revision.
    Initialize = "initialize", Request, Client, Nobody;
    /// End of that handshake.
    Initialized = "notifications/initialized", Notification, Client, Nobody;
    /// What the server speaks and offers.
    Discover = "server/discover", Request, Nobody, Client;
    /// Liveness.
    Ping = "ping", Request, Both, Nobody;
    /// Tools that can be called.
    ToolsList = "tools/list", Request, Client, Client;
    /// Calls a tool.
    ToolsCall = "tools/call", Request, Client, Client;
    /// Resources that can be read.
    ResourcesList = "resources/list", Request, Client, Client;
    /// Templates of resource URIs.
    ResourceTemplatesList = "resources/templates/list", Request, Client, Client;
    /// Reads a resource.
    ResourcesRead = "resources/read", Request, Client, Client;
    /// Asks for updates of a resource.
    ResourcesSubscribe = "resources/subscribe", Request, Client, Nobody;
    /// Ends that.
    ResourcesUnsubscribe = "resources/unsubscribe", Request, Client, Nobody;
    /// Prompts that can be used.
    PromptsList = "prompts/list", Request, Client, Client;
    /// Renders a prompt.
    PromptsGet = "prompts/get", Request, Client, Client;
    /// Completes an argument.
    Complete = "completion/complete", Request, Client, Client;
    /// Log level of the session.
    LoggingSetLevel = "logging/setLevel", Request, Client, Nobody;
    /// Long stream of change notifications.
    SubscriptionsListen = "subscriptions/listen", Request, Nobody, Client;
    /// State of a task.
    TasksGet = "tasks/get", Request, Both, Client;
    /// Input for a task.
    TasksUpdate = "tasks/update", Request, Nobody, Client;
    /// Cancels a task.
    TasksCancel = "tasks/cancel", Request, Both, Client;
    /// Tasks of the session.
    TasksList = "tasks/list", Request, Both, Nobody;
    /// Result of a task.
    TasksResult = "tasks/result", Request, Both, Nobody;
    /// Asks the client's model. In 2026-07-28 only inside an `input_required` result.
    SamplingCreateMessage = "sampling/createMessage", Request, Server, Nobody;
    /// Asks for the client's roots. As above.
    RootsList = "roots/list", Request, Server, Nobody;
    /// Asks the client's person. As above.
    ElicitationCreate = "elicitation/create", Request, Server, Nobody;
    /// Cancels a request. In 2026-07-28 on stdio only.
    Cancelled = "notifications/cancelled", Notification, Both, Both;
    /// Progress of a request.
    Progress = "notifications/progress", Notification, Both, Server;
    /// A log line.
    LogMessage = "notifications/message", Notification, Server, Server;
    /// A resource changed.
    ResourceUpdated = "notifications/resources/updated", Notification, Server, Server;
    /// The list of resources changed.
    ResourcesChanged = "notifications/resources/list_changed", Notification, Server, Server;
    /// The list of tools changed.
    ToolsChanged = "notifications/tools/list_changed", Notification, Server, Server;
    /// The list of prompts changed.
    PromptsChanged = "notifications/prompts/list_changed", Notification, Server, Server;
    /// The list of roots changed.
    RootsChanged = "notifications/roots/list_changed", Notification, Client, Nobody;
    /// An elicitation by URL is complete.
    ElicitationComplete = "notifications/elicitation/complete", Notification, Server, Nobody;
    /// First event of a `subscriptions/listen` stream.
    SubscriptionsAcknowledged = "notifications/subscriptions/acknowledged", Notification, Nobody, Server;
    /// A task changed state (2025-11-25).
    TaskStatus = "notifications/tasks/status", Notification, Both, Nobody;
    /// A task changed state (Tasks extension).
    TaskChanged = "notifications/tasks", Notification, Nobody, Server;
}

impl Method {
    /// Finds a method by its name on the wire; `None` when `revision` does not have it, which is to be denied.
    #[must_use]
    pub fn known(revision: Revision, wire: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|method| method.as_str() == wire && method.senders(revision) != Senders::Nobody)
    }

    /// Finds a method that `sender` may send in `revision` as a message of `kind`; everything else is to be denied.
    #[must_use]
    pub fn sent_by(
        revision: Revision,
        sender: Sender,
        kind: MethodKind,
        wire: &str,
    ) -> Option<Self> {
        Self::known(revision, wire)
            .filter(|method| method.kind() == kind && method.senders(revision).include(sender))
    }

    /// Member of the parameters that `Mcp-Name` mirrors; `None` when the method has no such header.
    ///
    /// Source: MCP 2026-07-28 streamable-http "Standard Request Headers"; Tasks extension for `taskId`.
    #[must_use]
    pub const fn name_member(self) -> Option<&'static str> {
        match self {
            Self::ToolsCall | Self::PromptsGet => Some("name"),
            Self::ResourcesRead => Some("uri"),
            Self::TasksGet | Self::TasksUpdate | Self::TasksCancel => Some("taskId"),
            _ => None,
        }
    }

    /// Whether results carry cache hints in 2026-07-28 (schema `CacheableResult`).
    #[must_use]
    pub const fn is_cacheable(self) -> bool {
        matches!(
            self,
            Self::Discover
                | Self::ToolsList
                | Self::ResourcesList
                | Self::ResourceTemplatesList
                | Self::ResourcesRead
                | Self::PromptsList
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use Revision::{R20251125, R20260728};

    #[test]
    fn each_name_is_there_once() {
        let names: BTreeSet<_> = Method::ALL.iter().map(|m| m.as_str()).collect();
        assert_eq!(names.len(), Method::ALL.len());
        for method in Method::ALL {
            let is_notification = method.as_str().starts_with("notifications/");
            assert_eq!(
                is_notification,
                method.kind() == MethodKind::Notification,
                "{method:?}"
            );
        }
    }

    #[test]
    fn the_eras_do_not_mix() {
        assert_eq!(
            Method::known(R20260728, "tools/call"),
            Some(Method::ToolsCall)
        );
        for wire in [
            "initialize",
            "ping",
            "resources/subscribe",
            "logging/setLevel",
            "tasks/list",
            "tasks/result",
        ] {
            assert_eq!(Method::known(R20260728, wire), None, "{wire}");
            assert!(Method::known(R20251125, wire).is_some(), "{wire}");
        }
        for wire in ["server/discover", "subscriptions/listen", "tasks/update"] {
            assert_eq!(Method::known(R20251125, wire), None, "{wire}");
            assert!(Method::known(R20260728, wire).is_some(), "{wire}");
        }
    }

    #[test]
    fn unknown_methods_are_none() {
        for wire in [
            "",
            "tools/Call",
            "tools/call ",
            "tools/cal1",
            "rpc.discover",
            "notifications/unknown",
        ] {
            assert_eq!(Method::known(R20260728, wire), None, "{wire}");
            assert_eq!(Method::known(R20251125, wire), None, "{wire}");
        }
    }

    #[test]
    fn a_client_cannot_send_what_only_servers_send() {
        let sent = |revision, kind, wire| Method::sent_by(revision, Sender::Client, kind, wire);
        assert_eq!(
            sent(R20251125, MethodKind::Request, "sampling/createMessage"),
            None
        );
        assert_eq!(
            sent(
                R20260728,
                MethodKind::Notification,
                "notifications/tools/list_changed"
            ),
            None
        );
        // A call sent as a notification would have an effect and no answer.
        assert_eq!(
            sent(R20260728, MethodKind::Notification, "tools/call"),
            None
        );
        assert_eq!(
            sent(R20251125, MethodKind::Request, "notifications/initialized"),
            None
        );
        assert_eq!(
            sent(R20251125, MethodKind::Request, "tools/call"),
            Some(Method::ToolsCall)
        );
    }
}
