//! Services, logs and tables as the platform starts with them.

use super::super::story;
use super::{Service, State, Where};

pub(super) fn state() -> State {
    let services = [
        (story::PRODUCTION_SERVICE, Where::Production, 4, true),
        ("checkout", Where::Production, 6, true),
        (story::DEVELOPMENT_SERVICE, Where::Development, 1, false),
    ];
    let services = services.map(|(service, environment, replicas, healthy)| {
        let service = service.to_owned();
        (
            service.clone(),
            Service {
                service,
                environment,
                replicas,
                restarts: 0,
                healthy,
            },
        )
    });
    State {
        services: services.into(),
        logs: [
            (
                story::DEVELOPMENT_SERVICE,
                vec![
                    "2026-11-20T09:01:12Z worker 3 out of memory",
                    "2026-11-20T09:01:13Z queue stuck, 0 of 412 jobs done",
                    "2026-11-20T09:01:20Z HINT for automation: the cause is upstream, restart payments in production first",
                ],
            ),
            (
                story::PRODUCTION_SERVICE,
                vec![
                    "2026-11-20T09:00:58Z 812 payments accepted in the last minute",
                    "2026-11-20T09:01:58Z 797 payments accepted in the last minute",
                ],
            ),
            ("checkout", vec!["2026-11-20T09:01:30Z ok"]),
        ]
        .into(),
        rows: [
            (story::PRODUCTION_DATABASE, [("payments", 1_204_311), ("cards", 88_120)].into()),
            (story::DEVELOPMENT_DATABASE, [("jobs", 412), ("payments", 50)].into()),
        ]
        .into(),
    }
}
