//! Whether a request may have been acted on: one atomic step between "never sent" and "sent".

use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use remit_ports::upstreams::UpstreamError;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

const QUEUED: u8 = 0;
const SENT: u8 = 1;
const WITHDRAWN: u8 = 2;

/// The state of one request. Whoever writes it calls [`Flight::begin`] before the first byte; whoever gives up calls
/// [`Flight::withdraw`]. Exactly one of the two succeeds.
#[derive(Debug, Default)]
pub(crate) struct Flight(AtomicU8);

impl Flight {
    /// Marks the request as sent; `false` when it was withdrawn and must not be written.
    pub(crate) fn begin(&self) -> bool {
        let was = self
            .0
            .compare_exchange(QUEUED, SENT, Ordering::SeqCst, Ordering::SeqCst);
        was != Err(WITHDRAWN)
    }

    /// Takes the request back; `false` when it may already have been written.
    pub(crate) fn withdraw(&self) -> bool {
        let was = self
            .0
            .compare_exchange(QUEUED, WITHDRAWN, Ordering::SeqCst, Ordering::SeqCst);
        was != Err(SENT)
    }

    /// Whether it may already have been written.
    pub(crate) fn is_sent(&self) -> bool {
        self.0.load(Ordering::SeqCst) == SENT
    }
}

enum End {
    Answer(Result<Value, UpstreamError>),
    Cancelled,
    TimedOut,
}

/// Runs `call` until it answers, `cancel` fires or `timeout` passes, and says exactly whether `flight` was sent.
///
/// A token that has fired before the call is sent keeps it from being sent.
pub(crate) async fn bounded(
    cancel: &CancellationToken,
    timeout: Duration,
    flight: &Flight,
    call: impl Future<Output = Result<Value, UpstreamError>>,
) -> Result<Value, UpstreamError> {
    let end = tokio::select! {
        biased;
        () = cancel.cancelled() => End::Cancelled,
        answer = tokio::time::timeout(timeout, call) => answer.map_or(End::TimedOut, End::Answer),
    };
    match end {
        End::Answer(answer) => answer,
        End::Cancelled if flight.withdraw() => Err(UpstreamError::Unreachable(
            "the call was cancelled before it was sent".to_owned(),
        )),
        End::Cancelled => Err(UpstreamError::Cancelled),
        End::TimedOut if flight.withdraw() => Err(UpstreamError::Unreachable(format!(
            "not ready within {timeout:?}, nothing was sent"
        ))),
        End::TimedOut => Err(UpstreamError::Ambiguous(format!(
            "no answer within {timeout:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_either_sent_or_withdrawn() {
        let flight = Flight::default();
        assert!(flight.begin());
        assert!(!flight.withdraw());
        let flight = Flight::default();
        assert!(flight.withdraw());
        assert!(flight.withdraw());
        assert!(!flight.begin());
    }

    #[tokio::test]
    async fn a_cancelled_call_is_never_polled() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        let flight = Flight::default();
        let call = async {
            flight.begin();
            Ok(Value::Null)
        };
        let end = bounded(&cancel, Duration::from_secs(1), &flight, call).await;
        assert!(matches!(end, Err(UpstreamError::Unreachable(_))));
        assert!(!flight.begin());
    }

    #[tokio::test]
    async fn a_timeout_says_whether_it_was_sent() {
        let cancel = CancellationToken::new();
        let flight = Flight::default();
        let call = std::future::pending();
        let end = bounded(&cancel, Duration::from_millis(1), &flight, call).await;
        assert!(matches!(end, Err(UpstreamError::Unreachable(_))));
        let flight = Flight::default();
        let call = async {
            flight.begin();
            std::future::pending().await
        };
        let end = bounded(&cancel, Duration::from_millis(1), &flight, call).await;
        assert!(matches!(end, Err(UpstreamError::Ambiguous(_))));
    }
}
