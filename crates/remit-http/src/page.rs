//! The page at the root, for whoever opens the address in a browser. Plain HTML, no scripts, nothing to sign in to.

use axum::Router;
use axum::response::Html;
use axum::routing::get;

/// These pages, where nothing better is served.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/", get(root))
        .route("/enrol", get(enrol))
        .route("/t/{org}/enrol", get(enrol))
}

/// What this server is, and where to go on.
async fn root() -> Html<&'static str> {
    Html(concat!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Remit</title>\n</head>\n<body>\n<main>\n",
        "<h1>Remit</h1>\n",
        "<p>The control plane for AI-agent identities: every agent known, scoped, observable and revocable before it can ",
        "touch a production system.</p>\n",
        "<h2>People</h2>\n<p>Use the command line: <code>remit login</code>, then <code>remit agent ls</code>, ",
        "<code>remit approval ls</code>, <code>remit run ls</code>. <code>remit help</code> lists the rest.</p>\n",
        "<h2>Agents</h2>\n<p>Tools are at <code>/mcp</code> (MCP 2026-07-28 and 2025-11-25). ",
        "<a href=\"/.well-known/oauth-protected-resource/mcp\">Where tokens for it come from</a>.</p>\n",
        "<h2>Programs</h2>\n<ul>\n",
        "<li><a href=\"/api/v1/openapi.json\">REST interface (OpenAPI 3.1)</a></li>\n",
        "<li><a href=\"/.well-known/oauth-authorization-server\">OAuth metadata</a></li>\n",
        "<li><a href=\"/log/checkpoint\">Newest checkpoint of the ledger</a> and <a href=\"/log/key\">its key</a></li>\n",
        "<li><a href=\"/readyz\">Readiness</a></li>\n</ul>\n",
        "</main>\n</body>\n</html>\n"
    ))
}

/// Where an enrolment link leads. The code is behind the `#`, which browsers never send, so that it is in nobody's traces.
async fn enrol() -> Html<&'static str> {
    Html(concat!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Enrol in Remit</title>\n</head>\n<body>\n",
        "<main>\n<h1>Your enrolment link</h1>\n",
        "<p>Make your own token with it, once, on your own machine: copy the whole address of this page and run</p>\n",
        "<pre><code>remit login LINK</code></pre>\n",
        "<p>The code behind the <code>#</code> has not been sent to this server by opening this page.</p>\n",
        "</main>\n</body>\n</html>\n"
    ))
}
