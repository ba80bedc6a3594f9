//! The routes of the contract that come with a later release: 501 under their methods, to whoever may see what they
//! name.

use std::sync::Arc;

use axum::extract::State;
use events::ids::IntegrationRef;
use utoipa_axum::{router::OpenApiRouter, routes};
use web::{
    incoming::Incoming,
    problem::{Kind, Problem},
};

use crate::read::Queries;

type Read = State<Arc<Queries>>;

/// Declares routes that name nothing.
macro_rules! not_built {
    ($($handler:ident: $method:ident $path:literal, $tag:literal;)*) => {
        $(
            /// Comes with a later release
            #[utoipa::path($method, path = $path, tag = $tag, responses((status = 501, description = "Not built yet")))]
            async fn $handler(_: Incoming) -> Problem {
                refuse()
            }
        )*
    };
}

/// Declares routes that name an integration.
macro_rules! not_built_of_integration {
    ($($handler:ident: $method:ident $path:literal, $tag:literal $(, $more:literal)?;)*) => {
        $(
            /// Comes with a later release
            #[utoipa::path(
                $method, path = $path, tag = $tag,
                params(("id" = String, Path, description = "Id or slug") $(, ($more = String, Path, description = "The rest"))?),
                responses((status = 501, description = "Not built yet"))
            )]
            async fn $handler(State(queries): Read, incoming: Incoming) -> Result<(), Problem> {
                let reference: IntegrationRef = incoming.reference()?;
                queries.read(&incoming).await?.visible(&reference)?;
                Err(refuse())
            }
        )*
    };
}

fn refuse() -> Problem {
    Problem::new(Kind::NotBuilt, "This route comes with a later release.")
}

not_built! {
    start_session: post "/api/session", "Session";
    end_session: delete "/api/session", "Session";
    settings: get "/api/tenant/settings", "Tenant";
    set_settings: put "/api/tenant/settings", "Tenant";
    tenant_history: get "/api/history", "History";
    feed: get "/api/integration-events", "History";
    callback: get "/oauth2/callback", "Connections";
}

not_built_of_integration! {
    connect: get "/api/integrations/{id}/connect", "Connections";
    connect_given: post "/api/integrations/{id}/connect", "Connections";
    connection: get "/api/integrations/{id}/connection", "Connections";
    disconnect: delete "/api/integrations/{id}/connection", "Connections";
    send: post "/api/integrations/{id}/request", "Requests";
    pass_get: get "/api/integrations/{id}/request/{*path}", "Requests", "path";
    pass_post: post "/api/integrations/{id}/request/{*path}", "Requests", "path";
    pass_put: put "/api/integrations/{id}/request/{*path}", "Requests", "path";
    pass_patch: patch "/api/integrations/{id}/request/{*path}", "Requests", "path";
    pass_delete: delete "/api/integrations/{id}/request/{*path}", "Requests", "path";
    account: get "/api/integrations/{id}/account", "Connections";
    history: get "/api/integrations/{id}/history", "History";
    revert: post "/api/integrations/{id}/revert", "History";
}

pub(super) fn routes() -> OpenApiRouter<Arc<Queries>> {
    OpenApiRouter::new()
        .routes(routes!(start_session, end_session))
        .routes(routes!(settings, set_settings))
        .routes(routes!(tenant_history))
        .routes(routes!(feed))
        .routes(routes!(callback))
        .routes(routes!(connect, connect_given))
        .routes(routes!(connection, disconnect))
        .routes(routes!(send))
        .routes(routes!(pass_get, pass_post, pass_put, pass_patch, pass_delete))
        .routes(routes!(account))
        .routes(routes!(history))
        .routes(routes!(revert))
}
